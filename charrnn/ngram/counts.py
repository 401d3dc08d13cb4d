"""Count the n-grams of a text: a sorted array of packed keys, with counts, for each order.

A key of order k holds k context symbols and the next one in 64 bits, the oldest in the high bits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.data.corpus import Corpus
from charrnn.data.records import Records
from charrnn.data.vocab import Ids

Keys = NDArray[np.uint64]
Floats = NDArray[np.float64]

WORD = 64
"""Bits of a packed key."""

Discounts = tuple[float, float, float]
"""Kneser-Ney discounts D1, D2, D3+: for counts of one, two, and three or more."""

LOWEST: Discounts = (0.5, 0.5, 0.5)
LOW: Discounts = (0.8, 1.1, 1.2)
HIGH: Discounts = (0.9, 1.3, 1.6)
"""Discounts of order 0, of orders 1 to 3, and of higher orders, fitted by benchmarks/fit_discounts.py
on the end of training texts. Estimates from counts of counts are too small."""

LAST_LOW = 3

MOST_CHARS = 20_000_000
"""Most characters that are counted; of a longer text, equally spaced runs."""

RUNS = 64
"""Number of runs of a longer text."""

MOST_ENTRIES = 6_000_000
"""Most keys of a model, 12 bytes each; the order is lowered until they fit."""


@dataclass(frozen=True)
class Order:
    """All n-grams of one order: sorted keys and their counts."""

    keys: Keys
    """(n,)."""
    counts: NDArray[np.int32]
    """(n,), at least 1."""
    discounts: Discounts

    @classmethod
    def of(cls, keys: Keys, counts: NDArray[Any], discounts: Discounts) -> "Order":
        """Return an order with counts of any integer type."""
        return cls(keys, counts.astype(np.int32, copy=False), discounts)

    @cached_property
    def sums(self) -> NDArray[np.int64]:
        """Cumulative counts: sum of the counts before each key, then of all, (n + 1,)."""
        sums = np.zeros(len(self.counts) + 1, dtype=np.int64)
        np.cumsum(self.counts, out=sums[1:])
        return sums

    def discounted(self, counts: NDArray[Any]) -> Floats:
        """Return the discount of each count; 0 for 0."""
        result: Floats = self._discount_table[np.minimum(counts, 3)]
        return result

    @cached_property
    def _discount_table(self) -> Floats:
        return np.array([0.0, *self.discounts])

    @cached_property
    def discount_sums(self) -> Floats:
        """Cumulative discounts: sum before each key, then of all, (n + 1,)."""
        sums = np.zeros(len(self.counts) + 1)
        each = sums[1:]
        np.take(self._discount_table, self.counts, mode="clip", out=each)
        np.cumsum(each, out=each)
        return sums

    def refined(self, p: Floats, low: int, ones: int) -> tuple[Floats, int, int] | None:
        """Return a prediction refined by the counts after one context; None if it does not occur.

        Args:
            p: The prediction after a shorter context, (V,).
            low: The context, with zeros for a symbol.
            ones: The bits of a symbol.

        Returns:
            Probabilities, (V,), sum of the counts, and number of distinct symbols.
        """
        begin = int(self.keys.searchsorted(np.uint64(low)))
        end = int(self.keys.searchsorted(np.uint64(low | ones), side="right"))
        if begin == end:
            return None
        total = int(self.sums[end] - self.sums[begin])
        p = p * (float(self.discount_sums[end] - self.discount_sums[begin]) / total)
        if end - begin == 1:  # the common case for long contexts
            p[int(self.keys[begin]) & ones] += 1 - float(self.discounts[min(total, 3) - 1]) / total
        else:
            counts = self.counts[begin:end]
            names = (self.keys[begin:end] & np.uint64(ones)).astype(np.intp)
            p[names] += (counts - self.discounted(counts)) / total
        return p, total, end - begin


def discounts_of(order: int) -> Discounts:
    """Return the discounts of an order."""
    if order == 0:
        return LOWEST
    return LOW if order <= LAST_LOW else HIGH


def shortened(discounts: Discounts) -> float | list[float]:
    """Return discounts as a checkpoint stores them: one number if all are equal."""
    return discounts[0] if len(set(discounts)) == 1 else list(discounts)


def bits_of(vocab_size: int) -> int:
    """Return the number of bits of one symbol in a key."""
    return max(1, (vocab_size - 1).bit_length())


def mask(bits: int) -> np.uint64:
    """Return a mask of the lowest `bits` bits."""
    return np.uint64((1 << bits) - 1)


def highest_order(vocab_size: int, wanted: int) -> int:
    """Return the highest order, at most `wanted`, whose keys fit into 64 bits."""
    return min(wanted, WORD // bits_of(vocab_size) - 1)


@dataclass(frozen=True, slots=True)
class Texts:
    """Several texts, concatenated."""

    ids: Ids
    """(N,)."""
    positions: NDArray[np.int64]
    """Index of each symbol in its own text, (N,)."""


def texts_of(corpus: Corpus) -> Texts:
    """Return the training text of a corpus: one text, or its records as texts of their own."""
    if corpus.train_records is None:
        return runs_of(corpus.train, pieces=corpus.train_pieces)
    assert corpus.vocab.newline is not None  # a text of lines has it
    return records_of(corpus.train, corpus.train_records, corpus.vocab.newline)


def runs_of(ids: Ids, most: int = MOST_CHARS, pieces: Sequence[int] = ()) -> Texts:
    """Return a text as one run, or a long one as equally spaced runs of `most` symbols in total.

    A run is cut where one of the pieces begins.
    """
    size, apart = most // RUNS, len(ids) // RUNS
    runs = [(i * apart, i * apart + size) for i in range(RUNS)]
    if len(ids) <= most:
        runs = [(0, len(ids))]
    kept = np.asarray(ids) if len(runs) == 1 else np.concatenate([ids[b:e] for b, e in runs])
    cut = [(b, *(p for p in pieces if b < p < e), e) for b, e in runs]
    lengths = [end - begin for run in cut for begin, end in pairwise(run)]
    return Texts(kept, np.concatenate([np.arange(length) for length in lengths]))


def records_of(ids: Ids, records: Records, newline: int, most: int = MOST_CHARS) -> Texts:
    """Return records as separate texts, newline + record + newline, `most` symbols at most."""
    fitting = int(np.searchsorted(np.cumsum(records.lengths + 2), most, side="right"))
    records = records.take(np.arange(max(1, min(fitting, len(records)))))
    sizes = records.lengths + 2
    places = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    is_end = (places == 0) | (places == np.repeat(sizes - 1, sizes))
    sources = np.where(is_end, 0, np.repeat(records.starts, sizes) + places - 1)
    return Texts(np.where(is_end, newline, np.asarray(ids)[sources]).astype(ids.dtype), places)


def count(texts: Texts, vocab_size: int, order: int) -> list[Order]:
    """Count the n-grams of texts; none crosses from one text to the next.

    If there are too many keys, the order is lowered: that is better than a higher order without
    rare keys. On full Shakespeare order 6 costs 1.461 nats with 2.2 million keys, order 7 without
    keys that occur once 1.465 with 2.7 million, and pruned in all orders 1.497 with 1.5 million.

    Args:
        texts: What to count.
        vocab_size: V.
        order: Symbols of the longest context; fewer if they do not fit into a key.
    """
    orders = count_orders(texts, vocab_size, highest_order(vocab_size, order))
    sizes = np.cumsum([len(each.keys) for each in orders])  # a lower order has the same keys
    if sizes[-1] <= MOST_ENTRIES:
        return orders
    fitting = int(np.searchsorted(sizes, MOST_ENTRIES, side="right")) - 1
    return count_orders(texts, vocab_size, max(0, fitting))


def count_orders(texts: Texts, vocab_size: int, highest: int) -> list[Order]:
    """Return the orders 0 to `highest` of texts."""
    bits = bits_of(vocab_size)
    whole, starts = collect(texts, highest, bits)
    keys, counts = np.unique(whole, return_counts=True)
    orders = [Order.of(keys, counts, discounts_of(highest))]
    for k in range(highest - 1, -1, -1):
        suffixes, counts = np.unique(keys & mask(bits * (k + 1)), return_counts=True)
        keys, counts = with_starts(suffixes, counts, *starts[k])
        orders.append(Order.of(keys, counts, discounts_of(k)))
    return orders[::-1]


def packed(texts: Texts, highest: int, bits: int) -> Iterator[Keys]:
    """Yield the keys of order 0 to `highest` that end at each symbol, shorter at the start of a text.

    The array, (N,), is the same object each time and is updated in place.
    """
    keys = np.zeros(len(texts.ids), dtype=np.uint64)
    for k in range(highest + 1):
        shifted = texts.ids[: max(0, len(texts.ids) - k)].astype(np.uint64) << np.uint64(bits * k)
        keys[k:] |= np.where(texts.positions[k:] >= k, shifted, np.uint64(0))
        yield keys


def collect(
    texts: Texts, highest: int, bits: int
) -> tuple[Keys, list[tuple[Keys, NDArray[np.intp]]]]:
    """Return all keys of the highest order, and by order those at the start of a text, with counts.

    An n-gram at the start of a text has no symbol before it, so no key of the next order ends in it.
    """
    starts = []
    for k, keys in enumerate(packed(texts, highest, bits)):
        starts.append(np.unique(keys[texts.positions == k], return_counts=True))
    return keys[texts.positions >= highest], starts


def with_starts(
    keys: Keys, counts: NDArray[np.intp], starts: Keys, start_counts: NDArray[np.intp]
) -> tuple[Keys, NDArray[np.intp]]:
    """Return keys and counts with those that occur only at the start of a text.

    They have no symbol before them, so their count is the number of occurrences instead of the
    number of distinct symbols before them (Heafield et al., 2013, section 3).
    """
    is_missing = ~np.isin(starts, keys, assume_unique=True)
    joined = np.concatenate([keys, starts[is_missing]])
    order = np.argsort(joined, kind="stable")
    return joined[order], np.concatenate([counts, start_counts[is_missing]])[order]
