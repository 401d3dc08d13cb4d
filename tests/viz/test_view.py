"""Texts as pictures show them: letters with their marks, visible glyphs for what is unseen."""

import numpy as np

from charrnn.checkpoints.model import Model
from charrnn.data.vocab import ByteVocabulary, CharVocabulary
from charrnn.nn.architecture import ModelConfig, shapes
from charrnn.viz.pictures import surprise_picture
from charrnn.viz.render.plain_text import plain_text
from charrnn.viz.view import View

POINTED = "\u05d2\u05b6\u05bc\u05e9\u05b6\u05c1\u05dd \u05d9\u05d5\u05b9\n"
"""Five letters with five points, a space, a line end: seven columns."""


def view(text, vocab=None):
    """A view of a text, by a model that finds every symbol equally likely."""
    vocab = vocab or CharVocabulary(sorted(set(map(ord, text)) | {10}))
    config = ModelConfig(
        cell="gru", vocab_size=vocab.size, embedding_size=2, hidden_size=3, num_layers=1
    )
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes(config).items()}
    model = Model(
        config=config, weights=weights, vocab=vocab, records=False, starts={}, memory=None
    )
    return View(model, vocab.encode(text), "text")


def test_points_and_accents_are_shown_with_their_letter():
    for text in (POINTED, "cafe\u0301\n"):
        assert "".join(view(text).running_glyphs) == text.replace("\n", "↵\n")
    lines = plain_text(surprise_picture(view(POINTED)), colour=False).split("\n")
    assert lines[3:] == [POINTED.replace("\n", "↵"), "+++++++"]  # 11 symbols, 3.46 bits each


def test_a_mark_without_a_letter_is_escaped():
    shown = view("\u0301a\n\u0301b \u0301\u0302\t\u0301\u200d\u0301").running_glyphs
    assert "".join(shown) == r"\u0301a↵" "\n" r"\u0301b \u0301\u0302→\u0301\u200d\u0301"


def test_a_mark_in_a_column_of_its_own_is_escaped():
    assert view("e\u0301").glyphs == ["e", r"\u0301"]


def test_bytes_of_a_point_are_bytes():
    assert view("\u05b6a", ByteVocabulary()).running_glyphs == ["D6", "B6", "a"]
