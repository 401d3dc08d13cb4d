"""A memory that reads along while texts are written: one text, or many side by side."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.engine import Floats
from charrnn.memory import Memory, Reader
from charrnn.mixing import mix
from charrnn.orders import mask


class OneFollower:
    """Reads one text along.

    Args:
        memory: What is asked.
        fed: Symbols that were there before the first is written.
    """

    def __init__(self, memory: Memory, fed: Sequence[int]) -> None:
        self._memory, self._mask = memory, int(mask(memory.bits * memory.order))
        self._context, self._length = 0, 0
        for symbol in fed:
            self.read(symbol)

    def read(self, symbol: int) -> None:
        """Take in what the text goes on with."""
        self._context = (self._context << self._memory.bits | symbol) & self._mask
        self._length = min(self._length + 1, self._memory.order)

    def mixed(self, logits: Floats) -> Floats:
        """Return scores of the next symbol, (V,), with what the memory says mixed in."""
        if not self._length:  # nothing was read that it could go by
            return logits
        said = self._memory.recall_one(self._context, self._length)
        scores: Floats = mix(logits[None], said, self._memory.weight)[0]
        return scores


class ManyFollowers:
    """Reads texts along, side by side.

    Args:
        memory: What is asked.
        fed: Symbols that were there before the first is written, of each text (B).
    """

    def __init__(self, memory: Memory, fed: Sequence[Sequence[int]]) -> None:
        self._memory, self._reader = memory, Reader(memory, len(fed))
        ends = [list(symbols)[-memory.order :] for symbols in fed]
        padded = [[0] * (memory.order - len(end)) + end for end in ends]  # 0 changes no context
        self._reader.read(np.array(padded, dtype=np.int64).reshape(len(fed), memory.order))
        self._reader.lengths = np.array([len(end) for end in ends])

    def read(self, symbols: NDArray[Any]) -> None:
        """Take in what each text goes on with, (B,)."""
        self._reader.read(symbols[:, None])

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Go on with some of the texts only."""
        self._reader.keep(rows)

    def mixed(self, logits: Floats) -> Floats:
        """Return scores of the next symbols, (B, V), with what the memory says mixed in."""
        has_read = self._reader.lengths > 0
        if not has_read.any():  # there is nothing that it could go by
            return logits
        said = self._memory.recall(self._reader.contexts, self._reader.lengths)
        scores: Floats = mix(logits, said, self._memory.weight)
        return scores if has_read.all() else np.where(has_read[:, None], scores, logits)
