"""Draw the table of quality_over_time.py as a curve in SVG, for docs/benchmarks.md.

python benchmarks/quality_chart.py benchmarks/results/quality_...md docs/curve.svg
"""

import math
import re
import sys
from pathlib import Path

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 56, 178, 24, 40
FASTEST, SLOWEST = 5.0, 3600.0
BEST, WORST = 1.38, 2.0
TRANSFORMER = 1.4697
"""nanoGPT's published loss: 10.65 M parameters, three minutes on an A100, windows of 256."""

NETWORK, MIX, OTHER = "#c2570c", "#0b63b0", "#767676"


def x_of(seconds: float) -> float:
    """Return the x coordinate of a time, on a logarithmic axis."""
    share = math.log(seconds / FASTEST) / math.log(SLOWEST / FASTEST)
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def y_of(loss: float) -> float:
    """Return the y coordinate of a loss."""
    return TOP + (WORST - min(loss, WORST)) / (WORST - BEST) * (HEIGHT - TOP - BOTTOM)


def rows_of(table: str) -> tuple[float, list[tuple[float, float, float]]]:
    """Return the n-gram model's loss, and (seconds, mixture, network) of each budget; cold-256."""
    memory, found = 0.0, []
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| memory alone"):
            memory = float(cells[6])
        elif re.match(r"\| \d+[sm] ", line):
            found.append((float(cells[2]), float(cells[6]), float(cells[9])))
    return memory, found


def text(x: float, y: float, words: str, color: str, anchor: str = "start") -> str:
    """Return a text element."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" font-size="12" '
        f'text-anchor="{anchor}">{words}</text>'
    )


def level(loss: float, words: str) -> list[str]:
    """Return a dashed line at a loss, with its label."""
    y, end = y_of(loss), WIDTH - RIGHT
    line = f'<line x1="{LEFT}" y1="{y:.1f}" x2="{end}" y2="{y:.1f}" stroke="{OTHER}" stroke-dasharray="4 3"/>'
    return [line, text(end + 6, y + 4, words, OTHER)]


def series(points: list[tuple[float, float]], words: str, color: str) -> list[str]:
    """Return a line through points, with its label."""
    places = [(x_of(seconds), y_of(loss)) for seconds, loss in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in places]
    line = f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>'
    return [line, *dots, text(places[-1][0] + 8, places[-1][1] + 4, words, color)]


def axes() -> list[str]:
    """Return the ticks of both axes, with their labels."""
    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>']
    times = {10: "10 s", 30: "30 s", 60: "1 min", 300: "5 min", 1800: "30 min"}
    for seconds, words in times.items():
        parts.append(text(x_of(seconds), HEIGHT - BOTTOM + 18, words, "#333333", "middle"))
    for loss in (1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0):
        y, end = y_of(loss), WIDTH - RIGHT
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{end}" y2="{y:.1f}" stroke="#e4e4e4"/>')
        parts.append(text(LEFT - 8, y + 4, f"{loss:.1f}", "#333333", "end"))
    parts.append(text(LEFT, TOP - 8, "nats per character, cold windows of 256", "#333333"))
    return parts


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    memory, found = rows_of(source.read_text(encoding="utf-8"))
    parts = axes()
    parts += level(memory, "memory alone")
    parts += level(TRANSFORMER, "nanoGPT, 3 min, A100")
    parts += series([(s, network) for s, _, network in found], "network alone", NETWORK)
    parts += series([(s, mix) for s, mix, _ in found], "charrnn", MIX)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">'
    target.write_text("\n".join([head, *parts, "</svg>"]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
