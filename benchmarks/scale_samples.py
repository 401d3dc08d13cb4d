"""100,000 samples by `charrnn sample`: speed beside that of its batches alone, RAM, interruptions.

    python benchmarks/scale_samples.py TEXT [--count 100000] [--length 200] [--kills 10]

A 2×256 network without n-gram memory is trained on TEXT for 30 steps. First the command, and the
same batches in a separate process, write 3,000 texts in turn. Then one command writes all texts
while its RAM is measured, and another is killed at random moments and continued: both files must be
equal.
"""

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command does, before NumPy is loaded

from common import begin, in_turn, spread

from charrnn.checkpoints.model import load_model
from charrnn.core.config import SampleConfig
from charrnn.sampling.jobs import Jobs, batched
from charrnn.sampling.sampler import Sampler

FEW, ROUNDS, SEED = 3000, 3, 7
WATCHED_SECONDS = 0.5


def charrnn(*arguments: object) -> list[str]:
    """Return the command line of a new process."""
    return [sys.executable, "-m", "charrnn", *map(str, arguments)]


def train(text: Path) -> Path:
    """Return a 2×256 model without n-gram memory."""
    command = charrnn(
        "train", text, "--hidden-size", 256, "--num-layers", 2, "--memory", "off", "--steps", 30,
        "-q", "--run", "thousands",
    )  # fmt: skip
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Path(done.stdout.strip()).resolve()


def sample(model: Path, count: int, length: int, output: str) -> list[str]:
    """Return the measured command; the same command continues its file."""
    return charrnn(
        "sample", model, "-n", count, "-l", length, "--seed", SEED, "--json", "-o", output,
        "--resume", "-q",
    )  # fmt: skip


def command_rate(model: Path, length: int) -> float:
    """Return the characters per second of a whole process that writes some texts."""
    Path("few.jsonl").unlink(missing_ok=True)
    start = time.perf_counter()
    subprocess.run(sample(model, FEW, length, "few.jsonl"), check=True)
    return FEW * length / (time.perf_counter() - start)


def batch_rate(sampler: Sampler, length: int) -> float:
    """Return the characters per second of the batches alone."""
    config = SampleConfig(length=length)
    jobs = Jobs([""], [config], FEW, SEED)
    start = time.perf_counter()
    for groups in batched(jobs, sampler.batch_size):
        for group in groups:
            sampler.batch(group, config)
    return FEW * length / (time.perf_counter() - start)


def anonymous_memory(process: int) -> float:
    """Return the anonymous memory of a process, in MiB."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return 0.0


def num_lines(path: Path) -> int:
    """Return the number of texts in a file."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def undisturbed(model: Path, count: int, length: int) -> tuple[float, float, float, float]:
    """Write all texts; return seconds, and MiB after 1,000 texts, at the end and at the peak."""
    start, whole = time.perf_counter(), Path("whole.jsonl")
    child = subprocess.Popen(sample(model, count, length, whole.name))
    while num_lines(whole) < min(1000, count // 2):
        time.sleep(WATCHED_SECONDS)
    first, seen = anonymous_memory(child.pid), []
    while child.poll() is None:
        seen.append(anonymous_memory(child.pid) or first)
        time.sleep(WATCHED_SECONDS)
    if child.returncode:
        sys.exit(f"exit code {child.returncode}")
    return time.perf_counter() - start, first, statistics.median(seen[-20:-1] or [first]), max(seen)


def interrupted(model: Path, count: int, length: int, kills: int, seconds: float) -> int:
    """Write all texts with a command that is killed so often; return the number of torn files."""
    rng, torn, command = random.Random(SEED), 0, sample(model, count, length, "cut.jsonl")
    for _ in range(kills):
        child = subprocess.Popen(command)
        time.sleep(rng.uniform(0, 2 * seconds / (kills + 1)))
        child.send_signal(rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
        child.wait()
        data = Path("cut.jsonl").read_bytes()[-1:] if Path("cut.jsonl").exists() else b"\n"
        torn += data not in (b"\n", b"")
    subprocess.run(command, check=True)
    return torn


def main() -> None:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--length", type=int, default=200)
    parser.add_argument("--kills", type=int, default=10)
    given = parser.parse_args()
    begin("Samples by the thousand")
    text = given.text.resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        model = train(text)
        sampler = Sampler(load_model(model))
        subjects = {
            "command": partial(command_rate, model, given.length),
            "batches": partial(batch_rate, sampler, given.length),
        }
        rates = in_turn(subjects, ROUNDS)
        shares = [a / b for a, b in zip(rates["command"], rates["batches"], strict=True)]
        print(f"{sampler.engine}; {FEW:,} texts of {given.length} characters, in turn:")
        for name, each in rates.items():
            print(f"  {name:<8} {spread(each, ' characters/s', 0)}")
        print(f"  share    {spread(shares, '', 2)}\n", flush=True)
        seconds, first, last, most = undisturbed(model, given.count, given.length)
        rate = given.count * given.length / seconds
        print(
            f"{given.count:,} texts: {seconds:.0f} s, {rate:,.0f} characters/s, start-up included"
        )
        print(
            f"anonymous memory: {first:.1f} MiB after the first thousand, {last:.1f} at the end, "
            f"at most {most:.1f}",
            flush=True,
        )
        torn = interrupted(model, given.count, given.length, given.kills, seconds)
        is_equal = Path("cut.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()
        print(
            f"interrupted {given.kills} times (SIGKILL, SIGTERM, SIGINT at random moments), the file "
            f"torn {torn} times, continued: {'equal' if is_equal else 'NOT EQUAL'}"
        )


if __name__ == "__main__":
    main()
