"""Write charrnn/native/trial.npz: what a compiled library has to compute.

Run by hand when the layout of arrays in native.h changes: `python tests/golden/make_trial.py`.
tests/native/test_trial.py compares the file with the NumPy path.
"""

import numpy as np

from charrnn.checkpoints.model import Model
from charrnn.core.config import SampleConfig
from charrnn.data.vocab import CharVocabulary
from charrnn.native.arrays import CELLS, IMPOSSIBLE, NetworkArrays, round_up
from charrnn.native.trial import REFERENCE
from charrnn.ngram.context import ContextTracker
from charrnn.ngram.counts import Texts, runs_of
from charrnn.ngram.gate import GATE_INPUT, GATE_OUTPUT, mix
from charrnn.ngram.model import build
from charrnn.ngram.native import factors, num_tables
from charrnn.ngram.word_model import BASE, POWERS, WordModel, count_words
from charrnn.ngram.words import Words
from charrnn.nn.architecture import ModelConfig, shapes
from charrnn.nn.native import arrange
from charrnn.nn.numpy_engine import make_engine
from charrnn.sampling.jobs import Job
from charrnn.sampling.prefill import start_logits
from charrnn.sampling.sampler import Sampler
from charrnn.steering.automaton import Alphabet, automaton_of
from charrnn.steering.characters import character_bias
from charrnn.steering.matching import Matching
from charrnn.steering.repeats import penalties

NUM_STEPS, NUM_STREAMS = 3, 15
"""Streams in groups of 6, 6, 2 and 1, or 8, 4, 2 and 1: the paths of the matrix product. Texts that
end one after the other take those of 4 and 1."""

V, ORDER = 21, 5
"""The lowest orders of the n-gram model fit NumPy's tables, the highest does not."""

SETTINGS = (
    (None, {}), (None, {"temperature": 0.0}), (0.0, {"temperature": 1.5}), (0.6, {"top_k": 3}),
    (None, {"top_p": 0.7, "temperature": 1.2}), (0.3, {"min_p": 0.2}),
    (None, {"ban": "acf", "bias": (("bu", 6.0), ("d", -1.5))}),
    (None, {"no_repeat": 2, "temperature": 0.3}),
    (0.0, {"no_repeat": 3, "ban": "u", "temperature": 0.5, "top_p": 0.9}),
)  # fmt: skip
"""Weight of the n-gram model, steering and filters. All starts of a text are banned once."""

PATTERN = "[ab]([c-e]{1,3}f?|g{5})|(kul)+"
"""With g it is too long. Texts end where no longer one matches, where none is short enough, and with
another symbol."""

PROMPTS, LENGTH, STOPS = ("", "a", "k", "", "u", "h", "b"), 24, ("e", "hg")


def make_config(cell):
    """V = 21, E = 7, H = 27, L = 2: no size is a multiple of 32."""
    return ModelConfig(cell=cell, vocab_size=V, embedding_size=7, hidden_size=27, num_layers=2)


def as_numbers(contexts):
    """Return the parts of contexts as C reads them, (n, parts)."""
    return contexts.view(np.uint64).reshape(len(contexts), -1)


def make_weights(config):
    """Return weights in steps of 1/64; those of odd units are large enough to saturate gates."""
    rng = np.random.default_rng(7)
    weights = {}
    for name, shape in shapes(config).items():
        steps = rng.integers(-8, 9, shape)
        if name.startswith("layers."):
            steps[1::2] *= 16
        weights[name] = (steps / 64).astype(np.float32)
    return weights


def make_ids():
    """Return the ids that are read, (T, B)."""
    return np.random.default_rng(11).integers(0, V, (NUM_STEPS, NUM_STREAMS)).astype(np.uint8)


def make_reference(cell):
    """Return the arrays of a cell by their names in the file."""
    config = make_config(cell)
    weights = make_weights(config)
    engine = make_engine(config, weights)
    logits, state = [], engine.empty_state(NUM_STREAMS)
    for ids in make_ids():
        scores, state = engine.step(ids, state)
        logits.append(scores)
    arrays = NetworkArrays(**arrange(config, weights), is_half=False)
    reference = {f"{cell}/logits": np.stack(logits)}
    for name in ("tables", "inputs", "recurrents", "biases"):
        for layer, array in enumerate(getattr(arrays, name)):
            reference[f"{cell}/{name}/{layer}"] = array
    texts, stopped = make_texts(config, weights)
    return reference | {
        f"{cell}/decoder": arrays.decoder, f"{cell}/bias": arrays.bias,
        f"{cell}/texts": texts, f"{cell}/stopped": stopped,
    }  # fmt: skip


