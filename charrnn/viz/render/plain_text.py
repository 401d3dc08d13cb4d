"""Render elements as terminal text, with or without colour."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from charrnn.core.errors import escape_controls, printable
from charrnn.viz.render.colours import (
    ACTIVATION,
    COUNT,
    DARK,
    PROBABILITY,
    Levels,
    Scale,
    probability_levels,
)
from charrnn.viz.render.elements import (
    Chart,
    Coloured,
    Guesses,
    Heading,
    Listing,
    Part,
    Picture,
    Points,
    Remark,
    Rows,
    Stages,
    Units,
    bare,
)

WIDTH = 72
"""Columns of a line of text."""

CURVE_WIDTH = 40
"""Columns of a curve."""

BARS = "▁▂▃▄▅▆▇█"

UNLIKELY = 0.05
"""Probability below which a guess is not spelt out where there is no colour."""


def plain_text(picture: Picture, *, colour: bool) -> str:
    """Return a picture as text, without its title.

    Args:
        picture: What is shown.
        colour: Whether the terminal has 256 colours.
    """
    return "\n".join(line for part in picture.parts for line in lines_of(part, colour=colour))


def lines_of(part: Part, *, colour: bool) -> Iterator[str]:
    """Yield the lines of one part."""
    match part:
        case Heading(text):
            yield from ("", printable(text), "─" * cell_width(printable(text)))
        case Remark(text):
            yield printable(text)
        case Listing(text):
            yield escape_controls(text)
        case Rows(names, rows, numeric):
            yield from table_lines([*([names] if names else []), *rows], numeric)
        case Chart(title, series):
            yield from chart_lines(title, series)
        case Stages(stages):
            for title, text in stages:
                yield from (f"--- {printable(title)}", escape_controls(text))
        case Coloured(signs, levels, scale):
            yield from (
                legend(scale, colour=colour),
                "",
                *text_lines(signs, levels, scale, colour=colour),
            )
        case Guesses():
            yield legend(part.scale, colour=colour)
            yield from (legend(PROBABILITY, colour=colour), "")
            yield from guess_lines(part, colour=colour)
        case Units(signs, units):
            yield legend(ACTIVATION, colour=colour)
            for name, levels in units.items():
                yield from ("", f"unit {printable(name)}")
                yield from text_lines(signs, levels, ACTIVATION, colour=colour)


# Tables and curves


def table_lines(rows: Sequence[Sequence[str]], numeric: Sequence[int]) -> Iterator[str]:
    """Yield the rows of a table, each column as wide as its widest cell."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(cell_width, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        blanks = [" " * (width - cell_width(cell)) for cell, width in zip(row, widths, strict=True)]
        pairs = enumerate(zip(row, blanks, strict=True))
        yield "  ".join(b + c if i in numeric else c + b for i, (c, b) in pairs).rstrip()


def chart_lines(title: str, series: Mapping[str, Points]) -> Iterator[str]:
    """Yield each curve as bars, between its first value and its last."""
    drawn = {printable(name): points for name, points in series.items() if points}
    if not drawn:
        return
    yield from ("", printable(title))
    width = max(map(cell_width, drawn))
    for name, points in drawn.items():
        ys = [y for _, y in points]
        pad = " " * (width - cell_width(name))
        last = f"{ys[-1]:.4g} at step {points[-1][0]:,.0f}"
        yield f"  {name}{pad}  {ys[0]:>9.4g} {bars(ys)} {last}"


def bars(values: Sequence[float], width: int = CURVE_WIDTH) -> str:
    """Return a bar for each value; of many, for the mean of those that stand together."""
    pieces = np.array_split(np.asarray(values, dtype=float), min(width, len(values)))
    means = np.array([piece.mean() for piece in pieces])
    spread = np.ptp(means) or 1.0
    heights = np.rint((means - means.min()) / spread * (len(BARS) - 1)).astype(int)
    return "".join(BARS[height] for height in heights)


# Texts


