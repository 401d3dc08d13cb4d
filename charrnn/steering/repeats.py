"""Make a symbol that would repeat a span less likely: an exponential penalty, as DRY sampling has.

A symbol completes a repeated span of n symbols if it and the n - 1 symbols before it stand together in
the last WINDOW symbols, prompt included. From n = N on its logit falls by FIRST * GROWTH ^ (n - N).

For each distance the length of the span that is repeated at that distance is carried from symbol to
symbol: the work for a symbol is bounded, and the same in NumPy, C and torch.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

WINDOW = 10_000
"""Most symbols that are looked back on."""

FIRST, GROWTH = 0.25, 1.2
"""Penalty of the shortest span, and its factor for each symbol more: docs/experiments.md."""

HIGHEST = 1e4
"""Largest penalty: what remains possible stays so."""

LONGEST = 200
"""Symbols beyond the shortest span from which a span counts as no longer."""

Logits = NDArray[np.float32]
Ints = NDArray[np.int32]


def penalties(shortest: int) -> Logits:
    """Return the penalty for a repeated span by its length, (shortest + LONGEST + 1,)."""
    beyond = np.arange(shortest + LONGEST + 1) - shortest
    growing = FIRST * np.power(GROWTH, np.maximum(beyond, 0).astype(np.float64))
    return np.where(beyond < 0, 0, np.minimum(growing, HIGHEST)).astype(np.float32)


def distinct(
    texts: Sequence[Sequence[int]],
) -> tuple[list[tuple[int, ...]], NDArray[np.int64]]:
    """Return the different ones of texts, and for each text which of them it is, (B,)."""
    number_of: dict[tuple[int, ...], int] = {}
    rows = [number_of.setdefault(tuple(text), len(number_of)) for text in texts]
    return list(number_of), np.array(rows)


class Repeats:
    """The spans that texts side by side repeat at their ends.

    Args:
        shortest: Symbols of the shortest span with a penalty (N), at least 2.
        fed: Symbols so far of each text (B).
        length: Symbols that a text will get at most.
    """

    def __init__(self, shortest: int, fed: Sequence[Sequence[int]], length: int) -> None:
        longest = max(map(len, fed))
        self.window = min(WINDOW, longest + length)
        """Symbols that are looked back on (W)."""
        self.penalties = penalties(shortest)
        self._shortest, self._end = shortest, self.window
        texts, rows = distinct([symbols[-self.window :] for symbols in fed])
        self._text = np.full((len(texts), 2 * self.window), -1, dtype=np.int32)
        self.runs = np.zeros((len(texts), self.window), dtype=np.int32)
        """Symbols at the end of each text that stand also W, ..., 2, 1 symbols before, (B, W)."""
        padded = np.full((len(texts), min(self.window, longest)), -1, dtype=np.int32)
        for row, symbols in enumerate(texts):
            padded[row, padded.shape[1] - len(symbols) :] = symbols
        for column in padded.T:
            self.read(column)
        self.runs *= self.past[:, -1:] >= 0  # a text without symbols repeats nothing
        self.runs, self._text = self.runs[rows], self._text[rows]

    @property
    def past(self) -> Ints:
        """The last symbols of each text, -1 before its start, (B, W)."""
        return self._text[:, self._end - self.window : self._end]

    def read(self, chosen: NDArray[Any]) -> None:
        """Append the next symbol of each text, (B,)."""
        self.runs += 1
        self.runs *= self.past == chosen[:, None]
        np.minimum(self.runs, len(self.penalties) - 2, out=self.runs)
        if self._end == self._text.shape[1]:
            self._text[:, : self.window] = self.past
            self._end = self.window
        self._text[:, self._end] = chosen
        self._end += 1

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Drop all texts but these."""
        self.runs, self._text = self.runs[rows], self._text[rows]

    def apply(self, logits: Logits) -> Logits:
        """Return logits less the penalty of each symbol, (B, V)."""
        rows, at = np.nonzero(self.runs >= self._shortest - 1)
        if not len(rows):
            return logits
        spans = np.zeros(logits.shape, dtype=np.int32)
        np.maximum.at(spans, (rows, self.past[rows, at]), self.runs[rows, at] + 1)
        result: Logits = logits - self.penalties[spans]
        return result
