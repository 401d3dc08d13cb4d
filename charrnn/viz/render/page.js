"use strict";
(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const isDark = window.matchMedia("(prefers-color-scheme: dark)");
  const paint = (theme) => {
    root.dataset.theme = theme;
    button.textContent = theme === "dark" ? "light theme" : "dark theme";
  };
  const follow = () => paint(isDark.matches ? "dark" : "light");
  follow();
  button.hidden = false;
  isDark.addEventListener("change", follow);
  button.addEventListener("click", () => paint(root.dataset.theme === "dark" ? "light" : "dark"));

  const data = JSON.parse(document.getElementById("data").textContent);
  const box = document.getElementById("text");
  if (!box) return;
  const letters = Array.from(box.children);
  const places = new Map(letters.map((letter, place) => [letter, place]));
  const now = document.getElementById("now");
  now.textContent = "Point at a character, or move with the arrow keys.";
  const names = { " ": "␣ space", "␣": "␣ space", "↵": "↵ newline", "→": "→ tab" };
  let at = -1;

  // Units: those that are shown first to a hundredth, all others by their level, half a byte each.
  const exact = (data.units || []).map((coded) => atob(coded));
  let levels = null;
  let chosen = 0;
  const activation = (place) => {
    if (chosen < exact.length) return (exact[chosen].charCodeAt(place) - 127) / 127;
    const index = (chosen - exact.length) * letters.length + place;
    return ((index % 2 ? levels[index >> 1] & 15 : levels[index >> 1] >> 4) - 4) / 4;
  };
  const unpacked = async (coded) => {
    const bytes = Uint8Array.from(atob(coded), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  };

  const said = (place) => {
    const sign = letters[place].firstChild.textContent;
    const parts = [`${place + 1} of ${letters.length}: ${names[sign] || sign}`];
    if (data.bits) parts.push(`${data.bits[place]} bits`);
    if (exact.length) {
      parts.push(chosen < exact.length ? `activation ${activation(place).toFixed(2)}`
                                       : `activation about ${activation(place)}`);
    }
    if (data.guesses && data.guesses[place]) {
      const guesses = data.guesses[place].map(([sign, share]) => `${data.signs[sign]} ${share}%`);
      parts.push(`${data.what}: ${guesses.join("  ")}`);
    }
    return parts.join("   ");
  };
  const show = (place) => {
    if (place === undefined || place === at) return;
    if (at >= 0) letters[at].classList.remove("at");
    at = place;
    letters[at].classList.add("at");
    now.textContent = said(at);
  };

  const under = (event) => {
    let node = event.target;
    while (node && node.parentNode !== box) node = node.parentNode;
    return places.get(node);
  };
  // The symbol of the next line (step 1) or the one before (-1) that stands most nearly below.
  const beside = (step) => {
    const { offsetTop: top, offsetLeft: left } = letters[at];
    let place = at;
    while (letters[place + step] && letters[place].offsetTop === top) place += step;
    const line = letters[place].offsetTop;
    let best = place;
    for (; letters[place] && letters[place].offsetTop === line; place += step) {
      const nearer = Math.abs(letters[place].offsetLeft - left);
      if (nearer < Math.abs(letters[best].offsetLeft - left)) best = place;
    }
    return best;
  };
  const moves = {
    ArrowRight: () => Math.min(letters.length - 1, at + 1), ArrowLeft: () => Math.max(0, at - 1),
    ArrowDown: () => (at < 0 ? 0 : beside(1)), ArrowUp: () => (at < 0 ? 0 : beside(-1)),
    Home: () => 0, End: () => letters.length - 1,
  };
  box.addEventListener("mouseover", (event) => show(under(event)));
  box.addEventListener("click", (event) => show(under(event)));
  box.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return; // the browser's own
    if (!(event.key in moves) || !letters.length) return;
    event.preventDefault();
    show(moves[event.key]());
    letters[at].scrollIntoView({ block: "nearest" });
  });

  const select = document.getElementById("unit");
  if (!select) return;
  select.addEventListener("change", () => {
    chosen = select.selectedIndex;
    letters.forEach((letter, place) => {
      letter.className = `d${Math.round((activation(place) + 1) * 4)}` + (place === at ? " at" : "");
    });
    if (at >= 0) now.textContent = said(at);
  });
  if (!data.packed || !window.DecompressionStream) return;
  unpacked(data.packed).then((found) => {
    levels = found;
    const group = document.createElement("optgroup");
    group.label = `${data.names.length} units, as layer:unit`;
    group.append(...data.names.map((name) => new Option(name)));
    select.append(group);
  });
})();
