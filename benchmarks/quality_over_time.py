"""Held-out loss of charrnn after given times, beside the n-gram model alone and nanoGPT on a CPU.

python benchmarks/quality_over_time.py TEXT --budgets 10s 30s 1m 5m 30m --folder DIR --nanogpt CHECKOUT

Each budget is a run of its own in DIR, trained with the defaults (`charrnn train TEXT --max-time
B`). A finished run is not repeated; a run that takes longer than --at-most is saved, and the same
command resumes it. Every figure is over all of the held-out text, in float32. nanoGPT is trained in
CHECKOUT, its own repository, with the recipe of its README for a CPU; its predictions are also
mixed with the same n-gram model; --nanogpt-iters sets how long it trains.

With --variants, each budget is trained once with each set of options, each in a folder of its own:
    --variants "" "--attention 512" "--cell gru" "--cell transformer"
"""

import argparse
import json
import pickle
import signal
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import begin

from charrnn.cli.option_types import Duration
from charrnn.core.config import MEMORY_ORDER, TrainConfig
from charrnn.data.corpus import Corpus, load_corpus
from charrnn.evaluation.protocols import cold, streamed
from charrnn.launch.text_info import memory_loss
from charrnn.ngram.context import ContextTracker
from charrnn.ngram.gate import log_probabilities, share
from charrnn.ngram.model import NgramModel
from charrnn.ngram.word_model import count_corpus

NANOGPT_CPU = [
    "--device=cpu", "--compile=False", "--eval_iters=20", "--block_size=64",
    "--batch_size=12", "--n_layer=4", "--n_head=4", "--n_embd=128", "--dropout=0.0",
]  # fmt: skip
"""Arguments in nanoGPT's README for a CPU; it evaluates at the beginning and at the end only."""

NANOGPT_ITERS = 2000
NANOGPT_CHARS = 12 * 64
"""Iterations of that recipe, and characters of each."""

BLOCK = 64


def charrnn(*words: object) -> list[str]:
    """Return a command line."""
    return [sys.executable, "-m", "charrnn", *map(str, words)]


def train(
    text: Path, budget: str, folder: Path, options: list[str], at_most: float
) -> float | None:
    """Train until a budget is used up; return the seconds of all processes, None if it is not."""
    run, log = folder / budget, folder / f"{budget}.seconds"
    earlier = float(log.read_text()) if log.exists() else 0.0
    command = charrnn(
        "train", text, "--checkpoints", folder, "--run", budget, "--resume", "-q", *options
    )
    if is_finished(run):
        return earlier
    begin_at = time.monotonic()
    process = subprocess.Popen([*command, "--max-time", budget], stdout=subprocess.DEVNULL)
    try:
        process.wait(at_most)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGUSR1)
        process.wait()
    log.write_text(str(earlier + time.monotonic() - begin_at))
    if process.returncode not in (0, 75):
        raise SystemExit(f"charrnn train ended with {process.returncode}")
    return float(log.read_text()) if process.returncode == 0 else None


def is_finished(run: Path) -> bool:
    """True if a run has finished."""
    metrics = run / "metrics.jsonl"
    if not metrics.exists():
        return False
    last = json.loads(metrics.read_text().splitlines()[-1])
    return last.get("event") == "finished" and last["stop_reason"] in ("finished", "max_time")


def score(text: Path, run: Path) -> dict[str, dict[str, Any]]:
    """Return a run's figures by protocol."""
    command = charrnn("score", text, "-m", run, "--held-out", "--json")
    for protocol in ("streamed", "cold-256", f"cold-{BLOCK}"):
        command += ["--protocol", protocol]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {line["protocol"]: line for line in map(json.loads, lines)}


def row_of(name: str, run: Path, seconds: float, found: dict[str, dict[str, Any]]) -> str:
    """Return a row of the table."""
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    settings = (run / "config.toml").read_text().splitlines()
    shape = dict(line.split(" = ") for line in settings if " = " in line)
    end = events[-1]
    figures = [found[p] for p in ("streamed", "cold-256", f"cold-{BLOCK}")]
    cells = [f"{each['loss']:.4f}" for each in figures]
    cells += [f"{each['network_loss']:.4f}" for each in figures]
    return (
        f"| {name} | {shape['num_layers']}×{shape['hidden_size']} | {end['seconds']:.1f} "
        f"| {seconds:.1f} | {end['epoch']:.2f} | {' | '.join(cells)} |"
    )


def memory_row(corpus: Corpus, memory: NgramModel, seconds: float) -> str:
    """Return the row of the n-gram model alone."""
    protocols = (streamed(corpus.val), cold(corpus.val, 256), cold(corpus.val, BLOCK))
    losses = " | ".join(f"{memory_loss(memory, batches):.4f}" for batches in protocols)
    return f"| memory alone | | {seconds:.1f} | | 1 | {losses} | | | |"


