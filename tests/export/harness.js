// Runs the engine of a page outside a browser. Argument: the page; stdin: a list of [name, arguments...];
// stdout: the list of results as JSON.
"use strict";
const fs = require("fs");
const vm = require("vm");

const html = fs.readFileSync(process.argv[2], "utf8");
const data = JSON.parse(html.match(/id="data">([^]*?)<\/script>/)[1]);
for (const [, source] of Array.from(html.matchAll(/<script>([^]*?)<\/script>/g)).slice(0, 3)) vm.runInThisContext(source);
const { engine, texts, passages } = vm.runInThisContext("({ engine, texts, passages })");
const plain = (values) => Array.from(values, (value) => (Number.isFinite(value) ? value : null));

const works = (model, source) => {
  const alphabet = new texts.Alphabet(data);
  const states = function* (ids) {
    const state = model.start();
    for (const id of ids) {
      model.read(state, id);
      yield state;
    }
  };
  const written = (prompt, settings, uniforms) => {
    const draft = new texts.Draft(model);
    draft.set(prompt);
    while (draft.track.pending) draft.track.step();
    for (const uniform of uniforms) draft.write(settings, uniform);
    return draft;
  };
  return {
    // Of a read text: the logits of the network, and of the mixture, after each symbol.
    logits: (ids) => Array.from(states(ids), (state) => plain(model.logits(state))),
    scores: (ids) => Array.from(states(ids), (state) => plain(model.scores(state))),
    // The share of the n-gram memory in each symbol after the first.
    shares: (ids) => {
      let index = 0;
      return Array.from(states(ids.slice(0, -1)), (state) => model.share(state, ids[++index]));
    },
    start: () => plain(model.scores(model.start())),
    // The mean surprise at each symbol after the first, in nats.
    loss: (ids) => {
      let sum = 0, index = 0;
      for (const state of states(ids.slice(0, -1))) {
        const scores = model.scores(state), highest = Math.max(...scores);
        const total = scores.reduce((all, score) => all + Math.exp(score - highest), 0);
        sum += Math.log(total) + highest - scores[ids[++index]];
      }
      return sum / (ids.length - 1);
    },
    levels: () => model.memory.levels.map(({ firsts, symbols, counts }) => [firsts, symbols, counts].map(plain)),
    filtered: (logits, settings) => plain(engine.filtered(Float32Array.from(logits), settings)),
    draw: (logits, uniform) => engine.draw(Float32Array.from(logits, (x) => (x === null ? -Infinity : x)), uniform),
    write: (prompt, settings, uniforms) => written(prompt, settings, uniforms).text.slice(prompt.length),
    encode: (text) => {
      const { ids, offsets, unknown } = alphabet.encode(text);
      return { ids, offsets, unknown: Array.from(unknown) };
    },
    decode: (ids) => ids.map(alphabet.decoder()),
    // The text that came with the page, and the passages of another text: begin, end, file and line.
    source: () => String.fromCodePoint(...source.codes),
    passages: (text) => source.of(passages.codesOf(text)).map((span) => {
      const { name, line } = source.place(span);
      return [span.begin, span.end, name, line];
    }),
    // What is known of a text after several changes, and of the same text read anew.
    edited: (versions) => {
      const outcome = (draft) => {
        while (draft.track.pending) draft.track.step();
        const { track } = draft;
        const activations = Array.from({ length: track.position * track.size }, (_, i) => track.activations[i]);
        return [track.ids, plain(model.scores(track.state)), activations, draft.guesses(Math.floor(track.ids.length / 2))];
      };
      const draft = new texts.Draft(model), fresh = new texts.Draft(model);
      versions.forEach((text, index) => {
        draft.set(text);
        for (let i = 0; i < 40 + 17 * index && draft.track.pending; i++) draft.track.step();
      });
      fresh.set(versions[versions.length - 1]);
      return [outcome(draft), outcome(fresh)];
    },
  };
};

engine.load(data).then(async (model) => {
  const known = works(model, data.passages && await passages.load(data.passages));
  const requests = JSON.parse(fs.readFileSync(0, "utf8"));
  process.stdout.write(JSON.stringify(requests.map(([name, ...rest]) => known[name](...rest))));
});
