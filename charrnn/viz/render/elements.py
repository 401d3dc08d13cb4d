"""Elements of a page: text, tables, charts, coloured text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charrnn.viz.render.colours import Levels, Scale

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Heading:
    """A section heading."""

    text: str


@dataclass(frozen=True, slots=True)
class Remark:
    """One or more sentences; the main remark is emphasised."""

    text: str
    is_main: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A sentence that leads to a file in the folder of the page."""

    text: str
    name: str
    """Name of the file."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Lines shown as they are: commands, or text from a model."""

    text: str


@dataclass(frozen=True, slots=True)
class Rows:
    """A table; without names it has no header."""

    names: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[int] = ()
    """Indices of the columns that are aligned right."""
    summary: str = ""
    """Label of the fold that hides the table on a page; empty for no fold."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves on one pair of axes; a curve without points is left out."""

    title: str
    series: Mapping[str, Points]
    """Points by name; x ascends."""


@dataclass(frozen=True, slots=True)
class Stages:
    """Texts side by side, each as (title, text)."""

    stages: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Coloured:
    """A text with a background colour for each symbol."""

    glyphs: Sequence[str]
    """Glyph of each symbol, (T,); a glyph that ends with a newline ends its line."""
    levels: Levels
    """Level of each symbol, (T,)."""
    scale: Scale
    label: str
    """Description for screen readers."""


@dataclass(frozen=True, slots=True)
class Guesses:
    """A coloured text with the likeliest symbols to be read next below each symbol."""

    glyphs: Sequence[str]
    """Glyph of each symbol, (T,)."""
    levels: Levels
    """Level of each symbol, (T,)."""
    scale: Scale
    guesses: Sequence[Sequence[str]]
    """Glyphs of the likeliest symbols, best first, (T, K), or for the first symbols; "" for none."""
    shares: NDArray[np.float64]
    """Their probabilities, of the same shape."""


@dataclass(frozen=True, slots=True)
class UnitText:
    """A text coloured by a unit: plain text shows one after another, a page lets readers choose."""

    glyphs: Sequence[str]
    """Glyph of each symbol, (T,), as in `Coloured`."""
    levels: Mapping[str, Levels]
    """Level of each symbol, (T,), by name of the unit."""


@dataclass(frozen=True, slots=True)
class LookBack:
    """A text, and the symbols that each symbol looked at: listed, or on a page one by one."""

    glyphs: Sequence[str]
    """Glyph of each symbol, (T,), as in `Coloured`."""
    labels: Sequence[str]
    """The heads that a page offers."""
    looked: Mapping[str, Sequence[Sequence[tuple[str, float]]]]
    """What each symbol looked at most, in words, and its weight, (T, K), by label of the head."""


def bare(glyph: str) -> str:
    """Return a glyph without its final newline."""
    return glyph.removesuffix("\n")


Element = (
    Heading
    | Remark
    | Link
    | Listing
    | Rows
    | Chart
    | Stages
    | Coloured
    | Guesses
    | UnitText
    | LookBack
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A title, elements, and data for the script of a page."""

    title: str
    elements: Sequence[Element]
    data: Callable[[], Mapping[str, object]] = dict
    """Returns the details that the page's script shows for a symbol under the pointer."""
