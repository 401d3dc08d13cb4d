"""Both engines against the torch model, against the equations, and row against row."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from stepped_engine import SteppedEngine

from charrnn.nn.architecture import GATES, ModelConfig, shapes
from charrnn.nn.model import make_network
from charrnn.nn.network import initialise, load_weights, weight_arrays
from charrnn.nn.numpy_engine import RecurrentEngine
from charrnn.nn.state import State

STEPS, B = 6, 3


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def floats(values):
    return np.array(values, dtype=np.float32)


def random_weights(config: ModelConfig, scale: float = 0.5):
    """Normal weights, biases too: zeros would hide a bias that is used in the wrong place."""
    rng = np.random.default_rng(17)
    return {name: floats(rng.normal(0, scale, shape)) for name, shape in shapes(config).items()}


@pytest.fixture(params=GATES)
def cell(request):
    """Each recurrent cell in turn; the transformer has tests of its own."""
    return request.param


@pytest.fixture
def weights(tiny_config):
    return random_weights(tiny_config)


@pytest.fixture(params=["numpy", "compiled"])
def make_engine(request):
    if request.param == "numpy":
        return RecurrentEngine
    library = request.getfixturevalue("library")
    return lambda config, weights: SteppedEngine(library, config, weights)


@pytest.fixture
def engine(make_engine, tiny_config, weights):
    return make_engine(tiny_config, weights)


@pytest.fixture
def network(tiny_config, weights):
    model = make_network(tiny_config)
    load_weights(model, weights)
    return model.requires_grad_(False)


@pytest.fixture
def ids(tiny_config):
    return np.random.default_rng(23).integers(0, tiny_config.vocab_size, (B, STEPS))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_equations(from_x, from_h, h, c):
    i, f, g, o = np.split(from_x + from_h, 4)
    new_c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(new_c), new_c


def gru_equations(from_x, from_h, h):
    (r_x, z_x, n_x), (r_h, z_h, n_h) = np.split(from_x, 3), np.split(from_h, 3)
    r, z = sigmoid(r_x + r_h), sigmoid(z_x + z_h)
    return ((1 - z) * np.tanh(n_x + r * n_h) + z * h,)


def rnn_equations(from_x, from_h, h):
    return (np.tanh(from_x + from_h),)


EQUATIONS: dict = {"lstm": lstm_equations, "gru": gru_equations, "rnn": rnn_equations}


def step_by_equations(config, weights, symbol, state):
    """One step in float64, as a textbook writes it; state is a tuple of (L, H)."""
    w = {name: array.astype(np.float64) for name, array in weights.items()}
    x, layers = w["embedding.weight"][symbol], []
    for layer in range(config.num_layers):
        name = f"layers.{layer}."
        h = state[0][layer]
        from_x = w[name + "weight_ih_l0"] @ x + w[name + "bias_ih_l0"]
        from_h = w[name + "weight_hh_l0"] @ h + w[name + "bias_hh_l0"]
        layers.append(EQUATIONS[config.cell](from_x, from_h, *(part[layer] for part in state)))
        x = layers[-1][0]
    logits = w["decoder.weight"] @ x + w["decoder.bias"]
    return logits, tuple(np.stack(parts) for parts in zip(*layers, strict=True))


def parts_of(state):
    return list(state.arrays().values())


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_one_stream_equals_the_torch_model_after_every_step(engine, network, ids):
    state, torch_state = engine.empty_state(), network.empty_state(1)
    for symbol in ids[0].tolist():
        logits, state = engine.step(symbol, state)
        torch_logits, torch_state = network(torch.tensor([[symbol]]), torch_state)
        assert_close(logits, torch_logits[0, 0])
        for part, torch_part in zip(parts_of(state), parts_of(torch_state), strict=True):
            assert_close(part, torch_part[:, 0])


def test_a_batch_equals_the_torch_model_after_every_step(engine, network, ids):
    state, torch_state = engine.empty_state(B), network.empty_state(B)
    for t in range(STEPS):
        logits, state = engine.step(ids[:, t], state)
        torch_logits, torch_state = network(torch.from_numpy(ids[:, t : t + 1]), torch_state)
        assert_close(logits, torch_logits[:, 0])
        for part, torch_part in zip(parts_of(state), parts_of(torch_state), strict=True):
            assert_close(part, torch_part)


def test_a_step_equals_the_equations_of_the_cell(engine, tiny_config, weights):
    rng = np.random.default_rng(29)
    parts = [rng.uniform(-1, 1, part.shape) for part in parts_of(engine.empty_state())]
    expected_logits, expected_state = step_by_equations(tiny_config, weights, 4, parts)
    logits, state = engine.step(4, State(dict(zip("hc", map(floats, parts), strict=False))))
    assert_close(logits, expected_logits)
    for part, expected in zip(parts_of(state), expected_state, strict=True):
        assert_close(part, expected)


def test_a_network_of_single_numbers_can_be_checked_by_hand(make_engine):
    config = ModelConfig(cell="rnn", vocab_size=2, embedding_size=1, hidden_size=1, num_layers=1)
    numbers: dict[str, list] = {
        "embedding.weight": [[0.0], [2.0]],
        "layers.0.weight_ih_l0": [[0.5]],
        "layers.0.weight_hh_l0": [[4.0]],
        "layers.0.bias_ih_l0": [1.0],
        "layers.0.bias_hh_l0": [-3.0],
        "decoder.weight": [[1.0], [-2.0]],
        "decoder.bias": [0.25, 0.0],
    }
    engine = make_engine(config, {name: floats(value) for name, value in numbers.items()})
    logits, state = engine.step(1, State({"h": floats([[0.25]])}))
    # 0.5 * 2 + 4 * 0.25 + 1 - 3 = 0, and tanh(0) = 0
    np.testing.assert_array_equal(state.arrays()["h"], [[0.0]])
    np.testing.assert_array_equal(logits, [0.25, 0.0])


def test_an_empty_state_is_zeros_in_the_shapes_of_the_legend(engine, tiny_config):
    assert len(parts_of(engine.empty_state())) == (2 if tiny_config.cell == "lstm" else 1)
    assert {part.shape for part in parts_of(engine.empty_state())} == {(2, 7)}
    assert {part.shape for part in parts_of(engine.empty_state(3))} == {(2, 3, 7)}
    assert not any(part.any() for part in parts_of(engine.empty_state(3)))


def test_everything_stays_float32(engine, ids):
    logits, state = engine.step(ids[:, 0], engine.empty_state(B))
    assert {logits.dtype, *(part.dtype for part in parts_of(state))} == {np.dtype(np.float32)}


def test_a_step_changes_neither_weights_nor_the_state_it_was_given(engine, weights, ids):
    copies = {name: array.copy() for name, array in weights.items()}
    _, state = engine.step(ids[:, 0], engine.empty_state(B))
    before = state.map(np.copy)
    first = engine.step(ids[:, 1], state)
    second = engine.step(ids[:, 1], state)
    np.testing.assert_array_equal(parts_of(state), parts_of(before))
    np.testing.assert_array_equal(first[0], second[0])
    for name, array in weights.items():
        np.testing.assert_array_equal(array, copies[name])


def test_read_only_weights_will_do(make_engine, tiny_config, weights):
    for array in weights.values():
        array.setflags(write=False)  # as those of a checkpoint are
    engine = make_engine(tiny_config, weights)
    engine.step(1, engine.empty_state())


def test_saturated_gates_neither_overflow_nor_leave_their_range(make_engine, tiny_config, ids):
    engine = make_engine(tiny_config, random_weights(tiny_config, scale=1e4))
    state = engine.empty_state(B)
    for t in range(STEPS):
        logits, state = engine.step(ids[:, t], state)
        assert np.isfinite(logits).all()
        assert np.abs(state.arrays()["h"]).max() <= 1


@pytest.mark.parametrize("hidden_size", [33, 64, 100])
def test_a_row_depends_neither_on_the_number_of_rows_nor_on_its_place(
    make_engine, cell, hidden_size
):
    config = ModelConfig(
        cell=cell, vocab_size=97, embedding_size=5, hidden_size=hidden_size, num_layers=2
    )
    engine = make_engine(config, random_weights(config, scale=0.1))
    rng = np.random.default_rng(31)
    ids = rng.integers(0, 97, (3, 70))

    def run(rows):
        state = engine.empty_state(len(rows))
        for t in range(3):
            logits, state = engine.step(ids[t, rows], state)
        return logits, state

    all_logits, all_state = run(np.arange(70))
    for size in (*range(1, 14), 31, 64, 70):
        rows = rng.permutation(70)[:size]
        logits, state = run(rows)
        np.testing.assert_array_equal(logits, all_logits[rows])
        for part, whole in zip(parts_of(state), parts_of(all_state), strict=True):
            np.testing.assert_array_equal(part, whole[:, rows])


def test_rows_that_leave_do_not_change_the_others(make_engine, cell):
    config = ModelConfig(cell=cell, vocab_size=11, embedding_size=5, hidden_size=33, num_layers=2)
    engine = make_engine(config, random_weights(config, scale=0.1))
    ids = np.random.default_rng(37).integers(0, 11, (2, 13))
    _, state = engine.step(ids[0], engine.empty_state(13))
    whole, _ = engine.step(ids[1], state)
    going = np.arange(13) % 3 > 0
    rest, _ = engine.step(ids[1, going], state.rows(going))
    np.testing.assert_array_equal(rest, whole[going])


CLOSE = 1e-4
"""Logits of a fast path may be this far from torch's; nearer rivals may change places."""


