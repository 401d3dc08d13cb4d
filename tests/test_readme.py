"""The README is true: its files are there, its modules are all of them, its commands exist."""

import re
from pathlib import Path

import click

import charrnn
from charrnn.cli.app import cli

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_link_leads_to_a_file():
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", TEXT)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_package_is_listed_and_none_that_is_not_there():
    named = re.findall(r"^\| `(\w+)/` \|", TEXT, re.MULTILINE)
    folders = {path.parent for path in Path(charrnn.__file__).parent.glob("*/__init__.py")}
    assert sorted(named) == sorted(folder.name for folder in folders)


def all_commands(group):
    for command in group.commands.values():
        yield command
        if isinstance(command, click.Group):
            yield from all_commands(command)


def test_every_option_in_it_exists():
    known = {flag for command in all_commands(cli) for p in command.params for flag in p.opts}
    shown = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", TEXT)) - {"--help"}
    assert shown - known == set()


def test_make_targets_in_it_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z]+)", TEXT.split("## Try it")[1])) <= targets | {"where"}
