"""Errors that are planted in a text are found, and put right."""

import numpy as np
import pytest
from infill_models import model_of, read

from charrnn.infill.edits import DELETE, INSERT, REPLACE, SWAP, Edits
from charrnn.infill.proof import Proof, Suspicions, are_characters
from charrnn.infill.suggestions import line_numbers, shown, suggestions

SENTENCE = "The quick brown fox jumps over the lazy dog, said Zoe.\n"
MODEL = model_of(SENTENCE * 30 + "Jumping dogs are quick to fall over lazy brown boxes.\n" * 30)


def found_in(text, *, model=MODEL, is_bytes=False):
    sides, ids = read(model, text)
    suspicions = Proof(sides, ids, is_bytes=is_bytes).suspicions()
    return suspicions, suggestions(suspicions, 0.5), ids


@pytest.mark.parametrize(
    ("wrong", "kind", "at", "old", "new"),
    [
        ("brawn", "replace", 12, "a", "o"),
        ("bown", "insert", 11, "", "r"),
        ("broxwn", "delete", 13, "x", ""),
        ("borwn", "swap", 11, "or", "ro"),
    ],
)
def test_each_kind_of_error_is_put_right(wrong, kind, at, old, new):
    text = SENTENCE + SENTENCE.replace("brown", wrong)
    _, (only,), ids = found_in(text)
    begin = len(SENTENCE) + at
    assert (only.kind, only.begin) == (kind, begin)
    assert MODEL.vocab.decode(ids[only.begin : only.end]) == old
    assert MODEL.vocab.decode(list(only.new)) == new
    assert only.probability > 0.9


def test_a_text_that_the_model_knows_has_no_suggestion():
    suspicions, found, _ = found_in(SENTENCE * 2)
    assert not found
    assert suspicions.bits.max() < 0.2


def test_a_wrong_character_is_a_surprise_and_what_was_meant_the_first_guess():
    text = SENTENCE + SENTENCE.replace("brown", "brawn")
    suspicions, _, _ = found_in(text)
    at = len(SENTENCE) + 12
    assert suspicions.bits.argmax() == at
    assert MODEL.vocab.decode([int(suspicions.guesses[at, 0])]) == "o"
    own = 2**-suspicions.bits
    assert own + suspicions.shares.sum(axis=1) == pytest.approx(np.ones(len(text)), abs=1e-6)


def test_a_text_read_in_parts_is_read_as_a_whole(monkeypatch):
    text = SENTENCE + SENTENCE.replace("lazy", "layz") + SENTENCE.replace("fox", "fx")
    whole, _, _ = found_in(text)
    monkeypatch.setattr("charrnn.infill.proof.MOST_CELLS", 40 * MODEL.vocab.size)
    parts, _, _ = found_in(text)
    assert parts.bits == pytest.approx(whole.bits, abs=1e-4)
    assert parts.gains == pytest.approx(whole.gains, abs=1e-4)


def test_of_changes_near_each_other_the_best_is_suggested():
    """Positions 2 and 3 are near, 9 is not; 5 is unlikely."""
    gains = np.full(10, -9.0)
    gains[[2, 3, 9]] = 1.0, 2.0, 3.0
    at = np.arange(10)
    none = np.zeros((10, 1))
    edits = Edits(at, at + 1, np.full((10, 2), -1))
    suspicions = Suspicions(none, none, gains, np.full(10, DELETE), gains, edits)
    found = suggestions(suspicions, 0.5)
    assert [each.begin for each in found] == [3, 9]
    assert found[0].probability == pytest.approx(1 / (1 + np.exp(-2)))


def test_lines_stay_whole_in_a_model_of_lines():
    model = model_of("Anna\nHannah\nJoanna\n" * 20, records=True)
    _, found, ids = found_in("Anna\nHanna\nh\nJoanna\nJo\nanna", model=model)
    for each in found:
        assert 0 not in ids[each.begin : each.end]
        assert 0 not in each.new


def test_the_end_of_a_file_ends_its_last_line():
    model = model_of("Anna\nHannah\nJoanna\n" * 20, records=True)
    (short, _, _), (whole, _, _) = (
        found_in(text, model=model) for text in ("Anna\nJoannao", "Anna\nJoannao\n")
    )
    assert len(short.gains) == 12
    assert short.gains.tolist() == whole.gains[:12].tolist()


def test_bytes_are_changed_by_whole_characters():
    """é is C3 A9: its last byte may become another last byte, ASCII may come before and after it."""
    ids = np.frombuffer("aéb".encode(), dtype=np.uint8).astype(np.int64)
    cases = [
        (0, 1, [0x62, -1], True), (1, 2, [0xC2, -1], True), (2, 3, [0xA8, -1], True),
        (2, 3, [0x62, -1], False), (0, 1, [0xA9, -1], False), (1, 1, [0x62, -1], True),
        (2, 2, [0x62, -1], False), (1, 1, [0xA9, -1], False), (0, 1, [-1, -1], True),
        (1, 2, [-1, -1], False), (0, 2, [0xC3, 0x61], False),
    ]  # fmt: skip
    begin, end, new, wanted = zip(*cases, strict=True)
    edits = Edits(*(np.array(each) for each in (begin, end, new)))
    assert are_characters(edits, ids).tolist() == list(wanted)


def test_a_change_of_bytes_is_suggested_as_characters():
    sentence = SENTENCE.replace("Zoe", "Zoë")
    model = model_of(sentence * 30, is_bytes=True)
    _, (only,), ids = found_in(sentence + sentence.replace("ë", "ê"), model=model, is_bytes=True)
    words = shown(ids, only, model.vocab)
    assert (words.line, words.found, words.meant) == (2, "Zoê.", "Zoë.")


def test_each_line_has_its_bits_and_suggestions():
    text = SENTENCE + SENTENCE.replace("fox", "fax") + "The quick"
    suspicions, found, ids = found_in(text)
    lines = list(line_numbers(ids, suspicions, found, MODEL.vocab))
    assert "".join(line["text"] for line in lines) == text
    assert [len(line["bits"]) for line in lines] == [55, 55, 9]
    assert [line["line"] for line in lines] == [1, 2, 3]
    assert not lines[0]["suggestions"]
    (only,) = lines[1]["suggestions"]
    assert (only["column"], only["kind"], only["old"], only["new"]) == (18, "replace", "a", "o")
    assert (only["found"], only["meant"]) == ("fax", "fox")


def test_the_kinds_have_their_numbers():
    assert [REPLACE, INSERT, DELETE, SWAP] == [0, 1, 2, 3]
