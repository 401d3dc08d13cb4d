"""Dynamic evaluation: the network learns, and nothing before it is scored."""

import numpy as np
import pytest
import torch

from charrnn.evaluation.dynamic import AdaptiveNetwork, score_dynamically
from charrnn.evaluation.loss import score
from charrnn.evaluation.protocols import streamed
from charrnn.ngram.counts import runs_of
from charrnn.ngram.model import build
from charrnn.nn.architecture import ModelConfig
from charrnn.nn.model import make_network
from charrnn.nn.network import initialise

V, K = 5, 3


def text(length, seed=1):
    return np.random.default_rng(seed).integers(0, V, length).astype(np.uint8)


@pytest.fixture
def network():
    model = make_network(
        ModelConfig(cell="lstm", vocab_size=V, embedding_size=4, hidden_size=6, num_layers=1)
    )
    initialise(model, 0)
    return model


def test_without_learning_it_is_one_single_pass(network):
    ids = text(300)
    found = score_dynamically(network, ids, rate=0.0, decay=0.0)
    assert found.chars == 299
    assert found.loss == pytest.approx(score(network, streamed(ids[:300])).loss, abs=1e-5)


@pytest.mark.parametrize("length", [2, 32, 33, 34, 64, 65, 66])
def test_a_text_may_end_with_any_window(network, length):
    done = []
    found = score_dynamically(network, text(length), show_done=done.append)
    assert found.chars == done[-1] == length - 1
    assert len(done) == -(-(length - 1) // 32)
    assert 0 < found.loss < 10  # a window of nothing would make it NaN


def test_the_weights_learn_only_after_a_window_was_scored(network):
    learner = AdaptiveNetwork(network, rate=1e-2)
    ids = text(65)
    first = learner.read(ids[:32], ids[1:33])
    with torch.no_grad():
        expected, state = network(
            torch.from_numpy(ids[None, :32].astype(np.int64)), network.empty_state(1)
        )
        plain, _ = network(torch.from_numpy(ids[None, 32:64].astype(np.int64)), state)
    torch.testing.assert_close(first, expected[0])
    assert not torch.allclose(learner.read(ids[32:64], ids[33:65]), plain[0])


def test_a_text_that_repeats_itself_gets_cheaper(network):
    ids = np.tile(text(40), 20)
    memory = build(runs_of(text(400)), V, K)
    static = score(network, streamed(ids), memory)
    found = score_dynamically(network, ids, memory, rate=1e-2)
    assert found.network < static.network - 0.05
    assert found.loss < static.loss - 0.5
    assert 0 < found.weight < 1


def test_the_decay_leads_back_to_the_trained_weights(network):
    learner = AdaptiveNetwork(network, rate=1e-2, decay=1.0)
    learner.read(text(33)[:32], text(33)[1:])
    for now, trained in zip(learner.network.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(now, trained)


def test_the_model_itself_is_not_changed(network):
    before = [parameter.clone() for parameter in network.parameters()]
    score_dynamically(network, text(100), rate=1e-2)
    for now, old in zip(network.parameters(), before, strict=True):
        assert torch.equal(now, old)
