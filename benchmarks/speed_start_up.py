"""Seconds to the first output: --help, and the first character of `sample`.

Measured in turn with a bare `import torch`, each in a separate process.
"""

import compileall
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from common import Row, in_turn, make_parser, ratios, show

import charrnn

ROOT = Path(charrnn.__file__).parent

TEXT = "The quick brown fox jumps over the lazy dog, and over the lazy cat.\n" * 200


def starts_per_second(command: list[str], folder: Path) -> float:
    """Return the starts per second, each until the first byte of output."""
    start = time.perf_counter()
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    ) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        elapsed = time.perf_counter() - start
        process.stdout.close()
    return 1 / elapsed


def rows(rounds):
    """Yield the row of the first character against a bare `import torch`; the others as figures."""
    compileall.compile_dir(ROOT, quiet=1)  # as pip does; torch is compiled
    python = [sys.executable]
    command = [*python, "-m", "charrnn"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "fox.txt").write_text(TEXT)
        train = [*command, "train", "fox.txt", "--steps", "20", "--hidden-size", "512"]
        subprocess.run(
            [*train, "--num-layers", "1", "-q"], cwd=folder, check=True, capture_output=True
        )
        commands = {
            "torch": [*python, "-c", "import torch; print()"],
            "sample": [*command, "sample", "-l", "20", "--seed", "1"],
            "--help": [*command, "--help"],
            "pass": [*python, "-c", "print()"],
        }
        rates = in_turn(
            {n: partial(starts_per_second, each, folder) for n, each in commands.items()},
            rounds,
        )
    seconds = {name: 1 / statistics.median(values) for name, values in rates.items()}
    yield Row(
        "first character of `sample` on the screen", "a process that imports torch", "5.5",
        ratios(rates, "sample", "torch"),
        f"{seconds['sample']:.2f} and {seconds['torch']:.2f} s; --help {seconds['--help']:.2f} s, "
        f"Python alone {seconds['pass']:.2f} s",
    )  # fmt: skip


def main() -> None:
    arguments = make_parser(__doc__).parse_args()
    show("Starting up", rows(arguments.rounds), arguments)


if __name__ == "__main__":
    main()
