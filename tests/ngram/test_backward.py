"""The backward n-gram model against counting the reversed text."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ngrams import distribution

from charrnn.core.errors import CheckpointError
from charrnn.data.records import find_records
from charrnn.ngram.backward import backward
from charrnn.ngram.counts import Order, Texts, records_of, runs_of
from charrnn.ngram.model import NgramModel, build


def are_equal(one, other):
    return all(
        a.keys.tolist() == b.keys.tolist() and a.counts.tolist() == b.counts.tolist()
        for a, b in zip(one.orders, other.orders, strict=True)
    )


def reversed_texts(texts):
    """Return several texts, each turned round by itself."""
    starts = np.flatnonzero(texts.positions == 0)
    parts = [part[::-1] for part in np.split(texts.ids, starts[1:])]
    return Texts(np.concatenate(parts), texts.positions)


@settings(max_examples=200)
@given(st.lists(st.integers(0, 3), min_size=6, max_size=80), st.integers(0, 5))
def test_it_equals_the_counts_of_the_reversed_text(ids, order):
    text = np.array(ids, dtype=np.uint8)
    counted = build(runs_of(text[::-1]), 4, order)
    assert are_equal(backward(build(runs_of(text), 4, order)), counted)


@settings(max_examples=200)
@given(st.text("ab\n", min_size=1, max_size=80), st.integers(0, 5))
def test_it_equals_the_counts_of_reversed_records(text, order):
    ids = np.array([{"\n": 0, "a": 1, "b": 2}[c] for c in text + "a\n"], dtype=np.uint8)
    texts = records_of(ids, find_records(ids, 0)[0], 0)
    counted = build(reversed_texts(texts), 3, order)
    assert are_equal(backward(build(texts, 3, order)), counted)


def test_it_predicts_the_symbol_before():
    """In "abcabdab" a comes before b, three times. One, two, one, one symbols follow a, b, c, d.

    Order 0 is (1 - 0.5 + 2 / 4) / 5 = 0.2 for a; so a has (3 - 1.2 + 1.2 * 0.2) / 3 before b.
    """
    memory = build(runs_of(np.array([0, 1, 2, 0, 1, 3, 0, 1])), 4, 1)
    before_b = distribution(backward(memory), [1])
    assert before_b == pytest.approx([0.68, 1.2 * 0.4 / 3, 0.08, 0.08])


def test_keys_that_hold_no_text_are_refused():
    """Vocabulary of 3 in 2 bits: the context 3 names no symbol."""
    orders = [
        Order.of(np.array([0], dtype=np.uint64), np.array([1]), (0.5, 0.5, 0.5)),
        Order.of(np.array([3 << 2], dtype=np.uint64), np.array([1]), (0.5, 0.5, 0.5)),
    ]
    with pytest.raises(CheckpointError, match="hold no text"):
        backward(NgramModel(orders, 3))
