"""A .safetensors file as named arrays and a JSON object, with a SHA-256 of the whole file.

One metadata key, "charrnn", holds canonical JSON. It contains the SHA-256 of the file, computed
with 64 zeros in place of the hash. There is no pickle, so no code in a file can run. No memory is
allocated from sizes that a file declares: arrays are views into its bytes.
"""

import hashlib
import json
import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeGuard

import numpy as np
from numpy.typing import NDArray

from charrnn.core.errors import CheckpointError, InputError, printable, reason_of
from charrnn.data.file_kinds import HEAD, kind_of

FORMAT_VERSION = 1

LARGEST_HEADER = 3 << 20
"""Bytes. 65,535 characters with their counts of line beginnings take about half of it."""

MOST_MARKS = {b"{": 5_000, b"[": 80_000, b",": 250_000}
"""Occurrences in a header: bounds the memory of the parsed header before it is parsed."""

LARGEST_FILE = 16 << 30
MOST_TENSORS = 4096
HIGHEST_RANK = 4

DTYPES = {"F32": np.float32, "I64": np.int64, "I32": np.int32, "U8": np.uint8, "U64": np.uint64}

HASH_KEY = b'\\"sha256\\":\\"'
"""The key of the hash as the file contains it: JSON inside a JSON string."""

NO_HASH = "0" * 64

Tensors = dict[str, NDArray[Any]]
JsonObject = dict[str, Any]


def read_file(path: Path) -> bytes:
    """Read a file that may be a checkpoint.

    Raises:
        CheckpointError: It is a pickle, empty, or too large.
        InputError: It does not exist, is no regular file, or cannot be read.
    """
    return _read(path, is_whole=True)


def read_json(path: Path) -> JsonObject:
    """Read the JSON object of a checkpoint file; neither its tensors nor its hash.

    Raises:
        CheckpointError: It is no checkpoint, or its header is damaged.
        InputError: It does not exist, is no regular file, or cannot be read.
    """
    data = _read(path, is_whole=False)
    try:
        header, _ = _parse_header(data)
        return _parse_object(header.get("__metadata__"))
    except CheckpointError as error:
        raise CheckpointError(f"{printable(path)}: {error}") from None


