"""Seconds of a search for units: the whole command, start-up included.

python benchmarks/speed_unit_search.py TEXT
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import begin, rounds_parser, spread

NETWORKS = ((1, 512), (2, 512))
LENGTH = 5000


def charrnn(*arguments) -> float:
    """Run a command; return its seconds."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "charrnn", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Measure, and print a table."""
    parser = rounds_parser(__doc__, 5)
    parser.add_argument("text", type=Path)
    given = parser.parse_args()
    text = given.text.resolve()
    begin(f"Search for units in {LENGTH:,} characters")
    print("| network | units | search, plain | search, page | page, MB |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for layers, hidden in NETWORKS:
            name = f"{layers}x{hidden}"
            shape = ("--num-layers", layers, "--hidden-size", hidden)
            charrnn("train", text, *shape, "--steps", 100, "--run", name, "-q")
            search = ("viz", "cells", name, text, "--held-out", "--search", "-l", LENGTH)
            plain = [charrnn(*search) for _ in range(given.rounds)]
            page = [charrnn(*search, "-o", "page.html") for _ in range(given.rounds)]
            size = Path("page.html").stat().st_size / 1e6
            times = f"{spread(plain, ' s', 1)} | {spread(page, ' s', 1)}"
            print(f"| {name} | {layers * hidden:,} | {times} | {size:.2f} |", flush=True)


if __name__ == "__main__":
    main()
