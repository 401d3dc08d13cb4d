"""The n-gram memory of a page: cut to lower orders; numbers as bytes. Its keys: test_engine.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.core.errors import CheckpointError
from charrnn.data.records import find_records
from charrnn.export.memory import cut, differences, packed, varints
from charrnn.ngram.counts import Order, records_of, runs_of
from charrnn.ngram.model import NgramModel, build


def content(memory):
    return [(each.keys.tolist(), each.counts.tolist(), each.discounts) for each in memory.orders]


@settings(max_examples=100)
@given(st.lists(st.integers(0, 3), min_size=9, max_size=80), st.integers(1, 5))
def test_a_cut_memory_is_that_of_counting_the_text_anew(ids, order):
    """A text that begins as it does nowhere else: symbol 4."""
    texts = runs_of(np.array([4, *ids], dtype=np.uint8))
    assert content(cut(build(texts, 5, 6), order)) == content(build(texts, 5, order))


@settings(max_examples=100)
@given(st.text("ab\n", min_size=1, max_size=80), st.integers(1, 4))
def test_so_is_that_of_records(text, order):
    ids = np.array([{"\n": 0, "a": 1, "b": 2}[c] for c in text + "a\n"], dtype=np.uint8)
    texts = records_of(ids, find_records(ids, 0)[0], 0)
    assert content(cut(build(texts, 3, 5), order)) == content(build(texts, 3, order))


def test_a_beginning_that_occurs_again_is_not_counted():
    """In "abab", cut to pairs, "ab" occurs twice and counts once; "ba" counts once."""
    memory = cut(build(runs_of(np.array([0, 1, 0, 1])), 2, 3), 1)
    assert memory.orders[1].counts.tolist() == [1, 1]


def test_a_memory_that_is_short_enough_is_not_cut():
    memory = build(runs_of(np.array([0, 1, 0])), 2, 2)
    assert cut(memory, 2) is memory


def test_numbers_take_seven_bits_a_byte():
    """300 is 2 * 128 + 44."""
    values = np.array([0, 127, 128, 300, 1 << 21])
    assert varints(values) == bytes([0, 127, 128, 1, 128 + 44, 2, 128, 128, 128, 1])
    assert varints(np.array([], dtype=np.int64)) == b""


def test_only_counts_that_differ_are_listed():
    """At 1 and at 3; the second is 2 after the first."""
    found = differences(np.array([5, 2, 1, 7], dtype=np.int32), np.array([5, 0, 1, 0]))
    assert found.tolist() == [2, 1, 2, 2, 7]


def test_keys_without_a_context_or_suffix_are_refused():
    """The pair (2, 0) begins with 2, which order 0 lacks; (0, 2) ends in it."""
    for pair in (0b1000, 0b0010):
        orders = [
            Order.of(np.array([0, 1], dtype=np.uint64), np.array([1, 1]), (0.5, 0.5, 0.5)),
            Order.of(np.array([pair], dtype=np.uint64), np.array([1]), (0.5, 0.5, 0.5)),
        ]
        with pytest.raises(CheckpointError, match="hold no text"):
            packed(NgramModel(orders, 3))
