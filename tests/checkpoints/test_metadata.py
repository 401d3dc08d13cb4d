"""Metadata of a checkpoint: typed where it is whole, None where it is not."""

from pathlib import Path

import pytest

from charrnn.checkpoints.metadata import Metadata, Metrics, Progress, parse_metadata, read_metadata
from charrnn.nn.architecture import ModelConfig

GOLDEN = Path(__file__).parents[1] / "golden" / "golden-v1.safetensors"

NETWORK = {"cell": "rnn", "vocab_size": 3, "embedding_size": 2, "hidden_size": 4, "num_layers": 1}
CORPUS = {"digest": "ab", "files": ["a.txt"], "num_files": 1, "num_train": 9, "num_val": 2}
END = {
    "step": 1, "epoch": 0.5, "val_loss": 2.5, "bits_per_char": 3.6, "chars_per_second": None,
    "seconds": 1.5, "stop_reason": "finished",
}  # fmt: skip


def test_a_full_checkpoint_of_the_first_format_is_read():
    found = read_metadata(GOLDEN)
    assert (found.kind, found.version, found.parent, found.end) == ("full", "0.1.0", None, None)
    assert (found.corpus.num_train, found.corpus.files) == (2349, ["golden.txt"])
    assert (found.progress, found.plan) == (Progress(step=10), [(0, 40)])
    assert (found.environment.threads, found.environment.processes) == (1, None)
    assert found.settings["lr"] == 0.01
    assert found.sources == ["golden.txt"]


def test_what_a_file_lacks_is_none_or_empty():
    assert parse_metadata({}) == Metadata()
    assert Metadata().metrics == Metrics(val_loss=None)


def test_a_part_with_more_than_is_known_is_read():
    raw = {"end": END | {"unit": "character"}, "shipped": {"loss": 2.5, "step": 1, "mood": 1}}
    found = parse_metadata(raw)
    assert (found.end.stop_reason, found.best.loss, found.best.step) == ("finished", 2.5, 1)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("version", "version", 5), ("sha256", "sha256", []), ("val_source", "val_source", {}),
        ("network", "config", {"model": NETWORK | {"num_layers": 10**12}}),
        ("network", "config", {"model": NETWORK | {"cell": []}}), ("network", "config", 5),
        ("network", "config", {"model": {"cell": "rnn"}}), ("corpus", "corpus", CORPUS | {"files": [5]}),
        ("corpus", "corpus", {"digest": "ab"}), ("progress", "progress", {"step": -1}),
        ("plan", "plan", [[0, 30], [20, 40], [10, 50]]), ("plan", "plan", [[1, 2]]), ("plan", "plan", 5),
        ("best", "shipped", {"loss": None, "step": 1}), ("best", "shipped", {"loss": 2.5, "step": "1"}),
        ("end", "end", END | {"stop_reason": "\x1b[2J"}), ("end", "end", END | {"step": True}),
        ("environment", "environment", {"threads": 1}),
    ],
)  # fmt: skip
def test_a_malformed_part_is_none(name, key, value):
    assert getattr(parse_metadata({key: value}), name) is None


@pytest.mark.parametrize("sources", [None, 5, [5], ["a", None], {"a": 1}])
def test_malformed_sources_are_empty(sources):
    assert parse_metadata({"sources": sources}).sources == []


def test_a_network_is_typed():
    config = parse_metadata({"config": {"model": NETWORK, "train": "x"}})
    assert (config.network, config.settings) == (ModelConfig(**NETWORK), {})