def real_text():
    """10,000 characters, in ids below 128."""
    return np.frombuffer(Path(inspect.__file__).read_bytes()[:10_000], dtype=np.uint8) % 128


def torch_logits(cell, num_layers):
    """Return a network, its weights, and what torch's own layers make of the text, (N, V)."""
    config = ModelConfig(
        cell=cell, vocab_size=128, embedding_size=16, hidden_size=48, num_layers=num_layers
    )
    network = make_network(config).requires_grad_(False)
    initialise(network, 0)
    network.decoder.weight.mul_(50)  # as far apart as those of a trained network
    ids = torch.from_numpy(real_text()[None].astype(np.int64))
    logits, _ = network(ids, network.empty_state(1))
    return config, weight_arrays(dict(network.named_parameters())), logits[0].numpy()


@pytest.mark.parametrize("num_layers", [1, 2])
def test_fed_real_text_the_logits_are_those_of_torch(make_engine, cell, num_layers):
    config, weights, expected = torch_logits(cell, num_layers)
    engine = make_engine(config, weights)
    state, found = engine.empty_state(), np.empty(expected.shape, dtype=np.float32)
    for i, symbol in enumerate(real_text().tolist()):
        found[i], state = engine.step(symbol, state)
    assert_follows(found, expected)


def assert_follows(found, expected):
    assert np.abs(found - expected).max() < CLOSE
    best = np.sort(expected, axis=1)[:, -2:]
    is_clear = best[:, 1] - best[:, 0] > CLOSE
    assert is_clear.mean() > 0.9
    np.testing.assert_array_equal(found.argmax(1)[is_clear], expected.argmax(1)[is_clear])


def test_of_the_compiled_step_one_stream_is_a_batch_of_one(library, cell):
    config = ModelConfig(cell=cell, vocab_size=70, embedding_size=5, hidden_size=50, num_layers=2)
    engine = SteppedEngine(library, config, random_weights(config, scale=0.1))
    one, many = engine.empty_state(), engine.empty_state(7)
    for symbol in range(20):
        logits, one = engine.step(symbol, one)
        rows, many = engine.step(np.full(7, symbol), many)
        np.testing.assert_array_equal(rows, np.tile(logits, (7, 1)))
