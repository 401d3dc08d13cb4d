"""Records: which lines they are, and which are held out."""

from collections import Counter
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.core.errors import InputError
from charrnn.core.seeds import derive_seed
from charrnn.data.records import (
    LONGEST,
    find_lines,
    find_records,
    key_of,
    record_keys,
    record_notes,
    split_records,
)
from charrnn.data.vocab import ByteVocabulary, CharVocabulary

NEWLINE = 10


def as_ids(text):
    """Return the bytes of a text as ids; the newline is 10."""
    return np.frombuffer(text.encode("latin-1"), dtype=np.uint8)


def texts_of(records, ids):
    """Return what stands in records."""
    return [text.decode("latin-1") for text in records.texts(ids)]


def split(text, val="", *, val_frac=0.1, seed=0, rule=2):
    """Return training records and held-out records as texts, and notes."""
    train_ids, val_ids = as_ids(text), as_ids(val)
    found = split_records(
        train_ids, val_ids, ByteVocabulary(), val_frac=val_frac, seed=seed, rule=rule,
        files=["a.txt", "b.txt"],
    )  # fmt: skip
    held_out = texts_of(found.val, val_ids if val else train_ids)
    return texts_of(found.train, train_ids), held_out, record_notes(found)


def position(line):
    """Return where a line stands in [0, 1) by its hash, computed with whole numbers."""
    digest = blake2b(line.encode("utf-8"), digest_size=8).hexdigest()
    return int(digest, 16) / 2**64


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
    assert split("\n".join(lines))[2] == [
        # 512 + 513 + 521 + 1 characters, of which 1 + 9 are cut off.
        "2 lines cut to 512 characters, 1% of the text is lost; without --lines, nothing is cut"
    ]


def test_records_are_taken_in_the_order_asked_for():
    ids = as_ids("one\ntwo\nthree")
    records, _ = find_records(ids, NEWLINE)
    assert texts_of(records.take(np.array([2, 0])), ids) == ["three", "one"]


def test_held_out_are_the_lines_whose_hash_is_in_the_first_tenth():
    lines = numbered(200).splitlines()
    train, held_out, _ = split(numbered(200))
    assert held_out == [line for line in lines if position(line) < 0.1]
    assert train == [line for line in lines if position(line) >= 0.1]
    assert len(held_out) == 19


def test_a_line_keeps_its_side_in_a_longer_list_in_any_order_and_with_any_seed():
    _, held_out, _ = split(numbered(300))
    longer = numbered(400).splitlines()
    for seed in range(3):
        text = "\n".join(reversed(longer))
        assert set(held_out) == set(split(text, seed=seed)[1]) & set(numbered(300).splitlines())


def test_a_smaller_share_is_a_part_of_a_larger_one():
    shares = [set(split(numbered(100), val_frac=f)[1]) for f in (0, 0.05, 0.1, 0.5, 0.9)]
    assert all(one < other for one, other in pairwise(shares))
    assert [len(share) for share in shares] == [0, 5, 11, 52, 91]


def test_a_held_out_line_is_held_out_once_and_never_trained_on():
    text = numbered(40) + numbered(20) * 5 + numbered(3) * 11
    train, held_out, _ = split(text, val_frac=0.3)
    assert len(held_out) == len(set(held_out)) == 11
    trained = Counter(line for line in text.splitlines() if line not in held_out)
    assert Counter(train) == trained


def test_lines_that_people_read_as_equal_are_on_one_side():
    spaced = "".join(f"line {n}\n  line {n} \nline {n}\t\n" for n in range(200))
    train, held_out, _ = split(spaced)
    assert held_out == split(numbered(200))[1]
    assert not {line.strip() for line in train} & set(held_out)


def test_the_side_of_a_line_does_not_depend_on_its_code():
    composed, marks = "Ren\u00e9", "Rene\u0301"
    vocab = CharVocabulary(map(ord, f"\n{composed}{marks}"))
    keys = [record_keys_of(f"{text}\nRen\n", vocab)[0] for text in (composed, marks)]
    assert keys == [key_of(composed)] * 2
    assert keys[0] / 2**64 == position(composed)
    latin = np.frombuffer(f"{composed}\n".encode(), dtype=np.uint8)
    assert record_keys(latin, find_lines(latin, NEWLINE), ByteVocabulary())[0] == keys[0]


