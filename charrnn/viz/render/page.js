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
  const indices = new Map(letters.map((letter, index) => [letter, index]));
  const now = document.getElementById("now");
  now.textContent = "Point at a character, or move with the arrow keys.";
  const names = { " ": "␣ space", "␣": "␣ space", "↵": "↵ newline", "→": "→ tab" };
  const named = (sign) => names[sign] || (/^\p{M}/u.test(sign) ? `◌${sign}` : sign);
  const forward = getComputedStyle(box).direction === "rtl" ? -1 : 1;
  let at = -1;

  // Units: exact values of the first ones, a byte each; levels of all others, half a byte each.
  const exact = (data.units || []).map((coded) => atob(coded));
  let levels = null;
  let chosen = 0;
  const activation = (index) => {
    if (chosen < exact.length) return (exact[chosen].charCodeAt(index) - 127) / 127;
    const half = (chosen - exact.length) * letters.length + index;
    return ((half % 2 ? levels[half >> 1] & 15 : levels[half >> 1] >> 4) - 4) / 4;
  };
  const unpacked = async (coded) => {
    const bytes = Uint8Array.from(atob(coded), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  };

  // Attention: of each symbol and head, where those with the most weight are, and their weights.
  const looks = data.looks;
  const START = 0x7fff;
  const looked = (index) => {
    const size = levels.length / 3;
    const first = (index * (size / looks.per / letters.length) + chosen) * looks.per;
    return Array.from({ length: looks.per }, (_, k) => first + k)
      .map((i) => [((levels[i] | (levels[size + i] << 8)) << 16) >> 16, levels[2 * size + i] / 255])
      .filter(([, weight]) => weight);
  };
  let painted = [];
  const paintLooked = () => {
    painted.forEach(([letter, level]) => letter.classList.replace(level, "s0"));
    painted = looked(at).filter(([offset]) => offset !== START).map(([offset, weight]) => {
      const level = `s${looks.levels.filter((edge) => weight >= edge).length}`;
      letters[at + offset].classList.replace("s0", level);
      return [letters[at + offset], level];
    });
  };
  const lookedWords = (index) => {
    const found = looked(index).slice(0, 5).filter(([, weight]) => weight >= 0.005);
    const percent = (weight) => `${Math.round(100 * weight)}%`;
    const words = found.map(([offset, weight]) => (offset === START ? `start ${percent(weight)}`
      : `${letters[index + offset].textContent.replace(" ", "␣")} ${offset} ${percent(weight)}`));
    return `looked at: ${words.join("   ")}`;
  };

  const details = (index) => {
    const sign = letters[index].firstChild.textContent;
    const parts = [`${index + 1} of ${letters.length}: ${named(sign)}`];
    if (data.bits) parts.push(`${data.bits[index]} bits`);
    if (exact.length) {
      parts.push(chosen < exact.length ? `activation ${activation(index).toFixed(2)}`
                                       : `activation about ${activation(index)}`);
    }
    if (data.guesses && data.guesses[index]) {
      const guesses = data.guesses[index].map(([sign, share]) => `${data.signs[sign]} ${share}%`);
      parts.push(`${data.what}: ${guesses.join("  ")}`);
    }
    if (looks && levels) parts.push(lookedWords(index));
    return parts.join("   ");
  };
  const show = (index) => {
    if (index === undefined || index === at) return;
    if (at >= 0) letters[at].classList.remove("at");
    at = index;
    letters[at].classList.add("at");
    now.textContent = details(at);
    if (looks && levels) paintLooked();
  };

  const under = (event) => {
    let node = event.target;
    while (node && node.parentNode !== box) node = node.parentNode;
    return indices.get(node);
  };
  // The nearest symbol of the line below (step 1) or above (step -1).
  const beside = (step) => {
    const { offsetTop: top, offsetLeft: left } = letters[at];
    let index = at;
    while (letters[index + step] && letters[index].offsetTop === top) index += step;
    const line = letters[index].offsetTop;
    let best = index;
    for (; letters[index] && letters[index].offsetTop === line; index += step) {
      const nearer = Math.abs(letters[index].offsetLeft - left);
      if (nearer < Math.abs(letters[best].offsetLeft - left)) best = index;
    }
    return best;
  };
  const along = (step) => Math.max(0, Math.min(letters.length - 1, at + step));
  const moves = {
    ArrowRight: () => along(forward), ArrowLeft: () => along(-forward),
    ArrowDown: () => (at < 0 ? 0 : beside(1)), ArrowUp: () => (at < 0 ? 0 : beside(-1)),
    Home: () => 0, End: () => letters.length - 1,
  };
  box.addEventListener("mouseover", (event) => show(under(event)));
  box.addEventListener("click", (event) => show(under(event)));
  box.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return; // shortcuts of the browser
    if (!(event.key in moves) || !letters.length) return;
    event.preventDefault();
    show(moves[event.key]());
    letters[at].scrollIntoView({ block: "nearest" });
  });

  const select = document.getElementById("unit");
  if (!select) return;
  select.addEventListener("change", () => {
    chosen = select.selectedIndex;
    if (!looks) {
      letters.forEach((letter, index) => {
        letter.className = `d${Math.round((activation(index) + 1) * 4)}` + (index === at ? " at" : "");
      });
    } else if (at >= 0 && levels) paintLooked();
    if (at >= 0) now.textContent = details(at);
  });
  const packed = looks ? looks.packed : data.packed;
  if (!packed || !window.DecompressionStream) return;
  unpacked(packed).then((found) => {
    levels = found;
    if (looks) {
      show(Math.min(letters.length - 1, 99));
      return;
    }
    const group = document.createElement("optgroup");
    group.label = `${data.names.length} units, as layer:unit`;
    group.append(...data.names.map((name) => new Option(name)));
    select.append(group);
  });
})();
