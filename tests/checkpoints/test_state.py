"""Training state that a full checkpoint holds: read back, or refused; its digest."""

import math

import numpy as np
import pytest
from sessions import Session

from charrnn.checkpoints.format import pack, unpack
from charrnn.checkpoints.metadata import Progress
from charrnn.checkpoints.run_folder import step_files
from charrnn.checkpoints.state import BestSoFar, load_snapshot, state_digest
from charrnn.core.errors import CheckpointError


@pytest.fixture
def full(text_file):
    """Return tensors and metadata of a full checkpoint after three steps."""
    session = Session(text_file)
    run = session.new_run()
    session.train(run, stop_at=3)
    return unpack(step_files(run.folder)[-1].read_bytes())


def test_the_digest_says_nothing_of_times_metrics_and_machine(full):
    tensors, metadata = full
    before = state_digest(tensors, metadata)
    for name in ("timing", "metrics", "environment", "validation", "sources", "sha256"):
        metadata[name] = "changed"
    metadata["config"]["train"] |= {"steps": 7, "threads": 5, "device": "cuda", "eval_every": 1}
    metadata["corpus"]["files"] = ["elsewhere.txt"]
    assert state_digest(tensors, metadata) == before
    metadata["config"]["train"]["dropout"] = 0.3
    assert state_digest(tensors, metadata) != before


def test_the_digest_does_not_change_when_a_setting_is_added(full):
    tensors, metadata = full
    before = state_digest(tensors, metadata)
    assert metadata["config"]["train"].pop("encoding") == "utf-8"  # as if it were of an older file
    del metadata["progress"]["halvings"]
    assert state_digest(tensors, metadata) == before


@pytest.mark.parametrize("name", ["raw/decoder.bias", "state/h", "model/decoder.bias"])
def test_the_digest_changes_with_one_bit_of_any_tensor(full, name):
    tensors, metadata = full
    changed = tensors[name].copy()
    changed.view(np.uint8).reshape(-1)[5] ^= 1
    assert state_digest(tensors | {name: changed}, metadata) != state_digest(tensors, metadata)
    turned = tensors[name].reshape(1, *tensors[name].shape)  # the same bytes in another shape
    assert state_digest(tensors | {name: turned}, metadata) != state_digest(tensors, metadata)


def test_counts_have_the_defaults_of_files_that_lack_them():
    assert Progress() == Progress(step=0, skipped=0, skipped_in_a_row=0, halvings=0)


@pytest.mark.parametrize(("skipped", "halvings"), [(3, 3), (0, 0)])
def test_a_checkpoint_may_have_skipped_all_its_steps(full, tmp_path, skipped, halvings):
    tensors, metadata = full
    metadata["progress"] |= {"skipped": skipped, "halvings": halvings}
    path = tmp_path / "sealed.safetensors"
    path.write_bytes(pack(tensors, metadata))
    progress = load_snapshot(path).state.progress
    assert (progress.step, progress.skipped, progress.halvings) == (3, skipped, halvings)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("progress", "halvings"), 2**34),
        (("progress", "halvings"), 4),
        (("progress", "skipped"), 99),
        (("corpus",), 5),
        (("corpus", "digest"), None),
        (("val_source",), "a\0b"),
        (("timing", "scored_per_second"), 1e-320),
        (("plan",), [[0, 30], [40, 30]]),
        (("plan",), [[0, 30], [20, 40], [10, 50]]),
        (("environment",), None),
        (("config", "train", "dropout"), 1.5),
        (("config", "train", "hidden_size"), 17),
    ],
)
def test_a_checkpoint_that_was_sealed_again_is_refused(full, tmp_path, place, value):
    tensors, metadata = full
    tree = metadata
    for key in place[:-1]:
        tree = tree[key]
    tree[place[-1]] = value
    path = tmp_path / "sealed.safetensors"
    path.write_bytes(pack(tensors, metadata))
    with pytest.raises(CheckpointError, match="sealed"):
        load_snapshot(path)


def test_the_best_is_the_lowest_and_never_a_nan():
    best = BestSoFar()
    assert [best.update(loss, i) for i, loss in enumerate([math.nan, 2.0, 2.5, 1.5, 1.5])] == [
        False, True, False, True, False,
    ]  # fmt: skip
    assert (best.loss, best.step, best.num_worse) == (1.5, 3, 1)
