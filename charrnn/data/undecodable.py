"""Messages about a file that is not in the encoding asked for: where, how much, which encoding."""

import codecs
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charrnn.core.errors import InputError, printable
from charrnn.data.file_kinds import FEW, open_text, utf16_of
from charrnn.data.reading import Reading

PIECE = 1 << 18
"""Bytes that are read together."""

AROUND = 1 << 15
"""Bytes before and after the first bad byte from which an encoding is guessed."""

ENCODINGS = {
    "cp1252": "Windows-1252",
    "cp932": "Shift-JIS",
    "euc_jp": "EUC-JP, Japanese",
    "gb18030": "GBK, Chinese",
    "big5": "Big5, Chinese",
    "cp949": "EUC-KR, Korean",
    "cp1251": "Windows-1251, Cyrillic",
    "koi8-r": "KOI8-R, Cyrillic",
    "cp1250": "Windows-1250, Central European",
    "iso8859-2": "ISO 8859-2, Central European",
    "cp1253": "Windows-1253, Greek",
    "cp1254": "Windows-1254, Turkish",
    "cp1255": "Windows-1255, Hebrew",
    "cp1256": "Windows-1256, Arabic",
    "cp1257": "Windows-1257, Baltic",
    "cp1258": "Windows-1258, Vietnamese",
    "cp874": "Windows-874, Thai",
    "cp866": "DOS 866, Cyrillic",
    "mac_roman": "Mac Roman",
    "cp437": "DOS 437",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "utf-8": "UTF-8",
}
"""Encodings that a message proposes, with the name that people know; the more usual ones first.

Latin-1 is not among them: it decodes every file, also into nonsense.
"""

ASCII = re.compile(r"[\x00-\x7f]+")

CONTROLS = frozenset(map(chr, range(0x80, 0xA0)))
"""Characters that Latin-1 has where Windows-1252 has quotes and dashes."""

NEAR = 0.03
"""Two decodings whose disorder, or share of letters, differs by no more than this are equal."""

LEAD = 0.045
"""Bonus of Windows-1252: accents of several languages count as disorder."""

LIKE = 0.12
"""Two decodings whose likeness to a language differs by no more than this are equal."""

FOREIGN_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True, slots=True)
class Damage:
    """What a pass over a file finds that is not in its encoding."""

    num_bytes: int
    """Bytes of the file, after unpacking."""
    num_bad: int
    """Bytes that cannot be decoded."""
    num_good: int
    """Characters outside ASCII that can."""
    line: int
    """Number of the line of the first bad byte, from 1."""


class Undecodable(InputError):
    """A file is not in the encoding asked for.

    Args:
        path: The file.
        what: Where it fails, and the way out.
        short: The encoding that it seems to have, for a note.
    """

    def __init__(self, path: Path, what: str, short: str) -> None:
        super().__init__(f"{printable(path)}: {what}")
        self.short = short


def examine(path: Path, encoding: str) -> Damage:
    """Read a whole file and count what cannot be decoded.

    Raises:
        UnicodeError: Nothing can be decoded: UTF-16 without a byte order mark.
    """
    first, num_bad, num_good, size, newlines = -1, 0, 0, 0, 0

    def leave_out(error: UnicodeError) -> tuple[str, int]:
        nonlocal num_bad, first
        assert isinstance(error, UnicodeDecodeError)
        num_bad += error.end - error.start
        first = size - held + error.start if first < 0 else first
        return "", error.end

    codecs.register_error("charrnn.count", leave_out)
    decoder, line = codecs.getincrementaldecoder(encoding)("charrnn.count"), 0
    with open_text(path) as file:
        while True:
            piece, held = file.read(PIECE), len(decoder.getstate()[0])
            text = decoder.decode(piece, not piece)
            num_good += 0 if text.isascii() else len(ASCII.sub("", text))
            if first >= 0 and not line:
                line = newlines + piece.count(b"\n", 0, max(0, first - size)) + 1
            if not piece:
                return Damage(size, num_bad, num_good, line)
            size, newlines = size + len(piece), newlines + piece.count(b"\n")


def guess(data: bytes) -> str | None:
    """Return the encoding in which bytes are most like a text; None if they are like none."""
    from charset_normalizer import from_bytes

    if b"\0" in data and (len(data) < FEW or utf16_of(data)):
        return utf16_of(data)
    names = [name for name in ENCODINGS if name.startswith("utf-16") == (b"\0" in data)]
    matches = list(from_bytes(data, cp_isolation=[name.replace("-", "_") for name in names]))
    matches = best_of(matches, order_of, NEAR)
    matches = best_of(matches, lambda match: share_of_text(str(match)), 0.02)
    matches = best_of(matches, lambda match: match.coherence, LIKE)
    found = {name.replace("_", "-") for match in matches for name in match.could_be_from_charset}
    return next((name for name in names if name.replace("_", "-") in found), None)


def order_of(match: Any) -> float:
    """Return how orderly a decoding is; Windows-1252, the most usual encoding, has a bonus."""
    return (LEAD if "cp1252" in match.could_be_from_charset else 0.0) - float(match.chaos)


def best_of(matches: list[Any], quality: Callable[[Any], float], near: float) -> list[Any]:
    """Return the matches whose quality is near the highest."""
    highest = max(map(quality, matches), default=0.0)
    return [match for match in matches if quality(match) >= highest - near]


