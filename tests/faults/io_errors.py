"""I/O errors: the Nth system call fails, once or from then on, for every N until all calls pass.

The disk works again after each failure: reported saves must be there, and later saves must succeed.
With --full a second error occurs during the recovery.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import expect, run_script, work_folder
from history import Template, make_template, recover, saves

import charrnn.core.files
from charrnn.checkpoints.names import create_run, open_run
from charrnn.checkpoints.run_folder import Run
from charrnn.core.errors import CharRNNError
from charrnn.core.events import Saved

ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EACCES)
CALLS = ("open", "read", "write", "fsync", "replace", "unlink", "close")


@dataclass
class Failing:
    """Replaces `os`: call number `at` fails, and with `is_lasting` all calls after it."""

    at: int
    code: int
    is_lasting: bool
    count: int = 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in CALLS:
            return real

        def call(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            fails = self.count == self.at or (self.is_lasting and self.count > self.at)
            if fails and name != "close":  # a descriptor is closed even if closing fails
                raise OSError(self.code, os.strerror(self.code))
            return real(*arguments, **options)

        return call


@contextmanager
def failing(at: int, code: int, *, is_lasting: bool) -> Iterator[Failing]:
    """Replace `os` in the writer by one that fails."""
    fake = Failing(at, code, is_lasting)
    before = charrnn.core.files.os
    charrnn.core.files.os = fake  # type: ignore[assignment]
    try:
        yield fake
    finally:
        charrnn.core.files.os = before


def fresh(template: Template) -> Run:
    """Return a run with one save."""
    shutil.rmtree("checkpoints", ignore_errors=True)
    run = create_run(Path("checkpoints"), "run", [])
    assert all(isinstance(event, Saved) for event in saves(run, template, range(1, 2)))
    return run


def one(template: Template, at: int, code: int, *, is_lasting: bool, then: int = 0) -> bool:
    """Let one call fail in a history of saves; return whether the history reached it."""
    run, promised = fresh(template), [1, 1]
    where = f"call {at}, {errno.errorcode[code]}, {'lasting' if is_lasting else 'once'}"
    with failing(at, code, is_lasting=is_lasting) as fake:
        for event in saves(run, template, range(2, 5)):
            if isinstance(event, Saved):
                promised[event.is_best] = event.step
    run.close()
    if then:
        recover_badly(run.folder, then, code)
    step, best = recover(run.folder)
    expect(step >= promised[0], f"{where}: step {step}, saved {promised[0]}")
    expect(best >= promised[1], f"{where}: best {best}, saved {promised[1]}")
    left = [path.name for path in run.folder.glob(".*.tmp")]
    expect(not left, f"{where}: left {left}")
    again = open_run(run.folder)
    expect(
        all(isinstance(event, Saved) for event in saves(again, template, range(5, 6))),
        f"{where}: could not save when the disk was well again",
    )
    again.close()
    return fake.count >= at


def recover_badly(folder: Path, at: int, code: int) -> None:
    """Let a call fail during recovery, which may only raise a clean error."""
    with failing(at, code, is_lasting=False):
        try:
            recover(folder)
        except (CharRNNError, OSError):
            pass


def check(count: int, seed: int) -> tuple[int, str]:
    """Try every call; `count` is the number of calls of a recovery that fail too."""
    tried = 0
    with work_folder():
        template = make_template()
        for code in ERRORS:
            for is_lasting in (False, True):
                for then in range(count):
                    at = 1
                    while one(template, at, code, is_lasting=is_lasting, then=then):
                        at, tried = at + 1, tried + 1
    modes = "once and lasting" + (f", {count - 1} calls of the recovery too" if count > 1 else "")
    return tried, f"all calls × {len(ERRORS)} errors, {modes}: what was saved is there"


if __name__ == "__main__":
    run_script("I/O error at the Nth call of the writer", 1, 6, check)
