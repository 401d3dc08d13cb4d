"""Automata against `re.fullmatch`, and against counts by hand."""

import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.core.errors import InputError
from charrnn.steering.automaton import ENDS, FAR, NEVER, Alphabet, automaton_of
from charrnn.steering.matching import Matching, check_length

LETTERS = "\n -019AKabcdkéß"
"""The characters of the tests: a line end, a digit, both cases, letters with two lower cases."""


def alphabet(characters=LETTERS, without="", separator=None):
    is_allowed = np.array([each not in without for each in characters])
    return Alphabet(
        characters, is_allowed, None if separator is None else characters.index(separator)
    )


def accepts(automaton, text, *, is_backward=False):
    state = 0
    for character in text[::-1] if is_backward else text:
        state = automaton.table[state, LETTERS.index(character)]
        if state < 0:
            return False
    return bool(automaton.distances[state] == 0)


ATOMS = st.sampled_from(
    [
        *"abkAK01é", ".", r"\d", r"\w", r"\s", r"\W", "[ab]", "[^ab]", "[a-c0]", r"[^\n]", "(?:)",
        "(?i:k)", "(?i:[^A])", "(?s:.)", "(?a:\\w)", r"\n", "é", "ß",
    ]
)  # fmt: skip
REPEATS = st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{,2}", "{2,}", "*?", "{0}", "{3,4}?"])


def extended(inner):
    return st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.builds(lambda part, repeat: f"(?:{part}){repeat}", inner, REPEATS),
    )


PATTERNS = st.recursive(ATOMS, extended, max_leaves=10)
SHORT = ["".join(text) for size in range(5) for text in product("abK0\n", repeat=size)]
"""All 781 texts of up to four of five characters."""


@settings(max_examples=60, deadline=None)
@given(pattern=PATTERNS, texts=st.lists(st.text(LETTERS, max_size=6), max_size=20))
def test_an_automaton_accepts_what_fullmatch_does(pattern, texts):
    compare(pattern, SHORT + texts)


@pytest.mark.slow("a thousand patterns")
@settings(max_examples=1000, deadline=None)
@given(pattern=PATTERNS, texts=st.lists(st.text(LETTERS, max_size=6), max_size=20))
def test_a_thousand_automata_accept_what_fullmatch_does(pattern, texts):
    compare(pattern, SHORT + texts)


def compare(pattern, texts):
    """Check in both directions which texts match."""
    matching = {text for text in texts if re.fullmatch(pattern, text)}
    try:
        forward = automaton_of(pattern, alphabet())
        backward = automaton_of(pattern, alphabet(), is_backward=True)
    except InputError:
        assert matching <= {""}, "a text matches, but the pattern was refused"
        return
    assert {text for text in texts if accepts(forward, text)} == matching
    assert {text for text in texts if accepts(backward, text, is_backward=True)} == matching


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^ab$", "ab"), ("^a|b$|c", "b"), ("^a|b$|c", "c"), (r"\Aa\Z", "a"), ("(^a|^b)+", "b"),
        ("[]a]", "a"), ("(?x) a  b # both", "ab"), ("(?i)K", "k"), (r"\d{4}-\d\d", "1990-10"),
    ],
)  # fmt: skip
def test_patterns_as_people_write_them(pattern, text):
    assert re.fullmatch(pattern, text)
    assert accepts(automaton_of(pattern, alphabet()), text)


def test_an_anchor_inside_matches_nothing():
    with pytest.raises(InputError, match="no text of the model's characters matches"):
        automaton_of("a^b|a$b", alphabet())


# The table.


def test_a_table_by_hand():
    """ab|abc over abc: states 0 start, 1 after a, 2 after ab, 3 after abc."""
    found = automaton_of("abc?", alphabet("abc"))
    assert found.table.tolist() == [
        [1, NEVER, NEVER],
        [NEVER, 2, NEVER],
        [ENDS, ENDS, 3],
        [ENDS, ENDS, ENDS],
    ]
    assert found.distances.tolist() == [2, 1, 0, 0, 0, FAR]
    assert found.least.tolist() == [2, 1, 1, FAR, FAR, FAR]


def test_states_without_a_match_are_left_out():
    found = automaton_of("ab|axyx", alphabet("abx", without=""))
    assert found.table.shape == (3, 3)


def test_characters_that_are_not_allowed_are_in_no_text():
    found = automaton_of("a+|b", alphabet("ab", without="b"))
    assert found.table.tolist() == [[1, NEVER], [1, ENDS]]


