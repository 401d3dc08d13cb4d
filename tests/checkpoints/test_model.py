"""The file format: what is written comes back, and nothing else is ever taken for it."""

import hashlib
import json
import math
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from charrnn.checkpoints.format import FORMAT_VERSION, pack, read_json, unpack
from charrnn.checkpoints.model import check_tensors, load_model, read_model, upgrade
from charrnn.core.config import ModelConfig, shapes
from charrnn.core.errors import CheckpointError, InputError
from charrnn.ngram.context import distribution
from charrnn.ngram.counts import runs_of
from charrnn.ngram.model import build
from charrnn.sampling.sampler import stream

CONFIG = ModelConfig(cell="gru", vocab_size=5, embedding_size=2, hidden_size=3, num_layers=2)


def floats(values):
    return np.array(values, dtype=np.float32)


def make_weights():
    rng = np.random.default_rng(43)
    return {n: rng.normal(0, 0.5, s).astype(np.float32) for n, s in shapes(CONFIG).items()}


def make_tensors():
    return {f"model/{name}": array for name, array in make_weights().items()}


def make_facts(**changes):
    """A text without newlines, so that `starts` is used."""
    facts = {
        "version": "0.1.0",
        "config": {
            "model": {
                "cell": "gru", "vocab_size": 5, "embedding_size": 2, "hidden_size": 3,
                "num_layers": 2,
            }
        },
        "vocabulary": [97, 98, 99, 233, 8364],
        "records": False,
        "starts": [[0, 7], [3, 2]],
        "metrics": {"val_loss": 1.25},
    }  # fmt: skip
    return facts | changes


def file_of(tmp_path, data):
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    return path


def packed(tmp_path, tensors=None, **changes):
    return file_of(tmp_path, pack(tensors or make_tensors(), make_facts(**changes)))


def seal(header, facts, body=b""):
    """Write a file as the format's description says, without the library; any header will do."""
    zeros = b"0" * 64
    text = json.dumps({"format_version": FORMAT_VERSION} | facts | {"sha256": zeros.decode()},
                      separators=(",", ":"))  # fmt: skip
    content = json.dumps({"__metadata__": {"charrnn": text}} | header).encode()
    data = len(content).to_bytes(8, "little") + content + body
    before, _, after = data.rpartition(zeros)
    return before + hashlib.sha256(data).hexdigest().encode() + after


def parts():
    """Return a good file's header and body, for others to spoil."""
    header, body = {}, b""
    for name, array in make_tensors().items():
        end = len(body) + array.nbytes
        header[name] = {
            "dtype": "F32", "shape": list(array.shape), "data_offsets": [len(body), end]
        }  # fmt: skip
        body += array.tobytes()
    return header, body


# Round trips.


def test_what_is_packed_comes_back():
    tensors = {
        "model/a": floats([[1, 2, 3], [4, 5, 6]]),
        "memory/1/keys": np.array([2**64 - 1, 5], dtype=np.uint64),
        "memory/1/counts": np.array([[[7]]], dtype=np.int32),
        "state/step": np.array([-(2**63)], dtype=np.int64),
        "state/mask": np.array([0, 255, 3], dtype=np.uint8),
    }
    found, facts = unpack(pack(tensors, {"x": [1, 'é\u2028"\\']}))
    assert found.keys() == tensors.keys()
    for name, array in tensors.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)
    assert facts["x"] == [1, 'é\u2028"\\']
    assert facts["format_version"] == 1


def test_equal_content_makes_equal_files_whatever_its_order():
    tensors, facts = make_tensors(), make_facts()
    turned = dict(reversed(tensors.items())), dict(reversed(facts.items()))
    assert pack(*turned) == pack(tensors, facts)


def test_an_array_that_is_not_contiguous_is_packed_by_its_values():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert pack({"a": array.T}, {}) == pack({"a": array.T.copy()}, {})


def test_tensors_are_views_into_the_files_bytes():
    data = pack(make_tensors(), make_facts())
    whole = np.frombuffer(data, dtype=np.uint8)
    assert all(np.shares_memory(array, whole) for array in unpack(data)[0].values())


def test_tensors_without_elements_come_back():
    tensors = {name: np.zeros(shape, np.float32) for name, shape in
               {"a": (0, 5), "b": (2, 3), "c": (0,), "d": (7,)}.items()}  # fmt: skip
    found, _ = unpack(pack(tensors, {}))
    assert {name: array.shape for name, array in found.items()} == {
        "a": (0, 5), "b": (2, 3), "c": (0,), "d": (7,)
    }  # fmt: skip


def test_a_file_may_be_written_by_hand_after_the_description():
    header, body = parts()
    tensors, facts = unpack(seal(header, make_facts(), body))
    np.testing.assert_array_equal(tensors["model/decoder.bias"], make_weights()["decoder.bias"])
    assert facts["vocabulary"] == [97, 98, 99, 233, 8364]


