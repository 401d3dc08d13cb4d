"""One .safetensors file <-> weights, vocabulary, config and, in a full one, training state.

Tensors: model/<weight> (averaged); in a full file also raw/<weight> (as trained),
optim/<weight>/exp_avg and exp_avg_sq, state/h and state/c (of all streams). One metadata key,
"charrnn", holds canonical JSON, and in it the SHA-256 of the whole file, computed with 64 zeros in
its own place. There is no pickle, and no code in a file can run.
"""

import hashlib
import json
import math
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from charrnn.config import GATES, ModelConfig, shapes
from charrnn.errors import CheckpointError, InputError, printable, reason_of
from charrnn.vocab import Vocabulary, from_json

FORMAT_VERSION = 1

LARGEST_HEADER = 16 << 20
LARGEST_FILE = 16 << 30
MOST_TENSORS = 4096
HIGHEST_RANK = 4

DTYPES = {"F32": np.float32, "I64": np.int64, "I32": np.int32, "U8": np.uint8, "U64": np.uint64}

HASH_KEY = b'\\"sha256\\":\\"'
"""How the hash's key stands in the file: JSON inside a JSON string."""

NO_HASH = "0" * 64

Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """All that is needed to write with a trained network."""

    config: ModelConfig
    weights: dict[str, NDArray[np.float32]]
    """Arrays named as in shapes(config)."""
    vocab: Vocabulary
    records: bool
    """Each line is a text of its own, started and ended by a newline."""
    starts: dict[int, int]
    """How often each id begins a line, for texts without newlines."""
    facts: dict[str, Any]
    """Everything else the file says: settings, corpus, plan, progress, metrics, environment."""


def pack(tensors: Mapping[str, NDArray[Any]], facts: dict[str, Any]) -> bytes:
    """Return a checkpoint file's content, its hash filled in."""
    from safetensors.numpy import save

    sealed = facts | {"format_version": FORMAT_VERSION, "sha256": NO_HASH}
    text = json.dumps(sealed, sort_keys=True, separators=(",", ":"), allow_nan=False)
    assert text.count('"sha256":"') == 1  # of two a reader could not tell which is the hash's
    arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    data = save(arrays, metadata={"charrnn": text})
    place = data.index(HASH_KEY) + len(HASH_KEY)
    digest = _digest(data, place)
    return b"".join([data[:place], digest.encode("ascii"), data[place + len(digest) :]])


def unpack(data: bytes) -> tuple[Tensors, dict[str, Any]]:
    """Return the tensors of a checkpoint, as views into `data`, and its facts.

    Raises:
        CheckpointError: It is not a whole, unaltered checkpoint of this format.
    """
    header, begin = _parse_header(data)
    facts = _parse_facts(header.pop("__metadata__", None))
    _check_hash(data[:begin], data, facts)
    _check_version(facts)
    if len(header) > MOST_TENSORS:
        raise CheckpointError(f"it declares {len(header)} tensors")
    entries = sorted(header.items(), key=_offsets)
    tensors, end = {}, 0
    for entry in entries:
        tensors[entry[0]], end = _view(data, begin, end, entry)
    if begin + end != len(data):
        raise CheckpointError("its tensors do not fill the file")
    return tensors, facts


def _parse_header(data: bytes) -> tuple[dict[str, Any], int]:
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(LARGEST_HEADER, len(data) - 8):
        raise CheckpointError("cut short, or no safetensors file")
    header = _parse_json(data[8 : 8 + size])
    if not isinstance(header, dict):
        raise CheckpointError("its header is no JSON object")
    return header, 8 + size


