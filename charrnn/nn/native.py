"""The compiled engine: a network's weights, arranged for native/network.c.

Texts for a seed are those of the engine in NumPy but for draws on a rounding edge.
"""

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np

from charrnn.native.arrays import CELLS, WIDE, NetworkArrays, round_up
from charrnn.native.build import load_or_build
from charrnn.native.library import load
from charrnn.nn.architecture import GATES, ModelConfig
from charrnn.nn.engine import Engine, Floats
from charrnn.nn.numpy_engine import LAYERS
from charrnn.nn.state import State

WORTH_BUILDING = 500
"""Symbols for which the library is built, once for all later texts: the default length."""


class NativeEngine:
    """A network for the compiled loop.

    Args:
        library: As from `load`.
        config: The architecture.
        weights: Arrays named as in shapes(config).
    """

    def __init__(
        self, library: ctypes.CDLL, config: ModelConfig, weights: Mapping[str, Floats]
    ) -> None:
        self.config, self.library = config, library
        self.arrays = NetworkArrays(**arrange(config, weights))


class CompiledSteps(Engine):
    """Steps a batch with the compiled network. A state has h and c of every cell, (L, B, P).

    Args:
        engine: The network.
    """

    def __init__(self, engine: NativeEngine) -> None:
        super().__init__(engine.config)
        self._engine = engine

    def empty_state(self, *batch: int) -> State:
        """Return the state before any text, of a batch."""
        shape = (self.config.num_layers, *batch, self._engine.arrays.padded)
        return State({name: np.zeros(shape, dtype=np.float32) for name in "hc"})

    def step(self, ids: Any, state: State) -> tuple[Floats, State]:
        """Read one character of each stream; return logits, (B, V), and the new state."""
        arrays, size = self._engine.arrays, len(ids)
        symbols = np.ascontiguousarray(ids, dtype=np.int64)
        new = state.map(lambda part: np.array(part, dtype=np.float32, order="C"))
        logits = np.empty((size, arrays.symbols), dtype=np.float32)
        gates = np.empty((2 * size, arrays.gates), dtype=np.float32)
        self._engine.library.network_step(
            arrays.address, size, size, symbols.ctypes.data,
            *(new.parts[name].ctypes.data for name in "hc"), gates.ctypes.data, logits.ctypes.data,
        )  # fmt: skip
        return logits[:, : self.config.vocab_size], new


def arrange(config: ModelConfig, weights: Mapping[str, Floats]) -> dict[str, Any]:
    """Return the weights of a network as the arguments of NetworkArrays."""
    padded, symbols = round_up(config.hidden_size), round_up(config.vocab_size)

    def by_gate(matrix: Floats) -> Floats:
        """Pad the columns of each gate with zeros."""
        gates = matrix.reshape(len(matrix), GATES[config.cell], config.hidden_size)
        return with_zero_columns(gates, padded).reshape(len(matrix), -1)

    def panels(matrix: Floats) -> Floats:
        """(H, N) -> (N / WIDE, P, WIDE)."""
        full = np.zeros((matrix.shape[1] // WIDE, padded, WIDE), dtype=np.float32)
        full[:, : len(matrix)] = matrix.reshape(len(matrix), -1, WIDE).transpose(1, 0, 2)
        return full

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
    return {
        "cell": config.cell,
        "vocab": config.vocab_size,
        "tables": tables,
        "inputs": [unused, *(panels(by_gate(layer.from_input)) for layer in layers[1:])],
        "recurrents": [panels(by_gate(layer.recurrent)) for layer in layers],
        "biases": [by_gate(layer.bias_recurrent[None]) for layer in layers],
        "decoder": panels(with_zero_columns(weights["decoder.weight"].T, symbols)),
        "bias": with_zero_columns(weights["decoder.bias"][None], symbols),
    }


def with_zero_columns(matrix: Floats, width: int) -> Floats:
    """Return an array whose last axis is padded with zeros."""
    missing = width - matrix.shape[-1]
    return np.pad(matrix, (*[(0, 0)] * (matrix.ndim - 1), (0, missing))) if missing else matrix


def native_engine(
    config: ModelConfig, weights: Mapping[str, Floats], num_symbols: int
) -> NativeEngine | None:
    """Return the compiled engine if there is one, or if so many symbols pay for building it."""
    if config.cell not in CELLS or config.attention:
        return None
    library = load_or_build() if num_symbols >= WORTH_BUILDING else load()
    return NativeEngine(library, config, weights) if library else None
