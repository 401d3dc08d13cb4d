"""What the defaults reach on a text in a given time, network alone.

python benchmarks/learning.py TEXT 60s 5m
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from common import begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("times", nargs="+")
    parser.add_argument("--seed", default="0")
    arguments = parser.parse_args()
    begin("Learning in a given time")
    for budget in arguments.times:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "charrnn", "train", str(arguments.text.resolve())]
            command += ["--max-time", budget, "--seed", arguments.seed, "--json", "-q"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
            result = json.loads(done.stdout)
            settings = (Path(folder) / result["best"]).with_name("config.toml").read_text()
        size = [line for line in settings.splitlines() if line.split(" ")[0] in SHOWN]
        print(
            f"--max-time {budget}: validation loss {result['val_loss']:.4f} nats "
            f"({result['bits_per_char']:.3f} bits) per character, streamed; "
            f"{result['seconds']:.1f} s, {result['step']:,} steps, {result['epoch']:.2f} epochs, "
            f"{result['chars_per_second']:,.0f} char/s; {', '.join(size)}",
            flush=True,
        )


SHOWN = ("hidden_size", "num_layers", "batch_size", "dropout", "lr")

if __name__ == "__main__":
    main()
