"""Resume an output file of JSON lines."""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

from charrnn.checkpoints.format import are_counts
from charrnn.core.config import STEERED
from charrnn.core.console import count_text
from charrnn.core.errors import BusyError, InputError, printable, reason_of
from charrnn.core.files import try_lock
from charrnn.sampling.jobs import Jobs

BEGINNING = b'{"index": '
"""First bytes of each line in a file of samples."""

LATER = (
    "length", "top_k", "top_p", "min_p", "memory_weight", "memory_from", "with", "stop", "device",
)  # fmt: skip
"""Keys that earlier versions did not write: they are compared only where a line has them."""

PIECE = 1 << 16
"""Bytes that are read together, backwards from the end."""


class ResumedFile:
    """Content of an output file; an incomplete line at its end does not count.

    Args:
        path: Path of the file, for messages.
        file: The file, open for reading and writing, and locked.

    Raises:
        InputError: The content is something other than samples.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self._file = path, file
        self._check_beginning()
        self.size = self._end_of_last_line()
        self.first, self.last = self._line(0), self._last_line()

    @property
    def seed(self) -> int | None:
        """Seed of the request that wrote the file; None if text 0 is not in it."""
        return self.first["seed"] if self.first and self.first["index"] == 0 else None

    @property
    def next_index(self) -> int:
        """Index of the text to continue with."""
        return self.last["index"] + 1 if self.last else 0

    def samples(self) -> Iterator[dict[str, Any]]:
        """Yield all samples."""
        begin = 0
        while (sample := self._line(begin)) is not None:
            begin = self._file.tell()
            yield sample

    def check(
        self, jobs: Jobs, num_rounds: int = 1, precision: str = "fp32",
        made_by: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        """Compare the last line with the job of its index.

        Args:
            jobs: The jobs of this command.
            num_rounds: How often each of them may be tried.
            precision: Number format of the weights of this command.
            made_by: What makes all texts of this command, besides the jobs, as in JSON.

        Raises:
            InputError: The line is of another job.
        """
        if self.last is None:
            return
        index, what = self.last["index"], ""
        if index >= len(jobs) * num_rounds:
            count = count_text(len(jobs), "text")
            what = f"it has text {index}, but this command writes {count}, numbered from 0"
        else:
            job, found = jobs[index], {"precision": "fp32", "best_of": 1} | self.last
            expected = {"seed": job.seed, "prompt": job.prompt}
            settings = {**job.config.recorded(), **made_by}
            names = (*STEERED, *(name for name in LATER if name in self.last))
            expected |= {name: settings.get(name) for name in names}
            expected |= {"temperature": job.config.temperature, "precision": precision}
            expected |= {"best_of": job.config.best_of}
            what = ", ".join(
                f"{name} of text {index} was {printable(repr(found.get(name)))}, is {value!r}"
                for name, value in expected.items()
                if found.get(name) != value
            )
        if what:
            raise self.mismatch(what)

    def check_keys(self, key: str, option: str, is_given: bool) -> None:
        """Compare the keys of the last line with those that an option adds.

        Raises:
            InputError: The file was written without the option, or with it.
        """
        if self.last and (key in self.last) != is_given:
            raise self.mismatch(f"it is {'without' if is_given else 'with'} {option}")

    def mismatch(self, what: str) -> InputError:
        """Return the error that the file is of another request."""
        return InputError(
            f"--resume: {printable(self.path)}: another command wrote this file: {what}; "
            "use another file"
        )

    def truncate(self) -> None:
        """Remove an incomplete line at the end, and seek to the end."""
        self._file.truncate(self.size)
        self._file.seek(self.size)

    def _check_beginning(self) -> None:
        """Refuse a file that does not begin as a sample does, even if it has fewer bytes."""
        self._file.seek(0)
        first = self._file.read(len(BEGINNING))
        if not BEGINNING.startswith(first):
            raise self._foreign()

    def _foreign(self) -> InputError:
        return InputError(
            f"--resume: {printable(self.path)}: not a file of samples written with --json; "
            "use another file"
        )

    def _end_of_last_line(self, before: int | None = None) -> int:
        """Return the offset after the last newline before an offset; 0 if there is none."""
        end = self._file.seek(0, os.SEEK_END) if before is None else before
        while end > 0:
            begin = max(0, end - PIECE)
            self._file.seek(begin)
            index = self._file.read(end - begin).rfind(b"\n")
            if index >= 0:
                return begin + index + 1
            end = begin
        return 0

    def _last_line(self) -> dict[str, Any] | None:
        return self._line(self._end_of_last_line(self.size - 1)) if self.size else None

    def _line(self, begin: int) -> dict[str, Any] | None:
        """Return the sample in the line at an offset; None at the end of the file."""
        if begin >= self.size:
            return None
        self._file.seek(begin)
        try:
            found = json.loads(self._file.readline())
        except (ValueError, RecursionError):
            found = None
        is_sample = isinstance(found, dict) and isinstance(found.get("text"), str)
        if not is_sample or not are_counts([found.get("index"), found.get("seed")]):
            raise self._foreign()
        sample: dict[str, Any] = found
        return sample


@contextmanager
def open_resumed(path: Path) -> Iterator[tuple[ResumedFile, BinaryIO]]:
    """Open or create an output file to continue it; hold its lock.

    Raises:
        BusyError: Another process writes to the file.
        InputError: The file cannot be opened, or its content is something other than samples.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        file = os.fdopen(descriptor, "r+b")
    except OSError as error:
        raise InputError(f"-o: {printable(path)}: {reason_of(error)}") from None
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise InputError(f"--resume: {printable(path)}: not a regular file; leave out --resume")
        if not try_lock(file.fileno()):
            raise BusyError(
                f"{printable(path)}: another process writes to it; wait for it or stop it"
            )
        yield ResumedFile(path, file), file


def resumed_file(
    path: Path | None,
) -> AbstractContextManager[tuple[ResumedFile | None, BinaryIO | None]]:
    """Open the output file to continue; without a path return a pair of None."""
    return open_resumed(path) if path else nullcontext((None, None))
