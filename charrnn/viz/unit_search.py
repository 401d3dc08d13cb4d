"""Which unit alone says most about a property of the text, and whether that is more than luck.

A unit is chosen on the first half of a text and scored on the second. Beside it stands the best
unit, found in the same way, of some networks of the same shape with random weights: they too carry
some of the text along, and among a thousand units one is always lucky.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from charrnn.checkpoints.model import Model
from charrnn.core.config import shapes
from charrnn.core.seeds import derive_seed
from charrnn.nn.device import available_cores
from charrnn.nn.engine import Floats
from charrnn.viz.activations import activations_of, states_in_pieces
from charrnn.viz.properties import PROPERTIES, Property, Values

FEWEST, FEWEST_RUNS = 20, 3
"""Characters of either kind, in each half, below which a property is left out; and how often it
must begin there, or a count fall."""

NUM_RANDOM = 3
"""Random networks; the best unit of all of them is what counts."""

Scores = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitMatch:
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


def search_units(
    ours: Floats,
    random: Iterable[Floats],
    text: str,
    widths: NDArray[np.int64] | None = None,
) -> list[UnitMatch]:
    """Return the best unit for each property that the text has, the clearest first.

    Args:
        ours: Activations of a network at each symbol of a text, (T, L, H).
        random: Those of untrained networks of the same shape.
        text: Held-out text.
        widths: How many symbols each character of the text is; all are one unless given.
    """
    repeats = 1 if widths is None else widths
    wanted = {each: np.repeat(each.find(text), repeats) for each in PROPERTIES}
    wanted = {each: values for each, values in wanted.items() if has_enough(values, each)}
    width, best = ours.shape[2], best_units(wanted, ours)
    lucky = [best_units(wanted, each) for each in random]
    found = [
        unit_match(each, values, best[n], [others[n] for others in lucky], width)
        for n, (each, values) in enumerate(wanted.items())
    ]
    return sorted(found, key=lambda f: f.score - f.random, reverse=True)


def ranks(units: Floats) -> Scores:
    """Return the rank of each activation among those of its unit, from 1; equals share theirs."""
    columns = np.ascontiguousarray(units.T)
    order = np.argsort(columns, axis=1)
    ordered = np.take_along_axis(columns, order, axis=1)
    places = np.arange(len(units))
    is_new = ordered[:, 1:] != ordered[:, :-1]
    edge = np.ones((len(columns), 1), dtype=bool)
    first = np.where(np.hstack([edge, is_new]), places, 0)
    last = np.where(np.hstack([is_new, edge]), places, len(units) - 1)
    first = np.maximum.accumulate(first, axis=1)
    last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    result = np.empty(columns.shape)
    np.put_along_axis(result, order, (first + last) / 2 + 1, axis=1)
    return result.T


@dataclass(frozen=True, slots=True)
class UnitRanks:
    """The units of one network: chosen by one half of a text, scored by the other."""

    first: Floats
    """Activations of the first half, (T // 2, N)."""
    second: Floats
    """Those of the second, (T - T // 2, N)."""
    ranks: Scores
    """Ranks of the first half, (T // 2, N)."""

    @classmethod
    def of(cls, values: Floats) -> "UnitRanks":
        """Return the units of activations, (T, L, H)."""
        flat = values.reshape(len(values), -1)
        half = len(flat) // 2
        return cls(flat[:half], flat[half:], ranks(flat[:half]))


def has_enough(values: Values, each: Property) -> bool:
    """Say whether both halves of a text have enough of a property to tell."""
    half = len(values) // 2
    halves = (values[:half], values[half:])
    if each.is_count:
        return all((np.diff(part) < 0).sum() >= FEWEST_RUNS for part in halves)
    times = [int((np.diff(part, prepend=0) > 0).sum()) for part in halves]
    are_many = all(FEWEST <= part.sum() <= len(part) - FEWEST for part in halves)
    return are_many and min(times) >= FEWEST_RUNS


@dataclass(frozen=True, slots=True)
class BestUnit:
    """The best of some units for a property; scores are in [-1, 1], 0 being chance."""

    index: int
    """Which unit, of all layers."""
    chosen: float
    """Its score where it was chosen."""
    score: float
    """That on the other half, positive where it keeps its sign."""


def best_units(wanted: Mapping[Property, Values], activations: Floats) -> list[BestUnit]:
    """Return the best unit of a network for each property.

    Args:
        wanted: What each property is at each symbol, (T,).
        activations: The network's, (T, L, H).
    """
    units = UnitRanks.of(activations)
    return [best_unit(each, values, units) for each, values in wanted.items()]


def best_unit(each: Property, values: Values, units: UnitRanks) -> BestUnit:
    """Return the best of some units for a property, which is `values` at each symbol, (T,)."""
    half = len(units.first)
    if each.is_count:
        first = correlations(values[:half], units.first)
    else:
        first = rank_biserial(values[:half], units.ranks)
    index = int(np.abs(first).argmax())
    column = units.second[:, index : index + 1]
    if each.is_count:
        second = correlations(values[half:], column)[0]
    else:
        second = rank_biserial(values[half:], ranks(column))[0]
    return BestUnit(index, float(first[index]), float(second * np.sign(first[index])))


def unit_match(
    each: Property, values: Values, best: BestUnit, random: Sequence[BestUnit], width: int
) -> UnitMatch:
    """Return what was found for a property.

    Args:
        each: The property.
        values: What it is at each symbol, (T,).
        best: The network's best unit.
        random: Those of untrained networks.
        width: Units of a layer.
    """
    layer, unit = divmod(best.index, width)
    return UnitMatch(
        name=each.name,
        measure="|r|" if each.is_count else "AUC",
        layer=layer,
        unit=unit,
        sign=1 if best.chosen > 0 else -1,
        chosen=reported_score(each, abs(best.chosen)),
        score=reported_score(each, best.score),
        random=reported_score(each, max(other.score for other in random)),
        share=float(values.mean()),
    )


def reported_score(each: Property, score: float) -> float:
    """Return a score as it is reported: an AUC instead of 2 AUC - 1."""
    return score if each.is_count else 0.5 + score / 2


def rank_biserial(values: Values, ranked: Scores) -> Scores:
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


def correlations(values: Values, units: Floats) -> Scores:
    """Return Pearson's r of each unit with a count, (N,); 0 for a unit that never moves."""
    centred = units - units.mean(axis=0, dtype=np.float64)
    wanted = values - values.mean()
    norms = np.sqrt((centred**2).sum(axis=0) * (wanted**2).sum())
    result: Scores = wanted @ centred / np.where(norms > 0, norms, np.inf)
    return result


def untrained_activations(model: Model, ids: Sequence[int], kind: str) -> Iterator[Floats]:
    """Return the activations of NUM_RANDOM untrained networks, read from now on beside the caller.

    Arguments as of `states` and `activations_of`.
    """

    def one(number: int) -> Floats:
        return activations_of(states_in_pieces(untrained(model, number), ids), kind)

    with_threads = ThreadPoolExecutor(min(NUM_RANDOM, available_cores()))
    found = with_threads.map(one, range(NUM_RANDOM))
    with_threads.shutdown(wait=False)
    return found


def untrained(model: Model, number: int = 0) -> Model:
    """Return a network of the same shape as it is before training, with other random numbers."""
    rng = np.random.default_rng(derive_seed(0, "untrained", number))
    H = model.config.hidden_size
    weights: dict[str, Floats] = {}
    for name, shape in shapes(model.config).items():
        if name == "embedding.weight":
            weight = rng.normal(0, 1, shape)
        elif "weight_hh" in name:
            squares = rng.standard_normal((shape[0] // H, H, H), dtype=np.float32)
            gates = np.linalg.qr(squares)[0]
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