def legend(scale: Scale, *, colour: bool) -> str:
    """Return what the levels of a scale mean."""
    if not colour:
        return scale.legend
    boxes = coloured([f" {label} " for label in scale.labels], np.arange(COUNT), scale)
    return f"{scale.name} {boxes}"


def text_lines(
    signs: Sequence[str], levels: Levels, scale: Scale, *, colour: bool
) -> Iterator[str]:
    """Yield a text coloured by levels; without colour each line has signs of them beneath it."""
    for begin, end in line_bounds(signs):
        if colour:
            yield coloured(list(map(bare, signs[begin:end])), levels[begin:end], scale)
            continue
        yield "".join(signs[begin:end]).rstrip("\n")
        pairs = zip(signs[begin:end], levels[begin:end], strict=True)
        yield "".join(scale.signs[level] * cell_width(sign) for sign, level in pairs).rstrip()


def guess_lines(part: Guesses, *, colour: bool) -> Iterator[str]:
    """Yield a text in blocks of lines: itself, and under each symbol the guesses for the next.

    A column is as wide as its widest sign. Without colour unlikely guesses are dots.
    """
    shares = part.shares
    columns = [[bare(sign)] for sign in part.signs]
    for column, guesses, row in zip(columns, part.guesses, shares, strict=False):
        shown = colour | (row >= UNLIKELY)
        column += [g if is_shown else "·" for g, is_shown in zip(guesses, shown, strict=True)]
    widths = [max(map(cell_width, column)) for column in columns]
    steps = probability_levels(shares)
    for begin, end in blocks(widths):
        lines = [[padded(columns[t][0], widths[t]) for t in range(begin, end)]]
        last = min(end, len(shares))
        for k in range(shares.shape[1]):
            lines.append([padded(columns[t][k + 1], widths[t]) for t in range(begin, last)])
        if colour:
            yield coloured(lines[0], part.levels[begin:end], part.scale)
            for k, line in enumerate(lines[1:]):
                yield coloured(line, steps[begin:last, k], PROBABILITY)
        else:
            marks = zip(part.levels[begin:end].tolist(), widths[begin:end], strict=True)
            lines.insert(1, [part.scale.signs[level] * width for level, width in marks])
            yield from ("".join(line).rstrip() for line in lines)
        if end < len(columns):
            yield ""


def padded(sign: str, width: int) -> str:
    """Return a sign with blanks behind it, so many columns wide."""
    return sign + " " * (width - cell_width(sign))


def cell_width(sign: str) -> int:
    """Return how many columns of a terminal a sign takes: 中 takes two."""
    shown = bare(sign)
    if shown.isascii():
        return len(shown)
    from rich.cells import cell_len

    return max(1, cell_len(shown))


def blocks(widths: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield where the lines begin and end whose symbols have these widths."""
    begin = total = 0
    for place, width in enumerate(widths):
        if total + width > WIDTH:
            yield begin, place
            begin, total = place, 0
        total += width
    if begin < len(widths):
        yield begin, len(widths)


def line_bounds(signs: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield where the lines of a text begin and end: at newlines, and at WIDTH."""
    begin = 0
    ends = [place for place, sign in enumerate(signs, start=1) if sign.endswith("\n")]
    for end in dict.fromkeys([*ends, len(signs)]):
        widths = [cell_width(sign) for sign in signs[begin:end]]
        yield from ((begin + first, begin + last) for first, last in blocks(widths))
        begin = end


def coloured(signs: Sequence[str], levels: NDArray[np.int64], scale: Scale) -> str:
    """Return signs on backgrounds out of 256 colours; a run of one level is one escape."""
    parts, before = [], None
    for sign, level in zip(signs, levels.tolist(), strict=True):
        background = scale.colours[level]
        if background != before:
            ink = "231" if background in DARK else "16"
            parts.append(f"\x1b[38;5;{ink};48;5;{background}m" if background else "\x1b[0m")
            before = background
        parts.append(sign)
    return "".join(parts) + "\x1b[0m"