def share_of_text(text: str) -> float:
    """Return the share of letters and punctuation among characters outside ASCII, or 1 without any."""
    categories = [unicodedata.category(character) for character in text if character > "\x7f"]
    count = sum(category[0] in "LMPZ" or category == "Nd" for category in categories)
    return count / len(categories) if categories else 1.0


def sample_around(path: Path, offset: int) -> bytes:
    """Return the lines around an offset that are not ASCII."""
    with open_text(path) as file:
        start = max(0, offset - AROUND) & ~1
        file.seek(start)
        data = file.read(2 * AROUND)
    if b"\0" in data:  # UTF-16: a newline has two bytes
        return data[: len(data) & ~1]
    if start:
        data = data[data.find(b"\n", 0, AROUND) + 1 :]
    data = data if len(data) < AROUND else data[: data.rfind(b"\n") + 1] or data
    return b"".join(line for line in data.splitlines(keepends=True) if not line.isascii())


def explain(path: Path, offset: int, reading: Reading) -> Undecodable:
    """Return the error of a file that cannot be decoded at an offset.

    Args:
        path: The file.
        offset: Offset of the first bad byte, after unpacking.
        reading: The encoding asked for, and the options that a message may propose.
    """
    encoding = reading.encoding
    name = printable(encoding.upper())
    try:
        damage = examine(path, encoding)
    except UnicodeError:
        damage = Damage(path.stat().st_size, path.stat().st_size, 0, 1)
    with open_text(path) as file:
        file.seek(offset)
        bad = file.read(1)
    where = f"byte 0x{bad.hex()} at offset {offset:,}" if bad else f"the end, at offset {offset:,},"
    count = f"{damage.num_bad:,} of {damage.num_bytes:,} bytes"
    what = f"{where} is not {name}: line {damage.line:,}, {count}"
    found = None if is_mostly_right(damage, encoding) else likely(path, offset, encoding)
    return Undecodable(path, f"{what}; {advice(found, damage, name, reading)}", short(found, name))


def is_latin_1(encoding: str) -> bool:
    """True for Latin-1, which decodes any file: bytes 0x80 to 0x9F become control characters."""
    return codecs.lookup(encoding).name == "iso8859-1"


def wrong_encoding_notes(paths: list[Path], encoding: str, characters: frozenset[str]) -> list[str]:
    """Return a note if texts that could be decoded are likely to be in another encoding."""
    if codecs.lookup(encoding).name == "utf-8":
        return []
    if wrong := next((path for path in paths if is_utf_8(path)), None):
        return [f"{printable(wrong)} is UTF-8, not {encoding.upper()}: leave --encoding out"]
    if is_latin_1(encoding) and characters & CONTROLS:
        what = "the text has control characters (U+0080 to U+009F)"
        return [f"read as latin-1, {what}: it is in another encoding, perhaps --encoding cp1252"]
    return []


def is_utf_8(path: Path) -> bool:
    """True for a file that is valid UTF-8 and has characters outside ASCII."""
    decoder, is_ascii = codecs.getincrementaldecoder("utf-8")(), True
    with open_text(path) as file:
        while piece := file.read(PIECE):
            try:
                decoder.decode(piece)
            except UnicodeError:
                return False
            is_ascii = is_ascii and piece.isascii()
    return not is_ascii and not decoder.getstate()[0]


def is_mostly_right(damage: Damage, encoding: str) -> bool:
    """True if far more characters outside ASCII are right than wrong."""
    return codecs.lookup(encoding).name == "utf-8" and damage.num_good > 4 * damage.num_bad


def likely(path: Path, offset: int, encoding: str) -> str | None:
    """Return the encoding that a file seems to have, other than the one asked for."""
    with open_text(path) as file:
        head = file.read(4)
    asked = codecs.lookup(encoding).name
    for mark, name in FOREIGN_MARKS.items():
        if head.startswith(mark):
            return name if name != asked else None
    if asked != "utf-8" and not examine(path, "utf-8").num_bad:
        return "utf-8"
    found = guess(sample_around(path, offset))
    return found if found and codecs.lookup(found).name != asked else None


def short(found: str | None, name: str) -> str:
    """Return what a note says about the file."""
    return f"looks like {found}" if found else f"not {name}"


def advice(found: str | None, damage: Damage, name: str, reading: Reading) -> str:
    """Return the way out: another encoding, or characters left out."""
    has_options = reading.has_options
    leave_out = "--errors skip leaves such bytes out, --errors replace puts U+FFFD there"
    if found:
        title = f" ({ENCODINGS[found]})" if found in ENCODINGS else ""
        use = (
            f"use --encoding {found}"
            if reading.has_encoding
            else f"iconv -f {found} -t {name} FILE converts it"
        )
        others = f"; or {leave_out}" if has_options and damage.num_bad < 10 else ""
        return f"it looks like {found}{title}; {use}{others}"
    if damage.num_bad * 100 < damage.num_bytes:
        correct = f"the rest is {name}; "
        return correct + (leave_out if has_options else f"iconv -c -f {name} FILE leaves it out")
    return "it looks binary; " + ("use --bytes" if has_options else "name a text file")
