"""Steps 3 and 4 of the choice of a character, on texts of chains."""

import numpy as np
import pytest
from chains import chain, cycle

from charrnn.core.config import SampleConfig
from charrnn.sampling.api import stream
from charrnn.sampling.jobs import Jobs
from charrnn.sampling.sampler import Sampler
from charrnn.steering.steering import SteeringState, steering_of

HALVES = {"a": {"a": 0.5, "b": 0.25, "c": 0.25}, "b": {"a": 1.0}, "c": {"a": 1.0}}


def texts(model, count=40, length=30, prompt="a", **settings):
    jobs = Jobs([prompt], [SampleConfig(length=length, temperature=1.0, **settings)], count, 1)
    return [each.text for each in Sampler(model).write(jobs)]


def test_a_banned_character_never_comes():
    assert set("".join(texts(chain(HALVES), ban="c"))) == {"a", "b"}


def test_a_bias_multiplies_the_odds_before_the_temperature():
    """ln 4 makes b four times as likely: odds 2 : 4 : 1 for a, b, c; at temperature 1/2 their squares."""
    steering = steering_of(SampleConfig(bias=(("b", float(np.log(4))),)), chain(HALVES))
    logits = SteeringState(steering, [[]], 1).apply(
        np.log(np.array([[0.5, 0.25, 0.25]], np.float32))
    )
    odds = np.exp(logits[0] - logits[0, 2])
    np.testing.assert_allclose(odds, [2, 4, 1], rtol=1e-6)
    model = chain(HALVES)
    found = [
        "".join(
            each.text
            for each in Sampler(model).write(
                Jobs(["a"], [SampleConfig(length=1, temperature=0.5, bias=bias)], 4000, 1)
            )
        )
        for bias in ((), (("b", float(np.log(4))),))
    ]
    shares = [[text.count(c) / 4000 for c in "abc"] for text in found]
    np.testing.assert_allclose(shares[0], [4 / 6, 1 / 6, 1 / 6], atol=0.03)
    np.testing.assert_allclose(shares[1], [4 / 21, 16 / 21, 1 / 21], atol=0.03)


def test_without_settings_nothing_is_steered():
    assert steering_of(SampleConfig(temperature=0.2, top_k=3), cycle("abc")) is None


def test_a_start_of_banned_characters_alone_is_one_of_the_others():
    """The only start of a line is a; where it is banned, b and c are as likely as their bias says."""
    model = chain(HALVES, starts={0: 5})
    assert {text[0] for text in texts(model, prompt="")} == {"a"}
    firsts = [text[0] for text in texts(model, 400, 2, "", ban="a")]
    assert set(firsts) == {"b", "c"}
    assert 150 < firsts.count("b") < 250
    assert {text[0] for text in texts(model, prompt="", ban="a", bias=(("c", 50.0),))} == {"c"}


@pytest.mark.parametrize("settings", [{"ban": "b"}, {"bias": (("a", -1.0), ("b", 2.0))}])
def test_one_text_is_that_of_a_batch(settings):
    model = chain(HALVES)
    config = SampleConfig(length=40, temperature=1.0, **settings)
    (together,) = Sampler(model).write(Jobs(["a"], [config], 1, 5))
    alone = "".join(stream(model, "a", seed=5, length=40, temperature=1.0, **settings))
    assert together.text == alone
    assert together.settings == config.recorded()
