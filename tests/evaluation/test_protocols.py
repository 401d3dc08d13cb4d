"""How a text is cut into batches for scoring."""

import numpy as np
import pytest

from charrnn.core.errors import InputError
from charrnn.data.batches import IGNORED
from charrnn.evaluation.protocols import COLD, STREAMED, cold, parse_protocol, streamed

V = 11


def text(length):
    return np.random.default_rng(1).integers(0, V, length).astype(np.uint8)


@pytest.mark.parametrize("length", [700, 5003, 40_007])
def test_every_prediction_is_scored_once_and_with_its_own_target(length):
    ids = text(length)
    scored = []
    for batch in streamed(ids):
        rows, places = np.nonzero(batch.targets != IGNORED)
        scored += zip(batch.inputs[rows, places], batch.targets[rows, places], strict=True)
    pairs = list(zip(ids[:-1].tolist(), ids[1:].tolist(), strict=True))
    assert sorted(scored) == sorted(pairs)


def test_the_published_split_has_435_cold_windows_of_256():
    assert COLD.num_predictions(111_540) == 435 * 256
    assert STREAMED.num_predictions(111_540) == 111_539


def test_a_part_of_the_cold_windows_is_spread_over_the_text():
    (batch,) = cold(np.arange(101, dtype=np.uint8), 10, 30)
    assert batch.inputs[:, 0].tolist() == [0, 30, 60]


@pytest.mark.parametrize("name", ["cold", "cold-0", "cold-1x", "warm", "cold-99999", "cold-๓"])
def test_protocols_that_do_not_exist(name):
    with pytest.raises(InputError, match="use streamed, or cold-W"):
        parse_protocol(name)
