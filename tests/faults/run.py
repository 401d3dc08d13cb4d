"""Run all fault scripts, and print their table: `make faults`, or `make faults-full`."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import print_head

BESIDE = (
    "malformed", "arguments", "kills", "interrupts", "crash_states", "io_errors", "full_disk",
    "damage", "any_bytes", "terminal", "hostile_requests",
)  # fmt: skip
"""Scripts that do not depend on wall time: one per core at a time."""

ALONE = ("race", "signals", "ranks", "sweep")


def main() -> None:
    """Run all scripts; exit with 1 after any violation."""
    print_head()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        broken = [name for name, code in zip(BESIDE, pool.map(run, BESIDE), strict=True) if code]
    broken += [name for name in ALONE if run(name)]
    if broken:
        sys.exit(f"broken: {', '.join(broken)}")


def run(name: str) -> int:
    """Run one script with the options of this one, and print its output; return its exit code."""
    command = [sys.executable, str(Path(__file__).parent / f"{name}.py"), *sys.argv[1:]]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    sys.stdout.flush()
    sys.stdout.buffer.write(done.stdout)
    sys.stdout.buffer.flush()
    return done.returncode


if __name__ == "__main__":
    main()
