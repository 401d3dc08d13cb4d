"""Render elements as terminal text, with or without colour."""

from collections.abc import Container, Iterator, Mapping, Sequence
from shutil import get_terminal_size
from textwrap import fill

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len, set_cell_size

from charrnn.core.errors import escape_controls, printable
from charrnn.viz.render.colours import (
    ACTIVATION,
    ATTENTION,
    COUNT,
    DARK,
    PROBABILITY,
    Levels,
    Scale,
    probability_levels,
    weight_levels,
)
from charrnn.viz.render.elements import (
    Chart,
    Coloured,
    Element,
    Guesses,
    Heading,
    Link,
    Listing,
    LookBack,
    Picture,
    Points,
    Remark,
    Rows,
    Stages,
    UnitText,
    bare,
)

WIDTH = 72
"""Columns after which a line of text is broken."""

CURVE_WIDTH = 40
"""Columns of a curve drawn with bars."""

BARS = "▁▂▃▄▅▆▇█"

UNLIKELY = 0.05
"""Without colour a guess with a lower probability is shown as a dot."""


def text_bytes(picture: Picture) -> bytes:
    """Return a picture as the bytes of a text file."""
    return (plain_text(picture, colour=False) + "\n").encode("utf-8", "backslashreplace")


def plain_text(picture: Picture, *, colour: bool) -> str:
    """Return the lines of a picture, without its title.

    Args:
        picture: The elements to show.
        colour: Use escapes for 256 colours.
    """
    return "\n".join(
        line for element in picture.elements for line in element_lines(element, colour=colour)
    )


def element_lines(element: Element, *, colour: bool) -> Iterator[str]:
    """Yield the lines of one element."""
    match element:
        case Heading(text):
            yield from ("", printable(text), "─" * cell_len(printable(text)))
        case Remark(text):
            columns = get_terminal_size().columns
            yield fill(printable(text), columns) if colour else printable(text)
        case Link(text, name):
            yield f"{printable(text)}: {printable(name)}"
        case Listing(text):
            yield escape_controls(text)
        case Rows(names, rows, numeric):
            yield from table_lines([*([names] if names else []), *rows], numeric)
        case Chart(title, series):
            yield from chart_lines(title, series)
        case Stages(stages):
            for title, text in stages:
                yield from (f"--- {printable(title)}", escape_controls(text))
        case Coloured(glyphs, levels, scale):
            yield from (
                legend(scale, colour=colour),
                "",
                *text_lines(glyphs, levels, scale, colour=colour),
            )
        case Guesses():
            yield legend(element.scale, colour=colour)
            yield from (legend(PROBABILITY, colour=colour), "")
            yield from guess_lines(element, colour=colour)
        case UnitText(glyphs, units):
            yield legend(ACTIVATION, colour=colour)
            for name, levels in units.items():
                yield from ("", f"unit {printable(name)}")
                yield from text_lines(glyphs, levels, ACTIVATION, colour=colour)
        case LookBack(glyphs, _, looked):
            yield ATTENTION.legend
            for name, sights in looked.items():
                yield from ("", name)
                yield from sight_lines(glyphs, sights, colour=colour)


# Tables and curves


def table_lines(rows: Sequence[Sequence[str]], numeric: Sequence[int]) -> Iterator[str]:
    """Yield the rows of a table, each column as wide as its widest cell."""
    yield from ("  ".join(row).rstrip() for row in aligned(rows, numeric))