def test_the_hash_is_that_of_the_file_with_zeros_in_its_place():
    data = pack(make_tensors(), make_facts())
    digest = unpack(data)[1]["sha256"]
    blank = data.replace(digest.encode(), b"0" * 64)
    assert hashlib.sha256(blank).hexdigest() == digest


def test_tensors_have_one_metadata_key():
    data = pack(make_tensors(), make_facts())
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert list(header["__metadata__"]) == ["charrnn"]


def test_facts_may_hold_what_looks_like_the_hash():
    facts = make_facts(corpus={"files": ['"sha256":"', '\\"sha256\\":\\"' + "0" * 64]})
    assert unpack(pack({}, facts))[1]["corpus"] == facts["corpus"]


def test_a_second_key_of_the_hashs_name_is_refused_before_it_is_written():
    with pytest.raises(AssertionError):
        pack({}, {"corpus": {"sha256": "1234"}})


def test_a_value_that_json_does_not_know_is_refused_before_it_is_written():
    with pytest.raises(ValueError, match="not JSON compliant"):
        pack({}, {"val_loss": float("nan")})


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


def test_a_loaded_model_writes(tmp_path):
    model = load_model(packed(tmp_path))
    assert set(stream(model, seed=1, length=11)) <= set("abcé€")


@pytest.mark.parametrize("padding", range(0, 256, 8))
def test_a_header_of_any_size_is_read(tmp_path, padding):
    # Its first byte is the header's size, and once that of a pickle.
    assert load_model(packed(tmp_path, note="x" * padding)).config == CONFIG


# Damage.


def test_every_truncation_is_noticed(tmp_path):
    data = pack(make_tensors(), make_facts())
    for size in range(len(data)):
        with pytest.raises(CheckpointError):
            load_model(file_of(tmp_path, data[:size]))


def test_every_flipped_bit_is_noticed():
    data = pack({"a": floats([[1, 2, 3], [4, 5, 6]])}, {"x": 1})
    for place in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            with pytest.raises(CheckpointError):
                unpack(bytes(flipped))


def test_what_is_appended_is_noticed():
    with pytest.raises(CheckpointError):
        unpack(pack(make_tensors(), make_facts()) + b"\0")


def test_a_damaged_file_is_told_as_damaged_and_named(tmp_path):
    data = bytearray(pack(make_tensors(), make_facts()))
    data[-1] ^= 1
    with pytest.raises(CheckpointError, match=r"model\.safetensors: damaged"):
        load_model(file_of(tmp_path, bytes(data)))


# Foreign files.


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04" + bytes(60),
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",  # torch before 1.6
        b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94K\x01s.",
    ],
)
def test_a_pickle_is_refused_as_one(tmp_path, data):
    with pytest.raises(CheckpointError, match="pickle"):
        load_model(file_of(tmp_path, data))


def test_an_empty_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="an empty file"):
        load_model(file_of(tmp_path, b""))


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_somebody_elses_safetensors_file_is_refused(tmp_path, metadata):
    data = save({"a": floats([1, 2, 3])}, metadata=metadata)
    with pytest.raises(CheckpointError, match="not one of charrnn's"):
        load_model(file_of(tmp_path, data))


@pytest.mark.parametrize(
    "header", [b"{", b"\xff\xfe", b"[]", b"7", b"null", b"[" * 100_000, b"9" * 10_000, b""]
)
def test_a_header_that_is_no_json_object_is_refused(header):
    with pytest.raises(CheckpointError):
        unpack(len(header).to_bytes(8, "little") + header)


def test_a_text_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="no model: that is"):
        load_model(file_of(tmp_path, b"Long live the king!\n"))


def test_a_newer_format_asks_for_an_update():
    header, body = parts()
    facts = make_facts(version="2.0.0", format_version=2)
    with pytest.raises(CheckpointError, match=r"charrnn 2\.0\.0 in format 2.*update charrnn"):
        upgrade(*unpack(seal(header, facts, body)))


def test_facts_are_read_without_the_tensors_or_a_look_at_the_hash(tmp_path):
    path = packed(tmp_path, {"model/x": np.zeros(16 << 20, np.uint8)})
    facts = unpack(path.read_bytes())[1]
    with path.open("r+b") as file:
        file.seek(-5, 2)
        file.write(b"other")
    tracemalloc.start()
    assert read_json(path) == facts
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "data",
    [b"", b"PK\x03\x04 pickled", b"\xff" * 99, b"\x02\0\0\0\0\0\0\0{}", b"\x02\0\0\0\0\0\0\0[]"],
)
def test_facts_of_what_is_no_checkpoint_are_refused_by_its_name(tmp_path, data):
    with pytest.raises(
        CheckpointError, match=r"^\S+/model\.safetensors: (?!.*model\.safetensors:)"
    ):
        read_json(file_of(tmp_path, data))


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="nothing.safetensors: No such file"):
        load_model(tmp_path / "nothing.safetensors")


