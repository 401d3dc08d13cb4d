"""The backward n-gram model, from the counts of the forward one: no text is needed.

A key holds a span of the text, whatever is read first. So the same spans, turned round, are the keys
of the reversed text. The highest order counts occurrences, which no direction changes. In a lower
order, the reversed text counts the distinct symbols after a span instead of those before it.
"""

import numpy as np
from numpy.typing import NDArray

from charrnn.core.errors import CheckpointError
from charrnn.ngram.counts import Keys, Order, mask
from charrnn.ngram.model import NgramModel


def backward(memory: NgramModel) -> NgramModel:
    """Return the n-gram model of the reversed text: it predicts the symbol before a context.

    Its contexts hold the symbols that follow in the text, the nearest in the low bits. The counts
    are exact for a text, and for records. Of a text in pieces, a span that only ends pieces may
    differ in count.

    Raises:
        CheckpointError: A key of a damaged file holds no spans.
    """
    orders = [
        reversed_order(order, counts, k, memory)
        for k, (order, counts) in enumerate(zip(memory.orders, counts_after(memory), strict=True))
    ]
    return NgramModel(orders, memory.vocab_size, memory.weight)


def counts_after(memory: NgramModel) -> list[NDArray[np.int64]]:
    """Return the count of each key in the reversed text, by order.

    That is the number of distinct symbols after the span. A span that nothing follows is at the end
    of a text, where the reversed text begins; its count is the number of occurrences.
    """
    times = occurrences(memory)
    result = [times[-1]]
    for k in range(memory.order - 1, -1, -1):
        keys, longer = memory.orders[k].keys, memory.orders[k + 1].keys
        prefixes = np.searchsorted(keys, longer >> np.uint64(memory.bits))
        followers = np.bincount(prefixes, minlength=len(keys))[: len(keys)]
        result.append(np.where(followers > 0, followers, times[k]))
    return result[::-1]


def occurrences(memory: NgramModel) -> list[NDArray[np.int64]]:
    """Return how often each key occurs in the text, by order."""
    result = [memory.orders[-1].counts.astype(np.int64)]
    for k in range(memory.order - 1, -1, -1):
        order, longer = memory.orders[k], memory.orders[k + 1].keys
        size = len(order.keys)
        suffixes = np.searchsorted(order.keys, longer & mask(memory.bits * (k + 1)))
        preceded = np.bincount(suffixes, result[-1], minlength=size)[:size].astype(np.int64)
        result.append(np.where(preceded > 0, preceded, order.counts))  # else it only begins texts
    return result[::-1]


def reversed_order(order: Order, counts: NDArray[np.int64], k: int, memory: NgramModel) -> Order:
    """Return order k with its spans turned round, sorted."""
    keys = reversed_keys(order.keys, k + 1, memory.bits)
    if len(keys) and int((keys & mask(memory.bits)).max()) >= memory.vocab_size:
        raise CheckpointError("its n-gram memory has keys that hold no text")
    by_key = np.argsort(keys)
    return Order.of(keys[by_key], counts[by_key], order.discounts)


def reversed_keys(keys: Keys, length: int, bits: int) -> Keys:
    """Return packed spans of `length` symbols with their symbols in the opposite order."""
    result, rest = np.zeros_like(keys, dtype=np.uint64), keys.astype(np.uint64)
    for _ in range(length):
        result = (result << np.uint64(bits)) | (rest & mask(bits))
        rest = rest >> np.uint64(bits)
    return result
