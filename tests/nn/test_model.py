"""The network: shapes, state in and out, and the equations."""

import hashlib
import math

import numpy as np
import pytest
import torch

from charrnn.nn.architecture import GATES, ModelConfig, shapes
from charrnn.nn.model import ROW_SHIFT, make_network
from charrnn.nn.network import initialise, load_weights, times, weight_arrays
from charrnn.nn.state import State

B, T = 3, 6


@pytest.fixture
def model(tiny_config):
    network = make_network(tiny_config)
    initialise(network, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "bias" in name:  # zeros would hide a bias that is used in the wrong place
                parameter.normal_(0, 0.3, generator=generator)
    return network


@pytest.fixture
def inputs(tiny_config):
    return torch.randint(
        0, tiny_config.vocab_size, (B, T), generator=torch.Generator().manual_seed(3)
    )


def test_weights_have_exactly_the_names_and_shapes_of_the_config(model, tiny_config):
    found = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert found == shapes(tiny_config)


@pytest.mark.parametrize("cell", GATES)
def test_logits_and_state_have_the_shapes_of_the_legend(model, inputs, tiny_config):
    logits, state = model(inputs, model.empty_state(B))
    assert logits.shape == (3, 6, 11)
    parts = state.arrays().values()
    assert len(parts) == (2 if tiny_config.cell == "lstm" else 1)
    assert all(part.shape == (2, 3, 7) and part.dtype == torch.float32 for part in parts)


def test_two_chunks_with_carried_state_equal_one_long_chunk(model, inputs):
    whole, end = model(inputs, model.empty_state(B))
    first, middle = model(inputs[:, :4], model.empty_state(B))
    second, last = model(inputs[:, 4:], middle)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole)
    torch.testing.assert_close(last.arrays(), end.arrays())


def test_stepping_one_character_at_a_time_equals_the_whole_sequence(model, inputs):
    whole, end = model(inputs, model.empty_state(B))
    state, steps = model.empty_state(B), []
    for t in range(T):
        logits, state = model(inputs[:, t : t + 1], state)
        steps.append(logits)
    torch.testing.assert_close(torch.cat(steps, dim=1), whole)
    torch.testing.assert_close(state.arrays(), end.arrays())


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def step_by_hand(cell, w, layer, x, h, c):
    """One step of one layer, as the cells' papers and torch's documentation write it."""
    name = f"layers.{layer}."
    H = len(h)
    from_x = w[name + "weight_ih_l0"] @ x + w[name + "bias_ih_l0"]
    from_h = w[name + "weight_hh_l0"] @ h + w[name + "bias_hh_l0"]
    if cell == "rnn":
        return np.tanh(from_x + from_h), c
    if cell == "gru":
        r = sigmoid(from_x[:H] + from_h[:H])
        z = sigmoid(from_x[H : 2 * H] + from_h[H : 2 * H])
        n = np.tanh(from_x[2 * H :] + r * from_h[2 * H :])
        return (1 - z) * n + z * h, c
    i, f, g, o = np.split(from_x + from_h, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


@pytest.mark.parametrize("cell", GATES)
def test_one_step_equals_the_equations_written_out(model, tiny_config):
    w = {
        name: array.astype(np.float64) for name, array in weight_arrays(model.state_dict()).items()
    }
    rng = np.random.default_rng(4)
    L, H = tiny_config.num_layers, tiny_config.hidden_size
    h, c = rng.normal(size=(L, H)), rng.normal(size=(L, H))
    parts = {"h": h, "c": c} if tiny_config.cell == "lstm" else {"h": h}
    start = State(parts).map(lambda part: torch.tensor(part, dtype=torch.float32)[:, None])
    logits, state = model(torch.tensor([[8]]), start)
    end = state.arrays()

    x = w["embedding.weight"][8]
    for layer in range(L):
        x, new_c = step_by_hand(tiny_config.cell, w, layer, x, h[layer], c[layer])
        np.testing.assert_allclose(end["h"][layer, 0].detach(), x, atol=1e-6)
        if tiny_config.cell == "lstm":
            np.testing.assert_allclose(end["c"][layer, 0].detach(), new_c, atol=1e-6)
    expected = w["decoder.weight"] @ x + w["decoder.bias"]
    np.testing.assert_allclose(logits[0, 0].detach(), expected, atol=1e-5)


def test_parameters_are_counted_by_hand():
    config = ModelConfig(cell="lstm", vocab_size=11, embedding_size=5, hidden_size=7, num_layers=2)
    first, second = 4 * 7 * (5 + 7 + 2), 4 * 7 * (7 + 7 + 2)
    assert config.num_parameters() == 11 * 5 + first + second + 11 * 7 + 11
    # 6 operations a weight of a product: the embedding is looked up, biases are added.
    assert config.flops_per_char() == 6 * (4 * 7 * (5 + 7) + 4 * 7 * (7 + 7) + 11 * 7)


def test_initial_weights_depend_on_the_seed_alone(tiny_config):
    before = torch.get_rng_state()
    first, again, other = (make_network(tiny_config) for _ in range(3))
    for network, seed in ((first, 5), (again, 5), (other, 6)):
        initialise(network, seed)
    assert torch.equal(first.embedding.weight, again.embedding.weight)
    assert not torch.equal(first.embedding.weight, other.embedding.weight)
    assert torch.equal(torch.get_rng_state(), before)


def test_forget_bias_is_one_and_recurrent_gates_are_orthogonal():
    config = ModelConfig(cell="lstm", vocab_size=11, embedding_size=5, hidden_size=7, num_layers=1)
    network = make_network(config)
    initialise(network, 0)
    layer = network.layers[0]
    bias = layer.bias_ih_l0 + layer.bias_hh_l0
    assert torch.equal(bias.detach(), torch.tensor([0.0] * 7 + [1.0] * 7 + [0.0] * 14))
    for gate in layer.weight_hh_l0.detach().split(7):
        torch.testing.assert_close(gate @ gate.T, torch.eye(7), atol=1e-5, rtol=0)


def test_initial_weights_are_as_large_as_they_should_be():
    config = ModelConfig(
        cell="lstm", vocab_size=300, embedding_size=40, hidden_size=50, num_layers=2
    )
    network = make_network(config)
    initialise(network, 0)
    assert network.embedding.weight.std().item() == pytest.approx(1, rel=0.05)
    assert network.decoder.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not network.decoder.bias.any()
    for layer, size in zip(network.layers, (40, 50), strict=True):  # Xavier, uniform
        bound = math.sqrt(6 / (size + 200))
        assert layer.weight_ih_l0.abs().max().item() == pytest.approx(bound, rel=0.01)
        assert layer.weight_ih_l0.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_weights_survive_the_way_through_arrays(model, tiny_config):
    other = make_network(tiny_config)
    load_weights(other, weight_arrays(model.state_dict()))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])


