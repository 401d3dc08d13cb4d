"""Generated text -> stdout or a file: escaped on a terminal, verbatim elsewhere, or as JSON."""

import json
import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from charrnn.checkpoint import Model
from charrnn.config import SampleConfig
from charrnn.console import Console, escape_text, is_terminal
from charrnn.copies import LONG, Copies, Source
from charrnn.durable import try_lock
from charrnn.errors import (
    BusyError,
    CharRNNError,
    ClosedPipeError,
    InputError,
    is_control,
    printable,
    reason_of,
)
from charrnn.sampling import Sample, Sampler
from charrnn.vocab import Decoder

FLUSH_SECONDS = 0.1
SEPARATOR = b"\n---\n"

MARK, UNMARK = b"\x1b[7m", b"\x1b[27m"
"""A terminal's reverse video, on and off."""

CHECKED_TOGETHER = 64
"""Samples that are compared with a corpus in one pass over it."""

Checked = tuple[Sample, Copies | None]
"""A sample, and what of it is copied, if that was asked for."""


class Page:
    """Where text goes.

    Args:
        stream: Takes bytes.
        for_terminal: A person looks at it: every character at once, controls made visible.
        raw: Send controls to a terminal as they are.
    """

    def __init__(self, stream: BinaryIO, *, for_terminal: bool = False, raw: bool = False) -> None:
        self.for_terminal = for_terminal
        self._stream, self._raw = stream, raw
        self._flushed = time.monotonic()

    def text(self, text: str, raw: bytes) -> None:
        """Write a piece: the text to a terminal, its raw bytes elsewhere."""
        if self.for_terminal:
            shown = text if self._raw else escape_text(text)
            self.put(shown.encode("utf-8", "backslashreplace"))
        else:
            self.put(raw)

    def put(self, data: bytes) -> None:
        """Write bytes as they are."""
        self._stream.write(data)
        now = time.monotonic()
        if self.for_terminal or now - self._flushed > FLUSH_SECONDS:
            self._stream.flush()
            self._flushed = now


@contextmanager
def open_page(path: Path | None, *, raw: bool, stream: BinaryIO | None = None) -> Iterator[Page]:
    """Yield the page of a file, or of stdout; what was written is flushed in the end.

    Args:
        path: Of a file that is written anew; None is stdout.
        raw: Send controls to a terminal as they are.
        stream: The file, where it is open already; its owner closes it.

    Raises:
        InputError: The file cannot be opened.
        CharRNNError: stdout is closed, or the disk is full.
    """
    if path is None and sys.stdout is None:
        raise CharRNNError("stdout is closed: nowhere to write; use -o FILE")
    is_ours = path is not None and stream is None
    try:
        stream = stream or (sys.stdout.buffer if path is None else emptied(path))
    except OSError as error:
        raise InputError(f"-o: {printable(path)}: {reason_of(error)}") from None
    try:
        yield Page(stream, for_terminal=path is None and is_terminal(sys.stdout), raw=raw)
        stream.flush()
    except BrokenPipeError:
        raise leave_pipe() from None
    except OSError as error:
        where = printable(path or "stdout")
        if path is None:
            drop_stdout()
        raise CharRNNError(f"{where}: not written: {reason_of(error)}") from None
    finally:
        if is_ours:
            with suppress(OSError):  # all is flushed, or the error is on its way already
                stream.close()


def emptied(path: Path) -> BinaryIO:
    """Open a file to write it anew, or make it.

    Raises:
        BusyError: Another process goes on with it.
    """
    stream = path.open("ab")
    if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        if not try_lock(stream.fileno()):
            stream.close()
            raise BusyError(f"{printable(path)}: another process writes it; wait, or stop it")
        stream.truncate(0)
    return stream


def leave_pipe() -> ClosedPipeError:
    """Return the end of a command whose reader has gone."""
    drop_stdout()
    return ClosedPipeError("the reader of stdout has gone")


