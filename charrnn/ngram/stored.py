"""The n-gram model in a checkpoint: its tensors and description, checked."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.core.errors import CheckpointError
from charrnn.ngram.counts import WORD, Discounts, Order, bits_of, mask
from charrnn.ngram.model import NgramModel

CHUNK = 1 << 20
"""Keys that a check compares at once, so that it needs little RAM."""


def parse_memory(
    tensors: Mapping[str, NDArray[Any]], description: Any, vocab_size: int
) -> NgramModel | None:
    """Return the n-gram memory of a checkpoint; None without one.

    Raises:
        CheckpointError: Its counts are not valid, or differ from its description.
    """
    names = {name for name in tensors if name.startswith("memory/")}
    if description is None and not names:
        return None
    order = description.get("order") if isinstance(description, dict) else None
    if type(order) is not int or not 0 <= order <= 63:
        raise CheckpointError("its n-gram memory has no description")
    orders, discounts = [], _discounts(description)
    for k in range(order + 1):
        keys, counts = tensors.get(f"memory/{k}/keys"), tensors.get(f"memory/{k}/counts")
        names -= {f"memory/{k}/keys", f"memory/{k}/counts"}
        if keys is None or counts is None or not _are_valid_counts(keys, counts, k, vocab_size):
            raise CheckpointError(f"its n-gram memory has no valid counts of order {k}")
        orders.append(Order.of(keys, counts, discounts[k]))
    weight = description.get("weight")
    if names or not (weight is None or (type(weight) is float and 0 <= weight <= 1)):
        raise CheckpointError("its n-gram memory does not match its description")
    memory = NgramModel(orders, vocab_size, weight)
    if memory.metadata() != description:
        raise CheckpointError("its n-gram memory does not match its description")
    return memory


def _discounts(description: Mapping[str, Any]) -> list[Discounts]:
    """Return the Kneser-Ney discounts (D1, D2, D3+) of each order; three equal ones may be one.

    Raises:
        CheckpointError: A discount is not between 0 and its count.
    """
    result = []
    for values in description["discounts"]:
        three = tuple(values) if isinstance(values, list) else (values,) * 3
        if len(three) != 3 or not all(
            type(d) is float and 0 < d < count for count, d in enumerate(three, start=1)
        ):
            raise CheckpointError("its n-gram memory has discounts that are not valid")
        result.append(three)
    if len(result) != description["order"] + 1:
        raise CheckpointError("its n-gram memory does not match its description")
    return result


def _are_valid_counts(
    keys: NDArray[Any], counts: NDArray[Any], order: int, vocab_size: int
) -> bool:
    """Return whether keys ascend, fit their order and end in known ids, and counts are positive."""
    if keys.dtype != np.uint64 or counts.dtype != np.int32 or keys.shape != counts.shape:
        return False
    if keys.ndim != 1 or (order == 0 and not len(keys)):
        return False
    bits = bits_of(vocab_size)
    fits = bits * (order + 1) <= WORD and (not len(keys) or keys[-1] <= mask(bits * (order + 1)))
    pieces = [slice(i, i + CHUNK + 1) for i in range(0, len(keys), CHUNK)]
    return fits and all(
        bool((keys[p][1:] > keys[p][:-1]).all() and (keys[p] & mask(bits) < vocab_size).all())
        and bool((counts[p] >= 1).all())
        for p in pieces
    )
