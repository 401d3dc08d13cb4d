"""How much of another text a model writes: with its memory (--memory-from), with a model of it (--with).

Both texts are cut into halves. A model learns the first half of A; the first half of B is mixed in.
The judge, n-gram models of the second halves, decides for each window of 200 written characters
whether it is more like A or like B. The share of B must rise with the weight.

python benchmarks/mix_of_texts.py A.txt B.txt --steps 1000
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import begin

from charrnn.checkpoints.model import load_model
from charrnn.core.config import SampleConfig
from charrnn.data.vocab import CharVocabulary
from charrnn.mixing.request import Mixing
from charrnn.ngram.context import ContextTracker
from charrnn.ngram.counts import runs_of
from charrnn.ngram.model import build
from charrnn.sampling.jobs import Jobs
from charrnn.sampling.sampler import Sampler

WEIGHTS = tuple(i / 8 for i in range(9))

WINDOW, ORDER = 200, 4
"""Characters that are judged together, and context of the judge."""


def trained(text, folder, steps, hidden_size):
    """Return the checkpoint of a model of a text."""
    words = ["--steps", steps, "--hidden-size", hidden_size, "--threads", 1, "--seed", 1, "-q"]
    command = [sys.executable, "-m", "charrnn", "train", text, "--checkpoints", folder, *words]
    done = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    return Path(done.stdout.strip())


class Judge:
    """Two n-gram models of texts with the same characters, those of both texts."""

    def __init__(self, *texts):
        self.vocab = CharVocabulary(map(ord, set("".join(texts))))
        self.memories = [
            build(runs_of(self.vocab.encode(text)), self.vocab.size, ORDER) for text in texts
        ]

    def losses(self, text):
        """Return the surprise of each model at each character, (2, T)."""
        ids = self.vocab.encode("".join(filter(self.vocab.knows, text)))
        rows = []
        for memory in self.memories:
            contexts, lengths = ContextTracker(memory, 1).read(ids[None, :-1])
            p = memory.predict(contexts[0], lengths[0]).p[np.arange(len(ids) - 1), ids[1:]]
            rows.append(-np.log(p))
        return np.array(rows)

    def share(self, text):
        """Return the share of windows that are more like the second text."""
        losses = self.losses(text)
        count = losses.shape[1] // WINDOW
        sums = losses[:, : count * WINDOW].reshape(2, count, WINDOW).sum(axis=2)
        return float((sums[1] < sums[0]).mean())


def ranks(values):
    """Return the rank of each value; equal ones have their mean rank."""
    values = np.array(values)
    return np.array([(values < v).sum() + ((values == v).sum() - 1) / 2 for v in values])


def spearman(first, second):
    """Return Spearman's rank correlation of two series."""
    return float(np.corrcoef(ranks(first), ranks(second))[0, 1])


def written(model, mixing, count, length):
    """Return texts of a model with what is mixed in, as one."""
    product, engine = mixing.product(model)
    added = mixing.memories(product, {}, lambda note: None)
    sampler = Sampler(product, engine=engine, added=added, num_symbols=count * length)
    jobs = Jobs([""], [SampleConfig(length=length)], count, 1)
    return "".join(sample.text for sample in sampler.write(jobs))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", type=Path, nargs=2, metavar="TEXT")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--length", type=int, default=2000)
    options = parser.parse_args()
    begin("Share of another text in what a model writes")
    texts = [path.read_text("utf-8") for path in options.texts]
    judge = Judge(*(text[len(text) // 2 :] for text in texts))
    with tempfile.TemporaryDirectory() as folder:
        halves = [Path(folder, f"{name}.txt") for name in "AB"]
        for half, text in zip(halves, texts, strict=True):
            half.write_text(text[: len(text) // 2], "utf-8")
        paths = [trained(half, folder, options.steps, options.hidden_size) for half in halves]
        model, rows = load_model(paths[0]), []
        print("| weight | share of B, --memory-from | share of B, --with |\n|---|---|---|")
        for weight in WEIGHTS:
            ways = Mixing(texts=((halves[1], weight),)), Mixing(models=((paths[1], weight),))
            texts = [written(model, way, options.count, options.length) for way in ways]
            rows.append([judge.share(text) for text in texts])
            print(f"| {weight:g} | {rows[-1][0]:.3f} | {rows[-1][1]:.3f} |", flush=True)
    found = [spearman(WEIGHTS, shares) for shares in zip(*rows, strict=True)]
    print(f"| Spearman | {found[0]:.3f} | {found[1]:.3f} |")


if __name__ == "__main__":
    main()
