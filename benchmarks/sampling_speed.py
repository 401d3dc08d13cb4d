"""Sampling on the CPU, one thread on both sides, beside the plain PyTorch loop and the floor.

One stream is written into a pipe with charrnn's defaults (temperature and min-p), memory off; the
plain loop has the same weights, no filter, and writes each character as it comes. The floor of a
step is one pass over the same matrices by NumPy: what the memory's bandwidth allows in float32.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

if __name__ == "__main__":
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # before NumPy reads it

import numpy as np
import torch
from common import Row, begin, in_turn, per_second, ratios, show
from plain import PlainNetwork, plain_sampling

from charrnn.checkpoint import Model, load_model
from charrnn.config import ModelConfig, SampleConfig, shapes
from charrnn.counting import build, runs_of
from charrnn.engine import Engine
from charrnn.sampling import Sampler
from charrnn.vocab import CharVocabulary
from charrnn.writing import Page, write_stream

V, E = 65, 64
SIZES = ((2, 128, "6", 8000), (2, 256, "7", 4000), (2, 512, "17", 1000))
FLOORS = {128: "0.45", 256: "0.8", 512: "0.9"}
STREAMS = 64


def make_model(layers, hidden, text=None):
    """Return a model with random weights; with the memory of a text, if there is one."""
    config = ModelConfig(
        cell="lstm", vocab_size=V, embedding_size=E, hidden_size=hidden, num_layers=layers
    )
    rng = np.random.default_rng(layers * hidden)
    weights = {n: rng.normal(0, 0.08, s).astype(np.float32) for n, s in shapes(config).items()}
    vocab = CharVocabulary(range(32, 32 + V))
    return Model(
        config=config, weights=weights, vocab=vocab, records=False, starts={}, facts={},
        memory=build(runs_of(text), V, 7) if text is not None else None,
    )  # fmt: skip


class Pipe:
    """Another process that reads what is written, and throws it away."""

    def __enter__(self):
        self.process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        return self.process.stdin

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


def stream(model, length):
    """Return charrnn's characters a second, written into a pipe."""
    sampler = Sampler(model)
    with Pipe() as pipe:
        page = Page(pipe)
        config = SampleConfig(length=length)
        return per_second(length, lambda: write_stream(page, sampler, "A", config, 1, echo=False))


def plain_stream(network, length):
    """Return the plain loop's."""
    with Pipe() as pipe:
        return per_second(
            length,
            lambda: plain_sampling(network, length, 1, 0.9, lambda c: pipe.write(c.encode())),
        )


def stream_row(model, asked, length, rounds):
    """Return the row of one stream against the plain loop."""
    layers, hidden = model.config.num_layers, model.config.hidden_size
    network = PlainNetwork(V, E, hidden, layers).take(model.weights)
    subjects = {
        "ours": lambda: stream(model, length),
        "plain": lambda: plain_stream(network, max(200, length // 16)),
    }
    rates = in_turn(subjects, rounds)
    ours, plain = (statistics.median(rates[name]) for name in subjects)
    return Row(
        f"one stream, {layers}×{hidden}", "plain loop", asked, ratios(rates, "ours", "plain"),
        f"{ours:,.0f} and {plain:,.0f} characters/s",
    )  # fmt: skip


def step_row(model, rounds, length):
    """Return the row of the network's step against a pass over its matrices."""
    engine, hidden = Engine(model.config, model.weights), model.config.hidden_size
    matrices = [layer.matrix.matrix for layer in engine._layers] + [engine._decoder.matrix]
    inputs = [np.ones(len(matrix), dtype=np.float32) for matrix in matrices]

    def steps():
        state = engine.empty_state()
        for _ in range(length):
            _, state = engine.step(1, state)

    def passes():
        for _ in range(length):
            for x, matrix in zip(inputs, matrices, strict=True):
                x.dot(matrix)

    rates = in_turn(
        {"ours": lambda: per_second(length, steps), "floor": lambda: per_second(length, passes)},
        rounds,
    )
    ours, floor = (1e6 / statistics.median(rates[name]) for name in ("ours", "floor"))
    return Row(
        f"step alone, {model.config.num_layers}×{hidden}", "its matrices, passed over once",
        FLOORS[hidden], ratios(rates, "ours", "floor"), f"{ours:.0f} and {floor:.0f} µs",
    )  # fmt: skip


def streams_row(model, count, rounds):
    """Return the row of 64 streams against the plain loop with a batch of 64."""
    layers, hidden = model.config.num_layers, model.config.hidden_size
    network = PlainNetwork(V, E, hidden, layers).take(model.weights)
    sampler, config = Sampler(model), SampleConfig(length=count)
    subjects = {
        "ours": lambda: list(sampler.many("A", config, 1, STREAMS, STREAMS)),
        "plain": lambda: plain_sampling(network, count, STREAMS, 0.9, lambda c: None),
    }
    rates = in_turn(
        {name: partial(per_second, STREAMS * count, work) for name, work in subjects.items()},
        rounds,
    )
    ours, plain = (statistics.median(rates[name]) for name in subjects)
    return Row(
        f"{STREAMS} streams, {layers}×{hidden}", "plain loop, batch 64", "1.3",
        ratios(rates, "ours", "plain"), f"{ours:,.0f} and {plain:,.0f} characters/s",
    )  # fmt: skip


def with_memory(rounds, text):
    """Yield rows: a trained model of the default size with its memory, and without."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "charrnn", "train", str(text.resolve()), "--hidden-size", "512",
            "--steps", "150", "-q",
        ]  # fmt: skip
        environment = {n: v for n, v in os.environ.items() if not n.endswith("NUM_THREADS")}
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=folder, env=environment
        )
        model = load_model(Path(folder) / done.stdout.strip())
    sampler = Sampler(model)

    def block(weight, num_samples):
        length = 2000 if num_samples == 1 else 60
        config = SampleConfig(length=length, memory_weight=weight)
        if num_samples == 1:
            return per_second(length, lambda: sampler.sample("A", config, 1))
        return per_second(
            length * num_samples, lambda: list(sampler.many("A", config, 1, num_samples))
        )

    for num_samples, asked in ((1, "0.5"), (STREAMS, "")):
        subjects = {
            "on": partial(block, None, num_samples),
            "off": partial(block, 0.0, num_samples),
        }
        in_turn(subjects, 1)  # frequent contexts are remembered from the first text on
        rates = in_turn(subjects, rounds)
        on, off = (statistics.median(rates[name]) for name in ("on", "off"))
        yield Row(
            f"1×512 with its memory, {num_samples} stream{'s' * (num_samples > 1)}",
            "the same without", asked, ratios(rates, "on", "off"),
            f"{on:,.0f} and {off:,.0f} characters/s",
        )  # fmt: skip


def rows(rounds, text):
    """Yield all rows."""
    torch.set_num_threads(1)
    models = [
        (make_model(layers, hidden), asked, length) for layers, hidden, asked, length in SIZES
    ]
    for model, asked, length in models:
        yield stream_row(model, asked, length, rounds)
    for model, _, length in models:
        yield step_row(model, rounds, length)
    for model, _, length in models:
        yield streams_row(model, max(20, length // 50), rounds)
    if text.exists():
        yield from with_memory(rounds, text)
    else:
        yield Row("1×512 with its memory", "the same without", "0.5", (), f"no {text}: `make data`")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--text", type=Path, default=Path("data/shakespeare.txt"))
    arguments = parser.parse_args()
    begin("Sampling speed")
    show(rows(arguments.rounds, arguments.text))


if __name__ == "__main__":
    main()
