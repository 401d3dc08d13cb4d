"""The surprise, predictions and cells pictures, and their JSON lines."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from charrnn.core.console import count_text, perplexity_text
from charrnn.core.errors import InputError, printable
from charrnn.nn.architecture import ModelConfig
from charrnn.nn.engine import Floats
from charrnn.viz.activations import BITS
from charrnn.viz.packing import unit_data
from charrnn.viz.render.colours import (
    ACTIVATION,
    SURPRISE,
    activation_levels,
    surprise_levels,
)
from charrnn.viz.render.elements import (
    Coloured,
    Element,
    Guesses,
    Heading,
    Picture,
    Remark,
    Rows,
    UnitText,
)
from charrnn.viz.unit_search import UnitMatch
from charrnn.viz.view import View

Unit = tuple[int, int]
"""(layer, unit), both from 0."""

KIND_WORDS = {
    "cell": "tanh(c), its memory cell",
    "hidden": "h, its output",
    "residual": "tanh of the residual stream behind a block, after RMSNorm",
}
"""The activation of a unit in words, by kind."""

JsonLines = Iterator[dict[str, Any]]

SEARCH_COLUMNS = (
    "property",
    "unit",
    "score",
    "best untrained unit",
    "measure",
    "share or mean",
)

SEARCH_REMARK = (
    "For each property of the text, the unit that predicts it best: chosen on the first half of the "
    "text, scored on the second half; (off) means that the unit is low where the property holds. "
    "AUC: 0.5 is chance, 1 is perfect. For comparison, the best unit of three networks of the same "
    "shape that have learned nothing: only a clear lead over it, about 0.1 or more, is a discovery."
)


# Surprise


def surprise_picture(view: View) -> Picture:
    """Return the text, coloured by the surprise at each symbol."""
    bits = view.expected.bits
    mean = f"{count_text(len(view.ids), view.unit)}, {bits.mean():.3f} bits each"
    words = perplexity_text(bits.mean() / BITS, view.unit)
    elements: list[Element] = [
        Remark(f"{mean}: the model is {words}."),
        Coloured(view.running_glyphs, surprise_levels(bits), SURPRISE, "Text coloured by surprise"),
    ]
    return Picture(f"Surprise: {view.title}", elements, lambda: page_data(view))


def surprise_numbers(view: View) -> JsonLines:
    """Yield one object per symbol: surprise in bits, and the best guesses."""
    expected = view.expected
    for t, symbol in enumerate(view.text):
        guesses = zip(expected.guesses[t].tolist(), expected.probabilities[t].tolist(), strict=True)
        yield {
            "index": t,
            "symbol": symbol,
            "bits": float(expected.bits[t]),
            "guesses": [[view.character(guess), share] for guess, share in guesses],
        }


def page_data(view: View, *, ahead: int = 0) -> Mapping[str, object]:
    """Return the details of each symbol for the script of a page.

    Args:
        view: The text.
        ahead: 1 for guesses about the symbol that is read next, 0 for guesses about the symbol itself.
    """
    expected = view.expected
    shares = np.rint(expected.probabilities * 100).astype(int).tolist()
    pairs = zip(expected.guesses.tolist(), shares, strict=True)
    guesses: list[list[Any] | None]
    guesses = [list(zip(guesses, percent, strict=True)) for guesses, percent in pairs]
    if view.model.is_backward:
        what, shifted = "expected before", [None, *guesses[:-1]]
    else:
        what, shifted = "expected next", guesses[1:]
    return {
        "signs": view.alphabet,
        "bits": [round(value, 2) for value in expected.bits.tolist()],
        "what": what if ahead else "expected",
        "guesses": shifted if ahead else guesses,
    }


# Predictions


def predictions_picture(view: View, unit: str, values: Floats | None, kind: str) -> Picture:
    """Return the text, with the five best guesses for the next symbol below each symbol.

    Args:
        view: The text.
        unit: Name of the unit that colours the text; empty to colour by surprise.
        values: Activation of that unit at each symbol, (T,); None to colour by surprise.
        kind: Kind of activation, a key of KIND_WORDS.
    """
    expected = view.expected
    levels, scale = surprise_levels(expected.bits), SURPRISE
    by = f"the surprise at each {view.unit}"
    if values is not None:
        levels, scale = activation_levels(values), ACTIVATION
        by = f"the activation of unit {unit} after each {view.unit} ({KIND_WORDS[kind]})"
    which, side = ("one before", "right") if view.model.is_backward else ("next one", "left")
    remark = (
        f"The text, with {by}. Below each {view.unit} are the best guesses for the {which}: a "
        f"correct guess is one column to the {side} of the {view.unit} that it predicts."
    )
    names = [[view.alphabet[i] for i in guesses] for guesses in expected.guesses]
    shares, none = expected.probabilities, [""] * len(names[0])
    if view.model.is_backward:
        names, shares = [none, *names[:-1]], np.concatenate([0 * shares[:1], shares[:-1]])
    else:
        names, shares = names[1:], shares[1:]
    guesses = Guesses(view.glyphs, levels, scale, names, shares)
    elements: list[Element] = [Remark(remark), guesses]
    return Picture(f"Predictions: {view.title}", elements, lambda: page_data(view, ahead=1))


def prediction_numbers(view: View, values: Floats | None) -> JsonLines:
    """Yield one object per symbol, with the activation of a unit, (T,), if it is given."""
    for t, line in enumerate(surprise_numbers(view)):
        yield line if values is None else line | {"activation": float(values[t])}


# Cells


def cells_picture(
    view: View, values: Floats, chosen: Mapping[str, Unit], found: Sequence[UnitMatch], kind: str
) -> Picture:
    """Return the text, coloured by the chosen units; a page offers all other units too.

    Args:
        view: The text.
        values: All activations, (T, L, H).
        chosen: Units by label, at least one.
        found: Results of the search; empty without one.
        kind: Kind of activation, a key of KIND_WORDS.
    """
    columns = {label: values[:, layer, unit] for label, (layer, unit) in chosen.items()}
    levels = {f"{n}, {span(each)}": activation_levels(each) for n, each in columns.items()}
    remark = (
        f"Activation of a unit after each {view.unit}: {KIND_WORDS[kind]}; "
        "orange is positive, blue is negative."
    )
    elements = [
        *(search_elements(found) if found else []),
        Remark(remark),
        UnitText(view.running_glyphs, levels),
    ]
    return Picture(
        f"Cells: {view.title}",
        elements,
        lambda: {**page_data(view), **unit_data(values, columns.values())},
    )


def span(values: Floats) -> str:
    """Return the range of a unit in words."""
    return f"{values.min():.2f} to {values.max():.2f}"


def chosen_units(
    names: Sequence[str], found: Sequence[UnitMatch], config: ModelConfig
) -> dict[str, Unit]:
    """Return the units to show, by label: named units, then units that the search found.

    Args:
        names: Values of --unit.
        found: Results of the search.
        config: Shape of the network.

    Raises:
        InputError: The network has no such unit.
    """
    chosen = {f"{name} (from --unit)": parse_unit(name, config) for name in names}
    for each in found:
        if each.score > each.random:
            unit = (each.layer, each.unit)
            chosen[f"{unit_name(unit)} {each.name}"] = unit
    return chosen or {"0:0": (0, 0)}


def parse_unit(name: str, config: ModelConfig) -> Unit:
    """Return the unit that a value of --unit names.

    Raises:
        InputError: The network has no such unit.
    """
    return parse_pair("--unit", name, ("layer", config.num_layers), ("unit", config.hidden_size))


def parse_pair(option: str, name: str, row: tuple[str, int], column: tuple[str, int]) -> Unit:
    """Return the two numbers, both from 0, that an option names as 0:3.

    Args:
        option: Name of the option.
        name: Its value.
        row: Noun and count of what the first number counts.
        column: The same of the second.

    Raises:
        InputError: A number is missing, or too large.
    """
    match = re.fullmatch(r"([0-9]{1,4}):([0-9]{1,6})", name, re.ASCII)
    found = (int(match[1]), int(match[2])) if match else (row[1], 0)
    if found[0] >= row[1] or found[1] >= column[1]:
        raise InputError(
            f"{option}: {printable(name)}: no such {column[0]}; {row[0]}s are 0 to {row[1] - 1}, "
            f"{column[0]}s 0 to {column[1] - 1}; for example 0:{column[1] - 1}"
        )
    return found


def unit_name(unit: Unit) -> str:
    """Return a unit in the form of --unit: layer:unit."""
    return f"{unit[0]}:{unit[1]}"


def unit_numbers(
    view: View, values: Floats, chosen: Mapping[str, Unit], found: Sequence[UnitMatch] | None
) -> JsonLines:
    """Yield the results of the search, or, if `found` is None, the activations at each symbol."""
    if found is not None:
        yield from (asdict(each) for each in found)
        return
    for t, symbol in enumerate(view.text):
        units = {unit_name(unit): float(values[t, *unit]) for unit in chosen.values()}
        yield {"index": t, "symbol": symbol, "units": units}


def search_elements(found: Sequence[UnitMatch]) -> list[Element]:
    """Return the results of the search as a table, with a heading and an explanation."""
    rows = [
        [
            each.name,
            unit_text(each),
            f"{each.score:.3f}",
            f"{each.random:.3f}",
            each.measure,
            f"{each.share:.2f}",
        ]
        for each in found
    ]
    table = Rows(SEARCH_COLUMNS, rows, numeric=(2, 3, 5))
    return [Heading("Units and the properties that they predict"), Remark(SEARCH_REMARK), table]


def unit_text(found: UnitMatch) -> str:
    """Return the name of a unit that was found; "none" if an untrained network does as well."""
    if found.score <= found.random:
        return "none"
    return unit_name((found.layer, found.unit)) + (" (off)" if found.sign < 0 else "")