@pytest.mark.parametrize("cell", GATES)
def test_dropout_is_locked_over_a_window_and_keeps_the_mean(tiny_config):
    generator = torch.Generator().manual_seed(7)
    masks = make_network(tiny_config).draw_masks((0.2, 0.5, 0.25), (997, T), generator)
    assert masks.embedding.shape == (997, 1, 5)
    assert [m.shape for m in masks.layers] == [(997, 1, 7)] * 2
    assert set(masks.layers[0].unique().tolist()) == {0.0, 2.0}
    assert set(masks.embedding.unique().tolist()) == {0.0, 1.25}
    gates = {"lstm": 4, "gru": 3, "rnn": 1}[tiny_config.cell]
    assert masks.recurrent[0].shape == (gates * 7, 7)
    # 6,979 draws of 0 or 2: the mean is 1 within 5 standard errors.
    assert abs(masks.layers[0].mean() - 1) < 5 / math.sqrt(997 * 7)


@pytest.mark.parametrize("rule", [1, 2, 3])
@pytest.mark.parametrize("rate", [0.1, 0.4, 0.999])
def test_weight_drop_has_the_exact_rate_though_it_draws_bytes(rate, rule):
    """10% is 25.6 of 256 values: rounded to 26, the rate would be 5.3 standard errors off."""
    kept = kept_of_512(rate, rule)
    drawn = 2047 * ROW_SHIFT + 512 if rule == 3 else kept.numel()
    error = math.sqrt(rate * (1 - rate) / drawn)
    assert abs(1 - kept.double().mean() - rate) < 4 * error


def kept_of_512(rate, rule):
    config = ModelConfig(cell="lstm", vocab_size=3, embedding_size=2, hidden_size=512, num_layers=1)
    masks = make_network(config).draw_masks(
        (0.0, 0.0, rate), (1, T), torch.Generator().manual_seed(7), rule
    )
    kept = masks.recurrent[0] > 0
    assert masks.recurrent[0][kept].unique().tolist() == pytest.approx([1 / (1 - rate)])
    return kept


