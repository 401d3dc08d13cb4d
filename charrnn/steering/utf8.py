r"""The positions of a pattern over characters as positions over their bytes in UTF-8.

A class of characters becomes a few classes of bytes that follow each other. Sets of characters that
share their last bytes share the positions of these: `.` has fifteen, \w some 650.
"""

import re
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from charrnn.core.errors import InputError
from charrnn.steering.pattern import (
    MOST_POSITIONS,
    TOO_LONG,
    Class,
    Part,
    Positions,
    bits,
    matching,
)

SURROGATES, LAST = range(0xD800, 0xE000), 0x110000

RAW_BYTES = range(0xDC80, 0xDD00)
"""Surrogates that stand for the bytes 0x80 to 0xFF (surrogateescape)."""

MOST_CLASSES = 100
"""Limit of different classes of several characters: each takes some 40 ms."""

ROW = 64
"""Values of a byte that continues a character; also the width of the tables here."""

NONE = 0
"""Number of the empty set."""


def as_bytes(positions: Positions) -> Positions:
    """Return the positions over bytes.

    Raises:
        InputError: The pattern is too large.
    """
    positions.check_links()
    distinct = tuple(dict.fromkeys(positions.classes))
    codes = {each: literal_of(each) for each in distinct}
    parts = {each: Characters.one(code) for each, code in codes.items() if code is not None}
    others = [each for each in distinct if each not in parts]
    parts |= zip(others, map(Characters.out_of, members(others)), strict=True)
    classes: list[Class] = []
    offsets = []
    for each in positions.classes:
        offsets.append(len(classes))
        classes += parts[each].classes
        if len(classes) > MOST_POSITIONS:
            raise InputError(TOO_LONG)

    def of(reached: int, name: str) -> int:
        """Return the first or last bytes of the characters at some positions."""
        whole = 0
        for position in bits(reached):
            whole |= getattr(parts[positions.classes[position]], name) << offsets[position]
        return whole

    follow = []
    for position, (each, offset) in enumerate(zip(positions.classes, offsets, strict=True)):
        after = of(positions.follow[position], "first")
        for number, inner in enumerate(parts[each].follow):
            is_last = parts[each].last >> number & 1
            follow.append(inner << offset | (after if is_last else 0))
    whole = positions.whole
    part = Part(of(whole.first, "first"), of(whole.last, "last"), whole.is_empty)
    return Positions(part, follow, classes)


def literal_of(each: Class) -> int | None:
    """Return the code point of a class that has only one, as most have; None for others.

    A byte that is no UTF-8 is a surrogate in a command line, as in all texts here.
    """
    pattern, flags = each
    found = re.fullmatch(r"\[\\U([0-9a-f]{8})\]", str(pattern))
    if found is None or int(flags) & re.IGNORECASE:
        return None
    code = int(found[1], 16)
    return None if code in SURROGATES and code not in RAW_BYTES else code


def members(classes: Sequence[Class]) -> list[NDArray[np.bool_]]:
    """Return which code points each class of characters has, (LAST,)."""
    if len(classes) > MOST_CLASSES:
        raise InputError(
            f"--match: {len(classes)} different classes are too many for a model of bytes; "
            "write a simpler pattern"
        )
    codes = np.delete(np.arange(LAST, dtype="<u4"), SURROGATES)
    found = []
    for spans in matching(codes.tobytes().decode("utf-32-le"), classes):
        is_member = np.zeros(len(codes), dtype=np.bool_)
        for begin, end in spans:
            is_member[begin:end] = True
        found.append(np.insert(is_member, SURROGATES.start, np.zeros(len(SURROGATES), np.bool_)))
    return found


Rows = NDArray[Any]


class Characters:
    """The positions of one character."""

    def __init__(self) -> None:
        self.classes: list[Class] = []
        self.follow: list[int] = []
        self.first = self.last = 0

    @classmethod
    def one(cls, code: int) -> Self:
        """Return the positions of one code point."""
        result = cls()
        own = 0
        data = chr(code).encode("utf-8", "surrogateescape")
        for index, byte in reversed([*enumerate(data)]):
            own = result._position([byte], own, is_first=index == 0)
            result.last |= own * (index == len(data) - 1)
        return result

    @classmethod
    def out_of(cls, is_member: NDArray[np.bool_]) -> Self:
        """Return the positions of a set; it has a code point or not, (LAST,)."""
        result = cls()
        result._add_all(is_member)
        return result

    def _add_all(self, is_member: NDArray[np.bool_]) -> None:
        self._add_last(np.flatnonzero(is_member[:128]).tolist(), is_first=True)
        leaves = numbered_bits(is_member.reshape(-1, ROW))
        ends = [
            self._add_last([0x80 + i for i in np.flatnonzero(row).tolist()]) for row in leaves[1]
        ]
        self._add([0xC0 + i for i in range(2, 32)], leaves[0][2:32], ends, is_first=True)
        rows = leaves[0].copy()
        rows[:32] = NONE  # one and two bytes
        middles = numbered(rows.reshape(-1, ROW))
        seconds = [self._add(range(0x80, 0xC0), row, ends) for row in middles[1]]
        self._add(range(0xE0, 0xF0), middles[0][:16], seconds, is_first=True)
        planes = np.zeros((5, ROW), dtype=np.int64)
        planes.ravel()[16 : len(middles[0])] = middles[0][16:]
        planes, different = numbered(planes)
        thirds = [self._add(range(0x80, 0xC0), row, seconds) for row in different]
        self._add(range(0xF0, 0xF5), planes, thirds, is_first=True)

    def _add_last(self, symbols: Sequence[int], *, is_first: bool = False) -> int:
        """Add a position of the last byte of a character; return it as a set."""
        own = self._position(symbols, 0, is_first=is_first)
        self.last |= own
        return own

    def _add(
        self, symbols: Sequence[int], after: NDArray[np.int64], parts: Sequence[int], *,
        is_first: bool = False,
    ) -> int:  # fmt: skip
        """Add a position for all bytes with the same part after them; return these positions."""
        whole = 0
        for number in np.unique(after).tolist():
            if parts[number]:
                same = [symbols[i] for i in np.flatnonzero(after == number).tolist()]
                whole |= self._position(same, parts[number], is_first=is_first)
        return whole

    def _position(self, symbols: Sequence[int], following: int, *, is_first: bool) -> int:
        if not symbols:
            return 0
        own = 1 << len(self.classes)
        self.classes.append(bytes(symbols))
        self.follow.append(following)
        self.first |= own if is_first else 0
        return own


def numbered(rows: Rows) -> tuple[Rows, Rows]:
    """Return the number of each row among the different ones, NONE for zeros, and those."""
    zeros = np.zeros((1, ROW), dtype=rows.dtype)
    different, numbers = np.unique(np.concatenate([zeros, rows]), axis=0, return_inverse=True)
    return numbers.ravel()[1:], different


def numbered_bits(rows: NDArray[np.bool_]) -> tuple[Rows, Rows]:
    """Return what `numbered` does: rows of 64 bits are compared as one number each."""
    packed = np.packbits(rows, axis=1).view(np.uint64)
    different, numbers = np.unique(np.append(np.uint64(0), packed), return_inverse=True)
    return numbers[1:], np.unpackbits(different.view(np.uint8).reshape(-1, 8), axis=1)
