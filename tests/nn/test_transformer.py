"""The transformer: its equations, its cache of keys and values, and NumPy against torch."""

import numpy as np
import pytest
import torch

from charrnn.checkpoints.metadata import parse_network
from charrnn.core.errors import CheckpointError
from charrnn.nn.architecture import PERIOD, ModelConfig, default_heads, shapes
from charrnn.nn.model import make_network
from charrnn.nn.network import initialise, load_weights
from charrnn.nn.numpy_engine import make_engine
from charrnn.nn.state import State, part_shapes
from charrnn.nn.transformer import normed

B, N, V = 3, 5, 11
CONFIG = ModelConfig(
    cell="transformer", vocab_size=V, embedding_size=12, hidden_size=12, num_layers=2, context=N,
    num_heads=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def weights():
    rng = np.random.default_rng(17)
    return {n: rng.normal(0, 0.4, s).astype(np.float32) for n, s in shapes(CONFIG).items()}


@pytest.fixture(scope="module")
def network(weights):
    model = make_network(CONFIG)
    load_weights(model, weights)
    return model.requires_grad_(False)


@pytest.fixture(scope="module")
def ids():
    return np.random.default_rng(23).integers(0, V, (B, 4 * N + 3))


def by_equations(weights, ids, looked=None):
    """Logits after each character in float64, from pairs of characters at most N - 1 apart.

    The angle of a pair of numbers is that of the distance: positions are not used at all. Weights in
    attention are added to `looked`: of each character in each block, (n, heads).
    """
    w = {name: array.astype(np.float64) for name, array in weights.items()}
    heads, D = CONFIG.num_heads, CONFIG.hidden_size // CONFIG.num_heads
    turns = np.rint(10_000.0 ** (-np.arange(D // 2) / (D // 2)) * PERIOD / (2 * np.pi))
    angles = 2 * np.pi * turns / PERIOD

    def norm(x):
        return x / np.sqrt((x * x).mean(-1, keepdims=True))

    def mixed(x):
        """The first half of the units is that of the character before."""
        before = np.concatenate([np.zeros_like(x[:1]), x[:-1]])
        return np.where(np.arange(CONFIG.hidden_size) < CONFIG.hidden_size // 2, before, x)

    def complex_pairs(x):
        pairs = x.reshape(heads, D // 2, 2)
        return pairs[..., 0] + 1j * pairs[..., 1]

    x = w["embedding.weight"][ids]
    for block in range(CONFIG.num_layers):
        name = f"layers.{block}."
        q, k, v = np.split(mixed(norm(x)) @ w[name + "qkv.weight"].T, 3, axis=-1)
        found = np.zeros_like(x)
        for t in range(len(ids)):
            seen = range(max(0, t - N + 1), t + 1)
            scores = np.array([
                (complex_pairs(q[t]) * complex_pairs(k[s]).conj() * np.exp(1j * angles * (t - s)))
                .sum(-1).real / np.sqrt(D)
                for s in seen
            ])  # fmt: skip
            shares = np.exp(scores) / np.exp(scores).sum(axis=0)
            if looked is not None:
                looked.append(shares)
            of_head = v[list(seen)].reshape(len(seen), heads, D)
            found[t] = (shares[..., None] * of_head).sum(axis=0).reshape(-1)
        x = x + found @ w[name + "output.weight"].T
        hidden = np.maximum(mixed(norm(x)) @ w[name + "up.weight"].T, 0) ** 2
        x = x + hidden @ w[name + "down.weight"].T
    return norm(x) @ w["decoder.weight"].T + w["decoder.bias"]


def read(network, ids, sizes, state=None):
    """Return the logits of windows of these sizes, one after the other, and the state."""
    logits, begin = [], 0
    state = state or network.empty_state(len(ids))
    for size in sizes:
        found, state = network(torch.from_numpy(ids[:, begin : begin + size]), state)
        logits.append(found)
        begin += size
    return torch.cat(logits, dim=1), state


def stepped(engine, ids, state=None):
    """Return the logits after each character, and the state; ids are (T,) or (B, T)."""
    state, logits = state or engine.empty_state(*ids.shape[:-1]), []
    for t in range(ids.shape[-1]):
        found, state = engine.step(ids[..., t], state)
        logits.append(found)
    return np.stack(logits, axis=-2), state


def test_logits_are_those_of_the_equations(network, weights, ids):
    """In one window, longer than the context, and in three."""
    expected = np.stack([by_equations(weights, row) for row in ids])
    for sizes in ([23], [9, 4, 10]):
        np.testing.assert_allclose(read(network, ids, sizes)[0], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("sizes", [[1] * 23, [2, 21], [6, 6, 6, 5]])
def test_pieces_of_a_text_equal_one_window(network, ids, sizes):
    whole, end = read(network, ids, [23])
    parts, last = read(network, ids, sizes)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-5)
    torch.testing.assert_close(last.arrays(), end.arrays(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch", [(), (B,)])
def test_numpy_equals_torch_long_after_the_ring_is_full(network, weights, ids, batch):
    """4 N + 3 characters: the ring of NumPy, 2 N rows, is copied several times."""
    whole, end = read(network, ids, [23])
    given = ids if batch else ids[0]
    logits, state = stepped(make_engine(CONFIG, weights), given)
    np.testing.assert_allclose(logits, whole if batch else whole[0], rtol=0, atol=1e-5)
    for name, part in state.arrays().items():
        expected = end.arrays()[name] if batch else end.arrays()[name][:, 0]
        np.testing.assert_allclose(part, expected, rtol=0, atol=1e-5)


def test_a_state_can_be_continued_twice(weights, ids):
    """Although a step adds a row to the memory of the state before it."""
    engine = make_engine(CONFIG, weights)
    _, begin = stepped(engine, ids[0, :8])
    kept = {name: part.copy() for name, part in begin.arrays().items()}
    first, _ = stepped(engine, ids[0, 8:], begin)
    other, _ = stepped(engine, ids[1, 8:], begin)
    again, _ = stepped(engine, ids[0, 8:], begin)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert all(np.array_equal(part, kept[name]) for name, part in begin.arrays().items())


def test_a_cleared_stream_reads_as_a_new_one_does_and_the_others_continue(network, ids):
    _, state = read(network, ids, [9])
    cleared = state.clear(torch.tensor([False, True, False]))
    logits, _ = read(network, ids[:, 9:], [14], cleared)
    fresh, _ = read(network, ids[1:2, 9:], [14])
    continued, _ = read(network, ids[::2, 9:], [14], state.rows([0, 2]))
    torch.testing.assert_close(logits[1:2], fresh, rtol=0, atol=1e-5)
    torch.testing.assert_close(logits[::2], continued, rtol=0, atol=1e-5)


def test_a_position_at_the_end_of_the_period_continues_as_any_other(network, weights, ids):
    """Rotations depend on distances alone: the same text from position 2 * PERIOD - 3 on."""
    _, state = read(network, ids, [9])
    turned = dict(state.arrays())
    logits, _ = read(network, ids[:, 9:], [14], state)
    turned["position"] = torch.full_like(turned["position"], 2.0 * PERIOD - 3)
    at = torch.arange(N) + 9 - N
    table = network.rotations
    for old, new in ((at, (at + 2 * PERIOD - 3 - 9) % PERIOD),):
        pairs = torch.view_as_complex(turned["keys"].reshape(2, B, N, 3, 2, 2))
        moved = pairs * (table[new] / table[old])[:, None]
        turned["keys"] = torch.view_as_real(moved).reshape(2, B, N, 12)
    later, end = read(network, ids[:, 9:], [14], State(turned))
    torch.testing.assert_close(later, logits, rtol=0, atol=1e-4)
    assert end.arrays()["position"].unique().tolist() == [PERIOD - 3 + 14]
    _, stepped_end = stepped(
        make_engine(CONFIG, weights), ids[:, 9:], State(turned).map(np.asarray)
    )
    assert np.unique(stepped_end.arrays()["position"]).tolist() == [PERIOD - 3 + 14]


def test_nothing_of_a_window_sees_a_later_character(network, ids):
    changed = ids.copy()
    changed[:, 12] = (changed[:, 12] + 1) % V
    before, after = read(network, ids, [23])[0], read(network, changed, [23])[0]
    assert torch.equal(before[:, :12], after[:, :12])
    assert not torch.equal(before[:, 12], after[:, 12])


def test_a_block_sees_no_further_than_the_context(network, ids):
    """Two blocks of context 5 see 13 characters: each adds 4, one before those, and one more."""
    changed = ids.copy()
    changed[:, 2] = (changed[:, 2] + 1) % V
    before, after = read(network, ids, [23])[0], read(network, changed, [23])[0]
    differs = (before != after).any(-1).any(0)
    assert differs.nonzero().flatten().tolist() == list(range(2, 15))


def test_the_gradient_of_the_norm_is_that_of_torch():
    x = torch.randn((4, 6, 12), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x.requires_grad_()
    assert torch.autograd.gradcheck(normed, (x,))


def test_no_gradient_and_nothing_infinite_flows_into_the_window_before(weights, ids):
    model = make_network(CONFIG)
    load_weights(model, weights)
    with torch.no_grad():
        model.layers[1].qkv.weight[30] = torch.inf  # a value of the second block
    logits, state = read(model, ids, [9])
    assert not logits.isfinite().all()
    for part in state.arrays().values():
        assert not part.requires_grad
        assert part.isfinite().all()


def test_before_training_blocks_add_nothing_and_norms_are_of_gpt_2():
    sizes = {"embedding_size": 60, "hidden_size": 60, "num_heads": 3, "context": 8}
    model = make_network(ModelConfig(cell="transformer", vocab_size=300, num_layers=2, **sizes))
    initialise(model, 0)
    for block in model.layers:
        assert not block.output.weight.any()
        assert not block.down.weight.any()
        assert block.qkv.weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert block.up.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert model.embedding.weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_each_character_has_dropout_of_its_own(network):
    generator = torch.Generator().manual_seed(7)
    masks = network.draw_masks((0.2, 0.5, 0.0), (97, 40), generator)
    assert masks.embedding.shape == (97, 40, 12)
    assert [mask.shape for mask in masks.layers] == [(97, 40, 12)] * 4  # two parts of two blocks
    assert masks.recurrent == ()
    for mask, rate in [(masks.embedding, 0.2), *((mask, 0.5) for mask in masks.layers)]:
        assert mask.unique().tolist() == pytest.approx([0, 1 / (1 - rate)])
        assert mask.mean().item() == pytest.approx(1, abs=0.02)
        assert not torch.equal(mask[:, 0], mask[:, 1])


def test_dropout_acts_on_what_each_part_of_a_block_adds(network, ids):
    """All of attention and perceptron dropped: logits are those of the embedding alone."""
    given, ones = torch.from_numpy(ids), torch.ones((B, 23, 12))
    masks = network.draw_masks((0.0, 0.5, 0.0), (B, 23), torch.Generator())
    nothing = type(masks)(None, (torch.zeros_like(ones),) * 4, ())
    logits, _ = network(given, network.empty_state(B), nothing)
    x = network.embedding(given)
    torch.testing.assert_close(logits, network.decoder(normed(x)))
    for part in range(4):
        others = [ones * (i == part) for i in range(4)]
        found, _ = network(given, network.empty_state(B), type(masks)(None, tuple(others), ()))
        assert not torch.equal(found, logits)


def test_attend_returns_where_each_head_of_each_block_looked(weights, ids):
    """The weights sum to 1, and are those of the equations; the step is the same."""
    engine, looked = make_engine(CONFIG, weights), []
    by_equations(weights, ids[0], looked)
    state = other = engine.empty_state()
    for t, symbol in enumerate(ids[0].tolist()):
        expected, other = engine.step(symbol, other)
        logits, state, found = engine.attend(symbol, state)
        assert np.array_equal(logits, expected)
        assert found.shape == (2, 3, min(t + 1, N))
        np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-6)
        for block in range(2):
            np.testing.assert_allclose(
                found[block], looked[block * len(ids[0]) + t].T, rtol=0, atol=1e-5
            )


def test_parts_of_the_state_have_streams_on_axis_1():
    assert part_shapes(CONFIG, 4) == {
        "keys": (2, 4, 5, 12), "values": (2, 4, 5, 12), "before": (2, 4, 2, 6), "position": (1, 4, 1),
    }  # fmt: skip
    assert State.empty(CONFIG).arrays()["position"].shape == (1, 1)


@pytest.mark.parametrize(
    ("width", "heads"), [(192, 3), (128, 2), (64, 1), (8, 1), (7, 1), (200, 2), (320, 5), (330, 5)]
)
def test_a_head_has_at_least_64_units_and_an_even_part_of_the_width(width, heads):
    assert default_heads(width) == heads


@pytest.mark.parametrize("missing", ["context", "num_heads"])
def test_a_file_of_a_transformer_names_context_and_heads(missing):
    assert parse_network(CONFIG.to_json()) == CONFIG
    with pytest.raises(CheckpointError, match="needs context and num_heads"):
        parse_network({n: v for n, v in CONFIG.to_json().items() if n != missing})


def test_parameters_and_operations_are_counted_by_hand():
    """Blocks of 12 H^2; scores and what they weigh are products with N numbers of H units each."""
    assert CONFIG.num_parameters() == 2 * (11 * 12) + 11 + 2 * 12 * 12 * 12
    assert CONFIG.flops_per_char() == 6 * (11 * 12 + 2 * (12 * 12 * 12 + 2 * 5 * 12))


@pytest.mark.slow
def test_over_10_000_characters_the_logits_are_those_of_torch():
    """4 blocks of 192: about 15 s of NumPy steps."""
    sizes = {"embedding_size": 192, "hidden_size": 192, "num_heads": 3, "context": 256}
    config = ModelConfig(cell="transformer", vocab_size=65, num_layers=4, **sizes)
    rng = np.random.default_rng(1)
    weights = {n: rng.normal(0, 0.1, s).astype(np.float32) for n, s in shapes(config).items()}
    model = make_network(config)
    load_weights(model, weights)
    ids = rng.integers(0, 65, (1, 10_000))
    expected, _ = read(model.requires_grad_(False), ids, [100] * 100)
    logits, _ = stepped(make_engine(config, weights), ids[0])
    np.testing.assert_allclose(logits, expected[0], rtol=0, atol=1e-4)
