"""`charrnn viz` and its pictures."""

import webbrowser
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charrnn.cli.completion import complete_files, complete_models, complete_runs
from charrnn.cli.options import (
    GroupedCommand,
    GroupedGroup,
    Integer,
    Number,
    common,
    make_console,
    option,
)
from charrnn.core.console import Console
from charrnn.core.errors import InputError, printable

if TYPE_CHECKING:
    from charrnn.viz.render.elements import Picture
    from charrnn.viz.view import View


JsonLines = Callable[[], Iterable[dict[str, Any]]] | None
"""Returns the objects that --json prints, one per line; None without --json."""

LENGTH, MOST = 5000, 100_000
"""Default and maximum of --length; browsers do not open pages of many more characters."""

UNIT_HELP = "A unit by layer and number, both from 0. [default: 0:0]"
HIDDEN_HELP = "The output h of a unit instead of its cell, tanh(c)."


def to_page(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of every picture: --output and --open."""
    for decorate in (
        option("--open", "opens", is_flag=True, group="Output", help="Open the page in a browser."),
        option(
            "-o", "--output", type=click.Path(path_type=Path), metavar="FILE.html", group="Output",
            help="Write a page: one file that needs nothing else.",
        ),
    ):  # fmt: skip
        function = decorate(function)
    return function


def of_text(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments and options of every picture of a text."""
    for decorate in (
        to_page,
        option(
            "--held-out", is_flag=True, group="Picture",
            help="FILE is what the model learned; look at the part that was held out.",
        ),
        option(
            "-l", "--length", type=Integer(), default=LENGTH, group="Picture",
            help=f"Characters, from the first. [default: {LENGTH}]",
        ),
        click.argument(
            "files", nargs=-1, required=True, metavar="FILE...", shell_complete=complete_files,
        ),
        click.argument("model", shell_complete=complete_models),
    ):  # fmt: skip
        function = decorate(function)
    return function


memory_weight = option(
    "--memory-weight", type=Number(), group="Picture",
    help="Share of the memory: 0 is the network alone, 1 the memory alone. [default: the model's]",
)  # fmt: skip


@click.group(cls=GroupedGroup)
def viz() -> None:
    """Show what a network sees, expects and remembers.

    On a terminal in colours, in a pipe as text with a legend, with --json as numbers, with -o as a
    page that needs nothing else.
    """


@viz.command(cls=GroupedCommand)
@of_text
@memory_weight
@common
def surprise(
    model: str, files: tuple[str, ...], length: int, held_out: bool, memory_weight: float | None,
    output: Path | None, opens: bool, checkpoints: Path, as_json: bool, quiet: bool, verbose: bool,
    debug: bool,
) -> None:  # fmt: skip
    """Colour each character by how little it was expected, in bits.

    On a page, pointing at a character shows the five that were expected most.
    """
    console = make_console(quiet, verbose)
    from charrnn.viz.pictures import surprise_numbers, surprise_picture

    with viewed(console, checkpoints, model, files, length, held_out, memory_weight) as view:
        numbers = (lambda: surprise_numbers(view)) if as_json else None
        show(output, opens, lambda: surprise_picture(view), numbers)


@viz.command(cls=GroupedCommand)
@of_text
@memory_weight
@option(
    "--unit", metavar="L:I", group="Picture",
    help="Colour the text by a unit instead, by layer and number, both from 0.",
)  # fmt: skip
@option("--hidden", is_flag=True, group="Picture", help=HIDDEN_HELP)
@common
def predictions(
    model: str, files: tuple[str, ...], length: int, held_out: bool, memory_weight: float | None,
    unit: str | None, hidden: bool, output: Path | None, opens: bool, checkpoints: Path, as_json: bool,
    quiet: bool, verbose: bool, debug: bool,
) -> None:  # fmt: skip
    """Show under each character the five best guesses for the next one.

    The text itself is coloured by how little each was expected, or by a unit; viz cells --search
    finds units worth looking at.
    """
    console = make_console(quiet, verbose)
    from charrnn.viz.activations import activations_of
    from charrnn.viz.pictures import parse_unit, prediction_numbers, predictions_picture

    with viewed(console, checkpoints, model, files, length, held_out, memory_weight) as view:
        kind = activation_kind(hidden, view)
        index = parse_unit(unit, view.model.config) if unit is not None else None
        values = activations_of(view.states, kind)[:, *index] if index else None
        numbers = (lambda: prediction_numbers(view, values)) if as_json else None
        show(output, opens, lambda: predictions_picture(view, unit or "", values, kind), numbers)


@viz.command(cls=GroupedCommand)
@of_text
@memory_weight
@option("--unit", "units", multiple=True, metavar="L:I", group="Picture", help=UNIT_HELP)
@option("--hidden", is_flag=True, group="Picture", help=HIDDEN_HELP)
@option(
    "--search", "searches", is_flag=True, group="Picture",
    help="Find for each property of the text (in quotes, in brackets, in a number, ...) the unit "
    "that goes best with it.",
)  # fmt: skip
@common
def cells(
    model: str, files: tuple[str, ...], length: int, held_out: bool, memory_weight: float | None,
    units: tuple[str, ...], hidden: bool, searches: bool, output: Path | None, opens: bool,
    checkpoints: Path, as_json: bool, quiet: bool, verbose: bool, debug: bool,
) -> None:  # fmt: skip
    """Colour a text by what one unit of the network is after each character.

    On a page one can choose any unit. With --search the text should be held out: units are chosen
    on its first half and scored on the second, beside the best unit of a network that has learned
    nothing.
    """
    console = make_console(quiet, verbose)
    from charrnn.viz.activations import activations_of
    from charrnn.viz.pictures import cells_picture, chosen_units, unit_numbers
    from charrnn.viz.unit_search import search_units, untrained_activations

    with viewed(console, checkpoints, model, files, length, held_out, memory_weight) as view:
        chosen_units(units, [], view.model.config)  # before a search that takes its time
        kind, (text, widths) = activation_kind(hidden, view), view.characters
        ids = view.ids.tolist()
        random = untrained_activations(view.model, ids, kind) if searches else ()
        values = activations_of(view.states, kind)
        found = search_units(values, random, text, widths) if searches else []
        if searches and not found:
            console.note("the text has too little of every property; give a longer one")
        chosen = chosen_units(units, found, view.model.config)
        said = found if searches else None
        numbers = (lambda: unit_numbers(view, values, chosen, said)) if as_json else None
        show(output, opens, lambda: cells_picture(view, values, chosen, found, kind), numbers)


@viz.command(cls=GroupedCommand)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=complete_runs)
@to_page
@common
def evolution(
    runs: tuple[str, ...], output: Path | None, opens: bool, checkpoints: Path, as_json: bool,
    quiet: bool, verbose: bool, debug: bool,
) -> None:  # fmt: skip
    """Show how the text of a run improved, and the curves of one run or more.

    The previews are of the first run; the curves are validation losses, of a single run also
    training loss, learning rate and gradient norm.
    """
    make_console(quiet, verbose)
    from dataclasses import asdict

    from charrnn.viz.history import read_history
    from charrnn.viz.report import evolution_picture

    folders = [folder_of(checkpoints, run) for run in runs]
    numbers = (lambda: (asdict(read_history(each)) for each in folders)) if as_json else None
    show(output, opens, lambda: evolution_picture(folders), numbers)


