"""SIGKILL at random moments, saves included; the resumed run ends like a run never killed."""

import os
import signal
import time
from pathlib import Path

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

SETTINGS = (
    "--steps", 40, "--hidden-size", 24, "--batch-size", 4, "--seq-len", 16, "--dropout", 0.2,
    "--save-every", 4, "--eval-every", 3, "--sample-every", 10, "--threads", 1, "--device", "cpu",
    "-q",
)  # fmt: skip


def train(name: str) -> int:
    """Train or resume a run to its end."""
    return charrnn("train", "text.txt", "--run", name, "--resume", *SETTINGS)


def kill_until_done(name: str, seed: int, seconds: float, most: int) -> tuple[int, int]:
    """Kill and resume a run until it ends; return all kills, and the kills during a save."""
    rng, kills, inside = rng_of(seed, name), 0, 0
    while True:
        child = forked(lambda: train(name))
        if kills < most:
            time.sleep(rng.uniform(0, seconds))
            os.kill(child, signal.SIGKILL)
        code = wait(child)
        if code != -signal.SIGKILL:
            expect(code == 0, f"run {name}: could not be resumed, exit code {code}")
            return kills, inside
        kills += 1
        inside += any(Path("checkpoints", name).glob(".*.tmp"))


def check(count: int, seed: int) -> tuple[int, str]:
    """Kill so often, over as many runs as necessary."""
    with work_folder(in_memory=False) as folder:
        Path("text.txt").write_text(TEXT, encoding="utf-8")
        # In this process: children inherit its imports. One thread: a fork loses all others.
        expect(quietly(lambda: train("whole")) == 0, "the run never killed did not end")
        begin = time.monotonic()
        expect(wait(forked(lambda: train("again"))) == 0, "a child did not end")
        seconds = time.monotonic() - begin
        expected = digest(folder / "checkpoints/whole")
        kills = runs = inside = 0
        while kills < count:
            name = f"run{runs}"
            more, among = kill_until_done(name, seed, seconds, count - kills)
            found = digest(folder / "checkpoints" / name)
            expect(found == expected, f"{name}: ended as {found[:12]}, not {expected[:12]}")
            kills, inside, runs = kills + more, inside + among, runs + 1
    return kills, f"{runs} runs, {inside} kills inside a save: no mismatch, no unreadable run"


if __name__ == "__main__":
    run_script("SIGKILL at random moments, then --resume", 50, 1_000, check)
