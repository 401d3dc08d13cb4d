"""The counts of an n-gram model as native/ngrams.c reads them."""

import ctypes
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from charrnn.native.arrays import (
    Ngrams,
    NgramTables,
    Order,
    Words,
    predictions,
    word_predictions,
)
from charrnn.native.build import load_or_build
from charrnn.native.library import load
from charrnn.ngram import counts as ngram_counts
from charrnn.ngram.counts import Keys, mask
from charrnn.ngram.gate import GATE_INPUT, GATE_OUTPUT
from charrnn.ngram.model import TABLE_CELLS, NgramModel, NgramPrediction
from charrnn.ngram.word_model import BASE, POWERS, WordModel, product
from charrnn.ngram.words import FACTORS, NAMES

WORD = 64

FOR_C: tuple[Literal["C", "A"], ...] = ("C", "A")
"""Contiguous and aligned: a file may have an array at an odd address."""

WORTH_BUILDING = 1 << 19
"""From so many predictions on, compiling the library costs less time than NumPy does."""

Predict = Callable[[NDArray[Any], NDArray[Any]], NgramPrediction]
"""What NgramModel.predict is: contexts and their lengths -> predictions."""

_arrays: WeakKeyDictionary[NgramModel, "NgramArrays | None"] = WeakKeyDictionary()
"""By model, its arrays with tables; None if C may not read them."""


def predictor(memory: NgramModel, num_predictions: int = 0) -> Predict:
    """Return the prediction of an n-gram model: compiled if it is built or pays, with equal bits.

    Args:
        memory: The counts.
        num_predictions: Number of predictions to come, if it is known.
    """
    library = load_or_build() if num_predictions >= WORTH_BUILDING else load()
    if library is None:
        return memory.predict
    if memory not in _arrays:
        _arrays[memory] = (
            NgramArrays(memory, has_tables=True, has_words=memory.words is not None)
            if is_safe(memory)
            else None
        )
    arrays = _arrays[memory]
    return memory.predict if arrays is None else partial(arrays.predict, library)


class OrderArrays:
    """The arrays of orders, and the structures that point at them."""

    def __init__(self, orders: Sequence[ngram_counts.Order]) -> None:
        self._kept = [
            (
                np.require(order.keys, np.uint64, FOR_C),
                np.require(order.counts, np.int32, FOR_C),
                np.require(order.discount_sums, np.float64, FOR_C),
            )
            for order in orders
        ]
        self._structures = (Order * len(orders))()
        for kept, order, structure in zip(self._kept, orders, self._structures, strict=True):
            structure.size = len(order.keys)
            structure.keys, structure.counts, structure.discounted = (a.ctypes.data for a in kept)
            structure.discounts[:] = [0.0, *order.discounts]
        self.address: int = ctypes.addressof(self._structures)


class WordArrays:
    """The arrays of the word contexts of a memory, and the structure that points at them."""

    def __init__(self, memory: WordModel) -> None:
        self._orders = OrderArrays(memory.word_orders)
        self._factors = factors()
        self._forms = np.require(memory.words.forms, np.int32, FOR_C)
        self._powers = np.array(POWERS)
        self._structure = Words(
            len(memory.word_orders), self._orders.address, self._factors.ctypes.data,
            self._forms.ctypes.data, BASE, self._powers.ctypes.data,
        )  # fmt: skip
        self.address: int = ctypes.addressof(self._structure)


class NgramArrays:
    """The arrays of an n-gram model, and the structure that points at them.

    Args:
        memory: The counts; `is_safe` of it must be true.
        following: What the loop mixes in after it; it must live as long.
        has_tables: Whether the predictions of the low orders are taken from tables, which cost
            some 20 ms: for many predictions.
        has_words: Whether contexts are rows of CONTEXT.
    """

    def __init__(
        self,
        memory: NgramModel,
        following: "NgramArrays | None" = None,
        *,
        has_tables: bool = False,
        has_words: bool = False,
    ) -> None:
        self._memory = memory
        self.longest: int = max(memory.order, following.longest if following else 0)
        self._orders = OrderArrays(memory.orders)
        self._words = WordArrays(memory) if isinstance(memory, WordModel) else None
        self._gate = np.array([*np.ravel(GATE_INPUT), *GATE_OUTPUT], dtype=np.float32)
        self._tables = NgramTables(memory.tables) if has_tables else None
        self._structure = Ngrams(
            memory.order, memory.bits, memory.vocab_size, num_tables(memory),
            *(self._tables.addresses if self._tables else (None, None)),
            self._orders.address, self._gate.ctypes.data,
            -1.0 if memory.weight is None else memory.weight,
            self.longest, len(NAMES) if has_words else 1,
            self._words.address if self._words else None,
            following.address if following else None,
        )  # fmt: skip
        self._following = following
        self.address: int = ctypes.addressof(self._structure)

    def predict(
        self, library: ctypes.CDLL, contexts: Keys, lengths: NDArray[Any]
    ) -> NgramPrediction:
        """Return what NgramModel.predict returns, with the same bits."""
        asked = library, self.address, self._memory.vocab_size, contexts, lengths
        p, statistics = predictions(*asked)
        prediction = NgramPrediction(p, *statistics.T.copy())
        return product(prediction, word_predictions(*asked)) if self._words else prediction


def factors() -> NDArray[np.uint64]:
    """Return the factor of each part in the hash of each word context, 0 if it has no part in it."""
    return np.tril(np.tile(np.array(list(FACTORS.values()), np.uint64), (len(FACTORS), 1)))


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
        len(order.keys) == len(order.counts)
        and (not len(order.keys) or int((order.keys & ones).max()) < memory.vocab_size)
        and (not len(order.counts) or int(order.counts.min()) >= 0)
        for order in [*memory.orders, *memory.word_orders]
    )
