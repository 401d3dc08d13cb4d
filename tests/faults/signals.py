"""A signal at a random moment, from start-up to end: the run saves and exits soon, with its code.

Half of the signals go to a process from its start, the others to one that has imported torch. The
run is then resumed to its end, which must equal that of a run never stopped.
"""

import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from random import Random

from harness import (
    TEXT,
    charrnn,
    digest,
    expect,
    forked,
    quietly,
    rng_of,
    run_script,
    wait,
    work_folder,
)  # fmt: skip

from charrnn.__main__ import leave
from charrnn.core.signals import NAMES, exit_code_of

COMMAND = (
    "train", "text.txt", "--resume", "--steps", "150", "--hidden-size", "24", "--batch-size", "4",
    "--seq-len", "16", "--dropout", "0.2", "--save-every", "20", "--eval-every", "10",
    "--sample-every", "50", "--threads", "1", "--device", "cpu", "-q",
)  # fmt: skip


def train(name: str) -> int:
    """Train as a separate process does, with its signal handlers."""
    for each in NAMES:
        signal.signal(getattr(signal, each), leave)
    return charrnn(*COMMAND, "--run", name)


def start(name: str, *, is_fresh: bool) -> int:
    """Start a trainer; return its process id."""
    if not is_fresh:
        return forked(lambda: leaving(name))
    command = [sys.executable, "-m", "charrnn", *COMMAND, "--run", name]
    null = subprocess.DEVNULL
    return subprocess.Popen(command, stdout=null, stderr=null).pid


def leaving(name: str) -> int:
    """Return the exit code of a trainer, also from SystemExit."""
    try:
        return train(name)
    except SystemExit as error:
        return int(error.code or 0)


def stop_and_resume(name: str, rng: Random, seconds: dict[bool, float]) -> float:
    """Send one signal, then resume to the end; return the seconds from signal to exit."""
    is_fresh = rng.random() < 0.5
    number = getattr(signal, rng.choice(NAMES))
    child = start(name, is_fresh=is_fresh)
    # Python needs some hundredths of a second before a handler can be set.
    time.sleep(0.08 * is_fresh + rng.uniform(0, seconds[is_fresh]))
    begin = time.monotonic()
    os.kill(child, number)
    code, took = wait(child), time.monotonic() - begin
    expected = {0, exit_code_of(number)}
    if is_fresh and took < 1:
        expected.add(-number)  # before the first line of charrnn is executed
    expect(code in expected, f"{name}: {signal.Signals(number).name}: exit code {code}")
    left = list(Path("checkpoints", name).glob(".*.tmp"))
    expect(not left, f"{name}: left {left}")
    expect(wait(forked(lambda: leaving(name))) == 0, f"{name}: could not be resumed")
    return took


def check(count: int, seed: int) -> tuple[int, str]:
    """Send so many signals, each to a run of its own."""
    with work_folder() as folder:
        Path("text.txt").write_text(TEXT, encoding="utf-8")
        expect(quietly(lambda: charrnn(*COMMAND, "--run", "whole")) == 0, "did not end")
        expected, seconds = digest(folder / "checkpoints/whole"), {}
        for is_fresh in (False, True):
            begin = time.monotonic()
            expect(wait(start(f"timed{is_fresh}", is_fresh=is_fresh)) == 0, "did not end")
            seconds[is_fresh] = time.monotonic() - begin
        took = []
        for i in range(count):
            name = f"run{i}"
            took.append(stop_and_resume(name, rng_of(seed, i), seconds))
            found = digest(folder / "checkpoints" / name)
            expect(found == expected, f"{name}: ended as {found[:12]}, not {expected[:12]}")
    p99 = sorted(took)[min(count - 1, int(count * 0.99))]
    expect(p99 < 5, f"p99 from signal to exit: {p99:.1f} s")
    middle = statistics.median(took)
    return count, f"median {middle:.2f} s, p99 {p99:.2f} s from signal to exit, all ends equal"


if __name__ == "__main__":
    run_script("signal at a random moment, then --resume", 12, 200, check)
