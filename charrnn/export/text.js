"use strict";
// The text of the page as symbols of the model, and the network's states along it.
const texts = (() => {
  const EVERY = 16; // symbols between two states that are kept

  // What a model that lacks a character reads instead, as phones type it.
  const PLAIN = { "‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "...", "\u00a0": " " };
  const LINE_ENDS = { crlf: "\r\n", cr: "\r" };

  class Alphabet {
    constructor({ vocabulary, lineEnds }) {
      this.isBytes = vocabulary === "bytes";
      this.signs = this.isBytes ? [] : vocabulary.map((code) => String.fromCodePoint(code));
      this.ids = new Map(this.signs.map((sign, id) => [sign, id]));
      this.lineEnd = LINE_ENDS[lineEnds] || "\n";
    }

    known(text) {
      if (this.isBytes) return Array.from(new TextEncoder().encode(text));
      const ids = Array.from(text, (sign) => this.ids.get(sign));
      return ids.includes(undefined) ? null : ids;
    }

    // The ids of one character; null if the model does not know it.
    of(sign) {
      if (sign === "\n") return this.known(this.lineEnd) || this.known(sign);
      const others = [sign.normalize("NFD"), PLAIN[sign] || sign, sign.toLowerCase(), sign.toUpperCase()];
      return [sign, ...others].reduce((found, other) => found || this.known(other), null);
    }

    // The ids of a text, the offset of each in it, and the characters that the model does not know.
    encode(text) {
      const ids = [], offsets = [], unknown = new Set();
      let offset = 0;
      for (const sign of text) {
        const found = this.of(sign);
        if (!found) unknown.add(sign);
        for (const id of found || []) {
          ids.push(id);
          offsets.push(offset);
        }
        offset += sign.length;
      }
      return { ids, offsets, unknown };
    }

    // A function from ids, one after the other, to the text to show: nothing inside a character.
    decoder() {
      const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
      const shown = (sign) => (sign === "\r" ? (this.lineEnd === "\r" ? "\n" : "") : sign);
      return (id) => shown(this.isBytes ? utf8.decode(Uint8Array.of(id), { stream: true }) : this.signs[id]);
    }

    // The name of a symbol for readers.
    name(id) {
      const sign = this.isBytes ? String.fromCharCode(id) : this.signs[id];
      if (this.isBytes && (id < 32 || id > 126) && sign !== "\n" && sign !== "\t") return `byte ${id}`;
      const names = { " ": "␣ space", "\n": "↵ newline", "\r": "↵ newline", "\t": "→ tab" };
      if (/^\p{M}/u.test(sign)) return `◌${sign}`;
      return names[sign] || (/^[\p{C}\p{Z}]/u.test(sign) ? `U+${sign.codePointAt(0).toString(16)}` : sign);
    }
  }

  // The states of the network along symbols that may change at their end.
  class Track {
    constructor(model) {
      this.model = model;
      this.size = model.L * model.H;
      this.ids = [];
      this.restart(0);
    }

    restart(position) {
      this.kept = position ? this.kept.slice(0, position / EVERY + 1) : [this.model.start()];
      this.state = this.model.copy(this.kept[position / EVERY]);
      this.position = position; // symbols read
      this.activations = position ? this.activations : new Int8Array(this.size * 256);
    }

    set(ids) {
      let same = 0;
      while (same < this.position && this.ids[same] === ids[same]) same++;
      if (same < this.position) this.restart(same - same % EVERY);
      this.ids = ids;
    }

    get pending() {
      return this.ids.length - this.position;
    }

    // A record of a model of lines begins with its newline, from the empty state.
    next(state, id) {
      const { records, newline } = this.model.data;
      const from = records && id === newline ? this.model.start() : state;
      this.model.read(from, id);
      return from;
    }

    step() {
      this.state = this.next(this.state, this.ids[this.position]);
      const begin = this.position * this.size;
      if (begin + this.size > this.activations.length) {
        const longer = new Int8Array(2 * this.activations.length);
        longer.set(this.activations);
        this.activations = longer;
      }
      this.model.activations(this.state).forEach((values, layer) => {
        const at = begin + layer * this.model.H;
        for (let i = 0; i < values.length; i++) this.activations[at + i] = Math.round(127 * values[i]);
      });
      if (++this.position % EVERY === 0) this.kept.push(this.model.copy(this.state));
    }

    // The state after `count` symbols, of those that are read.
    at(count) {
      let done = count - count % EVERY;
      let state = this.model.copy(this.kept[done / EVERY]);
      for (; done < count; done++) state = this.next(state, this.ids[done]);
      return state;
    }

    activation(position, unit) {
      return this.activations[position * this.size + unit] / 127;
    }
  }

  // The text that is written: its symbols, and a newline before it where the model begins with one.
  class Draft {
    constructor(model) {
      this.model = model;
      this.alphabet = new Alphabet(model.data);
      this.track = new Track(model);
      this.set("");
    }

    set(text) {
      const { ids, offsets, unknown } = this.alphabet.encode(text);
      const { newline, records } = this.model.data;
      const isKept = this.text && text[0] === this.text[0] && this.lead.length;
      this.lead = newline !== null && (records || !ids.length || isKept) ? [newline] : [];
      this.track.set([...this.lead, ...ids]);
      this.decode = this.alphabet.decoder();
      Object.assign(this, { text, offsets, unknown });
    }

    // The number of symbols before an offset of the text.
    before(offset) {
      let low = 0, high = this.offsets.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (this.offsets[middle] < offset) low = middle + 1; else high = middle;
      }
      return low + this.lead.length;
    }

    // Append a symbol, read it, and return what it adds to the text.
    append(id) {
      const added = this.decode(id);
      this.track.ids.push(id);
      this.offsets.push(this.text.length);
      this.track.step();
      this.text += added;
      return added;
    }

    write(settings, uniform) {
      return this.append(this.model.draw(this.track.state, this.track.ids, settings, uniform));
    }

    // The likeliest symbols after `count` symbols, with their probabilities, and the one that is there.
    guesses(count, most = 5) {
      const state = this.track.at(count), scores = this.model.scores(state);
      const highest = scores.reduce((a, b) => Math.max(a, b), -Infinity);
      const p = Float64Array.from(scores, (score) => Math.exp(score - highest));
      const sum = p.reduce((a, b) => a + b);
      const best = Array.from(p.keys()).sort((a, b) => p[b] - p[a] || a - b).slice(0, most);
      const describe = (id) => ({ id, name: this.alphabet.name(id), share: p[id] / sum });
      const here = this.track.ids[count];
      const shown = here === undefined ? null : { ...describe(here), memory: this.model.share(state, here) };
      return { best: best.filter((id) => p[id] > 0).map(describe), here: shown };
    }
  }

  return { Alphabet, Draft };
})();
