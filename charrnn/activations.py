"""What each unit of a network is after each character of a text."""

from collections.abc import Sequence

import numpy as np

from charrnn.checkpoint import Model
from charrnn.engine import Engine, Floats, State

KINDS = ("cell", "hidden")
"""tanh(c) of an LSTM, which gates have not cut; or h, the output, which every cell has."""

NUM_PIECES, WARM_UP = 16, 128
"""Pieces of a text that are read side by side, and symbols that are read before each."""


def activations(model: Model, ids: Sequence[int], kind: str = "cell") -> Floats:
    """Return the activation of every unit after each symbol of a text, (T, L, H), in [-1, 1].

    Args:
        model: With its weights.
        ids: The text, (T,).
        kind: cell, which means hidden where a network has no cell; or hidden.
    """
    return activations_of(states(model, ids), kind)


def activations_of(state: State, kind: str) -> Floats:
    """Return what is shown of states: tanh(c), or h; kind as of `activations`."""
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
    begin = begin_state(model, engine)
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
    begin = tuple(part[:, None] for part in begin_state(model, engine))
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


def begin_state(model: Model, engine: Engine) -> State:
    """Return the state that a text begins with: behind a newline, where there is one."""
    state = engine.empty_state()
    if model.vocab.newline is not None:
        _, state = engine.step(model.vocab.newline, state)
    return state
