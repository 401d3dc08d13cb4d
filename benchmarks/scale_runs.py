"""Two runs on two cores: one after the other, or side by side with one or two threads each.

    python benchmarks/scale_runs.py TEXT [--rounds 3] [--steps 200]

Shows which `--threads` is best when several runs share a machine without GPUs.
"""

import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from common import begin, in_turn, rounds_parser, spread

NETWORKS = ((256, 1), (512, 1))


def command(text: Path, hidden: int, layers: int, threads: int, steps: int) -> list[str]:
    """Return the command line of one run."""
    return [
        sys.executable, "-m", "charrnn", "train", str(text), "--hidden-size", str(hidden),
        "--num-layers", str(layers), "--steps", str(steps), "--threads", str(threads), "--memory",
        "off", "--val-frac", "0", "--sample-every", "0", "--device", "cpu", "-q",
    ]  # fmt: skip


def rate(line: list[str], *, at_once: bool) -> float:
    """Return the rate of two runs, in runs per minute."""
    start, null = time.perf_counter(), subprocess.DEVNULL
    children = []
    for _ in range(2):
        children.append(subprocess.Popen(line, stdout=null))
        if not at_once:
            children[-1].wait()
    if any(child.wait() for child in children):
        sys.exit("a run failed")
    return 120 / (time.perf_counter() - start)


def main() -> None:
    """Measure, and print a table."""
    parser = rounds_parser(__doc__, 3)
    parser.add_argument("text", type=Path)
    parser.add_argument("--steps", type=int, default=200)
    given = parser.parse_args()
    text = given.text.resolve()
    begin("Two runs on two cores")
    print(
        "| network | one after the other, 2 threads | side by side, 1 thread each | 2 threads each |"
    )
    print("|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for hidden, layers in NETWORKS:
            lines = {n: command(text, hidden, layers, n, given.steps) for n in (1, 2)}
            rates = in_turn(
                {
                    "after": partial(rate, lines[2], at_once=False),
                    "beside 1": partial(rate, lines[1], at_once=True),
                    "beside 2": partial(rate, lines[2], at_once=True),
                },
                given.rounds,
            )
            cells = " | ".join(spread(each, " runs a minute", 2) for each in rates.values())
            print(f"| {layers}×{hidden}, {given.steps} steps | {cells} |", flush=True)


if __name__ == "__main__":
    main()
