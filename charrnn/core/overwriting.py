"""Which files -o may overwrite: never an input; a model or a foreign file only with --force."""

import contextlib
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from charrnn.core.errors import InputError, printable
from charrnn.core.files import cache_folder

PAGE_START = (
    '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
)
"""The first characters of every page that charrnn writes."""

PAGES = (".html", ".htm")
"""Suffixes of pages."""

EXPORT_START = PAGE_START + "style-src 'sha256-"
"""The first characters of a page of `export`; those of `viz` do not name their styles by a hash."""

SAMPLE_START = re.compile(rb'\{"index": \d+, "seed": \d+, "prompt": ')
"""The first bytes of every file of samples in JSON."""

CHECKPOINT = ".safetensors"
"""Suffix of a model."""


def check_output(path: Path | None, inputs: Iterable[Path | None], *, force: bool) -> None:
    """Refuse to overwrite a file that is not an output of charrnn.

    These may be overwritten: a file that does not exist or is empty, a device or pipe, a page, a
    file of samples in JSON, and a text that `sample -o` wrote and that has not changed since.

    Args:
        path: The file of -o; None is stdout.
        inputs: Files and folders that the command reads. They are refused also with `force`.
        force: Whether models and foreign files may be overwritten.

    Raises:
        InputError: The file must not be overwritten.
    """
    if path is None or not has_content(path):
        return
    name = printable(path)
    if any(is_part_of(path, each) for each in inputs if each is not None):
        raise InputError(f"-o: {name}: this command reads it; name another file")
    if force or is_output(path):
        return
    what = "is a model" if is_model(path) else "exists, and charrnn did not write it"
    raise InputError(f"-o: {name}: {what}; name another file, or overwrite it: --force")


def has_content(path: Path) -> bool:
    """Return whether a path is a regular file that is not empty."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size > 0


def is_part_of(path: Path, other: Path) -> bool:
    """Return whether a file is another one, by whatever name, or is inside a folder."""
    with contextlib.suppress(OSError, ValueError):
        return path.samefile(other) or (
            other.is_dir() and path.resolve().is_relative_to(other.resolve())
        )
    return False


def is_output(path: Path) -> bool:
    """Return whether a command of charrnn wrote a file."""
    start = start_of(path)
    is_page = start.startswith(PAGE_START.encode())
    return is_page or SAMPLE_START.match(start) is not None or is_remembered(path)


def is_model(path: Path) -> bool:
    """Return whether a file is a model, by its name or its first bytes."""
    start = start_of(path)
    size = int.from_bytes(start[:8], "little")
    return path.suffix == CHECKPOINT or (start[8:9] == b"{" and 0 < size < path.stat().st_size)


def is_exported(path: Path) -> bool:
    """Return whether a file is a page of `export`."""
    return start_of(path).startswith(EXPORT_START.encode())


def start_of(path: Path) -> bytes:
    """Return the first bytes of a file; none if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(EXPORT_START))
    except OSError:
        return b""


def remember_output(path: Path) -> None:
    """Note in the cache that charrnn wrote a file as it is now.

    Nothing in a plain text shows who wrote it, and the same command may be run again.
    """
    with contextlib.suppress(OSError):  # without the note, --force is needed
        if has_content(path):
            note = note_of(path)
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(identity_of(path), encoding="ascii")


def is_remembered(path: Path) -> bool:
    """Return whether charrnn wrote a file and nothing changed it since."""
    with contextlib.suppress(OSError, ValueError):
        return note_of(path).read_text(encoding="ascii") == identity_of(path)
    return False


def note_of(path: Path) -> Path:
    """Return the path of the note about an output file."""
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()
    return cache_folder() / "outputs" / name


def identity_of(path: Path) -> str:
    """Return device, inode, size and time of change of a file."""
    found = path.stat()
    return json.dumps([found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns])
