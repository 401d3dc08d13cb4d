"""Held-out loss on a list of names, with the split of makemore.

python benchmarks/quality_of_records.py names.txt --budget 1m --folder DIR --seeds 0 1 2

makemore.py (github.com/karpathy/makemore) draws 1,000 of the 32,033 names of its names.txt, with
seed 3407, as test names, and counts the end of a name as a character; so does this script. A name
may stand in the list twice, so some test names are training names too: "new" is the loss on the
others. Nothing is held out while training, and the test names are read once, after it.

copied   percentage of 2,000 names, written with the defaults, that are training names; in the row
         of the test names, of those.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from common import begin

SEED, MOST = 3407, 1000


def split(names: list[str]) -> tuple[list[str], list[str]]:
    """Return training and test names, as makemore draws them."""
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(SEED)).tolist()
    size = min(MOST, len(names) // 10)
    return [names[i] for i in order[:-size]], [names[i] for i in order[-size:]]


def charrnn(*words: object) -> str:
    """Run a command, and return what it writes to stdout."""
    command = [sys.executable, "-m", "charrnn", *map(str, words)]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def mean(lines: list[dict[str, Any]], key: str) -> float:
    """Return the loss of a character in some of the scored names."""
    return sum(line[key] * line["chars"] for line in lines) / sum(line["chars"] for line in lines)


def row(folder: Path, seed: int, options: list[str], known: set[str]) -> str:
    """Train, unless already trained, and return a row of the table."""
    run = folder / f"seed{seed}"
    if not (run / "best.safetensors").exists():
        where = ["--checkpoints", folder, "--run", run.name, "--seed", seed]
        charrnn("train", folder / "train.txt", "--lines", "--val-frac", 0, "-q", *where, *options)
    end = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    lines = [json.loads(line) for line in charrnn(
        "score", folder / "test.txt", "-m", run, "--json").splitlines()]  # fmt: skip
    new = [line for line in lines if line["text"] not in known]
    losses = [mean(part, key) for key in ("loss", "network_loss") for part in (lines, new)]
    written = charrnn("sample", run, "-n", 2000, "--seed", seed, "-q").split("\n")
    copied = sum(name in known for name in written if name) / 2000
    figures = " | ".join(f"{loss:.4f}" for loss in losses)
    return f"| {seed} | {end['step']} | {end['epoch']:.1f} | {figures} | {copied:.1%} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", type=Path)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--budget", default="1m")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--options", default="", help="of `charrnn train`, as one argument")
    arguments = parser.parse_args()
    begin("Loss on names")
    found = [name for line in arguments.names.read_text().splitlines() if (name := line.strip())]
    train, test = split(found)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name, part in (("train", train), ("test", test)):
        (arguments.folder / f"{name}.txt").write_text("\n".join(part) + "\n")
    known = set(train)
    copied = sum(name in known for name in test) / len(test)
    print(
        "| seed | steps | epochs | loss | new | network alone | new | copied |\n" + "|---" * 8 + "|"
    )
    print(f"| test names | | | | | | | {copied:.1%} |", flush=True)
    options = ["--max-time", arguments.budget, *arguments.options.split()]
    for seed in arguments.seeds:
        print(row(arguments.folder, seed, options, known), flush=True)


if __name__ == "__main__":
    main()
