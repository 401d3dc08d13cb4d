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
