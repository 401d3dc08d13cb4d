"""Numbers that the script of a page shows: small enough for a page below 2 MB."""

import base64
import zlib
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from charrnn.nn.engine import Floats
from charrnn.viz.render.colours import WEIGHTS, Levels, activation_levels

MOST_PACKED = 1_400_000
"""Characters for all units in a page, so that the page stays below 2 MB."""


def unit_data(values: Floats, chosen: Iterable[Floats]) -> Mapping[str, object]:
    """Return the data that the script of a page needs to colour a text by any unit.

    Args:
        values: All activations, (T, L, H).
        chosen: Activations of the units at the top of the menu, (T,) each.
    """
    flat = values.reshape(len(values), -1)
    numbers, packed = packed_units(flat)
    names = ["{}:{}".format(*divmod(number, values.shape[2])) for number in numbers]
    return {"units": [coded_unit(each) for each in chosen], "names": names, "packed": packed}


def coded_unit(values: Floats) -> str:
    """Return activations in [-1, 1] as one byte each, 0 to 254, in base64."""
    numbers = np.rint((np.clip(values, -1, 1) + 1) * 127).astype(np.uint8)
    return base64.b64encode(numbers.tobytes()).decode("ascii")


def packed_units(values: Floats, most: int = MOST_PACKED) -> tuple[list[int], str]:
    """Return the units that fit on a page, and their packed levels.

    If not all fit, units with a small standard deviation are left out.

    Args:
        values: Activations, (T, N).
        most: Characters of the packed levels at most.
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
    """Return levels as half a byte each, row by row, compressed by zlib, in base64."""
    flat = levels.astype(np.uint8).ravel()
    flat = np.append(flat, np.zeros(len(flat) % 2, dtype=np.uint8))
    return base64.b64encode(zlib.compress((flat[::2] << 4 | flat[1::2]).tobytes(), 6)).decode()


def packed_sights(
    offsets: NDArray[np.int16], weights: Floats, most: int = MOST_PACKED
) -> Mapping[str, object]:
    """Return the data that the script of a page needs to show where each symbol looked.

    Offsets are two bytes each, first all lower ones; then weights, a byte each; compressed by zlib,
    in base64. If they do not fit, fewer symbols are kept for each.

    Args:
        offsets: Of the symbols that each looked at, (T, M, K), those with the largest weights first.
        weights: (T, M, K).
        most: Characters of the packed bytes at most.
    """
    per = offsets.shape[-1]
    while True:
        pairs = offsets[..., :per].astype("<i2").tobytes()
        shares = np.rint(weights[..., :per] * 255).astype(np.uint8).tobytes()
        packed = base64.b64encode(zlib.compress(pairs[::2] + pairs[1::2] + shares, 6)).decode()
        if len(packed) <= most or per == 1:
            return {"per": per, "levels": WEIGHTS, "packed": packed}
        per = max(1, min(per - 1, int(per * most / len(packed))))
