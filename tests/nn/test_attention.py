"""Attention of a recurrent network to its past outputs, in PyTorch and in NumPy."""

import numpy as np
import pytest
import torch

from charrnn.nn.architecture import GATES, ModelConfig, key_width, shapes
from charrnn.nn.attention import Attention
from charrnn.nn.model import make_network
from charrnn.nn.network import initialise, weight_arrays
from charrnn.nn.numpy_engine import make_engine

V, H, N, B, STEPS = 11, 70, 12, 3, 40  # more units than a key has, more steps than N


def config_of(cell, attention=N):
    return ModelConfig(
        cell=cell, vocab_size=V, embedding_size=5, hidden_size=H, num_layers=2, attention=attention
    )


def random_network(config):
    """Return a network whose head looks at some outputs far more than at others."""
    model = make_network(config)
    initialise(model, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith("attention."):
                parameter.normal_(generator=generator)
    return model.requires_grad_(False)


@pytest.fixture(params=GATES)
def cell(request):
    """Each recurrent cell in turn."""
    return request.param


@pytest.fixture
def network(cell):
    return random_network(config_of(cell))


@pytest.fixture
def ids():
    return np.random.default_rng(23).integers(0, V, (B, STEPS))


def normalised(x):
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_definition(head, outputs):
    """What the head adds to each output of one stream, (T, H), and the weights of past outputs.

    One pair of outputs after another; the weights of an output are a dict by index.
    """
    w = {
        name: tensor.detach().numpy().astype(np.float64) for name, tensor in head.named_parameters()
    }
    past, D = [normalised(x) for x in outputs.astype(np.float64)], len(w["key_gate"])
    added, looked = [], []
    for t, own in enumerate(past):
        q = normalised(w["query.weight"] @ own) * 2 * sigmoid(w["key_gate"]) / D**0.5
        scores = {}
        for other in range(max(1, t - N + 1), t):  # the first output has none before it as key
            bucket = 1 + int(np.log2(t - other))
            scores[other] = q @ past[other - 1][:D] + w["distance_bias"][bucket]
        scores[t] = w["distance_bias"][0]
        total = sum(map(np.exp, scores.values()))
        looked.append({at: np.exp(score) / total for at, score in scores.items()})
        found = sum(weight * past[at] for at, weight in looked[-1].items())
        added.append(sigmoid(w["value_gate"]) * found)
    return np.stack(added), looked


@pytest.mark.parametrize("windows", [(40,), (1, 2, 9, 13, 15), (1,) * 40])
def test_the_head_computes_its_definition_however_a_text_is_cut(windows):
    head, rng = random_network(config_of("rnn")).attention, np.random.default_rng(5)
    outputs = rng.uniform(-1, 1, (B, sum(windows), H)).astype(np.float32)
    past, count, found, begin = torch.zeros(B, N, H), torch.zeros(B, 1), [], 0
    for size in windows:
        window = torch.from_numpy(outputs[:, begin : begin + size])
        added, past, count = head(window, past, count)
        found.append(added)
        begin += size
    expected = np.stack([by_definition(head, stream)[0] for stream in outputs])
    np.testing.assert_allclose(torch.cat(found, 1), expected, rtol=0, atol=2e-6)
    assert count.tolist() == [[N]] * B


def test_numpy_equals_torch_after_every_step(network, ids):
    weights = weight_arrays(dict(network.named_parameters()))
    engine, state = make_engine(network.config, weights), network.empty_state(B)
    ours, one = engine.empty_state(B), make_engine(network.config, weights).empty_state()
    single = make_engine(network.config, weights)
    for t in range(STEPS):
        logits, state = network(torch.from_numpy(ids[:, t : t + 1]), state)
        found, ours = engine.step(ids[:, t], ours)
        np.testing.assert_allclose(found, logits[:, 0], rtol=0, atol=1e-5)
        alone, one = single.step(int(ids[0, t]), one)
        np.testing.assert_allclose(alone, logits[0, 0], rtol=0, atol=1e-5)
    for name, part in ours.arrays().items():
        np.testing.assert_allclose(part, state.arrays()[name], rtol=0, atol=1e-5)
        np.testing.assert_allclose(one.arrays()[name], part[:, 0], rtol=0, atol=1e-5)


def test_a_stream_that_begins_anew_sees_nothing_of_what_was_before(network, ids):
    """Also not as the key of its first output."""
    inputs = torch.from_numpy(ids)
    _, state = network(inputs[:, :15], network.empty_state(B))
    cleared = state.clear(torch.tensor([False, True, False]))
    found, _ = network(inputs[:, 15:], cleared)
    fresh, _ = network(inputs[:, 15:], network.empty_state(B))
    carried, _ = network(inputs[:, 15:], state)
    assert torch.equal(found[1], fresh[1])
    assert torch.equal(found[[0, 2]], carried[[0, 2]])
    assert (carried[1] - fresh[1]).abs().max() > 0.01
    assert cleared.arrays()["count"].flatten().tolist() == [N, 0, N]


def test_gradients_reach_every_weight_and_nothing_before_the_window(network, ids):
    network.requires_grad_(True)
    _, state = network(torch.from_numpy(ids[:, :20]), network.empty_state(B))
    assert not state.arrays()["past"].requires_grad
    logits, _ = network(torch.from_numpy(ids[:, 20:]), state.detach())
    logits.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_values_that_are_not_finite_do_not_stay_in_the_past(network):
    outputs = torch.full((1, 2, H), torch.nan)
    _, past, _ = network.attention(outputs, torch.zeros(1, N, H), torch.zeros(1, 1))
    assert past.isfinite().all()


def test_the_weights_of_a_step_sum_to_1_and_say_how_far_it_looks(network, ids):
    engine = make_engine(network.config, weight_arrays(dict(network.named_parameters())))
    state, other, outputs = engine.empty_state(), engine.empty_state(), []
    for t, symbol in enumerate(ids[0].tolist()):
        expected, other = engine.step(symbol, other)
        logits, state, looked = engine.attend(symbol, state)
        np.testing.assert_array_equal(logits, expected)
        assert looked.shape == (1, 1, min(max(t, 1), N))
        assert looked.sum() == pytest.approx(1, abs=1e-6)
        outputs.append(state.arrays()["h"][-1])
        *_, expected = by_definition(network.attention, np.stack(outputs))[1]
        np.testing.assert_allclose(looked[0, 0], list(expected.values()), rtol=0, atol=1e-5)


def test_a_step_from_an_earlier_state_is_what_it_was(network, ids):
    """Steps add to one array: a second step from a state must not change the states after it."""
    engine = make_engine(network.config, weight_arrays(dict(network.named_parameters())))
    begin = engine.empty_state(B)
    for t in range(20):
        _, begin = engine.step(ids[:, t], begin)
    before = begin.map(np.copy)
    _, first = engine.step(ids[:, 20], begin)
    kept = first.map(np.copy)
    engine.step(ids[:, 21], begin)
    engine.step(ids[:, 22], first)
    for state, copy in ((begin, before), (first, kept)):
        for name, part in state.arrays().items():
            np.testing.assert_array_equal(part, copy.arrays()[name])


@pytest.mark.parametrize("attention", [1, 2, 3, 64, 65])
def test_any_size_has_its_buckets_of_distance(attention, ids):
    """0, 1, 2-3, 4-7 ...: a distance of 63 is in bucket 6, one of 64 in bucket 7."""
    config = config_of("gru", attention)
    expected = {1: 1, 2: 2, 3: 3, 64: 7, 65: 8}[attention]
    assert shapes(config)["attention.distance_bias"] == (expected,)
    model = random_network(config)
    engine, state = make_engine(config, weight_arrays(dict(model.named_parameters()))), None
    logits, _ = model(torch.from_numpy(np.tile(ids, 2)), model.empty_state(B))
    state = engine.empty_state(B)
    for symbols in np.tile(ids, 2).T:
        found, state = engine.step(symbols, state)
    np.testing.assert_allclose(found, logits[:, -1], rtol=0, atol=1e-5)


def test_other_weights_begin_as_without_attention(cell):
    plain, model = make_network(config_of(cell, 0)), make_network(config_of(cell))
    for each in (plain, model):
        initialise(each, seed=4)
    ours = dict(model.named_parameters())
    assert all(torch.equal(ours[name], each) for name, each in plain.named_parameters())
    assert set(ours) - set(dict(plain.named_parameters())) == {
        f"attention.{name}" for name, _ in Attention(config_of(cell)).named_parameters()
    }


def test_names_and_shapes_are_those_of_the_config(cell):
    found = {n: tuple(t.shape) for n, t in make_network(config_of(cell)).state_dict().items()}
    assert found == shapes(config_of(cell))
    assert found["attention.query.weight"] == (key_width(config_of(cell)), H) == (64, 70)


def test_the_past_is_counted_as_work():
    """4 operations for each number of a key or value that is read: forward, and back to the query."""
    plain, attentive = config_of("gru", 0), config_of("gru", 100)
    assert attentive.flops_per_char() - plain.flops_per_char() == 6 * 64 * H + 4 * 100 * (64 + H)
