"""Results on stdout or in a file: text, JSON lines, tables; closed pipes."""

import io
import json
import math
import os
import stat
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import get_terminal_size
from typing import BinaryIO

from charrnn.core.console import is_terminal
from charrnn.core.errors import (
    BusyError,
    CharRNNError,
    ClosedPipeError,
    InputError,
    escape_controls,
    is_control,
    printable,
    reason_of,
)
from charrnn.core.files import try_lock
from charrnn.core.overwriting import remember_output

FLUSH_SECONDS = 0.1
"""Interval at which output to a file or pipe is flushed."""


class OutputStream:
    """A binary stream that text is written to.

    Args:
        stream: Receives the bytes.
        for_terminal: The stream is a terminal: flush each piece, escape control characters.
        raw: Send control characters to a terminal unescaped.
    """

    def __init__(self, stream: BinaryIO, *, for_terminal: bool = False, raw: bool = False) -> None:
        self.for_terminal = for_terminal
        self._stream, self._raw, self._held = stream, raw, ""
        self._flushed = -math.inf

    def text(self, text: str, raw: bytes) -> None:
        """Write a piece: the text to a terminal, its raw bytes elsewhere."""
        if self.for_terminal:
            text, self._held = self._held + text, ""
            if text.endswith("\r") and not self._raw:  # of a line end, if the next piece begins so
                text, self._held = text[:-1], "\r"
            shown = text if self._raw else escape_controls(text)
            self._write(shown.encode("utf-8", "backslashreplace"))
        else:
            self._write(raw)

    def hurry(self) -> None:
        """Flush the next piece, for which a reader has waited."""
        self._flushed = -math.inf

    def put(self, data: bytes) -> None:
        """Write bytes as they are."""
        self._held = ""
        self._write(data)

    def _write(self, data: bytes) -> None:
        if not data:
            return
        self._stream.write(data)
        now = time.monotonic()
        if self.for_terminal or now - self._flushed > FLUSH_SECONDS:
            self._stream.flush()
            self._flushed = now


@contextmanager
def open_output(
    path: Path | None, *, raw: bool, stream: BinaryIO | None = None
) -> Iterator[OutputStream]:
    """Yield the output stream of a file or stdout; flush it at the end.

    Args:
        path: The file to overwrite; None is stdout.
        raw: Send control characters to a terminal unescaped.
        stream: The file if it is already open; the caller closes it.

    Raises:
        InputError: The file cannot be opened.
        CharRNNError: stdout is closed, or the disk is full.
    """
    if path is None and sys.stdout is None:
        raise CharRNNError("stdout is closed: the output has no destination; use -o FILE")
    is_ours, wrapper = path is not None and stream is None, None
    try:
        stream = stream or (sys.stdout.buffer if path is None else emptied(path))
        if isinstance(stream, io.RawIOBase):  # PYTHONUNBUFFERED: each write would be a system call
            stream = wrapper = io.BufferedWriter(stream)
    except OSError as error:
        raise InputError(f"-o: {printable(path)}: {reason_of(error)}") from None
    try:
        yield OutputStream(stream, for_terminal=path is None and is_terminal(sys.stdout), raw=raw)
        stream.flush()
    except BrokenPipeError:
        raise leave_pipe() from None
    except OSError as error:
        where = printable(path or "stdout")
        if path is None:
            drop_stdout()
        raise CharRNNError(f"{where}: not written: {reason_of(error)}") from None
    finally:
        if is_ours:
            with suppress(OSError):  # everything is flushed, or the error is already raised
                stream.close()
        if wrapper is not None:
            with suppress(OSError):  # as above; what is detached is not closed
                wrapper.detach()
        if path is not None:
            remember_output(path)


def emptied(path: Path) -> BinaryIO:
    """Open a file for writing, locked and empty; create it if needed.

    Raises:
        BusyError: Another process writes it.
    """
    stream = path.open("ab")
    if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        if not try_lock(stream.fileno()):
            stream.close()
            raise BusyError(
                f"{printable(path)}: another process writes to it; wait for it or stop it"
            )
        stream.truncate(0)
    return stream


def leave_pipe() -> ClosedPipeError:
    """Return the error that ends a command after its reader closed stdout."""
    drop_stdout()
    return ClosedPipeError("the reader of stdout has gone")


def drop_stdout() -> None:
    """Discard buffered output: the interpreter flushes it at exit and would report an error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def stdout_has_colours() -> bool:
    """True if stdout is a terminal and NO_COLOR is not set."""
    return is_terminal(sys.stdout) and not os.environ.get("NO_COLOR")


def print_result(text: str, *, raw: bool = False) -> None:
    """Print a line on stdout as UTF-8; raw keeps the escape sequences of colours."""
    with open_output(None, raw=raw) as out:
        out.text(text + "\n", text.encode("utf-8", "surrogateescape") + b"\n")


def json_line(fields: Mapping[str, object]) -> str:
    """Return an object as one line of JSON; control characters become JSON escapes."""
    text = json.dumps(fields, ensure_ascii=False, allow_nan=False)
    line = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(f"\\u{ord(c):04x}" if is_control(c) else c for c in line)


def trimmed(line: str) -> str:
    """Return a line cut to the width of the terminal; the whole line if stdout is no terminal."""
    if not is_terminal(sys.stdout):
        return line
    from rich.text import Text

    text = Text(line)
    text.truncate(get_terminal_size().columns, overflow="ellipsis")
    return text.plain


def print_table(
    names: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[int] = ()
) -> None:
    """Print a table with a header: aligned on a terminal, tab-separated elsewhere.

    Args:
        names: The header.
        rows: One text a column.
        numeric: Indices of right-aligned columns.
    """
    lines = [[printable(cell) for cell in row] for row in (names, *rows)]
    if is_terminal(sys.stdout):
        print_result(aligned(lines, numeric))
    else:
        print_result("\n".join("\t".join(line) for line in lines))


def aligned(lines: Sequence[Sequence[str]], numeric: Sequence[int]) -> str:
    """Return a table as wide as the terminal; the first line is the header."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, name in enumerate(lines[0]):
        table.add_column(
            Text(name), justify="right" if index in numeric else "left", overflow="fold"
        )
    for line in lines[1:]:
        table.add_row(*map(Text, line))
    return rendered(table).rstrip("\n")


def rendered(table: object) -> str:
    """Return a rich table as text, as wide as the terminal."""
    from rich.console import Console

    stream = io.StringIO()
    Console(file=stream, color_system=None).print(table)
    return stream.getvalue()
