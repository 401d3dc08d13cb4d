"""The table of speed, in under twelve minutes; a row that cannot be measured gives the reason."""

import subprocess
import sys
from pathlib import Path

from common import HEADING, begin

SCRIPTS = (
    ["speed_start_up.py", "--rounds", "5"],
    ["speed_sampling.py", "--rounds", "3"],
    ["speed_ngrams.py", "--rounds", "5"],
    ["speed_training.py", "--rounds", "3"],
    ["speed_busy.py", "--rounds", "2"],
    ["speed_encoding.py", "--sizes", "100"],
)


def main() -> None:
    begin("Speed")
    print(HEADING, flush=True)
    for name, *options in SCRIPTS:
        script = Path(__file__).with_name(name)
        subprocess.run([sys.executable, str(script), *options, "--bare"], check=True)


if __name__ == "__main__":
    main()
