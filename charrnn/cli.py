"""Options -> configs -> library -> console and stdout. One short function a command."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from charrnn import __version__
from charrnn.cli_runs import runs
from charrnn.cli_sample import sample
from charrnn.cli_score import score
from charrnn.cli_viz import viz
from charrnn.completing import SHELLS, complete_files, complete_models, complete_runs, script
from charrnn.config import TrainConfig
from charrnn.configfile import read_settings
from charrnn.errors import printable
from charrnn.options import (
    GroupedCommand,
    common,
    config_options,
    convert_settings,
    from_source,
    make_console,
    option,
)

EXAMPLE = """Train a small recurrent network on any text, and write more like it.

\b
charrnn train shakespeare.txt
charrnn sample --temperature 0.8
"""

EXIT_CODES = """\b
Exit codes:
  0    done (a time budget reached and a closed pipe too)
  1    failure while running: disk, memory, a bug
  2    usage, or input that cannot be used
  3    training diverged
  4    checkpoint damaged, foreign or newer
  75   try again: another process trains the run, or it was saved on SIGUSR1
  129, 130, 143   stopped by a signal; saved, if there was something to save
"""

COMPLETION = """Print what makes a shell complete commands, options, runs and files.

\b
bash, in ~/.bashrc:  eval "$(charrnn completion bash)"
zsh, in ~/.zshrc:    eval "$(charrnn completion zsh)"
fish:                charrnn completion fish > ~/.config/fish/completions/charrnn.fish
"""

READING = ("bytes", "encoding", "newlines", "lines", "val_frac", "max_time")
"""Settings that say how a text is read and what time there is for it, for `info`."""

CONTEXT = {"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "CHARRNN"}


@click.group(context_settings=CONTEXT, help=EXAMPLE, epilog=EXIT_CODES)
@click.version_option(__version__, message="charrnn %(version)s")
def cli() -> None:
    """Hold the commands."""


@cli.command(cls=GroupedCommand)
@click.argument("files", nargs=-1, metavar="FILE...", shell_complete=complete_files)
@config_options(TrainConfig)
@option(
    "--run", metavar="NAME", group="Output", shell_complete=complete_runs,
    help="Name of the run. [default: the file's]",
)  # fmt: skip
@option(
    "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", group="Output",
    help="TOML with settings; flags and environment beat it.",
)  # fmt: skip
@option(
    "--resume", is_flag=True, group="Output",
    help="Go on with the run exactly where it was saved, or start it if there is none; FILE may "
    "be left out with --run. For a new run from trained weights see --init-from.",
)  # fmt: skip
@option(
    "--init-from", metavar="MODEL", group="Size", shell_complete=complete_models,
    help="Start a new run from the weights of a model, with its sizes. To go on with a run that "
    "was stopped see --resume.",
)  # fmt: skip
@option(
    "--report", is_flag=True, group="Output",
    help="Make a page about the run when it ends: report.html in its folder.",
)  # fmt: skip
@option("--dry-run", is_flag=True, group="Output", help="Show all settings and stop.")
@common
@click.pass_context
def train(
    ctx: click.Context, /, files: tuple[str, ...], run: str | None, config_file: Path | None,
    resume: bool, init_from: str | None, report: bool, dry_run: bool, checkpoints: Path, as_json: bool,
    quiet: bool, verbose: bool, debug: bool, **settings: Any,
) -> None:  # fmt: skip
    """Learn a text: files, directories, or - for stdin.

    Prints the path of the model on stdout. Without a budget it takes 40 epochs or 10 minutes,
    whichever is shorter; --max-time 1h for more.

    Every option can also be set by environment: CHARRNN_TRAIN_LR=0.002.
    """
    console = make_console(quiet, verbose)
    flags = from_source(ctx, settings, ParameterSource.COMMANDLINE)
    environment = from_source(ctx, settings, ParameterSource.ENVIRONMENT)
    file = read_config(config_file)

    from charrnn.preparing import Given
    from charrnn.starting import Request, start

    request = Request(
        files=files,
        given=Given(flags, environment, file),
        run=run,
        resume=resume,
        init_from=init_from,
        checkpoints=checkpoints,
        dry_run=dry_run,
        as_json=as_json,
        report=page_writer() if report else None,
    )
    ctx.exit(start(request, console))


def page_writer() -> Callable[[Path], object]:
    """Return what makes the page about a run."""
    from charrnn.report import write_report

    return write_report


def read_config(path: Path | None) -> dict[str, Any]:
    """Return the settings of a --config file, as the command line would have them."""
    if path is None:
        return {}
    return convert_settings(read_settings(path), f"--config: {printable(path)}")


@cli.command(cls=GroupedCommand)
@click.argument("path", required=False, shell_complete=complete_models)
@config_options(TrainConfig, group="Of a text", only=READING)
@common
@click.pass_context
def info(
    ctx: click.Context, /, path: str | None, checkpoints: Path, as_json: bool, quiet: bool,
    verbose: bool, debug: bool, **settings: Any,
) -> None:  # fmt: skip
    """Say what a text or a checkpoint is, before an hour is spent on it.

    PATH is a text or a folder of texts; or a checkpoint file, or a run's name or folder, which
    means its best; without it the newest model of all runs is taken.

    Of a text: encoding, characters, split, what the memory alone makes of it, which network would
    be picked, and how fast it learns here. Of a checkpoint: network, characters, text, settings,
    losses and digests; two full ones with the same state digest go on alike, bit for bit.
    """
    make_console(quiet, verbose)

    from charrnn.finding import find_model, is_text
    from charrnn.inspection import inspect, lines_of
    from charrnn.writing import print_result

    if path is not None and is_text(checkpoints, path, has_any_bytes=bool(settings["bytes"])):
        flags = from_source(ctx, settings, ParameterSource.COMMANDLINE)
        environment = from_source(ctx, settings, ParameterSource.ENVIRONMENT)
        survey_text(Path(path), flags, environment, as_json=as_json)
        return
    found = inspect(find_model(checkpoints, path))
    print_result(json.dumps(found) if as_json else "\n".join(lines_of(found)))


def survey_text(
    path: Path, flags: dict[str, Any], environment: dict[str, Any], *, as_json: bool
) -> None:
    """Print what a text is, each line as it is found."""
    from charrnn.preparing import Given
    from charrnn.surveying import survey
    from charrnn.writing import print_result

    facts: dict[str, Any] = {}
    for finding in survey([path], Given(flags, environment, {})):
        facts |= finding.facts
        if not as_json:
            print_result(f"{finding.name:<16} {finding.text}")
    if as_json:
        print_result(json.dumps(facts))


@cli.command(cls=GroupedCommand, help=COMPLETION)
@click.argument("shell", type=click.Choice(SHELLS))
@common
@click.pass_context
def completion(
    ctx: click.Context, /, shell: str, checkpoints: Path, as_json: bool, quiet: bool, verbose: bool,
    debug: bool,
) -> None:  # fmt: skip
    """Print the program that completes words in a shell."""
    make_console(quiet, verbose)

    from charrnn.writing import print_result

    text = script(cli, shell)
    print_result(json.dumps({"shell": shell, "script": text}) if as_json else text)


cli.add_command(sample)
cli.add_command(score)
cli.add_command(viz)
cli.add_command(runs)
