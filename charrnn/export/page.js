"use strict";
// The page: what readers type, click and see. Work is done in slices, so that it always answers.
(async () => {
  const SLICE = 25; // milliseconds of work between two events
  const MOST_QUOTED = 160; // characters of a passage
  const MOST_AT_ONCE = { word: 40, line: 400 }; // characters, if no blank or line end comes

  const get = (id) => document.getElementById(id);
  const [box, under, end, status] = ["text", "under", "end", "status"].map(get);

  // --- theme
  const root = document.documentElement, isDark = window.matchMedia("(prefers-color-scheme: dark)");
  const paintTheme = (theme) => {
    root.dataset.theme = theme;
    get("theme").textContent = theme === "dark" ? "light theme" : "dark theme";
  };
  const followTheme = () => paintTheme(isDark.matches ? "dark" : "light");
  followTheme();
  isDark.addEventListener("change", followTheme);
  get("theme").addEventListener("click", () => paintTheme(root.dataset.theme === "dark" ? "light" : "dark"));

  // --- model
  if (!window.DecompressionStream) {
    status.textContent = "This browser is too old for this page: it has no DecompressionStream.";
    return;
  }
  const data = JSON.parse(get("data").textContent);
  get("data").remove();
  const model = await engine.load(data);
  const draft = new texts.Draft(model), track = draft.track;
  for (const id of ["controls", "settings", "paper", "more"]) get(id).hidden = false;
  const cell = { lstm: "An LSTM", gru: "A GRU", rnn: "A recurrent network" }[data.network.cell];
  const grams = data.memory ? ` with n-grams of up to ${data.memory.order + 1} characters` : "";
  get("facts").textContent = `${cell} of ${model.L} × ${model.H} units${grams} writes here, one character at a time.`;
  for (const [unit, name] of data.units) get("named-units").append(new Option(name, String(unit)));
  for (let unit = 0; unit < track.size; unit++) {
    get("all-units").append(new Option(`${Math.floor(unit / model.H)}:${unit % model.H}`, String(unit)));
  }
  get("named-units").hidden = !data.units.length;
  const source = data.passages && await passages.load(data.passages);
  get("about-passages").hidden = !source;

  // --- settings
  const number = (id, fallback) => {
    const { valueAsNumber: value, min, max } = get(id);
    if (Number.isNaN(value)) return fallback;
    return Math.max(Number(min), max === "" ? value : Math.min(Number(max), value));
  };
  const settings = () => ({
    temperature: number("temperature"), minP: number("min-p"),
    topK: Math.floor(number("top-k", 0)), topP: number("top-p", 1), noRepeat: get("no-repeat").checked,
  });
  for (const id of ["temperature", "min-p"]) {
    const show = () => { get(`${id}-value`).textContent = number(id).toFixed(2); };
    get(id).addEventListener("input", show);
    show();
  }
  const uniform = () => {
    const [high, low] = crypto.getRandomValues(new Uint32Array(2));
    return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53;
  };

  // --- the sheet under the text: a span for each character, for colours and for clicks
  const spans = [], starts = [];
  let shown = "", painted = 0, marked = null;
  const indexAt = (offset) => { // of the span at an offset
    let low = 0, high = starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (starts[middle] < offset) low = middle + 1; else high = middle;
    }
    return low;
  };
  const spread = () => { // bring the spans to the text
    const text = draft.text;
    let common = 0;
    while (common < shown.length && shown.charCodeAt(common) === text.charCodeAt(common)) common++;
    let same = indexAt(common);
    if (same && starts[same - 1] + spans[same - 1].textContent.length > common) same--; // half a pair
    for (const span of spans.splice(same)) span.remove();
    starts.length = same;
    painted = Math.min(painted, same);
    let offset = same ? starts[same - 1] + spans[same - 1].textContent.length : 0;
    const fresh = document.createDocumentFragment();
    for (const sign of text.slice(offset)) {
      const span = document.createElement("span");
      span.textContent = sign;
      fresh.append(span);
      spans.push(span);
      starts.push(offset);
      offset += sign.length;
    }
    under.insertBefore(fresh, end);
    shown = text;
  };
  const paint = () => { // colour the characters that have been read
    const unit = Number(get("unit").value);
    for (; painted < spans.length; painted++) {
      const symbol = draft.before(starts[painted]);
      if (unit >= 0 && symbol >= track.position) break;
      const level = unit < 0 ? 3 : Math.round(3 + 3 * track.activation(symbol, unit));
      spans[painted].className = (level === 3 ? "" : `u${level}`) + (spans[painted] === marked ? " at" : "");
    }
  };

  // --- what is also in the text that came with the page
  let copied = [], searched = null; // passages, and the text that has them
  const underline = () => {
    if (!source || searched === draft.text) return;
    searched = draft.text;
    copied = source.of(passages.codesOf(searched));
    let next = 0;
    spans.forEach((span, index) => {
      while (next < copied.length && copied[next].end <= index) next++;
      span.toggleAttribute("data-copied", next < copied.length && copied[next].begin <= index);
    });
  };
  const tellPassage = (index) => {
    const found = copied.find(({ begin, end }) => begin <= index && index < end);
    get("passage").hidden = !found;
    if (!found) return;
    const { name, line } = source.place(found);
    const signs = Array.from(draft.text).slice(found.begin, found.end);
    const words = signs.slice(0, MOST_QUOTED).join("") + (signs.length > MOST_QUOTED ? "…" : "");
    get("passage").textContent = `“${words}” is in ${name}, line ${line}.`;
  };

  // --- history
  const past = [], future = [];
  let typed = -Infinity; // when the last change by typing was remembered
  const remember = () => {
    const last = past[past.length - 1];
    if (!last || last.text !== draft.text) past.push({ text: draft.text, caret: box.selectionStart });
    future.length = 0;
    typed = -Infinity;
  };
  const restore = (from, to) => {
    stop();
    while (from.length && from[from.length - 1].text === draft.text) from.pop();
    if (!from.length) {
      say(from === past ? "Nothing to undo." : "Nothing to redo.");
      return;
    }
    to.push({ text: draft.text, caret: box.selectionStart });
    const { text, caret } = from.pop();
    replaceText(text, Math.min(caret, text.length));
  };
  const undo = () => restore(past, future);
  const redo = () => restore(future, past);

  // --- what the page tells
  const say = (text, heard = text) => { // heard: what screen readers read
    status.textContent = text;
    get("heard").textContent = heard;
  };
  const note = () => {
    const unknown = Array.from(draft.unknown, (sign) => `“${sign}”`).slice(0, 10).join(" ");
    say(unknown ? `The model has never seen ${unknown}, and reads the text without.` : "");
  };

  const replaceText = (text, caret) => {
    draft.set(text);
    box.value = text;
    box.setSelectionRange(caret, caret);
    spread();
    note();
    pump();
  };

  // --- work: read what is there, then write
  let job = null, isPumping = false;
  const isEnough = (added) => {
    if (job.count >= job.most || (data.records && added === "\n")) return true;
    if (job.amount === "line") return added.includes("\n");
    if (job.amount !== "word") return false;
    job.hasLetters = job.hasLetters || /\S/.test(added);
    return job.hasLetters && /\s/.test(added);
  };
  const work = () => {
    if (track.pending) {
      track.step();
      return true;
    }
    if (!job) return false;
    const added = draft.write(job.settings, uniform());
    job.count += Array.from(added).length;
    job.text += added;
    if (isEnough(added)) stop();
    return true;
  };
  const pump = () => {
    if (isPumping) return;
    isPumping = true;
    const slice = () => {
      const until = performance.now() + SLICE;
      let isBusy = true;
      while (isBusy && performance.now() < until) isBusy = work();
      show();
      if (isBusy) {
        setTimeout(slice);
      } else {
        isPumping = false;
        look();
      }
    };
    slice();
  };
  const show = () => {
    const isFollowed = end.getBoundingClientRect().top < window.innerHeight;
    if (draft.text !== shown) {
      box.value = draft.text;
      spread();
      if (isFollowed) end.scrollIntoView({ block: "nearest" });
    }
    paint();
    if (job && track.pending) say(`Reading: ${track.pending} characters left`, "");
  };
  const write = (first) => { // from the cursor on; first: a symbol that is taken instead of drawn
    const caret = box.selectionStart;
    remember();
    const hasReplaced = caret < draft.text.length;
    if (hasReplaced) draft.set(draft.text.slice(0, caret));
    const amount = get("amount").value;
    job = {
      amount, settings: settings(), most: MOST_AT_ONCE[amount] || Number(amount), count: 0, text: "",
      hasLetters: false, hasReplaced, began: performance.now(),
    };
    get("write").textContent = "Stop";
    get("guesses").hidden = true;
    mark(null);
    say("Writing");
    if (first !== undefined) {
      while (track.pending) track.step();
      job.text = draft.append(first);
      job.count = 1;
      if (isEnough(job.text)) stop();
    }
    pump();
  };
  const stop = () => {
    if (!job) return;
    const { count, text, began, hasReplaced } = job, seconds = (performance.now() - began) / 1000;
    job = null;
    get("write").textContent = "Continue";
    const speed = Math.round(count / Math.max(seconds, 1e-3));
    const how = `${count} character${count === 1 ? "" : "s"}, ${speed} a second`, what = `Written: ${text}`;
    const undoing = "Undo brings back what that replaced.";
    if (hasReplaced) say(`${how}. ${undoing}`, `${what}\n${undoing}`); else say(how, what);
  };
  const toggle = () => (job ? stop() : write());

  // --- the likeliest characters at the cursor
  const mark = (span) => {
    if (marked) marked.classList.remove("at");
    marked = span;
    if (marked) marked.classList.add("at");
  };
  const uncover = (span) => { // the guesses stick to the lower edge: move the cursor above them
    const { top, bottom } = span.getBoundingClientRect();
    const covered = bottom - get("guesses").getBoundingClientRect().top;
    if (top < window.innerHeight && covered > 0) window.scrollBy(0, covered);
  };
  let looked = "";
  const look = () => {
    if (job || track.pending) return;
    const caret = box.selectionStart, key = `${caret} ${draft.text}`;
    if (key === looked && !get("guesses").hidden) return;
    looked = key;
    underline();
    tellPassage(indexAt(caret));
    const { best, here } = draft.guesses(draft.before(caret));
    mark(here ? spans[indexAt(caret)] : null);
    const percent = (share) => (share < 0.005 ? "<1%" : `${Math.round(100 * share)}%`);
    const from = ({ memory }) => (data.memory ? `, of which ${percent(memory)} from the n-grams` : "");
    get("here").textContent = here
      ? `At the cursor is ${here.name}, ${percent(here.share)}${from(here)}. Take another; what follows is written anew:`
      : "Likeliest next, to take and continue:";
    const focused = Array.from(get("best").children).indexOf(document.activeElement);
    get("best").replaceChildren(...best.map(({ id, name, share }) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `${name} ${percent(share)}`;
      button.addEventListener("click", () => {
        box.focus();
        box.setSelectionRange(caret, caret);
        write(id);
      });
      return button;
    }));
    get("guesses").hidden = false;
    if (focused >= 0) get("best").children[Math.min(focused, best.length - 1)].focus();
    uncover(here ? spans[indexAt(caret)] : end);
  };
  let timer = 0;
  const lookSoon = () => {
    clearTimeout(timer);
    timer = setTimeout(look, 80);
  };

  // --- events
  box.addEventListener("beforeinput", (event) => {
    if (event.inputType === "historyUndo" || event.inputType === "historyRedo") {
      event.preventDefault();
      (event.inputType === "historyUndo" ? undo : redo)();
    }
  });
  box.addEventListener("input", () => {
    stop();
    const now = performance.now();
    if (now - typed > 1500) remember();
    typed = now;
    draft.set(box.value);
    spread();
    note();
    pump();
  });
  const LEAVING = "Tab now leaves the text.";
  let isLeaving = false;
  box.addEventListener("keydown", (event) => {
    const isPlain = !event.altKey && !event.ctrlKey && !event.metaKey, key = event.key.toLowerCase();
    if (key === "tab" && isPlain && !event.shiftKey && !isLeaving && !event.isComposing) {
      event.preventDefault();
      toggle();
    } else if (key === "escape") {
      isLeaving = !job;
      if (isLeaving) say(LEAVING); else stop();
      return;
    } else if ((event.ctrlKey || event.metaKey) && !event.altKey && (key === "z" || key === "y")) {
      event.preventDefault();
      (key === "y" || event.shiftKey ? redo : undo)();
    }
    if (key !== "shift") isLeaving = false;
  });
  box.addEventListener("blur", () => {
    isLeaving = false;
    if (status.textContent === LEAVING) note();
  });
  box.addEventListener("click", (event) => { // the character under the pointer, not the gap beside it
    const found = document.elementsFromPoint(event.clientX, event.clientY).find((each) => each.parentNode === under);
    if (!job && found && found !== end && box.selectionStart === box.selectionEnd) {
      const start = starts[spans.indexOf(found)];
      box.setSelectionRange(start, start);
    }
  });
  document.addEventListener("selectionchange", lookSoon);
  for (const kind of ["keyup", "click", "focus"]) box.addEventListener(kind, lookSoon);
  get("unit").addEventListener("change", () => {
    painted = 0;
    get("scale").hidden = get("unit").value === "-1";
    paint();
  });
  get("write").addEventListener("click", toggle);
  get("undo").addEventListener("click", undo);
  get("redo").addEventListener("click", redo);
  let copiedText = ""; // that cannot be lost any more
  get("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(draft.text);
    } catch {
      box.select();
      document.execCommand("copy");
    }
    copiedText = draft.text;
    say("Copied.");
  });
  window.addEventListener("beforeunload", (event) => { // the browser asks whether to leave
    if (draft.text && draft.text !== copiedText) event.preventDefault();
  });

  replaceText(box.value, box.value.length); // a browser may bring back the text of the last visit
  say("");
  box.focus({ preventScroll: true });
})();
