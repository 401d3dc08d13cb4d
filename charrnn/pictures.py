"""Pictures of a text that a model reads: as a page, as plain text, and as numbers."""

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

import numpy as np

from charrnn.activations import activations
from charrnn.config import ModelConfig
from charrnn.engine import Floats
from charrnn.errors import InputError, printable
from charrnn.pages import Html, heading, legend, page, paragraph, table, text_box, unit_choice
from charrnn.plain_pictures import (
    ACTIVATION,
    LEVELS,
    SURPRISE,
    SURPRISES,
    activation_levels,
    grid,
    picture,
    surprise_levels,
)
from charrnn.searching import Found
from charrnn.viewing import View

Unit = tuple[int, int]
"""Layer and unit, both from 0."""


def unit_name(unit: Unit) -> str:
    """Return a unit as --unit takes it."""
    return f"{unit[0]}:{unit[1]}"


# Surprise


def surprise_numbers(view: View) -> Iterator[dict[str, Any]]:
    """Yield what is said of each symbol."""
    expected = view.expected
    for t, symbol in enumerate(view.text):
        guesses = zip(expected.guesses[t].tolist(), expected.probabilities[t].tolist(), strict=True)
        yield {
            "index": t,
            "symbol": symbol,
            "bits": float(expected.bits[t]),
            "guesses": [[view.character(guess), share] for guess, share in guesses],
        }


def surprise_plain(view: View, *, colour: bool) -> str:
    """Return the text with the surprise at each symbol."""
    levels = surprise_levels(view.expected.bits)
    return f"{mean_text(view)}\n{picture(view.signs, levels, SURPRISE, colour=colour)}"


def surprise_page(view: View) -> str:
    """Return the same as a page; pointing at a symbol shows what was expected."""
    return page(f"Surprise: {view.title}", surprise_sections(view), page_data(view))


def surprise_sections(view: View) -> list[Html]:
    """Return what a page shows of the surprise."""
    edges = [f"{edge:g}" for edge in SURPRISES]
    labels = [f"under {edges[0]}", *(f"{edge}+" for edge in edges)]
    levels = surprise_levels(view.expected.bits).tolist()
    return [
        paragraph(mean_text(view) + " The stronger its colour, the less a character was expected."),
        legend("s", labels),
        text_box(view.signs, levels, "s", "Text coloured by surprise in bits"),
    ]


def mean_text(view: View) -> str:
    """Return the mean surprise in words."""
    return f"{len(view.ids):,} characters, {view.expected.bits.mean():.3f} bits each."


def page_data(view: View) -> dict[str, Any]:
    """Return what the script of a page says of each symbol."""
    expected = view.expected
    shares = np.rint(expected.probabilities * 100).astype(int).tolist()
    pairs = zip(expected.guesses.tolist(), shares, strict=True)
    return {
        "signs": view.alphabet,
        "bits": [round(value, 2) for value in expected.bits.tolist()],
        "guesses": [list(zip(guesses, percent, strict=True)) for guesses, percent in pairs],
    }


# Predictions


def prediction_numbers(view: View, values: Floats) -> Iterator[dict[str, Any]]:
    """Yield what is said of each symbol, and the activation of a unit there, (T,)."""
    for line, value in zip(surprise_numbers(view), values.tolist(), strict=True):
        yield line | {"activation": value}


def predictions_plain(view: View, unit: Unit, values: Floats, *, colour: bool) -> str:
    """Return the text with the guesses for the next symbol under each.

    Args:
        view: The text.
        unit: What the text is coloured by.
        values: Its activation at each symbol, (T,).
        colour: Whether the terminal has colours.
    """
    expected = view.expected
    K = expected.guesses.shape[1]
    names = [view.alphabet[i] for i in expected.guesses[1:].flat]
    following = np.array(names, dtype=np.str_).reshape(-1, K)
    head = (
        f"Under each character the best guesses for the next one; the text is coloured by unit "
        f"{unit_name(unit)}."
    )
    levels = activation_levels(values)
    lines = grid(view.signs, levels, following, expected.probabilities[1:], colour=colour)
    return f"{head}\n{lines}"


def predictions_page(view: View, unit: Unit, values: Floats) -> str:
    """Return the same as a page."""
    sections = [
        paragraph(
            f"First line: the text, coloured by unit {unit_name(unit)} (orange on, blue off). Under "
            "each character are the best guesses for the next one, the stronger the likelier; a right "
            "guess stands one column left of what it predicts."
        ),
        legend("s", ["0%", "", "25%", "", "50%", "", "75%", "", "100%"]),
        prediction_grid(view, activation_levels(values).tolist()),
    ]
    return page(f"Predictions: {view.title}", sections)


