"""Elements of a page: text, tables, charts, coloured text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charrnn.viz.render.colours import Levels, Scale

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Heading:
    """The heading of what follows."""

    text: str


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence or some; the main one is what a reader takes along."""

    text: str
    is_main: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """Lines as they are: commands, or what a model has written."""

    text: str


@dataclass(frozen=True, slots=True)
class Rows:
    """A table; without names it has no head."""

    names: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[int] = ()
    """Columns of numbers."""
    summary: str = ""
    """What stands on a page in its place until somebody opens it."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves over one axis; those without points are left out."""

    title: str
    series: Mapping[str, Points]
    """By name, x rising."""


@dataclass(frozen=True, slots=True)
class Stages:
    """Texts side by side, each under its title."""

    stages: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Coloured:
    """A text whose symbols are coloured by levels."""

    signs: Sequence[str]
    """What each symbol looks like, (T,); with a newline behind it where a line ends."""
    levels: Levels
    """Of each symbol, (T,)."""
    scale: Scale
    label: str
    """What it is, for those who do not see it."""


@dataclass(frozen=True, slots=True)
class Guesses:
    """A text whose symbols are coloured by levels, and under each the guesses for the next."""

    signs: Sequence[str]
    """What each symbol looks like, (T,)."""
    levels: Levels
    """Of each symbol, (T,)."""
    scale: Scale
    """How these are shown."""
    guesses: Sequence[Sequence[str]]
    """Signs of the likeliest next symbols, the best first, (T - 1, K)."""
    shares: NDArray[np.float64]
    """Their probabilities, (T - 1, K)."""


@dataclass(frozen=True, slots=True)
class UnitText:
    """A text coloured by one unit: plain text shows each, on a page one chooses."""

    signs: Sequence[str]
    """As of a coloured text."""
    levels: Mapping[str, Levels]
    """Of each symbol, by the unit's name, (T,)."""


def bare(sign: str) -> str:
    """Return a sign without the newline behind it."""
    return sign.removesuffix("\n")


Element = Heading | Remark | Listing | Rows | Chart | Stages | Coloured | Guesses | UnitText


@dataclass(frozen=True, slots=True)
class Picture:
    """A heading, parts, and what only a page shows."""

    title: str
    elements: Sequence[Element]
    data: Callable[[], Mapping[str, object]] = dict
    """What a page's script says of a symbol that one points at."""
