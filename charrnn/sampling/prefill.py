"""Prompts: read as the model's text was, then read by the network into logits and state."""

import json
import stat
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from charrnn.checkpoints.model import Model
from charrnn.core.errors import InputError, printable
from charrnn.core.settings import read_small_file
from charrnn.data.reading import Reading, Survey, conversion_notes
from charrnn.data.text_files import read_codes
from charrnn.nn.engine import Engine, Floats
from charrnn.nn.state import State
from charrnn.sampling.corpus.source import string_of

LONGEST = 64 << 20
"""Largest size of prompts in bytes; reading a device may never end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptOptions:
    """Where prompts come from; at most one is given."""

    ends_with: str | None = None
    """The end of a text, for a backward model."""
    prompt: str | None = None
    file: Path | None = None
    """A file whose text is one prompt."""
    lines: Path | None = None
    """A file with a prompt on each line; stdin (-) and *.jsonl files have JSON lines."""

    def __post_init__(self) -> None:
        given = {
            "--ends-with": self.ends_with,
            "--prompt": self.prompt,
            "--prompt-file": self.file,
            "--prompts": self.lines,
        }
        names = [name for name, value in given.items() if value is not None]
        if len(names) > 1:
            raise InputError(f"{' and '.join(names)}: they exclude each other; give one of them")

    @property
    def name(self) -> str:
        """What messages call a prompt."""
        return "prompt" if self.ends_with is None else "--ends-with"

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
            return [self.ends_with or self.prompt or ""]
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
    stop_survey = Survey()
    stops = tuple(reading.convert(stop, stop_survey) for stop in stops)
    for stop in stops:
        model.vocab.encode(stop, "--stop")
    notes = [f"{given.name}: {note}" for note in conversion_notes(survey, reading)]
    notes += [f"--stop: {note}" for note in conversion_notes(stop_survey, reading)]
    if model.is_backward and any(prompts) and given.ends_with is None:
        notes.append("a backward model: a prompt is the end of the text")
    return prompts, stops, notes


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


def check_prompts(model: Model, prompts: Sequence[str], name: str) -> None:
    """Refuse prompts that cannot be read, before anything is written.

    Raises:
        InputError: As of `prompt_ids`; it names the prompt if there are several.
    """
    for number, prompt in enumerate(prompts, start=1):
        try:
            prompt_ids(model, prompt, name)
        except InputError as error:
            if len(prompts) == 1:
                raise
            raise InputError(f"prompt {number}: " + str(error).removeprefix("prompt: ")) from None


def prompt_ids(model: Model, prompt: str, name: str = "prompt") -> list[int]:
    """Return the ids that the network reads before it generates.

    A text without a prompt, and every record, starts after a newline if the vocabulary has one. For
    a backward model a prompt is the end of a text, and is read from its last character on.

    Raises:
        InputError: The prompt has characters that the vocabulary lacks, or is more than one record.
    """
    if model.records and "\n" in prompt:
        advice = "; give each line a prompt of its own, for example with --prompts FILE"
        raise InputError(
            f"{name}: has a line end, but each text of this model is a single line"
            + advice * (name == "prompt")
        )
    ids = model.turned(model.vocab.encode(prompt, name)).tolist()
    return [*line_end(model), *ids] if model.records or not ids else ids


def line_end(model: Model) -> list[int]:
    """Return the ids of the line end that a text begins after: a newline, if there is one.

    A backward model reads all of a Windows line end: the text would end in its CR.
    """
    newline = model.vocab.newline
    if newline is None:
        return []
    if model.is_backward and model.line_ends() == "crlf":
        return [newline, int(model.vocab.encode("\r")[0])]
    return [newline]


def start_logits(model: Model) -> Floats:
    """Return logits of the first symbol of a text if nothing is read before it, (V,).

    They are the logs of how often each symbol starts a line of the training text.
    """
    counts = np.zeros(model.vocab.size, dtype=np.float32)
    for symbol, count in model.starts.items():
        counts[symbol] = count
    with np.errstate(divide="ignore"):
        logits: Floats = np.log(counts)
    return logits


class Prefill:
    """Reads prompts with the network of a model.

    Args:
        model: Its vocabulary and the symbols that start its lines.
        engine: Steps the network of the model.
    """

    def __init__(self, model: Model, engine: Engine) -> None:
        self._model, self.engine = model, engine
        self._last: tuple[tuple[str, ...], tuple[Floats, State]] | None = None

    def ids(self, prompt: str) -> list[int]:
        """Return the ids that are read for a prompt, as `prompt_ids` does."""
        return prompt_ids(self._model, prompt)

    def one(self, prompt: str) -> tuple[Floats, State]:
        """Return logits, (V,), and state after a prompt, for a single stream."""
        state = self.engine.empty_state()
        logits = start_logits(self._model)
        for i in prompt_ids(self._model, prompt):
            logits, state = self.engine.step(i, state)
        return logits, state

    def many(self, prompts: Sequence[str]) -> tuple[Floats, State]:
        """Return logits, (B, V), and states after prompts; the last result is cached.

        Each distinct prompt is read once, and all of them side by side.
        """
        distinct = tuple(dict.fromkeys(prompts))
        if self._last is None or self._last[0] != distinct:
            self._last = distinct, self._read([prompt_ids(self._model, p) for p in distinct])
        row_of = {prompt: row for row, prompt in enumerate(distinct)}
        rows = np.array([row_of[prompt] for prompt in prompts])
        logits, state = self._last[1]
        return logits[rows], state.rows(rows)

    def _read(self, texts: Sequence[list[int]]) -> tuple[Floats, State]:
        """Return logits, (B, V), and states after the ids of B >= 2 streams; one is doubled.

        The engine rounds a single stream differently from a batch; two rows make a batch.
        """
        texts = [*texts, *texts[:1]] if len(texts) == 1 else list(texts)
        state = self.engine.empty_state(len(texts))
        logits = np.tile(start_logits(self._model), (len(texts), 1))
        for t in range(max(map(len, texts))):
            rows = [row for row, ids in enumerate(texts) if len(ids) > t]
            if len(rows) == len(texts):
                logits, state = self.engine.step(np.array([ids[t] for ids in texts]), state)
                continue
            rows = rows * 2 if len(rows) == 1 else rows
            symbols = np.array([texts[row][t] for row in rows])
            logits[rows], part = self.engine.step(symbols, state.rows(rows))
            state.put(rows, part)
        return logits, state
