"""Track the n-gram context of running texts, and mix the prediction into logits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.ngram.counts import Keys, mask
from charrnn.ngram.gate import mix
from charrnn.ngram.model import NgramModel
from charrnn.nn.engine import Floats


class ContextTracker:
    """Tracks the packed contexts of a batch of texts.

    Args:
        memory: The n-gram model.
        num_rows: Number of texts (B).
    """

    def __init__(self, memory: NgramModel, num_rows: int) -> None:
        self._shift = np.uint64(memory.bits)
        self._mask, self._longest = mask(memory.bits * memory.order), memory.order
        self.contexts = np.zeros(num_rows, dtype=np.uint64)
        """The last K symbols of each text, packed, (B,)."""
        self.lengths = np.zeros(num_rows, dtype=np.int64)
        """Number of symbols in each context, (B,)."""

    def read(self, ids: NDArray[Any], is_fresh: Any = False) -> tuple[Keys, NDArray[np.int64]]:
        """Append symbols; return the packed contexts after each symbol and their lengths, both (B, T).

        Args:
            ids: The next symbols of each text, (B, T).
            is_fresh: True for texts that begin with an empty context, (B,).
        """
        self.lengths = np.where(is_fresh, 0, self.lengths)
        symbols = ids.astype(np.uint64)
        contexts = np.empty(symbols.shape, dtype=np.uint64)
        for t in range(symbols.shape[1]):
            self.contexts = ((self.contexts << self._shift) | symbols[:, t]) & self._mask
            contexts[:, t] = self.contexts
        lengths = np.minimum(self._longest, self.lengths[:, None] + 1 + np.arange(ids.shape[1]))
        if ids.shape[1]:
            self.lengths = lengths[:, -1]
        return contexts, lengths

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Drop all texts but these."""
        self.contexts, self.lengths = self.contexts[rows], self.lengths[rows]


class StreamMixer:
    """Tracks the context of one text, and mixes the n-gram prediction into logits.

    Args:
        memories: n-gram models with the same symbols, mixed in one after the other.
        fed: Symbols of the text so far.
    """

    def __init__(self, memories: Sequence[NgramModel], fed: Sequence[int]) -> None:
        self._memories, longest = memories, longest_of(memories)
        self._bits, self._longest = longest.bits, longest.order
        self._mask = int(mask(longest.bits * longest.order))
        self._context, self._length = 0, 0
        for symbol in fed:
            self.read(symbol)

    def read(self, symbol: int) -> None:
        """Append the next symbol of the text."""
        self._context = (self._context << self._bits | symbol) & self._mask
        self._length = min(self._length + 1, self._longest)

    def mixed(self, logits: Floats) -> Floats:
        """Return the logits of the mixture, (V,)."""
        if not self._length:  # without context the network is better alone
            return logits
        scores = logits[None]
        for memory in self._memories:
            length = min(self._length, memory.order)
            context = self._context & int(mask(memory.bits * length))
            scores = mix(scores, memory.predict_one(context, length), memory.weight)
        result: Floats = scores[0]
        return result


class BatchMixer:
    """Tracks the contexts of a batch of texts, and mixes the n-gram predictions into logits.

    Args:
        memories: n-gram models with the same symbols, mixed in one after the other.
        fed: Symbols so far of each text (B).
    """

    def __init__(self, memories: Sequence[NgramModel], fed: Sequence[Sequence[int]]) -> None:
        longest = longest_of(memories)
        self._memories, self._reader = memories, ContextTracker(longest, len(fed))
        ends = [list(symbols)[-longest.order :] for symbols in fed]
        padded = [
            [0] * (longest.order - len(end)) + end for end in ends
        ]  # a leading 0 changes no packed context
        self._reader.read(np.array(padded, dtype=np.int64).reshape(len(fed), longest.order))
        self._reader.lengths = np.array([len(end) for end in ends])

    def read(self, symbols: NDArray[Any]) -> None:
        """Append the next symbol of each text, (B,)."""
        self._reader.read(symbols[:, None])

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Drop all texts but these."""
        self._reader.keep(rows)

    def mixed(self, logits: Floats) -> Floats:
        """Return the logits of the mixture, (B, V)."""
        has_read = self._reader.lengths > 0
        if not has_read.any():  # no text has any context
            return logits
        scores = np.where(has_read[:, None], logits, np.float32(0))  # those of a start may be -inf
        for memory in self._memories:
            prediction = memory.predict(self._reader.contexts, self._reader.lengths)
            scores = mix(scores, prediction, memory.weight)
        return scores if has_read.all() else np.where(has_read[:, None], scores, logits)


def longest_of(memories: Sequence[NgramModel]) -> NgramModel:
    """Return the n-gram model with the longest contexts, which hold those of the others."""
    return max(memories, key=lambda memory: memory.order)
