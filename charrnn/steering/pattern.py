"""A regular expression as positions (Glushkov's construction); a set of positions is the bits of an int.

The parser is that of Python's `re`, and `re` itself says which characters a class has: a pattern
means what `re.fullmatch` takes it for. It must be regular: what the automaton has read is no more
than the state it is in.
"""

import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from charrnn.core.errors import InputError, printable

MOST_POSITIONS = 10_000
"""Limit of the characters in a pattern, each repeat counted."""

TOO_LONG = (
    f"--match: more than {MOST_POSITIONS:,} characters, each repeat counted; write a simpler pattern, "
    "or lower counts"
)

TOO_SLOW = "--match: takes too long to compile; write a simpler pattern"

MOST_LINKS = 2_000_000
"""Limit of the pairs of a position and what may follow it that are looked at: about a second."""

SHOWN = 80
"""Characters of a pattern that an error shows."""

REFUSED = {
    codes.ASSERT: "look-around", codes.ASSERT_NOT: "look-around", codes.FAILURE: "look-around",
    codes.GROUPREF: "a back-reference", codes.GROUPREF_EXISTS: "a conditional group",
    codes.ATOMIC_GROUP: "an atomic group", codes.POSSESSIVE_REPEAT: "a possessive repeat",
}  # fmt: skip

CATEGORIES = {
    codes.CATEGORY_DIGIT: r"\d", codes.CATEGORY_NOT_DIGIT: r"\D",
    codes.CATEGORY_SPACE: r"\s", codes.CATEGORY_NOT_SPACE: r"\S",
    codes.CATEGORY_WORD: r"\w", codes.CATEGORY_NOT_WORD: r"\W",
}  # fmt: skip

BEGIN, END = (codes.AT_BEGINNING, codes.AT_BEGINNING_STRING), (codes.AT_END, codes.AT_END_STRING)

CLASS_FLAGS = re.IGNORECASE | re.ASCII | re.DOTALL
"""Flags that change which characters a class has."""


Class = tuple[str, int] | bytes
"""Characters, as a pattern and its flags; or bytes."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a pattern: the positions a text of it may begin and end with."""

    first: int = 0
    last: int = 0
    is_empty: bool = True
    """Whether the empty text matches."""


@dataclass(frozen=True, slots=True)
class Positions:
    """All positions of a pattern."""

    whole: Part
    follow: list[int]
    """The positions that may come after each."""
    classes: list[Class]
    """What may come at each position."""

    def check_links(self) -> None:
        """Refuse positions with more links than can be looked at one by one.

        Raises:
            InputError: They have.
        """
        if sum(following.bit_count() for following in self.follow) > MOST_LINKS:
            raise InputError(TOO_SLOW)

    def turned_round(self) -> "Positions":
        """Return the positions of the texts from their last character to their first."""
        self.check_links()
        follow = [0] * len(self.follow)
        for position, following in enumerate(self.follow):
            for other in bits(following):
                follow[other] |= 1 << position
        whole = Part(self.whole.last, self.whole.first, self.whole.is_empty)
        return Positions(whole, follow, self.classes)


def bits(positions: int) -> Iterator[int]:
    """Yield the positions in a set, the lowest first."""
    while positions:
        lowest = positions & -positions
        yield lowest.bit_length() - 1
        positions ^= lowest


