"""What a file is, by its first bytes: compressed text, a document, an archive, a picture."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from charrnn.core.console import count_text
from charrnn.core.errors import InputError, printable

HEAD = 1 << 9
"""Bytes at the start of a file that decide what it is."""

DAMAGED = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
"""Errors of a compressed file that is damaged or cut short."""

SAVE = "open it and save it as plain text (UTF-8)"
UNPACK = "unpack it, and name the texts inside"
NO_TEXT = "name a text file"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file that is not plain text."""

    name: str
    """With its article, for messages."""
    advice: str
    """The way to plain text."""


COMPRESSED: list[tuple[bytes, str, Callable[[BinaryIO], object]]] = [
    (b"\x1f\x8b\x08", "gzip", lambda file: gzip.GzipFile(fileobj=file)),
    (b"BZh", "bzip2", bz2.BZ2File),
    (b"\xfd7zXZ\0", "xz", lzma.LZMAFile),
]
"""Compressed files that are read as text: first bytes, name, stream of the text in them."""

UTF16 = (("utf-16-le", 1), ("utf-16-be", 0))
"""Encodings, and the index of the first high byte."""

FEW = 16
"""Fewer bytes are not recognised as UTF-16."""

BZIP2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")
"""A text may begin with BZh; a bzip2 file has one of these after it and a digit."""

DOCUMENTS = {
    b"mimetypeapplication/vnd.oasis.opendocument": "a LibreOffice document",
    b"mimetypeapplication/epub+zip": "an e-book (EPUB)",
    b"word/": "a Word document",
    b"xl/": "an Excel workbook",
    b"ppt/": "a PowerPoint presentation",
    b"[Content_Types].xml": "a document of Microsoft Office",
}
"""Kinds of zip files: bytes in the headers of the first entries."""

MAGIC = {
    b"%PDF-": Kind("a PDF", f"{SAVE}, or convert it: pdftotext FILE"),
    b"{\\rtf": Kind("an RTF document", SAVE),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": Kind("an old Word, Excel or Outlook file", SAVE),
    b"\x28\xb5\x2f\xfd": Kind("compressed with zstd", "unpack it: zstd -d FILE"),
    b"7z\xbc\xaf\x27\x1c": Kind("a 7-Zip archive", UNPACK),
    b"Rar!\x1a\x07": Kind("a RAR archive", UNPACK),
    b"\x89PNG\r\n\x1a\n": Kind("a PNG picture", NO_TEXT),
    b"\xff\xd8\xff": Kind("a JPEG picture", NO_TEXT),
    b"GIF87a": Kind("a GIF picture", NO_TEXT),
    b"GIF89a": Kind("a GIF picture", NO_TEXT),
    b"SQLite format 3\0": Kind("an SQLite database", "export a table as plain text"),
    b"\x7fELF": Kind("a program", NO_TEXT),
}


def kind_of(head: bytes) -> Kind | None:
    """Return the kind of a file with these first bytes; None for what may be plain text."""
    for magic, kind in MAGIC.items():
        if head.startswith(magic):
            return kind
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_kind(head)
    if head[257:262] == b"ustar":
        return Kind("a tar archive", f"{UNPACK}: tar -xf FILE")
    if head[60:68] == b"BOOKMOBI":
        return Kind("an e-book (MOBI)", SAVE)
    return None


def _zip_kind(head: bytes) -> Kind:
    """Return the kind of a zip file: most documents of office programs are such files."""
    for mark, name in DOCUMENTS.items():
        if mark in head:
            return Kind(name, SAVE)
    return Kind("a zip archive", f"{UNPACK}: unzip FILE")


def utf16_of(head: bytes) -> str | None:
    """Return the encoding of UTF-16 text by its NULs: every other byte of Latin letters is one."""
    for name, start in UTF16 if len(head) >= FEW else ():
        high, low = head[start::2], head[1 - start :: 2]
        if high.count(0) * 2 > len(high) and not low.count(0):
            return name
    return None


def compression_of(head: bytes) -> str | None:
    """Return the name of the compression of a file that is read as text, or None."""
    for magic, name, _ in COMPRESSED:
        if head.startswith(magic):
            is_bzip2 = head[3:4].isdigit() and head[4:10] in BZIP2_BLOCKS
            return name if name != "bzip2" or is_bzip2 else None
    return None


def head_of(path: Path, size: int = HEAD) -> bytes:
    """Return the first bytes of a file, as they are on disk."""
    with path.open("rb") as file:
        return file.read(size)


@contextmanager
def open_text(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading; of a compressed one, yield the text in it."""
    with path.open("rb") as file:
        compression = compression_of(file.peek(HEAD)[:HEAD])
        streams = [opened for _, name, opened in COMPRESSED if name == compression]
        yield cast(BinaryIO, streams[0](file)) if streams else file


def is_compressed(path: Path) -> bool:
    """True for a compressed file that is read as text."""
    return compression_of(head_of(path)) is not None


def kind_of_file(path: Path) -> Kind | None:
    """Return the kind of a file, or of what is compressed in it; None for plain text."""
    with open_text(path) as file:
        return kind_of(file.read(HEAD))


def no_text(path: Path, kind: Kind) -> InputError:
    """Return the error of a file that is named and is not text."""
    return InputError(f"{printable(path)}: is {kind.name}, not plain text; {kind.advice}")


def unfit(files: Sequence[object], reason: str) -> InputError:
    """Return the error of a text of one or more files that no model can learn."""
    more = f" and {count_text(len(files) - 1, 'more file')}" if len(files) > 1 else ""
    return InputError(f"{printable(files[0])}{more}: {reason}")


def damaged(path: Path, error: Exception) -> InputError:
    """Return the error of a compressed file that cannot be unpacked."""
    name = compression_of(head_of(path)) or "compressed"
    return InputError(
        f"{printable(path)}: the {name} file is damaged or cut short ({printable(error)}); "
        "name a whole copy of it"
    )
