"""Losses: known models, hand counts, and one single pass as the reference."""

import math

import numpy as np
import pytest
import torch

from charrnn.batches import IGNORED
from charrnn.config import ModelConfig
from charrnn.counting import build, runs_of
from charrnn.evaluation import by_record, streamed, streamed_batches
from charrnn.memory import mix
from charrnn.model import CharRNN, initialise
from charrnn.records import find_records

V = 11


@pytest.fixture
def model():
    network = CharRNN(
        ModelConfig(cell="lstm", vocab_size=V, embedding_size=5, hidden_size=7, num_layers=1)
    )
    initialise(network, 0)
    with torch.no_grad():
        network.decoder.weight.mul_(40)  # so that what was read before matters
    return network


def text(length):
    return np.random.default_rng(1).integers(0, V, length).astype(np.uint8)


def uniform(model):
    with torch.no_grad():
        model.decoder.weight.zero_()
        model.decoder.bias.zero_()
    return model


def single_pass(model, ids):
    """The reference: the whole text as one stream, one loss a character."""
    with torch.no_grad():
        logits, _ = model(torch.tensor(ids[None, :-1].astype(np.int64)), model.empty_state(1))
    targets = torch.tensor(ids[1:].astype(np.int64))
    return torch.nn.functional.cross_entropy(logits[0], targets).item()


def test_a_uniform_model_costs_log_v(model):
    score = streamed(uniform(model), text(1000))
    assert score.loss == pytest.approx(math.log(V), abs=1e-6)


@pytest.mark.parametrize("length", [2, 3, 255, 512, 513, 1024, 1025, 5003, 40_007])
def test_n_characters_give_n_minus_one_predictions(model, length):
    assert streamed(model, text(length)).chars == length - 1


@pytest.mark.parametrize("length", [700, 5003, 40_007])
def test_every_prediction_is_scored_once_and_with_its_own_target(length):
    ids = text(length)
    scored = []
    for batch in streamed_batches(ids):
        rows, places = np.nonzero(batch.targets != IGNORED)
        scored += zip(batch.inputs[rows, places], batch.targets[rows, places], strict=True)
    pairs = list(zip(ids[:-1].tolist(), ids[1:].tolist(), strict=True))
    assert sorted(scored) == sorted(pairs)


@pytest.mark.parametrize("length", [300, 5003, 40_007])
def test_streamed_is_within_a_thousandth_of_one_single_pass(model, length):
    ids = text(length)
    assert streamed(model, ids).loss == pytest.approx(single_pass(model, ids), abs=1e-3)


def test_a_part_is_the_same_share_of_each_piece(model):
    score = streamed(model, text(40_007), most_chars=3200)
    assert score.chars == 32 * 100


def test_the_last_row_of_a_short_text_ends_where_the_text_does(model):
    ids = text(512 * 3 + 100)  # three pieces; the last is shorter
    assert streamed(model, ids).chars == 512 * 3 + 99


def test_records_are_scored_from_an_empty_state_with_their_ends(model):
    ids = np.array([3, 4, 0, 5, 0, 6, 7, 8], dtype=np.uint8)  # 0 is the newline
    records, _ = find_records(ids, newline=0)
    total = 0.0
    for record in ([3, 4], [5], [6, 7, 8]):
        line = np.array([0, *record, 0])
        total += single_pass(model, line) * (len(record) + 1)
    score = by_record(model, ids, records, newline=0)
    assert score.chars == 3 + 2 + 4
    assert score.loss == pytest.approx(total / 9, abs=1e-5)


@pytest.mark.parametrize("length", [40, 3000])
def test_a_mix_costs_what_both_probabilities_say(model, length):
    memory = build(runs_of(text(900)), V, 3)
    memory.weight = 0.4
    ids = text(length + 7)[7:]
    found = streamed(uniform(model), ids, memory)
    # The network says 1/V of everything; the memory is asked symbol by symbol.
    remembered = [memory.distribution(ids[:i])[ids[i]] for i in range(1, len(ids))]
    expected = -np.log(0.6 / V + 0.4 * np.array(remembered)).mean()
    assert found.loss == pytest.approx(expected, abs=1e-6)
    assert found.network == pytest.approx(math.log(V), abs=1e-6)


def test_without_a_memory_both_losses_are_one(model):
    found = streamed(model, text(60))
    assert found.loss == found.network


def test_each_record_begins_without_context_for_the_memory_too(model):
    ids = np.array([1, 2, 3, 0, 1, 2, 0, 5, 0], dtype=np.uint8)
    records, _ = find_records(ids, 0)
    memory = build(runs_of(text(900)), V, 3)
    memory.weight = 0.4
    found = by_record(uniform(model), ids, records, 0, memory)
    texts = [[0, 1, 2, 3, 0], [0, 1, 2, 0], [0, 5, 0]]
    remembered = [memory.distribution(t[:i])[t[i]] for t in texts for i in range(1, len(t))]
    assert found.loss == pytest.approx(-np.log(0.6 / V + 0.4 * np.array(remembered)).mean())


def test_a_mix_by_its_own_judgement_costs_what_the_sampler_would_draw_from(model):
    memory = build(runs_of(text(900)), V, 3)
    ids = text(50)[7:]
    found = streamed(model, ids, memory)
    with torch.no_grad():
        logits, _ = model(torch.from_numpy(ids[None].astype(np.int64)), model.empty_state(1))
    costs = []
    for i in range(1, len(ids)):
        scores = mix(logits[:, i - 1].numpy(), memory, [list(ids[:i])])
        costs.append(-scores[0, ids[i]])
    assert found.loss == pytest.approx(np.mean(costs), abs=1e-5)
