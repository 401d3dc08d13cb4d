"""The end of a text against the rest: a licence, another language, and texts that are fine."""

import numpy as np
import pytest

from charrnn.core.config import TrainConfig
from charrnn.data.corpus import load_corpus
from charrnn.evaluation.text_end import UNLIKE, end_loss, end_notes

ENGLISH = [
    "the",
    "king",
    "and",
    "the",
    "queen",
    "are",
    "here",
    "but",
    "who",
    "knows",
    "where",
    "they",
    "will",
    "go",
    "tonight",
]
OTHER = ["quyx", "zzvog", "wrrqk", "jjex", "vuuzx", "qoqoz", "xyvv", "kkjz"]


def text_of(choice, count, seed=0):
    drawn = np.random.default_rng(seed).choice(choice, count).tolist()
    return "\n".join(" ".join(drawn[i : i + 8]) for i in range(0, count, 8)) + "\n"


def load(tmp_path, text, **settings):
    path = tmp_path / "text.txt"
    path.write_text(text, encoding="utf-8")
    return load_corpus([path], TrainConfig(**settings))


def test_a_text_that_stays_the_same_has_no_note(tmp_path):
    corpus = load(tmp_path, text_of(ENGLISH, 8000))
    assert abs(end_loss(corpus.train, corpus.val, corpus.vocab.size)) < 0.05
    assert end_notes(corpus) == []


@pytest.mark.parametrize("count", [1000, 2000])
def test_an_end_in_another_language_is_told(tmp_path, count):
    text = text_of(ENGLISH, 8000) + text_of(OTHER, count)
    (note,) = end_notes(load(tmp_path, text))
    assert note.startswith("the end of the text, which is held out, is unlike the rest")
    assert end_notes(load(tmp_path, text, lines=True)) == []
    assert end_notes(load(tmp_path, text, val_frac=0)) == []


def test_the_loss_of_the_end_is_that_of_an_unknown_symbol(tmp_path):
    """a and b alternate, without surprise; an end of c alone costs much more than ln 3."""
    train = np.tile(np.array([0, 1], dtype=np.uint8), 15_000)
    assert end_loss(train, train[:3000], 3) == pytest.approx(0.0, abs=1e-3)
    assert end_loss(train, np.full(3000, 2, dtype=np.uint8), 3) > np.log(3)


def test_a_short_text_is_not_judged(tmp_path):
    assert end_notes(load(tmp_path, text_of(ENGLISH, 300) + text_of(OTHER, 60))) == []


def test_the_licence_of_a_gutenberg_book_is_told_with_what_to_do(tmp_path):
    mark = "*** END OF THE PROJECT GUTENBERG EBOOK SOME BOOK ***"
    book = text_of(ENGLISH, 8000)
    (note,) = end_notes(load(tmp_path, f"{book}{mark}\n{text_of(ENGLISH, 400)}"))
    assert "comes a licence" in note
    assert "delete it from the file" in note
    assert end_notes(load(tmp_path, f"{book}He quotes {mark}\n{text_of(ENGLISH, 400)}")) == []
    assert UNLIKE == 0.4


@pytest.mark.parametrize("pieces", [2, 5, 40])
def test_of_texts_with_several_held_out_pieces_only_a_licence_is_told(tmp_path, pieces):
    text = text_of(ENGLISH, 8000)
    other = load(tmp_path, text + text_of(OTHER, 2000), val_pieces=pieces)
    assert end_notes(other) == []
    mark = "*** END OF THE PROJECT GUTENBERG EBOOK SOME BOOK ***"
    (note,) = end_notes(load(tmp_path, f"{text}{mark}\n{text_of(ENGLISH, 400)}", val_pieces=pieces))
    assert "comes a licence" in note


def test_a_sorted_list_is_told_and_the_same_list_in_another_order_is_not(tmp_path):
    words = [f"{a}{b}{c}" for a in "abcdefgh" for b in "aeiou" for c in ("n", "rt", "sso")]
    (note,) = end_notes(load(tmp_path, "\n".join(sorted(words))))
    assert note.startswith("the lines are sorted")
    shuffled = np.random.default_rng(0).permutation(words).tolist()
    assert end_notes(load(tmp_path, "\n".join(shuffled))) == []
    assert end_notes(load(tmp_path, "\n".join(sorted(words)), lines=True)) == []


def test_a_line_that_is_repeated_is_not_a_sorted_list(tmp_path):
    assert end_notes(load(tmp_path, "all work and no play\n" * 200)) == []
    assert end_notes(load(tmp_path, "one\n" * 100 + "two\n" * 100)) == []
