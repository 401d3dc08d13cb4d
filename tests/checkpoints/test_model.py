"""What a checkpoint's tensors and JSON object make: a model that is valid, or an error."""

import json
import math

import numpy as np
import pytest
from checkpoint_files import (
    CONFIG,
    file_of,
    floats,
    make_metadata,
    make_tensors,
    make_weights,
    packed,
    parts,
    seal,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from ngrams import distribution

from charrnn.checkpoints.format import unpack
from charrnn.checkpoints.model import check_tensors, load_model, read_model, upgrade
from charrnn.core.config import TrainConfig
from charrnn.core.errors import CheckpointError
from charrnn.data.reading import Reading
from charrnn.ngram.counts import runs_of
from charrnn.ngram.model import build
from charrnn.nn.architecture import ModelConfig, shapes
from charrnn.sampling.api import stream


def test_a_model_comes_back_with_all_it_needs(tmp_path):
    model, others = read_model(packed(tmp_path, make_tensors() | {"raw/a": floats([8])}))
    assert model.config == CONFIG
    assert model.weights.keys() == make_weights().keys()
    for name, array in make_weights().items():
        np.testing.assert_array_equal(model.weights[name], array)
    assert model.vocab.decode([0, 3, 4]) == "aé€"
    assert (model.records, model.starts) == (False, {0: 7, 3: 2})
    assert model.metadata.metrics.val_loss == 1.25
    assert list(others) == ["raw/a"]


def test_a_byte_model_comes_back(tmp_path):
    config = ModelConfig(cell="rnn", vocab_size=256, embedding_size=2, hidden_size=3, num_layers=1)
    tensors = {f"model/{n}": np.zeros(s, np.float32) for n, s in shapes(config).items()}
    fields = {"cell": "rnn", "vocab_size": 256, "embedding_size": 2, "hidden_size": 3,
              "num_layers": 1}  # fmt: skip
    path = packed(tmp_path, tensors, config={"model": fields}, vocabulary="bytes", starts=[])
    assert load_model(path).vocab.raw([0, 255]) == b"\x00\xff"


@pytest.mark.parametrize(
    ("records", "encoding", "expected"),
    [
        (False, None, Reading(encoding="latin-1", newlines="lf")),
        (False, "cp1252", Reading(encoding="cp1252", newlines="lf")),
        (True, None, Reading(encoding="latin-1", newlines="lf", one_line=True)),
    ],
)
def test_files_are_read_as_the_training_text_unless_an_encoding_is_given(
    tmp_path, records, encoding, expected
):
    config = make_metadata()["config"] | {"train": {"encoding": "latin-1", "newlines": "keep"}}
    model = load_model(packed(tmp_path, config=config, records=records))
    assert model.reading(encoding) == expected


def test_a_setting_that_is_missing_or_of_another_type_has_its_default(tmp_path):
    config = make_metadata()["config"] | {"train": {"lr": "fast", "seed": 7}}
    model = load_model(packed(tmp_path, config=config))
    usual = TrainConfig()
    assert [model.setting(name) for name in ("seed", "lr", "dropout")] == [
        7,
        usual.lr,
        usual.dropout,
    ]


def test_a_loaded_model_writes(tmp_path):
    model = load_model(packed(tmp_path))
    assert set(stream(model, seed=1, length=11)) <= set("abcé€")


def test_a_newer_format_asks_for_an_update():
    header, body = parts()
    metadata = make_metadata(version="2.0.0", format_version=2)
    with pytest.raises(CheckpointError, match=r"charrnn 2\.0\.0 in format 2.*update charrnn"):
        upgrade(*unpack(seal(header, metadata, body)))


# Files that fit their hash and say something else than they should.


def test_a_missing_an_extra_and_a_wrong_tensor_are_named(tmp_path):
    name = "model/layers.1.bias_hh_l0"
    without = {n: t for n, t in make_tensors().items() if n != name}
    with pytest.raises(CheckpointError, match=r"lacks tensor 'layers\.1\.bias_hh_l0'"):
        load_model(packed(tmp_path, without))
    with pytest.raises(CheckpointError, match="unknown tensor 'x'"):
        load_model(packed(tmp_path, make_tensors() | {"model/x": floats([1])}))
    with pytest.raises(CheckpointError, match=r"bias_hh_l0' is float32 \(8,\), float32 \(9,\)"):
        load_model(packed(tmp_path, make_tensors() | {name: np.zeros(8, np.float32)}))
    with pytest.raises(CheckpointError, match=r"bias_hh_l0' is int32 \(9,\)"):
        load_model(packed(tmp_path, make_tensors() | {name: np.zeros(9, np.int32)}))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(value):
    weights = make_weights()
    weights["decoder.weight"][3, 1] = value
    with pytest.raises(CheckpointError, match=r"'decoder\.weight'.*not finite"):
        check_tensors(weights, shapes(CONFIG))


@pytest.mark.parametrize("value", [2e6, -2e6])
def test_weights_of_an_absurd_size_are_refused(tmp_path, value):
    tensors = make_tensors()
    tensors["model/decoder.weight"][3, 1] = value
    with pytest.raises(CheckpointError, match=r"'decoder\.weight'.*too large"):
        load_model(packed(tmp_path, tensors))


@pytest.mark.parametrize(
    "changes",
    [
        {"vocabulary": [97, 98, 99, 233]},
        {"vocabulary": [98, 97, 99, 233, 8364]},
        {"vocabulary": [97, 98, 99, 233, 0xD800]},
        {"vocabulary": "abcde"},
        {"vocabulary": None},
        {"config": {}},
        {"config": {"model": {"cell": "gru"}}},
        {"config": {"model": CONFIG.cell}},
        {"starts": []},
        {"starts": [[0, 0]]},
        {"starts": [[5, 1]]},
        {"starts": [[0, -7]]},
        {"starts": [[0, 10**400]]},
        {"starts": [[0, 1e999]]},
        {"starts": [[0]]},
        {"starts": {"0": 7}},
        {"starts": 7},
    ],
)
def test_metadata_that_make_no_model_are_refused(tmp_path, changes):
    header, body = parts()
    with pytest.raises(CheckpointError, match=r"^.*model\.safetensors: "):
        load_model(file_of(tmp_path, seal(header, make_metadata(**changes), body)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cell", "mamba"), ("cell", ["gru"]), ("hidden_size", 0), ("hidden_size", 2**40),
        ("hidden_size", True), ("hidden_size", 3.0), ("num_layers", -1), ("num_layers", None),
        ("vocab_size", 6), ("embedding_size", "2"), ("surprise", 1),
        ("hidden_size", json.loads("[" * 700 + "]" * 700)),
    ],
)  # fmt: skip
def test_a_network_of_impossible_size_is_refused(tmp_path, name, value):
    header, body = parts()
    metadata = make_metadata()
    metadata["config"]["model"][name] = value
    with pytest.raises(CheckpointError):
        load_model(file_of(tmp_path, seal(header, metadata, body)))


# Anything at all, with a hash that fits.


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-2, 9) | st.floats() | st.text()
    | st.sampled_from([2**31, 2**62, 2**80, 10**400, math.inf, "bytes", "lstm", "F32", "I64"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=7,
)  # fmt: skip


def places(tree, path=()):
    """Yield the path of every node of a JSON tree, the root left out."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def replace_at(tree, path, value):
    for key in path[:-1]:
        tree = tree[key]
    tree[path[-1]] = value


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def assert_valid_or_refused(folder, data):
    try:
        model = load_model(file_of(folder, data))
    except CheckpointError:
        return
    assert {n: a.shape for n, a in model.weights.items()} == shapes(model.config)
    assert all(np.isfinite(a).all() and a.dtype == np.float32 for a in model.weights.values())
    assert len("".join(stream(model, seed=1, length=3))) == 3


@given(st.sampled_from(list(places(make_metadata()))), any_json)
@settings(deadline=None)
def test_any_metadata_makes_a_valid_model_or_a_checkpoint_error(fuzzed, path, value):
    (header, body), metadata = parts(), make_metadata()
    replace_at(metadata, path, value)
    assert_valid_or_refused(fuzzed, seal(header, metadata, body))


@given(st.sampled_from(list(places(parts()[0]))), any_json)
@settings(deadline=None)
def test_any_header_makes_a_valid_model_or_a_checkpoint_error(fuzzed, path, value):
    header, body = parts()
    replace_at(header, path, value)
    assert_valid_or_refused(fuzzed, seal(header, make_metadata(), body))


@given(any_json, any_json)
@settings(deadline=None)
def test_any_header_and_metadata_make_a_checkpoint_error(fuzzed, header, metadata):
    content = json.dumps(
        (header if isinstance(header, dict) else {}) | {"__metadata__": {"charrnn": metadata}}
    ).encode()
    with pytest.raises(CheckpointError):
        load_model(file_of(fuzzed, len(content).to_bytes(8, "little") + content))


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_make_a_checkpoint_error(fuzzed, data):
    with pytest.raises(CheckpointError):
        load_model(file_of(fuzzed, data))


# The memory.


def memory_parts(**changes):
    """Tensors and metadata of a model with the memory of a short text."""
    memory = build(runs_of(np.array([0, 1, 2, 0, 1, 3, 4, 4], dtype=np.uint8)), 5, 2)
    return make_tensors() | memory.tensors(), {"memory": memory.metadata() | changes}


def test_a_memory_comes_back(tmp_path):
    tensors, metadata = memory_parts(weight=0.25)
    model, others = read_model(packed(tmp_path, tensors, **metadata))
    assert others == {}
    assert model.memory.weight == 0.25
    expected = build(runs_of(np.array([0, 1, 2, 0, 1, 3, 4, 4], dtype=np.uint8)), 5, 2)
    for context in ([], [0], [0, 1], [4, 4]):
        assert np.array_equal(distribution(model.memory, context), distribution(expected, context))


def test_a_model_without_memory_has_none(tmp_path):
    assert load_model(packed(tmp_path)).memory is None
    assert load_model(packed(tmp_path, memory=None)).memory is None


def u64(*values):
    return np.array(values, dtype=np.uint64)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("memory/0/keys", u64(0, 1, 3, 2, 4)),  # out of order
        ("memory/0/keys", u64(0, 1, 2, 3, 5)),  # V = 5: no such symbol
        ("memory/0/keys", u64(0, 1, 2, 3, 3)),
        ("memory/0/keys", u64(0, 1, 2, 3)),
        ("memory/0/keys", np.array([0, 1, 2, 3, 4], dtype=np.int64)),
        ("memory/0/keys", u64()),
        ("memory/0/counts", np.array([1, 1, 0, 1, 1], dtype=np.int32)),
        ("memory/0/counts", np.array([1, 1, -1, 1, 1], dtype=np.int32)),
        ("memory/0/counts", np.array([1, 1, 1, 1, 1], dtype=np.int64)),
        ("memory/2/keys", u64(*[1 << 60] * 6)),
        ("memory/3/keys", u64(1)),
        ("memory/x", u64(1)),
    ],
)
def test_a_memory_that_holds_no_counts_is_refused(tmp_path, name, array):
    tensors, metadata = memory_parts()
    with pytest.raises(CheckpointError, match="its n-gram memory"):
        load_model(packed(tmp_path, tensors | {name: array}, **metadata))


@pytest.mark.parametrize("keys", [(0, 3, 1, 2, 4), (0, 1, 2, 4, 3), (0, 2, 2, 3, 4)])
def test_keys_ascend_across_the_pieces_they_are_read_in(tmp_path, monkeypatch, keys):
    tensors, metadata = memory_parts()
    monkeypatch.setattr("charrnn.checkpoints.model.FINITE_CHUNK", 2)
    load_model(packed(tmp_path, tensors, **metadata))
    with pytest.raises(CheckpointError, match="no valid counts of order 0"):
        load_model(packed(tmp_path, tensors | {"memory/0/keys": u64(*keys)}, **metadata))


@pytest.mark.parametrize(
    "changes",
    [
        {"order": 1}, {"order": 3}, {"order": -1}, {"order": 2**40}, {"weight": 1.5},
        {"weight": True}, {"weight": 1}, {"weight": "0.4"}, {"bits": 2}, {"discounts": [0.5]},
        {"discounts": [0.5, [0.8, 2.0, 1.2], 0.5]}, {"discounts": [0.5, [0.8, 1.1, 3.0], 0.5]},
        {"discounts": [1.0, 0.5, 0.5]}, {"discounts": [0.0, 0.5, 0.5]}, {"entries": []},
    ],
)  # fmt: skip
def test_a_memory_that_is_described_otherwise_is_refused(tmp_path, changes):
    tensors, metadata = memory_parts(**changes)
    with pytest.raises(CheckpointError, match="its n-gram memory"):
        load_model(packed(tmp_path, tensors, **metadata))


def test_a_memory_without_description_is_refused(tmp_path):
    tensors, _ = memory_parts()
    with pytest.raises(CheckpointError, match="its n-gram memory has no description"):
        load_model(packed(tmp_path, tensors))
