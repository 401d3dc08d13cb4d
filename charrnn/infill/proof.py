"""Which characters of a text look wrong, read from both sides, and what was probably meant."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.infill.edits import (
    DELETE,
    HOPELESS,
    INSERT,
    KINDS,
    NUM_GUESSES,
    POWERS,
    PROPOSAL,
    REPLACE,
    SWAP,
    Edits,
    Side,
)
from charrnn.infill.reader import Reader, Symbols, log_unigrams
from charrnn.infill.two_way import TwoWay
from charrnn.ngram.counts import Floats

ERRORS = 0.01
"""Share of characters that are taken to be wrong, a quarter of them by each kind of change."""

UTF8 = np.repeat([0, 1, 2, 3, 4, 5], [0x80, 0x40, 0x20, 0x10, 0x08, 0x08])
LATER = 1
"""The length of the character that begins with each byte, and 0 for ASCII; LATER does not begin one."""

MOST_CELLS = 1 << 21
"""Most probabilities of a part of a text that are held at once."""


@dataclass(frozen=True, slots=True)
class Suspicions:
    """What speaks against each symbol of a text, read from both sides."""

    guesses: Symbols
    """The likeliest other symbols in its place, best first, (T, G)."""
    shares: Floats
    """Their probabilities given both sides, (T, G)."""
    bits: Floats
    """Surprise at the symbol itself given both sides, in bits, (T,)."""
    kinds: Symbols
    """Kind of the best change that begins here, an index of KINDS, (T,)."""
    gains: Floats
    """Log-odds that this change is right, (T,)."""
    edits: Edits
    """The change, (T,)."""


class Proof:
    """Reads a text from both sides.

    Args:
        sides: Readers of both directions.
        ids: The text, (T,).
        is_bytes: Whether the symbols are bytes of UTF-8.
        two_way: A network of both directions, which also judges the symbols in place of others.
    """

    def __init__(
        self, sides: tuple[Reader, Reader], ids: Symbols, *, is_bytes: bool = False,
        two_way: TwoWay | None = None,
    ) -> None:  # fmt: skip
        self._count, self._is_bytes, self._two_way = len(ids), is_bytes, two_way
        self._newline = sides[0].newline if sides[0].records else None
        if self._newline is not None and ids[-1] != self._newline:
            ids = np.append(ids, self._newline)  # it ends the last record too
        self.ids = ids
        self._forward, self._backward = (
            Side(reader, text, powers)
            for reader, text, powers in zip(sides, (ids, ids[::-1]), POWERS, strict=True)
        )
        self._unigrams = log_unigrams(sides[0].memory)
        self._size = len(self._unigrams)
        entropy = -float(np.vecdot(np.exp(self._unigrams), self._unigrams))
        # A wrong or an additional symbol may be any: one out of as many as the text is likely to use.
        self._priors = np.log(ERRORS / len(KINDS)) - entropy * np.array([1, 0, 1, 0])

    def suspicions(self) -> Suspicions:
        """Return what speaks against each symbol."""
        T, size = self._count, max(1, MOST_CELLS // self._size)
        parts = [self._part(begin, min(begin + size, T)) for begin in range(0, T, size)]
        arrays = [np.concatenate(each) for each in zip(*(part[0] for part in parts), strict=True)]
        guesses, shares, bits, kinds, gains = arrays
        return Suspicions(
            guesses, shares, bits, kinds, gains, Edits.cat([part[1] for part in parts])
        )

    def _part(self, begin: int, end: int) -> tuple[list[NDArray[Any]], Edits]:
        """Return what speaks against the symbols of a part, in the order of Suspicions, and changes."""
        self.open(begin, end)
        edits, kinds = self.changes(np.arange(begin, end))
        gains, n = self.gains(edits), end - begin
        if self._two_way is not None:
            is_one = kinds == REPLACE
            ones = edits.take(is_one)
            gains[is_one] = self._two_way.judged(self.ids, begin, end, ones, gains[is_one])
        others = gains[kinds == REPLACE].reshape(n, -1)  # they come first, in order
        total = np.logaddexp(0, np.logaddexp.reduce(others, axis=1))
        best = np.argsort(-others, axis=1, kind="stable")
        guesses = np.take_along_axis(edits.new[: others.size, 0].reshape(n, -1), best, axis=1)
        shares = np.exp(np.take_along_axis(others, best, axis=1) - total[:, None])
        gains += self._priors[kinds]
        order = np.lexsort((gains, edits.begin))
        last = order[np.append(np.diff(edits.begin[order]) > 0, True)]
        arrays = [guesses, shares, total / np.log(2), kinds[last], gains[last]]
        return arrays, edits.take(last)

    def open(self, begin: int, end: int) -> None:
        """Predict the symbols of a part from both sides."""
        self._forward.open(begin, end)
        self._backward.open(max(0, len(self.ids) - end - 1), len(self.ids) - begin)

    def gains(self, edits: Edits) -> Floats:
        """Return by how many nats changes in the open part make the text likelier, (n,).

        Those that are not allowed have -inf.
        """
        gains, allowed = np.full(len(edits.begin), -np.inf), np.flatnonzero(self._allowed(edits))
        gains[allowed] = self._forward.gains(edits.take(allowed))
        hopeful = np.flatnonzero(gains > HOPELESS)
        gains[hopeful] += self._backward.gains(edits.take(hopeful).turned(len(self.ids)))
        return gains

    def changes(self, at: Symbols) -> tuple[Edits, Symbols]:
        """Return the changes to try at some positions of the open part, and their kinds.

        At each position, `NUM_GUESSES` symbols that replace its own come first.
        """
        T, ids = len(self.ids), self.ids
        pairs = at[at < T - 1]
        pairs = pairs[ids[pairs] != ids[pairs + 1]]
        swapped = np.stack([ids[pairs + 1], ids[pairs]], axis=1)[:, None] if len(pairs) else None
        found = [
            (REPLACE, at, self.guesses(at, T - 1 - at, ids[at])),
            (INSERT, at, self.guesses(at, T - at)),
            (DELETE, at, np.full((len(at), 1, 2), -1)),
            *([(SWAP, pairs, swapped)] if swapped is not None else []),
        ]
        edits, kinds = [], []
        for kind, places, new in found:
            begin = np.repeat(places, new.shape[1])
            edits.append(Edits(begin, begin + KINDS[kind].taken, new.reshape(-1, 2)))
            kinds.append(np.full(len(begin), kind))
        return Edits.cat(edits), np.concatenate(kinds)

    def guesses(self, before: Symbols, after: Symbols, own: Symbols | None = None) -> Symbols:
        """Return the symbols that fit best between what is before and after, (n, G, 2).

        Args:
            before: Positions whose symbol the forward reader predicts, (n,).
            after: The same of the backward reader, in the reversed text, (n,).
            own: The symbols that are there, which are not returned.
        """
        forward, backward, unigram = PROPOSAL
        scores = forward * self._forward.row(before) + backward * self._backward.row(after)
        scores -= unigram * self._unigrams
        if own is not None:
            scores[np.arange(len(own)), own] = -np.inf
        count = min(NUM_GUESSES, scores.shape[1] - 1)
        best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        return np.stack([best, np.full_like(best, -1)], axis=2)

    def _allowed(self, edits: Edits) -> NDArray[np.bool_]:
        """True for changes that leave the lines of records, and the characters of bytes, whole."""
        allowed = np.ones(len(edits.begin), dtype=np.bool_)
        if self._newline is not None:
            allowed &= ~((self.ids[edits.begin] == self._newline) & (edits.end > edits.begin))
            allowed &= self.ids[np.maximum(edits.end - 1, edits.begin)] != self._newline
            allowed |= edits.end == edits.begin
            allowed &= (edits.new != self._newline).all(axis=1)
        if self._is_bytes:
            allowed &= are_characters(edits, self.ids)
        return allowed


def are_characters(edits: Edits, ids: Symbols) -> NDArray[np.bool_]:
    """True for changes of bytes that leave characters whole: of ASCII, or of one byte by its like."""
    first, last = UTF8[ids[edits.begin]], UTF8[ids[np.maximum(edits.end - 1, edits.begin)]]
    new = np.where(edits.new < 0, 0, UTF8[edits.new])
    takes = edits.end > edits.begin
    is_between = np.where(takes, (first == 0) & (last == 0), first != LATER)
    is_one = (edits.end - edits.begin == 1) & (edits.sizes == 1)
    result: NDArray[np.bool_] = np.where(
        is_one, new[:, 0] == first, (new == 0).all(axis=1) & is_between
    )
    return result
