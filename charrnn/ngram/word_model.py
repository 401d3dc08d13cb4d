"""An n-gram memory that knows words: characters and words each predict, and both are multiplied.

Word contexts refine the prediction after a few characters one after the other, as orders do. Where
the counts of a context sum to S,

    P(x) = (c(x) - D(c(x)) + sum_y D(c(y)) P'(x)) / S,

P' the prediction before it; a context that does not occur in the text changes nothing. Counts are
occurrences. The memory predicts

    P(x) = P_characters(x)^a P_words(x)^b / Z,

with Z such that the sum is one.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.core.config import TrainConfig
from charrnn.data.corpus import Corpus
from charrnn.ngram.counts import MOST_ENTRIES, Discounts, Floats, Order, Texts, mask, texts_of
from charrnn.ngram.model import NgramModel, NgramPrediction, build
from charrnn.ngram.words import Words, forms_of

DISCOUNTS: dict[str, Discounts] = {
    "w0": (0.4, 0.9, 1.1),
    "w1": (0.75, 1.1, 1.4),
    "w2": (0.85, 1.3, 1.5),
}
"""Discounts of each word context, by its name, in the order in which they refine."""

RULE = 1
"""Number of the rule by which words are found and predict; a file has its own."""

BASE = 4
"""Characters whose prediction the words refine."""

POWERS = (0.58, 0.42)
"""Powers of characters and words, fitted by benchmarks/fit_words.py on the ends of training texts."""

CHUNK = 1 << 16
"""Contexts that are hashed at once while counting."""

SMALLEST = 1e-9
"""Lower bound of the probabilities that are multiplied."""


class WordModel(NgramModel):
    """n-gram counts of characters, and counts after word contexts.

    Args:
        orders: Orders of characters, 0 first.
        words: Names the word contexts.
        word_orders: Counts after the word contexts: keys are hash << bits | symbol.
        weight: Weight in the mixture with the network; None lets the gate choose it.
    """

    def __init__(
        self, orders: Sequence[Order], words: Words, word_orders: Sequence[Order],
        weight: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(orders, len(words.forms), weight)
        self.words: Words = words
        self.word_orders = list(word_orders)

    @cached_property
    def characters(self) -> NgramModel:
        """The n-gram model of the characters alone."""
        return NgramModel(self.orders, self.vocab_size, self.weight)

    @property
    def num_entries(self) -> int:
        """Number of keys of all orders and word contexts."""
        return super().num_entries + sum(len(order.keys) for order in self.word_orders)

    def weighted(self, weight: float | None) -> "NgramModel | None":
        """Return the same counts with another mixture weight, as NgramModel.weighted does."""
        if weight is None or not weight:
            return super().weighted(weight)
        return WordModel(self.orders, self.words, self.word_orders, weight)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the counts by their tensor names in a checkpoint."""
        result = super().tensors() | {"memory/words/forms": self.words.forms}
        for name, order in zip(DISCOUNTS, self.word_orders, strict=True):
            result |= {f"memory/{name}/keys": order.keys, f"memory/{name}/counts": order.counts}
        return result

    def metadata(self) -> dict[str, Any]:
        """Return the metadata of the model in a checkpoint."""
        pairs = zip(DISCOUNTS, self.word_orders, strict=True)
        found = {n: {"discounts": list(o.discounts), "entries": len(o.keys)} for n, o in pairs}
        return super().metadata() | {"words": {"rule": RULE, "contexts": found}}

    def predict(self, contexts: NDArray[Any], lengths: NDArray[Any]) -> NgramPrediction:
        """Return the prediction after each context: rows of CONTEXT, and their lengths, (n,)."""
        chars, known = contexts["chars"], np.minimum(lengths, BASE)
        prediction = self.characters.predict(chars, lengths)
        base = self.characters.predict(chars, known).p
        return product(prediction, self.refined(base, contexts))

    def predict_next(self, contexts: NDArray[Any], length: int) -> NgramPrediction:
        """Return the prediction after one context, (1,). Its last bits may differ from `predict`."""
        known = min(length, BASE)
        words = self.characters.predict_next(contexts, known).p[0]
        for order, low in zip(self.word_orders, self.words.keys(contexts), strict=True):
            found = order.refined(words, int(low[0]), self._ones) if low[0] else None
            words = words if found is None else found[0]
        return product(self.characters.predict_next(contexts, length), words[None])

    def refined(self, p: Floats, contexts: NDArray[Any]) -> Floats:
        """Return the prediction of the words from that of the last characters, (n, V)."""
        for order, low in zip(self.word_orders, self.words.keys(contexts), strict=True):
            begin = np.searchsorted(order.keys, low)
            end = np.searchsorted(order.keys, low | mask(self.bits), side="right")
            end = np.where(low == 0, begin, end)
            size, total = end - begin, np.maximum(order.sums[end] - order.sums[begin], 1)
            spare = order.discount_sums[end] - order.discount_sums[begin]
            p = p * np.where(size > 0, spare / total, 1.0)[:, None]
            rows = np.repeat(np.arange(len(size)), size)
            places = np.arange(len(rows)) + (begin - (np.cumsum(size) - size))[rows]
            counts = order.counts[places]
            symbols = (order.keys[places] & mask(self.bits)).astype(np.intp)
            p[rows, symbols] += (counts - order.discounted(counts)) / total[rows]
        return p


def product(prediction: NgramPrediction, words: Floats) -> NgramPrediction:
    """Return the product of the predictions of characters and words, with the statistics of the first."""
    logs = [np.log(np.maximum(p, SMALLEST)) for p in (prediction.p, words)]
    scores = POWERS[0] * logs[0] + POWERS[1] * logs[1]
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return NgramPrediction(p, prediction.order, prediction.total, prediction.followers)


def new_memory(config: TrainConfig, corpus: Corpus) -> NgramModel | None:
    """Return the n-gram memory of a new run; None without one."""
    return count_corpus(corpus, config.memory, has_words=config.memory_words == "on")


def count_corpus(corpus: Corpus, order: int, *, has_words: bool = False) -> NgramModel | None:
    """Return the n-gram model of the training text of a corpus; None for order 0."""
    if not order:
        return None
    texts = texts_of(corpus)
    memory = build(texts, corpus.vocab.size, order)
    if not has_words:
        return memory
    words = Words(forms_of(corpus.vocab))
    return WordModel(memory.orders, words, count_words(texts, words))


def count_words(texts: Texts, words: Words) -> list[Order]:
    """Return the counts after each word context of texts; those of which there are too many are empty.

    The first symbol of a text has no context.
    """
    contexts, is_next = words.read(texts, 1)[:-1], texts.positions[1:] > 0
    keys = np.empty((len(DISCOUNTS), len(contexts)), dtype=np.uint64)
    for begin in range(0, len(contexts), CHUNK):  # few temporary arrays beside those of all texts
        keys[:, begin : begin + CHUNK] = words.keys(contexts[begin : begin + CHUNK])
    del contexts
    symbols, orders, left = texts.ids[1:][is_next].astype(np.uint64), [], MOST_ENTRIES
    for discounts, low in zip(DISCOUNTS.values(), (row[is_next] for row in keys), strict=True):
        keys, counts = np.unique((low | symbols)[low != 0], return_counts=True)
        if len(keys) > left:
            keys, counts = keys[:0], counts[:0]
        left -= len(keys)
        orders.append(Order.of(keys, counts, discounts))
    return orders
