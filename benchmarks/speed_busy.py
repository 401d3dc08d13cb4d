"""Training with a time budget beside busy processes: default threads against one and two.

The three take turns, each a separate `charrnn train` of the same duration; its rate is the number
of steps that it made. A busy process keeps one core occupied, as far as it gets it.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from common import Row, in_turn, make_parser, show

B, T = 16, 32
CHARS = 400_000
THREADS = {"default": (), "1": ("--threads", "1"), "2": ("--threads", "2")}
"""Options by name of the subject."""


@contextmanager
def busy(count):
    """Keep so many processes busy."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def characters_per_second(options, count, seconds, folder):
    """Return the training characters per second of a run beside so many busy processes."""
    command = [
        sys.executable, "-m", "charrnn", "train", "text.txt", "--max-time", f"{seconds}s",
        "--hidden-size", "384", "--num-layers", "1", "--batch-size", str(B), "--seq-len", str(T),
        "--memory", "off", "--val-frac", "0", "--sample-every", "0", "--device", "cpu", "--json",
        "-q", *options,
    ]  # fmt: skip
    environment = {n: v for n, v in os.environ.items() if not n.endswith("NUM_THREADS")}
    with busy(count):
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=True
        )
    return json.loads(done.stdout)["step"] * B * T / seconds


def rows(rounds, seconds):
    """Yield a row for one busy process and for two."""
    if (os.cpu_count() or 1) != 2:
        yield Row("training beside busy processes", "", "0.9", (), "this machine has not two cores")
        return
    with tempfile.TemporaryDirectory() as folder:
        letters = np.random.default_rng(0).integers(97, 123, CHARS).astype(np.uint8)
        (Path(folder) / "text.txt").write_bytes(letters.tobytes())
        for count in (1, 2):
            rates = in_turn(
                {
                    name: partial(characters_per_second, options, count, seconds, folder)
                    for name, options in THREADS.items()
                },
                rounds,
            )
            medians = {name: statistics.median(each) for name, each in rates.items()}
            better = max("12", key=lambda name: medians[name])
            yield Row(
                f"training for {seconds} s beside {count} busy process{'es' * (count > 1)}, 1×384",
                "the better of one and two threads", "0.9",
                tuple(ours / medians[better] for ours in rates["default"]),
                f"{medians['default']:,.0f}, one thread {medians['1']:,.0f}, two "
                f"{medians['2']:,.0f} characters/s",
            )  # fmt: skip


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--seconds", type=int, default=8, help="duration of each run")
    arguments = parser.parse_args()
    show("Training beside busy processes", rows(arguments.rounds, arguments.seconds), arguments)


if __name__ == "__main__":
    main()
