"""The counts of an n-gram model as native/ngrams.c reads them."""

import ctypes

import numpy as np

from charrnn.native.arrays import Ngrams, Order
from charrnn.ngram.counts import Floats, Keys, mask
from charrnn.ngram.gate import GATE_INPUT, GATE_OUTPUT
from charrnn.ngram.model import TABLE_CELLS, NgramModel, NgramPrediction

WORD = 64


class NgramArrays:
    """The arrays of an n-gram model, and the structure that points at them.

    Args:
        memory: The counts; `is_safe` of it must be true.
    """

    def __init__(self, memory: NgramModel) -> None:
        self._memory = memory
        self._kept = [
            (
                np.ascontiguousarray(order.keys, dtype=np.uint64),
                np.ascontiguousarray(order.counts, dtype=np.int32),
                np.ascontiguousarray(order.sums, dtype=np.int64),
                np.ascontiguousarray(order.discount_sums, dtype=np.float64),
            )
            for order in memory.orders
        ]
        self._orders = (Order * len(memory.orders))()
        for kept, order, structure in zip(self._kept, memory.orders, self._orders, strict=True):
            structure.size = len(order.keys)
            addresses = (array.ctypes.data for array in kept)
            structure.keys, structure.counts, structure.sums, structure.discounted = addresses
            structure.discounts[:] = [0.0, *order.discounts]
        self._gate = np.array([*np.ravel(GATE_INPUT), *GATE_OUTPUT], dtype=np.float32)
        self._structure = Ngrams(
            memory.order, memory.bits, memory.vocab_size, num_tables(memory),
            ctypes.addressof(self._orders), self._gate.ctypes.data,
            -1.0 if memory.weight is None else memory.weight,
        )  # fmt: skip
        self.address = ctypes.addressof(self._structure)

    def predict(self, library: ctypes.CDLL, contexts: Keys, lengths: Floats) -> NgramPrediction:
        """Return what NgramModel.predict returns, with the same bits."""
        n, V = len(contexts), self._memory.vocab_size
        contexts = np.ascontiguousarray(contexts, dtype=np.uint64)
        sizes = np.ascontiguousarray(lengths, dtype=np.int64)
        p, room, statistics = np.empty((n, V)), np.empty(V), np.empty((n, 3))
        library.predict_all(
            self.address, n, contexts.ctypes.data, sizes.ctypes.data, p.ctypes.data,
            room.ctypes.data, statistics.ctypes.data,
        )  # fmt: skip
        return NgramPrediction(p, *statistics.T.copy())


def num_tables(memory: NgramModel) -> int:
    """Return the number of low orders that NgramModel.predict interpolates first."""
    V, count = memory.vocab_size, 1
    while count <= memory.order and V ** (count + 1) <= TABLE_CELLS:
        count += 1
    return count


def is_safe(memory: NgramModel) -> bool:
    """True if every key of a file names a symbol, and fits: C reads no memory outside the arrays."""
    if memory.bits * (memory.order + 1) > WORD:
        return False
    ones = mask(memory.bits)
    return all(
        len(order.keys) == len(order.counts) == len(order.sums) - 1
        and (not len(order.keys) or int((order.keys & ones).max()) < memory.vocab_size)
        and (not len(order.counts) or int(order.counts.min()) >= 0)
        for order in memory.orders
    )