def make_memory():
    """Return a memory that knows words of a text in which some contexts are frequent.

    Every fifth symbol is no part of words; the symbol 2 is the lower case of 3.
    """
    ids = np.cumsum(np.random.default_rng(5).integers(0, 4, 600)).astype(np.uint8) % V
    each, texts = np.arange(V, dtype=np.int32), runs_of(ids)
    words = Words(np.where(each % 5 == 0, -1 - each, np.where(each == 3, 2, each)))
    return WordModel(build(texts, V, ORDER).orders, words, count_words(texts, words)), ids


def make_sampler(config, weights):
    """Return a sampler that computes with NumPy."""
    model = Model(
        config=config, weights=weights, vocab=CharVocabulary(range(97, 97 + V)), records=False,
        starts={2: 3, 5: 1, 0: 2}, memory=make_memory()[0],
    )  # fmt: skip
    sampler = Sampler(model, STOPS)
    sampler.__dict__["_loop"] = None  # NumPy
    return sampler


def make_texts(config, weights):
    """Return ids of texts without their stop strings, (settings, B, T), -1 where there are none."""
    sampler = make_sampler(config, weights)
    texts = np.full((len(SETTINGS), len(PROMPTS), LENGTH), -1, dtype=np.int8)
    stopped = np.zeros((len(SETTINGS), len(PROMPTS)), dtype=np.int8)
    for row, (weight, settings) in enumerate(SETTINGS):
        how = SampleConfig(length=LENGTH, memory_weight=weight, **settings)
        jobs = [Job(i, i, prompt, how) for i, prompt in enumerate(PROMPTS)]
        for text, (ids, finish) in enumerate(sampler.batch(jobs, how)):
            texts[row, text, : len(ids)] = ids
            stopped[row, text] = finish == "stop"
    return texts, stopped


def make_text_inputs():
    """Return what texts are written from: settings, first symbols, uniform numbers, stop strings."""
    sampler = make_sampler(make_config("rnn"), make_weights(make_config("rnn")))
    how = [
        (np.nan if weight == 0 else -1 if weight is None else weight, SampleConfig(**settings))
        for weight, settings in SETTINGS
    ]
    rows = [
        (weight, each.temperature, each.top_k, each.top_p,
         np.log(each.min_p) if each.min_p else -np.inf, each.no_repeat)
        for weight, each in how
    ]  # fmt: skip
    bias = np.full((len(how), round_up(V)), -np.inf, dtype=np.float32)
    for row, (_, each) in zip(bias, how, strict=True):
        found = character_bias(each, sampler.model)
        row[:V] = 0 if found is None else found
    tables = [penalties(each.no_repeat) for _, each in how]
    longest = max(map(len, tables))
    tables = [np.pad(table, (0, longest - len(table)), "edge") for table in tables]
    tracker = ContextTracker(make_memory()[0], len(PROMPTS))
    tracker.begin([[ord(each) - 97 for each in prompt] for prompt in PROMPTS])
    return {
        "contexts": as_numbers(tracker.contexts),
        "settings": np.array(rows),
        "bias": bias,
        "penalties": np.array(tables),
        "first": np.array([ord(prompt) - 97 if prompt else -1 for prompt in PROMPTS]),
        "start": np.maximum(start_logits(sampler.model), IMPOSSIBLE),
        "uniforms": np.stack(
            [np.random.default_rng(i).random(LENGTH) for i in range(len(PROMPTS))]
        ),
        "stops": np.array([i for stop in sampler.stops for i in stop], dtype=np.int32),
        "stop_lengths": np.array([len(stop) for stop in sampler.stops]),
    }


