"""Encoded texts and content digests, kept between runs in the cache folder."""

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from charrnn.textfiles import CHUNK
from charrnn.vocab import Ids

LAYOUT = 1
"""Part of every key: raised when the way of encoding changes."""

SETTLED_SECONDS = 2.0
"""A file younger than this may still change within the same time stamp, so its digest is not kept."""


def folder() -> Path:
    """Return the cache folder: CHARRNN_CACHE, else the user's own."""
    if named := os.environ.get("CHARRNN_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "charrnn"


def content_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hex, without reading a file that has not changed.

    What was read is remembered by device, inode, size, mtime and ctime, as git's index does.
    """
    stat = path.stat()
    identity = [stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
    note = folder() / "digests" / _sha256(json.dumps(identity).encode())
    with contextlib.suppress(OSError):
        return note.read_text(encoding="ascii")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if stat.st_size > CHUNK and time.time() - stat.st_mtime > SETTLED_SECONDS:
        with contextlib.suppress(OSError):  # a cache that cannot be written is only slower
            _replace(note, digest.encode("ascii"))
    return digest


def key_of(settings: Any) -> str:
    """Return the name under which a text encoded with these settings is kept."""
    return _sha256(json.dumps([LAYOUT, settings], sort_keys=True).encode())


def load(key: str) -> tuple[dict[str, Any], Ids] | None:
    """Return facts and ids of an encoded text, ids mapped from the file; None if not there."""
    try:
        facts = json.loads((folder() / f"{key}.json").read_text(encoding="utf-8"))
        ids = np.memmap(folder() / f"{key}.ids", dtype=np.dtype(facts["dtype"]), mode="r")
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (facts, ids) if len(ids) == facts["num_ids"] else None


def create(key: str, num_ids: int, dtype: np.dtype[Any]) -> tuple[Path, Ids]:
    """Return a temporary file in the cache, and its pages as an array to be filled."""
    folder().mkdir(parents=True, exist_ok=True)
    path = folder() / f".{key}.{os.getpid()}.tmp"
    return path, np.memmap(path, dtype=dtype, mode="w+", shape=(num_ids,))


def keep(key: str, path: Path, facts: dict[str, Any]) -> None:
    """Give a filled temporary file its name; the facts come last and make it valid."""
    path.replace(folder() / f"{key}.ids")
    _replace(folder() / f"{key}.json", json.dumps(facts).encode("utf-8"))


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
