"""The memory against a dictionary that counts in the plainest way."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ngrams import distribution

import charrnn.ngram.model
from charrnn.data.records import find_records
from charrnn.ngram.context import ContextTracker
from charrnn.ngram.counts import (
    Order,
    Texts,
    bits_of,
    discounts_of,
    highest_order,
    records_of,
    runs_of,
)
from charrnn.ngram.model import NgramModel
from charrnn.ngram.model import build as build_texts


def build(texts, vocab_size, order):
    """Build from a list of texts."""
    ids = np.concatenate(texts)
    places = np.concatenate([np.arange(len(text)) for text in texts])
    return build_texts(Texts(ids, places), vocab_size, order)


class Plain:
    """Interpolated Kneser-Ney with dictionaries of tuples."""

    def __init__(self, texts, vocab_size, order):
        self.size, self.order = vocab_size, order
        grams = [Counter() for _ in range(order + 1)]
        for text in texts:
            for k in range(order + 1):
                grams[k].update(tuple(text[i : i + k + 1]) for i in range(len(text) - k))
        self.counts = [defaultdict(dict) for _ in range(order + 1)]
        for k in range(order + 1):
            for gram, occurrences in grams[k].items():
                if k < order:
                    longer = {g for g in grams[k + 1] if g[1:] == gram}
                    count = len(longer) or occurrences  # nothing stands before what begins a text
                else:
                    count = occurrences
                self.counts[k][gram[:-1]][gram[-1]] = count

    def probability(self, context, symbol):
        p = 1 / self.size
        for k in range(min(self.order, len(context)) + 1):
            followers = self.counts[k].get(tuple(context[len(context) - k :]))
            if not followers:
                break
            total, spare = (
                sum(followers.values()),
                sum(self.discount(k, c) for c in followers.values()),
            )
            count = followers.get(symbol, 0)
            p = (count - self.discount(k, count) + spare * p) / total
        return p

    def discount(self, k, count):
        if count == 0:
            return 0
        of_one, of_two, of_more = (
            (0.5, 0.5, 0.5) if k == 0 else (0.8, 1.1, 1.2) if k <= 3 else (0.9, 1.3, 1.6)
        )
        return of_one if count == 1 else of_two if count == 2 else of_more


def packed(context, bits):
    value = 0
    for symbol in context:
        value = (value << bits) | int(symbol)
    return value


def test_a_text_of_five_symbols_by_hand():
    # abaab: order 1 counts ab 2, ba 1, aa 1. Order 0 counts what precedes: a after b and a: 2,
    # b after a: 1. So P_0(a) = (2 - 0.5 + 0.5 * 2 / 2) / 3 = 2/3, P_0(b) = (0.5 + 0.5) / 3 = 1/3.
    # After a come b twice and a once, so (0.8 + 1.1) / 3 is handed down:
    # P_1(b | a) = (2 - 1.1 + 1.9 / 3) / 3 = 4.6 / 9, P_1(a | a) = (1 - 0.8 + 1.9 * 2 / 3) / 3 = 4.4 / 9.
    memory = build([np.array([0, 1, 0, 0, 1], dtype=np.uint8)], 2, 1)
    assert distribution(memory, []) == pytest.approx([2 / 3, 1 / 3])
    assert distribution(memory, [0]) == pytest.approx([4.4 / 9, 4.6 / 9])
    assert [o.keys.tolist() for o in memory.orders] == [[0, 1], [0b00, 0b01, 0b10]]
    assert [o.counts.tolist() for o in memory.orders] == [[2, 1], [1, 2, 1]]


texts_of_symbols = st.lists(
    st.lists(st.integers(0, 4), min_size=1, max_size=30), min_size=1, max_size=4
)


ROOMS = st.sampled_from([1, 25, 125, 1 << 18])
"""For tables of no context at all, of one symbol, of two, of all."""


@given(texts_of_symbols, st.integers(0, 4), st.lists(st.integers(0, 4), max_size=6), ROOMS)
@settings(max_examples=400, deadline=None)
def test_it_is_exactly_the_plain_one(texts, order, context, room):
    arrays = [np.array(text, dtype=np.uint8) for text in texts]
    memory, plain = build(arrays, 5, order), Plain(texts, 5, order)
    expected = [plain.probability(context, symbol) for symbol in range(5)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(charrnn.ngram.model, "TABLE_CELLS", room)
        found = distribution(memory, context)
    assert found == pytest.approx(expected, rel=1e-12)
    assert found.sum() == pytest.approx(1, abs=1e-12)
    last = context[len(context) - min(len(context), memory.order) :]
    many = memory.predict(np.full(3, packed(last, memory.bits), np.uint64), np.full(3, len(last)))
    assert many.p == pytest.approx(np.tile(expected, (3, 1)), rel=1e-12)


def test_contexts_get_shorter_until_the_entries_are_few_enough(monkeypatch):
    ids = np.random.default_rng(5).integers(0, 7, 600).astype(np.uint8)
    sizes = np.cumsum([len(order.keys) for order in build([ids], 7, 4).orders])
    for order in range(5):
        monkeypatch.setattr("charrnn.ngram.counts.MOST_ENTRIES", int(sizes[order]))
        found, plain = build([ids], 7, 4), Plain([ids], 7, order)
        assert (found.order, found.num_entries) == (order, sizes[order])
        expected = [plain.probability([3, 1, 4, 2], symbol) for symbol in range(7)]
        assert distribution(found, [3, 1, 4, 2]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("size", "bits", "order"), [(2, 1, 7), (65, 7, 7), (256, 8, 7), (257, 9, 6), (65_535, 16, 3)]
)
def test_keys_fit_into_64_bits(size, bits, order):
    assert bits_of(size) == bits
    assert highest_order(size, 7) == order


def test_the_largest_key_does_not_overflow():
    ids = np.full(40, 65_534, dtype=np.uint16)
    ids[::5] = 3
    memory = build([ids], 65_535, 7)
    assert memory.order == 3
    assert distribution(memory, [65_534, 65_534, 65_534]).argmax() == 65_534


def test_of_a_long_text_equally_spaced_runs_are_read():
    ids = np.arange(64_000) % 251
    runs = runs_of(ids.astype(np.uint8), 6_400)
    assert len(runs.ids) == 6_400
    starts = np.flatnonzero(runs.positions == 0)
    assert starts.tolist() == list(range(0, 6_400, 100))
    assert runs.ids[starts[:3]].tolist() == [0, 1000 % 251, 2000 % 251]
    assert (runs_of(ids, 64_000).positions == 0).sum() == 1


def test_no_n_gram_crosses_from_one_piece_of_a_text_into_the_next():
    """abab|baba: with the seam, bb would occur."""
    ids = np.array([0, 1, 0, 1, 1, 0, 1, 0], dtype=np.uint8)
    assert runs_of(ids, pieces=(0, 4)).positions.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    pairs = [build_texts(runs_of(ids, pieces=p), 2, 1).orders[1] for p in ((), (0, 4))]
    assert [
        dict(zip(order.keys.tolist(), order.counts.tolist(), strict=True)) for order in pairs
    ] == [
        {0b01: 3, 0b10: 3, 0b11: 1},
        {0b01: 3, 0b10: 3},
    ]


def test_the_runs_of_a_long_text_are_cut_where_a_piece_begins():
    """64 runs of 100 symbols, 1,000 apart: of the second, 40 lie before the second piece."""
    ids = np.arange(64_000) % 251
    runs = runs_of(ids.astype(np.uint8), 6_400, pieces=(0, 1040, 2100))
    expected = np.tile(np.arange(100), 64)
    expected[140:200] = np.arange(60)
    assert runs.positions.tolist() == expected.tolist()


def test_each_record_is_a_text_between_newlines():
    ids = np.frombuffer(b"ab\n\ncde\n", dtype=np.uint8)
    records, _ = find_records(ids, 10)
    texts = records_of(ids, records, 10)
    assert texts.ids.tobytes() == b"\nab\n\ncde\n"
    assert texts.positions.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("most", "text"),
    [(9, b"\nab\n\ncde\n"), (8, b"\nab\n"), (4, b"\nab\n"), (3, b"\nab\n"), (0, b"\nab\n")],
)
def test_of_many_records_those_are_read_that_fit_with_their_ends(most, text):
    ids = np.frombuffer(b"ab\n\ncde\n", dtype=np.uint8)
    records, _ = find_records(ids, 10)
    assert records_of(ids, records, 10, most).ids.tobytes() == text  # one at least


@given(st.lists(st.integers(0, 4), min_size=2, max_size=40), st.integers(1, 7))
@settings(max_examples=100, deadline=None)
def test_a_reader_sees_what_one_symbol_after_the_other_gives(text, window):
    rng = np.random.default_rng(3)
    memory = build([rng.integers(0, 5, 200).astype(np.uint8)], 5, 3)
    rows, reader = np.array([text, text[::-1]]), ContextTracker(memory, 2)
    contexts, lengths = (
        np.concatenate(each, axis=1)
        for each in zip(
            *(reader.read(rows[:, i : i + window]) for i in range(0, len(text), window)),
            strict=True,
        )
    )
    for row in range(2):
        for i in range(len(text)):
            last = rows[row, max(0, i - 2) : i + 1]
            assert (contexts[row, i], lengths[row, i]) == (packed(last, memory.bits), len(last))
    assert (reader.contexts == contexts[:, -1]).all()


def test_a_fresh_row_has_forgotten_what_was_before():
    memory = build([np.array([0, 1, 0, 1, 0, 2], dtype=np.uint8)], 3, 2)
    reader = ContextTracker(memory, 2)
    reader.read(np.array([[0, 1], [0, 1]]), np.array([True, True]))
    contexts, lengths = reader.read(np.array([[0], [0]]), np.array([True, False]))
    assert lengths.tolist() == [[1], [2]]
    found = memory.predict(contexts[:, 0], lengths[:, 0])
    assert found.p[0] == pytest.approx(distribution(memory, [0]))
    assert found.p[1] == pytest.approx(distribution(memory, [1, 0]))


def test_texts_that_are_done_leave_a_reader():
    memory = build([np.array([0, 1, 2, 3, 4], dtype=np.uint8)], 5, 2)
    reader = ContextTracker(memory, 3)
    reader.read(np.array([[1, 2], [3, 4], [0, 1]]))
    reader.keep(np.array([True, False, True]))
    assert reader.contexts.tolist() == [packed([1, 2], 3), packed([0, 1], 3)]
    reader.read(np.array([[4], [4]]), np.array([True, False]))
    reader.keep(np.array([False, True]))
    assert reader.lengths.tolist() == [2]
    _, lengths = reader.read(np.array([[3]]))
    assert lengths.tolist() == [[2]]


def test_tensors_and_facts_say_all_of_it():
    memory = build([np.array([0, 1, 0, 0, 1], dtype=np.uint8)], 2, 1)
    again = NgramModel(
        [
            Order.of(
                memory.tensors()[f"memory/{k}/keys"],
                memory.tensors()[f"memory/{k}/counts"],
                discounts_of(k),
            )
            for k in range(2)
        ],
        2,
    )
    assert np.array_equal(distribution(again, [0]), distribution(memory, [0]))
    assert memory.metadata() == {
        "order": 1,
        "bits": 1,
        "discounts": [0.5, [0.8, 1.1, 1.2]],
        "weight": None,
        "entries": [2, 3],
    }


@given(texts_of_symbols, st.lists(st.integers(0, 4), max_size=6), ROOMS)
@settings(max_examples=200, deadline=None)
def test_one_context_is_told_what_many_are(texts, context, room):
    memory = build([np.array(text, dtype=np.uint8) for text in texts], 5, 3)
    reader = ContextTracker(memory, 1)
    reader.read(np.array([context], dtype=np.int64).reshape(1, -1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(charrnn.ngram.model, "TABLE_CELLS", room)
        many = memory.predict(reader.contexts, reader.lengths)
    one = memory.predict_one(int(reader.contexts[0]), int(reader.lengths[0]))
    assert one.p == pytest.approx(many.p, rel=1e-12)
    assert (one.order, one.total, one.followers) == (many.order, many.total, many.followers)


def test_what_begins_a_record_counts_as_often_as_it_does():
    """Of four lines three begin with a, one with b: after a newline (3 - 1.2 + 2 * P0(a)) / 4.

    The spare mass of a line's beginning is 1.2 of a and 0.8 of b.
    """
    ids = np.array([0, 1, 3, 0, 1, 3, 0, 1, 3, 0, 2], dtype=np.uint8)  # \nac\nac\nac\nb
    records, _ = find_records(ids, 0)
    memory = build_texts(records_of(ids, records, 0), 4, 7)
    p_a, p_b = distribution(memory, [])[1:3]
    assert distribution(memory, [0])[1] == pytest.approx((3 - 1.2 + 2 * p_a) / 4)
    assert distribution(memory, [0])[2] == pytest.approx((1 - 0.8 + 2 * p_b) / 4)


def test_a_weight_of_0_leaves_the_counts_unused():
    memory = build([np.array([0, 1, 0, 0, 1], dtype=np.uint8)], 2, 1)
    assert memory.weighted(None) is memory
    assert memory.weighted(0.0) is None
    assert memory.weighted(0.25).weight == 0.25
    memory.weight = 0.0
    assert memory.weighted(None) is None
    assert memory.weighted(0.25).weight == 0.25
