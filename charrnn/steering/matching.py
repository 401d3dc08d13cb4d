"""Keep texts that are written side by side inside an automaton.

A symbol may come if a match can still be reached in the symbols that are left. A text ends

- with a symbol that leaves the pattern, where the text matches: the model would end it there;
- where no longer text matches, or none that is short enough.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.checkpoints.model import Model
from charrnn.core.config import SampleConfig
from charrnn.core.errors import InputError
from charrnn.data.vocab import ByteVocabulary
from charrnn.steering.automaton import ENDS, FAR, Alphabet, Automaton, automaton_of
from charrnn.steering.characters import Biases


class Matching:
    """The states of B texts, and how many symbols are left.

    Args:
        automaton: The texts that match.
        num_texts: B.
        length: Symbols that a text has at most.
    """

    def __init__(self, automaton: Automaton, num_texts: int, length: int) -> None:
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


def automaton_for(config: SampleConfig, model: Model, bias: Biases | None) -> Automaton | None:
    """Return the automaton of --match for the symbols of a model; None without it.

    Args:
        config: Pattern and length.
        model: Its texts match; a record has no newline, which ends it.
        bias: -inf for banned symbols.

    Raises:
        InputError: The pattern cannot be used, or the length is too short for it.
    """
    if not config.match:
        return None
    vocab = model.vocab
    is_allowed = np.ones(vocab.size, dtype=np.bool_) if bias is None else ~np.isneginf(bias)
    newline = vocab.newline if model.records else None
    if newline is not None:
        is_allowed[newline] = False
    has_bytes = isinstance(vocab, ByteVocabulary)
    characters = "" if has_bytes else vocab.decode(range(vocab.size))
    alphabet = Alphabet(characters, is_allowed, newline)
    pattern = model.reading().convert(config.match)
    automaton = automaton_of(pattern, alphabet, is_backward=model.is_backward)
    check_length(automaton, config.length, vocab.unit)
    return automaton


def check_length(automaton: Automaton, length: int, unit: str = "character") -> None:
    """Refuse a length that no match has.

    Raises:
        InputError: The shortest match is longer, or nothing is to be written.
    """
    shortest = int(automaton.least[0])
    if 0 < length < shortest:
        raise InputError(
            f"--match: the shortest text that matches has {shortest:,} {unit}s, but --length is "
            f"{length:,}"
        )
