"""The keys of an n-gram memory and what was counted of them, order by order, in sorted arrays.

A key of order k is k context symbols and the one that follows, oldest in the high bits, each in
`bits` bits.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Floats = NDArray[np.float64]

WORD = 64
"""Bits of a key."""

Discounts = tuple[float, float, float]
"""What is taken off a count of one, of two, and of three or more."""

LOWEST: Discounts = (0.5, 0.5, 0.5)
LOW: Discounts = (0.8, 1.1, 1.2)
HIGH: Discounts = (0.9, 1.3, 1.6)
"""Of order 0, of orders 1 to 3, and of the higher ones; fitted by benchmarks/memory_discounts.py on
the end of training texts. What one would estimate from counts of counts takes too little off."""

LAST_LOW = 3


@dataclass(frozen=True)
class Order:
    """All keys of one order, ascending, and what was counted of each."""

    keys: Keys
    """(n,)."""
    counts: NDArray[np.int32]
    """(n,), at least 1."""
    sums: NDArray[np.int64]
    """Sum of the counts before each key, and of all: (n + 1,)."""
    discounts: Discounts

    @classmethod
    def of(cls, keys: Keys, counts: NDArray[Any], discounts: Discounts) -> "Order":
        """Return an order; the sums follow from the counts."""
        sums = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        return cls(keys, counts.astype(np.int32), sums, discounts)

    def discounted(self, counts: NDArray[Any]) -> Floats:
        """Return what is taken off counts; nothing off 0."""
        result: Floats = self._taken_off[np.minimum(counts, 3)]
        return result

    @cached_property
    def _taken_off(self) -> Floats:
        return np.array([0.0, *self.discounts])

    @cached_property
    def spares(self) -> Floats:
        """Sum of the discounts before each key, and of all: (n + 1,)."""
        return np.concatenate([[0.0], np.cumsum(self.discounted(self.counts))])


def discounts_of(order: int) -> Discounts:
    """Return what is taken off the counts of an order."""
    if order == 0:
        return LOWEST
    return LOW if order <= LAST_LOW else HIGH


def shortened(discounts: Discounts) -> float | list[float]:
    """Return discounts as a checkpoint has them: one number where all are the same."""
    return discounts[0] if len(set(discounts)) == 1 else list(discounts)


def bits_of(vocab_size: int) -> int:
    """Return the bits of one symbol in a key."""
    return max(1, (vocab_size - 1).bit_length())


def mask(bits: int) -> np.uint64:
    """Return so many low bits set."""
    return np.uint64((1 << bits) - 1)


def highest_order(vocab_size: int, wanted: int) -> int:
    """Return the longest context that fits into a key with the symbol after it."""
    return min(wanted, WORD // bits_of(vocab_size) - 1)
