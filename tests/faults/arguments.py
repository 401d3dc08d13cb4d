"""Every option with every kind of nonsense: a documented exit code and a one-line error."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr
from pathlib import Path

import click
from harness import TEXT, Violation, expect, obeyed, quietly, run_script, work_folder

from charrnn.__main__ import run_cli
from charrnn.cli.app import COMMANDS, cli

NONSENSE = (
    None, "", " ", "nan", "inf", "-inf", "-0", "-1", "0", "1e400", "1e-400", "9223372036854775808",
    "1_000", "１２", "٣", "½", "\x1b[2J", "\u202e5", "\udcff", "x" * 3000, "--", "a,b", "../..", "/",
    "/dev/null", "/dev/full", "no-such-thing", "5m", "-5m", "0s", "true", "auto",
)  # fmt: skip
"""None: the option's value is missing."""

HUGE, ENDLESS = "9223372036854775808", ("-n", "-l", "--length")
"""A valid number of texts or characters, but the command would not end."""

CODES = {0, 1, 2, 3, 4, 75}
QUICK = ["--steps", "1", "--hidden-size", "4", "--threads", "1", "-q"]


def lines_for(command: str, option: str, value: str | None) -> list[list[str]]:
    """Return the command lines that give an option a value, as one argument and as two."""
    begin = [command, *(["text.txt", *QUICK, "--dry-run"] if command == "train" else [])]
    begin += ["--length", "3"] if command == "sample" else []
    begin += ["no-such-model"] if command == "serve" else []  # a server would not end
    if value is None:
        return [[*begin, option]]
    if value == HUGE and option in ENDLESS:
        return []
    ways = [[*begin, option, value]]
    return [*ways, [*begin, f"{option}={value}"]] if option.startswith("--") else ways


def command(name: str) -> click.Command:
    """Return a command."""
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def options_of(command: click.Command) -> list[str]:
    """Return every spelling of every option that takes a value."""
    return [
        spelling
        for param in command.params
        if isinstance(param, click.Option) and not param.is_flag
        for spelling in param.opts
    ]


def look(arguments: list[str]) -> None:
    """Run one command line, and check its exit code and its error."""
    told = io.StringIO()
    with redirect_stderr(told):
        code = quietly(lambda: run_cli(arguments))
    text, shown = told.getvalue(), [a[:40] for a in arguments]
    expect(code in CODES, f"{shown}: exit code {code}")
    expect("Traceback" not in text and "this is a bug" not in text, f"{shown}: {text[-300:]}")
    expect(not obeyed(text, layout="\n"), f"{shown}: {text!r}")
    if code:
        errors = [line for line in text.splitlines() if line.startswith("charrnn: error: ")]
        expect(len(errors) == 1 and text.endswith("\n"), f"{shown}: {text!r}")
        is_full = code == 1 and "No space left" in text
        foreign = ("safetensors", "is a text, not a model")  # files of earlier command lines
        is_foreign = code == 4 and any(each in text for each in foreign)
        expect(code == 2 or is_full or is_foreign, f"{shown}: exit code {code}: {text[-300:]}")


def check(count: int, seed: int) -> tuple[int, str]:
    """Try every option of every command with every value; `count` of them if it is smaller."""
    tried = 0
    with work_folder():
        Path("text.txt").write_text(TEXT, encoding="utf-8")
        expect(quietly(lambda: run_cli(["train", "text.txt", *QUICK])) == 0, "no model to sample")
        commands = [
            line
            for name in COMMANDS
            for option in options_of(command(name))
            for value in NONSENSE
            for line in lines_for(name, option, value)
        ]
        for line in commands[:count]:
            look(line)
            tried += 1
        made = [path.name for path in Path("checkpoints").iterdir()]
        expect(made == ["text"], f"runs were made: {made}")
        tried += check_environment()
    return tried, f"{len(NONSENSE)} values for every option and its variable: one line, code 0 or 2"


def check_environment() -> int:
    """Try the same values in environment variables, which no shell parses."""
    tried = 0
    for param in command("train").params:
        if not isinstance(param, click.Option):
            continue
        name = f"CHARRNN_TRAIN_{(param.name or '').upper()}"
        for value in NONSENSE:
            if value is None:
                continue
            os.environ[name] = value
            try:
                look(["train", "text.txt", *QUICK, "--dry-run"])
            except Violation as violation:
                raise Violation(f"{name}={value[:40]!r}: {violation}") from None
            finally:
                del os.environ[name]
            tried += 1
    return tried


def in_a_process() -> None:
    """Check the same in a separate process, with its own stderr."""
    command = [sys.executable, "-m", "charrnn", "train", "--lr", "nan"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    expect(done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr)


if __name__ == "__main__":
    in_a_process()
    run_script("every option × nonsense", 100_000, 100_000, check)