@viz.command(cls=GroupedCommand)
@click.argument("run", shell_complete=complete_runs)
@to_page
@common
def report(
    run: str, output: Path | None, opens: bool, checkpoints: Path, as_json: bool, quiet: bool,
    verbose: bool, debug: bool,
) -> None:  # fmt: skip
    """Say all about a run: how it went, what to try next, what it writes, curves, surprises.

    With -o as a page; train --report makes one when a run ends.
    """
    make_console(quiet, verbose)
    from charrnn.viz.report import report_numbers, report_picture

    folder = folder_of(checkpoints, run)
    numbers = (lambda: [report_numbers(folder)]) if as_json else None
    show(output, opens, lambda: report_picture(folder), numbers)


def folder_of(checkpoints: Path, run: str) -> Path:
    """Return the folder of a run, given its name, its folder or a model file in it."""
    from charrnn.checkpoints.log import METRICS
    from charrnn.checkpoints.names import find_folder, find_model

    folder = find_folder(checkpoints, run, METRICS)  # a new run has no model yet
    folder = folder or find_model(checkpoints, run).parent
    if not (folder / METRICS).is_file():
        raise InputError(f"{printable(run)}: no run: there is no {METRICS} beside it")
    return folder


def activation_kind(is_hidden: bool, view: "View") -> str:
    """Return the kind of activation to show: "cell" for an LSTM without --hidden, else "hidden"."""
    return "hidden" if is_hidden or view.model.config.cell != "lstm" else "cell"


@contextmanager
def viewed(
    console: Console, checkpoints: Path, model: str, files: tuple[str, ...], length: int,
    held_out: bool, weight: float | None,
) -> Iterator["View"]:  # fmt: skip
    """Yield the model and the text that the command line names, with notes on stderr."""
    if not 1 <= length <= MOST:
        raise InputError(f"--length: must be in [1, {MOST:,}], got {length:,}")
    if weight is not None and not 0 <= weight <= 1:
        raise InputError(f"--memory-weight: must be in [0, 1], got {weight:g}")

    from charrnn.checkpoints.names import find_model
    from charrnn.data.stdin import spooled
    from charrnn.viz.view import read_view

    path = find_model(checkpoints, model)
    with spooled(files, checkpoints) as paths:
        names = {path: "stdin" for path, name in zip(paths, files, strict=True) if name == "-"}
        view = read_view(
            path, paths, names, length=length, is_held_out=held_out, memory_weight=weight
        )
    if not held_out and has_learned(view, paths):
        console.note("the model learned from this text; --held-out shows what it did not learn")
    if view.num_unknown:
        console.note(f"{view.num_unknown:,} characters that the model never saw are left out")
    yield view


def has_learned(view: "View", paths: list[Path]) -> bool:
    """Return whether one of the files was a training file of the model, by its path."""
    corpus = view.model.metadata.corpus
    learned = corpus.files if corpus else []
    return bool({Path(name).absolute() for name in learned} & {p.absolute() for p in paths})


def show(
    output: Path | None, opens: bool, picture: Callable[[], "Picture"], numbers: JsonLines
) -> None:
    """Write a picture as a page (-o), as JSON lines (--json), or as text on stdout."""
    from charrnn.core.output import json_line, print_result, stdout_has_colours
    from charrnn.viz.render.html import write_page
    from charrnn.viz.render.plain_text import plain_text

    if opens and output is None:
        raise InputError("--open: opens a page; name it: -o FILE.html")
    if output is not None and numbers is not None:
        raise InputError("-o and --json: a page, or numbers on stdout; leave out one of them")
    if output is not None:
        write_page(output, picture)
        print_result(str(output))
        if opens:
            webbrowser.open(output.absolute().as_uri())
    elif numbers is not None:
        for line in numbers():
            print_result(json_line(line))
    else:  # control characters of the text are escaped already
        print_result(plain_text(picture(), colour=stdout_has_colours()), raw=True)
