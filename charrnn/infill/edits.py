"""Small changes of a text, and by how much each makes the text likelier, read from both sides.

A change is judged by the whole span that it concerns: by the new symbols and by all later ones
whose n-gram context holds one of them. That is the posterior of the n-gram model, which is far
sharper than the product of a forward and a backward guess: on held-out tiny-shakespeare, a hidden
character costs 0.38 nats instead of 0.63 (benchmarks/both_sides.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charrnn.infill.reader import Reader, Symbols
from charrnn.ngram.counts import Floats

PROPOSAL = (0.95, 0.86, 0.77)
"""Powers of forward and backward prediction, and of the unigram that divides them."""

POWERS = ((0.69, 0.53), (0.30, 0.24))
"""Powers of the first symbol, which the network predicts too, and of those after it, which the
n-grams predict alone; forward, then backward. Like PROPOSAL, they were fitted by
benchmarks/fit_powers.py on the ends of training texts."""

NUM_GUESSES = 8
"""Symbols that are tried at each position."""

EARLY, HOPELESS = 3, -6.0
"""Symbols after which a change is given up, if it has made the text so much less likely (nats)."""


class Kind(NamedTuple):
    """A kind of change: symbols that it takes away, and puts in their place."""

    name: str
    taken: int
    put: int


KINDS = (
    Kind("replace", 1, 1), Kind("insert", 0, 1), Kind("delete", 1, 0), Kind("swap", 2, 2),
)  # fmt: skip
REPLACE, INSERT, DELETE, SWAP = range(len(KINDS))


@dataclass(frozen=True, slots=True)
class Edits:
    """Changes of a text, each on its own."""

    begin: Symbols
    """Position of the first symbol that is taken away, (n,)."""
    end: Symbols
    """Position after the last one, (n,)."""
    new: Symbols
    """Symbols in their place, (n, 2); -1 where there is none, at the end of a row."""

    @property
    def sizes(self) -> Symbols:
        """Number of new symbols, (n,)."""
        sizes: Symbols = (self.new >= 0).sum(axis=1)
        return sizes

    def take(self, rows: NDArray[np.bool_] | Symbols) -> "Edits":
        """Return some of the changes."""
        return Edits(self.begin[rows], self.end[rows], self.new[rows])

    def turned(self, length: int) -> "Edits":
        """Return the same changes of the reversed text."""
        new = np.where(self.sizes[:, None] == 2, self.new[:, ::-1], self.new)
        return Edits(length - self.end, length - self.begin, new)

    @classmethod
    def cat(cls, parts: "Sequence[Edits]") -> "Edits":
        """Return all changes in one."""
        return cls(
            *(np.concatenate([getattr(p, n) for p in parts]) for n in ("begin", "end", "new"))
        )


class Side:
    """A text as a reader of one direction sees it.

    Args:
        reader: The direction.
        ids: The text, turned round for a backward reader, (T,).
        powers: Of the first symbol of a change, and of those after it.
    """

    def __init__(self, reader: Reader, ids: Symbols, powers: tuple[float, float]) -> None:
        self.reader, self.ids, self.powers = reader, ids, powers
        self._packed, self._lengths = reader.contexts(ids)
        each = reader.log_p(self._packed[:-1], self._lengths[:-1], ids)
        self._sums = np.append(0, np.cumsum(each))

    def open(self, begin: int, end: int) -> None:
        """Predict each symbol of a part, (begin, end), and the one after it."""
        self._offset = begin
        self.logs = self.reader.logs(self.ids, begin, min(end, len(self.ids)) + 1)

    def row(self, positions: Symbols) -> NDArray[np.float32]:
        """Return the log-probabilities of all symbols at some positions of the open part, (n, V)."""
        rows: NDArray[np.float32] = self.logs[positions - self._offset]
        return rows

    def gains(self, edits: Edits, hopeless: float = HOPELESS) -> Floats:
        """Return by how many nats changes in the open part make the text likelier, (n,).

        Each part of the difference is raised to its power. What falls below `hopeless` is given up.
        """
        first, rest = self.differences(edits, hopeless)
        return self.powers[0] * first + self.powers[1] * rest

    def differences(self, edits: Edits, hopeless: float = -np.inf) -> tuple[Floats, Floats]:
        """Return the difference at the first symbol, and at those after it, (n,) each."""
        T, sizes, K = len(self.ids), edits.sizes, self.reader.memory.order
        rows, packed, lengths = (
            np.arange(len(sizes)),
            self._packed[edits.begin],
            self._lengths[edits.begin],
        )
        first, rest = np.zeros((2, len(sizes)))
        until = np.minimum(edits.end + K, T)
        has_old = edits.begin < T
        olds = edits.begin[has_old]
        first[has_old] -= self.logs[olds - self._offset, self.ids[olds]]
        for t in range(K + 2):
            after = edits.end[rows] + t - sizes[rows]
            is_on = (t < sizes[rows] + K) & (after < T)
            rows, after, packed, lengths = rows[is_on], after[is_on], packed[is_on], lengths[is_on]
            symbols = np.where(
                t < sizes[rows], edits.new[rows, min(t, 1)], self.ids[np.maximum(after, 0)]
            )
            if t == 0:
                first[rows] += self.logs[edits.begin[rows] - self._offset, symbols]
            else:
                rest[rows] += self.reader.log_p(packed, lengths, symbols)
            packed, lengths = self.reader.appended(packed, lengths, symbols)
            if t + 1 == EARLY:
                old = self._sums[after + 1] - self._sums[np.minimum(edits.begin[rows] + 1, T)]
                is_open = (
                    self.powers[0] * first[rows] + self.powers[1] * (rest[rows] - old) > hopeless
                )
                until[rows[~is_open]] = after[~is_open] + 1
                rows, packed, lengths = rows[is_open], packed[is_open], lengths[is_open]
        return first, rest - (self._sums[until] - self._sums[np.minimum(edits.begin + 1, T)])
