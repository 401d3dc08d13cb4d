"""Pictures as plain text: columns, colours, curves, wide characters."""

import numpy as np

from charrnn.viz.render.colours import ACTIVATION, SURPRISE, activation_levels, surprise_levels
from charrnn.viz.render.elements import (
    Chart,
    Coloured,
    Guesses,
    Heading,
    Listing,
    Picture,
    Remark,
    Rows,
    Stages,
)
from charrnn.viz.render.plain_text import bars, plain_text


def shown(*parts, colour=False):
    return plain_text(Picture("", parts), colour=colour).split("\n")


def test_a_remark_is_wrapped_at_words_on_a_terminal_alone(monkeypatch):
    monkeypatch.setenv("COLUMNS", "12")
    assert shown(Remark("five words on two lines"), colour=True) == ["five words", "on two lines"]
    assert shown(Remark("five words on two lines")) == ["five words on two lines"]


def test_levels_begin_where_they_say():
    bits = np.array([0, 0.24, 0.25, 0.9, 1, 7.9, 8, 99])
    assert surprise_levels(bits).tolist() == [0, 0, 1, 2, 3, 7, 8, 8]
    assert activation_levels(np.array([-1, -0.5, -0.1, 0, 0.12, 1])).tolist() == [0, 2, 4, 4, 4, 8]


def test_without_colours_each_line_has_its_levels_beneath_it():
    signs, levels = ["a", "b", "↵\n", "c"], np.array([0, 8, 1, 2])
    assert shown(Coloured(signs, levels, SURPRISE, ""))[2:] == ["ab↵", " @.", "c", ":"]


def test_a_sign_below_a_wide_character_is_as_wide():
    signs, levels = ["中", "\\x1b", "c"], np.array([8, 1, 2])
    assert shown(Coloured(signs, levels, SURPRISE, ""))[2:] == ["中\\x1bc", "@@....:"]


def test_a_letter_and_its_marks_have_one_column_and_their_strongest_level():
    """Shin with two points, e with an accent of its own; level 4 of an activation is about 0."""
    signs = ["\u05e9", "\u05b0", "\u05c1", "x", "e", "\u0301", "↵\n"]
    levels = np.array([1, 8, 2, 3, 4, 0, 1])
    assert shown(Coloured(signs, levels, SURPRISE, ""))[2:] == [
        "\u05e9\u05b0\u05c1xe\u0301↵",
        "@-=.",
    ]
    assert shown(Coloured(signs, levels, ACTIVATION, ""))[2:][1] == "@.#="
    lines = shown(Coloured(signs[:4], levels[:4], SURPRISE, ""), colour=True)
    assert lines[2].startswith("\x1b[38;5;231;48;5;88m\u05e9\u05b0\u05c1\x1b[")


def test_an_arrow_in_a_text_ends_no_line():
    lines = shown(Coloured(["a", "↵", "b"], np.array([0, 8, 8]), SURPRISE, ""))
    assert lines[2:] == ["a↵b", " @@"]


def test_a_line_of_wide_characters_ends_at_72_columns():
    lines = shown(Coloured(["中"] * 40, np.zeros(40, int), SURPRISE, ""))[2:]
    assert lines == ["中" * 36, "", "中" * 4, ""]


def test_colours_begin_where_the_level_changes_and_end_with_the_line():
    lines = shown(Coloured(["a", "b", "c"], np.array([8, 8, 0]), SURPRISE, ""), colour=True)
    assert lines[2:] == ["\x1b[38;5;231;48;5;88mab\x1b[0mc\x1b[0m"]


def test_a_column_of_guesses_is_as_wide_as_its_widest():
    """Under 0x41 the guesses E4 (60%) and 中 (40%), under b the guess a, and a dot for 4%."""
    part = Guesses(
        ["A", "b", "c"], np.array([4, 4, 4]), ACTIVATION, [["E4", "中"], ["a", "z"]],
        np.array([[0.6, 0.4], [0.96, 0.04]]),
    )  # fmt: skip
    assert shown(part)[3:] == ["A bc", "", "E4a", "中·"]
    part.shares[1] = [0.95, 0.05]  # no less than that
    assert shown(part)[5:] == ["E4a", "中z"] or shown(part)[5:] == ["E4a", "中z", ""]
    part.shares[1] = [0.96, 0.04]
    assert shown(part, colour=True)[4].startswith("\x1b")
    assert "z" in "".join(shown(part, colour=True))


def test_a_grid_breaks_its_blocks_at_72_columns():
    part = Guesses(["FF"] * 40, np.full(40, 8), ACTIVATION, [["a"]] * 39, np.ones((39, 1)))
    assert shown(part)[3:] == [
        "FF" * 36,
        "@@" * 36,
        "a " * 35 + "a",
        "",
        "FF" * 4,
        "@@" * 4,
        "a a a",
    ]


def test_a_curve_is_bars_between_its_first_value_and_its_last():
    lines = shown(Chart("Loss", {"a": [(1, 4.0), (2, 0.5), (1000, 2.0)], "none": []}))
    assert lines == ["", "Loss", "  a          4 █▁▄ 2 at step 1,000"]
    assert shown(Chart("Loss", {"none": []})) == [""]


def test_many_values_are_means_of_those_beside_each_other():
    assert bars([1, 3, 5, 7], width=2) == "▁█"
    assert bars([5, 5, 5]) == "▁▁▁"
    assert len(bars(range(1000), width=40)) == 40


def test_a_table_is_aligned_and_what_a_terminal_could_obey_is_spelt_out():
    rows = Rows(("name", "n"), [("中\x1b", "7"), ("b", "12")], numeric=(1,))
    assert shown(rows) == ["name     n", "中\\x1b   7", "b       12"]
    assert shown(Heading("a\x1b"))[1] == "a\\x1b"
    assert shown(Listing("a\x1b\nb")) == ["a\\x1b", "b"]
    assert shown(Stages([("t\n", "a\x9b")])) == ["--- t\\n", "a\\x9b"]
