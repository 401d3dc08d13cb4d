"""How a text becomes the characters of a model: encoding, line ends, normal form.

Every text from a user is converted here, whether it is learned, scored, compared or continued.
"""

import codecs
import unicodedata
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from charrnn.core.console import count_text
from charrnn.core.errors import InputError, printable

LINE_ENDS = {"lf": "\n", "crlf": "\r\n", "cr": "\r"}
"""Line ends by the values of Reading.newlines."""

NAMES = {"crlf": "Windows line end", "cr": "old Mac line end", "lf": "line end"}

MARK = "\ufeff"
"""The byte order mark."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How bytes are decoded into symbols."""

    bytes: bool = False
    encoding: str = "utf-8"
    newlines: str = "keep"
    """Line ends after conversion: keep, lf, crlf or cr; the last two only for old models."""
    errors: str = "strict"
    """What to do with bytes that are not in the encoding: strict refuses, replace, skip."""
    normalize: str = "keep"
    """Unicode normal form: keep or nfc."""
    column: str = ""
    """The column of a table (CSV, TSV, JSON lines) that is the text; empty for plain text."""
    one_line: bool = False
    """Line ends inside a field of the column become blanks."""
    known: frozenset[str] | None = field(default=None, compare=False, repr=False)
    """Characters of a model: one that it lacks is read in its other normal form, if it has that."""
    has_options: bool = field(default=True, compare=False)
    """True where the command has the options of `train`, which a message may propose."""
    has_encoding: bool = field(default=True, compare=False)
    """True where the command has --encoding."""

    def __post_init__(self) -> None:
        try:
            codecs.getincrementaldecoder(self.encoding)("strict")
            "".encode(self.encoding)
        except (LookupError, TypeError, ValueError):
            name = printable(self.encoding)
            raise InputError(
                f"--encoding: {name} is no text encoding that Python knows; try utf-8 or cp1252"
            ) from None

    def convert(self, text: str, survey: "Survey | None" = None) -> str:
        """Return a text that is already decoded, with the line ends and the normal form."""
        converter = Converter(self, Survey() if survey is None else survey)
        return text if self.bytes else converter.feed(text, final=True)


@dataclass(slots=True)
class Survey:
    """Results of one pass over a text."""

    seen: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0x110000, dtype=np.bool_))
    """True for each code point that occurs, (0x110000,)."""
    num_line_ends: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))
    """Line ends of each kind, before conversion; of kinds besides LF where there is a CR."""
    num_marks: int = 0
    """Byte order marks within the text, which are kept."""
    num_boms: int = 0
    num_bad: int = 0
    """Bytes that are not in the encoding, and are replaced or left out."""
    num_formed: int = 0
    """Characters that are converted to another normal form."""


class Converter:
    """Converts line ends and normal form of a text, piece by piece.

    Args:
        reading: What to convert to.
        survey: Receives the counts.
    """

    def __init__(self, reading: Reading, survey: Survey) -> None:
        self._reading, self._survey = reading, survey
        self._forms = reading.normalize != "keep" or reading.known is not None
        self._held_return = self._held = ""

    def keeps(self, chunk: bytes) -> bool:
        """True for ASCII that is converted to itself, whatever follows it."""
        is_open = self._forms or self._held_return or self._reading.newlines not in ("keep", "lf")
        return not is_open and chunk.isascii() and b"\r" not in chunk

    def feed(self, text: str, *, final: bool) -> str:
        """Return the next piece of the text, as far as the pieces to come cannot change it."""
        text, self._held_return = self._held_return + text, ""
        if not final and text.endswith("\r"):
            text, self._held_return = text[:-1], "\r"
        text = self._convert_lines(text)
        if not text.isascii():
            self._survey.num_marks += text.count(MARK)
        if not self._forms:
            return text
        text, self._held = self._held + text, ""
        end = len(text)
        while not final and end:
            end -= 1
            if not continues(text[end]):
                break
        self._held, text = ("", text) if final else (text[end:], text[:end])
        return self._convert_forms(text)

    def _convert_lines(self, text: str) -> str:
        newlines, counts = self._reading.newlines, self._survey.num_line_ends
        has_return = "\r" in text
        if not has_return and newlines in ("keep", "lf"):
            return text
        num_crlf = text.count("\r\n") if has_return else 0
        counts["crlf"] += num_crlf
        counts["cr"] += text.count("\r") - num_crlf if has_return else 0
        counts["lf"] += text.count("\n") - num_crlf
        if newlines == "keep":
            return text
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        return text if newlines == "lf" else text.replace("\n", LINE_ENDS[newlines])

    def _convert_forms(self, text: str) -> str:
        if text.isascii():
            return text
        if self._reading.normalize == "nfc":
            composed = unicodedata.normalize("NFC", text)
            if composed != text:
                self._survey.num_formed += max(1, len(text) - len(composed))
                text = composed
        known = self._reading.known
        if known is None or known.issuperset(text):
            return text
        parts = clusters(text)
        formed = [known_form(part, known) for part in parts]
        self._survey.num_formed += sum(a != b for a, b in zip(parts, formed, strict=True))
        return "".join(formed)


