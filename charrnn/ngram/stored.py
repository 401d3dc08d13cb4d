"""The n-gram model in a checkpoint: its tensors and description, checked."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.core.errors import CheckpointError
from charrnn.ngram.counts import WORD, Discounts, Order, bits_of, mask
from charrnn.ngram.model import NgramModel
from charrnn.ngram.word_model import DISCOUNTS, RULE, WordModel
from charrnn.ngram.words import Words

CHUNK = 1 << 20
"""Keys that a check compares at once, so that it needs little RAM."""


def parse_memory(
    tensors: Mapping[str, NDArray[Any]], description: Any, vocab_size: int
) -> NgramModel | None:
    """Return the n-gram memory of a checkpoint; None without one.

    Raises:
        CheckpointError: Its counts are not valid, or differ from its description.
    """
    tensors = {name: t for name, t in tensors.items() if name.startswith("memory/")}
    if isinstance(description, dict) and "words" in description:
        return _parse_words(tensors, description, vocab_size)
    names = set(tensors)
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


def _parse_words(
    tensors: dict[str, NDArray[Any]], description: dict[str, Any], vocab_size: int
) -> WordModel:
    """Return a memory that knows words.

    Raises:
        CheckpointError: Its counts are not valid, or differ from its description.
    """
    error = CheckpointError("its n-gram memory has no valid counts of words")
    words = description["words"]
    if isinstance(words, dict) and isinstance(rule := words.get("rule"), int) and rule > RULE:
        raise CheckpointError("its n-gram memory is of a later version of charrnn")
    orders = []
    for name, discounts in DISCOUNTS.items():
        keys, counts = (tensors.pop(f"memory/{name}/{part}", None) for part in ("keys", "counts"))
        if keys is None or counts is None or not _are_counts(keys, counts, vocab_size):
            raise error
        orders.append(Order.of(keys, counts, discounts))
    forms = tensors.pop("memory/words/forms", None)
    if forms is None or forms.dtype != np.int32 or forms.shape != (vocab_size,):
        raise error
    if ((forms < -vocab_size) | (forms >= vocab_size)).any():
        raise error
    rest = {name: value for name, value in description.items() if name != "words"}
    memory = parse_memory(tensors, rest, vocab_size)
    assert memory is not None  # it has a description
    result = WordModel(memory.orders, Words(forms), orders, memory.weight)
    if result.metadata() != description:
        raise error
    return result


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
    if not _are_counts(keys, counts, vocab_size) or (order == 0 and not len(keys)):
        return False
    bits = bits_of(vocab_size) * (order + 1)
    return bits <= WORD and (not len(keys) or bool(keys[-1] <= mask(bits)))


def _are_counts(keys: NDArray[Any], counts: NDArray[Any], vocab_size: int) -> bool:
    """Return whether keys ascend and end in known ids, and counts are positive."""
    if keys.dtype != np.uint64 or counts.dtype != np.int32 or keys.shape != counts.shape:
        return False
    bits, pieces = (
        bits_of(vocab_size),
        [slice(i, i + CHUNK + 1) for i in range(0, len(keys), CHUNK)],
    )
    return keys.ndim == 1 and all(
        bool((keys[p][1:] > keys[p][:-1]).all() and (keys[p] & mask(bits) < vocab_size).all())
        and bool((counts[p] >= 1).all())
        for p in pieces
    )
