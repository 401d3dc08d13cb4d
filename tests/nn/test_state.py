"""The state of a network, as one value."""

import math

import numpy as np
import pytest
import torch

from charrnn.nn.architecture import ModelConfig
from charrnn.nn.state import State, part_shapes


def config_of(cell):
    return ModelConfig(cell=cell, vocab_size=11, embedding_size=5, hidden_size=7, num_layers=2)


def numbered(batch, first=0):
    """Parts h and c, (1, B, 2), whose values differ."""
    h = np.arange(first, first + 2 * batch, dtype=np.float32).reshape(1, batch, 2)
    return State({"h": h, "c": -h})


@pytest.mark.parametrize(("cell", "names"), [("lstm", ["h", "c"]), ("gru", ["h"]), ("rnn", ["h"])])
def test_the_parts_have_the_names_of_files_and_one_shape(cell, names):
    assert list(part_shapes(config_of(cell), 3)) == names
    assert set(part_shapes(config_of(cell), 3).values()) == {(2, 3, 7)}
    one = State.empty(config_of(cell)).arrays()
    assert {part.shape for part in one.values()} == {(2, 7)}
    assert {part.dtype for part in one.values()} == {np.dtype(np.float32)}


def test_no_part_shares_memory_with_another():
    parts = State.empty(config_of("lstm"), 1).arrays()
    parts["h"][:] = 1
    assert not parts["c"].any()


def test_arrays_are_the_way_out_and_in():
    state = numbered(3)
    again = State.from_arrays(state.arrays())
    assert all(again.arrays()[name] is part for name, part in state.arrays().items())
    assert state.num_streams == 3


def test_rows_of_a_batch_are_chosen_written_and_joined():
    state, other = numbered(3), numbered(2, first=100)
    assert state.rows([2, 0]).arrays()["h"].tolist() == [[[4, 5], [0, 1]]]
    state.put([2, 0], other)
    assert state.arrays()["h"].tolist() == [[[102, 103], [2, 3], [100, 101]]]
    assert state.arrays()["c"].tolist() == [[[-102, -103], [-2, -3], [-100, -101]]]
    both = State.cat([state, other]).arrays()["c"]
    assert both[0, :, 0].tolist() == [-102, -2, -100, -100, -102]


def test_tensors_are_joined_by_torch_and_copied_in_place():
    state, other = (numbered(2, n).map(torch.from_numpy) for n in (0, 10))
    both = State.cat([state, other], torch.cat)
    assert both.arrays()["h"][0, :, 0].tolist() == [0, 2, 10, 12]
    address = state.arrays()["h"].data_ptr()
    state.copy_(other)
    assert state.arrays()["h"].data_ptr() == address
    assert torch.equal(state.arrays()["c"], other.arrays()["c"])


def test_one_stream_is_repeated_as_a_batch():
    batch = State({"h": np.array([[1, 2], [3, 4]])}).repeated(3)
    assert batch.arrays()["h"].tolist() == [[[1, 2]] * 3, [[3, 4]] * 3]


@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy])
def test_only_fresh_streams_lose_their_state(make):
    parts = {"h": np.ones((2, 3, 7), np.float32), "ring": np.ones((2, 3, 4, 5), np.float32)}
    found = State(parts).map(make).clear(make(np.array([False, True, False]))).arrays()
    for name, per_stream in (("h", 2 * 7), ("ring", 2 * 4 * 5)):
        assert found[name].dtype == make(parts[name]).dtype
        assert found[name].sum() == 2 * per_stream
        assert found[name][:, 1].sum() == 0


def test_a_value_that_is_not_finite_is_not_carried_on():
    h = torch.tensor([[[1.5, math.nan], [math.inf, -math.inf]]], requires_grad=True)
    found = State({"h": h, "c": torch.full((1, 2, 2), -2.0)}).detach().arrays()
    assert found["h"].tolist() == [[[1.5, 0.0], [0.0, 0.0]]]
    assert found["c"].tolist() == [[[-2.0, -2.0], [-2.0, -2.0]]]
    assert not found["h"].requires_grad
