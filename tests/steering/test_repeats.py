"""Which characters complete a repeated span, by hand and by a search in the text; and the penalty."""

import numpy as np
import pytest
from chains import chain, cycle
from hypothesis import given
from hypothesis import strategies as st

from charrnn.core.config import SampleConfig
from charrnn.core.errors import InputError
from charrnn.sampling.api import stream
from charrnn.sampling.jobs import Jobs
from charrnn.sampling.sampler import Sampler
from charrnn.steering import repeats
from charrnn.steering.repeats import Repeats, penalties

V = 3


def spans_of(state, num_texts=1):
    """Return the length of the span that each symbol would complete, from its penalty, (B, V)."""
    fallen = -state.apply(np.zeros((num_texts, V), np.float32))
    return np.where(fallen > 0, np.searchsorted(state.penalties, fallen), 0)


def searched(text, shortest, window):
    """Return the same by a search, (V,): a span stands at its end, and before, in the window."""
    found = []
    for symbol in range(V):
        most = 0
        for end in range(max(0, len(text) - window) + 1, len(text) + 1):
            size = 0  # symbols of the span that ends before text[end - 1], repeated at the end
            while size < end - 1 and text[end - 2 - size] == text[len(text) - 1 - size]:
                size += 1
            if text[end - 1] == symbol:
                most = max(most, size + 1)
        found.append(most if most >= shortest else 0)
    return found


def test_by_hand():
    """After 01201 comes 2 to repeat 012, of three; after 012012, 0 to repeat 0120, of four."""
    assert spans_of(Repeats(3, [[0, 1, 2, 0, 1]], 5)).tolist() == [[0, 0, 3]]
    assert spans_of(Repeats(3, [[0, 1, 2, 0, 1, 2]], 5)).tolist() == [[4, 0, 0]]
    assert spans_of(Repeats(4, [[0, 1, 2, 0, 1]], 5)).tolist() == [[0, 0, 0]]
    assert spans_of(Repeats(2, [[0, 1, 2, 0, 1]], 5)).tolist() == [[0, 0, 3]]


def test_each_follower_of_a_span_has_its_own_length():
    """In 201 1 102 2 01: after 01 came 1, as 2011, and after 1 alone, 1 and 0."""
    assert spans_of(Repeats(2, [[2, 0, 1, 1, 1, 0, 2, 2, 0, 1]], 5)).tolist() == [[2, 4, 0]]


@given(
    st.lists(st.integers(0, V - 1), max_size=9), st.lists(st.integers(0, V - 1), max_size=14),
    st.integers(2, 6),
)  # fmt: skip
def test_spans_are_those_of_a_search(prompt, written, shortest):
    state = Repeats(shortest, [prompt, []], len(written))
    for count, symbol in enumerate(written):
        expected = [searched(prompt + written[:count], shortest, 99)]
        expected.append(searched(written[:count], shortest, 99))
        assert spans_of(state, 2).tolist() == expected
        state.read(np.array([symbol, symbol]))


@given(st.lists(st.integers(0, 1), min_size=40, max_size=60))
def test_a_window_bounds_what_is_looked_back_on(written):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repeats, "WINDOW", 7)
        state = Repeats(3, [[]], len(written))
        for symbol in written:
            state.read(np.array([symbol]))
    distances = range(1, 8)
    expected = [0] * V
    for distance in distances:
        size = 0
        while (
            size + distance < len(written) and written[-1 - size] == written[-1 - size - distance]
        ):
            size += 1
        follower = written[len(written) - distance]
        if size + 1 >= 3:
            expected[follower] = max(expected[follower], size + 1)
    assert spans_of(state).tolist() == [expected]


def test_the_penalty_grows_by_a_factor():
    """0.25 for 12 characters, 1.2 times as much for each one more: 0.25 x 1.2^18 = 6.66 for 30."""
    table = penalties(12)
    assert table[:12].tolist() == [0] * 12
    np.testing.assert_allclose(table[[12, 13, 14, 30]], [0.25, 0.3, 0.36, 6.656], rtol=1e-3)
    assert (np.diff(table) >= 0).all()
    assert table[-1] == repeats.HIGHEST


def test_a_loop_ends_and_without_the_setting_it_does_not():
    """a, b and c go round with a probability of 0.999; at 6.9 below, the other one is as likely."""
    links = {a: {b: 0.999, c: 0.001} for a, b, c in ("abc", "bca", "cab")}
    config = [SampleConfig(length=300, temperature=0.3, no_repeat=n) for n in (0, 6)]
    plain, steered = (next(Sampler(chain(links)).write(Jobs("a", [c], 1, 1))).text for c in config)
    assert "abc" * 40 in plain
    assert "abc" * 12 not in steered
    assert steered == "".join(
        stream(chain(links), "a", seed=1, length=300, temperature=0.3, no_repeat=6)
    )


def test_what_cannot_be_avoided_is_written():
    text = "".join(stream(cycle("ab"), "a", seed=1, length=200, no_repeat=2, ban="a"))
    assert text == "b" * 200


def test_the_prompt_counts():
    """After the prompt aab aa, b repeats a span; without a prompt to look at, both are as likely."""
    model = chain({"a": {"a": 0.5, "b": 0.5}, "b": {"a": 0.5, "b": 0.5}})
    firsts = [
        "".join(
            each.text
            for each in Sampler(model).write(
                Jobs([prompt], [SampleConfig(length=1, temperature=0.1, no_repeat=3)], 200, 1)
            )
        )
        for prompt in ("aabaa", "bbaa")
    ]
    assert firsts[0].count("b") < 30  # 0.25 at temperature 0.1: odds of e^-2.5
    assert 70 < firsts[1].count("b") < 130


def test_texts_that_end_leave_the_others_as_they_are():
    model = chain(
        {"a": {"a": 0.6, "b": 0.3, "\n": 0.1}, "b": {"a": 1.0}, "\n": {"a": 1.0}}, records=True
    )
    config = SampleConfig(length=60, temperature=1.0, no_repeat=4)
    together = list(Sampler(model).write(Jobs([""], [config], 30, 1)))
    alone = [Sampler(model).sample("", config, each.seed).text for each in together]
    assert [each.text for each in together] == alone
    assert len({len(text) for text in alone}) > 3


@pytest.mark.parametrize("value", [1, -1, 1001])
def test_a_span_out_of_range_is_refused(value):
    with pytest.raises(InputError, match=r"^--no-repeat: must be 0, or in \[2, 1000\], got"):
        SampleConfig(no_repeat=value)
