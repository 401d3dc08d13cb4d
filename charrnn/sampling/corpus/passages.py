"""Where a corpus has the spans of texts: file and line."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from charrnn.data.text_files import NEWLINE
from charrnn.sampling.corpus.copies import Symbols, Windows
from charrnn.sampling.corpus.source import Source

SHORTEST = 12
"""Smallest number of symbols of a passage."""

Span = tuple[int, int, int]
"""Begin and end in a text, and the position of its first symbol in the corpus."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A span of a text that occurs in a file of a corpus."""

    begin: int
    end: int
    file: Path
    line: int
    """Line of the file in which it begins, from 1."""


def find_passages(source: Source, texts: Sequence[Symbols]) -> list[list[Passage]]:
    """Return the passages of each text in order: spans of SHORTEST symbols or more of the corpus.

    They do not overlap: from the left, each reaches as far as any can. Of several places in the
    corpus, the first is named.
    """
    windows = Windows.of(texts, SHORTEST)
    longest: list[dict[int, tuple[int, int]]] = [{} for _ in texts]
    for start, block in source.placed_blocks() if len(windows.hashes) else ():
        for spans in windows.aligned(block):
            for number, begin, length, position in zip(*map(np.ndarray.tolist, spans), strict=True):
                if length > longest[number].get(begin, (SHORTEST - 1, 0))[0]:
                    longest[number][begin] = length, start + position
    chosen = [covering((b, b + n, at) for b, (n, at) in sorted(e.items())) for e in longest]
    places = locate(source, sorted({position for spans in chosen for _, _, position in spans}))
    return [[Passage(b, e, *places[position]) for b, e, position in spans] for spans in chosen]


def covering(spans: Iterable[Span]) -> list[Span]:
    """Return spans that cover a text from the left, cut so that they do not overlap.

    Args:
        spans: In the order of their beginnings.
    """
    rest, chosen, at = list(spans), [], 0
    while rest := [span for span in rest if span[1] - max(span[0], at) >= SHORTEST]:
        at = max(at, rest[0][0])
        begin, end, position = max(
            (span for span in rest if span[0] <= at), key=lambda span: span[1]
        )
        chosen.append((at, end, position + at - begin))
        at = end
    return chosen


def locate(source: Source, positions: Sequence[int]) -> dict[int, tuple[Path, int]]:
    """Return the file and the line of each position of the corpus; positions ascend."""
    places: dict[int, tuple[Path, int]] = {}
    wanted, start = np.array(positions, dtype=np.int64), 0
    for number, path in enumerate(source.files if len(positions) else ()):
        line = 1
        for chunk in source.chunks_of(number):
            ends = np.flatnonzero(chunk == NEWLINE)
            first, last = np.searchsorted(wanted, (start, start + len(chunk)))
            for position in wanted[first:last].tolist():
                places[position] = path, line + int(np.searchsorted(ends, position - start))
            line, start = line + len(ends), start + len(chunk)
    return places
