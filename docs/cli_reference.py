"""Write docs/cli.md from the program's own --help. `make docs` runs it; a test compares."""

import sys
from pathlib import Path

import click

from charrnn.cli import cli

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
    parts = [HEAD, section("charrnn", root, cli)]
    for name in sorted(cli.commands):
        command = cli.commands[name]
        context = click.Context(command, info_name=name, parent=root)
        parts.append(section(f"charrnn {name}", context, command))
    return "\n".join(parts)


def section(title: str, context: click.Context, command: click.Command) -> str:
    """Return one command's help under its name."""
    return f"## {title}\n\n```\n{command.get_help(context)}\n```\n"


if __name__ == "__main__":
    if "--print" in sys.argv:
        sys.stdout.buffer.write(reference().encode("utf-8"))
    else:
        (Path(__file__).parent / "cli.md").write_text(reference(), encoding="utf-8")