def test_a_folder_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="not a file"):
        load_model(tmp_path)


def test_a_file_without_end_is_an_input_error():
    with pytest.raises(InputError, match="not a file"):
        load_model(Path("/dev/zero"))


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


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2**62], "data_offsets": [0, 2**64]},
        {"dtype": "F32", "shape": [2**62, 0], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [2**80, 0], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [2**40, 2**40, 0], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 24]},
        {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 24]},
        {"dtype": "F32", "shape": [1, 1, 1, 1, 6], "data_offsets": [0, 24]},
        {"dtype": "F32", "shape": [True, 6], "data_offsets": [0, 24]},
        {"dtype": "F32", "shape": [6.0], "data_offsets": [0, 24]},
        {"dtype": "F32", "shape": 6, "data_offsets": [0, 24]},
        {"dtype": "BF16", "shape": [12], "data_offsets": [0, 24]},
        {"dtype": ["F32"], "shape": [6], "data_offsets": [0, 24]},
        {"dtype": "F32", "shape": [6], "data_offsets": [24, 48]},
        {"dtype": "F32", "shape": [5], "data_offsets": [0, 20]},
        {"dtype": "F32", "shape": [5], "data_offsets": [4, 24]},
        {"dtype": "F32", "shape": [7], "data_offsets": [0, 28]},
        {"dtype": "F32", "shape": [6], "data_offsets": [0]},
        {"dtype": "F32", "shape": [6], "data_offsets": "ab"},
        {"dtype": "F32", "shape": [6]},
        [],
        None,
    ],
)
def test_a_tensor_that_does_not_fit_the_file_is_refused(entry):
    with pytest.raises(CheckpointError):
        unpack(seal({"a": entry}, {}, bytes(24)))


def test_two_tensors_may_not_share_bytes():
    entry = {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]}
    with pytest.raises(CheckpointError, match="'b' does not fit"):
        unpack(seal({"a": entry, "b": entry}, {}, bytes(24)))


def test_tensors_may_be_declared_in_any_order():
    empty = {"dtype": "F32", "shape": [0, 5], "data_offsets": [0, 0]}
    first = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    last = {"dtype": "U8", "shape": [7], "data_offsets": [24, 31]}
    tensors, _ = unpack(seal({"last": last, "first": first, "empty": empty}, {}, bytes(31)))
    assert {name: array.shape for name, array in tensors.items()} == {
        "empty": (0, 5), "first": (2, 3), "last": (7,)
    }  # fmt: skip


def test_what_a_file_declares_is_never_allocated():
    huge = {"dtype": "F32", "shape": [2**30], "data_offsets": [0, 2**32]}
    declared = [
        (2**60).to_bytes(8, "little") + b"{}",
        (16 << 20).to_bytes(8, "little") + b"{}",
        seal({"a": huge}, {}, bytes(24)),
    ]
    tracemalloc.start()
    try:
        for data in declared:
            with pytest.raises(CheckpointError, match="^cut short"):
                unpack(data)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def header_of(content):
    return len(content).to_bytes(8, "little") + content


GREEDY = {
    "lists": b'{"a":[' + b"[]," * 700_000 + b"[]]}",
    "lists as allowed": b'{"a":[' + b"[]," * 79_000 + b"[]]}",
    "objects": b'{"a":[' + b'{"":0},' * 300_000 + b"0]}",
    "numbers": b'{"a":[' + b"1000," * 500_000 + b"0]}",
    "numbers as allowed": b'{"a":[' + b"10.25," * 249_000 + b"0]}",
    "one long text": '{"a":"\U0001f600'.encode() + b"x" * (3_000_000 - 40) + b'"}',
    "nested": b'{"a":' + b"[" * 79_000,
    "digits": b'{"a":' + b"9" * 2_900_000 + b"}",
    "too long": b'{"a":"' + b"x" * (4 << 20) + b'"}',
}


@pytest.mark.parametrize("name", GREEDY)
def test_a_greedy_header_costs_little_memory_and_time(tmp_path, name):
    path = file_of(tmp_path, header_of(GREEDY[name]))
    tracemalloc.start()
    begin = time.process_time()
    try:
        with pytest.raises(CheckpointError):
            load_model(path)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert time.process_time() - begin < 5  # it is told in a tenth of a second without tracing


