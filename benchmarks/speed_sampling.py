"""Sampling on the CPU with one thread, beside the plain PyTorch loop and a lower bound.

One stream is written into a pipe with charrnn's defaults, without n-gram memory; the plain loop has
the same weights and no filters, and writes each character at once. The lower bound of a step is one
pass over the same matrices by NumPy: the limit of the bandwidth of RAM in float32.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

if __name__ == "__main__":
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # before NumPy reads it

import numpy as np
import torch
from common import Row, in_turn, make_parser, per_second, ratios, show
from plain_pytorch import PlainNetwork, plain_sampling

from charrnn.checkpoints.model import Model, load_model
from charrnn.core.config import SampleConfig
from charrnn.core.output import OutputStream
from charrnn.data.vocab import CharVocabulary
from charrnn.native.build import load_or_build
from charrnn.ngram.context import ContextTracker
from charrnn.ngram.counts import runs_of
from charrnn.ngram.model import build, chunks
from charrnn.ngram.native import WORTH_BUILDING as WORTH_COMPILING
from charrnn.ngram.native import predictor
from charrnn.nn.architecture import ModelConfig, shapes
from charrnn.nn.native import WORTH_BUILDING
from charrnn.nn.numpy_engine import make_engine
from charrnn.sampling.jobs import Jobs
from charrnn.sampling.sampler import Sampler
from charrnn.sampling.writer import write_stream

V, E = 65, 64
SIZES = ((2, 128, 8000), (2, 256, 4000), (2, 512, 1000))
STREAM = {
    128: {"default": "30", "bf16": "60"},
    256: {"default": "25", "bf16": "45"},
    512: {"default": "20", "bf16": "45"},
}
"""Required ratios to the plain loop, by hidden size and path."""

OVER_NUMPY = {128: "3.5", 256: "3", 512: "1.3"}
STEP = {
    128: {"default": "0.7", "bf16": "1.5"},
    256: {"default": "0.9", "bf16": "1.5"},
    512: {"default": "1.0", "bf16": "1.5"},
}
BATCH = {128: {"default": "4"}, 256: {"default": "2.5"}, 512: {"default": "1.6"}}
WITH_MEMORY = {"default": "0.92", "bf16": "0.97"}
PREDICTIONS = 1 << 14
"""n-gram predictions of a block."""

STREAMS, THOUSANDS = 64, 4096


def make_model(layers, hidden, text=None):
    """Return a model with random weights; with the n-gram memory of a text if given."""
    config = ModelConfig(
        cell="lstm", vocab_size=V, embedding_size=E, hidden_size=hidden, num_layers=layers
    )
    rng = np.random.default_rng(layers * hidden)
    weights = {n: rng.normal(0, 0.08, s).astype(np.float32) for n, s in shapes(config).items()}
    vocab = CharVocabulary(range(32, 32 + V))
    return Model(
        config=config, weights=weights, vocab=vocab, records=False, starts={},
        memory=build(runs_of(text), V, 7) if text is not None else None,
    )  # fmt: skip


class Pipe:
    """Another process, which reads the output and discards it."""

    def __enter__(self):
        self.process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        return self.process.stdin

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


def samplers(model):
    """Return charrnn's samplers by path; those of the compiled loop, the default, if it can be built."""
    found = {"NumPy": Sampler(model)}
    found["NumPy"]._loop = None
    for name, each in {"default": model, "bf16": model.rounded("bf16")}.items():
        sampler = Sampler(each, num_symbols=WORTH_BUILDING)
        if sampler._loop is not None:
            found[name] = sampler
    return found


def stream(sampler, length):
    """Return the characters per second that charrnn writes into a pipe."""
    with Pipe() as pipe:
        out = OutputStream(pipe)
        config = SampleConfig(length=length)
        return per_second(length, lambda: write_stream(out, sampler, "A", config, 1, echo=False))


def plain_stream(network, length):
    """Return the characters per second of the plain loop."""
    with Pipe() as pipe:
        return per_second(
            length,
            lambda: plain_sampling(network, length, 1, 0.9, lambda c: pipe.write(c.encode())),
        )


def against(rates, other, what, against, asked, shown):
    """Yield the rows of charrnn's engines against another subject."""
    for engine in rates:
        if engine != other:
            ours, rival = (statistics.median(rates[name]) for name in (engine, other))
            yield Row(
                f"{what}, {engine}", against, asked.get(engine, ""),
                ratios(rates, engine, other), shown(ours, rival),
            )  # fmt: skip


