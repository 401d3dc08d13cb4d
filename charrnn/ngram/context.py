"""Track the n-gram context of running texts, and mix the prediction into logits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.ngram.counts import Texts, mask, packed
from charrnn.ngram.gate import mix
from charrnn.ngram.model import NgramModel
from charrnn.ngram.words import CONTEXT, chars_of
from charrnn.nn.engine import Floats


class ContextTracker:
    """Tracks the contexts of a batch of texts.

    Args:
        memories: An n-gram model, or several with the same symbols.
        num_rows: Number of texts (B).
    """

    def __init__(self, memories: NgramModel | Sequence[NgramModel], num_rows: int) -> None:
        memories = [memories] if isinstance(memories, NgramModel) else memories
        self._longest = max(memory.order for memory in memories)
        self._bits = memories[0].bits
        self._words = next((memory.words for memory in memories if memory.words), None)
        self.contexts = np.zeros(num_rows, dtype=CONTEXT if self._words else np.uint64)
        """What was read: the last K symbols of each text, packed, or with its words, (B,)."""
        self.lengths = np.zeros(num_rows, dtype=np.int64)
        """Number of symbols in each context, (B,)."""

    def read(
        self, ids: NDArray[Any], is_fresh: Any = False
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Append symbols; return the contexts after each symbol and their lengths, both (B, T).

        Args:
            ids: The next symbols of each text, (B, T).
            is_fresh: True for texts that begin with an empty context, (B,).
        """
        self.lengths = np.where(is_fresh, 0, self.lengths)
        self.contexts = np.where(is_fresh, np.zeros(1, self.contexts.dtype), self.contexts)
        contexts = np.empty(ids.shape, dtype=self.contexts.dtype)
        for t in range(ids.shape[1]):
            self.contexts = contexts[:, t] = self._after(ids[:, t])
        lengths = np.minimum(self._longest, self.lengths[:, None] + 1 + np.arange(ids.shape[1]))
        if ids.shape[1]:
            self.lengths = lengths[:, -1]
        return contexts, lengths

    def _after(self, symbols: NDArray[Any]) -> NDArray[Any]:
        chars = chars_of(self.contexts) << np.uint64(self._bits) | symbols.astype(np.uint64)
        chars = chars & mask(self._bits * self._longest)
        if self._words is None:
            return chars
        contexts = self._words.after(self.contexts, symbols)
        contexts["chars"] = chars
        return contexts

    def begin(self, texts: Sequence[Sequence[int]]) -> None:
        """Begin anew, with what was read of each text (B)."""
        sizes = np.array([len(text) for text in texts], dtype=np.int64)
        self.lengths = np.minimum(sizes, self._longest)
        self.contexts = np.zeros(len(sizes), dtype=self.contexts.dtype)
        kept = sizes if self._words else self.lengths
        parts = [list(text)[size - n :] for text, size, n in zip(texts, sizes, kept, strict=True)]
        ids = np.array([symbol for part in parts for symbol in part], dtype=np.uint32)
        if not len(ids) or not self._longest:
            return
        whole = Texts(ids, np.concatenate([np.arange(n) for n in kept]))
        ends, has_read = np.cumsum(kept)[kept > 0] - 1, kept > 0
        if self._words is None:
            *_, chars = packed(whole, self._longest - 1, self._bits)
            self.contexts[has_read] = chars[ends]
        else:
            self.contexts[has_read] = self._words.read(whole, self._longest)[ends]

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
        self._memories, self._reader = memories, ContextTracker(memories, 1)
        self._reader.begin([fed])

    def read(self, symbol: int) -> None:
        """Append the next symbol of the text."""
        self._reader.read(np.array([[symbol]]))

    def mixed(self, logits: Floats) -> Floats:
        """Return the logits of the mixture, (V,)."""
        contexts, length = self._reader.contexts, int(self._reader.lengths[0])
        if not length:  # without context the network is better alone
            return logits
        scores = logits[None]
        for memory in self._memories:
            scores = mix(scores, memory.predict_next(contexts, length), memory.weight)
        result: Floats = scores[0]
        return result


class BatchMixer:
    """Tracks the contexts of a batch of texts, and mixes the n-gram predictions into logits.

    Args:
        memories: n-gram models with the same symbols, mixed in one after the other.
        fed: Symbols so far of each text (B).
    """

    def __init__(self, memories: Sequence[NgramModel], fed: Sequence[Sequence[int]]) -> None:
        self._memories, self._reader = memories, ContextTracker(memories, len(fed))
        self._reader.begin(fed)

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
