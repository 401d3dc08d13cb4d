"""Shared by all fault scripts: counts, seeds, a row of results, forked child processes.

Each script breaks something many times and checks that nothing is lost. It prints one row of a
table, and exits with 1 after the first violation, with the seed of it.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from common import machine

TEXT = (
    "Who's there?\nNay, answer me: stand, and unfold yourself.\n"
    "Zoë’s naïve café: “ça va?” — 3 × 7 = 21 €\n"
    "Long live the king!\nHe. You come most carefully upon your hour.\n"
) * 10


class Violation(Exception):
    """A guarantee was broken; the message says which, and how to repeat the failure."""


def expect(is_so: bool, what: str) -> None:
    """Raise a Violation unless a condition holds."""
    if not is_so:
        raise Violation(what)


def run_script(
    what: str, few: int, many: int, check: Callable[[int, int], tuple[int, str]]
) -> None:
    """Run the check of a script with the count on the command line, and print its row.

    Args:
        what: The fault.
        few: Count for CI.
        many: Full count.
        check: (count, seed) -> (number of tries, summary); raises Violation.
    """
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--full", action="store_true", help=f"{many:,} instead of {few:,}")
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    count = arguments.count or (many if arguments.full else few)
    begin = time.monotonic()
    try:
        tried, result = check(count, arguments.seed)
    except Violation as violation:
        print(f"VIOLATION (seed {arguments.seed}): {violation}", flush=True)
        sys.exit(1)
    seconds = time.monotonic() - begin
    command = f"tests/faults/{Path(sys.argv[0]).name}"
    print(
        f"| {what} | {tried:,} | {result} | seed {arguments.seed}, {seconds:.0f} s | `{command}` |",
        flush=True,
    )


def print_head() -> None:
    """Print the machine, the date and the head of the table."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    print(f"{machine()}; commit {commit or 'unknown'}\n")
    print("| what | tried | came of it | | command |\n|---|---|---|---|---|", flush=True)


@contextmanager
def work_folder(*, in_memory: bool = True) -> Iterator[Path]:
    """Yield a new folder, the working directory meanwhile; in RAM if the system has /dev/shm."""
    memory = Path("/dev/shm")
    before = Path.cwd()
    where = memory if in_memory and memory.is_dir() else None
    with tempfile.TemporaryDirectory(dir=where) as name:
        os.chdir(name)
        os.environ["CHARRNN_CACHE"] = str(Path(name) / "cache")
        try:
            yield Path(name)
        finally:
            os.chdir(before)


def forked(action: Callable[[], int | None]) -> int:
    """Fork a child process that exits with the result of an action; return its process id."""
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        code = action() or 0
    except BaseException:
        code = 98
    os._exit(code)


def wait(child: int) -> int:
    """Return the exit code of a child, negative if a signal ended it."""
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def charrnn(*arguments: object) -> int:
    """Run a command line in this process."""
    from charrnn.__main__ import run_cli

    return run_cli([str(argument) for argument in arguments])


def quietly(action: Callable[[], int]) -> int:
    """Return the result of an action; its stdout is discarded."""
    kept = os.dup(1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    try:
        return action()
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(null)


def digest(folder: Path) -> str:
    """Return the state digest of a run's newest full checkpoint."""
    from charrnn.checkpoints.format import unpack
    from charrnn.checkpoints.run_folder import step_files
    from charrnn.checkpoints.state import state_digest

    return state_digest(*unpack(step_files(folder)[-1].read_bytes()))


BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def obeyed(text: str, *, layout: str = "") -> list[str]:
    """Return the characters of a text that a terminal could obey, by the classes of Unicode."""
    return [
        c
        for c in text
        if c not in layout
        and (
            unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")
            or unicodedata.bidirectional(c) in BIDI
        )
    ]


def rng_of(seed: int, *names: object) -> random.Random:
    """Return a generator for one try, so that a failure can be repeated alone."""
    return random.Random("/".join(map(str, (seed, *names))))
