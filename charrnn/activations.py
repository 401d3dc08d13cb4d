"""What each unit of a network is after each character of a text."""

from collections.abc import Sequence

import numpy as np

from charrnn.checkpoint import Model
from charrnn.engine import Engine, Floats

KINDS = ("cell", "hidden")
"""tanh(c) of an LSTM, which gates have not cut; or h, the output, which every cell has."""


def activations(model: Model, ids: Sequence[int], kind: str = "cell") -> Floats:
    """Return the activation of every unit after each symbol of a text, (T, L, H), in [-1, 1].

    Read step by step, as a torch layer gives c only at the end of a text: behind a newline, where
    there is one; a model of lines begins anew at each.

    Args:
        model: With its weights.
        ids: The text, (T,).
        kind: cell, which means hidden where a network has no cell; or hidden.
    """
    engine = Engine(model.config, model.weights)
    newline = model.vocab.newline
    begin = engine.empty_state()
    if newline is not None:
        _, begin = engine.step(newline, begin)
    state = begin
    has_cell = kind == "cell" and len(state) == 2
    L, H = model.config.num_layers, model.config.hidden_size
    result = np.empty((len(ids), L, H), dtype=np.float32)
    for t, symbol in enumerate(ids):
        _, state = engine.step(int(symbol), state)
        result[t] = state[1] if has_cell else state[0]
        if model.records and symbol == newline:
            state = begin
    return np.tanh(result, out=result) if has_cell else result
