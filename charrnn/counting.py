"""A training text -> the memory of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charrnn.corpus import Corpus
from charrnn.memory import Keys, Memory, Order, bits_of, highest_order, mask
from charrnn.records import Records
from charrnn.vocab import Ids

MOST_CHARS = 20_000_000
"""Characters of a text that are read; of a longer one, equally spaced runs."""

RUNS = 64
"""How many runs a longer text is read in."""

MOST_ENTRIES = 6_000_000
"""Keys that are kept, 12 bytes each."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts one after the other."""

    ids: Ids
    """(N,)."""
    places: NDArray[np.int64]
    """Each symbol's place in its own text, (N,)."""


def runs_of(ids: Ids, most: int = MOST_CHARS) -> Texts:
    """Return a text as one run, or a long one as equally spaced runs of `most` symbols in all."""
    if len(ids) <= most:
        return Texts(np.asarray(ids), np.arange(len(ids)))
    size, apart = most // RUNS, len(ids) // RUNS
    kept = np.concatenate([ids[i * apart : i * apart + size] for i in range(RUNS)])
    return Texts(kept, np.tile(np.arange(size), RUNS))


def records_of(ids: Ids, records: Records, newline: int, most: int = MOST_CHARS) -> Texts:
    """Return records as texts of their own, newline + record + newline, at most so many symbols."""
    fitting = int(np.searchsorted(np.cumsum(records.lengths + 2), most, side="right"))
    records = records.take(np.arange(max(1, min(fitting, len(records)))))
    sizes = records.lengths + 2
    places = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    is_end = (places == 0) | (places == np.repeat(sizes - 1, sizes))
    sources = np.where(is_end, 0, np.repeat(records.starts, sizes) + places - 1)
    return Texts(np.where(is_end, newline, np.asarray(ids)[sources]).astype(ids.dtype), places)


def of_corpus(corpus: Corpus, order: int) -> Memory | None:
    """Return the memory of a corpus's training text; None for order 0."""
    if not order:
        return None
    if corpus.train_records is None:
        texts = runs_of(corpus.train)
    else:
        assert corpus.vocab.newline is not None  # a text of lines has it
        texts = records_of(corpus.train, corpus.train_records, corpus.vocab.newline)
    return build(texts, corpus.vocab.size, order)


def build(texts: Texts, vocab_size: int, order: int) -> Memory:
    """Count texts; keys do not cross from one to the next.

    Args:
        texts: One after the other.
        vocab_size: V.
        order: Symbols of the longest context; fewer where they do not fit into a key.
    """
    highest, bits = highest_order(vocab_size, order), bits_of(vocab_size)
    whole, starts = collect(texts, highest, bits)
    keys, counts = np.unique(whole, return_counts=True)
    orders = [Order.of(keys, counts)]
    for k in range(highest - 1, -1, -1):
        suffixes, counts = np.unique(keys & mask(bits * (k + 1)), return_counts=True)
        keys, counts = with_starts(suffixes, counts, starts[k])
        orders.append(Order.of(keys, counts))
    return prune(Memory(orders[::-1], vocab_size), MOST_ENTRIES)


def collect(texts: Texts, highest: int, bits: int) -> tuple[Keys, list[Keys]]:
    """Return all keys of the highest order, and by order those that begin a text.

    What begins a text has nothing before it, so that no key of the next order ends in it.
    """
    ids, places = texts.ids, texts.places
    packed, starts = np.zeros(len(ids), dtype=np.uint64), []
    for k in range(highest + 1):
        shifted = ids[: max(0, len(ids) - k)].astype(np.uint64) << np.uint64(bits * k)
        packed[k:] |= np.where(places[k:] >= k, shifted, np.uint64(0))
        starts.append(np.unique(packed[places == k]))
    return packed[places >= highest], starts


def with_starts(
    keys: Keys, counts: NDArray[np.intp], starts: Keys
) -> tuple[Keys, NDArray[np.intp]]:
    """Return keys with those that only begin a text, each of which counts once."""
    missing = np.setdiff1d(starts, keys, assume_unique=True)
    joined = np.concatenate([keys, missing])
    order = np.argsort(joined, kind="stable")
    counts = np.concatenate([counts, np.ones(len(missing), dtype=counts.dtype)])
    return joined[order], counts[order]


def prune(memory: Memory, most: int) -> Memory:
    """Return a memory with at most so many entries; the rarest keys of long contexts go first.

    Counts stay as they were. A key that ends a kept longer one is kept too, so that the climb to
    the longer context is not cut off.
    """
    threshold = 0
    while memory.num_entries > most:
        threshold += 1
        kept: list[Order] = []
        needed = np.zeros(0, dtype=np.uint64)
        for k in range(memory.order, -1, -1):
            order = memory.orders[k]
            stays = (order.counts > threshold) | np.isin(order.keys, needed, assume_unique=True)
            if k == 0:
                stays[:] = True
            keys = order.keys[stays]
            kept.append(Order.of(keys, order.counts[stays]))
            needed = np.unique(keys & mask(memory.bits * k)) if k else needed
        memory = Memory(kept[::-1], memory.vocab_size, memory.weight)
    return memory
