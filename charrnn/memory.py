"""An n-gram memory of the training text: interpolated Kneser-Ney, exact, vectorised, in sorted arrays.

A key of order k is k context symbols and the one that follows, oldest in the high bits, each in
`bits` bits. The highest order counts occurrences; in a lower one the count of a key is the number
of distinct keys of the next order that end in it, at least 1 (Kneser and Ney, 1995; Chen and
Goodman, 1999, sections 3 and 4.1.6: discounts for counts of one, two, and three or more). Where a
context's counts sum to S:

    P_k(x) = (c_k(x) - D_k(c_k(x)) + sum_y D_k(c_k(y)) P_{k-1}(x)) / S,    P_{-1} = 1 / V

with y running over all that followed; what did not follow has count and discount 0. The climb
stops at the first context that was never seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.filters import Logits, probabilities

Keys = NDArray[np.uint64]
Floats = NDArray[np.float64]

SMALLEST = 1e-30
"""A probability below this adds nothing to an entropy."""

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

SHARE = (0.042, 0.581, 0.049, 0.966, -1.956)
"""The memory's share is the logistic function of these times 1, the network's entropy, the length of
the longest context that was seen, and the logs of how often and with how many followers it was.
Fitted by benchmarks/memory_weight.py on the end of training texts."""


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

    def count_of(self, keys: Keys) -> NDArray[np.int32]:
        """Return the counts of keys, 0 of those that are not there."""
        if not len(self.keys):
            return np.zeros(np.shape(keys), dtype=np.int32)
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[places] == keys, self.counts[places], 0)

    def discounted(self, counts: NDArray[Any]) -> Floats:
        """Return what is taken off counts; nothing off 0."""
        result: Floats = np.array([0.0, *self.discounts])[np.minimum(counts, 3)]
        return result

    @cached_property
    def spares(self) -> Floats:
        """Sum of the discounts before each key, and of all: (n + 1,)."""
        return np.concatenate([[0.0], np.cumsum(self.discounted(self.counts))])


@dataclass(frozen=True, slots=True)
class Recalled:
    """What a memory says, and how sure it can be; arrays of one shape, or of one context."""

    p: Floats
    """Probabilities."""
    order: Any
    """Length of the longest context that was seen before."""
    total: Any
    """Sum of its counts."""
    followers: Any
    """Different symbols that followed it."""


class Memory:
    """Counts of a text, and the probabilities that follow from them.

    Args:
        orders: Order 0 first.
        vocab_size: V.
        weight: Share in the mix with a network's prediction; None lets it follow from both.
    """

    def __init__(
        self, orders: Sequence[Order], vocab_size: int, weight: float | None = None
    ) -> None:
        self.orders, self.vocab_size, self.weight = list(orders), vocab_size, weight
        self.bits = bits_of(vocab_size)

    @property
    def order(self) -> int:
        """Symbols of the longest context (K)."""
        return len(self.orders) - 1

    @property
    def num_entries(self) -> int:
        """Keys of all orders."""
        return sum(len(order.keys) for order in self.orders)

    def weighted(self, weight: float | None) -> "Memory | None":
        """Return the same memory with another share in the mix; None for 0, itself for None."""
        if weight is None:
            return self
        return Memory(self.orders, self.vocab_size, weight) if weight else None

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the counts by their names in a checkpoint."""
        result: dict[str, NDArray[Any]] = {}
        for k, order in enumerate(self.orders):
            result |= {f"memory/{k}/keys": order.keys, f"memory/{k}/counts": order.counts}
        return result

    def facts(self) -> dict[str, Any]:
        """Return what a checkpoint says of it."""
        return {
            "order": self.order,
            "bits": self.bits,
            "discounts": [shortened(order.discounts) for order in self.orders],
            "weight": self.weight,
            "entries": [len(order.keys) for order in self.orders],
        }

    def followers(self, order: int, contexts: Any) -> tuple[Any, Any]:
        """Return where the keys of contexts begin and end among those of an order."""
        keys, shift = self.orders[order].keys, np.uint64(self.bits)
        low = np.asarray(contexts, dtype=np.uint64) << shift if order else np.uint64(0)
        begin = np.searchsorted(keys, low)
        end = np.searchsorted(keys, low | np.uint64((1 << self.bits) - 1), side="right")
        return begin, end

    def share(self, entropy: Any, recalled: Recalled) -> Any:
        """Return the memory's share in the mix, in (0, 1).

        Args:
            entropy: Of the network's prediction, in nats.
            recalled: What the memory says at the same places.
        """
        if self.weight is not None:
            return self.weight
        features = (
            1.0, entropy, recalled.order, np.log(recalled.total), np.log(recalled.followers),
        )  # fmt: skip
        return 1 / (1 + np.exp(-sum(c * x for c, x in zip(SHARE, features, strict=True))))

    def look_up(self, contexts: Keys, symbols: NDArray[Any]) -> Floats:
        """Return what was counted of symbols and their contexts, by order, (4, K + 1, n).

        Args:
            contexts: The K symbols before, packed; (n,).
            symbols: (n,).

        Returns:
            A key's count; and of its context the sum of counts, the followers, the sum of discounts.
        """
        result = np.zeros((4, len(self.orders), len(symbols)))
        for k, order in enumerate(self.orders):
            context = contexts & mask(self.bits * k)
            begin, end = self.followers(k, context)
            wanted = (context << np.uint64(self.bits) if k else context) | symbols.astype(np.uint64)
            result[0, k] = order.count_of(wanted)
            result[1, k] = order.sums[end] - order.sums[begin]
            result[2, k] = end - begin
            result[3, k] = order.spares[end] - order.spares[begin]
        return result

    def probabilities(
        self, contexts: Keys, lengths: NDArray[Any], symbols: NDArray[Any]
    ) -> Recalled:
        """Return how likely some symbols are, each after its own context.

        Args:
            contexts: The K symbols before, packed, oldest in the high bits; (n,).
            lengths: How many of them there are really, 0 to K; (n,).
            symbols: (n,).

        Returns:
            Arrays (n,), the probabilities in (0, 1].
        """
        p = np.full(len(symbols), 1.0 / self.vocab_size)
        sure = np.ones((3, len(symbols)))
        rows = np.arange(len(symbols))
        targets = symbols.astype(np.uint64)
        for k, order in enumerate(self.orders):
            rows = rows[lengths[rows] >= k]
            context = contexts[rows] & mask(self.bits * k)
            begin, end = self.followers(k, context)
            begin, end = np.broadcast_to(begin, rows.shape), np.broadcast_to(end, rows.shape)
            seen = end > begin
            rows, context, begin, end = rows[seen], context[seen], begin[seen], end[seen]
            if not len(rows):
                break
            wanted = (context << np.uint64(self.bits)) | targets[rows] if k else targets[rows]
            counts = order.count_of(wanted)
            total = order.sums[end] - order.sums[begin]
            spare = (order.spares[end] - order.spares[begin]) * p[rows]
            p[rows] = (counts - order.discounted(counts) + spare) / total
            sure[:, rows] = np.full(len(rows), k), total, end - begin
        return Recalled(p, *sure)

    def distribution(self, context: Sequence[int]) -> Floats:
        """Return how likely each symbol is after a context, (V,); sums to one."""
        return self.recall(context).p

    def recall(self, context: Sequence[int]) -> Recalled:
        """Return how likely each symbol is after a context, (V,), and how sure that is.

        Args:
            context: Ids, the newest last; only the last K count.
        """
        p = np.full(self.vocab_size, 1.0 / self.vocab_size)
        packed, sure = 0, (0, 1, 1)
        recent = list(context[-self.order :]) if self.order else []
        for k, order in enumerate(self.orders):
            if k > len(recent):
                break
            if k:
                packed |= int(recent[-k]) << (self.bits * (k - 1))
            begin, end = (int(place) for place in self.followers(k, packed))
            if begin == end:
                break
            total = int(order.sums[end] - order.sums[begin])
            counts = order.counts[begin:end]
            discounts = order.discounted(counts)
            p *= discounts.sum() / total
            p[(order.keys[begin:end] & mask(self.bits)).astype(np.intp)] += (
                counts - discounts
            ) / total
            sure = (k, total, end - begin)
        return Recalled(p, *sure)


