"""The n-gram model of the training text: interpolated modified Kneser-Ney, exact, vectorised.

The highest order counts occurrences; in a lower one the count of a key is the number
of distinct keys of the next order that end in it, at least 1 (Kneser and Ney, 1995; Chen and
Goodman, 1999, sections 3 and 4.1.6: discounts for counts of one, two, and three or more). Where a
context's counts sum to S:

    P_k(x) = (c_k(x) - D_k(c_k(x)) + sum_y D_k(c_k(y)) P_{k-1}(x)) / S,    P_{-1} = 1 / V

with y over all symbols that followed the context; others have count and discount 0. The recursion
stops at the first context that does not occur in the text.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.ngram.counts import (
    Floats,
    Keys,
    Order,
    Texts,
    bits_of,
    count,
    mask,
    shortened,
)
from charrnn.ngram.words import Words, chars_of

SMALLEST_PROBABILITY = np.float32(1e-30)
"""Lower bound of probabilities in logarithms; smaller ones add nothing to an entropy."""

ASKED_TOGETHER = 1 << 18
"""Most probabilities that are computed at once."""

TABLE_CELLS = 1 << 19
"""Most probabilities in a table of all contexts of one length."""

REMEMBERED_BYTES, LEAST_REMEMBERED, OVERHEAD = 1 << 26, 64, 1500
"""Cache of single-context predictions: size in bytes, least number of entries, overhead per entry."""


@dataclass(frozen=True)
class NgramPrediction:
    """n-gram predictions for n contexts, with the statistics that the gate uses."""

    p: Floats
    """Probabilities of the next symbol, (n, V); each row sums to one."""
    order: Floats
    """Length of the longest context that occurs in the text, (n,)."""
    total: Floats
    """Sum of the counts after that context, (n,)."""
    followers: Floats
    """Number of distinct symbols after that context, (n,)."""

    @cached_property
    def q(self) -> NDArray[np.float32]:
        """The probabilities in float32, (n, V)."""
        return self.p.astype(np.float32)

    @cached_property
    def log_q(self) -> NDArray[np.float32]:
        """Logarithms of q, all finite, (n, V)."""
        logs: NDArray[np.float32] = np.log(np.maximum(self.q, SMALLEST_PROBABILITY))
        return logs

    @cached_property
    def statistics(self) -> Floats:
        """Order, logarithms of total and followers, entropy of p in nats: (n, 4)."""
        entropy = -np.vecdot(self.q, self.log_q)
        return np.stack([self.order, np.log(self.total), np.log(self.followers), entropy], axis=1)

    @cached_property
    def peak(self) -> NDArray[np.float32]:
        """Logarithm of the largest probability, (n,)."""
        peak: NDArray[np.float32] = self.log_q.max(axis=1)
        return peak

    @classmethod
    def uniform(cls, vocab_size: int) -> "NgramPrediction":
        """Return the prediction without any counts: all symbols equally likely."""
        one = np.ones(1)
        return cls(np.full((1, vocab_size), 1.0 / vocab_size), 0 * one, one, one)


class NgramModel:
    """n-gram counts of a text, and the probabilities computed from them.

    Args:
        orders: Order 0 first.
        vocab_size: V.
        weight: Weight in the mixture with the network; None lets the gate choose it.
    """

    words: Words | None = None
    word_orders: Sequence[Order] = ()
    """Names of word contexts and counts after them, of a `WordModel`."""

    def __init__(
        self, orders: Sequence[Order], vocab_size: int, weight: float | None = None
    ) -> None:
        self.orders, self.vocab_size, self.weight = list(orders), vocab_size, weight
        self.bits = bits_of(vocab_size)
        self._ones = (1 << self.bits) - 1

    @property
    def order(self) -> int:
        """Number of symbols in the longest context (K)."""
        return len(self.orders) - 1

    @property
    def characters(self) -> "NgramModel":
        """The n-gram model of characters alone."""
        return self

    @property
    def num_entries(self) -> int:
        """Number of keys of all orders."""
        return sum(len(order.keys) for order in self.orders)

    def weighted(self, weight: float | None) -> "NgramModel | None":
        """Return the same counts with another mixture weight; self for None.

        The result is None if the weight is 0: the model is not used then.
        """
        if weight is None:
            return None if self.weight == 0 else self
        return NgramModel(self.orders, self.vocab_size, weight) if weight else None

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the counts by their tensor names in a checkpoint."""
        result: dict[str, NDArray[Any]] = {}
        for k, order in enumerate(self.orders):
            result |= {f"memory/{k}/keys": order.keys, f"memory/{k}/counts": order.counts}
        return result

    def metadata(self) -> dict[str, Any]:
        """Return the metadata of the model in a checkpoint."""
        return {
            "order": self.order,
            "bits": self.bits,
            "discounts": [shortened(order.discounts) for order in self.orders],
            "weight": self.weight,
            "entries": [len(order.keys) for order in self.orders],
        }

    def followers(self, order: int, contexts: Any) -> tuple[Any, Any]:
        """Return the range of keys that begin with each context, among the keys of an order."""
        keys, shift = self.orders[order].keys, np.uint64(self.bits)
        low = np.asarray(contexts, dtype=np.uint64) << shift if order else np.uint64(0)
        begin = np.searchsorted(keys, low)
        end = np.searchsorted(keys, low | np.uint64((1 << self.bits) - 1), side="right")
        return begin, end

    def predict(self, contexts: NDArray[Any], lengths: NDArray[Any]) -> NgramPrediction:
        """Return the prediction after each context.

        Args:
            contexts: The last K symbols, packed, oldest in the high bits, (n,); or rows of CONTEXT.
            lengths: Number of symbols in each context, 0 to K, (n,).
        """
        contexts = chars_of(contexts)
        n, tables = len(contexts), self.tables
        known = np.minimum(lengths, len(tables) - 1)
        p, stats = np.empty((n, self.vocab_size)), np.empty((3, n))
        for d, (table, statistics) in enumerate(tables):
            rows = np.flatnonzero(known == d)
            if len(rows):
                indices = self._table_row(contexts[rows], d)
                p[rows], stats[:, rows] = table[indices], statistics[:, indices]
        return self._interpolated(p, stats, contexts, lengths, len(tables))

    @cached_property
    def tables(self) -> list[tuple[Floats, Floats]]:
        """Probabilities, (V^d, V), and statistics, (3, V^d), of all contexts of d = 0, 1, ... symbols."""
        tables: list[tuple[Floats, Floats]] = []
        for d in range(self.order + 1):
            n = self.vocab_size**d
            if d and n * self.vocab_size > TABLE_CELLS:
                break
            each, contexts = np.arange(n), np.zeros(n, dtype=np.uint64)
            for i in range(d):
                symbol = each // self.vocab_size**i % self.vocab_size
                contexts |= symbol.astype(np.uint64) << np.uint64(self.bits * i)
            p, stats = np.full((n, self.vocab_size), 1.0 / self.vocab_size), np.ones((3, n))
            prediction = self._interpolated(p, stats, contexts, np.full(n, d), 0)
            tables.append(
                (prediction.p, np.stack([prediction.order, prediction.total, prediction.followers]))
            )
        return tables

    def _table_row(self, contexts: Keys, d: int) -> Any:
        """Return the row of each context in the table of contexts of d symbols."""
        place = np.zeros(len(contexts), dtype=np.int64)
        for i in reversed(range(d)):
            symbol = (contexts >> np.uint64(self.bits * i)) & mask(self.bits)
            place = place * self.vocab_size + symbol.astype(np.int64)
        return place

    def _interpolated(
        self, p: Floats, stats: Floats, contexts: Keys, lengths: NDArray[Any], first: int
    ) -> NgramPrediction:
        """Return predictions from those of the orders below `first`: p, and the statistics `stats`."""
        n, V, orders = len(contexts), self.vocab_size, self.orders[first:]
        if not orders:
            return NgramPrediction(p, *stats)
        begin, size, total, spare = self._found(contexts, lengths, first)
        is_seen = size > 0
        # Back-off weight of each order: product of the ratios above it; the last one is that of p.
        backoff = np.cumprod(np.where(is_seen, spare / total, 1.0)[::-1], axis=0)[::-1]
        factors = np.concatenate([backoff[1:], np.ones((1, n))]) / total
        sizes = size.ravel()
        which = np.repeat(np.arange(len(sizes)), sizes)
        places = np.arange(len(which)) + (begin.ravel() - (np.cumsum(sizes) - sizes))[which]
        counts, order = self._counts[places], which // n
        kept = counts - self._discount_table[first:][order, np.minimum(counts, 3)]
        cells = (which - order * n) * V + self._names[places]
        added = np.bincount(cells, kept * factors.ravel()[which], minlength=n * V).reshape(n, V)
        longest, rows = is_seen.sum(axis=0) - 1, np.arange(n)
        found = np.stack([first + longest, total[longest, rows], size[longest, rows]])
        return NgramPrediction(
            added + p * backoff[0][:, None], *np.where(longest >= 0, found, stats)
        )

    def _found(
        self, contexts: Keys, lengths: NDArray[Any], first: int
    ) -> tuple[Any, Any, Any, Any]:
        """Return the key ranges of contexts in the orders from `first` on, (K + 1 - first, n) each.

        Args:
            contexts: As for `predict`.
            lengths: The same.
            first: The lowest order.

        Returns:
            Index of the first key among the keys of all orders, number of keys, sum of their
            counts (at least 1), and sum of their discounts.
        """
        orders = self.orders[first:]
        shape = (len(orders), len(contexts))
        begins, sizes = np.empty(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        totals, discount_sums = np.ones(shape), np.zeros(shape)
        is_seen = np.ones(len(contexts), dtype=np.bool_)
        before = sum(len(order.keys) for order in self.orders[:first])
        for i, order in enumerate(orders):
            k = first + i
            begin, end = self.followers(k, contexts & mask(self.bits * k))
            is_seen = is_seen & (end > begin) & (lengths >= k)
            begins[i] = before + begin
            np.multiply(end - begin, is_seen, out=sizes[i])
            np.maximum(order.sums[end] - order.sums[begin], 1, out=totals[i])
            np.subtract(order.discount_sums[end], order.discount_sums[begin], out=discount_sums[i])
            before += len(order.keys)
        return begins, sizes, totals, discount_sums

    @cached_property
    def _counts(self) -> NDArray[np.int32]:
        """Counts of all orders, concatenated."""
        return np.concatenate([order.counts for order in self.orders])

    @cached_property
    def _names(self) -> NDArray[np.uint16]:
        """Last symbol of each key of all orders, concatenated."""
        ones = mask(self.bits)
        return np.concatenate([(order.keys & ones).astype(np.uint16) for order in self.orders])

    @cached_property
    def _discount_table(self) -> Floats:
        """Discounts of counts of 0, 1, 2, and 3 or more, by order: (K + 1, 4)."""
        return np.array([[0.0, *order.discounts] for order in self.orders])

    def predict_next(self, contexts: NDArray[Any], length: int) -> NgramPrediction:
        """Return the prediction after one context, (1,): that of `predict_one`."""
        length = min(length, self.order)
        return self.predict_one(int(chars_of(contexts)[0] & mask(self.bits * length)), length)

    @cached_property
    def predict_one(self) -> Callable[[int, int], NgramPrediction]:
        """Prediction after one context, cached: (packed symbols, their number) -> NgramPrediction.

        For single streams. The last bits may differ from those of `predict`.
        """
        # p, q and log q of each entry, and the overhead of Python objects
        most = max(LEAST_REMEMBERED, REMEMBERED_BYTES // (16 * self.vocab_size + OVERHEAD))

        @lru_cache(maxsize=most)
        def predict(context: int, length: int) -> NgramPrediction:
            if not length:
                return self._refined(NgramPrediction.uniform(self.vocab_size), 0, 0)
            shorter = predict(context & ((1 << self.bits * (length - 1)) - 1), length - 1)
            if shorter.order[0] < length - 1:  # the shorter context does not occur either
                return shorter
            return self._refined(shorter, context, length)

        return predict

    def _refined(self, shorter: NgramPrediction, context: int, k: int) -> NgramPrediction:
        """Return the prediction after a context of k symbols, from that after k - 1 symbols."""
        found = self.orders[k].refined(shorter.p[0], context << self.bits, self._ones)
        if found is None:
            return shorter
        p, total, followers = found
        return NgramPrediction(p[None], *np.array([[k], [total], [followers]], dtype=np.float64))


def chunks(num_contexts: int, vocab_size: int) -> Iterator[slice]:
    """Yield slices of contexts, each with at most ASKED_TOGETHER probabilities."""
    size = max(1, ASKED_TOGETHER // vocab_size)
    for begin in range(0, num_contexts, size):
        yield slice(begin, begin + size)


def build(texts: Texts, vocab_size: int, order: int) -> NgramModel:
    """Return the n-gram model of texts."""
    return NgramModel(count(texts, vocab_size, order), vocab_size)
