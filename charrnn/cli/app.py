"""The group of all commands."""

import shlex
from importlib import import_module
from pathlib import Path

import click

from charrnn import __version__
from charrnn.core.errors import printable

EXAMPLE = """Train a small recurrent network on any text, and write more like it.

\b
charrnn train shakespeare.txt
charrnn sample --temperature 0.8
"""

EXIT_CODES = """\b
Exit codes:
  0    success, also after a time budget ended or the reader closed the pipe
  1    failure at run time: disk, memory, or a bug
  2    usage error, or input that cannot be used
  3    training diverged
  4    checkpoint that is damaged, not of charrnn, or of a newer version
  75   try again later: another process trains the run, or SIGUSR1 stopped and saved it
  129, 130, 143   stopped by a signal; the run was saved if it had begun
"""

CONTEXT = {"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "CHARRNN"}


COMMANDS = (
    "completion", "export", "fill", "info", "proof", "runs", "sample", "score", "serve", "train",
    "viz", "write",
)  # fmt: skip
"""Names of the commands, in the order of --help: each is a function in a module of its name."""


class Commands(click.Group):
    """The group of all commands; of a text in the place of a command, the error says what to do.

    Only the command that runs is imported: all of them take 20 ms.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; None if there is no such one."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"charrnn.cli.{cmd_name}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is named first."""
        name = args[0]
        if name not in COMMANDS and (Path(name).exists() or Path(name).suffix == ".txt"):
            shown = printable(shlex.quote(name))
            ctx.fail(
                f"{printable(name)!r} is no command; to train on a text: charrnn train {shown}"
            )
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings=CONTEXT, help=EXAMPLE, epilog=EXIT_CODES)
@click.version_option(__version__, message="charrnn %(version)s")
def cli() -> None:
    """Group the commands; its help is EXAMPLE."""
