"""Find text files and decode their bytes into code points, chunk by chunk."""

import codecs
import io
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from charrnn.core.errors import InputError, printable, reason_of

CHUNK = 1 << 18
"""Bytes per read; the decoded chunk fits the cache of a processor."""

PROBE = 1 << 16
"""Bytes at the start of a file in which a NUL means that the file is not text."""

NEWLINE, CARRIAGE_RETURN, MARK = 0x0A, 0x0D, 0xFEFF
"""Code points; MARK is a byte order mark only at the start of a file."""

FOREIGN_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How bytes are decoded into symbols."""

    bytes: bool = False
    encoding: str = "utf-8"
    newlines: str = "keep"

    def __post_init__(self) -> None:
        try:
            codecs.getincrementaldecoder(self.encoding)("strict")
            "".encode(self.encoding)
        except (LookupError, TypeError, ValueError):
            name = printable(self.encoding)
            raise InputError(
                f"--encoding: {name} is no text encoding that Python knows; try utf-8 or latin-1"
            ) from None


@dataclass(slots=True)
class Survey:
    """Results of one pass over a text."""

    seen: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0x110000, dtype=np.bool_))
    """True for each code point that occurs, (0x110000,)."""
    num_crlf: int = 0
    """CRLF line ends that are kept."""
    num_boms: int = 0


def find_files(paths: list[Path]) -> tuple[list[Path], list[str]]:
    """Return the files to read, in the order given, directories in sorted order; and notes.

    In a directory, hidden files are skipped, and files with a NUL near their start: they are not
    text.

    Raises:
        InputError: A path is missing, not readable, no regular file, or a directory without text.
    """
    files: list[Path] = []
    notes: list[str] = []
    for path in paths:
        try:
            if path.is_dir():
                found, skipped = _walk(path)
                files += found
                if skipped:
                    notes.append(f"{printable(path)}: {skipped} files passed over, no text")
            else:
                _check_regular(path)
                files.append(path)
        except OSError as error:  # in a folder the error may be about a file
            raise _unreadable(Path(error.filename or path), error) from None
    return files, notes


def _walk(folder: Path) -> tuple[list[Path], int]:
    candidates = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not (path.parent / ".lock").exists()  # a run folder, not text
    ]
    files = [path for path in candidates if not has_nul(path)]
    if not files:
        raise InputError(f"{printable(folder)}: no text in this directory; name a text file")
    return files, len(candidates) - len(files)


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
    """True if a file has a NUL near its start: it is not text."""
    with path.open("rb") as file:
        return b"\0" in file.read(PROBE)


Codes = NDArray[np.unsignedinteger]
"""Code points, or bytes: uint8 where a chunk is ASCII, else uint16 or, above U+FFFF, uint32."""


def read_codes(path: Path, reading: Reading, survey: Survey) -> Iterator[Codes]:
    """Yield the symbols of a file as arrays of code points (or bytes), a chunk at a time.

    A byte order mark is dropped and counted.

    Raises:
        InputError: The file is not in this encoding; the byte offset is named.
    """
    try:
        with path.open("rb") as file:
            if reading.bytes:
                yield from _read_bytes(file)
            else:
                yield from _read_text(file, path, reading, survey)
    except OSError as error:
        raise _unreadable(path, error) from None


def _read_bytes(file: io.BufferedReader) -> Iterator[Codes]:
    while chunk := file.read(CHUNK):
        yield np.frombuffer(chunk, dtype=np.uint8)


def _read_text(
    file: io.BufferedReader, path: Path, reading: Reading, survey: Survey
) -> Iterator[Codes]:
    last = None
    for codes, num_crlf in _decoded(file, path, reading):
        is_start, is_after_return, last = last is None, last == CARRIAGE_RETURN, codes[-1]
        survey.num_crlf += num_crlf + int(is_after_return and codes[0] == NEWLINE)
        if is_start and codes[0] == MARK:
            survey.num_boms += 1
            codes = codes[1:]
        if len(codes):
            yield codes


def _decoded(file: io.BufferedReader, path: Path, reading: Reading) -> Iterator[tuple[Codes, int]]:
    """Yield non-empty arrays of code points, and the number of CRLF in each."""
    decoder = codecs.getincrementaldecoder(reading.encoding)("strict")
    lines = io.IncrementalNewlineDecoder(None, translate=True) if reading.newlines == "lf" else None
    is_utf8 = codecs.lookup(reading.encoding).name == "utf-8"
    position, is_wide = 0, False
    while True:
        chunk = file.read(CHUNK)
        if is_utf8 and lines is None and chunk.isascii() and not _pending(decoder) and chunk:
            num_crlf = chunk.count(b"\r\n") if b"\r" in chunk else 0
            yield np.frombuffer(chunk, dtype=np.uint8), num_crlf  # ASCII needs no decoding
        else:
            text = _decode(decoder, chunk, path, position, reading)
            if lines is not None:
                text = lines.decode(text, final=not chunk)
            if text:
                num_crlf = (
                    text.count("\r\n") if "\r" in text else 0
                )  # the search for one byte is fast
                codes = _code_points(text, is_wide=is_wide)
                is_wide = codes.dtype == np.uint32  # one wide character is mostly followed by more
                yield codes, num_crlf
        if not chunk:
            return
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
        raise _undecodable(path, position - held + start, reading) from None


def _undecodable(path: Path, offset: int, reading: Reading) -> InputError:
    with path.open("rb") as file:
        head = file.read(PROBE)
        file.seek(offset)
        bad = file.read(1)
    where = f"byte 0x{bad.hex()} at offset {offset:,}" if bad else f"the end, at offset {offset:,},"
    what = f"{printable(path)}: {where} is not {printable(reading.encoding.upper())}"
    for mark, name in FOREIGN_MARKS.items():
        if head.startswith(mark) and name != codecs.lookup(reading.encoding).name:
            return InputError(f"{what}: it looks like {name}; use --encoding {name}")
    if b"\0" in head:
        return InputError(f"{what}: it looks binary; use --bytes")
    return InputError(f"{what}; use --encoding latin-1 (or another), or --bytes")
