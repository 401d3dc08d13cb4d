"""Colour scales of coloured text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.int64]
"""The level of each symbol, 0 to 8, (T,)."""

COUNT = 9

SURPRISES = (0.25, 0.5, 1, 2, 3, 4.5, 6, 8)
"""Bits at which each level after the first begins."""


WEIGHTS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75)
"""Weights in attention at which each level after the first begins."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How levels are shown: as colours, as CSS classes, as marks."""

    name: str
    """The quantity that the levels measure."""
    order: str
    """The order of the colours in words, for screen readers."""
    letter: str
    """First letter of the CSS classes on a page: s0 to s8, or d0 to d8."""
    labels: Sequence[str]
    """Text in the legend's box of each level."""
    colours: Sequence[str | None]
    """Background of each level in the 256-colour palette; None is the terminal's own."""
    marks: str
    """Mark of each level where there is no colour."""
    legend: str
    """Legend of the marks."""


SEQUENTIAL = (None, "230", "229", "222", "215", "208", "166", "130", "88")
DIVERGING = ("25", "68", "110", "153", None, "223", "215", "172", "130")
"""Yellow to brown, and blue to orange: safe for colour-blind readers."""

DARK = {"25", "68", "166", "130", "88", "172"}
"""Backgrounds that need white letters."""

STRENGTHS = " .:-=+*#@"

SURPRISE = Scale(
    "bits of surprise",
    "more surprise is darker brown; lighter in a dark theme",
    "s",
    (f"under {SURPRISES[0]:g}", *(f"{edge:g}+" for edge in SURPRISES)),
    SEQUENTIAL,
    STRENGTHS,
    "bits of surprise below each line:  "
    + "  ".join(f"{glyph} {edge:g}" for glyph, edge in zip(STRENGTHS[1:], SURPRISES, strict=True)),
)
ACTIVATION = Scale(
    "activation",
    "blue below zero, orange above",
    "d",
    ("-1", "", "-½", "", "0", "", "½", "", "1"),
    DIVERGING,
    "#=-. .:+@",
    "activation below each line:  # = - .  from -1 to 0,  . : + @  from 0 to 1",
)
EIGHTHS = ("0%", "", "25%", "", "50%", "", "75%", "", "100%")
PROBABILITY = Scale(
    "probability of a guess",
    "likelier is darker brown; lighter in a dark theme",
    "s",
    EIGHTHS,
    SEQUENTIAL,
    "",
    "guesses below that, best first:  · under 5%",
)
ATTENTION = Scale(
    "weight",
    "more weight is darker brown; lighter in a dark theme",
    "s",
    (f"under {WEIGHTS[0]:.0%}", *(f"{edge:.0%}+" for edge in WEIGHTS)),
    SEQUENTIAL,
    "",
    "each character, and what it looked at most: character, where (0 is itself), weight",
)


SHARE = Scale(
    "share of n-gram memories in the probability of each character",
    "a larger share is darker brown; lighter in a dark theme",
    "s",
    EIGHTHS,
    SEQUENTIAL,
    STRENGTHS,
    "share of n-gram memories below each line:  "
    + "  ".join(f"{glyph} {i / 8:.0%}" for i, glyph in enumerate(STRENGTHS) if i and i % 2 == 0),
)


def surprise_levels(bits: NDArray[np.float64]) -> Levels:
    """Return the level of each surprise."""
    return np.asarray(np.searchsorted(SURPRISES, bits, side="right"), dtype=np.int64)


def weight_levels(weights: NDArray[np.floating]) -> Levels:
    """Return the level of each weight in attention."""
    return np.asarray(np.searchsorted(WEIGHTS, weights, side="right"), dtype=np.int64)


def activation_levels(values: NDArray[np.floating]) -> Levels:
    """Return the level of each activation in [-1, 1]; level 4 is about 0."""
    return probability_levels((values + 1) / 2)


def probability_levels(values: NDArray[np.floating]) -> Levels:
    """Return the level of each value in [0, 1], rounded."""
    return np.asarray(np.clip(np.rint(values * (COUNT - 1)), 0, COUNT - 1), dtype=np.int64)
