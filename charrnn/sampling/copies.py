"""Spans of generated text that occur in a corpus; which texts are new."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from charrnn.checkpoints.model import Model, reading_of
from charrnn.core.errors import InputError, printable
from charrnn.data.encoding import closed
from charrnn.data.text_files import Codes, Reading, Survey, find_files, read_codes
from charrnn.data.vocab import ByteVocabulary
from charrnn.sampling.jobs import Sample

LONG = 30
"""Symbols from which on a span counts as copied; shorter ones occur by chance."""

WINDOWS = (16, 8, 4, 2, 1)
"""Symbols that are hashed together; shorter windows only where no longer one agrees."""

BLOCK = 4_000_000
"""Symbols of the corpus looked at together."""

LONGEST = 10_000
"""Symbols up to which a span is followed across the end of a block."""

PAIRS = 1_000_000
"""Agreeing places that are followed together."""

BASE = np.uint64(0x9E3779B97F4A7C15)

Symbols = NDArray[np.uint32]
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
            self.spans.append((begin, end))


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
        reading: How the model that writes has read its own text.

    Raises:
        InputError: It is empty, or cannot be read.
    """

    def __init__(self, paths: list[Path], reading: Reading) -> None:
        self.reading, self.files = reading, find_files(paths)[0]
        if next(self.blocks(), None) is None:
            raise InputError(f"{printable(paths[0])}: is empty; name a text to compare with")

    def codes(self, text: str, raw: bytes) -> Symbols:
        """Return a text as this corpus is compared with it."""
        if self.reading.bytes:
            return np.frombuffer(raw, np.uint8).astype(np.uint32)
        return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)

    def blocks(self) -> Iterator[Symbols]:
        """Yield the corpus as training reads it, each block with the end of the one before."""
        held: list[Codes] = []
        for i, path in enumerate(self.files):
            chunks = read_codes(path, self.reading, Survey())
            for chunk in closed(chunks, adds_newline=i < len(self.files) - 1):
                held.append(chunk)
                if sum(map(len, held)) >= BLOCK:
                    block = np.concatenate(held).astype(np.uint32)
                    yield block
                    held = [block[-LONGEST:]]
        if held:
            yield np.concatenate(held).astype(np.uint32)

    def search(self, texts: Sequence[Symbols]) -> list[Copies]:
        """Return what of each text stands in the corpus."""
        found = [Copies(len(text)) for text in texts]
        for size in WINDOWS:
            open_ones = [i for i, copies in enumerate(found) if not copies.longest[1]]
            windows = Windows.of([texts[i] for i in open_ones], size)
            for block in self.blocks() if len(windows.hashes) else ():
                for number, begin, end in windows.matches(block):
                    found[open_ones[number]].take(begin, end)
        for copies in found:
            copies.spans = joined(copies.spans)
        return found


@dataclass(frozen=True, slots=True)
class Windows:
    """All windows of some texts, by their hashes."""

    texts: Sequence[Symbols]
    size: int
    """Symbols of a window."""
    hashes: Hashes
    """Ascending, (n,)."""
    numbers: NDArray[np.int64]
    """Which text each stands in, (n,)."""
    places: NDArray[np.int64]
    """Where it begins there, (n,)."""

    @classmethod
    def of(cls, texts: Sequence[Symbols], size: int) -> "Windows":
        """Return the windows of texts; shorter ones have none."""
        hashes = [hashes_of(text, size) for text in texts]
        numbers = np.repeat(np.arange(len(texts)), [len(each) for each in hashes])
        places = np.concatenate([np.arange(len(each)) for each in hashes] or [np.zeros(0, int)])
        whole = np.concatenate(hashes or [np.zeros(0, np.uint64)])
        order = np.argsort(whole, kind="stable")
        return cls(texts, size, whole[order], numbers[order], places[order])

    def matches(self, block: Symbols) -> Iterator[tuple[int, int, int]]:
        """Yield text, begin and end of all long spans that a block has too, and of the longest."""
        there = hashes_of(block, self.size)
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
        block: Symbols,
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
        kept = np.flatnonzero(lengths >= LONG).tolist()
        order = np.lexsort((lengths, numbers))  # the last of each text is its longest
        kept += order[np.append(np.diff(numbers[order]) != 0, True)].tolist() if len(order) else []
        for i in kept:
            if lengths[i]:
                yield int(numbers[i]), int(here[i]), int(here[i] + lengths[i])


def hashes_of(codes: Symbols, window: int) -> Hashes:
    """Return the hash of each window, (N - window + 1,); empty where there is none."""
    size = max(0, len(codes) - window + 1)
    result = np.zeros(size, dtype=np.uint64)
    for i in range(window if size else 0):
        result *= BASE
        result += codes[i : i + size] + np.uint64(1)
    return result


class Novelty:
    """Says which samples do not stand in a corpus.

    A record is compared, with its prompt, with whole lines: Ann is new beside Anna, and nothing is
    nothing new. Any other text is new unless all of it stands somewhere in the corpus.

    Args:
        corpus: A file or folder.
        model: Whose samples.

    Raises:
        InputError: The corpus is empty, or cannot be read.
    """

    def __init__(self, corpus: Path, model: Model) -> None:
        self._model = model
        self._source = Source([corpus], reading_of(model))
        self._lines = frozenset(lines_of(self._source)) if model.records else None

    def are_new(self, samples: Sequence[Sample]) -> list[bool]:
        """Say of each sample whether it is new."""
        if self._lines is not None:
            records = map(self._record, samples)
            return [bool(record) and record not in self._lines for record in records]
        texts = [self._source.codes(sample.text, sample.raw) for sample in samples]
        found = self._source.search(texts)
        return [copies.longest[1] - copies.longest[0] < copies.num_symbols for copies in found]

    def _record(self, sample: Sample) -> bytes:
        vocab = self._model.vocab
        if isinstance(vocab, ByteVocabulary):
            return vocab.raw(vocab.encode(sample.prompt)) + sample.raw
        return (sample.prompt + sample.text).encode("utf-8", "surrogatepass")


def lines_of(source: Source) -> Iterator[bytes]:
    """Yield the lines of a corpus, as bytes that can be compared."""
    rest = b""
    for i, path in enumerate(source.files):
        chunks = read_codes(path, source.reading, Survey())
        for chunk in closed(chunks, adds_newline=i < len(source.files) - 1):
            *lines, rest = (rest + encoded(chunk, is_bytes=source.reading.bytes)).split(b"\n")
            yield from filter(None, lines)  # an empty line is no record
    if rest:
        yield rest


def encoded(codes: np.ndarray[tuple[int], np.dtype[np.generic]], *, is_bytes: bool) -> bytes:
    """Return code points as UTF-8; bytes stay what they are."""
    if is_bytes:
        return codes.astype(np.uint8).tobytes()
    text = codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
    return text.encode("utf-8", "surrogatepass")
