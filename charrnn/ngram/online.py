"""An n-gram model that keeps counting: each symbol of a text is predicted, then counted."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.data.vocab import Ids
from charrnn.ngram.counts import Floats, Keys, Order, mask
from charrnn.ngram.model import NgramModel, NgramPrediction
from charrnn.ngram.word_model import BASE, product
from charrnn.ngram.words import chars_of


class OnlineNgrams:
    """An n-gram model that counts the text that it predicts like a second training text.

    There is one difference to a model counted anew: a context at the very beginning of a training
    text has no symbol before it there. If one comes before it here, it counts one more.

    Args:
        memory: Counts of the training text; they are not changed.
    """

    def __init__(self, memory: NgramModel) -> None:
        self.memory = memory
        self._new: list[dict[int, dict[int, int]]] = [{} for _ in memory.orders]
        self._words = [OnlineContext(order, memory) for order in memory.word_orders]

    def follow(
        self, contexts: NDArray[Any], lengths: NDArray[np.int64], symbols: Ids
    ) -> NgramPrediction:
        """Return the prediction at each symbol, and count the symbol after it.

        Args:
            contexts: The K symbols before each, packed, (n,); or rows of CONTEXT.
            lengths: Number of symbols in each context, 0 to K, (n,).
            symbols: Consecutive symbols of the text, (n,).
        """
        prediction, base = self._follow(chars_of(contexts), lengths, symbols)
        if self.memory.words is None:
            return prediction
        keys = self.memory.words.keys(contexts)
        for i, symbol in enumerate(symbols.tolist()):
            for context, low in zip(self._words, keys, strict=True):
                base[i] = context.refined(base[i], int(low[i]), symbol)
        return product(prediction, base)

    def _follow(
        self, contexts: Keys, lengths: NDArray[np.int64], symbols: Ids
    ) -> tuple[NgramPrediction, Floats]:
        """Return the prediction of the characters, and that of the last `BASE` of them, (n, V)."""
        sought = (
            self.memory.followers(k, contexts & mask(self.memory.bits * k))
            for k in range(len(self.memory.orders))
        )  # for all at once: a search for one context is mostly Python
        ranges = np.array([np.broadcast_arrays(*each, contexts)[:2] for each in sought])
        steps = zip(
            contexts.tolist(), lengths.tolist(), symbols.tolist(),
            ranges.transpose(2, 0, 1).tolist(), strict=True,
        )  # fmt: skip
        found = [self._predict_and_count(*step) for step in steps]
        p, base, statistics = zip(*found, strict=True)
        return NgramPrediction(np.stack(p), *np.array(statistics).T), np.stack(base)

    def _predict_and_count(
        self, context: int, length: int, symbol: int, ranges: list[list[int]]
    ) -> tuple[Floats, Floats, tuple[float, ...]]:
        """Return the probabilities after a context, (V,), those after its end, and statistics.

        The end is its last `BASE` symbols; the statistics are those of the first prediction.

        Args:
            context: Packed.
            length: Number of symbols in it.
            symbol: The symbol after it.
            ranges: By order, begin and end of the stored keys that begin with the context.
        """
        p = base = np.full(self.memory.vocab_size, 1.0 / self.memory.vocab_size)
        statistics = (0.0, 1.0, 1.0)  # order, total, followers
        seen: list[int] = []
        is_known = True
        for k in range(length + 1):
            part, (begin, end) = context & ((1 << self.memory.bits * k) - 1), ranges[k]
            if begin == end and part not in self._new[k]:
                is_known = False
                seen.append(0)
                continue
            counts = self._counts(k, part, begin, end)
            seen.append(int(counts[symbol]))
            is_known = is_known and bool(counts.any())
            if is_known:
                total, discounts = counts.sum(), self.memory.orders[k].discounted(counts)
                p = (counts - discounts + discounts.sum() * p) / total
                statistics = (float(k), float(total), float(np.count_nonzero(counts)))
                base = p if k <= BASE else base
        self._count(context, symbol, seen)
        return p, base, statistics

    def _counts(self, order: int, context: int, begin: int, end: int) -> NDArray[np.int64]:
        """Return the count of each symbol after a context, (V,)."""
        counts, stored = np.zeros(self.memory.vocab_size, dtype=np.int64), self.memory.orders[order]
        names = stored.keys[begin:end] & mask(self.memory.bits)
        counts[names.astype(np.intp)] = stored.counts[begin:end]
        for symbol, count in self._new[order].get(context, {}).items():
            counts[symbol] += count
        return counts

    def _count(self, context: int, symbol: int, seen: list[int]) -> None:
        """Count a symbol; in a lower order only if the key of the next order is new.

        At the beginning of the text, the longest key has no symbol before it. So it counts once.

        Args:
            context: Packed.
            symbol: The symbol after it.
            seen: Its previous count in each order, from 0 up to the length of the context.
        """
        is_beginning = len(seen) - 1 < self.memory.order
        for k in range(len(seen) - 1, -1, -1):
            is_new = seen[k] == 0
            if is_beginning and k == len(seen) - 1 and not is_new:
                return
            counts = self._new[k].setdefault(context & ((1 << self.memory.bits * k) - 1), {})
            counts[symbol] = counts.get(symbol, 0) + 1
            if not is_new:
                return


class OnlineContext:
    """Counts after one kind of word context, continued with the text that is predicted."""

    def __init__(self, order: Order, memory: NgramModel) -> None:
        self._order, self._ones = order, int(mask(memory.bits))
        self._new: dict[int, dict[int, int]] = {}

    def refined(self, p: Floats, low: int, symbol: int) -> Floats:
        """Return a prediction refined by the counts, (V,); then count the symbol.

        Args:
            p: The prediction before, (V,).
            low: The context, as `Words.keys` returns it.
            symbol: The symbol that came.
        """
        if not low:
            return p
        keys = self._order.keys
        begin = int(keys.searchsorted(np.uint64(low)))
        end = int(keys.searchsorted(np.uint64(low | self._ones), side="right"))
        counts = np.zeros(len(p), dtype=np.int64)
        names = (keys[begin:end] & np.uint64(self._ones)).astype(np.intp)
        counts[names] = self._order.counts[begin:end]
        new = self._new.setdefault(low, {})
        for each, count in new.items():
            counts[each] += count
        new[symbol] = new.get(symbol, 0) + 1
        if total := counts.sum():
            discounts = self._order.discounted(counts)
            p = (counts - discounts + discounts.sum() * p) / total
        return p
