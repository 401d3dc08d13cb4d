"""An n-gram model that keeps counting, against one counted anew."""

import numpy as np
import pytest

from charrnn.ngram.context import ContextTracker
from charrnn.ngram.counts import Texts, runs_of
from charrnn.ngram.model import build
from charrnn.ngram.online import OnlineNgrams

V, K = 5, 3


def text(length, seed=1):
    return np.random.default_rng(seed).integers(0, V, length).astype(np.uint8)


def follow(memory, ids):
    contexts, lengths = ContextTracker(memory, 1).read(ids[None, :-1])
    return OnlineNgrams(memory).follow(contexts[0], lengths[0], ids[1:])


def test_each_symbol_is_judged_by_a_memory_of_the_training_text_and_all_scored_before():
    first, second = text(400), text(60, seed=2)
    found = follow(build(runs_of(first), V, K), second)
    for i in range(1, len(second)):
        # Built anew: the training text, and what was scored as a text of its own. Its first
        # symbol is never scored, and so never counted.
        joined = np.concatenate([first, second[:i]])
        places = np.concatenate([np.arange(len(first)), np.arange(i)])
        rebuilt = build(Texts(joined, places), V, K)
        contexts, lengths = ContextTracker(rebuilt, 1).read(second[None, :i])
        expected = rebuilt.predict(contexts[:, -1], lengths[:, -1])
        assert found.p[i - 1] == pytest.approx(expected.p[0], abs=2e-3), i
        assert found.order[i - 1] == expected.order[0]


def test_a_context_seen_for_the_second_time_is_known():
    memory = build(runs_of(np.zeros(10, dtype=np.uint8)), V, K)
    ids = np.array([1, 2, 3, 4, 1, 2, 3, 4], dtype=np.uint8)
    found = follow(memory, ids)
    # 1, 2, 3 -> 4 was counted once: (1 - 0.8 + 0.8 * lower) / 1
    assert found.order[6] == 3
    assert found.p[6, 4] > 0.1
    assert found.p[6, 4] > found.p[2, 4]


def test_the_training_counts_stay_as_they_were():
    memory = build(runs_of(text(400)), V, K)
    before = [order.counts.copy() for order in memory.orders]
    follow(memory, text(60, seed=2))
    for order, counts in zip(memory.orders, before, strict=True):
        np.testing.assert_array_equal(order.counts, counts)
