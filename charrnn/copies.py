"""Which spans of generated text stand verbatim in a corpus: the longest, and how much is copied.

Windows of text and corpus are compared by a polynomial hash modulo 2^64 (Karp and Rabin, 1987);
what agrees is compared symbol by symbol and followed to its end, so that a collision costs time and
never truth. The corpus is read in blocks: it may be larger than memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from charrnn.textfiles import Codes, Reading, Survey, find_files, read_codes
from charrnn.vocab import ByteVocabulary, Vocabulary

LONG = 30
"""Symbols from which on a span counts as copied; shorter ones occur by chance."""

WINDOW = 16
"""Symbols that are hashed; shorter spans are looked for only where no such window agrees."""

BLOCK = 4_000_000
"""Symbols of the corpus looked at together."""

LONGEST = 10_000
"""Symbols up to which a span is followed across the end of a block."""

PAIRS = 1_000_000
"""Agreeing places that are followed together."""

BASE = np.uint64(0x9E3779B97F4A7C15)

Hashes = NDArray[np.uint64]


@dataclass(slots=True)
class Copies:
    """What of one text stands in the corpus."""

    num_symbols: int
    longest: tuple[int, int] = (0, 0)
    """Begin and end of the longest span."""
    spans: list[tuple[int, int]] = field(default_factory=list)
    """All that have at least LONG symbols, in order, none overlapping."""

    @property
    def share(self) -> float:
        """Share of the text that lies in long spans."""
        return sum(end - begin for begin, end in self.spans) / max(1, self.num_symbols)

    def take(self, begin: int, end: int) -> None:
        """Take in a span that was found."""
        if end - begin > self.longest[1] - self.longest[0]:
            self.longest = (begin, end)
        if end - begin >= LONG:
            self.spans = joined([*self.spans, (begin, end)])


def joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans in order, those that touch as one."""
    result: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if result and begin <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((begin, end))
    return result


class Source:
    """A corpus that is searched.

    Args:
        paths: Files and folders.
        vocab: Of the model whose texts are compared; bytes are compared as bytes.

    Raises:
        InputError: There is no text, or it cannot be read.
    """

    def __init__(self, paths: list[Path], vocab: Vocabulary) -> None:
        self.is_bytes = isinstance(vocab, ByteVocabulary)
        self.files = find_files(paths)[0]
        next(self.blocks(), None)  # an unreadable one is an error before anything is written

    def codes(self, text: str, raw: bytes) -> NDArray[np.uint32]:
        """Return a text as this corpus is compared with it."""
        if self.is_bytes:
            return np.frombuffer(raw, np.uint8).astype(np.uint32)
        return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)

    def blocks(self) -> Iterator[NDArray[np.uint32]]:
        """Yield the corpus, each block with the end of the one before."""
        reading = Reading(bytes=self.is_bytes)
        held: list[Codes] = []
        for path in self.files:
            for chunk in read_codes(path, reading, Survey()):
                held.append(chunk)
                if sum(map(len, held)) >= BLOCK:
                    block = np.concatenate(held).astype(np.uint32)
                    yield block
                    held = [block[-LONGEST:]]
        if held:
            yield np.concatenate(held).astype(np.uint32)

    def search(self, texts: Sequence[NDArray[np.uint32]]) -> list[Copies]:
        """Return what of each text stands in the corpus."""
        found = [Copies(len(text)) for text in texts]
        windows = Windows.of(texts)
        for block in self.blocks():
            for text, begin, end in windows.matches(block):
                found[text].take(begin, end)
        short = [i for i, copies in enumerate(found) if not copies.longest[1]]
        for block in self.blocks() if short else ():
            for i in short:
                found[i].take(*longest_short(texts[i], block))
        return found


