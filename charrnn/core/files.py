"""Durable files: written whole or not at all, even if the process is killed; file locks.

All writes call functions of `os` through this module, so that a test can record them or make them
fail.
"""

import errno
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

READ_SIZE = 1 << 20

YOUNG_SECONDS = 60.0
"""A temporary file younger than this may belong to a process that has not locked it yet."""

CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP)
"""Errors of file systems that cannot sync a folder."""

NUMBER = r"[-+]?(\d+\.?\d*|\.\d+)"

_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def write_durably(path: Path, data: bytes) -> None:
    """Replace a file so that at any moment either the old or the new content is there, whole.

    Temporary file in the same folder, write, fsync, rename, fsync of the folder.

    Raises:
        OSError: The write failed; the temporary file is removed, the old file is unchanged.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with suppress(FileNotFoundError):
        os.unlink(temporary)  # noqa: PTH108  (of a killed process with the same pid)
    try:
        _write(temporary, data)
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise
    sync_folder(path.parent)


def verify(path: Path, data: bytes) -> None:
    """Read a file back and compare it with what was written.

    Raises:
        OSError: It cannot be read, or it differs.
    """
    descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    try:
        offset = 0
        while piece := os.read(descriptor, READ_SIZE):
            if data[offset : offset + len(piece)] != piece:
                break
            offset += len(piece)
    finally:
        os.close(descriptor)
    if offset != len(data):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def remove(path: Path) -> None:
    """Delete a file; an error is ignored."""
    with suppress(OSError):
        os.unlink(path)  # noqa: PTH108


def remove_temporary(folder: Path) -> None:
    """Delete the temporary files of killed processes. No other process may write in the folder."""
    for path in folder.glob(".*.tmp"):
        remove(path)


def try_lock(descriptor: int) -> bool:
    """Lock an open file until it is closed; the kernel releases the lock if the process dies.

    False if another process holds it; True also where the system or file system has no locks.
    """
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        pass
    return True


def is_locked(path: Path) -> bool:
    """True if another process holds the lock of a file.

    False also if the file does not exist or is not readable, or if the system has no locks.
    """
    try:
        import fcntl

        # O_NONBLOCK: opening a named pipe would block forever
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _FLAGS)
    except (ImportError, OSError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return isinstance(error, BlockingIOError)
    finally:
        os.close(descriptor)
    return False


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Protect a temporary file from `sweep` while it is in use."""
    descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    try:
        try_lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def sweep(folder: Path, pattern: str) -> None:
    """Delete the temporary files that no process holds any more, in a folder shared by many."""
    if os.name == "nt":
        return  # no locks, so files in use cannot be recognised
    for path in folder.glob(pattern):
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | _FLAGS)
            try:
                age = time.time() - os.fstat(descriptor).st_mtime
                if age > YOUNG_SECONDS and try_lock(descriptor):
                    os.unlink(path)  # noqa: PTH108
            finally:
                os.close(descriptor)


def _write(path: Path, data: bytes) -> None:
    """Write a new file and wait until it is on disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o666)
    try:
        left = memoryview(data)
        while left:  # os.write may write only a part
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until the entries of a folder are on disk."""
    if os.name == "nt":
        return  # Windows cannot open a folder
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_SYNC:
            raise
    finally:
        os.close(descriptor)


def cache_folder() -> Path:
    """Return the cache folder: $CHARRNN_CACHE, else `charrnn` in the user's cache folder."""
    if named := os.environ.get("CHARRNN_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
    return Path(base) / "charrnn"


def expanded(path: str) -> str:
    """Return a path with the home folder for ~ at its beginning; ~name is a usual name."""
    is_home = path == "~" or path.startswith("~/")
    return str(Path(path).expanduser()) if is_home else path


def split_number(name: str) -> tuple[str, float | None]:
    """Return a name and the number after its last colon: a.txt:0.5 is ("a.txt", 0.5).

    The number is None where there is none, or where a file has the whole name.
    """
    stem, _, number = name.rpartition(":")
    if not stem or Path(expanded(name)).exists() or not re.fullmatch(NUMBER, number):
        return name, None
    return stem, float(number)
