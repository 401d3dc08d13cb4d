"""What all benchmarks share: where they ran, and figures with their range."""

import os
import platform
import statistics
import sys
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def machine() -> str:
    """Return processor, cores, load and versions in one line."""
    cpu = "unknown processor"
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":")[1].strip()
            for line in info.read_text().splitlines()
            if "model name" in line
        ]
        flags = next(
            line for line in info.read_text().splitlines() if line.startswith("flags")
        ).split()
        vectors = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
        cpu = f"{names[0]} ({', '.join(vectors)})"
    versions = ", ".join(f"{name} {version(name)}" for name in ("charrnn", "torch", "numpy"))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{cpu}, {os.cpu_count()} cores, load {load}; "
        f"Python {platform.python_version()}, {versions}"
    )


def spread(values: list[float], unit: str = "", digits: int = 3) -> str:
    """Return the median of some figures and their range."""
    median = statistics.median(values)
    return f"{median:.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f}){unit}"


def begin(title: str) -> None:
    """Print what is measured, and where."""
    print(f"# {title}\n\n{machine()}\ncommand: python {' '.join(sys.argv)}\n", flush=True)