def make_matches():
    """Return an automaton, logits, (T, B, S), and the likeliest symbols that it lets through."""
    automaton = automaton_of(
        PATTERN, Alphabet("".join(map(chr, range(97, 97 + V))), np.ones(V, bool))
    )
    T, B = 5, 24
    logits = np.full((T, B, round_up(V)), IMPOSSIBLE, dtype=np.float32)
    logits[..., :V] = np.random.default_rng(17).normal(0, 1, (T, B, V))
    logits[..., [0, 2, 3, 5, 6, 10, 11, 20]] += 2  # acdfg and kul
    logits[0, 0, :V] = IMPOSSIBLE  # all that may come is impossible: as likely as each other
    state, symbols = Matching(automaton, B, T), np.full((T, B), -1, dtype=np.int32)
    ends = np.zeros(B, dtype=np.int64)
    for t in range(T):
        chosen = np.where(state.may_come, logits[t, :, :V], -np.inf).argmax(axis=1)
        state.read(chosen)
        symbols[t, ends == 0] = chosen[ends == 0]
        how = np.where(state.is_left, 3, np.where(state.is_complete, 2, state.is_over))
        ends = np.where(ends, ends, how)
    return {
        "table": automaton.table, "distances": automaton.distances, "least": automaton.least,
        "logits": logits, "symbols": symbols, "ends": ends,
    }  # fmt: skip


def arrays_of(orders):
    """Return the arrays of orders by their names in the file."""
    arrays = {"discounts": np.array([[0.0, *order.discounts] for order in orders])}
    for k, order in enumerate(orders):
        arrays[f"keys/{k}"] = order.keys.astype(np.uint64)
        arrays[f"counts/{k}"] = order.counts.astype(np.int32)
        arrays[f"discounted/{k}"] = order.discount_sums.astype(np.float64)
    return arrays


def make_words():
    """Return the arrays of the word contexts, and what they predict in texts from their beginning."""
    memory, ids = make_memory()
    rng = np.random.default_rng(19)
    both = np.concatenate([ids[300:340], rng.integers(0, V, 10)]).astype(np.uint8)
    places = np.concatenate([np.arange(40), np.arange(10)])
    contexts = memory.words.read(Texts(both, places), ORDER)
    lengths = np.minimum(places + 1, ORDER)
    base = memory.characters.predict(contexts, np.minimum(lengths, BASE)).p
    return arrays_of(memory.word_orders) | {
        "factors": factors(), "forms": memory.words.forms, "powers": np.array(POWERS),
        "base": np.array(BASE), "contexts": as_numbers(contexts), "lengths": lengths,
        "p": memory.refined(base, contexts),
    }  # fmt: skip


def make_ngrams():
    """Return the arrays of the n-gram model, and its predictions."""
    memory, ids = make_memory()
    memory = memory.characters
    arrays = {
        "sizes": np.array([memory.order, memory.bits, V, num_tables(memory)]),
        "gate": np.array([*np.ravel(GATE_INPUT), *GATE_OUTPUT], dtype=np.float32),
    }
    arrays |= arrays_of(memory.orders)
    rng = np.random.default_rng(13)
    lengths = np.arange(NUM_STEPS * NUM_STREAMS) % (ORDER + 1)
    contexts = np.zeros(len(lengths), dtype=np.uint64)
    for row, (length, at) in enumerate(
        zip(lengths, rng.integers(0, 590, len(lengths)), strict=True)
    ):
        for symbol in ids[at : at + length] if row % 4 else rng.integers(0, V, length):
            contexts[row] = contexts[row] << np.uint64(memory.bits) | np.uint64(symbol)
    found = memory.predict(contexts, lengths)
    statistics = np.stack([found.order, found.total, found.followers], axis=1).astype(np.float64)
    return arrays | {
        "contexts": contexts, "lengths": lengths, "p": found.p, "statistics": statistics
    }, found  # fmt: skip


def make_all():
    """Return everything that the file holds."""
    reference = {"ids": make_ids()}
    ngrams, prediction = make_ngrams()
    reference |= {f"ngrams/{name}": array for name, array in ngrams.items()}
    reference |= {f"words/{name}": array for name, array in make_words().items()}
    reference |= {f"texts/{name}": array for name, array in make_text_inputs().items()}
    reference |= {f"matches/{name}": array for name, array in make_matches().items()}
    for cell in CELLS:
        reference |= make_reference(cell)
    scores = reference["lstm/logits"].reshape(-1, V) * 3
    padded = np.full((len(scores), round_up(V)), IMPOSSIBLE, dtype=np.float32)
    padded[:, :V] = scores
    mixtures = [mix(scores, prediction, weight) for weight in (None, 0.3)]
    return reference | {"mixture/logits": padded, "mixture/mixed": np.stack(mixtures)}


if __name__ == "__main__":
    np.savez_compressed(REFERENCE, **make_all())
