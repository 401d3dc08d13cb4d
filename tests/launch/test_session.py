"""The command that a run proposes at its end."""

import io
from pathlib import Path

import pytest

from charrnn.checkpoints.run_folder import Run
from charrnn.core.console import Console
from charrnn.core.events import Finished
from charrnn.launch.prepare import SettingSources, prepare
from charrnn.launch.session import ShownRun


def ended(**changes):
    values = {
        "step": 9, "epoch": 2.0, "stop_reason": "finished", "unit": "character", "val_loss": 1.5,
        "bits_per_char": 2.2, "scores": (), "advice": "", "train_loss": 1.4,
        "chars_per_second": 100.0, "seconds": 600.0, "fit": "underfitting",
    }  # fmt: skip
    return Finished(**values | changes)


@pytest.fixture
def pieces():
    """The value of --val-pieces."""
    return 1


@pytest.fixture
def budget():
    """The settings that limit the run."""
    return {}


@pytest.fixture
def next_command(text_file, tmp_path, monkeypatch, pieces, budget):
    """A function that returns the command after an event; the text lies in the working folder."""
    monkeypatch.chdir(text_file.parent)
    Path("checkpoints/king").mkdir(parents=True)
    flags = {
        "device": "cpu",
        "size": "tiny",
        "dropout": 0.1,
        "val_frac": 0.2,
        "val_pieces": pieces,
    } | budget
    ready = prepare([text_file], SettingSources(flags, {}, {}))

    def command(folder="checkpoints/king", **changes):
        run = Run(Path(folder))
        found = ShownRun(run, ready, Console(0, io.StringIO())).next_command(ended(**changes))
        run.close()
        return found.replace(text_file.name, "TEXT")

    return command


def test_a_longer_run_reads_and_splits_the_text_in_the_same_way(next_command, tmp_path):
    """Three times 600 seconds are 30 minutes."""
    assert next_command() == "charrnn train TEXT --val-frac 0.2 --max-time 30m"
    assert next_command(seconds=5.0) == "charrnn train TEXT --val-frac 0.2 --max-time 5m"
    folder = tmp_path / "runs" / "king"
    folder.mkdir(parents=True)
    assert f"--checkpoints {folder.parent}" in next_command(folder)


@pytest.mark.parametrize("pieces", [3])
def test_a_longer_run_holds_out_the_same_pieces(next_command):
    assert next_command() == "charrnn train TEXT --val-frac 0.2 --val-pieces 3 --max-time 30m"


@pytest.mark.parametrize(
    ("budget", "longer", "as_long"),
    [
        ({"steps": 500}, "--steps 1500", "--steps 500"),
        ({"epochs": 2.5}, "--epochs 7.5", "--epochs 2.5"),
        ({"max_time": 60.0}, "--max-time 30m", "--max-time 10m"),
        ({"steps": 500, "max_time": 60.0}, "--steps 1500", "--steps 500"),
    ],
)
def test_the_next_run_has_a_budget_of_the_same_kind(next_command, longer, as_long):
    """The run took 600 seconds."""
    assert next_command() == f"charrnn train TEXT --val-frac 0.2 {longer}"
    assert f"--val-frac 0.2 {as_long} --dropout" in next_command(fit="overfitting")


def test_a_network_that_memorises_gets_more_dropout(next_command):
    command = next_command(fit="overfitting")
    assert command == "charrnn train TEXT --val-frac 0.2 --max-time 10m --dropout 0.3"


def test_a_run_that_held_out_nothing_is_told_how(next_command):
    assert next_command(val_loss=None, fit="").endswith("--max-time 10m --val-frac 0.1")


@pytest.mark.parametrize(
    "changes",
    [{"fit": "random"}, {"fit": "known"}, {"fit": ""}, {"stop_reason": "signal"}],
)
def test_no_training_is_proposed_where_it_would_not_help(next_command, changes):
    assert next_command(**changes) == ""
