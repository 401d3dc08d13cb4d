"""Find text files and decode their bytes into code points, chunk by chunk."""

import codecs
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from charrnn.core.console import count_text
from charrnn.core.errors import InputError, printable, reason_of
from charrnn.data.columns import column_text, is_table
from charrnn.data.file_kinds import (
    DAMAGED,
    HEAD,
    compression_of,
    damaged,
    head_of,
    kind_of,
    kind_of_file,
    no_text,
    open_text,
)
from charrnn.data.reading import Converter, Reading, Survey
from charrnn.data.undecodable import Undecodable, examine, explain

CHUNK = 1 << 18
"""Bytes per read; the decoded chunk fits the cache of a processor."""

MOST_NAMED = 5
"""Files of a folder that a note names."""

PROBE = 1 << 16
"""Bytes at the start of a file in which a NUL means that the file is not text."""

NEWLINE, CARRIAGE_RETURN, MARK = 0x0A, 0x0D, 0xFEFF
"""Code points; MARK is a byte order mark only at the start of a file."""

HANDLERS = {"strict": "strict", "replace": "replace", "skip": "ignore"}
"""Python's names for the values of --errors."""


LINKED = "a linked folder; it is read if you name it"


def find_files(
    paths: list[Path], reading: Reading | None = None, *, check_encoding: bool = True
) -> tuple[list[Path], list[str]]:
    """Return the files to read, in the order given, directories in sorted order; and notes.

    In a directory, hidden files are skipped, and files that are not text: with a NUL near their
    start, of a kind that is known by its first bytes, or not in the encoding asked for. The last
    of these reads every file whole; without `check_encoding` it is left out.

    Raises:
        InputError: A path is missing, not readable, no regular file, or a directory without text.
    """
    files: list[Path] = []
    notes: list[str] = []
    for path in paths:
        try:
            if path.is_dir():
                found, skipped = _walk(path, reading or Reading(), check_encoding=check_encoding)
                files += found
                if skipped:
                    notes.append(_passed_over(path, skipped))
            else:
                _check_regular(path)
                files.append(path)
        except OSError as error:  # in a folder the error may be about a file
            raise _unreadable(Path(error.filename or path), error) from None
    return files, notes


def _walk(
    folder: Path, reading: Reading, *, check_encoding: bool
) -> tuple[list[Path], dict[Path, str]]:
    """Return the texts of a folder, and what each other file is."""
    visible = [
        path
        for path in sorted(folder.rglob("*"))
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not (path.parent / ".lock").exists()  # a run folder, not text
    ]
    candidates = [path for path in visible if path.is_file()]
    skipped = {path: LINKED for path in visible if path.is_symlink() and path.is_dir()}
    skipped |= {path: what for path in candidates if (what := _not_text(path, reading))}
    files = [path for path in candidates if path not in skipped]
    wrong = _not_decodable(files, reading) if check_encoding else {}
    if 2 * len(wrong) >= len(files) and wrong:
        raise next(iter(wrong.values()))  # not an exception among many, but the encoding
    skipped |= {path: error.short for path, error in wrong.items()}
    files = [path for path in files if path not in wrong]
    if not files:
        raise InputError(f"{printable(folder)}: no text in this directory; {_instead(skipped)}")
    return files, skipped


def _not_text(path: Path, reading: Reading) -> str:
    """Return what a file in a folder is if it is not read; empty for a text."""
    head = head_of(path, PROBE)
    if not reading.bytes:
        if compression := compression_of(head):
            return f"compressed with {compression}; it is read if you name it"
        if kind := kind_of(head[:HEAD]):
            return kind.name
    return "no text" if b"\0" in head else ""


def _not_decodable(files: list[Path], reading: Reading) -> dict[Path, Undecodable]:
    """Return the files that are not in the encoding asked for, with their errors."""
    found = {}
    for path in files if not reading.bytes and reading.errors == "strict" else ():
        try:
            for _ in read_codes(path, reading, Survey()):
                pass
        except Undecodable as error:
            found[path] = error
    return found


def _passed_over(folder: Path, skipped: dict[Path, str]) -> str:
    """Return the note about files of a folder that are not read."""
    named = [f"{printable(p.relative_to(folder))} ({what})" for p, what in skipped.items()]
    more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    count = count_text(len(named), "link" if {*skipped.values()} == {LINKED} else "file")
    return f"{printable(folder)}: {count} passed over: {', '.join(named[:MOST_NAMED])}{more}"


def _instead(skipped: dict[Path, str]) -> str:
    """Return what to do where a folder has no text."""
    for path, what in skipped.items():
        if what.startswith("compressed"):
            return f"compressed texts are read if you name them, such as {printable(path)}"
        if what == LINKED:
            return f"linked folders are read if you name them, such as {printable(path)}"
    return "name a text file"


def _check_regular(path: Path) -> None:
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise InputError(
            f"{printable(path)}: not a regular file; pipe it into `charrnn train -` instead"
        )
    with path.open("rb"):
        pass  # raises OSError if it cannot be read


def _unreadable(path: Path, error: OSError) -> InputError:
    reason = reason_of(error)
    return InputError(f"{printable(path)}: {reason}; name a text file that can be read")


def has_nul(path: Path) -> bool:
    """True if a file, unpacked if it is compressed, has a NUL near its start: it is not text."""
    try:
        with open_text(path) as file:
            return b"\0" in file.read(PROBE)
    except DAMAGED:
        return False  # reading it reports the error


Codes = NDArray[np.unsignedinteger]
"""Code points, or bytes: uint8 where a chunk is ASCII, else uint16 or, above U+FFFF, uint32."""


