"""Numbers that JSON gave back: of the right kind, or refused."""

from dataclasses import asdict
from pathlib import Path

import pytest

from charrnn.checkpoints.metadata import End, Progress
from charrnn.checkpoints.parsing import parse_dataclass as from_json
from charrnn.checkpoints.state import Timing
from charrnn.core.config import TrainConfig
from charrnn.core.errors import CheckpointError, NewerFormatError


@pytest.mark.parametrize("value", [Progress(step=7, skipped=2), Timing(seconds=1.5, save_every=3)])
def test_what_was_written_comes_back(value):
    assert from_json(type(value), asdict(value), "x") == value


def test_settings_come_back_with_their_types():
    config = TrainConfig(steps=5, lr=1.0, val_file=Path("a.txt"), max_time=60.0)
    values = asdict(config) | {"val_file": "a.txt", "lr": 1, "max_time": 60}
    found = from_json(TrainConfig, values, "settings")
    assert found == config
    assert type(found.lr) is float


def test_what_an_old_file_lacks_has_its_default():
    assert from_json(Progress, {"step": 3}, "x") == Progress(step=3)


def test_what_a_new_file_has_more_is_told_as_newer():
    with pytest.raises(
        NewerFormatError, match="its progress has an unknown 'mood'; update charrnn"
    ):
        from_json(Progress, {"step": 3, "mood": 1}, "progress")


@pytest.mark.parametrize(
    "values",
    [
        {"step": -1}, {"step": 2**63}, {"step": 1.0}, {"step": True}, {"step": "1"}, {"step": None},
        {"step": [1]}, {"loss_scale": -1.0}, {"loss_scale": True}, {"loss_scale": 10**400}, [], None,
        7, "step",
    ],
)  # fmt: skip
def test_what_is_no_count_is_refused(values):
    with pytest.raises(CheckpointError, match="its progress"):
        from_json(Progress, values, "progress")


def test_settings_that_no_command_line_takes_are_refused():
    with pytest.raises(CheckpointError, match="its settings: --dropout: must be in"):
        from_json(TrainConfig, {"dropout": 1.5}, "settings")


def test_a_run_ends_for_a_reason():
    values = {
        "step": 1, "epoch": 0.5, "val_loss": None, "bits_per_char": None, "chars_per_second": 1e4,
        "seconds": 3.0, "stop_reason": "finished",
    }  # fmt: skip
    assert from_json(End, values, "end").step == 1
    with pytest.raises(CheckpointError):
        from_json(End, values | {"stop_reason": "\x1b[2J"}, "end")


@pytest.mark.parametrize("value", [{}, {"a": 1}, [1], ["a"], "1", True, None, -1.0, 1e-13, 2.0**63])
def test_a_number_is_no_other_thing(value):
    with pytest.raises(CheckpointError, match="its timing: seconds cannot be"):
        from_json(Timing, {"seconds": value}, "timing")
    assert from_json(Timing, {"seconds": 1e-12}, "timing").seconds == 1e-12
