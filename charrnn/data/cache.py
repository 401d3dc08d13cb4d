"""Cache of encoded texts and file digests between runs."""

import contextlib
import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from charrnn.core.errors import CharRNNError, printable, reason_of
from charrnn.core.files import cache_folder, held, sweep
from charrnn.data.file_kinds import DAMAGED, damaged, is_compressed, open_text
from charrnn.data.vocab import Ids

LAYOUT = 1
"""Part of every key: incremented when the encoding changes."""

REMEMBERED_ABOVE = 4 << 20
"""Bytes; smaller files are hashed again, which is faster than a look-up."""

SETTLED_SECONDS = 2.0
"""A younger file may still change within the same time stamp, so its digest is not kept."""


def content_digest(path: Path, *, is_raw: bool = False) -> str:
    """Return the SHA-256 of a file, in hex, from the cache if the file has not changed.

    Of a compressed file it is that of the text in it, unless its bytes are learned (is_raw).
    Digests are cached by device, inode, size, mtime and ctime, as in git's index.
    """
    stat = path.stat()
    is_settled = time.time() - max(stat.st_mtime, stat.st_ctime) > SETTLED_SECONDS
    identity = [stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
    is_unpacked = not is_raw and is_compressed(path)
    identity += [1] * is_unpacked
    note = cache_folder() / "digests" / _sha256(json.dumps(identity).encode())
    with contextlib.suppress(OSError, ValueError):
        if re.fullmatch("[0-9a-f]{64}", known := note.read_text(encoding="ascii")):
            return known
    with open_text(path) if is_unpacked else path.open("rb") as file:
        digest = _digest_of(file, path)
    if stat.st_size > REMEMBERED_ABOVE and is_settled:
        with contextlib.suppress(OSError):  # without a cache it is only slower
            _replace(note, digest.encode("ascii"))
    return digest


def _digest_of(file: BinaryIO, path: Path) -> str:
    try:
        return hashlib.file_digest(cast(Any, file), "sha256").hexdigest()
    except DAMAGED as error:
        raise damaged(path, error) from None


def key_of(settings: Any) -> str:
    """Return the cache key of a text encoded with these settings."""
    return _sha256(json.dumps([LAYOUT, settings], sort_keys=True).encode())


def load(key: str) -> tuple[dict[str, Any], Ids] | None:
    """Return the metadata and the memory-mapped ids of a cached text; None if it is not cached."""
    try:
        metadata = json.loads((cache_folder() / f"{key}.json").read_text(encoding="utf-8"))
        ids = np.memmap(cache_folder() / f"{key}.ids", dtype=np.dtype(metadata["dtype"]), mode="r")
        return (metadata, ids) if len(ids) == metadata["num_ids"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextlib.contextmanager
def filling(key: str, metadata: dict[str, Any]) -> Iterator[Ids]:
    """Yield the memory-mapped array of a new entry, to be filled with ids.

    The metadata is written last and makes the entry valid; the caller may add to it meanwhile.

    Raises:
        CharRNNError: The cache folder cannot be written, or is full.
    """
    path, dtype = _temporary(cache_folder() / key), np.dtype(metadata["dtype"])
    try:
        sweep(cache_folder(), ".*.tmp")
        _reserve(path, metadata["num_ids"] * dtype.itemsize)
        with held(path):
            ids = np.memmap(path, dtype=dtype, mode="r+")
            yield ids
            ids.flush()  # a power cut must not leave zeros under a valid name
            path.replace(cache_folder() / f"{key}.ids")
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
    _replace(cache_folder() / f"{key}.json", json.dumps(metadata).encode("utf-8"))


def _reserve(path: Path, num_bytes: int) -> None:
    """Allocate a file of this size: a disk that fills up later would kill the process (SIGBUS)."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.truncate(num_bytes)
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, num_bytes)
    except OSError as error:
        raise CharRNNError(
            f"{printable(path.parent)}: {reason_of(error)}; {num_bytes:,} bytes are "
            "needed there for the encoded text, or in another folder: set CHARRNN_CACHE"
        ) from None


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    temporary.write_bytes(content)
    temporary.replace(path)


def _temporary(path: Path) -> Path:
    """Return a temporary path in the same folder, unique across processes and containers."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
