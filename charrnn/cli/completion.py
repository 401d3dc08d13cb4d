"""`charrnn completion`, and shell completion of run and file names."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem, get_completion_class

from charrnn.cli.options import Common, GroupedCommand, common

Items = list[CompletionItem[Any]]

COMPLETION = """Print a shell script that completes commands, options, runs and files.

\b
bash, in ~/.bashrc:  eval "$(charrnn completion bash)"
zsh, in ~/.zshrc:    eval "$(charrnn completion zsh)"
fish:                charrnn completion fish > ~/.config/fish/completions/charrnn.fish
"""


def complete_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Return the item that makes the shell complete file names."""
    return [CompletionItem(incomplete, type="file")]


def complete_runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Return the runs in the checkpoints folder that begin with the typed text."""
    from charrnn.checkpoints.runs import is_run

    folder = checkpoints_of(ctx)
    with suppress(OSError):
        names = sorted(path.name for path in folder.iterdir() if is_run(path))
        # A shell reads one item per line, so a name with a line break is left out.
        matches = [name for name in names if name.startswith(incomplete) and name.isprintable()]
        return [CompletionItem(name) for name in matches]
    return []


def complete_models(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Return runs and files: zsh and fish show both; bash shows files if no run matches."""
    return complete_files(ctx, param, incomplete) + complete_runs(ctx, param, incomplete)


def checkpoints_of(ctx: click.Context) -> Path:
    """Return --checkpoints as typed before, for the command or a parent command."""
    context: click.Context | None = ctx
    while context is not None:
        source = context.get_parameter_source("checkpoints")
        folder = context.params.get("checkpoints")
        if source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT) and folder:
            with suppress(RuntimeError):  # no user of this name
                return Path(folder).expanduser()  # a shell does not expand what it completes
            return Path(folder)
        context = context.parent
    return Path("checkpoints")


@click.command(cls=GroupedCommand, help=COMPLETION)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@common
@click.pass_context
def completion(ctx: click.Context, /, shell: str, common: Common) -> None:
    """Print the completion script of a shell; the help is COMPLETION."""
    from charrnn.core.output import print_result

    shell_class = get_completion_class(shell)
    assert shell_class is not None
    text = shell_class(ctx.find_root().command, {}, "charrnn", "_CHARRNN_COMPLETE").source()
    print_result(json.dumps({"shell": shell, "script": text}) if common.as_json else text)
