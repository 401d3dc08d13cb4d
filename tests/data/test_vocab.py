"""Vocabularies: ids by hand, and every way to and fro."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.core.errors import CheckpointError, InputError
from charrnn.data.vocab import (
    ByteVocabulary,
    CharVocabulary,
    Decoder,
    WholeCharacters,
    decoded_length,
    describe,
    id_dtype,
    num_bytes,
    visible,
    without_broken_start,
)
from charrnn.data.vocab import parse_vocabulary as from_json

MIXED = "aé€🙂"
"""One character each of 1, 2, 3 and 4 bytes in UTF-8: 10 bytes."""


def vocabulary(text):
    """Return the vocabulary of a text."""
    return CharVocabulary(map(ord, text))


def as_bytes(data):
    """Return bytes as ids."""
    return np.frombuffer(data, dtype=np.uint8)


def test_ids_count_the_characters_in_sorted_order():
    vocab = vocabulary("banana")
    assert vocab.encode("ban").tolist() == [1, 0, 2]
    assert vocab.size == 3


def test_the_same_characters_in_any_order_give_the_same_ids():
    assert vocabulary("éab").to_json() == vocabulary("baébab").to_json() == [97, 98, 233]


def test_a_text_comes_back_from_its_ids():
    vocab = vocabulary(MIXED + "\n")
    assert vocab.decode(vocab.encode("🙂\na")) == "🙂\na"
    assert vocab.decode(vocab.encode("🙂\na").tolist()) == "🙂\na"
    assert vocab.raw(vocab.encode("🙂\na")) == b"\xf0\x9f\x99\x82\na"


@pytest.mark.parametrize(("size", "dtype"), [(2, "u1"), (256, "u1"), (257, "u2"), (65_535, "u2")])
def test_ids_are_as_narrow_as_the_vocabulary_allows(size, dtype):
    assert np.dtype(id_dtype(size)) == np.dtype(dtype)
    vocab = CharVocabulary(range(0x10000, 0x10000 + size))
    last = chr(0x10000 + size - 1)
    assert vocab.encode(last).dtype == np.dtype(dtype)
    assert vocab.decode(vocab.encode(last)) == last


def test_the_newline_has_an_id_only_where_the_text_has_one():
    assert vocabulary("\t\nb").newline == 1
    assert vocabulary("ab").newline is None


def test_a_vocabulary_knows_its_own_characters():
    assert vocabulary("aé").knows("é")
    assert not vocabulary("aé").knows("e")


def test_unknown_characters_are_each_named_once():
    with pytest.raises(InputError) as caught:
        vocabulary("ab").encode("aéb\x1bé", "--stop")
    assert str(caught.value) == (
        r"--stop: not among the 2 characters this model has seen: U+00E9 'é', U+001B '\x1b'; "
        "leave them out, or train on a text that has them"
    )


def test_at_most_ten_unknown_characters_are_named():
    with pytest.raises(InputError) as caught:
        vocabulary("ab").encode("0123456789")
    assert "U+0039 '9';" in str(caught.value)
    with pytest.raises(InputError) as caught:
        vocabulary("ab").encode("0123456789Z")
    assert "U+0039 '9', ...;" in str(caught.value)


@pytest.mark.parametrize(
    ("character", "shown"),
    [("é", "U+00E9 'é'"), ("\n", r"U+000A '\n'"), ("\udcff", r"U+DCFF '\udcff'")],
)
def test_a_character_is_described_by_number_and_look(character, shown):
    assert describe(character) == shown


def test_a_byte_is_its_own_id():
    vocab = ByteVocabulary()
    assert vocab.size == 256
    assert vocab.encode("é\n").tolist() == [0xC3, 0xA9, vocab.newline]


def test_bytes_that_came_in_as_surrogates_go_out_as_bytes():
    assert ByteVocabulary().encode("a\udcff").tolist() == [97, 0xFF]


def test_bytes_come_back_from_lists_and_arrays_alike():
    vocab = ByteVocabulary()
    assert vocab.raw([0, 255, 10]) == vocab.raw(np.array([0, 255, 10])) == b"\0\xff\n"
    assert vocab.decode([97, 0xFF, 98]) == "a\ufffdb"


@pytest.mark.parametrize("vocab", [vocabulary(MIXED), ByteVocabulary()])
def test_a_vocabulary_comes_back_from_a_checkpoint(vocab):
    again = from_json(vocab.to_json())
    assert type(again) is type(vocab)
    assert again.to_json() == vocab.to_json()


@pytest.mark.parametrize(
    "value",
    [
        None, 5, "chars", {"97": 0}, [], [98, 97], [97, 97], [True, 97], [97.0], ["a"], [-1, 97],
        [97, 0x110000], [0xD800],
    ],
)  # fmt: skip
def test_what_is_no_vocabulary_is_refused(value):
    with pytest.raises(CheckpointError):
        from_json(value)


def test_characters_are_decoded_as_they_come():
    decoder = Decoder(vocabulary("ab"))
    assert decoder.feed([1, 0]) == "ba"
    assert decoder.feed([], final=True) == ""


def test_a_byte_model_says_a_character_when_its_last_byte_has_come():
    decoder = Decoder(ByteVocabulary())
    assert [decoder.feed([byte]) for byte in b"\xe2\x82\xaca"] == ["", "", "€", "a"]


def test_half_a_character_at_the_end_becomes_a_replacement():
    decoder = Decoder(ByteVocabulary())
    assert decoder.feed([0xE2, 0x82]) == ""
    assert decoder.feed([], final=True) == "\ufffd"


@given(st.lists(st.binary(max_size=5)))
@settings(deadline=None, database=None, derandomize=True)
def test_bytes_in_pieces_decode_as_in_one(pieces):
    decoder = Decoder(ByteVocabulary())
    text = "".join(decoder.feed(list(piece)) for piece in pieces) + decoder.feed([], final=True)
    assert text == b"".join(pieces).decode("utf-8", "replace")


def test_no_bytes_are_no_characters():
    assert decoded_length(as_bytes(b"")) == 0


@pytest.mark.parametrize("data", [b"caf\xe9!", b"\xff", b"a\x80"])
def test_bytes_that_are_not_utf8_have_no_length_in_characters(data):
    assert decoded_length(as_bytes(data)) is None


def test_a_slice_of_utf8_counts_the_characters_that_lie_in_it_whole():
    starts, ends = [0, 1, 3, 6], [1, 3, 6, 10]  # of the characters of MIXED
    for begin in range(11):
        for end in range(begin, 11):
            if not any(
                start < begin and end < stop for start, stop in zip(starts, ends, strict=True)
            ):
                whole = sum(begin <= a and b <= end for a, b in zip(starts, ends, strict=True))
                assert decoded_length(as_bytes(MIXED.encode()[begin:end])) == whole


def test_characters_are_counted_across_large_blocks():
    count = (4 << 20) // 3 + 5  # three bytes each: a character lies across 4 MiB
    assert decoded_length(as_bytes("€".encode() * count)) == count


@pytest.mark.parametrize(
    ("code", "size"),
    [(0x7F, 1), (0x80, 2), (0x7FF, 2), (0x800, 3), (0xFFFF, 3), (0x10000, 4), (0x10FFFF, 4)],
)
def test_a_character_at_a_boundary_of_utf8_costs_its_bytes(code, size):
    vocab = CharVocabulary([code])
    ids = np.zeros(3, dtype=np.uint8)
    assert num_bytes(vocab, ids) == len(vocab.raw(ids)) == 3 * size


def test_an_unseen_character_is_described_by_its_name():
    assert [describe(c) for c in "\u200d\ufeff\u202f\u0301"] == [
        "U+200D ZERO WIDTH JOINER",
        "U+FEFF ZERO WIDTH NO-BREAK SPACE",
        "U+202F NARROW NO-BREAK SPACE",
        "U+0301 COMBINING ACUTE ACCENT",
    ]
    assert [describe(c) for c in "é \n\x92"] == [
        "U+00E9 'é'", "U+0020 ' '", "U+000A '\\n'", "U+0092 '\\x92'",
    ]  # fmt: skip
    assert visible("a e\u0301\u200d") == "a e\\u0301\\u200d"


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_an_unfinished_character_at_the_end_is_held_back(size):
    raw = "aé日😀".encode()
    for end in range(len(raw) + 1):
        whole = WholeCharacters()
        pieces = [whole.feed(raw[i : min(end, i + size)]) for i in range(0, end, size)]
        assert b"".join(pieces) == raw[:end].decode("utf-8", "ignore").encode()


def test_bytes_that_are_not_utf_8_are_not_held_back():
    whole = WholeCharacters()
    assert whole.feed(b"a\xe9") + whole.feed(b"b\xe9") + whole.feed(b"\xe9") == b"a\xe9b\xe9\xe9"


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ("añb".encode(), "añb"), ("ñb".encode()[1:], "b"), ("€b".encode()[1:], "b"),
        ("€b".encode()[2:], "b"), ("🙂b".encode()[1:], "b"), (b"", ""), ("ñ".encode()[1:], ""),
    ],
)  # fmt: skip
def test_the_rest_of_a_character_at_the_start_is_left_out(raw, kept):
    assert without_broken_start(raw) == kept.encode()


@pytest.mark.parametrize("raw", [b"\x80\x80\x80\x80a", b"\x80a\xff", b"\xffa"])
def test_what_is_no_utf_8_otherwise_stays(raw):
    assert without_broken_start(raw) == raw


@pytest.mark.parametrize(
    ("data", "text", "rest"),
    [
        (b"ab", "ab", ""),
        ("é".encode()[:1], "", ""),  # cut at the end of a text
        (b"\xff" + "é".encode()[:1], "\ufffd", "\ufffd"),  # of data that is no text
    ],
)
def test_the_rest_of_a_text_is_shown_only_if_it_is_not_utf8(data, text, rest):
    decoder = Decoder(ByteVocabulary())
    assert (decoder.feed(list(data)), decoder.end()) == (text, rest)