def prediction_grid(view: View, levels: Sequence[int]) -> Html:
    """Return a column for each symbol: itself, and the guesses for the next."""
    expected, columns = view.expected, []
    for t, (sign, level) in enumerate(zip(view.signs, levels, strict=True)):
        cells = [f'<b class="d{level}">{escape(sign)}</b>']
        if t + 1 < len(view.ids):
            shares = expected.probabilities[t + 1]
            for guess, share in zip(expected.guesses[t + 1].tolist(), shares.tolist(), strict=True):
                name = escape(view.alphabet[guess])
                cells.append(
                    f'<i class="s{round(share * (LEVELS - 1))}" title="{share:.0%}">{name}</i>'
                )
        columns.append(f"<div>{''.join(cells)}</div>")
    return f'<div class="grid">{"".join(columns)}</div>'


# Cells


def chosen_units(
    view: View, names: Sequence[str], found: Sequence[Found], values: Floats
) -> dict[str, Floats]:
    """Return the units to show by label, (T,) each: those named, and those that were found.

    Args:
        view: The text.
        names: As --unit takes them.
        found: What a search has found.
        values: All activations, (T, L, H).

    Raises:
        InputError: There is no such unit.
    """
    places = {f"{name} (asked for)": parse_unit(name, view.model.config) for name in names}
    kept = [each for each in found if each.score > each.random]
    places |= {f"{each.layer}:{each.unit} {each.name}": (each.layer, each.unit) for each in kept}
    places = places or {"0:0": (0, 0)}
    return {label: values[:, layer, unit] for label, (layer, unit) in places.items()}


def parse_unit(name: str, config: ModelConfig) -> Unit:
    """Return the unit that --unit names.

    Raises:
        InputError: It is none of the network's.
    """
    match = re.fullmatch(r"([0-9]{1,4}):([0-9]{1,6})", name, re.ASCII)
    unit = (int(match[1]), int(match[2])) if match else (config.num_layers, 0)
    if unit[0] >= config.num_layers or unit[1] >= config.hidden_size:
        raise InputError(
            f"--unit: {printable(name)}: layers are 0 to {config.num_layers - 1}, units 0 to "
            f"{config.hidden_size - 1}; for example 0:{config.hidden_size - 1}"
        )
    return unit


def cells_plain(
    view: View, units: dict[str, Floats], found: Sequence[Found], *, colour: bool
) -> str:
    """Return what was found, and the text coloured by each unit."""
    rows = [SEARCH_COLUMNS, *search_rows(found)] if found else []
    lines = ["\t".join(row) for row in rows]
    for label, values in units.items():
        shown = picture(view.signs, activation_levels(values), ACTIVATION, colour=colour)
        lines += [*([""] if lines else []), f"unit {label}", shown]
    return "\n".join(lines)


def unit_numbers(
    view: View, units: dict[str, Floats], found: Sequence[Found]
) -> Iterator[dict[str, Any]]:
    """Yield what was found; without a search the activations at each symbol."""
    if found:
        yield from (asdict(each) for each in found)
        return
    for t, symbol in enumerate(view.text):
        values = {label.split(" ")[0]: float(each[t]) for label, each in units.items()}
        yield {"index": t, "symbol": symbol, "units": values}


def cells_page(view: View, units: dict[str, Floats], found: Sequence[Found]) -> str:
    """Return a page of the text, coloured by the unit that one chooses.

    Args:
        view: The text.
        units: Activations by label, (T,) each; the first one is shown.
        found: What a search has found, if there was one.
    """
    first = next(iter(units.values()))
    sections = [
        *([search_table(found)] if found else []),
        unit_choice(list(units)),
        legend("d", ["-1", "", "-½", "", "0", "", "½", "", "1"]),
        text_box(view.signs, activation_levels(first).tolist(), "d", "Text coloured by a unit"),
    ]
    coded = [coded_unit(values) for values in units.values()]
    return page(f"Cells: {view.title}", sections, page_data(view) | {"units": coded})


def coded_unit(values: Floats) -> str:
    """Return activations in [-1, 1] as a byte each, in base64."""
    numbers = np.rint((np.clip(values, -1, 1) + 1) * 127).astype(np.uint8)
    return base64.b64encode(numbers.tobytes()).decode("ascii")


SEARCH_COLUMNS = ("property", "unit", "score", "random network's best", "measure", "share or mean")


def search_rows(found: Sequence[Found]) -> list[list[str]]:
    """Return what a search has found as a table."""
    return [
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


def unit_text(found: Found) -> str:
    """Return a unit that was found; none where a random network does as well."""
    if found.score <= found.random:
        return "none"
    return unit_name((found.layer, found.unit)) + (" (off)" if found.sign < 0 else "")


def search_table(found: Sequence[Found]) -> Html:
    """Return what a search has found, for a page."""
    remark = (
        "The unit that alone says most about each property of the text: chosen on its first half, "
        "scored on the second. AUC: 0.5 is chance, 1 perfect. Beside it the best unit of a network "
        "of the same shape that has learned nothing: only what is well above that is a discovery."
    )
    rows = table(SEARCH_COLUMNS, search_rows(found), numeric=(2, 3, 5))
    return heading("What units go with") + paragraph(remark) + rows


def units_of(view: View, kind: str) -> Floats:
    """Return the activation of every unit at each symbol, (T, L, H)."""
    return activations(view.model, view.ids.tolist(), kind)
