"""Lines as rows of a screen: between words, wide characters, marks, controls; up and down."""

from itertools import pairwise

import pytest
from prompt_toolkit.utils import get_cwidth

from charrnn.apps.wrapping import row_ends, rows_of, vertical


def rows(line, width):
    starts = [*rows_of(line, width).starts, len(line)]
    return [line[a:b] for a, b in pairwise(starts)]


def test_lines_wrap_between_words_and_the_last_column_is_for_the_cursor():
    assert rows("the king is dead", 9) == ["the king ", "is dead"]
    assert rows("the king is dead", 8) == ["the ", "king is ", "dead"]


def test_a_blank_that_does_not_fit_is_not_shown():
    found = rows_of("the king is dead", 9)
    assert found.shown == "the king is dead"  # eight, and one blank that fills the row
    assert found.columns[8:10] == (8, 0)


def test_a_long_word_is_broken_and_wide_characters_wrap_anywhere():
    assert rows("abcdefghij", 5) == ["abcd", "efgh", "ij"]
    assert rows("日本語のa", 6) == ["日本", "語のa"]


def test_marks_stay_with_their_letter():
    assert rows("aaae\u0301b", 5) == ["aaae\u0301", "b"]


@pytest.mark.parametrize(
    ("sign", "shown"),
    [("\x1b", "\\x1b"), ("\u202e", "\\u202e"), ("\udcc3", "\\xc3"), ("\t", "    "), ("\x9b", "\\x9b")],
)  # fmt: skip
def test_a_terminal_gets_no_control_character(sign, shown):
    found = rows_of(f"a{sign}b", 20)
    assert found.shown == f"a{shown}b"
    assert found.offsets == (0, 1, 1 + len(shown), 2 + len(shown))


@pytest.mark.parametrize("width", [3, 7, 20])
def test_every_row_but_the_last_fills_the_window(width):
    line = "日本 e\u0301 some words \x1b[2J averylongwordthatisbroken and\tmore ..."
    found = rows_of(line, width)
    ends = [*(found.offsets[start] for start in found.starts[1:]), len(found.shown)]
    begin = 0
    for end in ends[:-1]:
        assert get_cwidth(found.shown[begin:end]) == width or width < 5
        begin = end


def test_up_and_down_go_by_rows_and_keep_the_column():
    text = "first line\nab\nthe last line"
    assert vertical(text, 8, 1, 80) == (13, 8)
    assert vertical(text, 13, 1, 80, 8) == (22, 8)
    assert vertical(text, 22, -1, 80, 8) == (13, 8)
    assert vertical(text, 3, -1, 80) == (0, 3)
    assert vertical(text, 22, 1, 80) == (len(text), 8)
    assert vertical("the king is dead", 2, 1, 9) == (11, 2)  # a row of the same line
    assert vertical("the king is dead", 11, -1, 9) == (2, 2)


def test_home_and_end_are_those_of_the_row():
    text = "ab\nthe king is dead\n"
    assert row_ends(text, 8, 9) == (3, 11)  # "the king " without its last place
    assert row_ends(text, 13, 9) == (12, 19)
    assert row_ends(text, 0, 9) == (0, 2)
    assert row_ends(text, 20, 9) == (20, 20)
