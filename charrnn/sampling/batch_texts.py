"""The texts of a batch as arrays: how many, uniform numbers, symbols by the block, stop strings.

Legend of shapes:
    B texts   N symbols of a block
A loop over single symbols, as in sampler.py, would take longer than a GPU needs to generate them.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.data.vocab import Ids
from charrnn.nn.architecture import ModelConfig
from charrnn.nn.state import part_shapes
from charrnn.sampling.jobs import BLOCK, Written
from charrnn.steering.matching import Matching
from charrnn.steering.steering import Steering

MOST_ROWS, LEAST_ROWS, SCORES = 4096, 64, 1 << 22
"""The two batch sizes, and limit of the logits in a batch, about 100 bytes each."""

STATES = 1 << 28
"""Limit of the numbers in the states of a batch; only those of transformers reach it."""


def rows_for(config: ModelConfig) -> int:
    """Return the larger batch size: as many texts as the limits of logits and states allow."""
    state_size = sum(math.prod(shape) for shape in part_shapes(config).values())
    return max(LEAST_ROWS, min(MOST_ROWS, SCORES // config.vocab_size, STATES // state_size))


def uniform_blocks(
    seeds: Sequence[int], num_rows: int, length: int
) -> Iterator[NDArray[np.float64]]:
    """Yield the numbers of `uniforms` for each seed, (length, num_rows) each; 0 for idle rows.

    An array is valid until the next one; `length` is a divisor of BLOCK.
    """
    generators = [np.random.default_rng(seed) for seed in seeds]
    numbers = np.zeros((num_rows, BLOCK))
    while True:
        for generator, row in zip(generators, numbers, strict=False):
            generator.random(out=row)
        for begin in range(0, BLOCK, length):
            yield numbers[:, begin : begin + length].T


OPEN = np.iinfo(np.int64).max
"""Number of the symbols of a text that has not ended."""


class BatchTexts:
    """Collects the symbols of B texts; each ends where its match does, or at its first stop string.

    Args:
        stops: Stop strings as ids; where several end at the same symbol, the longest one counts.
        num_texts: Number of texts (B).
        steering: Constraints of the texts, of which a pattern ends them.
        length: Symbols that a text has at most.
    """

    def __init__(
        self, stops: Sequence[Sequence[int]], num_texts: int, steering: Steering | None = None,
        length: int = 0,
    ) -> None:  # fmt: skip
        automaton = steering and steering.automaton
        self._matching = Matching(automaton, num_texts, length) if automaton else None
        self._stops = [list(stop) for stop in stops if len(stop)]
        self._blocks: list[NDArray[Any]] = []
        self._length = 0
        self._open = np.arange(num_texts)
        """The texts whose match has not ended."""
        self._lasts = np.full(num_texts, OPEN)
        """Number of symbols until each text had ended."""
        self._ends = np.full(num_texts, OPEN)
        """Number of symbols of each text without what is not part of it."""
        self._reasons = np.full(num_texts, "length", dtype=object)

    @property
    def are_over(self) -> bool:
        """True if every text has ended before its length."""
        return bool((self._lasts < OPEN).all())

    def add(self, symbols: Ids) -> None:
        """Add the next symbols of all texts, (N, B)."""
        self._blocks.append(symbols)
        if self._matching is not None:
            self._end_matches(self._matching, symbols)
        self._length += len(symbols)
        if self._stops:
            sizes = self._stop_sizes(len(symbols))
            first = (sizes > 0).argmax(axis=0)
            size = np.take_along_axis(sizes, first[None], axis=0)[0]
            lasts = self._length - len(symbols) + first + 1
            is_new = (size > 0) & (lasts <= self._lasts)
            self._lasts[is_new], self._reasons[is_new] = lasts[is_new], "stop"
            self._ends[is_new] = (lasts - size)[is_new]

    def _end_matches(self, matching: Matching, symbols: Ids) -> None:
        """Note the texts whose match ends in a block."""
        for count, chosen in enumerate(symbols, start=self._length + 1):
            matching.read(chosen[self._open])
            is_over = matching.is_over
            if is_over.any():
                over = self._open[is_over]
                self._lasts[over] = count
                self._ends[over] = count - matching.is_left[is_over]
                self._reasons[over[matching.is_complete[is_over]]] = "match"
                self._open = self._open[~is_over]
                matching.keep(~is_over)

    def _stop_sizes(self, count: int) -> NDArray[np.int64]:
        """Return the size of the longest stop string that ends at each of the last symbols, or 0."""
        recent = self._recent(count + max(map(len, self._stops)) - 1)
        sizes = np.zeros((count, recent.shape[1]), dtype=np.int64)
        for stop in sorted(self._stops, key=len):
            num_ends = min(count, len(recent) - len(stop) + 1)
            if num_ends <= 0:
                continue  # longer than the texts
            begin = len(recent) - num_ends - len(stop) + 1
            is_hit = np.ones((num_ends, recent.shape[1]), dtype=np.bool_)
            for offset, symbol in enumerate(stop, start=begin):
                is_hit &= recent[offset : offset + num_ends] == symbol
            sizes[count - num_ends :][is_hit] = len(stop)
        return sizes

    def _recent(self, count: int) -> NDArray[Any]:
        """Return the last `count` symbols of the texts, or all if there are fewer."""
        taken, found = 0, []
        for block in reversed(self._blocks):
            found.append(block[max(0, len(block) - (count - taken)) :])
            taken += len(found[-1])
            if taken == count:
                break
        return np.concatenate(found[::-1])

    def written(self) -> list[Written]:
        """Return the ids of each text, without what is not part of it, and why it ended."""
        rows = np.ascontiguousarray(np.concatenate(self._blocks).T)
        ends = np.minimum(self._ends, rows.shape[1]).tolist()
        return [
            (row[:end], reason) for row, end, reason in zip(rows, ends, self._reasons, strict=True)
        ]
