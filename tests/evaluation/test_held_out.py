"""Held-out text that is in the training text too: shares from hand arithmetic, and notes."""

import numpy as np
import pytest

from charrnn.core.config import TrainConfig
from charrnn.data.corpus import load_corpus
from charrnn.evaluation import held_out
from charrnn.evaluation.held_out import SPAN, known_line_share, known_share, leak_notes


def random_ids(count, seed=0):
    return np.random.default_rng(seed).integers(0, 60, count, dtype=np.uint8)


def load(tmp_path, text, **settings):
    path = tmp_path / "text.txt"
    path.write_text(text, encoding="utf-8")
    return load_corpus([path], TrainConfig(**settings))


def test_the_share_of_spans_is_that_of_windows_of_64():
    train, val = random_ids(5000), random_ids(363, seed=1)
    assert SPAN == 64
    assert known_share(train, val) == 0.0
    assert known_share(train, train[1000:1300]) == 1.0
    # A copy of 163 symbols has 163 - 64 + 1 = 100 windows, all 363 symbols have 300.
    copied = val.copy()
    copied[50:213] = train[700:863]
    assert known_share(train, copied) == pytest.approx(100 / 300)
    assert known_share(train[:63], val) == known_share(train, val[:63]) == 0.0


def test_blocks_change_nothing(monkeypatch):
    train, val = random_ids(5000), random_ids(363, seed=1)
    val[50:213] = train[700:863]
    monkeypatch.setattr(held_out, "BLOCK", 100)
    assert known_share(train, val) == pytest.approx(100 / 300)


def test_a_long_text_is_sampled_by_its_content_and_gives_about_the_same(monkeypatch):
    train, val = random_ids(60_000), random_ids(20_000, seed=1)
    val[:10_000] = train[30_000:40_000]
    monkeypatch.setattr(held_out, "MOST_KEPT", 6000)
    assert known_share(train, val) == pytest.approx(0.5, abs=0.03)
    assert known_share(train, val) == known_share(train, val)


def test_lines_that_come_again_in_another_order_are_found(tmp_path):
    lines = [f"line number {n:04} of the text that comes again\n" for n in range(90)]
    new = [f"a line that is new and has its number {n:04}\n" for n in range(5)]
    corpus = load(tmp_path, "".join([*lines, *lines[:5], *new]))
    assert known_line_share(corpus, 1) == pytest.approx(0.5, abs=0.06)
    (note,) = leak_notes(corpus)
    assert "of the held-out text is in the training part too" in note
    assert "if it is a list, train with --lines; else leave out what is there twice" in note
    assert leak_notes(load(tmp_path, "".join(lines), lines=True)) == []


def test_a_text_that_is_there_twice_is_told_and_one_that_is_not_is_not(tmp_path):
    codes = 97 + np.random.default_rng(3).integers(0, 26, 4000)
    text = codes.astype(np.uint8).tobytes().decode()
    assert leak_notes(load(tmp_path, text)) == []
    (note,) = leak_notes(load(tmp_path, text + text))
    assert note.startswith("100% of the held-out text is in the training part too")
    assert leak_notes(load(tmp_path, text + text, val_frac=0)) == []


def test_lines_of_a_held_out_file_that_are_trained_on_are_told(tmp_path):
    (tmp_path / "val.txt").write_text("Ada\n Bea \nNew\nOther\n")
    corpus = load(tmp_path, "Ada\nBea\nCleo\n", lines=True, val_file=tmp_path / "val.txt")
    # "Ada" and its line end, " Bea " and its own: 4 + 6 of 20 characters.
    assert known_line_share(corpus, 1) == 0.5
    assert leak_notes(corpus) == [
        "50% of the held-out lines are trained on too, so the loss will look better than it is"
    ]
