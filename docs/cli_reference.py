"""Write docs/cli.md from the program's own --help. `make docs` runs it; a test compares."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from charrnn.cli.app import cli

WIDTH = 90

HEAD = """# Command line

Written by `make docs` from `--help`; do not edit.
"""


def reference() -> str:
    """Return the page: the program's help, then each command's."""
    root = click.Context(
        cli,
        info_name="charrnn",
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        **cli.context_settings,
    )
    return "\n".join([HEAD, *sections("charrnn", root)])


def sections(title: str, context: click.Context) -> Iterator[str]:
    """Yield a command's help under its name, then that of each command it has."""
    command = context.command
    yield f"## {title}\n\n```\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for name in sorted(command.list_commands(context)):
            inner = command.get_command(context, name)
            assert inner is not None
            inner_context = click.Context(inner, info_name=name, parent=context)
            yield from sections(f"{title} {name}", inner_context)


if __name__ == "__main__":
    if "--print" in sys.argv:
        sys.stdout.buffer.write(reference().encode("utf-8"))
    else:
        (Path(__file__).parent / "cli.md").write_text(reference(), encoding="utf-8")
