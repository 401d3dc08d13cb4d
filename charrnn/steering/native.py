"""Constraints as the compiled loop reads them: native/steering.c."""

import ctypes
from collections.abc import Sequence

import numpy as np

from charrnn.native.arrays import Steered
from charrnn.steering.repeats import Repeats
from charrnn.steering.steering import Steering

NOTHING = np.zeros(1, dtype=np.int32)
"""What an array that is not read points at."""


class SteeringArrays:
    """The struct `steering` of texts side by side, and the arrays that it points at.

    Args:
        steering: The constraints.
        fed: Symbols so far of each text (B).
        length: Symbols that a text will get at most.
        vocab: V.
        symbols: V, rounded up as the compiled loop does it.
    """

    def __init__(
        self, steering: Steering, fed: Sequence[Sequence[int]], length: int, vocab: int,
        symbols: int,
    ) -> None:  # fmt: skip
        self._bias = np.full(symbols, -np.inf, dtype=np.float32)
        self._bias[:vocab] = 0 if steering.bias is None else steering.bias
        self.past, self._runs = np.zeros((2, len(fed), 0), dtype=np.int32)
        """The last symbols of each text, -1 before its start, (B, W)."""
        self._penalties, shortest = np.zeros(2, dtype=np.float32), steering.no_repeat
        if shortest:
            repeats = Repeats(shortest, fed, length)
            self.past, self._runs, self._penalties = repeats.past, repeats.runs, repeats.penalties
        automaton = steering.automaton
        self._tables = (
            (automaton.table, automaton.distances, automaton.least) if automaton else (NOTHING,) * 3
        )
        self._state = np.zeros(len(fed), dtype=np.int64)
        self._structure = Steered(
            self._bias.ctypes.data, shortest, len(self._penalties) - 2, self.past.shape[1],
            self._penalties.ctypes.data, self._runs.ctypes.data,
            len(automaton.table) if automaton else 0,
            *(each.ctypes.data for each in (*self._tables, self._state)),
        )  # fmt: skip
        self.address = ctypes.addressof(self._structure)
        """Where the structure is, as long as this object lives."""
