"""Records: which lines they are, and which are held out."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.core.errors import InputError
from charrnn.data.corpus import LONGEST, find_records, split_records

NEWLINE = 10


def as_ids(text):
    """Return the bytes of a text as ids; the newline is 10."""
    return np.frombuffer(text.encode("latin-1"), dtype=np.uint8)


def texts_of(records, ids):
    """Return what stands in records."""
    return [text.decode("latin-1") for text in records.texts(ids)]


def split(text, val="", *, val_frac=0.1, seed=0):
    """Return training records and held-out records as texts, and notes."""
    train_ids, val_ids = as_ids(text), as_ids(val)
    train, held_out, notes = split_records(train_ids, val_ids, NEWLINE, val_frac, seed)
    return texts_of(train, train_ids), texts_of(held_out, val_ids if val else train_ids), notes


def numbered(count, copies=1):
    """Return a text of so many different lines, each written so many times."""
    return "".join(f"line {number}\n" for number in range(count)) * copies


@given(st.text("ab\n"))
@settings(deadline=None, database=None, derandomize=True)
def test_records_are_the_lines_that_are_not_empty(text):
    ids = as_ids(text)
    records, num_cut = find_records(ids, NEWLINE)
    assert texts_of(records, ids) == [line for line in text.split("\n") if line]
    assert num_cut == 0


def test_wide_ids_are_found_as_well():
    ids = np.array([300, 7, 7, 301, 300], dtype=np.uint16)
    records, _ = find_records(ids, 7)
    assert records.starts.tolist() == [0, 3]
    assert records.lengths.tolist() == [1, 2]


def test_a_long_record_is_cut_and_counted():
    lines = ["a" * LONGEST, "b" * (LONGEST + 1), "c" * (LONGEST + 9), "d"]
    ids = as_ids("\n".join(lines))
    records, num_cut = find_records(ids, NEWLINE)
    assert texts_of(records, ids) == [line[:512] for line in lines]
    assert num_cut == 2
    assert split("\n".join(lines))[2] == ["2 lines cut to 512 characters"]


def test_records_are_taken_in_the_order_asked_for():
    ids = as_ids("one\ntwo\nthree")
    records, _ = find_records(ids, NEWLINE)
    assert texts_of(records.take(np.array([2, 0])), ids) == ["three", "one"]


def test_a_tenth_of_the_distinct_records_is_held_out_once_each():
    train, held_out, _ = split(numbered(30, copies=7))
    assert len(held_out) == len(set(held_out)) == 3
    assert Counter(train) == dict.fromkeys(set(numbered(30).splitlines()) - set(held_out), 7)


def test_a_held_out_record_is_never_trained_on_however_unequal_the_counts():
    text = numbered(40) + numbered(20) * 5 + numbered(3) * 11
    for seed in range(9):
        train, held_out, _ = split(text, seed=seed)
        assert not set(train) & set(held_out)
        assert set(train) | set(held_out) == set(text.splitlines())


def test_other_seeds_hold_out_other_records():
    drawn = {tuple(split(numbered(50), seed=seed)[1]) for seed in range(6)}
    assert len(drawn) == 6
    assert split(numbered(50), seed=3) == split(numbered(50), seed=3)


def test_the_share_held_out_can_be_chosen():
    assert [len(split(numbered(20), val_frac=f)[1]) for f in (0, 0.04, 0.25, 0.95)] == [0, 0, 5, 19]


def test_with_held_out_text_of_its_own_all_lines_are_trained_on():
    train, held_out, notes = split("one\ntwo\none\n", "four\n\nfive\n")
    assert train == ["one", "two", "one"]
    assert held_out == ["four", "five"]
    assert notes == []


@pytest.mark.parametrize(("text", "count"), [("", 0), ("\n\n", 0), ("one line\n", 1)])
def test_fewer_than_two_lines_are_refused_with_their_number(text, count):
    with pytest.raises(InputError, match=f"has {count} non-empty lines; --lines needs at least 2"):
        split(text)
