"""Pictures of a text for a terminal: coloured characters, or signs beneath each line of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SURPRISES = (0.25, 0.5, 1, 2, 3, 4.5, 6, 8)
"""Bits at which the next level begins."""

LEVELS = 9

WIDTH = 72
"""Characters of a line."""

UNLIKELY = 0.05
"""Probability below which a guess is not spelt out where there is no colour."""

SEQUENTIAL = (None, "230", "229", "222", "215", "208", "166", "130", "88")
DIVERGING = ("25", "68", "110", "153", None, "223", "215", "172", "130")
"""Backgrounds out of 256 colours, one a level; blue and orange are told apart by the colour-blind."""

SURPRISE_SIGNS = " .:-=+*#@"
ACTIVATION_SIGNS = "#=-. .:+@"
DARK = {"25", "68", "166", "130", "88", "172"}
"""Backgrounds that need white letters."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How levels are shown."""

    colours: Sequence[str | None]
    signs: str
    legend: str


SURPRISE = Scale(
    SEQUENTIAL, SURPRISE_SIGNS, "bits of surprise: " + " ".join(
        f"{sign}{edge:g}" for sign, edge in zip(SURPRISE_SIGNS[1:], SURPRISES, strict=True)
    ),
)  # fmt: skip
ACTIVATION = Scale(
    DIVERGING, ACTIVATION_SIGNS, "activation: # = - . from -1 to 0, . : + @ from 0 to 1"
)


def picture(signs: Sequence[str], levels: NDArray[np.int64], scale: Scale, *, colour: bool) -> str:
    """Return a text coloured by levels; without colour each line has signs of them beneath it.

    Args:
        signs: What each symbol looks like, (T,); ↵ ends a line.
        levels: Of each symbol, (T,).
        scale: How levels are shown.
        colour: Whether the terminal has 256 colours.
    """
    lines = [scale.legend, ""]
    for begin, end in lines_of(signs):
        if colour:
            lines.append(coloured(signs[begin:end], levels[begin:end], scale))
        else:
            lines.append("".join(signs[begin:end]))
            marks = (
                scale.signs[v] * len(s)
                for s, v in zip(signs[begin:end], levels[begin:end], strict=True)
            )
            lines.append("".join(marks).rstrip())
    return "\n".join(lines)


def grid(
    signs: Sequence[str],
    levels: NDArray[np.int64],
    guesses: NDArray[np.str_],
    shares: NDArray[np.float64],
    *,
    colour: bool,
) -> str:
    """Return a text in blocks of lines: itself, and under each symbol the guesses for the next.

    Without colour a guess less likely than UNLIKELY is a dot.

    Args:
        signs: What each symbol looks like, (T,).
        levels: Of an activation at each symbol, (T,).
        guesses: Signs of the likeliest next symbols, the best first, (T - 1, K).
        shares: Their probabilities, (T - 1, K).
        colour: Whether the terminal has 256 colours.
    """
    narrow = np.array([sign if len(sign) == 1 else "�" for sign in guesses.flat])
    narrow = narrow.reshape(guesses.shape)
    blocks = []
    for begin in range(0, len(signs), WIDTH):
        part = slice(begin, min(begin + WIDTH, len(shares)))
        text = [sign if len(sign) == 1 else "�" for sign in signs[begin : begin + WIDTH]]
        if colour:
            lines = [coloured(text, levels[begin : begin + WIDTH], ACTIVATION)]
            steps = np.rint(shares * (LEVELS - 1)).astype(np.int64)
            lines += [
                coloured(narrow[part, k].tolist(), steps[part, k], SURPRISE)
                for k in range(shares.shape[1])
            ]
        else:
            kept = np.where(shares[part] >= UNLIKELY, narrow[part], "·")
            lines = ["".join(text), *("".join(column) for column in kept.T)]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def lines_of(signs: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield where the lines of a picture begin and end: at newlines, and at WIDTH."""
    begin = 0
    for place, sign in enumerate(signs, start=1):
        if sign == "↵" or place - begin == WIDTH or place == len(signs):
            yield begin, place
            begin = place


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


def surprise_levels(bits: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the level of each surprise, 0 to 8."""
    return np.asarray(np.searchsorted(SURPRISES, bits, side="right"), dtype=np.int64)


def activation_levels(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the level of each activation in [-1, 1], 0 to 8; 4 is about none."""
    return np.asarray(
        np.clip(np.rint((values + 1) / 2 * (LEVELS - 1)), 0, LEVELS - 1), dtype=np.int64
    )
