"""`charrnn viz` and its pictures."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from charrnn.cli.completion import complete_files, complete_models, complete_runs
from charrnn.cli.option_types import Integer, Number
from charrnn.cli.options import (
    Common,
    GroupedCommand,
    GroupedGroup,
    as_one,
    common,
    option,
)
from charrnn.cli.page import PageTarget, show, to_page
from charrnn.core.config import MEMORY_WEIGHT
from charrnn.core.errors import InputError, printable
from charrnn.core.overwriting import check_output

if TYPE_CHECKING:
    from charrnn.viz.view import View

LENGTH, MOST = 5000, 100_000
"""Default and maximum of --length; browsers do not open pages of many more characters."""

UNIT_HELP = "Layer and unit, both counted from 0; may be given more than once. [default: 0:0]"
HIDDEN_HELP = "Show the output h of a unit instead of its memory cell, tanh(c)."


@dataclass(frozen=True, slots=True)
class TextInput:
    """A model, and the text that it reads."""

    model: str
    files: tuple[str, ...]
    length: int
    held_out: bool
    memory_weight: float | None


of_text = as_one(
    "text", TextInput,
    click.argument("model", shell_complete=complete_models),
    click.argument(
        "files", nargs=-1, required=True, metavar="FILE...", shell_complete=complete_files
    ),
    option(
        "-l", "--length", type=Integer(), default=LENGTH, group="Picture",
        help=f"Number of characters to show, from the first. [default: {LENGTH}]",
    ),
    option(
        "--held-out", is_flag=True, group="Picture",
        help="FILE is the training text; show the part that was held out.",
    ),
    option("--memory-weight", type=Number(), group="Picture", help=MEMORY_WEIGHT),
)  # fmt: skip


@click.group(cls=GroupedGroup)
def viz() -> None:
    """Show what a model predicts, what its units store, and where it looks.

    The output is coloured text on a terminal, text with a legend in a pipe, numbers with --json, and
    one HTML page with -o FILE.html.
    """


@viz.command(cls=GroupedCommand)
@of_text
@to_page
@common
def surprise(text: TextInput, page: PageTarget, common: Common) -> None:
    """Colour each character by its surprise: how unexpected it was, in bits.

    On a page, point at a character to see the five characters that were most likely there.
    """
    from charrnn.viz.pictures import surprise_numbers, surprise_picture

    with viewed(text, page, common) as view:
        show(page, common, lambda: surprise_picture(view), lambda: surprise_numbers(view))


@viz.command(cls=GroupedCommand)
@of_text
@option(
    "--unit", metavar="L:I", group="Picture",
    help="Colour the text by a unit instead: layer and unit, both counted from 0.",
)  # fmt: skip
@option("--hidden", is_flag=True, group="Picture", help=HIDDEN_HELP)
@to_page
@common
def predictions(
    text: TextInput, page: PageTarget, unit: str | None, hidden: bool, common: Common
) -> None:
    """Show the five best guesses for the next character below each character.

    The text itself is coloured by surprise, or by a unit; viz cells --search finds interesting units.
    """
    from charrnn.viz.activations import activations_of, kind_of
    from charrnn.viz.pictures import parse_unit, prediction_numbers, predictions_picture

    with viewed(text, page, common) as view:
        kind = kind_of(view.model, hidden)
        index = parse_unit(unit, view.model.config) if unit is not None else None
        values = activations_of(view.states, kind)[:, *index] if index else None
        show(
            page, common, lambda: predictions_picture(view, unit or "", values, kind),
            lambda: prediction_numbers(view, values),
        )  # fmt: skip


@viz.command(cls=GroupedCommand)
@of_text
@option("--unit", "units", multiple=True, metavar="L:I", group="Picture", help=UNIT_HELP)
@option("--hidden", is_flag=True, group="Picture", help=HIDDEN_HELP)
@option(
    "--search", "searches", is_flag=True, group="Picture",
    help="For each property of the text (in quotes, in brackets, in a number, ...), find the unit "
    "that predicts it best.",
)  # fmt: skip
@to_page
@common
def cells(
    text: TextInput, page: PageTarget, units: tuple[str, ...], hidden: bool, searches: bool,
    common: Common,
) -> None:  # fmt: skip
    """Colour a text by the activation of a unit after each character.

    On a page, readers can choose any unit. With --search, the text should be held out: units are
    chosen on its first half, scored on its second half, and compared with the best unit of networks
    that have learned nothing.
    """
    from charrnn.viz.activations import activations_of, kind_of
    from charrnn.viz.pictures import cells_picture, chosen_units, unit_numbers
    from charrnn.viz.unit_search import search_units, untrained_activations

    with viewed(text, page, common) as view:
        chosen_units(units, [], view.model.config)  # before a search that takes its time
        kind, (characters, widths) = kind_of(view.model, hidden), view.characters
        ids = view.ids.tolist()
        random = untrained_activations(view.model, ids, kind) if searches else ()
        values = activations_of(view.states, kind)
        found = search_units(values, random, characters, widths) if searches else []
        if searches and not found:
            common.console.note("no property occurs often enough in this text; give a longer one")
        chosen = chosen_units(units, found, view.model.config)
        scores = found if searches else None
        show(
            page, common, lambda: cells_picture(view, values, chosen, found, kind),
            lambda: unit_numbers(view, values, chosen, scores),
        )  # fmt: skip


@viz.command(cls=GroupedCommand)
@of_text
@option(
    "--head", "heads", multiple=True, metavar="B:H", group="Picture",
    help="Block and head, both counted from 0; may be given more than once. [default: the mean of "
    "all heads]",
)  # fmt: skip
@to_page
@common
def attention(
    text: TextInput, page: PageTarget, heads: tuple[str, ...], common: Common
) -> None:  # fmt: skip
    """Show the characters that a network looked back on after each character.

    The model is a transformer, or was trained with --attention. On a page, point at a character to
    colour the text by where that character looked, and choose any head.
    """
    from charrnn.viz.attention import (
        attention_numbers,
        attention_picture,
        check_attention,
        chosen_heads,
    )

    with viewed(text, page, common) as view:
        check_attention(view.model, printable(text.model))
        chosen = chosen_heads(heads, view.model.config)
        show(
            page, common, lambda: attention_picture(view, chosen),
            lambda: attention_numbers(view, chosen),
        )  # fmt: skip


@viz.command(cls=GroupedCommand)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=complete_runs)
@to_page
@common
def evolution(runs: tuple[str, ...], page: PageTarget, common: Common) -> None:
    """Show how the text of a run improved, and the curves of one or more runs.

    Previews are of the first run. Curves are validation losses; for a single run also training loss,
    learning rate and gradient norm.
    """
    from dataclasses import asdict

    from charrnn.viz.history import read_history
    from charrnn.viz.report import evolution_picture

    folders = [folder_of(common.checkpoints, run) for run in runs]
    check_output(page.output, [], force=page.force)
    show(
        page, common, lambda: evolution_picture(folders),
        lambda: (asdict(read_history(folder)) for folder in folders),
    )  # fmt: skip


@viz.command(cls=GroupedCommand)
@click.argument("run", shell_complete=complete_runs)
@to_page
@common
def report(run: str, page: PageTarget, common: Common) -> None:
    """Report on a run: how it went, what to try next, what it writes, curves, surprise.

    With -o, the report is a page; train --report writes one at the end of a run. In the folder of the
    run, it links to the page of charrnn export there, if there is one.
    """
    from charrnn.viz.report import report_numbers, report_picture

    folder = folder_of(common.checkpoints, run)
    check_output(page.output, [], force=page.force)
    is_inside = page.output is not None and page.output.parent.resolve() == folder.resolve()
    show(
        page, common, lambda: report_picture(folder, is_inside=is_inside),
        lambda: [report_numbers(folder)],
    )  # fmt: skip


def folder_of(checkpoints: Path, run: str) -> Path:
    """Return the folder of a run, given its name, its folder or a model file in it."""
    from charrnn.checkpoints.log import METRICS
    from charrnn.checkpoints.names import find_folder, find_model

    folder = find_folder(checkpoints, run, METRICS)  # a new run has no model yet
    folder = folder or find_model(checkpoints, run, f"{command()} {{model}}").parent
    if not (folder / METRICS).is_file():
        raise InputError(f"{printable(run)}: not a run: there is no {METRICS} in its folder")
    return folder


def command() -> str:
    """Return the words of the command that runs: charrnn viz surprise."""
    return " ".join(["charrnn", *click.get_current_context().command_path.split()[1:]])


@contextmanager
def viewed(text: TextInput, page: PageTarget, common: Common) -> Iterator["View"]:
    """Yield the model and the text that the command line names, with notes on stderr."""
    if not 1 <= text.length <= MOST:
        raise InputError(f"--length: must be in [1, {MOST:,}], got {text.length:,}")
    weight = text.memory_weight
    if weight is not None and not 0 <= weight <= 1:
        raise InputError(f"--memory-weight: must be in [0, 1], got {weight:g}")

    from charrnn.checkpoints.names import find_model
    from charrnn.core.stdin import spooled, spooled_names
    from charrnn.viz.view import read_view

    path = find_model(
        common.checkpoints, text.model, f"{command()} {{model}} {{texts}}", text.files
    )
    check_output(page.output, [path, *map(Path, text.files)], force=page.force)
    with spooled(text.files, common.checkpoints) as paths:
        names = spooled_names(text.files, paths)
        view = read_view(
            path, paths, names, length=text.length, is_held_out=text.held_out, memory_weight=weight
        )
    view.model.config.check_writes("it does not read a text in one direction, as viz shows it")
    note = common.console.note
    if not text.held_out and has_learned(view, paths):
        note("the model was trained on this text; --held-out shows the part that was held out")
    for line in view.notes:
        note(line)
    if len(view.ids) == text.length == LENGTH:
        note(f"only the first {LENGTH:,} {view.model.vocab.unit}s are read; --length N reads more")
    if view.num_unknown:
        what = "characters that the model has never seen are"
        if view.num_unknown == 1:
            what = "character that the model has never seen is"
        note(f"{view.num_unknown:,} {what} left out")
    yield view


def has_learned(view: "View", paths: list[Path]) -> bool:
    """Return whether one of the files was a training file of the model, by its path."""
    corpus = view.model.metadata.corpus
    learned = corpus.files if corpus else []
    return bool({Path(name).absolute() for name in learned} & {p.absolute() for p in paths})
