"""The mix of network and memory, by hand."""

import numpy as np
import pytest
from ngrams import distribution

from charrnn.ngram.context import ContextTracker
from charrnn.ngram.counts import runs_of
from charrnn.ngram.gate import (
    GATE_INPUT,
    GATE_OUTPUT,
    features,
    log_probabilities,
    mix,
    mixed,
    share,
    target_probabilities,
)
from charrnn.ngram.model import NgramPrediction, build


def prediction(p, order=0.0, total=1.0, followers=1.0):
    one = np.ones(1)
    return NgramPrediction(np.array([p]), order * one, total * one, followers * one)


def test_a_mix_is_one_of_probabilities():
    # Network 1/2, 1/4, 1/4; memory 0, 1, 0; weight 0.4: 0.3, 0.55, 0.15.
    logs = np.log([[0.5, 0.25, 0.25]])
    found = mixed(logs, prediction([0.0, 1.0, 0.0]), np.array([0.4]))
    assert found == pytest.approx(np.array([[0.3, 0.55, 0.15]]))


def test_the_probability_of_a_target_is_that_of_the_mixture():
    # 0.6 of the network's 1/4 and 0.4 of the n-gram model's 1, then 0.9 of 1/2 and 0.1 of 0.
    logs = np.log([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]])
    two = NgramPrediction(np.array([[0.0, 1.0, 0.0]] * 2), *np.ones((3, 2)))
    found = target_probabilities(logs, two, np.array([0.4, 0.1]), np.array([1, 0]))
    assert found == pytest.approx(np.array([0.55, 0.45]))


def test_what_the_gate_sees():
    # The network finds two symbols equally likely; the memory says 3/4 and 1/4.
    found = features(np.log([[0.5, 0.5]]), prediction([0.75, 0.25], order=3, total=8, followers=2))
    two, q = np.log(2), 0.75 * np.log(0.75) + 0.25 * np.log(0.25)
    expected = [
        1,
        two,
        3,
        np.log(8),
        two,
        -q,
        -two,
        np.log(0.75),
        q + two,
        -two - (np.log(3 / 16)) / 2,
    ]
    assert found[0] == pytest.approx(expected)


def test_the_share_is_what_the_gate_makes_of_it():
    logs, said = np.log([[0.5, 0.5]]), prediction([0.75, 0.25], order=3, total=8, followers=2)
    units = [
        np.tanh(sum(x * row[i] for x, row in zip(features(logs, said)[0], GATE_INPUT, strict=True)))
        for i in range(6)
    ]
    score = sum(u * w for u, w in zip(units, GATE_OUTPUT[:6], strict=True)) + GATE_OUTPUT[6]
    assert share(logs, said) == pytest.approx([1 / (1 + np.exp(-score))])
    assert share(logs, said, 0.25) == pytest.approx([0.25])


def test_an_impossible_symbol_is_no_trouble():
    logs = log_probabilities(np.array([[0.0, -np.inf, 5.0]]))
    assert np.isfinite(logs).all()
    assert np.exp(logs).sum() == pytest.approx(1)
    assert np.isfinite(features(logs, prediction([0.0, 1.0, 0.0]))).all()


def test_the_mix_is_that_of_the_memory_where_the_network_stands():
    memory = build(runs_of(np.array([0, 1, 0, 1, 0, 1], dtype=np.uint8)), 2, 1)
    memory.weight = 0.4
    reader = ContextTracker(memory, 2)
    reader.read(np.array([[0], [1]]))
    said = memory.predict(reader.contexts, reader.lengths)
    found = np.exp(mix(np.zeros((2, 2)), said, memory.weight))
    for row, context in enumerate(([0], [1])):
        assert found[row] == pytest.approx(0.3 + 0.4 * distribution(memory, context))
    alone = np.exp(mix(np.zeros((2, 2)), said, 1.0))
    assert alone[0] == pytest.approx(distribution(memory, [0]))


def test_the_gate_believes_who_knows_more():
    """As fitted: a memory that has seen this often, against a network that knows nothing, and so on."""
    sure, unsure = log_probabilities(np.array([[9.0] + [0.0] * 63])), np.full((1, 64), -np.log(64))
    good = prediction([0.9] + [0.1 / 63] * 63, order=7, total=200, followers=2)
    once = prediction([0.3] + [0.7 / 63] * 63, order=7)
    assert share(unsure, good)[0] > 0.9
    assert share(sure, once)[0] < 0.5
    half_sure = log_probabilities(np.array([[3.0] + [2.0] * 3 + [0.0] * 60]))
    assert share(half_sure, once)[0] < 0.3
    assert share(half_sure, good)[0] > 0.9


@pytest.mark.parametrize("rows", range(1, 14))
def test_a_mix_is_the_same_to_the_last_bit_however_many_stand_beside_it(rows):
    """A text written in a batch depends on its own seed alone, not on who has already left."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 31, 3000).astype(np.uint8)
    memory = build(runs_of(ids), 31, 4)
    reader = ContextTracker(memory, 13)
    reader.read(ids[:130].reshape(13, 10))
    scores = rng.normal(size=(13, 31)).astype(np.float32)
    every = memory.predict(reader.contexts, reader.lengths)
    whole, shares = mix(scores, every), share(log_probabilities(scores), every)
    for begin in range(13 - rows + 1):
        part = slice(begin, begin + rows)
        said = memory.predict(reader.contexts[part], reader.lengths[part])
        assert mix(scores[part], said).tobytes() == whole[part].tobytes()
        assert said.p.tobytes() == every.p[part].tobytes()
        assert share(log_probabilities(scores[part]), said).tobytes() == shares[part].tobytes()


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_a_share_that_is_named_is_not_the_gates(weight):
    logs, said = np.log([[0.5, 0.25, 0.25]] * 2), prediction([0.0, 1.0, 0.0])
    assert share(logs, said, weight).tolist() == [weight] * 2
    assert share(logs, said)[0] not in (0.0, 0.25, 1.0)


def test_logarithms_are_exact_down_to_what_a_float_can_say():
    scores = np.array([[0.0, -20.0, -300.0, -1e6, -np.inf]], dtype=np.float32)
    found = log_probabilities(scores)[0]
    assert found[:3] == pytest.approx([0.0, -20.0, -300.0], abs=1e-6)
    assert found[3] == found[4] == pytest.approx(-700.0)
    assert log_probabilities(scores + 5)[0] == pytest.approx(found, abs=1e-4)
