"""How soon something is on the screen: --help, and the first character of `sample`.

Beside them a bare `import torch`, in turn with them, in processes of their own.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import begin, spread

TEXT = "The quick brown fox jumps over the lazy dog, and over the lazy cat.\n" * 200


def seconds_to_first_byte(command: list[str], folder: Path) -> float:
    """Return how long a process takes to write its first byte, or to end."""
    start = time.perf_counter()
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    ) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        elapsed = time.perf_counter() - start
        process.stdout.close()
    return elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    begin("Starting up")
    python = [sys.executable]
    charrnn = [*python, "-m", "charrnn"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "fox.txt").write_text(TEXT)
        train = [*charrnn, "train", "fox.txt", "--steps", "20", "--hidden-size", "512"]
        subprocess.run([*train, "--num-layers", "1", "-q"], cwd=folder, check=True)
        subjects = {
            "import torch": [*python, "-c", "import torch"],
            "charrnn sample, first character": [*charrnn, "sample", "-l", "20", "--seed", "1"],
            "charrnn --help": [*charrnn, "--help"],
            "python -c pass": [*python, "-c", "pass"],
        }
        times: dict[str, list[float]] = {subject: [] for subject in subjects}
        for _ in range(rounds):
            for subject, command in subjects.items():
                times[subject].append(seconds_to_first_byte(command, folder))
    for subject, values in times.items():
        print(f"{subject:32} {spread(values, ' s')}")
    pairs = zip(times["import torch"], times["charrnn sample, first character"], strict=True)
    print(f"{'import torch / first character':32} {spread([a / b for a, b in pairs], ' times', 1)}")


if __name__ == "__main__":
    main()
