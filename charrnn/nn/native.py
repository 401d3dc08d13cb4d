"""The NumPy step, compiled: arrange the weights for kernel.c and call it."""

import ctypes
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from charrnn.core.config import GATES, ModelConfig, shapes
from charrnn.core.errors import CharRNNError, printable
from charrnn.native.build import build, load, opened
from charrnn.nn.engine import LAYERS, Engine, Floats, State, empty_state

WIDE = 16
"""Columns of a panel, as in kernel.c."""

COMPILED = ("lstm", "gru", "rnn")
"""Cells, as kernel.c numbers them."""

FURTHEST = 1e-5
"""How far a logit may be from the one of NumPy, for weights of a usual size."""


class _Network(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("layers", "padded", "gates", "symbols", "cell")),
        *((n, ctypes.c_void_p) for n in ("tables", "inputs", "recurrents", "biases")),
        *((n, ctypes.c_void_p) for n in ("decoder", "bias")),
    )


class KernelEngine:
    """Steps a network, one stream or many, as Engine does.

    Args:
        library: As from `load`.
        config: The architecture.
        weights: Arrays named as in shapes(config).
    """

    def __init__(
        self, library: ctypes.CDLL, config: ModelConfig, weights: Mapping[str, Floats]
    ) -> None:
        self.config, self._step = config, library.step
        self._padded, self._symbols = whole(config.hidden_size), whole(config.vocab_size)
        self._gates = GATES[config.cell] * self._padded
        self._kept: list[Any] = []  # what the library has addresses of
        self._network = self._arranged(weights)
        self._address = ctypes.addressof(self._network)

    def _arranged(self, weights: Mapping[str, Floats]) -> _Network:
        config, embedding = self.config, weights["embedding.weight"]
        layers = [
            LAYERS[config.cell](weights, i, config.hidden_size, None if i else embedding)
            for i in range(config.num_layers)
        ]
        tables, is_gru = [], config.cell == "gru"
        for each in layers:
            bias = each.bias_input if is_gru else each.bias_input + each.bias_recurrent
            tables.append(self._by_gate(each.from_input + bias if each.is_first else bias[None]))
        inputs = [self._panels(self._by_gate(each.from_input)) for each in layers[1:]]
        decoder = with_zero_columns(weights["decoder.weight"].T, self._symbols)
        return _Network(
            layers=len(layers),
            padded=self._padded,
            gates=GATES[config.cell],
            symbols=self._symbols,
            cell=COMPILED.index(config.cell),
            tables=self._addresses(tables),
            inputs=self._addresses([np.zeros(1, dtype=np.float32), *inputs]),
            recurrents=self._addresses([self._panels(self._by_gate(e.recurrent)) for e in layers]),
            biases=self._addresses([self._by_gate(e.bias_recurrent[None]) for e in layers]),
            decoder=self._kept_at(self._panels(decoder)),
            bias=self._kept_at(with_zero_columns(weights["decoder.bias"][None], self._symbols)),
        )

    def _by_gate(self, matrix: Floats) -> Floats:
        """Return a matrix of gates with each gate's columns filled up with zeros."""
        parts = np.split(matrix, GATES[self.config.cell], axis=1)
        return np.concatenate([with_zero_columns(part, self._padded) for part in parts], axis=1)

    def _panels(self, matrix: Floats) -> Floats:
        """Return (H, N) as panels, (N / WIDE, H filled up, WIDE)."""
        full = np.zeros((self._padded, matrix.shape[1]), dtype=np.float32)
        full[: len(matrix)] = matrix
        return np.ascontiguousarray(full.reshape(self._padded, -1, WIDE).transpose(1, 0, 2))

    def _kept_at(self, array: Floats) -> int:
        kept = np.ascontiguousarray(array, dtype=np.float32)
        self._kept.append(kept)
        return kept.ctypes.data

    def _addresses(self, arrays: list[Floats]) -> int:
        addresses = np.array([self._kept_at(array) for array in arrays], dtype=np.uintp)
        self._kept.append(addresses)
        return addresses.ctypes.data

    def empty_state(self, *batch: int) -> State:
        """Return the state before any text, of one stream, or of a batch of them."""
        return empty_state(self.config, *batch)

    def step(self, ids: Any, state: State) -> tuple[Floats, State]:
        """Read one character of each stream; arguments and results are those of Engine.step."""
        H, shape = self.config.hidden_size, state[0].shape
        B = shape[1] if len(shape) > 2 else 1
        symbols = np.array(ids, dtype=np.int64)
        size = shape[0] * B * self._padded
        # One piece of memory, new in each call: states, scores, and room for the gates.
        scores = len(state) * size
        gates = scores + B * self._symbols
        new = np.empty(gates + 2 * B * self._gates, dtype=np.float32)
        parts = []
        for i, part in enumerate(state):
            own = new[i * size : (i + 1) * size].reshape(*shape[:-1], -1)
            if self._padded > H:
                own[..., H:] = 0
            own[..., :H] = part
            parts.append(own[..., :H])
        h = new.__array_interface__["data"][0]
        self._step(
            self._address, B, symbols.__array_interface__["data"][0], h,
            h + 4 * (scores - size), h + 4 * gates, h + 4 * (gates + B * self._gates),
            h + 4 * scores,
        )  # fmt: skip
        scored = new[scores:gates].reshape(*shape[1:-1], -1)
        return scored[..., : self.config.vocab_size], tuple(parts)


