"""Files that are there whole, or not at all, whatever happens while they are written.

All writing goes through the names of `os` as they stand here, so that a test can put a recorder,
or a disk that fails, in its place.
"""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

READ_SIZE = 1 << 20

YOUNG_SECONDS = 60.0
"""A temporary file younger than this may belong to a process that is about to lock it."""

CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP)
"""What a file system says that cannot sync a folder."""

_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def write_durably(path: Path, data: bytes) -> None:
    """Put a file in place so that at any moment either the old or the new one is there, whole.

    Temporary file in the same folder, write, fsync, rename, fsync of the folder.

    Raises:
        OSError: It could not be written; the temporary file is gone, the old one untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with suppress(FileNotFoundError):
        os.unlink(temporary)  # noqa: PTH108  (of a killed process that had our number)
    try:
        _write(temporary, data)
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise
    sync_folder(path.parent)


def verify(path: Path, data: bytes) -> None:
    """Read a file back and compare.

    Raises:
        OSError: It cannot be read, or is not what was written.
    """
    descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    try:
        place = 0
        while piece := os.read(descriptor, READ_SIZE):
            if data[place : place + len(piece)] != piece:
                break
            place += len(piece)
    finally:
        os.close(descriptor)
    if place != len(data):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def remove(path: Path) -> None:
    """Delete a file; one that stays for some reason does no harm."""
    with suppress(OSError):
        os.unlink(path)  # noqa: PTH108


def remove_temporary(folder: Path) -> None:
    """Delete what killed processes left half-written. Nobody else may be writing in the folder."""
    for path in folder.glob(".*.tmp"):
        remove(path)


def try_lock(descriptor: int) -> bool:
    """Lock an open file for as long as it is open; the kernel lets go when its process dies.

    False if another process holds it; True also where the system or its files know no locks.
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
    """Say whether somebody holds a file's lock.

    False also where that cannot be told: there is no such file, we may not read it, or the system
    knows no locks.
    """
    try:
        import fcntl

        # To open a pipe would wait for ever.
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
    """Keep a temporary file from being swept away while it is written and used."""
    descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    try:
        try_lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def sweep(folder: Path, pattern: str) -> None:
    """Delete temporary files, in a folder that many processes use, that nobody holds any more."""
    if os.name == "nt":
        return  # there are no locks to tell by
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
    """Write a new file and wait until it is on the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o666)
    try:
        left = memoryview(data)
        while left:  # the system may take less than it is given
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
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
    """Return the cache folder: CHARRNN_CACHE, else the user's own."""
    if named := os.environ.get("CHARRNN_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
    return Path(base) / "charrnn"
