"""Spans of texts that occur in a block of a corpus."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

LONG = 30
"""Smallest number of symbols of a copied span; shorter spans occur by chance."""

WINDOW = 16
"""Number of symbols that are hashed together: the size of the shortest span that is found."""

PAIRS = 1_000_000
"""Pairs of matching windows that are extended together."""

BASE = np.uint64(0x9E3779B97F4A7C15)

Symbols = NDArray[np.uint32]
Hashes = NDArray[np.uint64]
Positions = NDArray[np.int64]


@dataclass(slots=True)
class Copies:
    """The spans of one text that occur in the corpus."""

    num_symbols: int
    longest: tuple[int, int] = (0, 0)
    """Begin and end of the longest span; empty if all are shorter than WINDOW."""
    spans: list[tuple[int, int]] = field(default_factory=list)
    """Begin and end of all spans of LONG symbols or more, in order, merged if they touch."""

    @property
    def share(self) -> float:
        """Fraction of the text that lies in long spans."""
        return sum(end - begin for begin, end in self.spans) / max(1, self.num_symbols)

    def add(self, begin: int, end: int) -> None:
        """Add a span."""
        if end - begin > self.longest[1] - self.longest[0]:
            self.longest = (begin, end)
        if end - begin >= LONG:
            self.spans.append((begin, end))


def joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans in order; spans that touch or overlap are merged."""
    result: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if result and begin <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((begin, end))
    return result


@dataclass(frozen=True, slots=True)
class Windows:
    """All windows of some texts, sorted by hash."""

    symbols: Symbols
    """The texts one after the other, and a 0, (N + 1,)."""
    offsets: Positions
    """Where each text starts in `symbols`, and where the last one ends."""
    hashes: Hashes
    """Ascending, (n,)."""
    numbers: Positions
    """Index of the text of each window, (n,)."""
    positions: Positions
    """Position of each window in its text, (n,)."""
    size: int
    """Symbols of a window."""

    @classmethod
    def of(cls, texts: Sequence[Symbols], size: int = WINDOW) -> "Windows":
        """Return the windows of texts; a text with fewer symbols than a window has none."""
        hashes = [hashes_of(text, size) for text in texts]
        numbers = np.repeat(np.arange(len(texts)), [len(each) for each in hashes])
        positions = np.concatenate([np.zeros(0, int), *(np.arange(len(each)) for each in hashes)])
        all_hashes = np.concatenate([np.zeros(0, np.uint64), *hashes])
        order = np.argsort(all_hashes, kind="stable")
        return cls(
            symbols=np.concatenate([*texts, np.zeros(1, np.uint32)]),
            offsets=np.cumsum([0, *map(len, texts)]),
            hashes=all_hashes[order],
            numbers=numbers[order],
            positions=positions[order],
            size=size,
        )

    def matches(self, block: Symbols) -> Iterator[tuple[int, int, int]]:
        """Yield text, begin and end of spans that occur in a block.

        They are all spans of LONG symbols or more, and the longest of each text.
        """
        for numbers, begins, lengths, _ in self.aligned(block):
            spans = np.flatnonzero(lengths >= LONG).tolist()
            order = np.lexsort((lengths, numbers))  # the last of each text is its longest
            spans += order[np.diff(numbers[order], append=-1) != 0].tolist()
            for i in spans:
                if lengths[i] >= self.size:  # less if only the hashes match
                    yield int(numbers[i]), int(begins[i]), int(begins[i] + lengths[i])

    def aligned(self, block: Symbols) -> Iterator[tuple[Positions, ...]]:
        """Yield spans that occur in a block: text, begin, length, and position in the block, (n,).

        Each is as long as it can be; it is shorter than a window if only the hashes match.
        """
        hashes = hashes_of(block, self.size)
        first = np.searchsorted(self.hashes, hashes)
        count = np.searchsorted(self.hashes, hashes, side="right") - first
        hits = np.flatnonzero(count)
        ends = np.cumsum(count[hits])
        begin = 0
        while begin < len(hits):
            offset = ends[begin - 1] if begin else 0
            end = max(begin + 1, int(np.searchsorted(ends, offset + PAIRS, side="right")))
            part = hits[begin:end]
            yield self._spans(block, part, first[part], count[part])
            begin = end

    def _spans(
        self, block: Symbols, hits: Positions, first: Positions, count: Positions
    ) -> tuple[Positions, ...]:
        """Return the spans that begin at `hits`, positions of a block, as `aligned` yields them.

        `first` is the index of the first window with the hash at each, `count` their number.
        """
        in_block = np.repeat(hits, count)
        chosen = np.arange(len(in_block)) - np.repeat(np.cumsum(count) - count, count)
        chosen += np.repeat(first, count)
        in_texts = self.offsets[self.numbers[chosen]] + self.positions[chosen]
        # If the symbols before match too, the span begins earlier and is found at that position.
        is_inner = (self.positions[chosen] > 0) & (in_block > 0)
        is_inner &= self.symbols[in_texts - 1] == block[in_block - 1]
        in_block, in_texts, chosen = in_block[~is_inner], in_texts[~is_inner], chosen[~is_inner]
        numbers, begins = self.numbers[chosen], self.positions[chosen]
        lengths = self._common(in_texts, self.offsets[numbers + 1], block, in_block)
        return numbers, begins, lengths, in_block

    def _common(
        self, in_texts: Positions, ends: Positions, block: Symbols, in_block: Positions
    ) -> Positions:
        """Return the number of equal symbols from each pair of positions on, (n,)."""
        lengths = np.zeros(len(in_texts), dtype=np.int64)
        active = np.arange(len(in_texts))
        while len(active):
            mine, theirs = (each[active] + lengths[active] for each in (in_texts, in_block))
            is_inside = (mine < ends[active]) & (theirs < len(block))
            is_same = self.symbols[mine] == block[np.minimum(theirs, len(block) - 1)]
            active = active[is_inside & is_same]
            lengths[active] += 1
        return lengths


def hashes_of(codes: Symbols, size: int = WINDOW) -> Hashes:
    """Return the hash of each window, (N - size + 1,); empty for fewer symbols."""
    count = max(0, len(codes) - size + 1)
    result = np.zeros(count, dtype=np.uint64)
    for i in range(size if count else 0):
        result *= BASE
        result += codes[i : i + count] + np.uint64(1)
    return result
