"""Patterns for models of bytes, against `re.fullmatch` on the decoded text."""

import itertools
import re

import numpy as np
import pytest

from charrnn.core.errors import InputError
from charrnn.steering.automaton import Alphabet, automaton_of
from charrnn.steering.pattern import positions_of
from charrnn.steering.utf8 import as_bytes

BYTES = Alphabet("", np.ones(256, dtype=np.bool_))

EDGES = "a\n\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffffé中ßẞ"
"""Characters at both ends of each number of bytes, and some between."""

BROKEN = [0x61, 0x80, 0xBF, 0xC0, 0xC2, 0xE0, 0x9F, 0xA0, 0xED, 0xF0, 0x8F, 0xF4, 0x90, 0xFF]
"""Bytes at the edges of what UTF-8 allows after each other."""

PATTERNS = [
    ".", r"\w", "[^a]", r"[^\w\s]", "[é-中]+", "(?i:ß)|中", "[\x80-\u07ff]", "[\u0800-\uffff]",
    "[\U00010000-\U0010ffff]?", "(a|.é)*", "(?s:.)", "[^\n]{2}",
]  # fmt: skip


def accepts(automaton, data):
    state = 0
    for byte in data:
        state = automaton.table[state, byte]
        if state < 0:
            return False
    return bool(automaton.distances[state] == 0)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_bytes_of_a_text_match_if_its_characters_do(pattern):
    forward = automaton_of(pattern, BYTES)
    backward = automaton_of(pattern, BYTES, is_backward=True)
    for size in range(3):
        for characters in itertools.product(EDGES, repeat=size):
            text = "".join(characters)
            expected = re.fullmatch(pattern, text) is not None
            assert accepts(forward, text.encode()) == expected, text
            assert accepts(backward, text.encode()[::-1]) == expected, text


@pytest.mark.parametrize("pattern", ["(?s:.)", r"\w+", "[^a]*"])
def test_bytes_that_are_no_text_never_match(pattern):
    automaton = automaton_of(pattern, BYTES)
    for data in itertools.product(BROKEN, repeat=3):
        if accepts(automaton, data):
            assert re.fullmatch(pattern, bytes(data).decode())


def test_sets_that_share_their_last_bytes_share_positions():
    """A point: ASCII, the last byte, leads of two; for three bytes leads and seconds are E0, ED and
    others, for four F0, F4 and others: 3 + 6 + 6.
    """
    assert len(as_bytes(positions_of("(?s:.)")).classes) == 15
    assert len(as_bytes(positions_of(r"\w")).classes) < 1000


def test_a_byte_that_is_no_text_can_be_named():
    """A command line has it as a surrogate."""
    automaton = automaton_of("a\udcff", BYTES)
    assert accepts(automaton, b"a\xff")
    assert not accepts(automaton, b"a\xc3\xbf")


def test_what_takes_too_long_is_refused():
    classes = "".join(f"[{chr(i)}{chr(i + 500)}]" for i in range(200, 301))
    with pytest.raises(InputError, match="101 different classes are too many"):
        automaton_of(classes, BYTES)
    with pytest.raises(InputError, match="more than 10,000 characters"):
        automaton_of(r"\w{100}", BYTES)
    with pytest.raises(InputError, match="takes too long"):
        automaton_of("(" + "|".join(["ab", "cd", "ef"] * 500) + ")*", BYTES)
