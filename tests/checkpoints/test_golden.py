"""Files of every format version that was ever written are read, and trained on exactly."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from charrnn.checkpoints import model as checkpoint
from charrnn.checkpoints.format import FORMAT_VERSION, pack, unpack
from charrnn.checkpoints.model import load_model, read_model, upgrade
from charrnn.core.errors import CheckpointError
from charrnn.ngram.context import ContextTracker
from charrnn.sampling.api import stream

FOLDER = Path(__file__).parent.parent / "golden"
SPEC = importlib.util.spec_from_file_location("make_golden", FOLDER / "make_golden.py")
golden = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(golden)

VERSIONS = range(1, FORMAT_VERSION + 1)


FILES = sorted(FOLDER.glob("golden-v*.safetensors"))


def file_of(version):
    return FOLDER / f"golden-v{version}.safetensors"


def expected_of(path):
    return json.loads(path.with_suffix(".json").read_text("utf-8"))


@pytest.fixture(params=FILES, ids=[path.stem for path in FILES])
def path(request):
    return request.param


def test_every_version_has_a_golden_file_and_format_1_one_of_lines_and_one_of_words_too():
    assert {path.stem for path in FILES} == {
        *(file_of(version).stem for version in VERSIONS),
        "golden-v1-lines",
        "golden-v1-words",
    }


def test_a_golden_file_is_small_and_writes(path):
    assert path.stat().st_size < 100_000
    model = load_model(path)
    length = len("".join(stream(model, seed=1, length=50)))
    assert 0 < length <= 50 if model.records else length == 50


def test_a_golden_file_writes_the_same_texts_as_ever(path):
    assert golden.sample_texts(path) == expected_of(path)["texts"]


def test_the_golden_file_of_words_predicts_as_ever():
    """Its rule has powers, discounts, hashes, and what the words refine."""
    model = load_model(FOLDER / "golden-v1-words.safetensors")
    ids = model.vocab.encode("Who came at 10 o'clock? The miller said it was the piper's wind.")
    contexts, lengths = ContextTracker(model.memory, 1).read(ids[None, :-1])
    p = model.memory.predict(contexts[0], lengths[0]).p
    assert -np.log(p[np.arange(len(p)), ids[1:]]).mean() == pytest.approx(
        1.658883985656857, rel=1e-9
    )


def test_the_golden_file_of_lines_has_two_layers_and_an_n_gram_memory():
    model = load_model(FOLDER / "golden-v1-lines.safetensors")
    assert model.records
    assert (model.config.cell, model.config.num_layers) == ("gru", 2)
    assert (model.memory.order, model.memory.num_entries) == (4, 1247)


def test_a_golden_file_is_trained_on_for_twenty_exact_steps(path, tmp_path):
    expected = expected_of(path)
    found = golden.train_on(path, tmp_path)
    assert len(found["losses"]) == 20
    assert found["losses"] == pytest.approx(expected["losses"], rel=1e-4)
    digests = expected["state_digests"]  # by machine: other processors round otherwise
    assert found["state_digest"] == digests.get(found["machine"], found["state_digest"])


def newer(tensors, metadata):
    """A format 2 as an example: `records` became `kind_of_text`."""
    metadata = dict(metadata)
    metadata["kind_of_text"] = "records" if metadata.pop("records") else "stream"
    return tensors, metadata | {"format_version": 2}


def test_an_old_file_goes_through_every_migration_in_turn(monkeypatch):
    tensors, metadata = unpack(file_of(1).read_bytes())
    seen = []

    def step(version):
        def migrate(tensors, metadata):
            seen.append(version)
            return newer(tensors, metadata) if version == 1 else (tensors, metadata)

        return migrate

    monkeypatch.setattr(checkpoint, "FORMAT_VERSION", 3)
    monkeypatch.setattr(checkpoint, "MIGRATIONS", {1: step(1), 2: step(2)})
    _, migrated = upgrade(tensors, metadata)
    assert seen == [1, 2]
    assert migrated["kind_of_text"] == "stream"
    assert metadata["records"] is False  # a pure function changes nothing it was given


def test_every_older_version_has_a_migration():
    assert set(checkpoint.MIGRATIONS) == set(range(1, FORMAT_VERSION))


@pytest.mark.parametrize("version", [0, -1, 2, "1", True, None, 1.0])
def test_a_version_that_was_never_written_is_refused(tmp_path, version, monkeypatch):
    tensors, metadata = unpack(file_of(1).read_bytes())
    monkeypatch.setattr("charrnn.checkpoints.format.FORMAT_VERSION", version)
    path = tmp_path / "other.safetensors"
    path.write_bytes(pack(tensors, {**metadata}))
    with pytest.raises(CheckpointError, match="update charrnn"):
        read_model(path)
