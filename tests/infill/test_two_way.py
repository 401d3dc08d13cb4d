"""The network of both directions as a judge of `proof`, against the network of training."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from infill_models import model_of, read

from charrnn.infill.edits import REPLACE
from charrnn.infill.proof import Proof
from charrnn.infill.two_way import TWO_WAY, TwoWay
from charrnn.nn.architecture import shapes
from charrnn.nn.model import make_network
from charrnn.nn.network import load_weights

TEXT = "The quick brown fox\njumps over\nthe lazy dog.\n"


def both_of(text, *, records=False):
    """Return a model of both directions with random weights."""
    model = model_of(text, records=records)
    config, rng = replace(model.config, num_directions=2), np.random.default_rng(43)
    weights = {n: rng.normal(0, 0.5, s).astype(np.float32) for n, s in shapes(config).items()}
    return replace(model, config=config, weights=weights)


def by_torch(model, lines):
    """Return log-probabilities of each symbol of texts that newlines surround, one row a text."""
    network = make_network(model.config)
    load_weights(network, model.weights)
    rows = []
    for line in lines:
        ids = torch.tensor([[model.vocab.newline, *line, model.vocab.newline]])
        with torch.no_grad():
            given = network.given(ids[:, :-1], ids[:, 1:])
            logits, _ = network(given, network.empty_state(1))
        rows.append(torch.log_softmax(logits[0, :-1], -1).numpy())
    return np.concatenate(rows)


def test_predictions_are_those_of_training():
    model = both_of(TEXT)
    ids = model.vocab.encode(TEXT).astype(np.int64)
    expected = by_torch(model, [ids])
    two_way = TwoWay.of(model)
    np.testing.assert_allclose(two_way.logs(ids, 0, len(ids)), expected, atol=1e-4)
    np.testing.assert_allclose(two_way.logs(ids, 5, 30), expected[5:30], atol=1e-4)


def test_each_record_is_read_by_itself():
    model = both_of(TEXT, records=True)
    ids = model.vocab.encode(TEXT).astype(np.int64)
    newline = model.vocab.newline
    lines = [model.vocab.encode(line) for line in TEXT.splitlines()]
    found = TwoWay.of(model).logs(ids, 0, len(ids))
    np.testing.assert_allclose(found[ids != newline], by_torch(model, lines), atol=1e-4)


def test_proof_weighs_its_prediction_of_symbols_in_place_of_others():
    model = both_of(TEXT)
    sides, ids = read(model, TEXT)
    plain, judged = Proof(sides, ids), Proof(sides, ids, two_way=TwoWay.of(model))
    assert sides[0].network is None  # half of a network of both sides predicts nothing by itself
    logs = TwoWay.of(model).logs(ids, 0, len(ids))
    plain.open(0, len(ids))
    edits, kinds = plain.changes(np.array([9]))
    is_one = kinds == REPLACE
    edits = edits.take(is_one)
    gains = plain.gains(edits)
    expected = TWO_WAY[0] * gains + TWO_WAY[1] * (logs[9, edits.new[:, 0]] - logs[9, ids[9]])
    bits = np.logaddexp(0, np.logaddexp.reduce(expected)) / np.log(2)
    assert judged.suspicions().bits[9] == pytest.approx(bits)
    assert plain.suspicions().bits[9] != pytest.approx(bits)
