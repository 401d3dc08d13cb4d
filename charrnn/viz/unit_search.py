"""Find the single unit that predicts a property of the text best, and compare it with chance.

A unit is chosen on the first half of a text and scored on the second half. The baseline is the best
unit, found in the same way, of untrained networks of the same shape: their state too depends on the
text, and the best of a thousand units is always better than an average one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.checkpoints.model import Model
from charrnn.core.seeds import derive_seed
from charrnn.nn.architecture import shapes
from charrnn.nn.device import available_cores
from charrnn.nn.engine import Floats
from charrnn.viz.activations import activations_of, states_in_pieces
from charrnn.viz.properties import PROPERTIES, Property, Values

FEWEST, FEWEST_RUNS = 20, 3
"""A property is left out if half a text has fewer characters with it, or without it, than FEWEST, or
if it begins there less often than FEWEST_RUNS. A count must fall that often in each half."""

NUM_RANDOM = 3
"""Untrained networks; the baseline is the best unit of all of them."""

Scores = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitMatch:
    """The unit that predicts a property best. Fields are keys of `viz cells --search --json`."""

    name: str
    measure: str
    """AUC for a property that is true or false: 0.5 is chance, 1 is perfect. |r| for a count."""
    layer: int
    unit: int
    sign: int
    """-1 if the unit is low where the property is true, or where the count is large; else 1."""
    chosen: float
    """Its score on the first half, where it was chosen."""
    score: float
    """Its score on the second half."""
    random: float
    """Score of the best unit of untrained networks on the second half."""
    share: float
    """Fraction of symbols with the property, or mean of the count."""


def search_units(
    ours: Floats,
    random: Iterable[Floats],
    text: str,
    widths: NDArray[np.int64] | int = 1,
) -> list[UnitMatch]:
    """Return the best unit for each property that the text has; the largest lead comes first.

    Args:
        ours: Activations of the network at each symbol of the text, (T, L, H).
        random: Activations of untrained networks of the same shape.
        text: Held-out text.
        widths: Number of symbols of each character.
    """
    wanted = {each: np.repeat(each.find(text), widths) for each in PROPERTIES}
    wanted = {each: values for each, values in wanted.items() if has_enough(values, each)}
    width, best = ours.shape[2], best_units(wanted, ours)
    untrained_best = [best_units(wanted, each) for each in random]
    found = [
        unit_match(each, values, best[n], [others[n] for others in untrained_best], width)
        for n, (each, values) in enumerate(wanted.items())
    ]
    return sorted(found, key=lambda f: f.score - f.random, reverse=True)


def ranks(units: Floats) -> Scores:
    """Return the rank of each activation within its unit, from 1; ties share their mean rank."""
    columns = np.ascontiguousarray(units.T)
    order = np.argsort(columns, axis=1)
    ordered = np.take_along_axis(columns, order, axis=1)
    indices = np.arange(len(units))
    is_new = ordered[:, 1:] != ordered[:, :-1]
    edge = np.ones((len(columns), 1), dtype=bool)
    first = np.where(np.hstack([edge, is_new]), indices, 0)
    last = np.where(np.hstack([is_new, edge]), indices, len(units) - 1)
    first = np.maximum.accumulate(first, axis=1)
    last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    result = np.empty(columns.shape)
    np.put_along_axis(result, order, (first + last) / 2 + 1, axis=1)
    return result.T


def has_enough(values: Values, each: Property) -> bool:
    """Return whether both halves of a text have enough of a property for a score."""
    half = len(values) // 2
    halves = (values[:half], values[half:])
    if each.is_count:
        return all((np.diff(part) < 0).sum() >= FEWEST_RUNS for part in halves)
    times = [int((np.diff(part, prepend=0) > 0).sum()) for part in halves]
    are_many = all(FEWEST <= part.sum() <= len(part) - FEWEST for part in halves)
    return are_many and min(times) >= FEWEST_RUNS


@dataclass(frozen=True, slots=True)
class BestUnit:
    """The best unit of a network for a property. Scores are in [-1, 1]; 0 is chance."""

    index: int
    """Index over the units of all layers."""
    chosen: float
    """Its score on the first half, where it was chosen."""
    score: float
    """Its score on the second half, positive if the sign is the same."""


def best_units(wanted: Mapping[Property, Values], activations: Floats) -> list[BestUnit]:
    """Return the best unit of a network for each property.

    Args:
        wanted: Value of each property at each symbol, (T,).
        activations: Activations of the network, (T, L, H).
    """
    units = activations.reshape(len(activations), -1)
    half = len(units) // 2
    first_ranks, result = ranks(units[:half]), []
    for each, values in wanted.items():
        score: Callable[[Values, Any], Scores] = correlations if each.is_count else rank_biserial
        first = score(values[:half], units[:half] if each.is_count else first_ranks)
        index = int(np.abs(first).argmax())
        column = units[half:, index : index + 1]
        second = score(values[half:], column if each.is_count else ranks(column))[0]
        result.append(BestUnit(index, float(first[index]), float(second * np.sign(first[index]))))
    return result


def unit_match(
    each: Property, values: Values, best: BestUnit, random: Sequence[BestUnit], width: int
) -> UnitMatch:
    """Return the result of the search for one property.

    Args:
        each: The property.
        values: Its value at each symbol, (T,).
        best: Best unit of the network.
        random: Best unit of each untrained network.
        width: Units in a layer.
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
    """Return a score in [-1, 1] as it is reported: AUC for a property, r for a count."""
    return score if each.is_count else 0.5 + score / 2


def rank_biserial(values: Values, ranked: Scores) -> Scores:
    """Return 2 AUC - 1 of each unit for a property, (N,); AUC is the area under the ROC curve.

    AUC is the fraction of pairs, one character with the property and one without, in which the
    first has the higher activation; ties count half (Mann and Whitney, 1947).

    Args:
        values: The property, 0 or 1, (T,).
        ranked: Ranks of activations, (T, N).
    """
    num_with = values.sum()
    num_without = len(values) - num_with
    sums = values @ ranked
    result: Scores = 2 * (sums - num_with * (num_with + 1) / 2) / (num_with * num_without) - 1
    return result


def correlations(values: Values, units: Floats) -> Scores:
    """Return Pearson's r of each unit with a count, (N,); 0 for a unit that is constant."""
    centred = units - units.mean(axis=0, dtype=np.float64)
    wanted = values - values.mean()
    norms = np.sqrt((centred**2).sum(axis=0) * (wanted**2).sum())
    result: Scores = wanted @ centred / np.where(norms > 0, norms, np.inf)
    return result


def untrained_activations(model: Model, ids: Sequence[int], kind: str) -> Iterator[Floats]:
    """Return the activations of NUM_RANDOM untrained networks, computed in background threads.

    Arguments as of `states` and `activations_of`.
    """

    def one(number: int) -> Floats:
        return activations_of(states_in_pieces(untrained(model, number), ids), kind)

    executor = ThreadPoolExecutor(min(NUM_RANDOM, available_cores()))
    found = executor.map(one, range(NUM_RANDOM))
    executor.shutdown(wait=False)
    return found


def untrained(model: Model, number: int = 0) -> Model:
    """Return an untrained network of the same shape; each number gives other random weights."""
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
                weight[H : 2 * H] = 1  # as in training: forget gates begin open
        weights[name] = weight.astype(np.float32)
    return replace(model, weights=weights)
