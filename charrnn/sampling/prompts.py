"""Read the prompts of a request as the model's text was read."""

import json
import stat
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from charrnn.checkpoints.model import Model
from charrnn.core.errors import InputError, printable
from charrnn.core.settings import read_small_file
from charrnn.data.reading import Reading, Survey, conversion_notes
from charrnn.data.text_files import read_codes
from charrnn.sampling.copies import string_of

LONGEST = 64 << 20
"""Largest size of prompts in bytes; reading a device may never end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptOptions:
    """Where prompts come from; at most one is given."""

    prompt: str | None = None
    file: Path | None = None
    """A file whose text is one prompt."""
    lines: Path | None = None
    """A file with a prompt on each line; stdin (-) and *.jsonl files have JSON lines."""

    def __post_init__(self) -> None:
        given = {"--prompt": self.prompt, "--prompt-file": self.file, "--prompts": self.lines}
        names = [name for name, value in given.items() if value is not None]
        if len(names) > 1:
            raise InputError(f"{' and '.join(names)}: they exclude each other; give one of them")

    def read(self, reading: Reading, survey: Survey | None = None) -> list[str]:
        """Return the prompts; one empty prompt if none is given.

        Args:
            reading: How the model's text was read.
            survey: Receives the counts of what is converted.

        Raises:
            InputError: A file cannot be read.
        """
        survey = survey or Survey()
        return [reading.convert(text, survey) for text in self._unconverted(reading)]

    def _unconverted(self, reading: Reading) -> list[str]:
        if self.file is not None:
            return [read_text(self.file, "--prompt-file", as_it_is(reading))]
        if self.lines is None:
            return [self.prompt or ""]
        is_stdin = str(self.lines) == "-"
        if is_stdin or self.lines.suffix == ".jsonl":
            name = "stdin" if is_stdin else printable(self.lines)
            text = read_stdin() if is_stdin else read_text(self.lines, "--prompts", Reading())
            numbered = enumerate(text.split("\n"), start=1)
            return [
                parse_json_line(line, number, name) for number, line in numbered if line.strip()
            ]
        text = read_text(self.lines, "--prompts", as_it_is(reading)).replace("\r\n", "\n")
        text = text if reading.bytes else text.replace("\r", "\n")
        return text.removesuffix("\n").split("\n") if text else []


def fitted(
    model: Model, given: PromptOptions, stops: Sequence[str]
) -> tuple[list[str], tuple[str, ...], list[str]]:
    """Return prompts and stop strings as the text of the model was read, and notes.

    Raises:
        InputError: A file cannot be read, or the model can never write a stop string.
    """
    reading, survey = model.reading(), Survey()
    prompts = given.read(reading, survey)
    if model.records:  # an editor ends the last line of a file too
        prompts = [prompt.removesuffix("\n") for prompt in prompts]
        survey = Survey(num_formed=survey.num_formed)
    stops = tuple(reading.convert(stop, survey) for stop in stops)
    for stop in stops:
        model.vocab.encode(stop, "--stop")
    return prompts, stops, [f"prompt, --stop: {n}" for n in conversion_notes(survey, reading)]


def as_it_is(reading: Reading) -> Reading:
    """Return how a file is decoded before anything in it is converted."""
    return replace(reading, newlines="keep", normalize="keep", known=None)


def read_text(path: Path, option: str, reading: Reading) -> str:
    """Return the text of a file or named pipe; for a byte model, what is no UTF-8 as surrogates.

    Raises:
        InputError: It cannot be read, is too long, or not in this encoding.
    """
    data = read_small_file(path, option, LONGEST)
    if reading.bytes:
        return data.decode("utf-8-sig", "surrogateescape")
    if stat.S_ISREG(path.stat().st_mode):
        return decoded(path, reading)
    with tempfile.NamedTemporaryFile() as file:  # a pipe can be read only once
        file.write(data)
        file.flush()
        try:
            return decoded(Path(file.name), reading)
        except InputError as error:
            raise InputError(str(error).replace(file.name, printable(path))) from None


def decoded(path: Path, reading: Reading) -> str:
    """Return the text of a regular file."""
    return "".join(map(string_of, read_codes(path, reading, Survey())))


def read_stdin() -> str:
    """Return the text of stdin, which must not be a terminal."""
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("--prompts: -: stdin is a terminal; pipe JSON lines into it")
    data = sys.stdin.buffer.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise InputError(f"--prompts: -: more than {LONGEST:,} bytes")
    return data.decode("utf-8-sig", "surrogateescape")


def parse_json_line(line: str, number: int, name: str) -> str:
    """Return the prompt in one JSON line: a string, or an object with a `prompt`.

    Raises:
        InputError: The line is something else.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    prompt = value.get("prompt") if isinstance(value, dict) else value
    if not isinstance(prompt, str):
        raise InputError(
            f"--prompts: {name}: line {number} is neither a JSON string nor an object with a prompt: "
            f"{printable(line[:60])}"
        )
    return prompt
