"""The network of both directions: what it sees of a row, against its two networks run by hand."""

import pytest
import torch

from charrnn.data.batches import IGNORED
from charrnn.nn.architecture import ModelConfig, shapes
from charrnn.nn.model import make_network
from charrnn.nn.network import initialise

V, T = 7, 6
CELLS = {
    "lstm": {"cell": "lstm"},
    "gru": {"cell": "gru"},
    "rnn": {"cell": "rnn"},
    "attention": {"cell": "lstm", "attention": 4},
    "transformer": {"cell": "transformer", "context": 8, "num_heads": 2},
}


@pytest.fixture(params=CELLS)
def network(request):
    config = ModelConfig(
        vocab_size=V, embedding_size=8, hidden_size=8, num_layers=2, num_directions=2,
        **CELLS[request.param],
    )  # fmt: skip
    model = make_network(config)
    initialise(model, 3)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.empty_like(parameter).normal_(0, 0.4, generator=generator))
    return model.requires_grad_(False)


@pytest.fixture
def rows():
    """Inputs and targets: a whole row, one that ends early, one that has no targets."""
    text = torch.randint(0, V, (3, T + 1), generator=torch.Generator().manual_seed(7))
    inputs, targets = text[:, :-1], text[:, 1:].clone()
    targets[1, 3:] = IGNORED
    targets[2] = IGNORED
    return inputs, targets


def test_weights_are_those_of_two_networks(network):
    assert {n: tuple(p.shape) for n, p in network.named_parameters()} == shapes(network.config)
    half = network.config.half()
    assert network.config.num_parameters() == 2 * half.num_parameters()
    assert network.config.flops_per_char() == 2 * half.flops_per_char()


@pytest.mark.parametrize("is_time_major", [False, True])
def test_logits_are_the_sum_of_both_networks_at_what_each_has_read(network, rows, is_time_major):
    inputs, targets = rows
    network.is_time_major = is_time_major
    logits, state = network(network.given(inputs, targets), network.empty_state(3))
    for row, end in enumerate((T, 3)):
        for t in range(end):
            expected = network.before(
                inputs[row : row + 1, : t + 1], network.before.empty_state(1)
            )[0][0, -1]
            later = targets[row : row + 1, t + 1 : end].flip(1)
            if later.numel():
                expected = expected + network.after(later, network.after.empty_state(1))[0][0, -1]
            torch.testing.assert_close(logits[row, t], expected, rtol=1e-4, atol=1e-5)
    _, carried = network.before(inputs, network.before.empty_state(3))
    for name, part in state.arrays().items():
        torch.testing.assert_close(part, carried.arrays()[name])


def test_a_row_of_one_symbol_is_predicted_from_what_is_before(network, rows):
    inputs, targets = (each[:1, :1] for each in rows)
    logits, _ = network(network.given(inputs, targets), network.empty_state(1))
    torch.testing.assert_close(logits, network.before(inputs, network.before.empty_state(1))[0])


def test_each_direction_has_masks_of_its_own_that_are_cut_into_rows(network):
    def masks():
        return network.draw_masks((0.5, 0.5, 0.0), (4, T), torch.Generator().manual_seed(11))

    drawn, again = masks(), masks()
    assert torch.equal(drawn.before.embedding, again.before.embedding)
    assert torch.equal(drawn.after.embedding, again.after.embedding)
    before, after = (m.embedding[:, :1] for m in (drawn.before, drawn.after))
    assert not torch.equal(before, after)
    part = drawn.part(slice(1, 3))
    assert torch.equal(part.after.layers[-1], drawn.after.layers[-1][1:3])
    assert network.draw_masks((0.0, 0.0, 0.0), (4, T), torch.Generator()) is None