def whole(size: int) -> int:
    """Return a size filled up to whole panels."""
    return -(-size // WIDE) * WIDE


def with_zero_columns(matrix: Floats, width: int) -> Floats:
    """Return a matrix with columns of zeros added."""
    return np.pad(matrix, ((0, 0), (0, width - matrix.shape[1])))


def fastest(config: ModelConfig, weights: Mapping[str, Floats]) -> Engine | KernelEngine:
    """Return the compiled engine where it was built, else the one in NumPy."""
    if config.cell in COMPILED and (library := load()):
        return KernelEngine(library, config, weights)
    return Engine(config, weights)


def agrees(library: ctypes.CDLL, cell: str) -> bool:
    """Say whether a compiled step is that of NumPy, on small networks with random weights.

    Weights of a usual size for some steps, then weights that saturate the gates for two: after
    more steps such a network amplifies the last bits.
    """
    return _agrees(library, cell, 0.1, 20) and _agrees(library, cell, 2.0, 2)


def _agrees(library: ctypes.CDLL, cell: str, size: float, num_steps: int) -> bool:
    config = ModelConfig(cell=cell, vocab_size=21, embedding_size=7, hidden_size=37, num_layers=2)
    rng = np.random.default_rng(0)
    weights = {
        name: rng.normal(0, 0.1 if name.startswith("decoder") else size, shape).astype(np.float32)
        for name, shape in shapes(config).items()
    }
    engines: list[Engine | KernelEngine] = [
        Engine(config, weights),
        KernelEngine(library, config, weights),
    ]
    states = [engine.empty_state(9) for engine in engines]
    for ids in rng.integers(0, 21, (num_steps, 9)):
        results = [each.step(ids, s) for each, s in zip(engines, states, strict=True)]
        states = [state for _, state in results]
        if not np.abs(results[0][0] - results[1][0]).max() < FURTHEST:
            return False
    return True


def main(arguments: list[str]) -> int:
    """Build the library; with --try FILE only say, by the exit code, whether it is right."""
    if arguments[:1] == ["--try"]:
        library = opened(Path(arguments[1]))
        return 0 if library and all(agrees(library, cell) for cell in COMPILED) else 1
    if arguments:
        sys.stderr.write(
            "usage: python -m charrnn.nn.native (builds the compiled step; no options)\n"
        )
        return 2
    try:
        sys.stdout.write(f"built: {printable(build())}\n")
    except CharRNNError as error:
        sys.stderr.write(f"charrnn: error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
