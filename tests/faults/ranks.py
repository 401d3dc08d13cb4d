"""Kill one of two ranks at a random moment, then --resume.

No job hangs, every run can be resumed, and its end equals that of an undisturbed run: the same state
digest with two processes. With one, the first validation gives the same loss; later, the rounding
of another order of sums has grown.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from harness import TEXT, digest, expect, rng_of, run_script, work_folder

MOST_SECONDS = 60
"""Most seconds from the death of a rank to the end of the job."""

NUM_RANKS, MOST_KILLS = 2, 4
TOLERANCE = 1e-4
"""Of losses: gradients of two processes round differently, and one that is almost 0 decides by its
sign whether an element of an update counts. Seen after 300 steps: 1.5e-5."""

SETTINGS = (
    "--steps", "300", "--hidden-size", "48", "--num-layers", "2", "--batch-size", "4",
    "--seq-len", "16", "--dropout", "0.2", "--weight-drop", "0.2", "--save-every", "20",
    "--eval-every", "50", "--threads", "1", "--device", "cpu", "--precision", "fp32", "-q",
)  # fmt: skip


def start(name: str, num_ranks: int) -> subprocess.Popen[bytes]:
    """Start a job that starts or resumes a run."""
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone")
    command = ("-m", "--", "charrnn", "train", "text.txt", "--run", name, "--resume")
    processes = ("--nproc-per-node", str(num_ranks))
    null = subprocess.DEVNULL
    return subprocess.Popen([*launcher, *processes, *command, *SETTINGS], stdout=null, stderr=null)


def ranks_of(job: subprocess.Popen[bytes]) -> list[int]:
    """Return the process ids of a job's ranks."""
    children = Path(f"/proc/{job.pid}/task/{job.pid}/children")
    return [int(word) for word in children.read_text().split()] if children.exists() else []


def disturb(name: str, kills_left: int, seconds: float, rng_seed: int) -> list[float]:
    """Kill ranks of a run until it ends; return the seconds of the job after each death."""
    rng, took = rng_of(rng_seed, name), []
    while True:
        job = start(name, NUM_RANKS)
        if len(took) < min(MOST_KILLS, kills_left):
            time.sleep(rng.uniform(0, seconds))
            if ranks := ranks_of(job):
                os.kill(rng.choice(ranks), signal.SIGKILL)
                begin = time.monotonic()
                expect(job_ends(job), f"{name}: the job hung for {MOST_SECONDS} s after a death")
                took.append(time.monotonic() - begin)
                continue
        expect(job.wait() == 0, f"{name}: could not be resumed")
        return took


def job_ends(job: subprocess.Popen[bytes]) -> bool:
    """Wait for the end of a job; kill it if that takes too long."""
    try:
        job.wait(timeout=MOST_SECONDS)
    except subprocess.TimeoutExpired:
        job.kill()
        return False
    return True


def events_of(name: str, kind: str) -> list[dict[str, Any]]:
    """Return the events of a kind in the log of a run."""
    lines = Path("checkpoints", name, "metrics.jsonl").read_text("utf-8").splitlines()
    return [each for each in map(json.loads, lines) if each["event"] == kind]


def check(count: int, seed: int) -> tuple[int, str]:
    """Kill so many ranks, over as many runs as necessary."""
    with work_folder(in_memory=False) as folder:
        Path("text.txt").write_text(TEXT, encoding="utf-8")
        begin = time.monotonic()
        expect(start("whole", NUM_RANKS).wait() == 0, "the job never disturbed did not end")
        seconds = time.monotonic() - begin
        expect(start("alone", 1).wait() == 0, "one process did not end")
        losses = [events_of(name, "evaluated")[0]["loss"] for name in ("whole", "alone")]
        difference = abs(losses[0] - losses[1])
        expect(difference < TOLERANCE, f"losses of two and one: {losses}")
        expected, deaths, runs = digest(folder / "checkpoints/whole"), [], 0
        while len(deaths) < count:
            name = f"run{runs}"
            deaths += disturb(name, count - len(deaths), seconds, seed)
            found = digest(folder / "checkpoints" / name)
            expect(found == expected, f"{name}: ended as {found[:12]}, not {expected[:12]}")
            expect(
                events_of(name, "ended")[-1]["code"] == 0,
                f"{name}: its log does not say that it ended",
            )
            runs += 1
    return len(deaths), (
        f"{runs} runs ended bit-identical; at most {max(deaths):.0f} s from a death to the job's "
        f"end; two processes and one differ by {difference:.0e} nats"
    )


if __name__ == "__main__":
    run_script("one of two ranks killed at a random moment, then --resume", 2, 20, check)
