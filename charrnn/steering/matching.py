"""Keep texts that are written side by side inside an automaton.

A symbol may come if a match can still be reached in the symbols that are left. A text ends

- with a symbol that leaves the pattern, where the text matches: the model would end it there;
- where no longer text matches, or none that is short enough.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.core.errors import InputError
from charrnn.steering.automaton import ENDS, FAR, Automaton


class Matching:
    """The states of B texts, and how many symbols are left.

    Args:
        automaton: The texts that match.
        num_texts: B.
        length: Symbols that a text has at most.

    Raises:
        InputError: No text of this length matches.
    """

    def __init__(self, automaton: Automaton, num_texts: int, length: int) -> None:
        check_length(automaton, length)
        self._automaton, self._left = automaton, length
        self._states = np.zeros(num_texts, dtype=np.int32)

    @property
    def may_come(self) -> NDArray[np.bool_]:
        """Whether each symbol may come next, (B, V)."""
        following = self._automaton.table[self._states]
        result: NDArray[np.bool_] = self._automaton.distances[following] < self._left
        return result

    def read(self, chosen: NDArray[Any]) -> None:
        """Append the next symbol of each text, (B,)."""
        self._states = self._automaton.table[self._states, chosen]
        self._left -= 1

    @property
    def is_left(self) -> NDArray[np.bool_]:
        """Whether the last symbol of each text left the pattern, and is not part of the text, (B,)."""
        result: NDArray[np.bool_] = self._states == ENDS
        return result

    @property
    def is_over(self) -> NDArray[np.bool_]:
        """Whether each text has ended, (B,)."""
        result: NDArray[np.bool_] = self._automaton.least[self._states] > self._left
        return result

    @property
    def is_complete(self) -> NDArray[np.bool_]:
        """Whether each text that has ended did so by the pattern, not by its length, (B,)."""
        result: NDArray[np.bool_] = self._automaton.least[self._states] == FAR
        return result

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Drop all texts but these."""
        self._states = self._states[rows]


def check_length(automaton: Automaton, length: int) -> None:
    """Refuse a length that no match has.

    Raises:
        InputError: The shortest match is longer, or nothing is to be written.
    """
    shortest = int(automaton.least[0])
    if 0 < length < shortest:
        raise InputError(
            f"--match: the shortest text that matches has {shortest:,} characters, but --length is "
            f"{length:,}"
        )
