"""Data-parallel training on this machine's CPU: two processes of one thread, one of two threads.

    python benchmarks/data_parallel.py [--rounds 3] [--seconds 8]

Both train the same streams, in turn, under torchrun with gloo. The share of communication is what
a step takes with the exchange of gradients less what the same step takes without it. From steps and
messages follows an estimate for more devices, printed with its assumptions.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from common import begin, in_turn, spread

NETWORKS = ((256, 2, 32, 64), (512, 1, 32, 64), (512, 2, 64, 64))
"""Hidden size, layers, streams of all processes, window."""

V, E = 65, 64

WORKER = """
import json, os, sys, time
from contextlib import nullcontext
import numpy as np, torch
from charrnn.batches import Batch
from charrnn.config import ModelConfig, TrainConfig
from charrnn.distributed import joined
from charrnn.learner import Learner

hidden, layers, streams, window, threads, seconds = map(float, sys.argv[1:])
hidden, layers, streams, window = map(int, (hidden, layers, streams, window))
torch.set_num_threads(int(threads))
config = TrainConfig(hidden_size=hidden, num_layers=layers, batch_size=streams, seq_len=window,
                     device="cpu", precision="fp32")
model = ModelConfig(cell="lstm", vocab_size=65, embedding_size=64, hidden_size=hidden,
                    num_layers=layers)
ids = np.random.default_rng(0).integers(0, 65, (streams, window + 1))
batch = Batch(ids[:, :-1], ids[:, 1:], np.zeros(streams, dtype=bool))
with joined() as world:
    learner = Learner(config, model, streams, world=world)

    def step_seconds(*, is_shared):
        count, start = 0, time.perf_counter()
        while True:
            alone = nullcontext() if is_shared or world.is_alone else learner.forward.no_sync()
            with alone:
                learner.update(batch, count, 0.0)
            count += 1
            # All stop after the same step; the first process says which.
            if world.agree(time.perf_counter() - start >= seconds):
                return (time.perf_counter() - start) / count

    step_seconds(is_shared=True)
    result = {"shared": step_seconds(is_shared=True), "apart": step_seconds(is_shared=False)}
    if world.is_first:
        print(json.dumps(result | {"parameters": model.num_parameters()}))
"""


def measure(network: tuple[int, ...], processes: int, threads: int, seconds: float) -> dict:
    """Return what a step takes with and without the exchange of gradients."""
    command = [sys.executable, "worker.py", *map(str, (*network, threads, seconds))]
    if processes > 1:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command = [*launcher, f"--nproc-per-node={processes}", *command[1:]]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout)


def estimate(step: float, message: float, devices: int, bandwidth: float, latency: float) -> float:
    """Return the efficiency of so many devices: a step, and a ring that nothing hides.

    Each device sends and takes 2 (W - 1) / W of the message, in 2 (W - 1) turns.
    """
    turns = 2 * (devices - 1)
    exchange = turns / devices * message / bandwidth + turns * latency
    return step / (step + exchange)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0)
    given = parser.parse_args()
    begin("Data-parallel training, gloo on the CPU")
    print(
        "| network, streams × window | 2 × 1 thread | 1 × 2 threads | ratio | exchange | message |"
    )
    print("|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("worker.py").write_text(WORKER, encoding="utf-8")
        for network in NETWORKS:
            hidden, layers, streams, window = network
            kept = {"two": [], "one": []}

            def rate(name, processes, threads, network=network, kept=kept):
                found = measure(network, processes, threads, given.seconds)
                kept[name].append(found)
                return network[2] * network[3] / found["shared"]

            rates = in_turn(
                {"two": lambda: rate("two", 2, 1), "one": lambda: rate("one", 1, 2)}, given.rounds
            )
            ratios = [a / b for a, b in zip(rates["two"], rates["one"], strict=True)]
            shares = [1 - each["apart"] / each["shared"] for each in kept["two"]]
            message = kept["two"][0]["parameters"] * 4 / 2**20
            two, one = (statistics.median(rates[name]) for name in ("two", "one"))
            print(
                f"| {layers}×{hidden}, {streams} × {window} | {two:,.0f} char/s | {one:,.0f} char/s "
                f"| {spread(ratios, '', 2)} | {spread(shares, '', 2)} of a step | {message:.1f} MiB |",
                flush=True,
            )


if __name__ == "__main__":
    main()
