"""`charrnn train`."""

from pathlib import Path
from typing import Any

import click

from charrnn.cli.completion import complete_files, complete_models, complete_runs
from charrnn.cli.option_types import FilePath
from charrnn.cli.options import (
    Common,
    GroupedCommand,
    by_source,
    common,
    config_options,
    convert_settings,
    option,
)
from charrnn.core.config import TrainConfig
from charrnn.core.console import Console
from charrnn.core.errors import CharRNNError, printable
from charrnn.core.settings import read_settings


@click.command(cls=GroupedCommand)
@click.argument("files", nargs=-1, metavar="FILE...", shell_complete=complete_files)
@config_options(TrainConfig)
@option(
    "--run", metavar="NAME", group="Output", shell_complete=complete_runs,
    help="Name of the run. [default: the name of the file]",
)  # fmt: skip
@option(
    "--config", "config_file", type=FilePath(), metavar="FILE", group="Output",
    help="TOML file with settings; flags and environment variables override it.",
)  # fmt: skip
@option(
    "--resume", is_flag=True, group="Output",
    help="Continue the run exactly where it was saved, or start it if it does not exist; with "
    "--run, FILE can be left out. To start a new run from trained weights, see --init-from.",
)  # fmt: skip
@option(
    "--init-from", metavar="MODEL", group="Size", shell_complete=complete_models,
    help="Start a new run with the weights and sizes of a model. To continue a run that was "
    "stopped, see --resume.",
)  # fmt: skip
@option(
    "--report", is_flag=True, group="Output",
    help="Write a page about the run when it ends: report.html in its folder.",
)  # fmt: skip
@option("--dry-run", is_flag=True, group="Output", help="Print all settings and exit.")
@common
@click.pass_context
def train(
    ctx: click.Context, /, files: tuple[str, ...], run: str | None, config_file: Path | None,
    resume: bool, init_from: str | None, report: bool, dry_run: bool, common: Common, **settings: Any,
) -> None:  # fmt: skip
    """Train a model on text: files, folders, or - for stdin.

    FILE:3 is read three times as often as FILE:1 (whole numbers). Validation and the n-gram memory
    count each text once.

    The path of the model is printed on stdout. Without a budget, training ends after 40 epochs or
    10 minutes, whichever comes first; --max-time 1h allows more.

    Every option can also be set by an environment variable: CHARRNN_TRAIN_LR=0.002.
    """
    flags, environment = by_source(ctx, settings)
    file = {}
    if config_file is not None:
        where = f"--config: {printable(config_file)}"
        file = convert_settings(read_settings(config_file), where)

    from charrnn.training.threads import cpu_time

    begin = cpu_time()  # torch takes a second to import: long enough to see what others use

    from charrnn.launch.prepare import SettingSources
    from charrnn.launch.start import TrainRequest, start, without_weights

    names, weights = without_weights(files)
    request = TrainRequest(
        files=names,
        given=SettingSources(flags | weights, environment, file),
        run=run,
        resume=resume,
        init_from=init_from,
        checkpoints=common.checkpoints,
        dry_run=dry_run,
        as_json=common.as_json,
        begin=begin,
    )
    outcome = start(request, common.console)
    if report and outcome.code == 0 and outcome.folder is not None:  # not after a signal
        make_report(outcome.folder, common.console)
    ctx.exit(outcome.code)


def make_report(folder: Path, console: Console) -> None:
    """Write the report of a run; a failure is a warning and does not change the exit code."""
    from charrnn.viz.report import write_report

    try:
        console.line(f"report: {printable(write_report(folder))}")
    except Exception as error:  # noqa: BLE001 - a bug in a picture must not fail the run
        kind = "" if isinstance(error, CharRNNError | OSError) else f"{type(error).__name__}: "
        console.warn(f"no report: {printable(f'{kind}{error}')}")