def characters(ours, rival):
    """Return the characters per second of two subjects, as text."""
    return f"{ours:,.0f} and {rival:,.0f} characters/s"


def stream_rows(model, length, rounds):
    """Yield the rows of one stream against the plain loop, and of the default against NumPy."""
    layers, hidden = model.config.num_layers, model.config.hidden_size
    network = PlainNetwork(V, E, hidden, layers).take(model.weights)
    subjects = {n: partial(stream, sampler, length) for n, sampler in samplers(model).items()}
    subjects["plain"] = partial(plain_stream, network, max(200, length // 16))
    rates = in_turn(subjects, rounds)
    what = f"one stream, {layers}×{hidden}"
    yield from against(rates, "plain", what, "plain loop", STREAM[hidden], characters)
    if "default" in rates:
        both = {name: rates[name] for name in ("default", "NumPy")}
        yield from against(
            both, "NumPy", what, "NumPy", {"default": OVER_NUMPY[hidden]}, characters
        )


def step_rows(model, rounds, length):
    """Yield the rows of step and draw, into no pipe, against one pass over the matrices."""
    engine = make_engine(model.config, model.weights)
    matrices = [layer.matrix.matrix for layer in engine._layers] + [engine._decoder.matrix]
    inputs = [np.ones(len(matrix), dtype=np.float32) for matrix in matrices]

    def write(sampler):
        sampler.sample("A", SampleConfig(length=length), 1)

    def passes():
        for _ in range(length):
            for x, matrix in zip(inputs, matrices, strict=True):
                x.dot(matrix)

    subjects = {n: partial(write, each) for n, each in samplers(model).items()}
    subjects["floor"] = passes
    rates = in_turn({n: partial(per_second, length, w) for n, w in subjects.items()}, rounds)
    layers, hidden = model.config.num_layers, model.config.hidden_size
    yield from against(
        rates, "floor", f"step and draw, {layers}×{hidden}", "its matrices, passed over once",
        STEP[hidden], lambda ours, floor: f"{1e6 / ours:.0f} and {1e6 / floor:.0f} µs",
    )  # fmt: skip


def streams_rows(model, count, rounds):
    """Yield the rows of 64 streams against the plain loop with a batch of 64."""
    layers, hidden = model.config.num_layers, model.config.hidden_size
    network = PlainNetwork(V, E, hidden, layers).take(model.weights)
    config = SampleConfig(length=count)

    def many(sampler):
        return list(sampler.write(Jobs(["A"], [config], STREAMS, 1), STREAMS))

    subjects = {n: partial(many, sampler) for n, sampler in samplers(model).items()}
    subjects["plain"] = lambda: plain_sampling(network, count, STREAMS, 0.9, lambda c: None)
    rates = in_turn(
        {n: partial(per_second, STREAMS * count, work) for n, work in subjects.items()}, rounds
    )
    yield from against(
        rates, "plain", f"{STREAMS} streams, {layers}×{hidden}", "plain loop, batch 64",
        BATCH[hidden], characters,
    )  # fmt: skip


def with_memory(rounds, text):
    """Yield rows of a trained model of the default size, with and without its n-gram memory."""
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

    def block(sampler, weight, num_samples):
        length = 2000 if num_samples == 1 else 60
        config = SampleConfig(length=length, memory_weight=weight)
        if num_samples == 1:
            return per_second(length, lambda: sampler.sample("A", config, 1))
        return per_second(
            length * num_samples,
            lambda: list(sampler.write(Jobs(["A"], [config], num_samples, 1))),
        )

    for engine, sampler in samplers(model).items():
        for num_samples in (1, STREAMS):
            subjects = {
                "on": partial(block, sampler, None, num_samples),
                "off": partial(block, sampler, 0.0, num_samples),
            }
            in_turn(subjects, 1)  # fills the n-gram cache
            rates = in_turn(subjects, rounds)
            yield Row(
                f"1×512 with its memory, {num_samples} stream{'s' * (num_samples > 1)}, {engine}",
                "the same without", WITH_MEMORY.get(engine, "") if num_samples == 1 else "",
                ratios(rates, "on", "off"),
                characters(*(statistics.median(each) for each in rates.values())),
            )  # fmt: skip
    yield prediction_row(model, rounds, text)


def prediction_row(model, rounds, text):
    """Return the row of n-gram predictions of held-out text, as `score` takes them."""
    memory = model.memory
    held_out = model.vocab.encode(text.read_text("utf-8")[-PREDICTIONS:])
    read = ContextTracker(memory, 1).read(held_out[None])
    contexts, lengths = (each.ravel() for each in read)
    subjects = {"compiled": predictor(memory, WORTH_COMPILING), "NumPy": memory.predict}

    def work(predict):
        for part in chunks(len(held_out), memory.vocab_size):
            predict(contexts[part], lengths[part])

    subjects = {
        name: partial(per_second, len(held_out), partial(work, predict))
        for name, predict in subjects.items()
    }
    in_turn(subjects, 1)  # makes the tables
    rates = in_turn(subjects, rounds)
    ours, numpy = (1e6 / statistics.median(each) for each in rates.values())
    return Row(
        "n-gram prediction in `score`, default", "NumPy", "3", ratios(rates, "compiled", "NumPy"),
        f"{ours:.1f} and {numpy:.1f} µs",
    )  # fmt: skip


def names_rows(rounds, count=2000):
    """Yield the row of short records: the default against NumPy."""
    model = make_model(2, 128)
    vocab = CharVocabulary([10, *range(33, 32 + V)])
    model = replace(model, records=True, vocab=vocab)
    config = SampleConfig(length=30)

    def write(sampler):
        return per_second(count, lambda: list(sampler.write(Jobs([""], [config], count, 1))))

    rates = in_turn({n: partial(write, each) for n, each in samplers(model).items()}, rounds)
    if "default" in rates:
        yield Row(
            f"{count:,} names, 2×128, default", "NumPy", "4", ratios(rates, "default", "NumPy"),
            "{:,.0f} and {:,.0f} names/s".format(
                *(statistics.median(rates[name]) for name in ("default", "NumPy"))
            ),
        )  # fmt: skip


def device_rows(rounds):
    """Yield the row of thousands of streams on a GPU against the plain loop there."""
    what, asked = f"{THOUSANDS:,} streams, cuda, 2×512", "3"
    if not torch.cuda.is_available():
        yield Row(what, "plain loop, batched, there", asked, (), "no GPU")
        return
    from charrnn.sampling.cuda import DeviceSampler

    device, model, count = torch.device("cuda"), make_model(2, 512), 256
    network = PlainNetwork(V, E, 512, 2).take(model.weights).to(device)
    sampler, config = DeviceSampler(model, (), device), SampleConfig(length=count)
    subjects = {
        "ours": lambda: list(sampler.write(Jobs(["A"], [config], THOUSANDS, 1), THOUSANDS)),
        "plain": lambda: plain_sampling(network, count, THOUSANDS, 0.9, lambda c: None),
    }
    in_turn({n: partial(per_second, 1, work) for n, work in subjects.items()}, 1)  # capture
    rates = in_turn(
        {n: partial(per_second, THOUSANDS * count, work) for n, work in subjects.items()}, rounds
    )
    ours, plain = (statistics.median(each) for each in rates.values())
    yield Row(what, "plain loop, batched, there", asked, ratios(rates, "ours", "plain"),
              characters(ours, plain))  # fmt: skip


def rows(rounds, text):
    """Yield all rows."""
    torch.set_num_threads(1)
    os.environ["CHARRNN_CACHE"] = tempfile.mkdtemp()  # the user's own stays as it is
    os.environ.pop("CHARRNN_NATIVE", None)
    if load_or_build() is None:
        yield Row("the compiled loop", "", "", (), "no C compiler")
    models = [(make_model(layers, hidden), length) for layers, hidden, length in SIZES]
    for model, length in models:
        yield from stream_rows(model, length, rounds)
    for model, length in models:
        yield from step_rows(model, rounds, length)
    for model, length in models:
        yield from streams_rows(model, max(20, length // 50), rounds)
    yield from names_rows(rounds)
    yield from device_rows(rounds)
    if text.exists():
        yield from with_memory(rounds, text)
    else:
        yield Row(
            "1×512 with its memory", "the same without", "0.92", (), f"no {text}: `make data`"
        )


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--text", type=Path, default=Path("data/shakespeare.txt"))
    arguments = parser.parse_args()
    show("Sampling speed", rows(arguments.rounds, arguments.text), arguments)


if __name__ == "__main__":
    main()
