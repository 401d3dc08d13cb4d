"""The engine, compiled: arrange the weights of a network for native/network.c, and call its step.

Texts for a seed are those of the engine in NumPy but for draws on a rounding edge.
"""

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np

from charrnn.core.config import GATES, ModelConfig
from charrnn.native.arrays import CELLS, WIDE, NetworkArrays, round_up
from charrnn.native.build import load_or_build
from charrnn.native.library import load
from charrnn.nn.numpy_engine import LAYERS, Floats
from charrnn.nn.state import State

WORTH_BUILDING = 500
"""Symbols for which the library is built, once for all later texts: the default length."""


class NativeEngine:
    """Steps a network, one stream or many, as `Engine` does.

    Args:
        library: As from `load`.
        config: The architecture.
        weights: Arrays named as in shapes(config).
    """

    def __init__(
        self, library: ctypes.CDLL, config: ModelConfig, weights: Mapping[str, Floats]
    ) -> None:
        self.config, self.library = config, library
        self.arrays = arrange(config, weights)

    def empty_state(self, *batch: int) -> State:
        """Return the state before any text, of one stream, or of a batch of them."""
        return State.empty(self.config, *batch)

    def step(self, ids: Any, state: State) -> tuple[Floats, State]:
        """Read one character of each stream; arguments and results are those of Engine.step."""
        old = state.arrays()
        arrays, H, shape = self.arrays, self.config.hidden_size, old["h"].shape
        B = shape[1] if len(shape) > 2 else 1
        symbols = np.array(ids, dtype=np.int64)
        size = shape[0] * B * arrays.padded
        # One allocation for the new state, the logits and the gates.
        logits = len(old) * size
        gates = logits + B * arrays.symbols
        new = np.empty(gates + 2 * B * arrays.gates, dtype=np.float32)
        parts = {}
        for i, (name, part) in enumerate(old.items()):
            own = new[i * size : (i + 1) * size].reshape(*shape[:-1], -1)
            if arrays.padded > H:
                own[..., H:] = 0
            own[..., :H] = part
            parts[name] = own[..., :H]
        h = new.__array_interface__["data"][0]
        self.library.network_step(
            arrays.address, B, B, symbols.__array_interface__["data"][0], h,
            h + 4 * (logits - size), h + 4 * gates, h + 4 * logits,
        )  # fmt: skip
        result = new[logits:gates].reshape(*shape[1:-1], -1)
        return result[..., : self.config.vocab_size], State.from_arrays(parts)


def arrange(config: ModelConfig, weights: Mapping[str, Floats]) -> NetworkArrays:
    """Return the weights of a network as network.c reads them."""
    padded, symbols = round_up(config.hidden_size), round_up(config.vocab_size)

    def by_gate(matrix: Floats) -> Floats:
        """Pad the columns of each gate with zeros."""
        gates = np.split(matrix, GATES[config.cell], axis=1)
        return np.concatenate([with_zero_columns(gate, padded) for gate in gates], axis=1)

    def panels(matrix: Floats) -> Floats:
        """(H, N) -> (N / WIDE, P, WIDE)."""
        full = np.zeros((padded, matrix.shape[1]), dtype=np.float32)
        full[: len(matrix)] = matrix
        return np.ascontiguousarray(full.reshape(padded, -1, WIDE).transpose(1, 0, 2))

    embedding = weights["embedding.weight"]
    layers = [
        LAYERS[config.cell](weights, i, config.hidden_size, None if i else embedding)
        for i in range(config.num_layers)
    ]
    tables = []
    for layer in layers:
        bias = layer.bias_input + (0 if config.cell == "gru" else layer.bias_recurrent)
        tables.append(by_gate(layer.from_input + bias if layer.is_first else bias[None]))
    unused = np.zeros((1, padded, WIDE), dtype=np.float32)
    return NetworkArrays(
        cell=config.cell,
        vocab=config.vocab_size,
        tables=tables,
        inputs=[unused, *(panels(by_gate(layer.from_input)) for layer in layers[1:])],
        recurrents=[panels(by_gate(layer.recurrent)) for layer in layers],
        biases=[by_gate(layer.bias_recurrent[None]) for layer in layers],
        decoder=panels(with_zero_columns(weights["decoder.weight"].T, symbols)),
        bias=with_zero_columns(weights["decoder.bias"][None], symbols),
    )


def with_zero_columns(matrix: Floats, width: int) -> Floats:
    """Return a matrix padded with columns of zeros."""
    return np.pad(matrix, ((0, 0), (0, width - matrix.shape[1])))


def native_engine(
    config: ModelConfig, weights: Mapping[str, Floats], num_symbols: int
) -> NativeEngine | None:
    """Return the compiled engine if there is one, or if so many symbols pay for building it."""
    if config.cell not in CELLS:
        return None
    library = load_or_build() if num_symbols >= WORTH_BUILDING else load()
    return NativeEngine(library, config, weights) if library else None
