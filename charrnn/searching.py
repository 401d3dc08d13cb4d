"""Which unit alone says most about a property of the text, and whether that is more than luck.

A unit is chosen on the first half of a text and scored on the second. Beside it stands the best
unit, found in the same way, of some networks of the same shape with random weights: they too carry
some of the text along, and among a thousand units one is always lucky.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from charrnn.activations import activations
from charrnn.checkpoint import Model
from charrnn.config import shapes
from charrnn.engine import Floats
from charrnn.properties import PROPERTIES, Property, Values
from charrnn.seeds import derive_seed

FEWEST, FEWEST_TIMES = 20, 3
"""Characters of either kind, in each half, below which a property is left out; and how often it
must begin there, or a count fall."""

NUM_RANDOM = 3
"""Random networks; the best unit of all of them is what counts."""

Scores = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The unit that goes best with a property."""

    name: str
    measure: str
    """AUC of a property that holds or not: 0.5 is chance, 1 is perfect. |r| of a count."""
    layer: int
    unit: int
    sign: int
    """-1 for a unit that is low where the property holds, or the count is large."""
    chosen: float
    """Its score where it was chosen."""
    score: float
    """Its score on the other half."""
    random: float
    """That of the best unit of random networks, found in the same way."""
    share: float
    """Of the characters that have the property; the mean of a count."""


def search(
    model: Model,
    text: str,
    ids: Sequence[int],
    kind: str = "cell",
    widths: NDArray[np.int64] | None = None,
) -> list[Found]:
    """Return the best unit for each property that the text has, the clearest first.

    Args:
        model: Whose units.
        text: Held-out text.
        ids: The same as symbols, (T,).
        kind: As of `activations`.
        widths: How many symbols each character of the text is; all are one unless given.
    """
    repeats = 1 if widths is None else widths
    there = {each: np.repeat(each.find(text), repeats) for each in PROPERTIES}
    there = {each: values for each, values in there.items() if is_there(values, each)}
    ours = Units.of(activations(model, ids, kind))
    random = [Units.of(activations(untrained(model, n), ids, kind)) for n in range(NUM_RANDOM)]
    found = [best_unit(each, values, ours, random) for each, values in there.items()]
    return sorted(found, key=lambda f: f.score - f.random, reverse=True)


@dataclass(frozen=True, slots=True)
class Units:
    """The units of one network: chosen by one half of a text, scored by the other."""

    first: Floats
    """Activations of the first half, (T // 2, N)."""
    second: Floats
    """Those of the second, (T - T // 2, N)."""
    ranks: Scores
    """Ranks of the first half, (T // 2, N)."""
    width: int
    """Units of a layer (H)."""

    @classmethod
    def of(cls, values: Floats) -> "Units":
        """Return the units of activations, (T, L, H)."""
        flat = values.reshape(len(values), -1)
        half = len(flat) // 2
        return cls(flat[:half], flat[half:], ranks(flat[:half]), values.shape[2])


def is_there(values: Values, each: Property) -> bool:
    """Say whether both halves of a text have enough of a property to tell."""
    half = len(values) // 2
    halves = (values[:half], values[half:])
    if each.is_count:
        return all((np.diff(part) < 0).sum() >= FEWEST_TIMES for part in halves)
    times = [int((np.diff(part, prepend=0) > 0).sum()) for part in halves]
    are_many = all(FEWEST <= part.sum() <= len(part) - FEWEST for part in halves)
    return are_many and min(times) >= FEWEST_TIMES


def best_unit(each: Property, values: Values, ours: Units, random: Sequence[Units]) -> Found:
    """Return the unit that goes best with one property.

    Args:
        each: The property.
        values: What it is at each character, (T,).
        ours: The network's units.
        random: Those of random networks of the same shape.
    """
    place, chosen, score = chosen_and_scored(each, values, ours)
    lucky = max(chosen_and_scored(each, values, units)[2] for units in random)
    layer, unit = divmod(place, ours.width)
    return Found(
        name=each.name,
        measure="|r|" if each.is_count else "AUC",
        layer=layer,
        unit=unit,
        sign=1 if chosen > 0 else -1,
        chosen=shown(each, abs(chosen)),
        score=shown(each, score),
        random=shown(each, lucky),
        share=float(values.mean()),
    )


def chosen_and_scored(each: Property, values: Values, units: Units) -> tuple[int, float, float]:
    """Return the best of some units: which, its score there, and on the other half.

    A score is in [-1, 1], 0 being chance; the second is positive where the unit keeps its sign.
    """
    half = len(units.first)
    if each.is_count:
        first = correlations(values[:half], units.first)
    else:
        first = separations(values[:half], units.ranks)
    place = int(np.abs(first).argmax())
    column = units.second[:, place : place + 1]
    if each.is_count:
        second = correlations(values[half:], column)[0]
    else:
        second = separations(values[half:], ranks(column))[0]
    return place, float(first[place]), float(second * np.sign(first[place]))


def shown(each: Property, score: float) -> float:
    """Return a score as it is reported: an AUC instead of 2 AUC - 1."""
    return score if each.is_count else 0.5 + score / 2


def separations(values: Values, ranked: Scores) -> Scores:
    """Return 2 AUC - 1 of each unit alone for a property, (N,): the area under the ROC curve.

    It is the share of pairs, one character with the property and one without, whose activations
    are in that order, ties counting half (Mann and Whitney, 1947).

    Args:
        values: 0 or 1, (T,).
        ranked: Ranks of activations, (T, N).
    """
    num_with = values.sum()
    num_without = len(values) - num_with
    sums = values @ ranked
    result: Scores = 2 * (sums - num_with * (num_with + 1) / 2) / (num_with * num_without) - 1
    return result


def ranks(units: Floats) -> Scores:
    """Return the rank of each activation among those of its unit, from 1; equals share theirs."""
    result = np.empty(units.shape)
    for n, column in enumerate(units.T):
        ordered = np.sort(column)
        left = np.searchsorted(ordered, column, side="left")
        result[:, n] = (left + np.searchsorted(ordered, column, side="right") + 1) / 2
    return result


def correlations(values: Values, units: Floats) -> Scores:
    """Return Pearson's r of each unit with a count, (N,); 0 for a unit that never moves."""
    centred = units - units.mean(axis=0, dtype=np.float64)
    wanted = values - values.mean()
    norms = np.sqrt((centred**2).sum(axis=0) * (wanted**2).sum())
    result: Scores = wanted @ centred / np.where(norms > 0, norms, np.inf)
    return result


def untrained(model: Model, number: int = 0) -> Model:
    """Return a network of the same shape as it is before training, with other random numbers."""
    rng = np.random.default_rng(derive_seed(0, "untrained", number))
    H = model.config.hidden_size
    weights: dict[str, Floats] = {}
    for name, shape in shapes(model.config).items():
        if name == "embedding.weight":
            weight = rng.normal(0, 1, shape)
        elif "weight_hh" in name:
            gates = [np.linalg.qr(rng.normal(0, 1, (H, H)))[0] for _ in range(shape[0] // H)]
            weight = np.concatenate(gates)
        elif len(shape) == 2:
            bound = (6 / sum(shape)) ** 0.5
            weight = rng.uniform(-bound, bound, shape)
        else:
            weight = np.zeros(shape)
            if "bias_ih" in name and model.config.cell == "lstm":
                weight[H : 2 * H] = 1  # forget gates that remember
        weights[name] = weight.astype(np.float32)
    return replace(model, weights=weights)
