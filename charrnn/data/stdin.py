"""Copy stdin to a file: a text is read more than once, and a resumed run reads it again."""

import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from charrnn.core.errors import InputError, printable, reason_of
from charrnn.core.files import held, sweep


@contextmanager
def spooled(files: tuple[str, ...], checkpoints: Path) -> Iterator[list[Path]]:
    """Yield the paths to read; stdin, given as -, is copied to a temporary file first."""
    paths = [Path(name) for name in files]
    if "-" not in files:
        yield paths
        return
    if files.count("-") > 1:
        raise InputError("-: stdin can be read only once")
    sweep(checkpoints, ".stdin.*.tmp")
    spool = checkpoints / f".stdin.{secrets.token_hex(8)}.tmp"
    try:
        make_spool(spool)
        with held(spool):
            copy_stdin(spool)
            yield [spool if str(path) == "-" else path for path in paths]
    except InputError as error:
        raise InputError(str(error).replace(printable(spool), "stdin")) from error
    finally:
        spool.unlink(missing_ok=True)
        with suppress(OSError):  # created for the spool and still empty
            checkpoints.rmdir()


def make_spool(spool: Path) -> None:
    """Create the file that stdin is copied to."""
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("-: stdin is a terminal; pipe a text into it")
    try:
        spool.parent.mkdir(parents=True, exist_ok=True)
        spool.touch(exist_ok=False)
    except OSError as error:
        raise InputError(f"{printable(spool.parent)}: {reason_of(error)}") from None


def copy_stdin(spool: Path) -> None:
    """Copy stdin to a file and sync it."""
    try:
        with spool.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"{printable(spool.parent)}: {reason_of(error)}") from None