@dataclass(frozen=True, slots=True)
class Windows:
    """All windows of some texts, by their hashes."""

    texts: Sequence[NDArray[np.uint32]]
    hashes: Hashes
    """Ascending, (n,)."""
    numbers: NDArray[np.int64]
    """Which text each stands in, (n,)."""
    places: NDArray[np.int64]
    """Where it begins there, (n,)."""

    @classmethod
    def of(cls, texts: Sequence[NDArray[np.uint32]]) -> "Windows":
        """Return the windows of texts; shorter ones have none."""
        hashes = [hashes_of(text) for text in texts]
        numbers = np.repeat(np.arange(len(texts)), [len(each) for each in hashes])
        places = np.concatenate([np.arange(len(each)) for each in hashes] or [np.zeros(0, int)])
        whole = np.concatenate(hashes or [np.zeros(0, np.uint64)])
        order = np.argsort(whole, kind="stable")
        return cls(texts, whole[order], numbers[order], places[order])

    def matches(self, block: NDArray[np.uint32]) -> Iterator[tuple[int, int, int]]:
        """Yield text, begin and end of every span that a block has too, none part of another."""
        there = hashes_of(block)
        first = np.searchsorted(self.hashes, there)
        count = np.searchsorted(self.hashes, there, side="right") - first
        hits = np.flatnonzero(count)
        ends = np.cumsum(count[hits])
        begin = 0
        while begin < len(hits):
            offset = ends[begin - 1] if begin else 0
            end = max(begin + 1, int(np.searchsorted(ends, offset + PAIRS, side="right")))
            part = hits[begin:end]
            yield from self._follow(block, part, first[part], count[part])
            begin = end

    def _follow(
        self,
        block: NDArray[np.uint32],
        hits: NDArray[np.int64],
        first: NDArray[np.int64],
        count: NDArray[np.int64],
    ) -> Iterator[tuple[int, int, int]]:
        """Yield the spans that begin where these windows of a block agree with some of a text."""
        there = np.repeat(hits, count)
        chosen = np.arange(len(there)) - np.repeat(np.cumsum(count) - count, count)
        chosen += np.repeat(first, count)
        numbers, here = self.numbers[chosen], self.places[chosen]
        sizes = np.array([len(text) for text in self.texts])
        starts = np.concatenate([[0], np.cumsum(sizes)])
        joined_texts = np.concatenate([*self.texts, np.zeros(1, np.uint32)])
        at = starts[numbers] + here
        # What agrees one symbol earlier too is part of a span that begins there.
        is_inner = (here > 0) & (there > 0) & (joined_texts[at - 1] == block[there - 1])
        there, at, numbers, here = (each[~is_inner] for each in (there, at, numbers, here))
        lengths = np.zeros(len(at), dtype=np.int64)
        going = np.arange(len(at))
        while len(going):
            places, theirs = at[going] + lengths[going], there[going] + lengths[going]
            inside = (here[going] + lengths[going] < sizes[numbers[going]]) & (theirs < len(block))
            same = joined_texts[places] == block[np.minimum(theirs, len(block) - 1)]
            going = going[inside & same]
            lengths[going] += 1
        for number, begin, length in zip(
            numbers.tolist(), here.tolist(), lengths.tolist(), strict=True
        ):
            if length:
                yield number, begin, begin + length


def hashes_of(codes: NDArray[np.uint32]) -> Hashes:
    """Return the hash of each window, (N - WINDOW + 1,); empty where there is none."""
    size = max(0, len(codes) - WINDOW + 1)
    result = np.zeros(size, dtype=np.uint64)
    for i in range(WINDOW if size else 0):
        result *= BASE
        result += codes[i : i + size] + np.uint64(1)
    return result


def longest_short(text: NDArray[np.uint32], block: NDArray[np.uint32]) -> tuple[int, int]:
    """Return begin and end of the longest span under WINDOW symbols that a block has too."""
    data, source = text.tobytes(), block.tobytes()
    best = (0, 0)
    for begin in range(len(text)):
        for end in range(begin + best[1] - best[0] + 1, min(len(text), begin + WINDOW) + 1):
            if not stands_in(data[4 * begin : 4 * end], source):
                break
            best = (begin, end)
    return best


def stands_in(piece: bytes, source: bytes) -> bool:
    """Say whether symbols of four bytes stand in others."""
    at = source.find(piece)
    while at > 0 and at % 4:
        at = source.find(piece, at + 1)
    return at >= 0
