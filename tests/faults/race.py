"""Trainers that race for a run, and readers during saves: one winner, no error of a reader."""

import os
import time
from pathlib import Path

from harness import Violation, expect, forked, run_script, wait, work_folder
from history import Template, make_template, saves

from charrnn.checkpoints.model import load_model
from charrnn.checkpoints.names import create_run, open_run
from charrnn.core.errors import BusyError
from charrnn.core.events import Saved
from charrnn.launch.resume import newest_snapshot

RACERS, READERS = 8, 4
WON, LOST, DONE = 10, 75, 20


def race(folder: Path, start: float) -> int:
    """Try to lock a run at a common moment."""
    signs = folder.with_suffix(".signs")
    while time.monotonic() < start:
        pass
    try:
        run = open_run(folder)
    except BusyError:
        (signs / f"{os.getpid()}").touch()
        return LOST
    (signs / f"{os.getpid()}").touch()
    while len(list(signs.iterdir())) < RACERS:  # hold the lock until all have tried
        time.sleep(0.001)
    run.close()
    return WON


def check_race(number: int) -> None:
    """Let eight processes open one run at the same moment."""
    folder, start = Path("checkpoints", f"race{number}"), time.monotonic() + 0.05
    folder.with_suffix(".signs").mkdir(parents=True)
    children = [forked(lambda: race(folder, start)) for _ in range(RACERS)]
    codes = sorted(map(wait, children))
    expect(codes == [WON] + [LOST] * (RACERS - 1), f"race {number}: {codes}")


def read_for_ever(folder: Path) -> int:
    """Load the model repeatedly until the run ends; its step must never decrease."""
    newest = 0
    while not (folder / "over").exists():
        step = load_model(folder / "best.safetensors").metadata.progress.step
        if step < newest:
            return 1
        newest = step
    return DONE


def check_readers(template: Template, num_saves: int) -> None:
    """Save so often, while readers load the model."""
    run = create_run(Path("checkpoints"), "read", [])
    for event in saves(run, template, range(1, 2)):
        expect(isinstance(event, Saved), "not saved")
    readers = [forked(lambda: read_for_ever(run.folder)) for _ in range(READERS)]
    for event in saves(run, template, range(2, num_saves + 2)):
        expect(isinstance(event, Saved), f"not saved: {event}")
    (run.folder / "over").touch()
    codes = [wait(reader) for reader in readers]
    expect(codes == [DONE] * READERS, f"readers: {codes}")
    snapshot, problems = newest_snapshot(run)
    expect(not problems and snapshot.state.progress.step == num_saves + 1, "the last save is lost")
    run.close()


def check(count: int, seed: int) -> tuple[int, str]:
    """Race once for every ten saves."""
    with work_folder():
        template = make_template()
        for number in range(count // 10):
            check_race(number)
        check_readers(template, count)
    os.sync()
    return count, f"saves under {READERS} readers, {count // 10} races of {RACERS}: one winner each"


__all__ = ["Violation"]

if __name__ == "__main__":
    run_script("two trainers race; readers during saves", 100, 1_000, check)