def test_rows_of_a_mask_share_numbers_but_neither_rows_nor_columns_repeat_any():
    """Of 2048 × 512 elements 66,016 are drawn; gates of one unit, 512 rows apart, share none."""
    kept = kept_of_512(0.5, 3)
    assert torch.equal(kept[1:, :-ROW_SHIFT], kept[:-1, ROW_SHIFT:])
    first, second = kept[0].double() - 0.5, kept[512].double() - 0.5
    assert abs((first * second).mean()) < 4 * 0.25 / math.sqrt(512)
    for length, sums in ((512, kept.sum(1)), (2048, kept.sum(0))):
        assert (sums - length / 2).abs().max() < 6 * math.sqrt(length) / 2


@pytest.mark.parametrize(
    ("rule", "expected"),
    [(1, "bd8d5dbcff695f00"), (2, "a4b71ce4133ac3d4"), (3, "0f066a7844818ae2")],
)
def test_the_masks_of_each_rule_stay_as_they_are(rule, expected):
    """A run that began with a rule resumes with it; the numbers are those of NumPy's generators."""
    kept = kept_of_512(0.1, rule).numpy()
    assert hashlib.sha256(np.packbits(kept).tobytes()).hexdigest()[:16] == expected


@pytest.mark.parametrize("cell", GATES)
def test_the_order_in_memory_changes_logits_and_state_by_rounding_only(model, inputs, tiny_config):
    generator = torch.Generator().manual_seed(8)
    masks = make_network(tiny_config).draw_masks((0.2, 0.5, 0.3), (B, T), generator)
    expected, end = model(inputs, model.empty_state(B), masks)
    model.is_time_major = True
    found, found_end = model(inputs, model.empty_state(B), masks)
    assert found.transpose(0, 1).is_contiguous()
    torch.testing.assert_close(found, expected)
    for name, part in end.arrays().items():
        torch.testing.assert_close(found_end.arrays()[name], part)


def test_each_layer_has_masks_of_its_own_and_each_seed_draws_others(tiny_config):
    def drawn(seed):
        return make_network(tiny_config).draw_masks(
            (0.2, 0.5, 0.25), (4, T), torch.Generator().manual_seed(seed)
        )

    masks, again, others = drawn(7), drawn(7), drawn(8)
    for part in ("layers", "recurrent"):
        parts = (getattr(each, part) for each in (masks, again, others))
        for i, (one, same, other) in enumerate(zip(*parts, strict=True)):
            assert i == 0 or not torch.equal(one, getattr(masks, part)[i - 1])
            assert torch.equal(one, same)
            assert not torch.equal(one, other)


def test_a_part_of_the_masks_is_that_of_its_streams(tiny_config):
    masks = make_network(tiny_config).draw_masks(
        (0.2, 0.5, 0.25), (8, T), torch.Generator().manual_seed(7)
    )
    part = masks.part(slice(3, 6))
    assert torch.equal(part.embedding, masks.embedding[3:6])
    assert all(map(torch.equal, part.layers, (each[3:6] for each in masks.layers)))
    assert all(map(torch.equal, part.recurrent, masks.recurrent))


def test_no_rate_means_no_masks(tiny_config):
    assert make_network(tiny_config).draw_masks((0.0, 0.0, 0.0), (3, T), torch.Generator()) is None


def test_a_mask_leaves_the_dtype_of_what_it_drops():
    masked = times(torch.ones(2, dtype=torch.float16), torch.tensor([0.0, 1.25]))
    assert masked.dtype == torch.float16
    assert masked.tolist() == [0.0, 1.25]


@pytest.mark.parametrize("cell", GATES)
def test_weight_drop_changes_only_the_recurrent_product(model, inputs, tiny_config):
    generator = torch.Generator().manual_seed(8)
    masks = make_network(tiny_config).draw_masks((0.0, 0.0, 0.5), (B, T), generator)
    dropped, _ = model(inputs, model.empty_state(B), masks)
    by_hand = make_network(tiny_config)
    load_weights(by_hand, weight_arrays(model.state_dict()))
    with torch.no_grad():
        for layer, mask in zip(by_hand.layers, masks.recurrent, strict=True):
            layer.weight_hh_l0 *= mask
    expected, _ = by_hand(inputs, by_hand.empty_state(B))
    torch.testing.assert_close(dropped, expected)


@pytest.mark.parametrize("cell", GATES)
def test_dropout_acts_on_the_embedding_and_behind_each_layer(model, inputs, tiny_config):
    """Against each layer run by itself, its outputs times its mask before the next one."""
    generator = torch.Generator().manual_seed(9)
    masks = make_network(tiny_config).draw_masks((0.4, 0.5, 0.0), (B, T), generator)
    found, _ = model(inputs, model.empty_state(B), masks)
    x = model.embedding(inputs) * masks.embedding
    for layer, mask in zip(model.layers, masks.layers, strict=True):
        x = layer(x)[0] * mask
    torch.testing.assert_close(found, model.decoder(x))