@torch.no_grad()
def rival_loss(network: Any, corpus: Corpus, memory: NgramModel | None) -> float:
    """Return the loss of another model in cold windows, alone or mixed with an n-gram model."""
    total = count = 0.0
    for batch in cold(corpus.val, BLOCK):
        targets, rows = batch.targets.ravel(), np.arange(batch.targets.size)
        read, wanted = (torch.tensor(ids) for ids in (batch.inputs, batch.targets))
        logs = log_probabilities(network(read, wanted)[0].flatten(0, 1).numpy())
        p = np.exp(logs[rows, targets])
        if memory is not None:
            contexts, lengths = ContextTracker(memory, len(batch.inputs)).read(batch.inputs)
            prediction = memory.predict(contexts.ravel(), lengths.ravel())
            weight = share(logs, prediction)
            p = (1 - weight) * p + weight * prediction.p[rows, targets]
        total -= float(np.log(p).sum())
        count += len(p)
    return total / count


def nanogpt_rows(checkout: Path, iters: int, corpus: Corpus, memory: NgramModel) -> list[str]:
    """Train nanoGPT with its CPU recipe, unless already trained, and return its rows."""
    out = checkout / "out-shakespeare-char" / "ckpt.pt"
    log = checkout / "charrnn.seconds"
    if not log.exists():
        write_data(checkout / "data" / "shakespeare_char", corpus)
        command = [sys.executable, "train.py", "config/train_shakespeare_char.py", *NANOGPT_CPU]
        names = ("max_iters", "lr_decay_iters", "eval_interval")
        command += [f"--{name}={iters}" for name in names]
        begin_at = time.monotonic()
        subprocess.run(command, cwd=checkout, check=True, stdout=subprocess.DEVNULL)
        log.write_text(str(time.monotonic() - begin_at))
    sys.path.insert(0, str(checkout))
    from model import GPT, GPTConfig  # type: ignore[import-not-found]

    kept = torch.load(out, map_location="cpu", weights_only=True)
    network = GPT(GPTConfig(**kept["model_args"]))
    network.load_state_dict(kept["model"])
    network.eval()
    alone, both = (rival_loss(network, corpus, m) for m in (None, memory))
    seconds = f"{float(log.read_text()):.1f}"
    epochs = f"{iters * NANOGPT_CHARS / len(corpus.train):.2f}"
    return [
        f"| nanoGPT, its CPU recipe | 4×128 | | {seconds} | {epochs} | | | | | | {alone:.4f} |",
        f"| the same, mixed with the memory | | | | | | | {both:.4f} | | | |",
    ]


def write_data(folder: Path, corpus: Corpus) -> None:
    """Write a text in the format of nanoGPT."""
    for name, ids in (("train", corpus.train), ("val", corpus.val)):
        ids.astype(np.uint16).tofile(folder / f"{name}.bin")
    (folder / "meta.pkl").write_bytes(pickle.dumps({"vocab_size": corpus.vocab.size}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("--budgets", nargs="+", default=["10s", "30s", "1m", "5m"])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--nanogpt", type=Path)
    parser.add_argument("--at-most", default="9m")
    parser.add_argument("--nanogpt-iters", type=int, default=NANOGPT_ITERS)
    parser.add_argument("--variants", nargs="+", default=[""])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    begin("Time to quality")
    print("Losses in nats per character; first with the memory, then of the network alone.\n")
    print("| budget | network | seconds | whole process | epochs | streamed | cold-256 | cold-64 "
          "| streamed | cold-256 | cold-64 |\n" + "|---" * 11 + "|")  # fmt: skip
    corpus = load_corpus([arguments.text], TrainConfig())
    begin_at = time.monotonic()
    memory = count_corpus(corpus, MEMORY_ORDER, has_words=True)
    assert memory is not None  # an order is given
    print(memory_row(corpus, memory, time.monotonic() - begin_at), flush=True)
    at_most = Duration().convert(arguments.at_most, None, None)
    for budget, variant, seed in product(arguments.budgets, arguments.variants, arguments.seeds):
        folder = arguments.folder / "_".join([*variant.replace("-", "").split(), f"seed{seed}"])
        options = [*variant.split(), "--seed", str(seed)]
        name = f"{budget} {variant}".strip()
        seconds = train(arguments.text, budget, folder, options, at_most)
        if seconds is None:
            raise SystemExit(f"{name}: not finished yet; the same command continues it")
        run = folder / budget
        print(row_of(name, run, seconds, score(arguments.text, run)), flush=True)
    if arguments.nanogpt:
        print("\n".join(nanogpt_rows(arguments.nanogpt, arguments.nanogpt_iters, corpus, memory)))


if __name__ == "__main__":
    main()
