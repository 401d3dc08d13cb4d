"""`charrnn runs`, `runs best`, `runs diff`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from charrnn.cli.completion import complete_models
from charrnn.cli.options import Common, GroupedCommand, GroupedGroup, common, option
from charrnn.core.config import DIRECTIONS
from charrnn.core.errors import InputError, printable

if TYPE_CHECKING:
    from charrnn.checkpoints.runs import RunInfo


MOST_GROUPS, SHOWN = 4, 8
"""Groups of runs that a message names, and characters of a digest."""

corpus_option = option(
    "--corpus", metavar="C", group="Which",
    help="Only runs on one text: the name of one of its files, or the first characters of its "
    "digest (6 or more).",
)  # fmt: skip


@click.group(cls=GroupedGroup, invoke_without_command=True, subcommand_metavar="[best | diff A B]")
@corpus_option
@common
@click.pass_context
def runs(ctx: click.Context, /, corpus: str | None, common: Common) -> None:
    """List all runs: those with comparable losses together, the lowest first.

    The state of a run is running, finished, stopped (by a signal), diverged, failed, or killed (its
    process ended without an error). In a pipe, tabs separate the columns; --json prints one object
    per line.
    """
    if ctx.invoked_subcommand is not None:
        given = {
            name: value
            for name, value in ctx.params.items()
            if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT
        }
        ctx.default_map = dict.fromkeys(runs.commands, given)
        return

    from charrnn.checkpoints.runs import (
        COLUMNS,
        NUMERIC,
        filter_by_corpus,
        groups_of,
        join_names,
        list_runs,
    )
    from charrnn.core.output import print_result, print_table

    found = list_runs(common.checkpoints)
    selected = filter_by_corpus(found, corpus)
    if selected and common.as_json:
        print_result("\n".join(json.dumps(info.as_json()) for info in selected))
    elif selected:
        print_table(COLUMNS, [info.row() for info in selected], NUMERIC)
        if len(groups := groups_of(selected)) > 1:
            common.console.note(f"losses are comparable only within these groups: {listed(groups)}")
    elif found:
        texts = join_names(found, of_texts=True)
        common.console.note(f"no run on {corpus}; there are runs on: {texts}")
    else:
        common.console.note(f"no run in {common.checkpoints} yet")


@runs.command(cls=GroupedCommand)
@corpus_option
@option(
    "--direction", type=click.Choice(DIRECTIONS), default="forward", group="Which",
    help="Only models that read in this direction. [default: forward]",
)  # fmt: skip
@common
def best(corpus: str | None, direction: str, common: Common) -> None:
    """Print the path of the model with the lowest validation loss.

    Only losses on the same held-out text, of models of one direction, are compared. Runs that have
    not ended count only where none has.

    For scripts: charrnn sample "$(charrnn runs best --corpus shakespeare.txt)"
    """
    from charrnn.checkpoints.runs import (
        filter_by_corpus,
        filter_by_loss,
        groups_of,
        list_runs,
        without_unfinished,
    )
    from charrnn.core.output import print_result

    found = list_runs(common.checkpoints)
    candidates = filter_by_loss(filter_by_corpus(found, corpus))
    if not candidates:
        raise InputError(explain_no_best(found, common.checkpoints, corpus))
    candidates = [info for info in candidates if info.direction == direction]
    if not candidates:
        raise InputError(f"no {direction} model has a validation loss yet; see --direction")
    candidates = without_unfinished(candidates)
    if len(groups := groups_of(candidates)) > 1:
        raise InputError(
            "losses on different texts, or on different held-out parts, cannot be compared: "
            f"{listed(groups)}; select one: --corpus NAME, or the first characters of its digest"
        )
    first = candidates[0]
    line = {"run": first.run, "best": str(first.best), "val_loss": first.val_loss}
    print_result(json.dumps(line) if common.as_json else str(first.best))


def listed(groups: list[list["RunInfo"]]) -> str:
    """Return the names of the runs of each group, with text, digest and split, for a message."""
    from charrnn.checkpoints.runs import corpus_text, join_names

    named = []
    for group in groups[:MOST_GROUPS]:
        text = printable(corpus_text(group[0].corpus, group[0].num_files))
        digest, split = (group[0].corpus_digest or "?")[:SHOWN], printable(group[0].split)
        named.append(f"{join_names(group)} ({text}, {digest}, {split.split('|state')[0]})")
    return "; ".join(named) + ("; ..." if len(groups) > MOST_GROUPS else "")


def explain_no_best(found: list["RunInfo"], checkpoints: Path, corpus: str | None) -> str:
    """Return the reason why no run is the best, with the names of what exists."""
    from charrnn.checkpoints.runs import filter_by_corpus, join_names

    selected = filter_by_corpus(found, corpus)
    if not found:
        return f"no run in {printable(checkpoints)} yet; train one first: charrnn train FILE"
    if not selected:
        texts = join_names(found, of_texts=True)
        return (
            f"--corpus: {printable(corpus)}: no run was trained on it; there are runs on: {texts}"
        )
    return f"no run has a validation loss yet: {join_names(selected)}; train one with --val-frac"


@runs.command(cls=GroupedCommand)
@click.argument("first", metavar="A", shell_complete=complete_models)
@click.argument("second", metavar="B", shell_complete=complete_models)
@common
def diff(first: str, second: str, common: Common) -> None:
    """Show the settings in which two runs differ.

    A and B are names or folders of runs, or checkpoint files. If a run has no model yet, the
    settings in its config.toml are used.
    """
    from charrnn.checkpoints.differences import differences, value_text
    from charrnn.core.output import print_result, print_table

    pairs = differences(common.checkpoints, first, second)
    if common.as_json:
        print_result(json.dumps(pairs))
    elif pairs:
        rows = [[name, *(value_text(name, v) for v in pair)] for name, pair in pairs.items()]
        print_table(("setting", first, second), rows)
    else:
        common.console.note("the settings are the same")
