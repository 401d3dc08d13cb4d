"""Weights of texts and models: names with colons, defaults, 0."""

from pathlib import Path

import pytest
from unigram_models import unigram

from charrnn.core.errors import InputError
from charrnn.core.files import split_number
from charrnn.mixing.request import Mixing, parse_mixing, weighted


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.txt:0.5", ("a.txt", 0.5)), ("a.txt:3", ("a.txt", 3.0)), ("a:b:.25", ("a:b", 0.25)),
        ("a.txt", ("a.txt", None)), ("a.txt:", ("a.txt:", None)), (":1", (":1", None)),
        ("a.txt:x", ("a.txt:x", None)), ("C:\\a.txt", ("C:\\a.txt", None)),
        ("a.txt:-1", ("a.txt", -1.0)), ("a.txt:nan", ("a.txt:nan", None)), ("-:2", ("-", 2.0)),
    ],
)  # fmt: skip
def test_the_number_is_what_follows_the_last_colon(name, parts):
    assert split_number(name) == parts


def test_a_file_with_the_whole_name_has_no_number():
    Path("a.txt:0.5").write_text("abc", "utf-8")
    assert split_number("a.txt:0.5") == ("a.txt:0.5", None)
    assert split_number("a.txt:0.5:1") == ("a.txt:0.5", 1.0)


def test_the_default_weight_is_a_half():
    assert weighted("--with", "king") == ("king", 0.5)
    assert parse_mixing(["a.txt", "b.txt:0.125"], [], Path("runs")) == Mixing(
        texts=((Path("a.txt"), 0.5), (Path("b.txt"), 0.125))
    )


@pytest.mark.parametrize("number", ["1.5", "-0.1", "3"])
def test_a_weight_is_between_0_and_1(number):
    with pytest.raises(InputError, match=r"--memory-from: a.txt: weight must be in \[0, 1\]"):
        parse_mixing([f"a.txt:{number}"], [], Path("runs"))


def test_a_text_of_weight_0_must_exist_and_has_no_memory():
    Path("a.txt").write_text("abab", "utf-8")
    model, notes = unigram({"a": 0.5, "b": 0.5}), []
    mixing = Mixing(texts=((Path("a.txt"), 0.0), (Path("a.txt"), 0.25)))
    assert [each.weight for each in mixing.memories(model, {}, notes.append)] == [0.25]
    with pytest.raises(InputError, match=r"--memory-from: b.txt: "):
        Mixing(texts=((Path("b.txt"), 0.0),)).memories(model, {}, notes.append)