def aligned(rows: Sequence[Sequence[str]], numeric: Sequence[int]) -> Iterator[list[str]]:
    """Yield the rows of a table; all cells of a column have the width of its widest."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        blanks = [" " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        pairs = enumerate(zip(row, blanks, strict=True))
        yield [b + c if i in numeric else c + b for i, (c, b) in pairs]


def sight_lines(
    glyphs: Sequence[str], sights: Sequence[Sequence[tuple[str, float]]], *, colour: bool
) -> Iterator[str]:
    """Yield a line for each symbol: its number, and what it looked at, with weights."""
    count = max(map(len, sights))
    rows = [
        [f"{t}", bare(glyph).replace(" ", "␣"), *(f"{words} {weight:.0%}" for words, weight in row)]
        for t, (glyph, row) in enumerate(zip(glyphs, sights, strict=True), start=1)
    ]
    for cells, row in zip(
        aligned([each + [""] * (count + 2 - len(each)) for each in rows], (0,)), sights, strict=True
    ):
        levels = weight_levels(np.array([weight for _, weight in row]))
        if colour:
            for k, _ in enumerate(row):
                cells[k + 2] = coloured(cells[k + 2 : k + 3], levels[k : k + 1], ATTENTION)
        yield "  ".join(cells).rstrip()


def chart_lines(title: str, series: Mapping[str, Points]) -> Iterator[str]:
    """Yield one line per curve: first value, bars, last value."""
    drawn = {printable(name): points for name, points in series.items() if points}
    if not drawn:
        return
    yield from ("", printable(title))
    width = max(map(cell_len, drawn))
    for name, points in drawn.items():
        ys = [y for _, y in points]
        last = f"{ys[-1]:.4g} at step {points[-1][0]:,.0f}"
        yield f"  {set_cell_size(name, width)}  {ys[0]:>9.4g} {bars(ys)} {last}"


def bars(values: Sequence[float], width: int = CURVE_WIDTH) -> str:
    """Return one bar per value, or per mean of neighbouring values if there are too many."""
    pieces = np.array_split(np.asarray(values, dtype=float), min(width, len(values)))
    means = np.array([piece.mean() for piece in pieces])
    spread = np.ptp(means) or 1.0
    heights = np.rint((means - means.min()) / spread * (len(BARS) - 1)).astype(int)
    return "".join(BARS[height] for height in heights)


# Texts


def legend(scale: Scale, *, colour: bool) -> str:
    """Return the legend of a scale."""
    if not colour:
        return scale.legend
    boxes = coloured([f" {label} " for label in scale.labels], np.arange(COUNT), scale)
    return f"{scale.name} {boxes}"


def text_lines(
    glyphs: Sequence[str], levels: Levels, scale: Scale, *, colour: bool
) -> Iterator[str]:
    """Yield the lines of a coloured text; without colour, a line of marks follows each."""
    glyphs, levels = joined(glyphs, levels, scale)
    widths = [cell_width(glyph) for glyph in glyphs]
    starts = {i for i, glyph in enumerate(glyphs, start=1) if glyph.endswith("\n")}
    for begin, end in line_bounds(widths, starts):
        if colour:
            yield coloured(list(map(bare, glyphs[begin:end])), levels[begin:end], scale)
            continue
        yield "".join(glyphs[begin:end]).rstrip("\n")
        yield marks(levels[begin:end], widths[begin:end], scale).rstrip()


def joined(glyphs: Sequence[str], levels: Levels, scale: Scale) -> tuple[Sequence[str], Levels]:
    """Return each letter with its combining marks, and the strongest level of its symbols."""
    neutral = scale.marks.index(" ")
    letters: list[str] = []
    strongest: list[int] = []
    for glyph, level in zip(glyphs, levels.tolist(), strict=True):
        if letters and not cell_len(bare(glyph)) and not letters[-1].endswith("\n"):
            letters[-1] += glyph
            strongest[-1] = max(strongest[-1], level, key=lambda each: abs(each - neutral))
        else:
            letters.append(glyph)
            strongest.append(level)
    return letters, np.array(strongest, dtype=np.int64)


def guess_lines(element: Guesses, *, colour: bool) -> Iterator[str]:
    """Yield blocks of lines: the text, then one line per guess below each symbol.

    A column is as wide as its widest glyph. Without colour, unlikely guesses are dots.
    """
    shares = element.shares
    columns = [[bare(glyph)] for glyph in element.glyphs]
    for column, guesses, row in zip(columns, element.guesses, shares, strict=False):
        shown = colour | (row >= UNLIKELY)
        column += [g if ok or not g else "·" for g, ok in zip(guesses, shown, strict=True)]
    widths = [max(map(cell_width, column)) for column in columns]
    steps = probability_levels(shares)
    for begin, end in line_bounds(widths):
        lines = [[set_cell_size(columns[t][0], widths[t]) for t in range(begin, end)]]
        last = min(end, len(shares))
        for k in range(shares.shape[1]):
            lines.append([set_cell_size(columns[t][k + 1], widths[t]) for t in range(begin, last)])
        if colour:
            yield coloured(lines[0], element.levels[begin:end], element.scale)
            for k, line in enumerate(lines[1:]):
                yield coloured(line, steps[begin:last, k], PROBABILITY)
        else:
            lines.insert(1, [marks(element.levels[begin:end], widths[begin:end], element.scale)])
            yield from ("".join(line).rstrip() for line in lines)
        if end < len(columns):
            yield ""


def marks(levels: Levels, widths: Sequence[int], scale: Scale) -> str:
    """Return the mark of each symbol's level, repeated to the width of the symbol."""
    pairs = zip(levels.tolist(), widths, strict=True)
    return "".join(scale.marks[level] * width for level, width in pairs)


def cell_width(glyph: str) -> int:
    """Return the number of terminal columns of a glyph: 中 takes two."""
    return max(1, cell_len(bare(glyph)))


def line_bounds(widths: Sequence[int], starts: Container[int] = ()) -> Iterator[tuple[int, int]]:
    """Yield (begin, end) of each line; a line has at most WIDTH columns.

    Args:
        widths: Columns of each symbol.
        starts: Indices that always begin a line.
    """
    begin = columns = 0
    for i, width in enumerate(widths):
        if i in starts or columns + width > WIDTH:
            yield begin, i
            begin, columns = i, 0
        columns += width
    if begin < len(widths):
        yield begin, len(widths)


def coloured(glyphs: Sequence[str], levels: NDArray[np.int64], scale: Scale) -> str:
    """Return glyphs on 256-colour backgrounds; one escape per run of equal levels."""
    parts, before = [], None
    for glyph, level in zip(glyphs, levels.tolist(), strict=True):
        background = scale.colours[level]
        if background != before:
            ink = "231" if background in DARK else "16"
            parts.append(f"\x1b[38;5;{ink};48;5;{background}m" if background else "\x1b[0m")
            before = background
        parts.append(glyph)
    return "".join(parts) + "\x1b[0m"
