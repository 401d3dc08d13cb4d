"""Copy stdin to a file: a text is read more than once, and a resumed run reads it again."""

import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from charrnn.core.errors import InputError, printable, reason_of
from charrnn.core.files import held, sweep


@contextmanager
def spooled(files: tuple[str, ...], checkpoints: Path) -> Iterator[list[Path]]:
    """Yield the paths to read; stdin (-) and named pipes are copied to temporary files first."""
    if files.count("-") > 1:
        raise InputError("-: stdin can be read only once")
    if "" in files:
        raise InputError("the name of a file is empty")
    with ExitStack() as stack:
        yield [
            stack.enter_context(copied(name, checkpoints)) if is_pipe(name) else Path(name)
            for name in files
        ]


def is_pipe(name: str) -> bool:
    """True for - and for a named pipe, such as the <(...) of a shell."""
    with suppress(OSError, ValueError):
        return name == "-" or Path(name).is_fifo()
    return False


def shown_name(name: str) -> str:
    """Return the name of a pipe in messages."""
    return "stdin" if name == "-" else name


def spooled_names(files: Sequence[str], paths: Sequence[Path]) -> dict[Path, str]:
    """Return the names of copied pipes by the path of the copy."""
    pairs = zip(files, paths, strict=True)
    return {path: shown_name(name) for name, path in pairs if name != str(path)}


@contextmanager
def copied(name: str, checkpoints: Path) -> Iterator[Path]:
    """Yield a temporary file with the content of stdin or a named pipe."""
    sweep(checkpoints, ".stdin.*.tmp")
    spool = checkpoints / f".stdin.{secrets.token_hex(8)}.tmp"
    try:
        make_spool(spool, name)
        with held(spool):
            copy_pipe(name, spool)
            yield spool
    except InputError as error:
        shown = printable(shown_name(name))
        raise InputError(str(error).replace(printable(spool), shown)) from error
    finally:
        spool.unlink(missing_ok=True)
        with suppress(OSError):  # created for the spool and still empty
            checkpoints.rmdir()


def make_spool(spool: Path, name: str) -> None:
    """Create the file that a pipe is copied to."""
    if name == "-" and (sys.stdin is None or sys.stdin.isatty()):
        raise InputError("-: stdin is a terminal; pipe a text into it")
    try:
        spool.parent.mkdir(parents=True, exist_ok=True)
        spool.touch(exist_ok=False)
    except OSError as error:
        raise InputError(f"{printable(spool.parent)}: {reason_of(error)}") from None


def copy_pipe(name: str, spool: Path) -> None:
    """Copy stdin or a named pipe to a file and sync it."""
    try:
        with ExitStack() as stack, spool.open("wb") as file:
            is_stdin = name == "-"
            pipe = sys.stdin.buffer if is_stdin else stack.enter_context(Path(name).open("rb"))
            shutil.copyfileobj(pipe, file)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"{printable(spool.parent)}: {reason_of(error)}") from None
