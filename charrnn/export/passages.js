"use strict";
// Where a text that came with the page has spans of the text that is written: file and line.
// Texts are code points. Spans are those of `sample --explain`: sampling/corpus/passages.py.
const passages = (() => {
  const SHORTEST = 12; // characters of a span
  const SLOTS = 1 << 20;
  const MOST = 2000; // places that are compared: runs of blanks are everywhere in a program

  const codesOf = (text) => Uint32Array.from(Array.from(text, (sign) => sign.codePointAt(0)));

  const unpack = (bytes) => { // all lowest bytes, then all middle, then all highest ones
    const count = bytes.length / 3, codes = new Uint32Array(count);
    for (let i = 0; i < count; i++) codes[i] = bytes[i] | (bytes[count + i] << 8) | (bytes[2 * count + i] << 16);
    return codes;
  };

  const slotOf = (codes, at) => {
    let hash = 0;
    for (let i = at; i < at + SHORTEST; i++) hash = Math.imul(hash ^ codes[i], 0x9E3779B1);
    return (hash ^ (hash >>> 15)) & (SLOTS - 1);
  };

  class Passages {
    constructor(files, codes) { // files: name and the offset of its first character
      Object.assign(this, { files, codes, first: new Int32Array(SLOTS).fill(-1), next: new Int32Array(codes.length) });
      for (let at = codes.length - SHORTEST; at >= 0; at--) {
        const slot = slotOf(codes, at);
        this.next[at] = this.first[slot];
        this.first[slot] = at;
      }
    }

    // The longest span from a place on, and where the text has it first.
    longest(draft, begin) {
      let length = 0, found = -1, left = MOST;
      for (let at = this.first[slotOf(draft, begin)]; at >= 0 && left > 0; at = this.next[at], left--) {
        const most = Math.min(draft.length - begin, this.codes.length - at);
        let same = 0;
        while (same < most && this.codes[at + same] === draft[begin + same]) same++;
        if (same > length) [length, found] = [same, at];
      }
      return { begin, end: begin + length, at: found };
    }

    // The spans of a text from its start on; each reaches as far as any can.
    of(draft) {
      const spans = [];
      for (let begin = 0; begin + SHORTEST <= draft.length;) {
        const span = this.longest(draft, begin), isLong = span.end - begin >= SHORTEST;
        if (isLong) spans.push(span);
        begin = isLong ? span.end : begin + 1;
      }
      return spans;
    }

    place({ at }) {
      const [name, start] = this.files.filter((file) => file[1] <= at).pop();
      let line = 1;
      for (let i = start; i < at; i++) if (this.codes[i] === 10) line++;
      return { name, line };
    }
  }

  const load = async ({ files, data }) => new Passages(files, unpack(await engine.inflated(data)));

  return { load, codesOf };
})();