def record_keys_of(text, vocab):
    ids = vocab.encode(text)
    return record_keys(ids, find_lines(ids, vocab.newline), vocab).tolist()


def test_keys_do_not_depend_on_the_number_of_lines_decoded_together(monkeypatch):
    ids = as_ids("a\n\n" + numbered(50) + "\n\nb")
    keys = record_keys(ids, find_lines(ids, NEWLINE), ByteVocabulary())
    monkeypatch.setattr("charrnn.data.records.KEYED_TOGETHER", 7)
    assert (record_keys(ids, find_lines(ids, NEWLINE), ByteVocabulary()) == keys).all()
    assert keys[0] == key_of("a")
    assert keys[-1] == key_of("b")


def test_a_long_line_is_compared_whole_beyond_the_cut():
    lines = ["a" * 600 + end for end in "bcd"]
    ids = as_ids("\n".join(lines))
    assert len(set(record_keys(ids, find_lines(ids, NEWLINE), ByteVocabulary()))) == 3


def list_with(count, *, below, share=0.1):
    """Return so many lines, so many of them with a hash in the first share."""
    names = (f"name {number}" for number in range(10_000))
    inside, outside = [], []
    for name in names:
        (inside if position(name) < share else outside).append(name)
    return "\n".join(inside[:below] + outside[: count - below])


@pytest.mark.parametrize(
    ("count", "below", "num_held_out"),
    [(8, 0, 0), (9, 0, 0), (9, 1, 1), (9, 2, 2), (10, 0, 1), (30, 0, 1), (30, 4, 4), (2, 2, 1)],
)
def test_small_lists_hold_out_what_is_below_the_share_else_one_of_ten(count, below, num_held_out):
    train, held_out, _ = split(list_with(count, below=below))
    assert (len(train), len(held_out)) == (count - num_held_out, num_held_out)


def test_the_one_line_of_a_small_list_is_that_of_the_smallest_hash():
    text = list_with(20, below=0)
    assert split(text)[1] == [min(text.splitlines(), key=position)]


def test_a_list_of_one_line_many_times_holds_out_nothing():
    train, held_out, _ = split("same\n" * 30, val_frac=0.9)
    assert (train, held_out) == (["same"] * 30, [])


def test_by_rule_1_a_tenth_of_the_distinct_records_is_drawn_by_seed():
    """The rule of the first version, computed from its words: the first tenth of a permutation."""
    text = numbered(20) + numbered(30)
    for seed in range(3):
        order = np.random.default_rng(derive_seed(seed, "held out", 0)).permutation(30)
        train, held_out, _ = split(text, seed=seed, rule=1)
        assert held_out == [f"line {number}" for number in sorted(order[:3])]
        assert train == [line for line in text.splitlines() if line not in held_out]


def test_with_held_out_text_of_its_own_all_lines_are_trained_on():
    train, held_out, notes = split("one\ntwo\none\n", "four\n\nfive\n")
    assert train == ["one", "two", "one"]
    assert held_out == ["four", "five"]
    assert notes == []


@pytest.mark.parametrize(
    ("text", "count"),
    [("", "0 non-empty lines"), ("\n\n", "0 non-empty lines"), ("one line\n", "1 non-empty line")],
)
def test_fewer_than_two_lines_are_refused_with_their_number(text, count):
    message = f"a.txt and 1 more file: the text has {count}; --lines needs at least 2"
    with pytest.raises(InputError, match=message):
        split(text)


def test_repeated_lines_are_counted_as_people_read_them():
    text = "Ada\nBea\n Ada \nCleo\nBea\nBea\nDora\nEva\n"
    assert split(text)[2] == [
        "repeated lines: 3 of 8 (38%); equal lines are never both trained on and held out"
    ]
    assert split(text, rule=1)[2] == []