def _read(path: Path, *, is_whole: bool) -> bytes:
    """Read a whole file, or its header only."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait forever
            raise InputError(f"{printable(path)}: not a file; name a run or a .safetensors file")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(HEAD)
            _check_kind(head)
            end = 8 + _check_start(head[:9], size)
            file.seek(0)
            return file.read(size if is_whole else end)
    except OSError as error:
        reason = reason_of(error)
        raise InputError(
            f"{printable(path)}: {reason}; name a run or a .safetensors file"
        ) from None
    except CheckpointError as error:
        raise CheckpointError(f"{printable(path)}: {error}") from None


def _check_kind(head: bytes) -> None:
    """Refuse a document or picture; a zip file may be a pickle."""
    kind = None if head[8:9] == b"{" else kind_of(head)  # a header of safetensors is JSON
    if kind is not None and not (kind.name == "a zip archive" or b"data.pkl" in head):
        raise CheckpointError(f"is {kind.name}, not a model; name a run or a .safetensors file")


def _check_start(start: bytes, size: int) -> int:
    """Return the length of the header, in bytes; refuse a file that cannot be a checkpoint."""
    if not start:
        raise CheckpointError("an empty file, not a checkpoint")
    # A safetensors header whose length is 128 modulo 256 starts like a pickle too.
    if start.startswith((b"PK\x03\x04", b"\x80")) and start[8:9] != b"{":
        raise CheckpointError(
            "a PyTorch pickle, which can run code when it is opened; "
            "charrnn reads only its own .safetensors files"
        )
    if size > LARGEST_FILE:
        raise CheckpointError(f"{size:,} bytes: larger than any checkpoint")
    return _header_size(start, size)


def _header_size(start: bytes, size: int) -> int:
    """Return the length of the header of a file of `size` bytes, in bytes."""
    length = int.from_bytes(start[:8], "little")
    if size < 8 or length > min(LARGEST_HEADER, size - 8):
        raise CheckpointError(
            "cut short, or not a model; name a run, its folder, or a .safetensors file"
        )
    return length


def pack(tensors: Mapping[str, NDArray[Any]], raw: JsonObject) -> bytes:
    """Return the bytes of a checkpoint file, with its hash."""
    from safetensors.numpy import save

    sealed = raw | {"format_version": FORMAT_VERSION, "sha256": NO_HASH}
    text = json.dumps(sealed, sort_keys=True, separators=(",", ":"), allow_nan=False)
    assert text.count('"sha256":"') == 1  # with two, a reader could not find the hash
    arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    data = save(arrays, metadata={"charrnn": text})
    _parse_header(data)  # a file that is written can be read
    offset = data.index(HASH_KEY) + len(HASH_KEY)
    digest = _digest(data, offset)
    return b"".join([data[:offset], digest.encode("ascii"), data[offset + len(digest) :]])


def unpack(data: bytes) -> tuple[Tensors, JsonObject]:
    """Return the tensors of a checkpoint, as views into `data`, and its JSON object.

    Raises:
        CheckpointError: It is not a complete, unchanged checkpoint.
    """
    header, begin = _parse_header(data)
    raw = _parse_object(header.pop("__metadata__", None))
    _check_hash(data[:begin], data, raw)
    if len(header) > MOST_TENSORS:
        raise CheckpointError(f"it declares {len(header):,} tensors, more than any checkpoint")
    entries = sorted(header.items(), key=_offsets)
    tensors, end = {}, 0
    for entry in entries:
        tensors[entry[0]], end = _view(data, begin, end, entry)
    if begin + end != len(data):
        raise CheckpointError("its tensors do not fill the file")
    return tensors, raw


def _parse_header(data: bytes) -> tuple[dict[str, Any], int]:
    size = _header_size(data[:8], len(data))
    content = data[8 : 8 + size]
    if any(content.count(mark) > most for mark, most in MOST_MARKS.items()):
        raise CheckpointError("its header is larger than that of any checkpoint")
    header = _parse_json(content)
    if not isinstance(header, dict):
        raise CheckpointError("its header is not a JSON object")
    return header, 8 + size


def _parse_json(content: bytes | str) -> Any:
    try:
        return json.loads(content, parse_constant=_refuse, parse_float=_parse_float)
    except (ValueError, RecursionError):
        raise CheckpointError("its header is not valid JSON") from None


def _parse_float(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse(digits)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not valid JSON")


def _parse_object(metadata: object) -> JsonObject:
    text = metadata.get("charrnn") if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise CheckpointError("a safetensors file, but not written by charrnn")
    raw = _parse_json(text)
    if not isinstance(raw, dict):
        raise CheckpointError("its metadata is not a JSON object")
    return raw


def _check_hash(header: bytes, data: bytes, raw: dict[str, Any]) -> None:
    offset = header.find(HASH_KEY) + len(HASH_KEY)
    if header.count(HASH_KEY) != 1 or raw.get("sha256") != _digest(data, offset):
        raise CheckpointError("damaged: its content does not match its SHA-256")


def _digest(data: bytes, offset: int) -> str:
    """Return the SHA-256 of a file with 64 zeros at `offset`."""
    view, digest = memoryview(data), hashlib.sha256()
    for piece in (view[:offset], NO_HASH.encode("ascii"), view[offset + len(NO_HASH) :]):
        digest.update(piece)
    return digest.hexdigest()


def _offsets(entry: tuple[str, Any]) -> tuple[int, int]:
    name, value = entry
    offsets = value.get("data_offsets") if isinstance(value, dict) else None
    if not are_counts(offsets) or len(offsets) != 2:
        raise CheckpointError(f"tensor {shown(name)} has no valid offsets")
    return offsets[0], offsets[1]


def are_counts(value: object) -> TypeGuard[list[int]]:
    """Return whether a value from JSON is a list of integers that are not negative."""
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)


def shown(name: str) -> str:
    """Return a tensor's name for a message."""
    return repr(printable(name)[:80])


def _view(
    data: bytes, begin: int, previous: int, entry: tuple[str, Any]
) -> tuple[NDArray[Any], int]:
    """Return one tensor as a view into the file's bytes, and its end offset."""
    name, value = entry
    start, end = _offsets(entry)
    shape, dtype = value.get("shape"), DTYPES.get(str(value.get("dtype")))
    if dtype is None or not are_counts(shape) or len(shape) > HIGHEST_RANK:
        raise CheckpointError(
            f"tensor {shown(name)} has a shape or type that charrnn does not write"
        )
    count = math.prod(shape)
    is_absurd = math.prod(size or 1 for size in shape) > LARGEST_FILE  # NumPy refuses [2**62, 0]
    if is_absurd or start != previous or end - start != count * np.dtype(dtype).itemsize:
        raise CheckpointError(f"tensor {shown(name)} does not match its offsets")
    if begin + end > len(data):
        raise CheckpointError(f"cut short inside tensor {shown(name)}")
    return np.frombuffer(data, dtype, count, begin + start).reshape(shape), end