def positions_of(pattern: str) -> Positions:
    """Return the positions of a regular expression.

    Raises:
        InputError: It is none, not regular, or too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a class such as [[a] may mean something else one day
            tree = parser.parse(pattern)
        return Builder().positions(tree)
    except re.error as error:
        where = "" if error.pos is None else f" at character {error.pos + 1}"
        raise InputError(f"--match: {error.msg}{where}: {printable(pattern[:SHOWN])}") from None
    except (RecursionError, OverflowError):
        raise InputError("--match: its groups or numbers are too deep or large") from None


class Builder:
    """Builds the positions of a pattern from its parse tree."""

    def __init__(self) -> None:
        self._follow: list[int] = []
        self._classes: list[Class] = []
        self._begins = self._ends = self._num_links = 0

    def positions(self, tree: Any) -> Positions:
        """Return the positions of a whole pattern."""
        whole = self._sequence(tree, tree.state.flags)
        return Positions(self._without_anchors(whole), self._follow, self._classes)

    def _sequence(self, items: Any, flags: int) -> Part:
        parts = [self._part(kind, value, flags) for kind, value in items]
        return self._joined(parts)

    def _joined(self, parts: Sequence[Part]) -> Part:
        """Return parts one after the other; from the end, which links each position once."""
        whole = Part()
        for part in reversed(parts):
            self._link(part.last, whole.first)
            whole = Part(
                part.first | (whole.first if part.is_empty else 0),
                whole.last | (part.last if whole.is_empty else 0),
                part.is_empty and whole.is_empty,
            )
        return whole

    def _part(self, kind: Any, value: Any, flags: int) -> Part:
        if kind in REFUSED:
            raise InputError(f"--match: {REFUSED[kind]} is not possible here; leave it out")
        if kind is codes.AT:
            return self._anchor(value, flags)
        if kind is codes.SUBPATTERN:
            _, added, removed, items = value
            return self._sequence(items, (flags | added) & ~removed)
        if kind is codes.BRANCH:
            return self._either([self._sequence(items, flags) for items in value[1]])
        if kind in (codes.MAX_REPEAT, codes.MIN_REPEAT):
            least, most, items = value
            return self._repeated(least, most, items, flags)
        return self._position(class_pattern(kind, value), flags & CLASS_FLAGS)

    def _position(self, characters: str, flags: int) -> Part:
        if len(self._follow) == MOST_POSITIONS:
            raise InputError(TOO_LONG)
        self._follow.append(0)
        self._classes.append((characters, flags))
        own = 1 << len(self._follow) - 1
        return Part(own, own, False)

    def _anchor(self, where: Any, flags: int) -> Part:
        if where not in BEGIN + END or flags & re.MULTILINE:
            raise InputError(
                r"--match: \b, \B and (?m) are not possible here; the whole text matches, so ^ and "
                "$ are not needed"
            )
        part = self._position("", 0)
        if where in BEGIN:
            self._begins |= part.first
        else:
            self._ends |= part.first
        return part

    def _either(self, parts: Sequence[Part]) -> Part:
        first = last = 0
        for part in parts:
            first, last = first | part.first, last | part.last
        return Part(first, last, any(part.is_empty for part in parts))

    def _repeated(self, least: int, most: Any, items: Any, flags: int) -> Part:
        """Return x{least,most} as x...x(x(x)?)?, which has few links; x* and x+ are loops."""
        if most == 0:
            return Part()
        copy = replace(part := self._sequence(items, flags), is_empty=False)
        if not part.first:
            return part
        least, is_loop = 0 if part.is_empty else least, most is codes.MAXREPEAT
        if is_loop:
            self._link(copy.last, copy.first)
        count = max(least, 1) if is_loop else most
        whole = replace(copy, is_empty=count > least)
        for index in reversed(range(count - 1)):
            copy = replace(self._sequence(items, flags), is_empty=False)
            whole = self._joined([copy, whole])
            whole = replace(whole, is_empty=index >= least)
        return whole

    def _link(self, before: int, after: int) -> None:
        """Let positions follow others."""
        for position in bits(before) if after else ():
            self._follow[position] |= after
            self._num_links += 1
        if self._num_links > MOST_LINKS:
            raise InputError(TOO_SLOW)

    def _without_anchors(self, whole: Part) -> Part:
        """Remove ^ and $, which match at both ends of the text alone."""
        finishing, first, is_empty = self._finishing(whole.last), whole.first, whole.is_empty
        seen = 0
        while new := first & self._begins & ~seen:
            seen |= new
            for position in bits(new):
                first |= self._follow[position]
        is_empty |= bool(first & finishing) or bool(seen & whole.last)
        anchors, last = self._begins | self._ends, whole.last
        for position, following in enumerate(self._follow):
            last |= (1 << position) * bool(following & finishing)
            self._follow[position] = following & ~anchors
        return Part(first & ~anchors, last & ~anchors, is_empty)

    def _finishing(self, last: int) -> int:
        """Return each $ from which the end of the pattern is reached without a character."""
        finishing, is_new = self._ends & last, True
        while is_new:
            found = (p for p in bits(self._ends & ~finishing) if self._follow[p] & finishing)
            more = sum(1 << position for position in found)
            finishing, is_new = finishing | more, bool(more)
        return finishing


def class_pattern(kind: Any, value: Any) -> str:
    """Return the pattern of one character from its parse tree."""
    if kind is codes.ANY:
        return "."
    if kind is codes.LITERAL:
        return f"[{escaped(value)}]"
    if kind is codes.NOT_LITERAL:
        return f"[^{escaped(value)}]"
    if kind is not codes.IN:
        raise InputError(f"--match: {str(kind).lower()} is not possible here; leave it out")
    return "[" + "".join(class_item(*item) for item in value) + "]"


def class_item(kind: Any, value: Any) -> str:
    """Return one item of a class."""
    if kind is codes.NEGATE:
        return "^"
    if kind is codes.CATEGORY:
        return CATEGORIES[value]
    if kind is codes.RANGE:
        return f"{escaped(value[0])}-{escaped(value[1])}"
    return escaped(value)


def escaped(code_point: int) -> str:
    """Return a code point as `re` reads it in a class."""
    return f"\\U{code_point:08x}"


def matching(characters: str, classes: Sequence[Class]) -> list[list[tuple[int, int]]]:
    """Return for each class of characters the spans of those that it has."""
    found = []
    for pattern, flags in classes:
        assert isinstance(pattern, str)
        matches = re.finditer(pattern + "+", characters, flags) if pattern else ()
        found.append([match.span() for match in matches])
    return found