def test_with_a_separator_no_other_character_ends_a_text():
    found = automaton_of("a[^x]*", alphabet("\nabx", without="\n", separator="\n"))
    assert found.table.tolist() == [[NEVER, 1, NEVER, NEVER], [ENDS, 1, 1, NEVER]]


# What is refused, in one line and soon.


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(a", r"missing \), unterminated subpattern at character 1: \(a"),
        ("a(?=b)", "look-around is not possible"),
        ("(?<!a)b", "look-around is not possible"),
        (r"(a)\1", "a back-reference is not possible"),
        (r"a\b", r"\\b, \\B and \(\?m\) are not possible"),
        ("(?m)^a", r"\\b, \\B and \(\?m\) are not possible"),
        ("(?>a)", "an atomic group is not possible"),
        ("a*+", "a possessive repeat is not possible"),
        ("(a)?(?(1)b|c)", "a conditional group is not possible"),
        ("x", "no text of the model's characters matches"),
        ("a{0}", "only the empty text matches"),
        ("(" * 5000, "too deep or large"),
        ("a{99999999999}", "too deep or large"),
        ("(a{1000}){1000}", "more than 10,000 characters"),
        ("((((((((a?){9}){9}){9}){9}){9}){9}){9}){9}", "more than 10,000 characters"),
        ("(){4000000000}", "only the empty text matches"),
        ("(^){4000000000}", "more than 10,000 characters"),
    ],
)
def test_what_cannot_be_an_automaton_is_one_error(pattern, message):
    with pytest.raises(InputError, match=message) as error:
        automaton_of(pattern, alphabet())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("pattern", ["(a|b)*a(a|b){25}", "(.*a){40}|(.*b){50}|(.*c){60}"])
def test_a_pattern_with_exponentially_many_states_is_refused(pattern, monkeypatch):
    monkeypatch.setattr("charrnn.steering.automaton.MOST_STEPS", 30_000)
    with pytest.raises(InputError, match="takes too long to compile"):
        automaton_of(pattern, alphabet())


def test_a_table_above_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr("charrnn.steering.automaton.MOST_CELLS", 150)
    automaton_of(".{8}", alphabet())  # 9 states of 15 characters are 135
    with pytest.raises(InputError, match="more than 10 states"):
        automaton_of(".{10}", alphabet())


# Texts inside an automaton.


def written(pattern, length, wanted, characters="abc"):
    """Return the texts, each with whether the pattern ended it, of what models would write."""
    state = Matching(automaton_of(pattern, alphabet(characters)), len(wanted), length)
    texts = [""] * len(wanted)
    for t in range(length):
        may = state.may_come
        chosen = [
            next(i for i in [characters.index(each[t]), *range(len(characters))] if row[i])
            for each, row in zip(wanted, may, strict=True)
        ]
        state.read(np.array(chosen))
        for row, (symbol, is_left) in enumerate(zip(chosen, state.is_left, strict=True)):
            texts[row] += "" if is_left else characters[symbol]
        if state.is_over.any():
            break
    return [*zip(texts, state.is_over.tolist(), state.is_complete.tolist(), strict=True)]


def test_a_text_ends_where_nothing_longer_matches():
    assert written("ab", 5, ["aaaaa"]) == [("ab", True, True)]


def test_a_text_ends_before_a_symbol_that_leaves_the_pattern():
    assert written("ab*", 5, ["abcab"]) == [("ab", True, True)]


def test_near_the_length_only_what_still_finishes_may_come():
    """a*bbb in 5: after aa, each further a would be one too many."""
    assert written("a*bbb", 5, ["aaaaa"]) == [("aabbb", True, True)]


def test_at_the_length_a_text_matches_and_may_be_part_of_a_longer_one():
    assert written("(ab)*", 4, ["abab"]) == [("abab", True, False)]


def test_a_text_ends_early_if_no_longer_one_has_room():
    """Whatever comes after two of three symbols, a pair would not be whole."""
    assert written("([abc][abc])*", 3, ["aba"]) == [("ab", True, False)]


def test_texts_that_are_kept_keep_their_states():
    state = Matching(automaton_of("ab|cc", alphabet("abc")), 2, 5)
    state.read(np.array([0, 2]))
    state.keep(np.array([False, True]))
    assert state.may_come.tolist() == [[False, False, True]]


@pytest.mark.parametrize("pattern", ["abca", "(abca)?", "(abca)*"])
def test_a_length_below_the_shortest_match_is_refused(pattern):
    automaton = automaton_of(pattern, alphabet("abc"))
    with pytest.raises(InputError, match="the shortest text that matches has 4 characters"):
        check_length(automaton, 3)
    check_length(automaton, 4)
    check_length(automaton, 0)  # nothing is written
