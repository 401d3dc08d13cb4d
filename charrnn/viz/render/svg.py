"""Line charts as SVG."""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from charrnn.viz.render.elements import Points

WIDTH, HEIGHT = 720, 280
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 34
NUM_TICKS = 5

SMALLEST = 1e-9
"""Spread of an axis at least, relative to its values; less is rounding error."""

MOST_PIECES = 240
"""Pieces of a curve; each is drawn by its two ends, its lowest and its highest point."""

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("", "7 3", "2 3", "9 3 2 3", "", "7 3")
"""Colours that are safe for colour-blind readers (Okabe and Ito, 2008), each with a dash pattern."""


def line_chart(title: str, series: Mapping[str, Points]) -> str:
    """Return a figure: curves over the steps of a run on one pair of axes, with a legend below.

    Args:
        title: Caption, any text.
        series: Points by name, x ascending; a curve without points is left out.
    """
    drawn = {name: points for name, points in series.items() if points}
    if not drawn:
        return ""
    xs = [x for points in drawn.values() for x, _ in points]
    ys = [y for points in drawn.values() for _, y in points]
    across = _Axis(min(xs), max(xs), LEFT, WIDTH - RIGHT)
    up = _Axis(min(ys), max(ys), HEIGHT - BOTTOM, TOP)
    parts = [*_grid(across, up), *_curves(drawn, across, up)]
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end">step</text>')
    svg = (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(described(title, drawn))}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
    return f"<figure><figcaption>{escape(title)}</figcaption>{svg}{_legend(list(drawn))}</figure>"


def described(title: str, drawn: Mapping[str, Points]) -> str:
    """Return the first and last point of each curve in words, for screen readers."""
    ends = (
        f"{name}: {points[0][1]:.4g} at step {points[0][0]:,.0f}, "
        f"{points[-1][1]:.4g} at step {points[-1][0]:,.0f}"
        for name, points in drawn.items()
    )
    return f"{title}. {'; '.join(ends)}"


def thinned(points: Points, most: int = MOST_PIECES) -> Iterator[tuple[float, float]]:
    """Yield fewer points that draw the same curve: ends and extremes of each piece.

    Args:
        points: Points of a curve, x ascending.
        most: Number of pieces at most.
    """
    size = -(-len(points) // most)
    for begin in range(0, len(points), size):
        piece = range(begin, min(begin + size, len(points)))
        lowest = min(piece, key=lambda i: points[i][1])
        highest = max(piece, key=lambda i: points[i][1])
        yield from (points[i] for i in sorted({piece[0], lowest, highest, piece[-1]}))


class _Axis:
    """Map values to coordinates, with ticks at round numbers."""

    def __init__(self, low: float, high: float, begin: float, end: float) -> None:
        widest = max(abs(low), abs(high), SMALLEST)
        spread = high - low if high - low > widest * SMALLEST else widest
        step = 10.0 ** math.floor(math.log10(spread / NUM_TICKS))
        step *= next(factor for factor in (1, 2, 5, 10) if spread / (step * factor) <= NUM_TICKS)
        self.low, self.high = math.floor(low / step) * step, math.ceil(high / step) * step
        if self.low == self.high:
            self.high += step
        count = round((self.high - self.low) / step)
        self.ticks = [self.low + i * step for i in range(count + 1)]
        self._decimals = max(0, -math.floor(math.log10(step)))
        self._begin, self._end = begin, end

    def text(self, value: float) -> str:
        """Return the label of a tick, with enough decimals to differ from the next."""
        return f"{value:,.{self._decimals}f}" if self._decimals < 6 else f"{value:.3g}"

    def coordinate(self, value: float) -> float:
        """Return the coordinate of a value."""
        share = (value - self.low) / (self.high - self.low)
        return float(round(self._begin + share * (self._end - self._begin), 1))


def _grid(across: _Axis, up: _Axis) -> list[str]:
    parts = []
    for value in up.ticks:
        y = up.coordinate(value)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="currentColor" '
            f'stroke-opacity=".15"/><text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{up.text(value)}</text>'
        )
    for value in across.ticks:
        x = across.coordinate(value)
        anchor = "end" if value == across.ticks[-1] else "middle"
        parts.append(
            f'<text x="{x}" y="{HEIGHT - BOTTOM + 16}" text-anchor="{anchor}">{across.text(value)}</text>'
        )
    return parts


def _curves(series: Mapping[str, Points], across: _Axis, up: _Axis) -> list[str]:
    parts = []
    for number, points in enumerate(series.values()):
        path = " ".join(f"{across.coordinate(x)},{up.coordinate(y)}" for x, y in thinned(points))
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{dash}"/>'
        )
    return parts


def _legend(names: Sequence[str]) -> str:
    items = []
    for number, name in enumerate(names):
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
        items.append(
            f'<span><svg viewBox="0 0 28 8" style="width:28px" aria-hidden="true"><line x1="0" '
            f'x2="28" y1="4" y2="4" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>'
            f"</svg> {escape(name)}</span>"
        )
    return f'<div class="names">{"".join(items)}</div>'
