"""What the networks in NumPy share: one character a step, for one stream or a batch."""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.nn.architecture import ModelConfig
from charrnn.nn.state import State

Floats = NDArray[np.float32]

TILE = 16
"""Streams per matrix product. The rounding of a BLAS product depends on the number of columns and,
beyond 16, on the index of a column; with fixed tiles a text depends on its seed alone."""

LEAST_SPARE = 16
"""Least number of rows that the array of a ring has for later steps."""


class Engine:
    """Steps a network, for one stream or a batch."""

    def __init__(self, config: ModelConfig) -> None:
        self.config = config

    def empty_state(self, *batch: int) -> State:
        """Return the state before any text, of one stream or of a batch."""
        return State.empty(self.config, *batch)

    def step(self, ids: Any, state: State) -> tuple[Floats, State]:
        """Read one character of each stream.

        Args:
            ids: The character, an int; or one for each of B streams, (B,).
            state: State after the text before.

        Returns:
            Logits of the next character, (V,) or (B, V), and the new state.
        """
        raise NotImplementedError

    def attend(self, symbol: int, state: State) -> tuple[Floats, State, Floats]:
        """Read one character of a single stream as `step` does, and return where attention looked.

        Returns:
            Logits, the new state, and the weight of each of the last n characters, the oldest
            first and this one last, (blocks, heads, n).
        """
        raise NotImplementedError

    def observe(self, ids: Any, state: State) -> tuple[Floats, State, dict[str, Floats]]:
        """Read one character of each stream, as `step` does, for a look at the units.

        Returns:
            Logits, the new state, and numbers of units by name, (L, H) or (L, B, H): h is the output
            of each layer, of which the decoder reads the last; an LSTM also has c.
        """
        logits, state = self.step(ids, state)
        return logits, state, state.units()


class Ring:
    """The last N rows at the end of a longer array: a step adds one row and copies none.

    Rows that a state has are not overwritten: a state that is not the last one is copied.
    """

    def __init__(self) -> None:
        self._last: Floats | None = None
        self._rows, self._end = np.empty((0, 0), dtype=np.float32), 0

    def moved(self, ring: Floats) -> Floats:
        """Return a ring, (..., N, H), without its oldest row; the last one is to be written."""
        N = ring.shape[-2]
        if ring is not self._last or self._end == self._rows.shape[-2]:
            size = N + max(LEAST_SPARE, N // 4)
            self._rows = np.empty((*ring.shape[:-2], size, ring.shape[-1]), dtype=np.float32)
            self._rows[..., :N, :], self._end = ring, N
        self._end += 1
        self._last = self._rows[..., self._end - N : self._end, :]
        return self._last


class Matrix:
    """A matrix W, (K, N), for products x @ W of one row or of a batch."""

    def __init__(self, matrix: Floats) -> None:
        self.matrix = np.ascontiguousarray(matrix)

    @cached_property
    def _turned(self) -> Floats:
        return np.ascontiguousarray(self.matrix.T)

    def times(self, x: Floats) -> Floats:
        """Return x @ W: (K,) -> (N,), or (B, K) -> (B, N) in tiles; the last tile is padded."""
        if x.ndim == 1:
            product: Floats = np.dot(x, self.matrix)
            return product
        B, K = x.shape
        padded = np.zeros((B + -B % TILE, K), dtype=np.float32)
        padded[:B] = x
        tiles = np.ascontiguousarray(padded.reshape(-1, TILE, K).transpose(0, 2, 1))
        products: Floats = (self._turned @ tiles).transpose(0, 2, 1)
        return products.reshape(len(padded), -1)[:B]
