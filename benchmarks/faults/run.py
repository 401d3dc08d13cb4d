"""Break everything, and print the table: `make faults`, or with full counts `make faults-full`."""

import subprocess
import sys
from pathlib import Path

from harness import print_head

SCRIPTS = (
    "kills", "crash_states", "io_errors", "full_disk", "damage", "malformed", "interrupts",
    "any_bytes", "arguments", "terminal", "race", "signals", "ranks", "sweep",
)  # fmt: skip


def main() -> None:
    """Run each script in turn; leave with 1 if any promise was broken."""
    print_head()
    broken = [name for name in SCRIPTS if run(name)]
    if broken:
        sys.exit(f"broken: {', '.join(broken)}")


def run(name: str) -> int:
    """Run one script with our own options; return its exit code."""
    script = Path(__file__).parent / f"{name}.py"
    return subprocess.run([sys.executable, str(script), *sys.argv[1:]], check=False).returncode


if __name__ == "__main__":
    main()
