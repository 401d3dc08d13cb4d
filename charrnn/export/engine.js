"use strict";
// The engine of a page that writes: network, n-gram memory, mixture, filters, draw. It knows no
// document, so that tests run it outside a browser. Equations: docs/internals.md.
const engine = (() => {
  const bytesOf = (coded) => Uint8Array.from(atob(coded), (letter) => letter.charCodeAt(0));
  const inflated = async (coded) => {
    const stream = new Blob([bytesOf(coded)]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  };

  // Weights: all high bytes, then all low bytes, of float16.
  const fromHalf = (half) => {
    const exponent = (half >> 10) & 31, fraction = half & 1023;
    const size = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
    return half & 0x8000 ? -size : size;
  };
  const unpackWeights = (bytes, shapes) => {
    const all = Float32Array.from({ length: 65536 }, (_, half) => fromHalf(half));
    const count = bytes.length / 2, weights = {};
    let at = 0;
    for (const [name, shape] of Object.entries(shapes)) {
      const values = new Float32Array(shape.reduce((a, b) => a * b));
      for (let i = 0; i < values.length; i++, at++) values[i] = all[(bytes[at] << 8) | bytes[count + at]];
      weights[name] = values;
    }
    return weights;
  };

  // A matrix (rows, columns), stored in panels of eight rows, each column by column.
  class Matrix {
    constructor(rows, ...parts) { // parts: matrices side by side, row by row
      this.rows = rows;
      this.columns = parts.reduce((sum, part) => sum + part.length / rows, 0);
      this.panels = new Float32Array(Math.ceil(rows / 8) * 8 * this.columns);
      let begin = 0;
      for (const part of parts) {
        const width = part.length / rows;
        for (let row = 0; row < rows; row++) {
          const base = (row >> 3) * 8 * this.columns + (row & 7);
          for (let j = 0; j < width; j++) this.panels[base + (begin + j) * 8] = part[row * width + j];
        }
        begin += width;
      }
      this.product = new Float32Array(Math.ceil(rows / 8) * 8);
    }

    times(x) {
      const { panels, columns, product } = this;
      for (let row = 0, i = 0; row < product.length; row += 8) {
        let a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
        for (let j = 0; j < columns; j++, i += 8) {
          const value = x[j];
          a += panels[i] * value; b += panels[i + 1] * value;
          c += panels[i + 2] * value; d += panels[i + 3] * value;
          e += panels[i + 4] * value; f += panels[i + 5] * value;
          g += panels[i + 6] * value; h += panels[i + 7] * value;
        }
        product[row] = a; product[row + 1] = b; product[row + 2] = c; product[row + 3] = d;
        product[row + 4] = e; product[row + 5] = f; product[row + 6] = g; product[row + 7] = h;
      }
      return product;
    }
  }

  const sigmoid = (x) => 1 / (1 + Math.exp(-x));

  // A layer: `step` reads x, a symbol (layer 0) or the output of the layer below, and changes h and c.
  class Layer {
    constructor(weights, index, hidden) {
      const part = (name) => weights[`layers.${index}.${name}_l0`];
      this.hidden = hidden;
      this.biasIn = part("bias_ih");
      this.biasState = part("bias_hh");
      this.rows = this.biasIn.length;
      this.fromState = new Matrix(this.rows, part("weight_hh"));
      this.fromInput = new Matrix(this.rows, part("weight_ih"));
      if (index === 0) { // what each symbol adds, computed when it is first read
        this.embedding = weights["embedding.weight"];
        this.width = this.fromInput.columns;
        this.table = new Map();
      }
    }

    input(x) {
      if (!this.embedding) return this.fromInput.times(x);
      if (!this.table.has(x)) {
        const row = this.embedding.subarray(x * this.width, (x + 1) * this.width);
        this.table.set(x, this.fromInput.times(row).slice(0, this.rows));
      }
      return this.table.get(x);
    }
  }

  class Lstm extends Layer { // gates i, f, g, o
    constructor(...parts) {
      super(...parts);
      this.cells = new Float32Array(this.hidden); // tanh(c) after the last step
    }

    step(x, h, c) {
      const a = this.input(x), b = this.fromState.times(h), H = this.hidden;
      const sum = (i) => a[i] + b[i] + this.biasIn[i] + this.biasState[i];
      for (let i = 0; i < H; i++) {
        c[i] = sigmoid(sum(H + i)) * c[i] + sigmoid(sum(i)) * Math.tanh(sum(2 * H + i));
        this.cells[i] = Math.tanh(c[i]);
        h[i] = sigmoid(sum(3 * H + i)) * this.cells[i];
      }
    }
  }

  class Gru extends Layer { // gates r, z, n
    step(x, h) {
      const a = this.input(x), b = this.fromState.times(h), H = this.hidden;
      const { biasIn, biasState } = this;
      const sum = (i) => a[i] + b[i] + biasIn[i] + biasState[i];
      for (let i = 0; i < H; i++) {
        const r = sigmoid(sum(i)), z = sigmoid(sum(H + i)), at = 2 * H + i;
        const n = Math.tanh(a[at] + biasIn[at] + r * (b[at] + biasState[at]));
        h[i] = n + z * (h[i] - n);
      }
    }
  }

  class Rnn extends Layer {
    step(x, h) {
      const a = this.input(x), b = this.fromState.times(h);
      for (let i = 0; i < this.hidden; i++) h[i] = Math.tanh(a[i] + b[i] + this.biasIn[i] + this.biasState[i]);
    }
  }

  const CELLS = { lstm: Lstm, gru: Gru, rnn: Rnn };

  // The n-gram memory: a tree of the text's runs of symbols. Node n of level k is a run of k + 1
  // symbols; its followers are the nodes firsts[n] to firsts[n + 1] of level k + 1.
  class Memory {
    constructor(described, bytes, V) {
      Object.assign(this, { V, weight: described.weight, discounts: described.discounts });
      this.order = described.order;
      this.levels = [];
      let bit = 0, links = null;
      const next = () => (bytes[bit >> 3] >> (7 - (bit++ & 7))) & 1;
      for (let k = 0; k <= this.order; k++) {
        const parents = k ? this.levels[k - 1].symbols.length : 1;
        const symbols = [], suffixes = [], firsts = new Uint32Array(parents + 1);
        const below = k ? this.levels[k - 1] : null;
        for (let n = 0; n < parents; n++) {
          const begin = k ? below.firsts[links[n]] : 0, end = k ? below.firsts[links[n] + 1] : V;
          for (let i = begin; i < end; i++) {
            if (!next()) continue;
            symbols.push(k ? below.symbols[i] : i);
            suffixes.push(k ? i : 0);
          }
          firsts[n + 1] = symbols.length;
        }
        this.levels.push({ firsts, symbols: Uint16Array.from(symbols), counts: null });
        if (k) below.counts = tally(suffixes, below.symbols.length);
        links = suffixes;
        bit = (bit + 7) & ~7;
      }
      this.readCounts(bytes, bit >> 3);
    }

    readCounts(bytes, at) {
      const next = () => {
        let value = 0, unit = 1;
        for (; bytes[at] & 128; unit *= 128) value += (bytes[at++] & 127) * unit;
        return value + bytes[at++] * unit;
      };
      for (const level of this.levels.slice(0, -1)) {
        for (let left = next(), i = 0; left > 0; left--) {
          i += next();
          level.counts[i] = next();
        }
      }
      const highest = this.levels[this.order];
      highest.counts = Int32Array.from(highest.symbols, next);
    }

    // The nodes of the contexts of 0, 1, ... symbols at the start of a text; -1 is none.
    start() {
      const nodes = new Int32Array(this.order + 1).fill(-1);
      nodes[0] = 0;
      return nodes;
    }

    read(nodes, symbol) {
      for (let k = this.order; k > 0; k--) nodes[k] = nodes[k - 1] < 0 ? -1 : this.child(k - 1, nodes[k - 1], symbol);
    }

    child(k, parent, symbol) {
      const { firsts, symbols } = this.levels[k];
      let low = firsts[parent], high = firsts[parent + 1];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (symbols[middle] < symbol) low = middle + 1; else high = middle;
      }
      return low < firsts[parent + 1] && symbols[low] === symbol ? low : -1;
    }

    // Interpolated Kneser-Ney: probabilities, and the statistics of the longest context found.
    predict(nodes) {
      const p = new Float64Array(this.V).fill(1 / this.V), found = { p, order: 0, total: 1, followers: 1 };
      for (let k = 0; k <= this.order && nodes[k] >= 0; k++) {
        const { firsts, symbols, counts } = this.levels[k];
        const begin = firsts[nodes[k]], end = firsts[nodes[k] + 1], discounts = this.discounts[k];
        if (begin === end) break;
        let total = 0, spare = 0;
        for (let i = begin; i < end; i++) {
          total += counts[i];
          spare += discounts[Math.min(counts[i], 3) - 1];
        }
        for (let s = 0; s < p.length; s++) p[s] *= spare / total;
        for (let i = begin; i < end; i++) p[symbols[i]] += (counts[i] - discounts[Math.min(counts[i], 3) - 1]) / total;
        Object.assign(found, { order: k, total, followers: end - begin });
      }
      return found;
    }
  }

  const tally = (indices, size) => {
    const counts = new Int32Array(size);
    for (const index of indices) counts[index]++;
    return counts;
  };

  const dot = (a, b) => {
    let sum = 0;
    for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
    return sum;
  };
  const largest = (values) => {
    let best = -Infinity;
    for (const value of values) if (value > best) best = value;
    return best;
  };

  // The weight of the n-gram prediction.
  const gate = (weights, logs, p, prediction) => {
    const q = prediction.p, logQ = q.map((value) => Math.log(Math.max(value, 1e-30)));
    const network = dot(p, logs), entropy = -dot(q, logQ);
    const features = [
      1, -network, prediction.order, Math.log(prediction.total), Math.log(prediction.followers), entropy,
      largest(logs), largest(logQ), -entropy - dot(q, logs), network - dot(p, logQ),
    ];
    let sum = weights.output[weights.output.length - 1];
    for (let unit = 0; unit + 1 < weights.output.length; unit++) {
      sum += weights.output[unit] * Math.tanh(features.reduce((all, x, i) => all + x * weights.input[i][unit], 0));
    }
    return sigmoid(sum);
  };

  // The probabilities of the network, and the weight of the n-gram prediction.
  const weighed = (weights, logits, prediction, fixed) => {
    const highest = largest(logits), p = Float64Array.from(logits, (value) => Math.exp(value - highest));
    const sum = p.reduce((a, b) => a + b), log = Math.log(sum);
    const logs = Float64Array.from(logits, (value) => value - highest - log);
    for (let i = 0; i < p.length; i++) p[i] /= sum;
    return { p, w: fixed === null ? gate(weights, logs, p, prediction) : fixed };
  };

  // The logarithms of the mixture (1 - w) network + w n-grams.
  const mix = (weights, logits, prediction, fixed) => {
    const { p, w } = weighed(weights, logits, prediction, fixed);
    return Float32Array.from(p, (value, i) => Math.log(Math.max(value + w * (prediction.p[i] - value), 1e-37)));
  };

  // Logits less the penalty of each symbol that would repeat a span of the symbols so far.
  const discouraged = (logits, ids, { window, penalties }) => {
    const shortest = penalties.findIndex((penalty) => penalty > 0), end = ids.length;
    const spans = new Int32Array(logits.length);
    for (let i = Math.max(0, end - window); i < end; i++) {
      let span = 1;
      while (span + 1 < penalties.length && i >= span && ids[i - span] === ids[end - span]) span++;
      if (span >= shortest && span > spans[ids[i]]) spans[ids[i]] = span;
    }
    return logits.map((value, symbol) => value - penalties[spans[symbol]]);
  };

  // Temperature, top-k, top-p and min-p, in this order; the largest logit of the result is 0.
  const filtered = (logits, { temperature, topK = 0, topP = 1, minP = 0 }) => {
    const highest = largest(logits);
    if (temperature === 0) {
      const first = logits.indexOf(highest);
      return logits.map((_, i) => (i === first ? 0 : -Infinity));
    }
    const divisor = Math.fround(Math.min(Math.max(temperature, 1e-6), 1e30));
    let result = logits.map((value) => Math.fround(value - highest) / divisor);
    if (topK > 0 && topK < result.length) {
      const threshold = result.slice().sort()[result.length - topK];
      result = result.map((value) => (value < threshold ? -Infinity : value));
    }
    if (topP < 1) {
      const p = result.map(Math.exp), sum = p.reduce((a, b) => a + b);
      const order = Array.from(p.keys()).sort((a, b) => p[b] - p[a] || a - b);
      let before = 0;
      for (const i of order) {
        if (before >= topP) result[i] = -Infinity;
        before += p[i] / sum;
      }
    }
    const lowest = Math.fround(Math.log(minP));
    return minP > 0 ? result.map((value) => (value < lowest ? -Infinity : value)) : result;
  };

  // One symbol by inverse transform sampling, given a number in [0, 1).
  const draw = (logits, uniform) => {
    const sums = new Float64Array(logits.length);
    let sum = 0;
    for (let i = 0; i < logits.length; i++) sums[i] = sum += Math.fround(Math.exp(logits[i]));
    const index = sums.findIndex((value) => value > uniform * sum);
    return index < 0 ? logits.length - 1 : index;
  };

  // A state is the network's h and c by layer, the nodes of the memory, and the number of symbols read.
  class Model {
    constructor(data, weights, memoryBytes) {
      const { cell, num_layers: L, hidden_size: H } = data.network;
      Object.assign(this, { data, H, L, V: data.network.vocab_size, hasCells: cell === "lstm" });
      this.layers = Array.from({ length: L }, (_, i) => new CELLS[cell](weights, i, H));
      this.decoder = new Matrix(this.V, weights["decoder.weight"]);
      this.bias = weights["decoder.bias"];
      this.memory = data.memory && new Memory(data.memory, memoryBytes, this.V);
    }

    start() {
      const part = () => Array.from({ length: this.L }, () => new Float32Array(this.H));
      return { h: part(), c: this.hasCells ? part() : null, nodes: this.memory && this.memory.start(), length: 0 };
    }

    copy({ h, c, nodes, length }) {
      const parts = (arrays) => arrays && arrays.map((each) => each.slice());
      return { h: parts(h), c: parts(c), nodes: nodes && nodes.slice(), length };
    }

    read(state, symbol) {
      this.layers.reduce((x, layer, i) => {
        layer.step(x, state.h[i], state.c && state.c[i]);
        return state.h[i];
      }, symbol);
      if (this.memory) this.memory.read(state.nodes, symbol);
      state.length++;
    }

    // What the units of each layer hold after the last `read`: tanh(c) of an LSTM, else h.
    activations(state) {
      return this.layers.map((layer, i) => layer.cells || state.h[i]);
    }

    // The logits of the network alone.
    logits(state) {
      if (!state.length) { // a text that begins without a newline: how often each symbol begins a line
        const result = new Float32Array(this.V).fill(-Infinity);
        for (const [symbol, count] of this.data.starts) result[symbol] = Math.log(count);
        return result;
      }
      const product = this.decoder.times(state.h[this.L - 1]);
      return this.bias.map((bias, i) => bias + product[i]);
    }

    // The logits that are drawn from: mixed with the n-gram memory.
    scores(state) {
      const logits = this.logits(state);
      if (!this.memory || !state.length) return logits;
      return mix(this.data.gate, logits, this.memory.predict(state.nodes), this.memory.weight);
    }

    // The share of the n-gram memory in the mixed probability of a symbol.
    share(state, symbol) {
      if (!this.memory || !state.length) return 0;
      const prediction = this.memory.predict(state.nodes);
      const { p, w } = weighed(this.data.gate, this.logits(state), prediction, this.memory.weight);
      const ours = w * prediction.p[symbol];
      return ours / (ours + (1 - w) * p[symbol]) || 0;
    }

    // A symbol after those so far.
    draw(state, ids, settings, uniform) {
      const scores = this.scores(state);
      const steered = settings.noRepeat ? discouraged(scores, ids, this.data.repeats) : scores;
      return draw(filtered(steered, settings), uniform);
    }
  }

  const load = async (data) => new Model(
    data,
    unpackWeights(await inflated(data.weights), data.shapes),
    data.memory && await inflated(data.memory.data),
  );

  return { load, inflated, filtered, draw };
})();
