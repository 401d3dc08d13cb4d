"""A text with a cursor: steps of undo and redo, letters with their marks, bounded memory."""

from random import Random

import pytest

from charrnn.apps import draft as drafts
from charrnn.apps.draft import Draft, common_prefix


def typed(draft, text):
    for character in text:
        at = draft.cursor
        draft.edit(draft.text[:at] + character + draft.text[at:], at + 1)


def test_typing_is_undone_word_by_word():
    draft = Draft("one ")
    typed(draft, "two three")
    assert draft.undo()
    assert (draft.text, draft.cursor) == ("one two ", 8)
    assert draft.undo()
    assert (draft.text, draft.cursor) == ("one ", 4)
    assert not draft.undo()
    assert draft.redo()
    assert draft.redo()
    assert not draft.redo()
    assert (draft.text, draft.cursor) == ("one two three", 13)


def test_a_piece_that_is_inserted_is_a_step_of_its_own():
    draft = Draft("one")
    typed(draft, "s")
    draft.insert(" more")
    typed(draft, "s")
    texts = [draft.text]
    while draft.undo():
        texts.append(draft.text)
    assert texts == ["ones mores", "ones more", "ones", "one"]


def test_of_two_equal_letters_the_one_that_was_typed_is_remembered():
    draft = Draft("ba")
    draft.move(1)
    typed(draft, "ac")  # one step, although the first letter could be the one that was there
    assert draft.text == "baca"
    draft.undo()
    assert (draft.text, draft.cursor) == ("ba", 1)


def test_a_letter_elsewhere_does_not_join_the_word_before_it():
    draft = Draft("ab")
    typed(draft, "c")
    draft.edit("xabc", 1)
    draft.undo()
    assert draft.text == "abc"


def test_typing_elsewhere_is_a_new_step_and_ends_what_can_be_done_again():
    draft = Draft("ab")
    typed(draft, "c")
    draft.move(0)
    typed(draft, "d")
    draft.undo()
    assert draft.text == "abc"
    draft.move(3)
    typed(draft, "e")
    assert not draft.redo()
    assert draft.text == "abce"


def test_the_cursor_moves_over_a_letter_with_its_marks():
    draft = Draft("ae\u0301\u0327z")
    steps = []
    while draft.step(-1) != draft.cursor:
        draft.move(draft.step(-1))
        steps.append(draft.cursor)
    assert steps == [4, 1, 0]
    steps = []
    while draft.step(1) != draft.cursor:
        draft.move(draft.step(1))
        steps.append(draft.cursor)
    assert steps == [1, 4, 5]


def test_a_text_is_saved_again_if_undo_leads_back_to_it():
    draft = Draft("start")
    assert draft.is_saved
    typed(draft, "x")
    assert not draft.is_saved
    draft.undo()
    assert draft.is_saved
    draft.redo()
    draft.mark_saved()
    assert draft.is_saved
    draft.undo()
    assert not draft.is_saved


def test_random_edits_are_undone_one_by_one_and_done_again():
    rng, draft = Random(3), Draft("some text")
    texts = [draft.text]
    for _ in range(300):
        a, b = sorted(rng.choices(range(len(draft.text) + 1), k=2))
        new = draft.text[:a] + "ab \n"[: rng.randrange(5)] + draft.text[b:]
        if draft.edit(new, rng.randrange(len(new) + 1)):
            draft.move(-1)  # so that each is a step
            texts.append(new)
    for text in reversed(texts[:-1]):
        assert draft.undo()
        assert draft.text == text
    assert not draft.undo()
    for text in texts[1:]:
        assert draft.redo()
        assert draft.text == text


@pytest.mark.parametrize(("most", "size", "left"), [(5, 10**9, 5), (100, 30, 3)])
def test_what_can_be_undone_is_bounded_in_steps_and_characters(monkeypatch, most, size, left):
    monkeypatch.setattr(drafts, "MOST_EDITS", most)
    monkeypatch.setattr(drafts, "MOST_CHARACTERS", size)
    draft = Draft()
    for _ in range(20):
        draft.insert("0123456789")
    count = 0
    while draft.undo():
        count += 1
    assert count == left


def test_the_common_start_of_two_texts():
    assert common_prefix("abcd", "abxd") == 2
    assert common_prefix("", "a") == 0
    assert common_prefix("same", "same") == 4
