"""Map characters or bytes to ids. Sorted, so that the same text gives the same ids."""

import codecs
import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from charrnn.core.errors import CheckpointError, InputError, escape, is_control

Ids = NDArray[np.unsignedinteger]

UNSEEN = ("Cc", "Cf", "Co", "Cs", "Cn", "Zs", "Zl", "Zp", "Mn", "Me")
"""Unicode categories of characters without a visible shape of their own."""


class Vocabulary(Protocol):
    """The symbols that a network reads and writes."""

    unit: str
    """Name of a symbol: "character" or "byte"."""

    @property
    def size(self) -> int:
        """Number of symbols (V)."""

    @property
    def newline(self) -> int | None:
        """Id of the newline, None if the text has none."""

    def encode(self, text: str, what: str = "prompt") -> Ids:
        """Return the ids of a text, (N,); InputError lists unknown characters."""

    def decode(self, ids: Sequence[int] | Ids) -> str:
        """Return the text of ids; bytes that are not UTF-8 become U+FFFD."""

    def raw(self, ids: Sequence[int] | Ids) -> bytes:
        """Return the bytes to write: characters in UTF-8, or the bytes themselves."""

    def to_json(self) -> list[int] | str:
        """Return the form in which a checkpoint stores it."""


class CharVocabulary:
    """Unicode code points."""

    unit = "character"

    def __init__(self, code_points: Iterable[int]) -> None:
        self.code_points = np.array(sorted(set(code_points)), dtype=np.uint32)
        self._characters = [chr(code) for code in self.code_points]
        self._ids = {c: i for i, c in enumerate(self._characters)}

    @property
    def size(self) -> int:
        """Number of symbols (V)."""
        return len(self._characters)

    @property
    def newline(self) -> int | None:
        """Id of the newline, None if the text has none."""
        return self._ids.get("\n")

    @property
    def characters(self) -> frozenset[str]:
        """All characters."""
        return frozenset(self._characters)

    def knows(self, character: str) -> bool:
        """True if the training text has this character."""
        return character in self._ids

    def encode(self, text: str, what: str = "prompt") -> Ids:
        """Return the ids of a text, (N,); InputError lists unknown characters."""
        unknown = [c for c in dict.fromkeys(text) if c not in self._ids]
        if unknown:
            shown = ", ".join(map(describe, unknown[:10])) + (", ..." if unknown[10:] else "")
            raise InputError(
                f"{what}: not among the {self.size} characters this model has seen: {shown}; "
                f"{escape_hint(text, what) if chr(92) in unknown else ''}"
                "leave them out, or train on a text that has them"
            )
        return np.array([self._ids[c] for c in text], dtype=id_dtype(self.size))

    def decode(self, ids: Sequence[int] | Ids) -> str:
        """Return the text of ids."""
        if isinstance(ids, np.ndarray):  # by table: a loop would take five times as long
            return (
                self.code_points[ids].astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
            )
        return "".join([self._characters[i] for i in ids])

    def raw(self, ids: Sequence[int] | Ids) -> bytes:
        """Return the text of ids in UTF-8."""
        return self.decode(ids).encode("utf-8")

    def to_json(self) -> list[int] | str:
        """Return the code points in order."""
        return [int(code) for code in self.code_points]


class ByteVocabulary:
    """The 256 bytes: any file can be read."""

    unit = "byte"
    size = 256
    newline: int | None = 10

    def encode(self, text: str, what: str = "prompt") -> Ids:
        """Return the UTF-8 bytes of a text; lone surrogates become the bytes that they stand for."""
        return np.frombuffer(text.encode("utf-8", "surrogateescape"), dtype=np.uint8)

    def decode(self, ids: Sequence[int] | Ids) -> str:
        """Return the text of ids; bytes that are not UTF-8 become U+FFFD."""
        return self.raw(ids).decode("utf-8", "replace")

    def raw(self, ids: Sequence[int] | Ids) -> bytes:
        """Return the bytes themselves."""
        return bytes(ids) if not isinstance(ids, np.ndarray) else ids.astype(np.uint8).tobytes()

    def to_json(self) -> list[int] | str:
        """Return the word "bytes"."""
        return "bytes"


class Decoder:
    """Decode ids into whole characters: a character of a byte model may span several ids."""

    def __init__(self, vocab: Vocabulary) -> None:
        self._vocab = vocab
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._whole = WholeCharacters()

    def feed(self, ids: Sequence[int], *, final: bool = False) -> str:
        """Return the characters completed by these ids."""
        if isinstance(self._vocab, ByteVocabulary):
            raw = self._vocab.raw(ids)
            self._whole.feed(raw)
            return self._utf8.decode(raw, final)
        return self._vocab.decode(ids)

    def end(self) -> str:
        """Return the rest of a text: "" if it is UTF-8, whose last character may be unfinished."""
        return "" if self._whole.is_utf8 else self.feed([], final=True)


