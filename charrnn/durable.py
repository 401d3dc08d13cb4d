"""Files that are there whole, or not at all, whatever happens while they are written."""

import errno
import os
from pathlib import Path


def write_durably(path: Path, data: bytes) -> None:
    """Put a file in place so that at any moment either the old or the new one is there, whole.

    Temporary file in the same folder, write, fsync, rename, fsync of the folder.

    Raises:
        OSError: It could not be written; the temporary file is gone, the old one untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)  # of a killed process that had our number
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return  # Windows cannot open a folder
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that cannot do it
            raise
    finally:
        os.close(descriptor)
