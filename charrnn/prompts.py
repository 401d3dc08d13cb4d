"""Prompts of `sample`: one, the text of a file, a line each of a file, or JSON lines."""

import json
import sys
from pathlib import Path

from charrnn.configfile import read_small_file
from charrnn.errors import InputError, printable

LONGEST = 64 << 20
"""Bytes; a device may go on for ever."""


def read_prompts(prompt: str | None, file: Path | None, lines: Path | None) -> list[str]:
    """Return the prompts of a call, an empty one without any.

    Args:
        prompt: As it is.
        file: Its text is one prompt.
        lines: Each line is a prompt; JSON lines on stdin (-) and in a file named .jsonl.

    Raises:
        InputError: More than one is given, or something cannot be read.
    """
    given = {"--prompt": prompt, "--prompt-file": file, "--prompts": lines}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise InputError(f"{' and '.join(names)}: they exclude each other; give one of them")
    if file is not None:
        return [read_text(file, "--prompt-file")]
    if lines is None:
        return [prompt or ""]
    name = "stdin" if str(lines) == "-" else printable(lines)
    text = read_stdin() if str(lines) == "-" else read_text(lines, "--prompts")
    if str(lines) == "-" or lines.suffix == ".jsonl":
        return parse_json_lines(text, name)
    return text.removesuffix("\n").replace("\r\n", "\n").split("\n") if text else []


def read_text(path: Path, option: str) -> str:
    """Return the text of a file; bytes that are no UTF-8 stay what they are."""
    return read_small_file(path, option, LONGEST).decode("utf-8-sig", "surrogateescape")


def read_stdin() -> str:
    """Return what comes through a pipe."""
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("--prompts: -: stdin is a terminal; pipe JSON lines into it")
    data = sys.stdin.buffer.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise InputError(f"--prompts: -: more than {LONGEST:,} bytes")
    return data.decode("utf-8-sig", "surrogateescape")


def parse_json_lines(text: str, name: str) -> list[str]:
    """Return the prompts in JSON lines: strings, or objects with a `prompt`; empty lines are none.

    Raises:
        InputError: A line is something else.
    """
    lines = enumerate(text.split("\n"), start=1)
    return [parse_json_line(line, number, name) for number, line in lines if line.strip()]


def parse_json_line(line: str, number: int, name: str) -> str:
    """Return the prompt in one JSON line."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    prompt = value.get("prompt") if isinstance(value, dict) else value
    if not isinstance(prompt, str):
        raise InputError(
            f"--prompts: {name}: line {number} is no JSON string, and no object with a prompt: "
            f"{printable(line[:60])}"
        )
    return prompt
