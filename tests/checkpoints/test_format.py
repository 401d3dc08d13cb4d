"""The file format: what is written comes back, and nothing else is ever taken for it."""

import hashlib
import json
import time
import tracemalloc
from pathlib import Path

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
from safetensors.numpy import save

from charrnn.checkpoints.format import pack, read_json, unpack
from charrnn.checkpoints.model import load_model
from charrnn.core.errors import CheckpointError, InputError

# Round trips.


def test_what_is_packed_comes_back():
    tensors = {
        "model/a": floats([[1, 2, 3], [4, 5, 6]]),
        "memory/1/keys": np.array([2**64 - 1, 5], dtype=np.uint64),
        "memory/1/counts": np.array([[[7]]], dtype=np.int32),
        "state/step": np.array([-(2**63)], dtype=np.int64),
        "state/mask": np.array([0, 255, 3], dtype=np.uint8),
    }
    found, metadata = unpack(pack(tensors, {"x": [1, 'é\u2028"\\']}))
    assert found.keys() == tensors.keys()
    for name, array in tensors.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)
    assert metadata["x"] == [1, 'é\u2028"\\']
    assert metadata["format_version"] == 1


def test_equal_content_makes_equal_files_whatever_its_order():
    tensors, metadata = make_tensors(), make_metadata()
    turned = dict(reversed(tensors.items())), dict(reversed(metadata.items()))
    assert pack(*turned) == pack(tensors, metadata)


def test_an_array_that_is_not_contiguous_is_packed_by_its_values():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert pack({"a": array.T}, {}) == pack({"a": array.T.copy()}, {})


def test_tensors_are_views_into_the_files_bytes():
    data = pack(make_tensors(), make_metadata())
    whole = np.frombuffer(data, dtype=np.uint8)
    assert all(np.shares_memory(array, whole) for array in unpack(data)[0].values())


def test_tensors_without_elements_come_back():
    tensors = {name: np.zeros(shape, np.float32) for name, shape in
               {"a": (0, 5), "b": (2, 3), "c": (0,), "d": (7,)}.items()}  # fmt: skip
    found, _ = unpack(pack(tensors, {}))
    assert {name: array.shape for name, array in found.items()} == {
        "a": (0, 5), "b": (2, 3), "c": (0,), "d": (7,)
    }  # fmt: skip


@pytest.mark.parametrize(("rank", "is_read"), [(0, True), (4, True), (5, False)])
def test_tensors_have_at_most_four_axes(rank, is_read):
    array = np.full((1,) * rank, 2.5, dtype=np.float32)
    header = {"a": {"dtype": "F32", "shape": [1] * rank, "data_offsets": [0, 4]}}
    data = seal(header, {}, array.tobytes())
    if is_read:
        assert unpack(data)[0]["a"].shape == array.shape
    else:
        with pytest.raises(CheckpointError, match="shape or type"):
            unpack(data)


def test_a_file_may_be_written_by_hand_after_the_description():
    header, body = parts()
    tensors, metadata = unpack(seal(header, make_metadata(), body))
    np.testing.assert_array_equal(tensors["model/decoder.bias"], make_weights()["decoder.bias"])
    assert metadata["vocabulary"] == [97, 98, 99, 233, 8364]


def test_the_hash_is_that_of_the_file_with_zeros_in_its_place():
    data = pack(make_tensors(), make_metadata())
    digest = unpack(data)[1]["sha256"]
    blank = data.replace(digest.encode(), b"0" * 64)
    assert hashlib.sha256(blank).hexdigest() == digest


def test_tensors_have_one_metadata_key():
    data = pack(make_tensors(), make_metadata())
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert list(header["__metadata__"]) == ["charrnn"]


def test_metadata_may_hold_what_looks_like_the_hash():
    metadata = make_metadata(corpus={"files": ['"sha256":"', '\\"sha256\\":\\"' + "0" * 64]})
    assert unpack(pack({}, metadata))[1]["corpus"] == metadata["corpus"]


