"""What `info` says of a checkpoint: a table for people, and JSON."""

import numpy as np
from checkpoint_files import CONFIG, make_metadata, make_tensors, packed

from charrnn.checkpoints.checkpoint_info import FIELDS, format_checkpoint, inspect
from charrnn.ngram.counts import runs_of
from charrnn.ngram.model import build

FILES = [f"{letter}.txt" for letter in "abcdef"]


def make_file(tmp_path, **changes):
    """A best model of a run that has ended, with an n-gram memory of order 2."""
    memory = build(runs_of(np.array([0, 1, 2, 0, 1, 3, 4, 4], dtype=np.uint8)), 5, 2)
    metadata = {
        "kind": "model", "version": "0.1.0", "memory": memory.metadata(), "parent": "abcd",
        "config": make_metadata()["config"] | {"train": {"seed": 7, "lr": 0.01, "steps": None}},
        "corpus": {"digest": "ef01", "files": FILES, "num_files": 6, "num_train": 90, "num_val": 10},
        "metrics": {"val_loss": 2.0, "train_loss": 1.5, "chars_per_second": 9.0},
        "plan": [[0, 30]], "progress": {"step": 20},
        "end": {"step": 30, "epoch": 1.0, "val_loss": 2.0, "bits_per_char": 2.9,
                "chars_per_second": 9.0, "seconds": 3.0, "stop_reason": "early_stop"},
        "environment": {"device": "cpu", "precision": "fp32", "threads": 2, "processes": 1},
    }  # fmt: skip
    return packed(tmp_path, make_tensors() | memory.tensors(), **metadata | changes)


def test_a_checkpoint_is_a_name_and_a_value_a_line(tmp_path):
    path = make_file(tmp_path)
    info = inspect(path)
    lines = format_checkpoint(info)
    assert [line for line in lines if not line.startswith(("n-gram memory", "file digest"))] == [
        f"file             {path}, {path.stat().st_size:,} bytes",
        "kind             model, format 1, charrnn 0.1.0",
        f"network          gru 2×3, {CONFIG.num_parameters():,} parameters",
        "characters       5: abcé€",
        "text             a.txt, b.txt, c.txt, d.txt, e.txt; 90 + 10 held out",
        "text digest      ef01",
        "step             20",
        "ended            early_stop",
        "started from     abcd",
        "validation loss  2.000 nats, 2.885 bits per character",  # 2 / ln 2
        "training loss    1.500 nats, 2.164 bits per character",
        "settings         lr 0.01, seed 7",
        "made on          device cpu, precision fp32, processes 1, threads 2",
        f"state digest     {info.state_digest}",
    ]
    assert any(line.startswith("n-gram memory    contexts of up to 2, ") for line in lines)


def test_json_has_the_values_of_the_file_and_what_is_computed(tmp_path):
    path = make_file(tmp_path)
    found = inspect(path).as_json()
    assert tuple(found) == FIELDS
    assert found["corpus"]["files"] == FILES
    assert (found["end"]["stop_reason"], found["records"]) == ("early_stop", False)
    assert (found["file"], found["bytes"]) == (str(path), path.stat().st_size)
    assert found["num_parameters"] == CONFIG.num_parameters()


def test_what_a_file_lacks_has_no_line_and_controls_are_escaped(tmp_path):
    path = make_file(tmp_path, end=None, parent="\x1b[2J", environment=None, metrics=None)
    lines = format_checkpoint(inspect(path))
    assert "started from     \\x1b[2J" in lines
    names = {line[:16].strip() for line in lines}
    assert not names & {"ended", "made on", "validation loss", "training loss"}
