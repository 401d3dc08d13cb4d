"""The n-gram memory of a page: cut to a lower order, and packed for JavaScript.

A context's followers are among those of its suffix, the context without its oldest symbol. So one
bit for each follower of the suffix gives the keys of an order, given those of the orders below. A
count of a lower order is the number of longer keys that end in its key; what differs is listed.
For tiny-shakespeare this takes a seventh of the keys' differences, deflated.
"""

import zlib

import numpy as np
from numpy.typing import NDArray

from charrnn.core.errors import CheckpointError
from charrnn.ngram.backward import occurrences
from charrnn.ngram.counts import Keys, Order, mask
from charrnn.ngram.model import NgramModel

Numbers = NDArray[np.int64]


def cut(memory: NgramModel, order: int) -> NgramModel:
    """Return the n-gram model of the same text with contexts of at most `order` symbols.

    The counts are those of counting the text anew, occurrences in the highest order, but for spans
    that begin a text and occur elsewhere too: the beginning is not counted.
    """
    if order >= memory.order:
        return memory
    highest = memory.orders[order]
    counted = Order.of(highest.keys, occurrences(memory)[order], highest.discounts)
    return NgramModel([*memory.orders[:order], counted], memory.vocab_size, memory.weight)


def packed(memory: NgramModel) -> bytes:
    """Return the keys and counts of all orders, deflated, for `Memory` in engine.js.

    Bits of order 0 (one for each symbol), then of each order, each padded to whole bytes; then the
    counts: of each lower order those that differ, as their number and pairs of distance and count;
    of the highest order all.

    Raises:
        CheckpointError: A key of a damaged file holds no spans.
    """
    nodes = [place(memory, k) for k in range(memory.order + 1)]
    parts = [bits_of_symbols(memory)]
    begins = np.array([0, len(memory.orders[0].keys)])  # of the followers of each context
    for k in range(1, memory.order + 1):
        (parents, suffixes), links = nodes[k], nodes[k - 1][1]  # each context's own suffix
        parts.append(bits_of_followers(parents, suffixes, begins[links], begins[links + 1]))
        begins = np.searchsorted(parents, np.arange(len(memory.orders[k - 1].keys) + 1))
    for order, above in zip(memory.orders[:-1], nodes[1:], strict=True):
        derived = np.bincount(above[1], minlength=len(order.keys))
        parts.append(varints(differences(order.counts, derived)))
    parts.append(varints(memory.orders[-1].counts))
    return zlib.compress(b"".join(parts), 9)


def bits_of_symbols(memory: NgramModel) -> bytes:
    """Return one bit for each symbol of the vocabulary: whether the text has it."""
    is_there = np.isin(np.arange(memory.vocab_size), memory.orders[0].keys)
    return np.packbits(is_there).tobytes()


def bits_of_followers(parents: Numbers, suffixes: Numbers, begins: Numbers, ends: Numbers) -> bytes:
    """Return for each context one bit for each follower of its suffix: whether it follows here too.

    Args:
        parents: The context of each key of an order, (n,).
        suffixes: The key without its oldest symbol, among those of the order below, (n,).
        begins: First follower of each context's suffix, among the same.
        ends: One after the last.

    Raises:
        CheckpointError: A key follows its context, but not the suffix of its context.
    """
    rank = suffixes - begins[parents]
    if ((rank < 0) | (suffixes >= ends[parents])).any():
        raise CheckpointError("its n-gram memory has keys that hold no text")
    offsets = np.cumsum(ends - begins) - (ends - begins)
    is_there = np.zeros(int((ends - begins).sum()), dtype=np.bool_)
    is_there[offsets[parents] + rank] = True
    return np.packbits(is_there).tobytes()


def place(memory: NgramModel, k: int) -> tuple[Numbers, Numbers]:
    """Return for each key of order k the indices, in order k - 1, of its context and its suffix.

    Those of order 0 are 0, the empty context.
    """
    keys = memory.orders[k].keys
    if k == 0:
        none = np.zeros(len(keys), dtype=np.int64)
        return none, none
    below = memory.orders[k - 1].keys
    return (
        found(below, keys >> np.uint64(memory.bits)),
        found(below, keys & mask(memory.bits * k)),
    )


def found(keys: Keys, wanted: Keys) -> Numbers:
    """Return the index of each wanted key.

    Raises:
        CheckpointError: A key is missing.
    """
    index = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    if (keys[index] != wanted).any():
        raise CheckpointError("its n-gram memory has keys that hold no text")
    return index


def differences(counts: NDArray[np.int32], derived: Numbers) -> Numbers:
    """Return the number of counts that differ from those derived, then (distance, count) of each."""
    where = np.flatnonzero(counts != derived)
    pairs = np.stack([np.diff(where, prepend=0), counts[where]], axis=1)
    return np.concatenate([[len(where)], pairs.ravel()])


def varints(values: NDArray[np.signedinteger]) -> bytes:
    """Return numbers that are not negative in seven bits a byte, the lowest first (LEB128)."""
    left = values.astype(np.uint64)
    sizes = np.maximum(1, sum((left >> np.uint64(7 * i) > 0).astype(np.int64) for i in range(9)))
    starts = np.cumsum(sizes) - sizes
    result = np.zeros(int(sizes.sum()), dtype=np.uint8)
    for i in range(int(sizes.max(initial=0))):
        rows = np.flatnonzero(sizes > i)
        part = (left[rows] >> np.uint64(7 * i)) & np.uint64(127)
        result[starts[rows] + i] = part | np.where(sizes[rows] > i + 1, 128, 0).astype(np.uint64)
    return result.tobytes()
