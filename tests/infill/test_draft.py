"""Drafts: marks, several gaps, lines, bytes, bad input."""

from pathlib import Path

import pytest
from infill_models import model_of

from charrnn.core.errors import InputError
from charrnn.infill.draft import FillConfig, checker, ends, filled, read_draft
from charrnn.infill.reader import readers

SENTENCE = "The quick brown fox jumps over the lazy dog, said Zoe.\n"
MODEL = model_of(SENTENCE * 30)
LINES = model_of("Annabel\nChristabel\nIsabel\n" * 20, records=True)


def texts_of(model, pieces, *, least=1, most=12, count=1, seed=0):
    config = FillConfig(least, most, count, seed)
    found = filled(readers(model), pieces, model.vocab, config)
    return ["".join(model.vocab.decode(ids) for ids, _ in text.parts()) for text in found]


def draft_of(model, text):
    Path("draft.txt").write_text(text)
    return read_draft(model, Path("draft.txt"))[0]


def test_every_mark_is_filled():
    text = SENTENCE.replace("brown", "[...]").replace("lazy ", "[…]")
    assert texts_of(MODEL, draft_of(MODEL, text)) == [SENTENCE]


def test_texts_of_several_gaps_have_seeds_of_their_own():
    """The first text of three is among the texts of one seed; it need not be the best."""
    pieces = draft_of(MODEL, "The [...] dog, said [...].\n")
    (one,) = texts_of(MODEL, pieces)
    three = texts_of(MODEL, pieces, count=3)
    assert one in three
    assert len(three) == 3


def test_a_gap_may_end_a_line_of_a_list():
    assert texts_of(LINES, draft_of(LINES, "Chris[...]")) == ["Christabel"]
    assert texts_of(LINES, draft_of(LINES, "[...]sabel\nAnna[...]\n")) == ["Isabel\nAnnabel\n"]


def test_a_filling_of_bytes_is_whole_characters():
    is_whole = checker(model_of("aé", is_bytes=True, order=1).vocab)
    assert is_whole("é".encode())
    assert not is_whole("é".encode()[:1])


def test_the_numbers_of_a_text():
    pieces, _ = ends(MODEL, "The quick ", "fox jumps")
    (text,) = filled(readers(MODEL), pieces, MODEL.vocab, FillConfig(1, 12, 1, 5))
    numbers = text.numbers(0, 5, MODEL.vocab)
    assert numbers["text"] == "The quick brown fox jumps"
    (fill,) = numbers["fills"]
    assert fill["text"] == "brown "
    assert fill["loss"] == pytest.approx((6 * fill["fill_loss"] + 9 * fill["after_loss"]) / 15)
    assert numbers["loss"] == fill["loss"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("The quick", "has no gap"), ("The [...]", "nothing follows"), ("[...]é", "not among")],
)
def test_a_draft_that_cannot_be_filled(text, message):
    with pytest.raises(InputError, match=message):
        draft_of(MODEL, text)


def test_ends_of_a_line_are_in_one_line():
    with pytest.raises(InputError, match="single line"):
        ends(LINES, "Anna\n", "bel")


@pytest.mark.parametrize(
    ("settings", "name"),
    [((-1, 4, 1, 0), "--min"), ((5, 4, 1, 0), "--max"), ((0, 0, 1, 0), "--max"),
     ((1, 4, 0, 0), "-n"), ((1, 4, 1, -1), "--seed")],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(settings, name):
    with pytest.raises(InputError, match=name):
        FillConfig(*settings)