class Reader:
    """Follows texts side by side, and says how likely the memory finds what comes.

    Args:
        memory: What is asked.
        num_rows: Texts (B).
    """

    def __init__(self, memory: Memory, num_rows: int) -> None:
        self.memory, self.num_rows = memory, num_rows
        self._recent = np.zeros((num_rows, memory.order), dtype=np.uint64)
        self._lengths = np.zeros(num_rows, dtype=np.int64)

    def read(
        self, inputs: NDArray[np.int64], targets: NDArray[np.int64], is_fresh: Any
    ) -> Recalled:
        """Return the probability of each target after the inputs up to it; arrays (B, T).

        Args:
            inputs: Ids that are fed, (B, T).
            targets: Ids that follow, (B, T); what is negative is not asked for, and gets 1.
            is_fresh: Rows that begin with no context, (B,).
        """
        K, T, bits = self.memory.order, inputs.shape[1], self.memory.bits
        self._lengths[np.asarray(is_fresh)] = 0
        fed = np.concatenate([self._recent, inputs.astype(np.uint64)], axis=1)
        contexts = np.zeros(inputs.shape, dtype=np.uint64)
        for j in range(K):
            contexts |= fed[:, K - j : K - j + T] << np.uint64(bits * j)
        lengths = np.minimum(K, self._lengths[:, None] + 1 + np.arange(T))
        asked = targets >= 0
        found = self.memory.probabilities(contexts[asked], lengths[asked], targets[asked])
        result = np.ones((4, *inputs.shape))
        result[:, asked] = found.p, found.order, found.total, found.followers
        self._recent, self._lengths = fed[:, T:], np.minimum(K, self._lengths + T)
        return Recalled(*result)


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


def mix(logits: Logits, memory: Memory, texts: Sequence[Sequence[int]]) -> Logits:
    """Return scores of a network's prediction with a memory mixed in, (B, V).

    Args:
        logits: The network's scores, (B, V).
        memory: With its own weight, or none.
        texts: Ids that each row has read.
    """
    rows = [memory.recall(text) for text in texts]
    sure = np.array([(row.order, row.total, row.followers) for row in rows], dtype=np.float64)
    recalled = Recalled(np.stack([row.p for row in rows]), *sure.T)
    p = probabilities(logits.astype(np.float64))
    entropy = -(p * np.log(np.maximum(p, SMALLEST))).sum(axis=-1)
    weights = np.broadcast_to(memory.share(entropy, recalled), entropy.shape)[:, None]
    return mixed(logits, recalled.p, weights)


def mixed(logits: Logits, remembered: Floats, weight: Any) -> Logits:
    """Return scores of the mix (1 - weight) network + weight memory, (..., V).

    Args:
        logits: The network's scores, (..., V).
        remembered: The memory's probabilities, (..., V).
        weight: The memory's share, in [0, 1]; one, or (..., 1).
    """
    with np.errstate(divide="ignore"):
        result: Floats = np.log((1.0 - weight) * probabilities(logits) + weight * remembered)
    return result.astype(np.float32)
