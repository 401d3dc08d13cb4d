"""`charrnn runs`, `runs best`, `runs diff`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from charrnn.cli.completion import complete_models
from charrnn.cli.options import Common, GroupedCommand, GroupedGroup, common, option
from charrnn.core.errors import InputError, printable

if TYPE_CHECKING:
    from charrnn.checkpoints.runs import RunInfo


of_text = option(
    "--corpus", metavar="C", group="Which",
    help="Only runs of a text: one of its files by name, or how its digest begins (6 characters "
    "or more).",
)  # fmt: skip


@click.group(cls=GroupedGroup, invoke_without_command=True, subcommand_metavar="[best | diff A B]")
@of_text
@common
@click.pass_context
def runs(ctx: click.Context, /, corpus: str | None, common: Common) -> None:
    """Compare all runs, the lowest validation loss first.

    A run is running, finished, stopped (by a signal), diverged, failed, or killed: its process
    died without a word. Off a terminal tabs separate the columns; --json prints an object a line.
    """
    if ctx.invoked_subcommand is not None:
        given = {
            name: value
            for name, value in ctx.params.items()
            if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT
        }
        ctx.default_map = dict.fromkeys(runs.commands, given)
        return

    from charrnn.checkpoints.runs import COLUMNS, NUMERIC, filter_by_corpus, join_names, list_runs
    from charrnn.core.output import print_result, print_table

    there = list_runs(common.checkpoints)
    found = filter_by_corpus(there, corpus)
    if found and common.as_json:
        print_result("\n".join(json.dumps(info.as_json()) for info in found))
    elif found:
        print_table(COLUMNS, [info.row() for info in found], NUMERIC)
    elif there:
        texts = join_names(there, of_texts=True)
        common.console.note(f"no run of {corpus}; there are runs of: {texts}")
    else:
        common.console.note(f"no run in {common.checkpoints} yet")


@runs.command(cls=GroupedCommand)
@of_text
@common
def best(corpus: str | None, common: Common) -> None:
    """Print the path of the model with the lowest validation loss.

    For scripts: charrnn sample "$(charrnn runs best --corpus shakespeare.txt)"
    """
    from charrnn.checkpoints.runs import count_texts, filter_by_corpus, filter_by_loss, list_runs
    from charrnn.core.output import print_result

    there = list_runs(common.checkpoints)
    found = filter_by_loss(filter_by_corpus(there, corpus))
    if not found:
        raise InputError(why_none(there, common.checkpoints, corpus))
    if count_texts(found) > 1:
        note = f"losses of {count_texts(found)} different texts compared; --corpus picks one"
        common.console.note(note)
    first = found[0]
    line = {"run": first.run, "best": str(first.best), "val_loss": first.val_loss}
    print_result(json.dumps(line) if common.as_json else str(first.best))


def why_none(there: list["RunInfo"], checkpoints: Path, corpus: str | None) -> str:
    """Return why none of the runs is the best, and which there are."""
    from charrnn.checkpoints.runs import filter_by_corpus, join_names

    learned = filter_by_corpus(there, corpus)
    if not there:
        return f"no run in {printable(checkpoints)} yet; train one first: charrnn train FILE"
    if not learned:
        texts = join_names(there, of_texts=True)
        return f"--corpus: {printable(corpus)}: no run has learned it; there are runs of: {texts}"
    return f"no run has a validation loss yet, of: {join_names(learned)}; train one with --val-frac"


@runs.command(cls=GroupedCommand)
@click.argument("first", metavar="A", shell_complete=complete_models)
@click.argument("second", metavar="B", shell_complete=complete_models)
@common
def diff(first: str, second: str, common: Common) -> None:
    """Show the settings that two runs differ in.

    A and B are names or folders of runs, or checkpoint files. Where a run has no model yet, the
    settings are those of its config.toml.
    """
    from charrnn.checkpoints.runs import differences, value_text
    from charrnn.core.output import print_result, print_table

    found = differences(common.checkpoints, first, second)
    if common.as_json:
        print_result(json.dumps(found))
    elif found:
        rows = [[name, *(value_text(name, v) for v in pair)] for name, pair in found.items()]
        print_table(("setting", first, second), rows)
    else:
        common.console.note("no setting differs")
