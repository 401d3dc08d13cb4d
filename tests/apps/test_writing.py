"""The editor without terminal and model: proposals are asked for, chosen, taken, given back."""

from charrnn.apps import writing as writings
from charrnn.apps.draft import Draft
from charrnn.apps.panes import message
from charrnn.apps.writing import WORD, Proposed, Writing


def begun(text="A", count=3):
    return Writing(Draft(text), 0.8, count)


def answer(writing, *texts, unknown=""):
    writing.receive(writing.request, Proposed(texts, unknown))


def test_tab_asks_for_proposals_from_the_text_before_the_cursor():
    writing = begun("before after")
    writing.edited("before after", 6)
    writing.propose()
    request = writing.request
    assert (request.before, request.temperature, request.count) == ("before", 0.8, 3)
    writing.propose()
    assert writing.request is request  # one is under way
    answer(writing, " one", " two")
    assert writing.shown == (" one", " two")
    assert writing.request is None


def test_the_chosen_proposal_is_inserted_at_the_cursor():
    writing = begun("before after")
    writing.edited("before after", 6)
    writing.propose()
    answer(writing, " one", " two")
    writing.choose(1)
    writing.take()
    assert writing.draft.text == "before two after"
    assert writing.draft.before == "before two"
    assert writing.shown == ()
    writing.undo()
    assert writing.draft.text == "before after"


def test_up_from_the_first_proposal_is_the_last():
    writing = begun()
    writing.propose()
    answer(writing, "a", "b", "c")
    writing.choose(-1)
    assert writing.chosen == 2
    writing.choose(1)
    assert writing.chosen == 0


def test_typing_and_moving_cancel_and_a_late_answer_is_ignored():
    for text, cursor in (("Ax", 2), ("A", 0)):
        writing = begun("A")
        writing.propose()
        request = writing.request
        writing.edited(text, cursor)
        assert writing.request is None
        writing.receive(request, Proposed(("late",)))
        assert writing.shown == ()
        assert writing.draft.text == text


def test_other_sets_come_after_the_first_and_can_be_seen_again():
    writing = begun()
    writing.propose()
    answer(writing, "a", "b")
    writing.propose()
    assert writing.shown == ("a", "b")  # until the others are there
    answer(writing, "c")
    assert (writing.shown, writing.place) == (("c",), (2, 2))
    writing.back()
    assert writing.shown == ("a", "b")
    writing.propose()
    assert writing.shown == ("c",)
    assert writing.request is None
    numbers = set()
    for _ in range(30):
        writing.propose()
        numbers.add(writing.request.number)
        answer(writing, "d")
    assert len(numbers) == 30  # each has random numbers of its own
    assert writing.place == (writings.MOST_SETS, writings.MOST_SETS)


def test_a_word_is_taken_and_what_may_follow_it_is_proposed():
    writing = begun("A")
    writing.propose()
    answer(writing, " red hat", " blue sky", " red dog")
    writing.take_word()
    assert writing.draft.text == "A red"
    assert writing.shown == (" hat", " dog")
    assert writing.request.before == "A red"
    answer(writing, " dog", " cat", " eye")
    assert writing.shown == (" hat", " dog", " cat")


def test_words_are_taken_before_the_new_proposals_are_there():
    writing = begun("A")
    writing.propose()
    answer(writing, " red hat now")
    writing.take_word()
    late = writing.request
    writing.take_word()
    writing.receive(late, Proposed((" late",)))
    assert writing.draft.text == "A red hat"
    assert writing.shown == (" now",)


def test_the_last_word_of_a_proposal_asks_for_new_ones():
    writing = begun("A")
    writing.propose()
    answer(writing, " red")
    writing.take_word()
    assert writing.shown == ()
    assert writing.request.before == "A red"
    answer(writing, " hat")
    assert writing.shown == (" hat",)


def test_words_are_given_back_one_by_one_with_their_proposals():
    writing = begun("A")
    writing.propose()
    answer(writing, " red hat", " blue sky")
    writing.choose(1)
    writing.take_word()
    answer(writing, " moon")
    writing.choose(1)
    writing.take_word()
    assert writing.draft.text == "A blue moon"
    assert writing.give_back()
    assert (writing.draft.text, writing.shown[writing.chosen]) == ("A blue", " moon")
    assert writing.give_back()
    assert (writing.draft.text, writing.shown[writing.chosen]) == ("A", " blue sky")
    assert not writing.give_back()


def test_words_of_several_scripts():
    words = {
        " the king's ": [" the", " king's", " "],
        "\n\nROMEO:\nO": ["\n\nROMEO:", "\nO"],
        "日本 go": ["日", "本", " go"],
    }
    assert {text: WORD.findall(text) for text in words} == words


def test_the_temperature_is_that_of_the_next_proposals_and_of_those_shown():
    writing = begun()
    writing.heat(1)
    assert (writing.temperature, writing.request) == (0.9, None)
    writing.propose()
    answer(writing, "a")
    writing.heat(-2)
    assert writing.temperature == writing.request.temperature == 0.7
    assert writing.shown == ()
    for _ in range(10):
        writing.heat(-1)
    assert writing.temperature == 0
    assert writing.message == "It goes no further."


def test_a_model_that_proposes_nothing_or_lacks_a_character_is_said():
    writing = begun()
    writing.propose()
    answer(writing, unknown="é")
    assert writing.message == "The model proposes nothing here."
    assert writing.unknown == "é"
    writing.edited("Ab", 2)
    assert (writing.message, writing.unknown) == ("", "")


def test_undo_and_redo_leave_the_proposals_and_say_when_there_is_nothing():
    writing = begun()
    writing.propose()
    answer(writing, " b")
    writing.take()
    writing.propose()
    writing.undo()
    assert (writing.draft.text, writing.request) == ("A", None)
    writing.undo()
    assert writing.message == "Nothing to undo."
    writing.redo()
    assert writing.draft.text == "A b"
    writing.redo()
    assert writing.message == "Nothing to redo."


def test_unknown_characters_are_named_once_at_a_place_and_then_the_sets_counted():
    writing = begun("Zoë")
    writing.propose()
    answer(writing, " one", unknown="ë")
    assert message(writing) == "The model does not know U+00EB 'ë'; it reads the text without."
    writing.propose()
    answer(writing, " two", unknown="ë")
    assert message(writing) == "Proposals, set 2 of 2"