class WholeCharacters:
    """Holds back the bytes of an unfinished UTF-8 character; other data passes unchanged."""

    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")("strict")
        self.is_utf8 = True
        """Whether all bytes so far are UTF-8; the last character may be unfinished."""

    def feed(self, raw: bytes) -> bytes:
        """Return the bytes that are complete; those held back at the end are not text."""
        if not self.is_utf8:
            return raw
        data = self._utf8.getstate()[0] + raw
        try:
            self._utf8.decode(raw)
        except UnicodeDecodeError:
            self.is_utf8 = False
            return data
        return data[: len(data) - len(self._utf8.getstate()[0])]


VIEWED_ABOVE = 64 << 20
"""Bytes; a longer text is turned round as a view."""


def turned_round(ids: Ids) -> Ids:
    """Return ids from the last to the first: contiguous, for code in C, unless the text is large."""
    return ids[::-1] if ids.nbytes > VIEWED_ABOVE else np.ascontiguousarray(ids[::-1])


def without_broken_start(raw: bytes) -> bytes:
    """Return UTF-8 without the end of a character whose start was cut off; other data unchanged."""
    start = next((i for i, byte in enumerate(raw[:3]) if byte & 0xC0 != 0x80), len(raw[:3]))
    try:
        raw[start:].decode("utf-8")
    except UnicodeDecodeError:
        return raw
    return raw[start:]


def id_dtype(size: int) -> type[np.uint8] | type[np.uint16]:
    """Return the narrowest dtype of ids for a vocabulary of `size` symbols."""
    return np.uint8 if size <= 256 else np.uint16


def decoded_length(ids: NDArray[np.uint8]) -> int | None:
    """Return the number of characters that bytes decode to, None if they are not UTF-8.

    A slice may begin or end inside a character.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    is_continuation = (ids[:3] & 0xC0) == 0x80
    start = int(np.argmin(np.append(is_continuation, False)))
    count = 0
    try:
        for begin in range(start, len(ids), 1 << 22):
            count += len(decoder.decode(ids[begin : begin + (1 << 22)].tobytes()))
    except UnicodeDecodeError:
        return None
    return count


def num_characters(vocab: Vocabulary, ids: Ids) -> int | None:
    """Return the number of characters in ids; None for bytes that are not UTF-8."""
    return decoded_length(ids) if isinstance(vocab, ByteVocabulary) else len(ids)


def num_bytes(vocab: Vocabulary, ids: Ids) -> int:
    """Return the number of bytes of ids in UTF-8."""
    if not isinstance(vocab, CharVocabulary):
        return len(ids)
    sizes = np.searchsorted([0x80, 0x800, 0x10000], vocab.code_points, side="right") + 1
    chunks = (ids[i : i + (1 << 22)] for i in range(0, len(ids), 1 << 22))
    return sum(int(sizes[chunk].sum()) for chunk in chunks)


def parse_vocabulary(value: object) -> Vocabulary:
    """Return the vocabulary stored in a checkpoint.

    Raises:
        CheckpointError: The value is neither a sorted list of code points nor the word "bytes".
    """
    if value == "bytes":
        return ByteVocabulary()
    if not isinstance(value, list) or not all(type(code) is int for code in value):
        raise CheckpointError("its vocabulary is no list of code points")
    ordered = all(a < b for a, b in pairwise(value))
    if not value or not ordered or not all(_is_character(code) for code in value):
        raise CheckpointError("its vocabulary is not in order, or holds no characters")
    return CharVocabulary(value)


def escape_hint(text: str, what: str) -> str:
    r"""Return how to write a line end or tab if a text has `\n` or `\t` as two characters."""
    found = re.search(r"\\[nt]", text)
    name = found and {"n": "a line end", "t": "a tab"}[found[0][1]]
    other = " or use --prompt-file" if what == "prompt" else ""
    return f"for {name} write $'{found[0]}' (bash, zsh){other}; " if found else ""


def describe(character: str) -> str:
    """Return the name of a character for messages: U+00E9 'é', U+200D ZERO WIDTH JOINER."""
    if is_unseen(character) and (name := unicodedata.name(character, "")):
        return f"U+{ord(character):04X} {name}"
    shown = escape(character) if is_control(character) or character in "\n\t" else character
    return f"U+{ord(character):04X} '{shown}'"


def is_unseen(character: str) -> bool:
    """True for a character without a shape of its own: invisible, or a mark on another one."""
    return character != " " and unicodedata.category(character) in UNSEEN


def visible(text: str) -> str:
    """Return a text with its unseen characters escaped."""
    return "".join(escape(each) if is_unseen(each) else each for each in text)


def _is_character(code: int) -> bool:
    return 0 <= code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF
