"""Errors: an exit code each, and text that no terminal obeys."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.core.errors import (
    BusyError,
    CharRNNError,
    CheckpointError,
    DivergedError,
    InputError,
    escape_controls,
    is_control,
    printable,
)

BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
"""What Unicode calls the characters that reorder a line."""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CharRNNError, 1),
        (InputError, 2),
        (DivergedError, 3),
        (CheckpointError, 4),
        (BusyError, 75),
    ],
)
def test_every_error_has_its_exit_code(error, code):
    assert error.exit_code == code
    assert issubclass(error, CharRNNError)


@pytest.mark.parametrize(
    ("character", "shown"),
    [
        ("\n", r"\n"),
        ("\t", r"\t"),
        ("\r", r"\r"),
        ("\x1b", r"\x1b"),
        ("\x7f", r"\x7f"),
        ("\x9b", r"\x9b"),
        ("\u202e", r"\u202e"),
        ("\u2066", r"\u2066"),
        ("\u200f", r"\u200f"),
        ("\u061c", r"\u061c"),
        ("\u2028", r"\u2028"),
        ("\udcff", r"\udcff"),
    ],
)
def test_what_a_terminal_could_obey_is_escaped(character, shown):
    assert printable(f"a{character}b") == f"a{shown}b"


def test_direction_marks_of_a_text_are_shown_and_other_bidirectional_controls_escaped():
    text = "\u200eAna\u200f \u061c\u202ex\u2066y"
    assert escape_controls(text) == "\u200eAna\u200f \u061c\\u202ex\\u2066y"


def test_ordinary_text_stays_as_it_is():
    assert (
        printable("Zoë’s “naïve” café, 漢字 עברית 🙂 \\n")
        == "Zoë’s “naïve” café, 漢字 עברית 🙂 \\n"
    )


def test_anything_can_be_made_printable(tmp_path):
    assert printable(tmp_path / "a\x1b[31m.txt") == f"{tmp_path}/a\\x1b[31m.txt"
    assert printable(3.5) == "3.5"


def test_newline_and_tab_are_no_controls():
    assert not is_control("\n")
    assert not is_control("\t")


@given(st.text(st.characters(codec=None)))
@settings(deadline=None, database=None, derandomize=True)
def test_a_printable_text_is_one_line_without_controls(text):
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    for character in shown:
        assert unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"}
        assert unicodedata.bidirectional(character) not in BIDI_CONTROLS