def read_codes(path: Path, reading: Reading, survey: Survey) -> Iterator[Codes]:
    """Yield the symbols of a file as arrays of code points (or bytes), a chunk at a time.

    A byte order mark is dropped and counted. A compressed file is unpacked, unless bytes are read.

    Raises:
        InputError: The file is no text, or not in this encoding; line and byte offset are named.
    """
    try:
        if reading.bytes:
            with path.open("rb") as file:
                yield from _read_bytes(file)
            return
        if kind := kind_of_file(path):
            raise no_text(path, kind)
        with open_text(path) as file:
            yield from _read_text(file, path, reading, survey)
        if reading.errors != "strict":
            survey.num_bad += examine(path, reading.encoding).num_bad
    except DAMAGED as error:
        raise damaged(path, error) from None
    except OSError as error:
        raise _unreadable(path, error) from None


def closed(chunks: Iterable[Codes], *, adds_newline: bool) -> Iterable[Codes]:
    """Yield the chunks of a file, and a final newline if it lacks one."""
    last = NEWLINE
    for chunk in chunks:
        last = int(chunk[-1])
        yield chunk
    if adds_newline and last != NEWLINE:
        yield np.array([NEWLINE], dtype=np.uint8)


@dataclass(slots=True)
class Text:
    """A file whose code points are read twice."""

    path: Path
    reading: Reading
    adds_newline: bool
    held: list[Codes] | None
    """Code points to read the second time; None if the file is decoded again, as ASCII always is:
    memory for it costs more than reading it."""

    def first(self, survey: Survey) -> Iterator[Codes]:
        """Yield the code points."""
        chunks = read_codes(self.path, self.reading, survey)
        for number, codes in enumerate(closed(chunks, adds_newline=self.adds_newline)):
            if number == 0 and codes.dtype == np.uint8:
                self.held = None
            if self.held is not None:
                self.held.append(codes)
            yield codes

    def second(self) -> Iterator[Codes]:
        """Yield the code points again; those held are dropped on the way."""
        if self.held is None:
            yield from self.first(Survey())
        else:
            while self.held:
                yield self.held.pop(0)


def _read_bytes(file: BinaryIO) -> Iterator[Codes]:
    while chunk := file.read(CHUNK):
        yield np.frombuffer(chunk, dtype=np.uint8)


def _read_text(file: BinaryIO, path: Path, reading: Reading, survey: Survey) -> Iterator[Codes]:
    is_start = True
    # A model that learned a column also reads texts that are no tables.
    has_column = reading.column and (reading.has_options or is_table(path))
    read = _of_column if has_column else _decoded
    for codes in read(file, path, reading, survey):
        if is_start and codes[0] == MARK:
            survey.num_boms += 1
            codes = codes[1:]
        is_start = False
        if len(codes):
            yield codes


def _decoded(file: BinaryIO, path: Path, reading: Reading, survey: Survey) -> Iterator[Codes]:
    """Yield non-empty arrays of code points."""
    decoder = codecs.getincrementaldecoder(reading.encoding)(HANDLERS[reading.errors])
    converter, position, is_wide = Converter(reading, survey), 0, False
    is_utf8 = codecs.lookup(reading.encoding).name == "utf-8"
    while True:
        chunk = file.read(CHUNK)
        if is_utf8 and converter.keeps(chunk) and not _pending(decoder) and chunk:
            yield np.frombuffer(chunk, dtype=np.uint8)  # ASCII needs no decoding
        else:
            text = _decode(decoder, chunk, path, position, reading)
            if text := converter.feed(text, final=not chunk):
                codes = _code_points(text, is_wide=is_wide)
                is_wide = codes.dtype == np.uint32  # one wide character is mostly followed by more
                yield codes
        if not chunk:
            return
        position += len(chunk)


def _of_column(file: BinaryIO, path: Path, reading: Reading, survey: Survey) -> Iterator[Codes]:
    """Yield non-empty arrays of code points: the fields of a column, a line end after each."""
    converter, held, size = Converter(reading, survey), [""], 0
    texts = _texts(file, path, reading)
    for field in column_text(texts, path, reading.column, one_line=reading.one_line):
        held.append(field)
        size += len(field)
        if size >= CHUNK:
            if text := converter.feed("".join(held), final=False):
                yield _code_points(text, is_wide=False)
            held, size = [], 0
    if text := converter.feed("".join(held), final=True):
        yield _code_points(text, is_wide=False)


def _texts(file: BinaryIO, path: Path, reading: Reading) -> Iterator[str]:
    """Yield the decoded text in pieces."""
    decoder = codecs.getincrementaldecoder(reading.encoding)(HANDLERS[reading.errors])
    position, chunk = 0, b"-"
    while chunk:
        chunk = file.read(CHUNK)
        yield _decode(decoder, chunk, path, position, reading)
        position += len(chunk)


def _code_points(text: str, *, is_wide: bool) -> Codes:
    """Return the code points of a text, in 16 bits where they fit: half the memory traffic."""
    narrow = b"" if is_wide else text.encode("utf-16-le", "surrogatepass")
    if len(narrow) == 2 * len(text):  # no surrogate pair
        return np.frombuffer(narrow, dtype=np.uint16)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def _pending(decoder: codecs.IncrementalDecoder) -> int:
    held = decoder.getstate()[0]
    return len(held)


def _decode(
    decoder: codecs.IncrementalDecoder, chunk: bytes, path: Path, position: int, reading: Reading
) -> str:
    held = _pending(decoder)
    try:
        return decoder.decode(chunk, not chunk)
    except UnicodeError as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        offset = position - held + start
        raise explain(path, offset, reading) from None
