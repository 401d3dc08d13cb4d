"""`charrnn completion`, and completion of run and file names."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem, get_completion_class

from charrnn.cli.options import Common, GroupedCommand, common

SHELLS = ("bash", "zsh", "fish")
PROGRAM, VARIABLE = "charrnn", "_CHARRNN_COMPLETE"

Items = list[CompletionItem[Any]]
Complete = Callable[[click.Context, click.Parameter, str], Items]

COMPLETION = """Print what makes a shell complete commands, options, runs and files.

\b
bash, in ~/.bashrc:  eval "$(charrnn completion bash)"
zsh, in ~/.zshrc:    eval "$(charrnn completion zsh)"
fish:                charrnn completion fish > ~/.config/fish/completions/charrnn.fish
"""


def script(command: click.Command, shell: str) -> str:
    """Return the program that makes a shell complete a command's words."""
    kind = get_completion_class(shell)
    assert kind is not None
    return kind(command, {}, PROGRAM, VARIABLE).source()


def complete_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Let the shell offer files and folders."""
    return [CompletionItem(incomplete, type="file")]


def complete_runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Offer the runs in the checkpoints folder."""
    from charrnn.checkpoints.runs import is_run

    folder = checkpoints_of(ctx)
    with suppress(OSError):
        names = sorted(path.name for path in folder.iterdir() if is_run(path))
        # A shell takes a line for each.
        fits = [name for name in names if name.startswith(incomplete) and name.isprintable()]
        return [CompletionItem(name) for name in fits]
    return []


def complete_models(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Offer runs, and files: zsh and fish show both, bash the files where no run fits."""
    files = complete_files(ctx, param, incomplete)
    return files + complete_runs(ctx, param, incomplete)


def checkpoints_of(ctx: click.Context) -> Path:
    """Return the checkpoints folder that was given before, to the command or one above it."""
    each: click.Context | None = ctx
    while each is not None:
        source = each.get_parameter_source("checkpoints")
        folder = each.params.get("checkpoints")
        if source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT) and folder:
            return expanded(Path(folder))
        each = each.parent
    return Path("checkpoints")


def expanded(path: Path) -> Path:
    """Return a path with ~ in the place that it stands for: what is typed has gone through no shell."""
    with suppress(RuntimeError):  # there is no such user
        return path.expanduser()
    return path


@click.command(cls=GroupedCommand, help=COMPLETION)
@click.argument("shell", type=click.Choice(SHELLS))
@common
@click.pass_context
def completion(ctx: click.Context, /, shell: str, common: Common) -> None:
    """Print the program that completes words in a shell."""
    from charrnn.core.output import print_result

    text = script(ctx.find_root().command, shell)
    print_result(json.dumps({"shell": shell, "script": text}) if common.as_json else text)