def drop_stdout() -> None:
    """Let what is still in the buffer go nowhere: the interpreter flushes it, and would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def stdout_has_colours() -> bool:
    """Say whether stdout is a terminal that may be written on in colours."""
    return is_terminal(sys.stdout) and not os.environ.get("NO_COLOR")


def print_result(text: str, *, raw: bool = False) -> None:
    """Print a line on stdout, whatever its encoding; raw for colours that are our own."""
    with open_page(None, raw=raw) as page:
        page.text(text + "\n", text.encode("utf-8", "surrogateescape") + b"\n")


def make_sampler(model: Model, stops: Sequence[str], device: str) -> Sampler:
    """Return what writes on a device; torch is imported only if it may not be the CPU.

    Raises:
        InputError: There is no such device here.
    """
    if device != "cpu":
        from charrnn.device import pick_device

        picked = pick_device(device)
        if picked.type == "mps":
            raise InputError("--device: mps: texts are written on cpu or cuda; use --device cpu")
        if picked.type == "cuda":
            from charrnn.device_sampling import DeviceSampler

            return DeviceSampler(model, stops, picked)
    return Sampler(model, stops)


def write_stream(
    page: Page, sampler: Sampler, prompt: str, config: SampleConfig, seed: int, *, echo: bool
) -> None:
    """Write one text, each character as it is made."""
    vocab = sampler.model.vocab
    decoder = Decoder(vocab)
    if echo:
        page.text(prompt, vocab.raw(vocab.encode(prompt)))
    for ids in sampler.stream(prompt, config, seed):
        page.text(decoder.feed(ids), vocab.raw(ids))
    page.text(decoder.feed([], final=True), b"")
    if page.for_terminal or sampler.model.records:
        page.put(b"\n")


def write_samples(page: Page, samples: Iterable[Checked], sampler: Sampler, *, echo: bool) -> None:
    """Write several texts: records a line each, others separated by a line ---."""
    vocab, records = sampler.model.vocab, sampler.model.records
    for place, (sample, copies) in enumerate(samples):
        if place and not records:
            page.put(SEPARATOR)
        if echo:
            page.text(sample.prompt, vocab.raw(vocab.encode(sample.prompt)))
        write_marked(page, sample, copies)
        if records:
            page.put(b"\n")
    if page.for_terminal and not records:
        page.put(b"\n")


def write_marked(page: Page, sample: Sample, copies: Copies | None) -> None:
    """Write a text, on a terminal with what is copied in reverse."""
    if not page.for_terminal or copies is None:
        page.text(sample.text, sample.raw)
        return
    place = 0
    for begin, end in [*copies.spans, (copies.num_symbols, copies.num_symbols)]:
        page.text(piece_of(sample, copies, place, begin), b"")
        if end > begin:
            page.put(MARK)
            page.text(piece_of(sample, copies, begin, end), b"")
            page.put(UNMARK)
        place = end


def piece_of(sample: Sample, copies: Copies, begin: int, end: int) -> str:
    """Return a part of a text, counted as its copies are: in characters, or in bytes."""
    if copies.num_symbols == len(sample.text):
        return sample.text[begin:end]
    return sample.raw[begin:end].decode("utf-8", "replace")


def checked(
    samples: Iterable[Sample], source: Source | None, console: Console
) -> Iterator[Checked]:
    """Yield samples with what of them stands in a corpus, and say so; None without a corpus."""
    if source is None:
        yield from ((sample, None) for sample in samples)
        return
    longest, copied, total = "", 0.0, 0
    for group in grouped(samples, CHECKED_TOGETHER):
        found = source.search([source.codes(sample.text, sample.raw) for sample in group])
        for sample, copies in zip(group, found, strict=True):
            longest = max(longest, piece_of(sample, copies, *copies.longest), key=len)
            copied += copies.share * copies.num_symbols
            total += copies.num_symbols
            yield sample, copies
    console.line(
        f"copies: the longest span is {len(longest)} characters, {longest!r}; "
        f"{copied / max(1, total):.1%} lies in spans of {LONG} or more"
    )


def grouped(samples: Iterable[Sample], size: int) -> Iterator[list[Sample]]:
    """Yield samples in lists of so many."""
    iterator = iter(samples)
    while group := list(islice(iterator, size)):
        yield group


def write_json(page: Page, samples: Iterable[Checked]) -> None:
    """Write one object a line."""
    for sample, copies in samples:
        fields = {name: value for name, value in asdict(sample).items() if name != "raw"}
        if copies is not None:
            span = piece_of(sample, copies, *copies.longest)
            fields |= {"copied": copies.share, "longest_copy": span}
        page.put(json_line(fields).encode("utf-8") + b"\n")


def json_line(fields: Mapping[str, object]) -> str:
    """Return an object as a line of JSON; what a terminal could obey stands as JSON's own escape."""
    text = json.dumps(fields, ensure_ascii=False, allow_nan=False)
    line = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(f"\\u{ord(c):04x}" if is_control(c) else c for c in line)
