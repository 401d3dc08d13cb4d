"""The README is short and true: links, options and targets exist, and every command runs."""

import os
import re
import signal

import click
import pytest
from doc_pages import ROOT, bash, blocks, environment, page, write_commands, write_texts
from terminals import in_terminal

from charrnn.cli.app import cli

TEXT = page("README.md")
TABLE = re.findall(r"^\| .* \| `(charrnn .*)` \|$", TEXT, re.MULTILINE)
KEEP_RUNNING = ("charrnn write", "charrnn serve")
TARGETS = set(re.findall(r"^([a-z-]+):", page("Makefile"), re.MULTILINE))


def test_it_has_at_most_8000_bytes():
    assert len(TEXT.encode("utf-8")) <= 8000


def test_every_link_leads_to_a_file():
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", TEXT)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def all_commands(group):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield command
        if isinstance(command, click.Group):
            yield from all_commands(command)


@pytest.mark.parametrize("name", ["README.md", "docs/guide.md"])
def test_every_option_in_it_exists(name):
    known = {flag for command in all_commands(cli) for p in command.params for flag in p.opts}
    text = re.sub(r"Command: `python.*?`|pip install.*", "", page(name))
    shown = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", text)) - {"--help"}
    assert shown - known == set()


def test_make_targets_in_it_exist():
    named = set(re.findall(r"`make ([a-z]+)", TEXT))
    named |= set(re.findall(r"^make ([a-z]+)", "".join(blocks(TEXT)), re.MULTILINE))
    assert named >= {"demo", "test"}
    assert named <= TARGETS


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder after `make demo`, whose stand-in here checks that the target exists."""
    folder = tmp_path_factory.mktemp("readme")
    write_commands(folder / "bin")
    make = folder / "bin" / "make"
    make.write_text(f"#!/bin/sh\ncase $1 in {'|'.join(TARGETS)}) ;; *) exit 2;; esac\n", "utf-8")
    make.chmod(0o755)
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "activate").touch()
    write_texts(folder)
    (folder / "data").mkdir()
    (folder / "shakespeare.txt").rename(folder / "data" / "shakespeare.txt")
    return folder


def test_the_quick_start_passes(home):
    (block,) = blocks(TEXT)
    found = bash(home, block)
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("checkpoints/shakespeare/best.safetensors\nHAMLET.")


def test_every_command_of_the_table_passes(home):
    commands = [each for each in TABLE if not each.startswith(KEEP_RUNNING)]
    assert len(commands) >= 10
    script = "\n".join(command.replace("-n 100000", "-n 500 -l 20") for command in commands)
    found = bash(home, script)
    assert found.returncode == 0, found.stderr
    assert len((home / "out.jsonl").read_text("utf-8").splitlines()) == 500
    assert "<html" in (home / "surprise.html").read_text("utf-8")


def test_what_keeps_running_starts_in_a_terminal_and_ends(home):
    write, serve = (each for start in KEEP_RUNNING for each in TABLE if each.startswith(start))
    variables = environment(home, CHARRNN_SERVE_PORT="0")
    with in_terminal(["bash", "-c", write], home, **variables) as (process, keys, wait_for):
        wait_for(b"Tab")
        os.write(keys, b"\x11")
        process.communicate(timeout=60)
        assert process.returncode == 0
    with in_terminal(["bash", "-c", serve], home, **variables) as (process, keys, wait_for):
        wait_for(b"http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 130
