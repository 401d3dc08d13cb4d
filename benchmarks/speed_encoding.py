"""Large texts: speed of encoding, speed of loading from the cache, and anonymous memory.

The text is generated: lines of words of one to four syllables, ASCII and other.
"""

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from common import Row, make_parser, show

CHILD = """
import sys, threading, time
from pathlib import Path

peak = [0]
def watch():
    while True:
        for line in open("/proc/self/status"):
            if line.startswith("RssAnon"):
                peak[0] = max(peak[0], int(line.split()[1]))
        time.sleep(0.02)

import numpy as np
from charrnn.core.config import TrainConfig
from charrnn.data.corpus import load_corpus
from charrnn.data.batches import Streams
threading.Thread(target=watch, daemon=True).start()
begin = time.perf_counter()
corpus = load_corpus([Path(sys.argv[1])], TrainConfig())
seconds = time.perf_counter() - begin
streams = Streams(corpus.train, 64, 128, 0, 0.01)
for step in range(300):
    streams.batch(step)
time.sleep(0.05)
print(seconds, peak[0] / 1024, len(corpus.train) + len(corpus.val))
"""

TRIES, LARGE = 3, 500
"""Number of times that a text is encoded, unless it has so many megabytes or more."""

SYLLABLES = [
    "ka",
    "lo",
    "mi",
    "ne",
    "su",
    "tà",
    "rö",
    "vy",
    "der",
    "stan",
    "ing",
    "ß",
    "œu",
    "пре",
    "но",
    "語",
    "the",
    "and",
    "of",
    "to",
]


KINDS = {
    "UTF-8": (SYLLABLES, "1.3"),
    "ASCII": ([each for each in SYLLABLES if each.isascii()], "4.5"),
}
"""Syllables, and required hundreds of megabytes per second, by name."""


def make_text(path: Path, megabytes: int, syllables: list[str] = SYLLABLES) -> None:
    """Write about so many megabytes of generated prose."""
    rng = random.Random(megabytes)
    words = ["".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(5000)]
    block = "\n".join(" ".join(rng.choices(words, k=rng.randint(3, 14))) for _ in range(30_000))
    data = (block + "\n").encode("utf-8")
    with path.open("wb") as file:
        while file.tell() < megabytes << 20:
            file.write(data)


def load(path: Path, cache: Path) -> tuple[float, float, int]:
    """Return seconds, peak of anonymous memory in MiB, and characters, of a separate process."""
    environment = os.environ | {"CHARRNN_CACHE": str(cache)}
    command = [sys.executable, "-c", CHILD, str(path)]
    done = subprocess.run(
        command, env=environment, cwd=cache.parent, capture_output=True, text=True, check=True
    )
    seconds, peak, chars = done.stdout.split()
    return float(seconds), float(peak), int(chars)


def encoding_row(kind, megabytes, folder):
    """Return the row of a generated text, and the peak of anonymous memory in MiB."""
    syllables, asked = KINDS[kind]
    with tempfile.TemporaryDirectory(dir=folder) as name:
        path = Path(name) / "text.txt"
        make_text(path, megabytes, syllables)
        os.utime(path, (1e9, 1e9))  # not new any more, so its digest may be cached
        real = path.stat().st_size / 1e6
        tries = range(TRIES if megabytes < LARGE else 1)
        colds = [load(path, Path(name) / f"cache{attempt}") for attempt in tries]
        warm, warm_peak, _ = load(path, Path(name) / "cache0")
    _, peak, chars = colds[-1]
    row = Row(
        f"encoding {real:.0f} MB of {kind}", "100 MB a second", asked,
        tuple(real / cold / 100 for cold, _, _ in colds),
        f"{chars:,} characters, anonymous memory {peak:.1f} MiB; from the cache "
        f"{warm:.2f} s, {warm_peak:.1f} MiB",
    )  # fmt: skip
    return row, peak


def rows(sizes, folder):
    """Yield a row for each kind of text and size, and how memory grows."""
    if not Path("/proc/self/status").exists():
        yield Row("encoding", "100 MB a second", "1.3", (), "no /proc here")
        return
    for kind in KINDS:
        peaks = {}
        for megabytes in sizes:
            row, peaks[megabytes] = encoding_row(kind, megabytes, folder)
            yield row
        if len(peaks) > 1:
            small, large = peaks[min(peaks)], peaks[max(peaks)]
            yield Row(
                f"anonymous memory at {max(sizes)} MB of {kind}", f"at {min(sizes)} MB", "1.0",
                (large / small,),
            )  # fmt: skip


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000], help="megabytes")
    parser.add_argument("--folder", type=Path, help="where the texts are made")
    arguments = parser.parse_args()
    show("Encoding large texts", rows(arguments.sizes, arguments.folder), arguments)


if __name__ == "__main__":
    main()
