"""Training: the update of charrnn beside a plain nn.LSTM loop.

Same sizes, same text, in turn A B B A; the result is the ratio. charrnn does more in a step:
dropout masks, averaged weights, carried state with restarts. Also: the rate of a product of two
matrices of 2048 × 2048 in the same precision, and the peak memory of a separate process.
"""

import argparse
import statistics
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from common import Row, in_turn, make_parser, per_second, ratios, show
from plain_pytorch import PlainTraining

from charrnn.core.config import TrainConfig
from charrnn.data.batches import RecordBatches, Streams
from charrnn.data.cuda import maybe_to_gpu
from charrnn.data.records import find_records
from charrnn.nn.architecture import ModelConfig
from charrnn.nn.device import autocast, has_bf16, set_threads, synchronise
from charrnn.training.learner import Learner

V, E = 65, 64
SIZES = ((1, 256, 16, 32), (1, 384, 16, 32), (1, 512, 16, 32), (2, 256, 32, 64), (2, 512, 128, 128))
BF16_ASKED = {(2, 256): "1.8", (2, 512): "2.0"}
ASKED = {(1, 256): "0.97", (1, 384): "0.97", (1, 512): "0.97"}
LARGE = SIZES[-1]
GEMM = 2048
NUM_NAMES = 32_000
DROPOUT = 0.1
FIRST = 1000
"""Number of the first step: the first hundred of a training average more often."""


def config_of(size, device, precision):
    """Return the settings of a size, (layers, hidden, batch, window)."""
    layers, hidden, B, T = size
    return TrainConfig(
        num_layers=layers, hidden_size=hidden, embedding_size=E, batch_size=B, seq_len=T,
        dropout=DROPOUT, embedding_dropout=DROPOUT, weight_drop=DROPOUT, device=str(device), precision=precision,
    )  # fmt: skip


class Ours:
    """The learner of charrnn."""

    def __init__(self, config):
        self.learner = Learner(config, ModelConfig.from_settings(config, V), config.batch_size)

    def update(self, batch, step):
        self.learner.update(batch, FIRST + step, 1e-3)


def text():
    """Return two million random ids."""
    return np.random.default_rng(0).integers(0, V, 2_000_000).astype(np.uint8)


def train(subject, size, device, steps):
    """Make some updates; the text is on the device."""
    streams = Streams(text(), size[2], size[3], 0, 0.01)
    if isinstance(subject, Ours):
        streams = maybe_to_gpu(streams, device)
    for step in range(steps):
        subject.update(streams.batch(step), step)
    synchronise(device)


def subjects_of(size, device, precisions):
    """Return charrnn in each precision, and the plain loop in fp32, on a GPU in each precision."""
    result = {}
    for precision in precisions:
        config = config_of(size, device, precision)
        result[f"ours {precision}"] = Ours(config)
        if precision == "fp32" or device.type == "cuda":
            result[f"plain {precision}"] = PlainTraining(V, config, device, precision)
    return result


def speed_rows(device, precisions, rounds, seconds):
    """Yield rows of training speed for each size, and of the large size beside a matrix product."""
    for size in SIZES:
        layers, hidden, B, T = size
        subjects = subjects_of(size, device, precisions)
        work = {}
        for name, subject in subjects.items():
            rate = per_second(1, partial(train, subject, size, device, 2)) * 2
            steps = max(1, int(seconds * rate))
            work[name] = partial(
                per_second, steps * B * T, partial(train, subject, size, device, steps)
            )
        if size == LARGE:
            for precision in precisions:
                work[f"product {precision}"] = partial(product_rate, device, precision)
        rates = in_turn(work, rounds)
        what = f"training, {device.type}, {layers}×{hidden}, {B} streams of {T}"
        yield from ratio_rows(rates, what, (layers, hidden), precisions)
        if size == LARGE:
            flops = ModelConfig.from_settings(config_of(size, device, "fp32"), V).flops_per_char()
            yield from share_rows(rates, what, flops, precisions)


def ratio_rows(rates, what, size, precisions):
    """Yield charrnn in each precision against the plain loop in its fastest precision."""
    plain = {name: rates[name] for name in rates if name.startswith("plain")}
    best = max(plain, key=lambda name: statistics.median(plain[name]))
    for precision in precisions:
        ours, rival = (statistics.median(rates[n]) for n in (f"ours {precision}", best))
        asked = BF16_ASKED.get(size, "") if precision == "bf16" else ASKED.get(size, "")
        yield Row(
            f"{what}, {precision}", best.replace("plain", "plain loop,"), asked,
            ratios(rates, f"ours {precision}", best),
            f"{ours:,.0f} and {rival:,.0f} characters/s",
        )  # fmt: skip