def test_a_second_key_of_the_hashs_name_is_refused_before_it_is_written():
    with pytest.raises(AssertionError):
        pack({}, {"corpus": {"sha256": "1234"}})


def test_a_value_that_json_does_not_know_is_refused_before_it_is_written():
    with pytest.raises(ValueError, match="not JSON compliant"):
        pack({}, {"val_loss": float("nan")})


@pytest.mark.parametrize("padding", range(0, 256, 8))
def test_a_header_of_any_size_is_read(tmp_path, padding):
    # Its first byte is the header's size, and once that of a pickle.
    assert load_model(packed(tmp_path, note="x" * padding)).config == CONFIG


# Damage.


def test_every_truncation_is_noticed(tmp_path):
    data = pack(make_tensors(), make_metadata())
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
        unpack(pack(make_tensors(), make_metadata()) + b"\0")


def test_a_damaged_file_is_told_as_damaged_and_named(tmp_path):
    data = bytearray(pack(make_tensors(), make_metadata()))
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


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"PK\x03\x04" + bytes(26) + b"word/document.xml", "a Word document"),
        (b"%PDF-1.4\n", "a PDF"),
        (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    ],
)
def test_a_document_is_not_taken_for_a_model(tmp_path, data, name):
    with pytest.raises(CheckpointError, match=f"is {name}, not a model; name a run"):
        load_model(file_of(tmp_path, data))


def test_an_empty_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="an empty file"):
        load_model(file_of(tmp_path, b""))


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_somebody_elses_safetensors_file_is_refused(tmp_path, metadata):
    data = save({"a": floats([1, 2, 3])}, metadata=metadata)
    with pytest.raises(CheckpointError, match="not written by charrnn"):
        load_model(file_of(tmp_path, data))


@pytest.mark.parametrize(
    "header", [b"{", b"\xff\xfe", b"[]", b"7", b"null", b"[" * 100_000, b"9" * 10_000, b""]
)
def test_a_header_that_is_no_json_object_is_refused(header):
    with pytest.raises(CheckpointError):
        unpack(len(header).to_bytes(8, "little") + header)


def test_a_text_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="not a model; name a run"):
        load_model(file_of(tmp_path, b"Long live the king!\n"))


def test_metadata_are_read_without_the_tensors_or_a_look_at_the_hash(tmp_path):
    path = packed(tmp_path, {"model/x": np.zeros(16 << 20, np.uint8)})
    metadata = unpack(path.read_bytes())[1]
    with path.open("r+b") as file:
        file.seek(-5, 2)
        file.write(b"other")
    tracemalloc.start()
    assert read_json(path) == metadata
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "data",
    [b"", b"PK\x03\x04 pickled", b"\xff" * 99, b"\x02\0\0\0\0\0\0\0{}", b"\x02\0\0\0\0\0\0\0[]"],
)
def test_metadata_of_what_is_no_checkpoint_are_refused_by_its_name(tmp_path, data):
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
    with pytest.raises(CheckpointError, match="'b' does not match its offsets"):
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
    with pytest.raises(CheckpointError, match="larger than any checkpoint"):
        load_model(path)
    with path.open("r+b") as file:
        file.truncate(15 << 30)
    with pytest.raises(CheckpointError, match="not a model; name a run"):
        load_model(path)


def test_numbers_that_json_does_not_know_are_refused(tmp_path):
    header, body = parts()
    for word in (b"NaN", b"Infinity", b"1e999"):
        data = seal(header, make_metadata(metrics={"val_loss": 12345.5}), body)
        data = data.replace(b"12345.5", word.ljust(7))
        with pytest.raises(CheckpointError, match="not valid JSON"):
            load_model(file_of(tmp_path, sealed_again(data)))


def sealed_again(data):
    """Seal a file again."""
    place = data.index(b'sha256\\":\\"') + len(b'sha256\\":\\"')
    blank = data[:place] + b"0" * 64 + data[place + 64 :]
    return data[:place] + hashlib.sha256(blank).hexdigest().encode() + data[place + 64 :]
