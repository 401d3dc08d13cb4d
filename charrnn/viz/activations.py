"""Unit activations and next-symbol predictions at each position of a text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charrnn.checkpoints.model import Model
from charrnn.core.config import SampleConfig
from charrnn.data.vocab import Ids
from charrnn.ngram.context import StreamMixer
from charrnn.ngram.gate import log_probabilities
from charrnn.nn.engine import Engine, Floats, State
from charrnn.sampling.prefill import Prefill, prompt_ids
from charrnn.sampling.sampler import Sampler

KINDS = ("cell", "hidden")
"""tanh(c) of an LSTM, which gates have not cut; or h, the output, which every cell has."""

NUM_PIECES, WARM_UP = 16, 128
"""Pieces of a text that are read side by side, and symbols that are read before each."""

NUM_GUESSES = 5

BITS = 1 / np.log(2)
"""Of a nat."""


def activations_of(state: State, kind: str) -> Floats:
    """Return the activation of every unit, in [-1, 1]: tanh(c) for cell, if there is a c; else h."""
    return np.tanh(state[1]) if kind == "cell" and len(state) == 2 else state[0]


def states(model: Model, ids: Sequence[int]) -> State:
    """Return h, and c of an LSTM, after each symbol of a text, (T, L, H) each.

    Read step by step, as a torch layer gives c only at the end of a text: behind a newline, where
    there is one; a model of lines begins anew at each.

    Args:
        model: With its weights.
        ids: The text, (T,).
    """
    engine = Engine(model.config, model.weights)
    _, begin = Prefill(model, engine).one("")
    state, newline = begin, model.vocab.newline
    results = tuple(np.empty((len(ids), *part.shape), np.float32) for part in begin)
    for t, symbol in enumerate(ids):
        _, state = engine.step(int(symbol), state)
        for result, part in zip(results, state, strict=True):
            result[t] = part
        if model.records and symbol == newline:
            state = begin
    return results


def states_in_pieces(model: Model, ids: Sequence[int]) -> State:
    """Return about the same, faster: pieces of the text side by side, each behind what precedes it.

    It is the same for a network that forgets within WARM_UP symbols, as untrained ones do, to
    within a hundredth. Arguments as of `states`.
    """
    engine, newline = Engine(model.config, model.weights), model.vocab.newline
    text, size = np.asarray(ids), -(-len(ids) // NUM_PIECES)
    starts = np.arange(NUM_PIECES) * size
    begin = tuple(part[:, None] for part in Prefill(model, engine).one("")[1])
    state = tuple(np.repeat(part, NUM_PIECES, axis=1) for part in begin)
    results = tuple(np.empty((size, *part.shape), np.float32) for part in state)
    for t in range(-WARM_UP, size):
        symbols = text[np.clip(starts + t, 0, len(text) - 1)]
        _, state = engine.step(symbols, state)
        begins_anew = starts + t < 0
        if model.records:
            begins_anew |= symbols == newline
        for result, part, first in zip(results, state, begin, strict=True):
            if t >= 0:
                result[t] = part
            part[:, begins_anew] = first
    return tuple(in_order(result, len(text)) for result in results)


def in_order(result: Floats, length: int) -> Floats:
    """Return what was read in pieces, (T / P, L, P, H), as one text, (T, L, H)."""
    _, L, _, H = result.shape
    return result.transpose(2, 0, 1, 3).reshape(-1, L, H)[:length]


@dataclass(frozen=True, slots=True)
class Expectations:
    """What was expected of each symbol of a text, before it was read."""

    bits: NDArray[np.float64]
    """Surprise at the symbol that came, (T,)."""
    guesses: NDArray[np.int64]
    """The likeliest symbols, the best first, (T, K)."""
    probabilities: NDArray[np.float64]
    """Theirs, (T, K)."""


def expectations(
    sampler: Sampler, ids: Ids, hidden: Floats, memory_weight: float | None = None
) -> Expectations:
    """Return what was expected of each symbol of a text.

    It is read as `sample` begins a text: behind a newline where there is one, else the first symbol
    is expected as lines begin. A model of lines begins anew at each.

    Args:
        sampler: Of the model.
        ids: The text, (T,).
        hidden: The output of the last layer after each symbol, (T, H).
        memory_weight: The memory's share, instead of the model's own; 0 is the network alone.
    """
    memory = sampler.memory(SampleConfig(memory_weight=memory_weight))
    newline = sampler.model.vocab.newline if sampler.model.records else None
    logits = logits_before(sampler, ids, hidden, newline)
    follower = StreamMixer(memory, prompt_ids(sampler.model, "")) if memory else None
    K = min(NUM_GUESSES, sampler.model.vocab.size)
    bits, guesses = np.empty(len(ids)), np.empty((len(ids), K), dtype=np.int64)
    probabilities = np.empty((len(ids), K))
    for t, symbol in enumerate(ids.tolist()):
        logs = log_probabilities(logits[t] if follower is None else follower.mixed(logits[t]))
        bits[t] = -logs[symbol] * BITS
        guesses[t] = np.argsort(-logs, kind="stable")[:K]
        probabilities[t] = np.exp(logs[guesses[t]])
        if follower is not None:
            follower.read(symbol)
        if memory is not None and symbol == newline:
            follower = StreamMixer(memory, prompt_ids(sampler.model, ""))
    return Expectations(bits, guesses, probabilities)


def logits_before(sampler: Sampler, ids: Ids, hidden: Floats, newline: int | None) -> Floats:
    """Return the network's logits of each symbol before it is read, (T, V).

    Args:
        sampler: Of the model.
        ids: The text, (T,).
        hidden: The output of the last layer after each symbol, (T, H).
        newline: Behind it a text begins anew, if there is one.
    """
    weights, (first, _) = sampler.model.weights, sampler.prefill.one("")
    logits = np.empty((len(ids), sampler.model.vocab.size), dtype=np.float32)
    np.matmul(hidden[:-1], weights["decoder.weight"].T, out=logits[1:])
    logits[1:] += weights["decoder.bias"]
    begins = np.append(True, ids[:-1] == newline)
    logits[begins] = first
    return logits