def continues(character: str) -> bool:
    """True for a character that may be composed with the one before: a mark, or a Hangul letter."""
    return character > "\u02ff" and (
        unicodedata.category(character)[0] == "M" or "\u1160" <= character <= "\u11ff"
    )


def clusters(text: str) -> list[str]:
    """Return a text as characters, each with the marks that follow it."""
    parts: list[str] = []
    for character in text:
        if parts and continues(character):
            parts[-1] += character
        else:
            parts.append(character)
    return parts


def known_form(cluster: str, known: frozenset[str]) -> str:
    """Return a character with its marks in the normal form that is known; unchanged without one."""
    if known.issuperset(cluster):
        return cluster
    forms = (unicodedata.normalize(form, cluster) for form in ("NFC", "NFD"))
    return next((form for form in forms if known.issuperset(form)), cluster)


def conversion_notes(survey: Survey, reading: Reading) -> list[str]:
    """Return notes about line ends, byte order marks and normal forms."""
    notes = line_end_notes(survey, reading)
    if more := survey.num_marks - survey.num_boms:
        are = "mark stays" if more == 1 else "marks stay"
        notes.append(
            f"{more:,} more byte order {are} in the text (U+FEFF, invisible), as where files "
            "were joined by cat; name the files one by one"
        )
    if survey.num_formed:
        are = "character is" if survey.num_formed == 1 else "characters are"
        why = "composed (NFC)" if reading.known is None else "read in the form that the model knows"
        notes.append(f"{survey.num_formed:,} accented {are} {why}")
    if reading.known is None and reading.normalize == "keep" and has_loose_accents(survey):
        notes.append(
            "accents are characters of their own (Unicode NFD, as in names of files on a Mac); "
            "--normalize nfc joins them with their letters"
        )
    return notes


def line_end_notes(survey: Survey, reading: Reading) -> list[str]:
    """Return notes about line ends that are converted, or kept although they are not LF."""
    counts = survey.num_line_ends
    if reading.newlines == "keep":
        keeps = "kept; without --newlines keep they become LF" * reading.has_options
        kinds = ["crlf"] if keeps else []
    else:
        end, kinds = reading.newlines.upper(), [k for k in NAMES if k != reading.newlines]
        keeps = f"read as {end}" + "; --newlines keep leaves them" * reading.has_options
        if not reading.has_options:
            keeps = f"read as {end}, as in the text of the model"
    return [
        f"{count_text(counts[kind], NAMES[kind])} ({kind.upper()}) {keeps}"
        for kind in kinds
        if counts.get(kind)
    ]


ACCENTS = tuple(range(0x300, 0x345)) + (0x3099, 0x309A)
"""Marks that are composed with letters."""


def has_loose_accents(survey: Survey) -> bool:
    """True if a text has marks that one of its letters is composed with."""
    marks = [chr(code) for code in ACCENTS if survey.seen[code]]
    letters = map(chr, np.flatnonzero(survey.seen[:0x3100]).tolist()) if marks else ()
    bases = [letter for letter in letters if letter.isalpha()]
    return any(
        len(unicodedata.normalize("NFC", base + mark)) == 1 for mark in marks for base in bases
    )
