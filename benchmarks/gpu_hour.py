"""The first hour on a GPU: one command, one page with all that is open in docs/internals.md, GPU.

The tests marked `gpu`; the number format in which recurrent layers compute; training speed and
cuDNN's kernels by precision, embedding and batch; whether two runs have the same bits; texts by
batch size, TF32 and stop strings; then the rows of the tables of speed. A part that fails is named,
and the next one is measured. Send the page to a file in results/.
"""

import argparse
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, product
from pathlib import Path

import numpy as np
import torch
from common import begin, per_second
from speed_sampling import make_model
from speed_training import Ours, config_of, text, train

from charrnn.core.config import SampleConfig
from charrnn.core.errors import CharRNNError
from charrnn.data.batches import Streams
from charrnn.data.vocab import CharVocabulary
from charrnn.nn.device import autocast, synchronise
from charrnn.sampling.batch_texts import BatchTexts, uniform_blocks
from charrnn.sampling.cuda import CHARACTERS, DeviceSampler
from charrnn.sampling.jobs import Jobs

ROOT = Path(__file__).parents[1]
PRECISIONS, EMBEDDINGS, BATCHES, HIDDEN, WINDOW = (
    ("fp32", "bf16", "fp16"), (64, 128), (64, 128), (512, 1024), 64,
)  # fmt: skip
NUM_TEXTS, LENGTH = (1, 64, 4096), 256
STEPS = 50


def gpu_tests(device) -> Iterator[str]:
    """Run the tests marked gpu; a failure is a finding."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "--tb=short"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    yield f"```\n{done.stdout[-6000:]}\n```"


def formats(device) -> Iterator[str]:
    """Show what the layers of a network compute in; cuDNN is expected to use fp16 for bf16."""
    layer = torch.nn.LSTM(128, 128, batch_first=True).to(device)
    x = torch.zeros(8, 4, 128, device=device)
    yield "| asked | output of an LSTM | output of a product |\n|---|---|---|"
    for precision in PRECISIONS:
        with torch.no_grad(), autocast(device, precision):
            yield f"| {precision} | {layer(x)[0].dtype} | {(x @ x.mT).dtype} |"


def training(
    device, hidden=HIDDEN, batches=BATCHES, window=WINDOW, steps=STEPS, precisions=PRECISIONS
) -> Iterator[str]:
    """Measure an update by precision, embedding and batch, and name the kernels of its layers."""
    yield "| H | B | E | precision | characters a second | kernels |\n|---|---|---|---|---|---|"
    for H, B, E, precision in product(hidden, batches, EMBEDDINGS, precisions):
        size = (1, H, B, window)
        ours = Ours(replace(config_of(size, device, precision), embedding_size=E))
        train(ours, size, device, 3)
        rate = per_second(steps * B * window, lambda o=ours, s=size: train(o, s, device, steps))
        names = kernels(lambda o=ours, s=size: train(o, s, device, 1))
        yield f"| {H} | {B} | {E} | {precision} | {rate:,.0f} | {', '.join(names)} |"


def kernels(work) -> list[str]:
    """Return the names of the recurrent kernels of some work; `persist` is what is hoped for."""
    with torch.profiler.profile() as profile:
        work()
    names = {event.key.split("<")[0].split("(")[0] for event in profile.key_averages()}
    return sorted(n for n in names if any(part in n.lower() for part in ("lstm", "rnn", "persist")))


def bits(device, hidden=512, precisions=PRECISIONS) -> Iterator[str]:
    """Train twice without --deterministic, and compare the weights bit by bit."""
    yield "| precision | two runs of 20 updates |\n|---|---|"
    size = (1, hidden, 64, 32)
    for precision in precisions:
        runs = [Ours(config_of(size, device, precision)) for _ in range(2)]
        for run in runs:
            train(run, size, device, 20)
        pairs = zip(*(run.learner.model.parameters() for run in runs), strict=True)
        same = all(torch.equal(a, b) for a, b in pairs)
        yield f"| {precision} | {'the same bits' if same else 'other bits'} |"


def waiting(device, hidden=512) -> Iterator[str]:
    """Make updates under PyTorch's check for synchronisation, which raises."""
    size = (1, hidden, 64, WINDOW)
    ours = Ours(config_of(size, device, "fp16"))
    batch = Streams(text(), size[2], size[3], 0, 0.01).batch(0)
    ours.update(batch, 0)
    synchronise(device)
    torch.cuda.set_sync_debug_mode("error")
    try:
        ours.update(batch, 1)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    yield "no operation of an update waits"


def texts(device, counts=NUM_TEXTS, length=LENGTH, hidden=512) -> Iterator[str]:
    """Measure texts by number, TF32 and stop strings (one that never comes)."""
    model, config = make_model(2, hidden), SampleConfig(length=length)
    yield "| texts | TF32 | stop string | characters a second |\n|---|---|---|---|"
    for count, tf32, stops in product(counts, (True, False), ((), ("AAAAAAAAAAAA",))):
        sampler = DeviceSampler(model, stops, device, tf32=tf32)

        def write(sampler=sampler, count=count):
            list(sampler.write(Jobs(["A"], [config], count, 1)))

        write()  # captures the graph
        yield f"| {count} | {tf32} | {bool(stops)} | {per_second(count * length, write):,.0f} |"


def host_time(device, num_texts=4096, replays=16) -> Iterator[str]:
    """Measure the CPU time beside each replay of 4,096 texts × 32 characters; needs no GPU."""
    symbols = np.random.default_rng(0).integers(1, 65, (CHARACTERS, num_texts)).astype(np.int32)
    vocab, copy = CharVocabulary(range(32, 97)), np.empty(symbols.shape)
    yield "| stop strings | milliseconds of CPU a replay |\n|---|---|"
    for stops in ([], [[0]], [[3, 4, 5, 6], [0]]):
        collected, start = BatchTexts(stops, num_texts), time.process_time()
        for numbers in islice(uniform_blocks(range(num_texts), num_texts, CHARACTERS), replays):
            copy[:] = numbers
            collected.add(symbols.astype(np.uint8))
        for ids, _ in collected.written():
            vocab.decode(ids)
        yield f"| {len(stops)} | {(time.process_time() - start) / replays * 1e3:.1f} |"


def speed(device) -> Iterator[str]:
    """Run the tables of speed, which have rows for a GPU."""
    for name in ("speed_sampling.py", "speed_training.py"):
        command = [sys.executable, str(ROOT / "benchmarks" / name), "--rounds", "3"]
        yield subprocess.run(command, capture_output=True, text=True, check=True).stdout


FAILURES = (RuntimeError, ValueError, CharRNNError, OSError, subprocess.SubprocessError)

PARTS = (gpu_tests, formats, waiting, training, bits, texts, host_time, speed)


def lines(part, *arguments, **options) -> Iterator[str]:
    """Yield what a part finds; a failure is a line."""
    yield f"\n## {part.__doc__}\n"
    try:
        yield from part(*arguments, **options)
    except FAILURES:  # the hour must not end with the first surprise
        yield f"```\n{traceback.format_exc()}\n```"


def main() -> None:
    names = [part.__name__ for part in PARTS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=names, default=names)
    arguments = parser.parse_args()
    if not torch.cuda.is_available() and arguments.parts != ["host_time"]:
        sys.exit("gpu_hour.py: no CUDA device here")
    begin("First hour on a GPU")
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        print(f"{properties}; CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}")
    for part in PARTS:
        if part.__name__ in arguments.parts:
            for line in lines(part, torch.device("cuda")):
                print(line, flush=True)


if __name__ == "__main__":
    main()