def share_rows(rates, what, flops, precisions):
    """Yield the fraction of the rate of a matrix product."""
    for precision in precisions:
        pairs = zip(rates[f"ours {precision}"], rates[f"product {precision}"], strict=True)
        shares = tuple(flops * ours / product for ours, product in pairs)
        rate = statistics.median(rates[f"product {precision}"]) / 1e9
        yield Row(
            f"{what}, {precision}", f"product of {GEMM}×{GEMM}, {precision}", "0.7", shares,
            f"the product: {rate:,.0f} GFLOP/s",
        )  # fmt: skip


def product_rate(device, precision):
    """Return the FLOP/s of a product of two large matrices."""
    a = torch.ones((GEMM, GEMM), device=device)
    with autocast(device, precision):
        a @ a
        synchronise(device)

        def work():
            for _ in range(3):
                a @ a
            synchronise(device)

        return per_second(3 * 2 * GEMM**3, work)


def record_row(rounds, seconds):
    """Return the row of training on short records, beside streams of the same network."""
    size, cpu = (1, 256, 16, 32), torch.device("cpu")
    ids = np.random.default_rng(0).integers(1, V, 8 * NUM_NAMES).astype(np.uint8)
    ids[::8] = 0
    records, _ = find_records(ids, 0)
    rows = size[2] * size[3] // 8
    config = config_of(size, cpu, "fp32")
    subjects = {
        "records": (
            Ours(replace(config, batch_size=rows)),
            RecordBatches(ids, records, 0, rows, 0),
        ),
        "streams": (Ours(config), Streams(text(), size[2], size[3], 0, 0.01)),
    }

    def train(name, steps):
        subject, batches = subjects[name]
        for step in range(steps):
            subject.update(batches.batch(step), step)

    work = {}
    for name in subjects:
        steps = max(1, int(seconds * per_second(2, partial(train, name, 2))))
        chars = sum(subjects[name][1].batch(step).num_chars for step in range(steps))
        work[name] = partial(per_second, chars, partial(train, name, steps))
    rates = in_turn(work, rounds)
    ours, rival = (statistics.median(rates[name]) for name in subjects)
    return Row(
        f"training, cpu, {NUM_NAMES:,} names of 7 letters, 1×256", "streams", "0.85",
        ratios(rates, "records", "streams"), f"{ours:,.0f} and {rival:,.0f} characters/s",
    )  # fmt: skip


def peak_memory(name):
    """Return the peak resident memory of a process that trains the large size, in MiB."""
    done = subprocess.run(
        [sys.executable, __file__, "--peak", name], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def print_peak(name):
    """Train in this process, and print the increase of its memory."""
    device = torch.device("cpu")
    set_threads(None, device)
    config = config_of(LARGE, device, "fp32")
    text()
    before = megabytes_of("VmRSS")
    subject = Ours(config) if name == "ours" else PlainTraining(V, config, device, "fp32")
    train(subject, LARGE, device, 2)
    print(megabytes_of("VmHWM") - before)


def megabytes_of(field):
    """Return a memory figure of this process, in MiB."""
    with Path("/proc/self/status").open() as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(field))


def memory_row():
    """Return the row of peak memory; less is better."""
    ours, plain = peak_memory("ours"), peak_memory("plain")
    layers, hidden, B, T = LARGE
    return Row(
        f"peak of memory, training, {layers}×{hidden}, {B} streams of {T}", "plain loop", "1.0",
        (ours / plain,), f"{ours:,.0f} and {plain:,.0f} MiB",
    )  # fmt: skip


def rows(rounds, seconds):
    """Yield all rows."""
    cpu = torch.device("cpu")
    set_threads(None, cpu)
    precisions = ("fp32", "bf16") if has_bf16(cpu) else ("fp32",)
    if len(precisions) == 1:
        yield Row("training, cpu, bf16", "plain loop, fp32", "1.8 and 2.0", (), "no bf16 units")
    yield from speed_rows(cpu, precisions, rounds, seconds)
    yield record_row(rounds, seconds)
    if Path("/proc/self/status").exists():
        yield memory_row()
    else:
        yield Row("peak of memory, training", "plain loop", "1.0", (), "no /proc here")
    if torch.cuda.is_available():
        yield from speed_rows(torch.device("cuda"), ("fp32", "bf16", "fp16"), rounds, seconds)
    else:
        yield Row("training, cuda", "best plain variant", "1.0", (), "no GPU")


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="a block's length, about")
    parser.add_argument("--peak", choices=("ours", "plain"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print_peak(arguments.peak)
        return
    show("Training speed", rows(arguments.rounds, arguments.seconds), arguments)


if __name__ == "__main__":
    main()
