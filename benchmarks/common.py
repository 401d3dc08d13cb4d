"""Shared by all benchmarks: the machine, measurements in turn, medians with their range."""

import argparse
import os
import platform
import statistics
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from charrnn import __version__

RESULTS = Path(__file__).parent / "results"

PROBE_SIZE, PROBE_BYTES = 512, 1 << 26


def machine() -> str:
    """Return processor, cores, load and versions in one line."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    flags = {flag for line in lines if line.startswith("flags") for flag in line.split()}
    vectors = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    cpu = f"{(names or [platform.processor() or platform.machine()])[0]} ({', '.join(vectors)})"
    versions = f"charrnn {__version__}, torch {version('torch')}, numpy {version('numpy')}"
    loads = os.getloadavg() if hasattr(os, "getloadavg") else ()
    load = ", ".join(f"{value:.1f}" for value in loads)
    return (
        f"{cpu}, {os.cpu_count()} cores, load {load}; "
        f"Python {platform.python_version()}, {versions}"
    )


def spread(values: list[float], unit: str = "", digits: int = 3) -> str:
    """Return the median of some figures, with their range, as text."""
    median = statistics.median(values)
    return f"{median:.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f}){unit}"


def begin(title: str) -> None:
    """Print the title, the machine and the command."""
    print(f"# {title}\n\n{machine()}\ncommand: python {' '.join(sys.argv)}\n", flush=True)


@dataclass(frozen=True)
class Row:
    """One row of the table: a ratio to another subject, and the required ratio."""

    what: str
    against: str
    asked: str
    ratios: tuple[float, ...] = ()
    note: str = ""
    """Absolute figures; without ratios, the reason for which the row was skipped."""

    def __str__(self) -> str:
        found = spread(list(self.ratios), "", 2) if self.ratios else "skipped"
        return f"| {self.what} | {self.against} | {self.asked} | {found} | {self.note} |"


HEADING = "| what | against | asked | ratio: median (range) | figures |\n|---|---|---|---|---|"


class Probes:
    """Speed of the machine around each block: a matrix product, a copy of memory."""

    def __init__(self):
        self._a = np.ones((PROBE_SIZE, PROBE_SIZE), dtype=np.float32)
        self._from = np.ones(PROBE_BYTES, dtype=np.uint8)
        self._to = np.empty_like(self._from)
        self.gemm: list[float] = []
        self.copy: list[float] = []

    def take(self) -> None:
        """Measure both once."""
        start = time.perf_counter()
        for _ in range(4):
            self._a @ self._a
        middle = time.perf_counter()
        np.copyto(self._to, self._from)
        end = time.perf_counter()
        self.gemm.append(4 * 2 * PROBE_SIZE**3 / (middle - start) / 1e9)
        self.copy.append(2 * PROBE_BYTES / (end - middle) / 1e9)

    def __str__(self) -> str:
        return (
            f"probes around the blocks: product of matrices {spread(self.gemm, ' GFLOP/s', 0)}, "
            f"copy {spread(self.copy, ' GB/s', 1)}"
        )


PROBES = Probes()


def in_turn(subjects, rounds):
    """Run blocks in turn, A B B A, with probes of the machine around each.

    Args:
        subjects: Functions by name that run one block and return its rate; more is better.
        rounds: Number of turns of each subject.

    Returns:
        Rates by name, one per round.
    """
    rates = {name: [] for name in subjects}
    for number in range(rounds):
        names = list(subjects) if number % 2 == 0 else list(reversed(subjects))
        for name in names:
            PROBES.take()
            rates[name].append(subjects[name]())
        PROBES.take()
    return rates


def ratios(rates, ours, other) -> tuple[float, ...]:
    """Return the ratio of two subjects in each round."""
    return tuple(a / b for a, b in zip(rates[ours], rates[other], strict=True))


def per_second(count, work) -> float:
    """Return the rate of some work, per second."""
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def rounds_parser(description, rounds) -> argparse.ArgumentParser:
    """Return a parser with the option of all benchmarks: the number of rounds."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds)
    return parser


def make_parser(description) -> argparse.ArgumentParser:
    """Return a parser for the benchmarks that print rows of one table."""
    parser = rounds_parser(description, 5)
    parser.add_argument("--bare", action="store_true", help="print nothing but rows")
    return parser


def show(title, rows, arguments) -> None:
    """Print rows as they are measured, then the probes of the machine."""
    if not arguments.bare:
        begin(title)
        print(HEADING, flush=True)
    for row in rows:
        print(row, flush=True)
    if PROBES.gemm:
        print(f"\n{PROBES}" if not arguments.bare else f"| | | | | {PROBES} |", flush=True)