def _parse_json(content: bytes | str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise CheckpointError("its header is no JSON") from None


def _parse_facts(metadata: object) -> dict[str, Any]:
    text = metadata.get("charrnn") if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise CheckpointError("a safetensors file, but not one of charrnn's")
    facts = _parse_json(text)
    if not isinstance(facts, dict):
        raise CheckpointError("its description is no JSON object")
    return facts


def _check_hash(header: bytes, data: bytes, facts: dict[str, Any]) -> None:
    place = header.find(HASH_KEY) + len(HASH_KEY)
    if header.count(HASH_KEY) != 1 or facts.get("sha256") != _digest(data, place):
        raise CheckpointError("damaged: its content does not fit its SHA-256")


def _digest(data: bytes, place: int) -> str:
    """Return the SHA-256 of a file with 64 zeros at `place`."""
    view, digest = memoryview(data), hashlib.sha256()
    for piece in (view[:place], NO_HASH.encode("ascii"), view[place + len(NO_HASH) :]):
        digest.update(piece)
    return digest.hexdigest()


def _check_version(facts: dict[str, Any]) -> None:
    version = facts.get("format_version")
    if version != FORMAT_VERSION:
        writer = printable(facts.get("version"))[:40]
        raise CheckpointError(
            f"written by charrnn {writer} in format {printable(version)[:40]}, "
            f"this program reads format {FORMAT_VERSION}; update charrnn"
        )


def _offsets(entry: tuple[str, Any]) -> tuple[int, int]:
    name, value = entry
    offsets = value.get("data_offsets") if isinstance(value, dict) else None
    if not _are_counts(offsets) or len(offsets) != 2:
        raise CheckpointError(f"tensor {printable(name)!r} has no place in the file")
    return offsets[0], offsets[1]


def _are_counts(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)


def _view(
    data: bytes, begin: int, previous: int, entry: tuple[str, Any]
) -> tuple[NDArray[Any], int]:
    """Return one tensor as an array over the file's bytes, and where it ends."""
    name, value = entry
    start, end = _offsets(entry)
    shape, dtype = value.get("shape"), DTYPES.get(str(value.get("dtype")))
    shown = printable(name)[:80]
    if dtype is None or not _are_counts(shape) or len(shape) > HIGHEST_RANK:
        raise CheckpointError(f"tensor {shown!r} has a shape or type that charrnn does not write")
    count = math.prod(shape)
    is_absurd = math.prod(size or 1 for size in shape) > LARGEST_FILE  # NumPy refuses [2**62, 0]
    if is_absurd or start != previous or end - start != count * np.dtype(dtype).itemsize:
        raise CheckpointError(f"tensor {shown!r} does not fit its place in the file")
    if begin + end > len(data):
        raise CheckpointError(f"cut short inside tensor {shown!r}")
    return np.frombuffer(data, dtype, count, begin + start).reshape(shape), end


def load_model(path: Path | str) -> Model:
    """Open a checkpoint for writing text.

    Raises:
        CheckpointError: The file is damaged, foreign or newer.
        InputError: There is no such file, or it cannot be read.
    """
    return read_model(Path(path))[0]


def read_model(path: Path) -> tuple[Model, Tensors]:
    """Open a checkpoint; also return its other tensors, by name without their model/ part."""
    data = read_file(path)
    try:
        tensors, facts = unpack(data)
        return _build(tensors, facts)
    except CheckpointError as error:
        raise CheckpointError(f"{printable(path)}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, InputError):
        raise CheckpointError(f"{printable(path)}: its description lacks something") from None


def read_file(path: Path) -> bytes:
    """Return the bytes of what may be a checkpoint.

    Raises:
        CheckpointError: It is a pickle, empty, or too large.
        InputError: It does not exist, is no regular file, or cannot be read.
    """
    try:
        mode, size = path.stat().st_mode, path.stat().st_size
        if not stat.S_ISREG(mode):
            raise InputError(f"{printable(path)}: not a file; name a run or a .safetensors file")
        if size > LARGEST_FILE:
            raise CheckpointError(f"{printable(path)}: {size:,} bytes are more than any checkpoint")
        data = path.read_bytes()
    except OSError as error:
        reason = reason_of(error)
        raise InputError(
            f"{printable(path)}: {reason}; name a run or a .safetensors file"
        ) from None
    # A safetensors header of 128 bytes more than a multiple of 256 begins like a pickle too.
    if data.startswith((b"PK\x03\x04", b"\x80")) and data[8:9] != b"{":
        raise CheckpointError(
            f"{printable(path)}: a PyTorch pickle, which can run code when it is opened; "
            "charrnn reads only its own .safetensors files"
        )
    if not data:
        raise CheckpointError(f"{printable(path)}: an empty file, no checkpoint")
    return data


def _build(tensors: Tensors, facts: dict[str, Any]) -> tuple[Model, Tensors]:
    vocab = from_json(facts["vocabulary"])
    config = _model_config(facts["config"]["model"])
    if config.vocab_size != vocab.size:
        raise CheckpointError(f"{vocab.size} characters, but a network for {config.vocab_size}")
    weights = {
        name.removeprefix("model/"): t for name, t in tensors.items() if name.startswith("model/")
    }
    check_tensors(weights, shapes(config))
    model = Model(
        config=config,
        weights=weights,
        vocab=vocab,
        records=facts["records"] is True,
        starts=_starts(facts["starts"], vocab),
        facts=facts,
    )
    return model, {n: t for n, t in tensors.items() if not n.startswith("model/")}


def _starts(pairs: Any, vocab: Vocabulary) -> dict[int, int]:
    """Return how often each id begins a line; a text without newlines cannot begin without."""
    for pair in pairs:
        if not _are_counts(pair) or len(pair) != 2 or pair[0] >= vocab.size or pair[1] >= 2**63:
            raise CheckpointError("its counts of line beginnings are no counts")
    starts: dict[int, int] = dict(pairs)
    if vocab.newline is None and not any(starts.values()):
        raise CheckpointError("it does not say how a text begins")
    return starts


def _model_config(values: dict[str, Any]) -> ModelConfig:
    config = ModelConfig(**values)
    sizes = {name: value for name, value in asdict(config).items() if name != "cell"}
    if config.cell not in GATES:
        raise CheckpointError(f"an unknown cell, {printable(config.cell)[:40]!r}")
    for name, value in sizes.items():
        if type(value) is not int or not 1 <= value <= 65_536:
            raise CheckpointError(f"{name} is {printable(value)[:40]}")
    return config


def check_tensors(
    found: Mapping[str, NDArray[Any]], expected: Mapping[str, tuple[int, ...]]
) -> None:
    """Hold tensors against the names and shapes that the config asks for, all float32, finite.

    Raises:
        CheckpointError: One is missing, unknown, of another shape or type, or not finite.
    """
    if strange := sorted(found.keys() ^ expected.keys()):
        kind = "lacks" if strange[0] in expected else "has an unknown"
        raise CheckpointError(f"it {kind} tensor {printable(strange[0])[:80]!r}")
    for name, shape in expected.items():
        array = found[name]
        if array.shape != shape or array.dtype != np.float32:
            raise CheckpointError(
                f"tensor {name!r} is {array.dtype} {array.shape}, float32 {shape} was expected"
            )
        if not np.isfinite(array).all():
            raise CheckpointError(f"tensor {name!r} holds values that are not finite")
