"""Colour scales of coloured text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.int64]
"""A level each, 0 to 8."""

COUNT = 9

SURPRISES = (0.25, 0.5, 1, 2, 3, 4.5, 6, 8)
"""Bits at which the next level begins."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How levels are shown."""

    name: str
    """What is shown."""
    order: str
    """By which colours, for those who do not see them."""
    letter: str
    """Of the classes of a page's style: s0 to s8, or d0 to d8."""
    labels: Sequence[str]
    """What a page writes into the box of each level."""
    colours: Sequence[str | None]
    """Backgrounds out of 256 colours."""
    signs: str
    """Without colours."""
    legend: str
    """Of the signs."""


SEQUENTIAL = (None, "230", "229", "222", "215", "208", "166", "130", "88")
DIVERGING = ("25", "68", "110", "153", None, "223", "215", "172", "130")
"""Yellow to brown, and blue to orange: the colour-blind tell them apart."""

DARK = {"25", "68", "166", "130", "88", "172"}
"""Backgrounds that need white letters."""

STRENGTHS = " .:-=+*#@"

SURPRISE = Scale(
    "bits of surprise",
    "the more, the darker brown; in a dark theme the lighter",
    "s",
    (f"under {SURPRISES[0]:g}", *(f"{edge:g}+" for edge in SURPRISES)),
    SEQUENTIAL,
    STRENGTHS,
    "bits of surprise beneath each line:  "
    + "  ".join(f"{sign} {edge:g}" for sign, edge in zip(STRENGTHS[1:], SURPRISES, strict=True)),
)
ACTIVATION = Scale(
    "activation",
    "blue below zero, orange above",
    "d",
    ("-1", "", "-½", "", "0", "", "½", "", "1"),
    DIVERGING,
    "#=-. .:+@",
    "activation beneath each line:  # = - .  from -1 to 0,  . : + @  from 0 to 1",
)
PROBABILITY = Scale(
    "probability of a guess",
    "the likelier, the darker brown; in a dark theme the lighter",
    "s",
    ("0%", "", "25%", "", "50%", "", "75%", "", "100%"),
    SEQUENTIAL,
    "",
    "guesses below that, the best first:  · under 5%",
)


def surprise_levels(bits: NDArray[np.float64]) -> Levels:
    """Return the level of each surprise."""
    return np.asarray(np.searchsorted(SURPRISES, bits, side="right"), dtype=np.int64)


def activation_levels(values: NDArray[np.floating]) -> Levels:
    """Return the level of each activation in [-1, 1]; the middle one is about none."""
    return probability_levels((values + 1) / 2)


def probability_levels(values: NDArray[np.floating]) -> Levels:
    """Return the level of each value in [0, 1]."""
    return np.asarray(np.clip(np.rint(values * (COUNT - 1)), 0, COUNT - 1), dtype=np.int64)
