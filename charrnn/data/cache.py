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
from typing import Any

import numpy as np

from charrnn.core.errors import CharRNNError, printable, reason_of
from charrnn.core.files import cache_folder, held, sweep
from charrnn.data.vocab import Ids

LAYOUT = 1
"""Part of every key: raised when the way of encoding changes."""

REMEMBERED_ABOVE = 4 << 20
"""Bytes; smaller files are read again faster than a digest is looked up and trusted."""

SETTLED_SECONDS = 2.0
"""A file younger than this may still change within the same time stamp, so its digest is not kept."""


def content_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hex, without reading a file that has not changed.

    What was read is remembered by device, inode, size, mtime and ctime, as git's index does.
    """
    stat = path.stat()
    is_settled = time.time() - max(stat.st_mtime, stat.st_ctime) > SETTLED_SECONDS
    identity = [stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
    note = cache_folder() / "digests" / _sha256(json.dumps(identity).encode())
    with contextlib.suppress(OSError, ValueError):
        if re.fullmatch("[0-9a-f]{64}", known := note.read_text(encoding="ascii")):
            return known
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if stat.st_size > REMEMBERED_ABOVE and is_settled:
        with contextlib.suppress(OSError):  # a cache that cannot be written is only slower
            _replace(note, digest.encode("ascii"))
    return digest


def key_of(settings: Any) -> str:
    """Return the name under which a text encoded with these settings is kept."""
    return _sha256(json.dumps([LAYOUT, settings], sort_keys=True).encode())


def load(key: str) -> tuple[dict[str, Any], Ids] | None:
    """Return facts and ids of an encoded text, ids mapped from the file; None if not there."""
    try:
        facts = json.loads((cache_folder() / f"{key}.json").read_text(encoding="utf-8"))
        ids = np.memmap(cache_folder() / f"{key}.ids", dtype=np.dtype(facts["dtype"]), mode="r")
        return (facts, ids) if len(ids) == facts["num_ids"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextlib.contextmanager
def filling(key: str, facts: dict[str, Any]) -> Iterator[Ids]:
    """Yield the pages of a new file, to be filled with ids; whole, it gets its name.

    The facts are written last and make it valid; what is added to them meanwhile is kept too.

    Raises:
        CharRNNError: The cache folder cannot be written, or is full.
    """
    path, dtype = _temporary(cache_folder() / key), np.dtype(facts["dtype"])
    try:
        sweep(cache_folder(), ".*.tmp")
        _reserve(path, facts["num_ids"] * dtype.itemsize)
        with held(path):
            ids = np.memmap(path, dtype=dtype, mode="r+")
            yield ids
            ids.flush()  # to the disk, lest a power cut leaves zeros under a valid name
            path.replace(cache_folder() / f"{key}.ids")
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
    _replace(cache_folder() / f"{key}.json", json.dumps(facts).encode("utf-8"))


def _reserve(path: Path, num_bytes: int) -> None:
    """Make a file of this size, on the disk: one that is full later would kill the process."""
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
    """Return a name beside a path that no other process uses, in no other container either."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
