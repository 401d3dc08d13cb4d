"use strict";
(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const paint = (theme) => {
    root.dataset.theme = theme;
    button.textContent = theme === "dark" ? "light" : "dark";
  };
  paint(dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => paint(dark.matches ? "dark" : "light"));
  button.addEventListener("click", () => paint(root.dataset.theme === "dark" ? "light" : "dark"));

  const data = JSON.parse(document.getElementById("data").textContent);
  const box = document.getElementById("text");
  if (!box || !data) return;
  const letters = Array.from(box.getElementsByTagName("i"));
  letters.forEach((letter, place) => { letter.place = place; });
  const now = document.getElementById("now");
  const select = document.getElementById("unit");
  const units = (data.units || []).map((coded) => atob(coded));
  let chosen = 0, at = -1;

  const said = (place) => {
    const parts = [`${place + 1} of ${letters.length}: ${letters[place].textContent}`];
    if (data.bits) parts.push(`${data.bits[place]} bits`);
    if (units.length) parts.push(`activation ${((units[chosen].charCodeAt(place) - 127) / 127).toFixed(2)}`);
    if (data.guesses) {
      const guesses = data.guesses[place].map(([sign, share]) => `${data.signs[sign]} ${share}%`);
      parts.push(`expected: ${guesses.join("  ")}`);
    }
    return parts.join("   ");
  };
  const show = (place) => {
    if (place < 0 || place >= letters.length || place === at) return;
    if (at >= 0) letters[at].classList.remove("at");
    at = place;
    letters[at].classList.add("at");
    now.textContent = said(at);
  };
  box.addEventListener("mouseover", (event) => {
    if (event.target.place !== undefined) show(event.target.place);
  });
  box.addEventListener("click", (event) => {
    if (event.target.place !== undefined) show(event.target.place);
  });
  box.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 40, ArrowUp: -40 };
    const ends = { Home: 0, End: letters.length - 1 };
    if (event.key in ends) show(ends[event.key]);
    else if (event.key in steps) show(Math.max(0, Math.min(letters.length - 1, at + steps[event.key])));
    else return;
    event.preventDefault();
    letters[at].scrollIntoView({ block: "nearest" });
  });
  if (select) {
    select.addEventListener("change", () => {
      chosen = select.selectedIndex;
      letters.forEach((letter, place) => {
        const level = Math.round((units[chosen].charCodeAt(place) / 254) * 8);
        letter.className = `d${level}` + (place === at ? " at" : "");
      });
      if (at >= 0) now.textContent = said(at);
    });
  }
})();
