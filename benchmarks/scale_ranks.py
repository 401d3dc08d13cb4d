"""Data-parallel training on a CPU: two processes of one thread beside one process of two threads.

    python benchmarks/scale_ranks.py [--rounds 3] [--seconds 8]

Both train the same streams, in turn, under torchrun with gloo. The cost of communication is the
time of a step with the all-reduce of gradients minus the time of the same step without it. Prints
an estimate for more devices, from steps and messages, with its assumptions.
"""

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from common import begin, in_turn, rounds_parser, spread

NETWORKS = ((256, 2, 32, 64), (512, 1, 32, 64), (512, 2, 64, 64))
"""Hidden size, layers, streams of all processes, window."""

ROOT = Path(__file__).resolve().parent.parent

WORKER = """
import json, os, sys, time
from contextlib import nullcontext
import numpy as np, torch
from charrnn.data.batches import Batch
from charrnn.core.config import TrainConfig
from charrnn.nn.architecture import ModelConfig
from charrnn.nn.distributed import joined
from charrnn.training.learner import Learner

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
            alone = nullcontext() if is_shared or world.is_single else learner.forward.no_sync()
            with alone:
                learner.update(batch, count, 0.0)
            count += 1
            # All stop after the same step; the first process says which.
            if world.broadcast(time.perf_counter() - start >= seconds):
                return (time.perf_counter() - start) / count

    step_seconds(is_shared=True)
    result = {"shared": step_seconds(is_shared=True), "apart": step_seconds(is_shared=False)}
    if world.is_rank_zero:
        print(json.dumps(result | {"parameters": model.num_parameters()}))
"""


def measure(network: tuple[int, ...], processes: int, threads: int, seconds: float) -> dict:
    """Return the seconds of a step with and without the all-reduce of gradients."""
    command = [sys.executable, "worker.py", *map(str, (*network, threads, seconds))]
    if processes > 1:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command = [*launcher, f"--nproc-per-node={processes}", *command[1:]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout)


def efficiency(step: float, message: float, devices: int, link: tuple[float, float]) -> float:
    """Return the fraction of a step spent on computation, if communication does not overlap it.

    Args:
        step: Seconds of computation on one device.
        message: Bytes of all gradients.
        devices: Number of devices (W).
        link: Bytes per second, and seconds of latency. Each device sends and receives 2 (W - 1) / W
            of the message (a ring), with 2 log2 W latencies (a tree, as NCCL uses for small ones).
    """
    bandwidth, latency = link
    exchange = 2 * (devices - 1) / devices * message / bandwidth + 2 * math.log2(devices) * latency
    return step / (step + exchange)


LINKS = {
    "NVLink, 200 GB/s, 10 µs": (200e9, 10e-6),
    "InfiniBand, 25 GB/s, 20 µs": (25e9, 20e-6),
    "10 Gb/s Ethernet, 1.25 GB/s, 50 µs": (1.25e9, 50e-6),
}
STEPS = {
    "a GPU, 2.7 ms (2×512, 8,192 characters at 3 M/s, assumed)": 2.7e-3,
    "the same with 64 streams more each, 5.4 ms": 5.4e-3,
}


def print_estimates(parameters: int, measured: float) -> None:
    """Print estimates for 8 and 64 devices, from a measured message and a step."""
    message = 4.0 * parameters
    steps = STEPS | {f"this machine's CPU, {1e3 * measured:.0f} ms (measured)": measured}
    print(f"\nEstimated, not measured: 2×512, {message / 2**20:.1f} MiB of gradients a step\n")
    print("| step of one device | link | 8 devices | 64 devices |\n|---|---|---|---|")
    for what, step in steps.items():
        for name, link in LINKS.items():
            shares = [f"{efficiency(step, message, count, link):.0%}" for count in (8, 64)]
            print(f"| {what} | {name} | {shares[0]} | {shares[1]} |")


def main() -> None:
    """Measure, and print a table."""
    parser = rounds_parser(__doc__, 3)
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
    last = kept["two"][0]
    print_estimates(last["parameters"], last["apart"])


if __name__ == "__main__":
    main()
