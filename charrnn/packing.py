"""Activations as short texts that a page carries: a byte each for a few units, a level for all."""

import base64
import zlib
from collections.abc import Iterable, Mapping

import numpy as np

from charrnn.engine import Floats
from charrnn.levels import Levels, activation_levels

MOST_PACKED = 1_400_000
"""Characters that all units may take of a page, which is to stay below 2 MB."""


def unit_data(values: Floats, chosen: Iterable[Floats]) -> Mapping[str, object]:
    """Return what a page's script needs to colour a text by any unit.

    Args:
        values: All activations, (T, L, H).
        chosen: Those of units that are shown first, (T,) each.
    """
    flat = values.reshape(len(values), -1)
    numbers, packed = packed_units(flat)
    names = ["{}:{}".format(*divmod(number, values.shape[2])) for number in numbers]
    return {"units": [coded_unit(each) for each in chosen], "names": names, "packed": packed}


def coded_unit(values: Floats) -> str:
    """Return activations in [-1, 1] as a byte each, 0 to 254, in base64."""
    numbers = np.rint((np.clip(values, -1, 1) + 1) * 127).astype(np.uint8)
    return base64.b64encode(numbers.tobytes()).decode("ascii")


def packed_units(values: Floats, most: int = MOST_PACKED) -> tuple[list[int], str]:
    """Return which units there is room for, and their levels; those that move most come first.

    Args:
        values: Activations, (T, N).
        most: Characters that the levels may take.
    """
    levels = activation_levels(values).T
    by_movement = np.argsort(-values.std(axis=0), kind="stable")
    count = len(levels)
    while True:
        numbers = np.sort(by_movement[:count])
        packed = packed_levels(levels[numbers])
        if len(packed) <= most or count <= 1:
            return numbers.tolist(), packed
        count = max(1, min(count - 1, int(count * most / len(packed))))


def packed_levels(levels: Levels) -> str:
    """Return levels as half a byte each, row by row, by zlib, in base64."""
    flat = levels.astype(np.uint8).ravel()
    flat = np.append(flat, np.zeros(len(flat) % 2, dtype=np.uint8))
    return base64.b64encode(zlib.compress((flat[::2] << 4 | flat[1::2]).tobytes(), 6)).decode()