def test_a_large_file_that_cannot_be_a_checkpoint_is_not_read(tmp_path):
    path = tmp_path / "large.txt"
    with path.open("wb") as file:
        file.write(b"Long live the king!\n")
        file.truncate(1 << 40)  # a hole
    with pytest.raises(CheckpointError, match="more than any checkpoint"):
        load_model(path)
    with path.open("r+b") as file:
        file.truncate(15 << 30)
    with pytest.raises(CheckpointError, match="no model: that is"):
        load_model(path)


@pytest.mark.parametrize("value", [2e6, -2e6])
def test_weights_of_an_absurd_size_are_refused(tmp_path, value):
    tensors = make_tensors()
    tensors["model/decoder.weight"][3, 1] = value
    with pytest.raises(CheckpointError, match=r"'decoder\.weight'.*absurd"):
        load_model(packed(tmp_path, tensors))


def test_numbers_that_json_does_not_know_are_refused(tmp_path):
    header, body = parts()
    for word in (b"NaN", b"Infinity", b"1e999"):
        data = seal(header, make_facts(metrics={"val_loss": 12345.5}), body)
        data = data.replace(b"12345.5", word.ljust(7))
        with pytest.raises(CheckpointError, match="no JSON"):
            load_model(file_of(tmp_path, sealed_again(data)))


def sealed_again(data):
    """Seal a file again."""
    place = data.index(b'sha256\\":\\"') + len(b'sha256\\":\\"')
    blank = data[:place] + b"0" * 64 + data[place + 64 :]
    return data[:place] + hashlib.sha256(blank).hexdigest().encode() + data[place + 64 :]


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
def test_facts_that_make_no_model_are_refused(tmp_path, changes):
    header, body = parts()
    with pytest.raises(CheckpointError, match=r"^.*model\.safetensors: "):
        load_model(file_of(tmp_path, seal(header, make_facts(**changes), body)))


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
    facts = make_facts()
    facts["config"]["model"][name] = value
    with pytest.raises(CheckpointError):
        load_model(file_of(tmp_path, seal(header, facts, body)))


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


@given(st.sampled_from(list(places(make_facts()))), any_json)
@settings(deadline=None)
def test_any_fact_makes_a_valid_model_or_a_checkpoint_error(fuzzed, path, value):
    (header, body), facts = parts(), make_facts()
    replace_at(facts, path, value)
    assert_valid_or_refused(fuzzed, seal(header, facts, body))


@given(st.sampled_from(list(places(parts()[0]))), any_json)
@settings(deadline=None)
def test_any_header_makes_a_valid_model_or_a_checkpoint_error(fuzzed, path, value):
    header, body = parts()
    replace_at(header, path, value)
    assert_valid_or_refused(fuzzed, seal(header, make_facts(), body))


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_make_a_checkpoint_error(fuzzed, data):
    with pytest.raises(CheckpointError):
        load_model(file_of(fuzzed, data))


@given(any_json, any_json)
@settings(deadline=None)
def test_any_header_and_facts_make_a_checkpoint_error(fuzzed, header, facts):
    content = json.dumps(
        (header if isinstance(header, dict) else {}) | {"__metadata__": {"charrnn": facts}}
    ).encode()
    with pytest.raises(CheckpointError):
        load_model(file_of(fuzzed, len(content).to_bytes(8, "little") + content))


# The memory.


def memory_parts(**changes):
    """Tensors and facts of a model with the memory of a short text."""
    memory = build(runs_of(np.array([0, 1, 2, 0, 1, 3, 4, 4], dtype=np.uint8)), 5, 2)
    return make_tensors() | memory.tensors(), {"memory": memory.facts() | changes}


def test_a_memory_comes_back(tmp_path):
    tensors, facts = memory_parts(weight=0.25)
    model, others = read_model(packed(tmp_path, tensors, **facts))
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
    tensors, facts = memory_parts()
    with pytest.raises(CheckpointError, match="its memory"):
        load_model(packed(tmp_path, tensors | {name: array}, **facts))


@pytest.mark.parametrize("keys", [(0, 3, 1, 2, 4), (0, 1, 2, 4, 3), (0, 2, 2, 3, 4)])
def test_keys_ascend_across_the_pieces_they_are_read_in(tmp_path, monkeypatch, keys):
    tensors, facts = memory_parts()
    monkeypatch.setattr("charrnn.checkpoints.model.FINITE_CHUNK", 2)
    load_model(packed(tmp_path, tensors, **facts))
    with pytest.raises(CheckpointError, match="its memory of order 0"):
        load_model(packed(tmp_path, tensors | {"memory/0/keys": u64(*keys)}, **facts))


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
    tensors, facts = memory_parts(**changes)
    with pytest.raises(CheckpointError, match="its memory"):
        load_model(packed(tmp_path, tensors, **facts))


def test_a_memory_without_description_is_refused(tmp_path):
    tensors, _ = memory_parts()
    with pytest.raises(CheckpointError, match="its memory is not described"):
        load_model(packed(tmp_path, tensors))
