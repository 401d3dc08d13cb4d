"""Compare generated text with text that a person wrote and that the model has never read.

python benchmarks/quality_of_text.py TEXT MODEL --temperature 0.7 0.8 1.0 --min-p 0 0.05

TEXT is split in blocks of 20,000 characters: every other one is training text, which

    python benchmarks/quality_of_text.py TEXT --write-training FILE

writes for `charrnn train`. Of the others every tenth is real text for comparison, and the rest is
the judge's. All figures also for real text, which no setting should beat.

judge    loss of the samples, nats a character, under an n-gram model of the judge's nine tenths:
         as low as that of real text, not lower.
reverse  loss of real text under an n-gram model of the samples, minus the same for a model of as
         much real text: what the samples lack. Repetition and copying raise it.
auc      a logistic regression tells pieces of 1,000 characters from real ones, by hashed n-grams of
         characters and words, in five folds: 0.5 is by chance, 1 always. In the row of real text it
         compares pieces of the training text with the others.
unknown  words of 1,000 that do not occur in the training text.
copied   percentage of characters in spans of 30 or more of the training text, and the longest.
new N    percentage of distinct spans of N characters that do not occur in the training text.
distinct percentage of distinct runs of four words: a text that repeats itself has few.
"""

import argparse
import itertools
import re
import tempfile
import zlib
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from common import begin

from charrnn.checkpoints.model import Model, load_model
from charrnn.checkpoints.names import find_model
from charrnn.core.config import SampleConfig
from charrnn.data.vocab import CharVocabulary
from charrnn.ngram.context import ContextTracker
from charrnn.ngram.counts import runs_of
from charrnn.ngram.model import NgramModel, build
from charrnn.ngram.native import predictor
from charrnn.sampling.corpus.source import Source
from charrnn.sampling.jobs import Jobs
from charrnn.sampling.sampler import Sampler

GRAM, ORDER, PIECE, PIECES, FOLDS, DIMENSIONS = 4, 7, 1000, 400, 5, 1 << 15
SPANS = (8, 12, 20)
BLOCK, REAL = 20_000, 10
TOGETHER = 1 << 12
SETTINGS = ("temperature", "min_p", "top_p", "memory_weight", "no_repeat", "best_of")
PLAIN = SampleConfig()


def words(text: str) -> list[str]:
    """Return the words of a text, in lower case."""
    return re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", text.lower())


def variety(found: list[str]) -> float:
    """Return the fraction of 4-grams of words that are distinct."""
    grams = [tuple(found[i : i + GRAM]) for i in range(len(found) - GRAM + 1)]
    return len(set(grams)) / max(1, len(grams))


def blocks(text: str, every: int, first: int = 0) -> str:
    """Return one block of a text in so many, from the given one on."""
    return "".join(
        text[i * BLOCK : (i + 1) * BLOCK] for i in range(first, -(-len(text) // BLOCK), every)
    )


def spread_pieces(text: str, size: int, count: int) -> list[str]:
    """Return pieces of a text at equal distances."""
    found = pieces([text], size)
    return [found[i * len(found) // count] for i in range(min(count, len(found)))]


def spans(text: str, size: int) -> set[str]:
    """Return the distinct spans of a size."""
    return {text[i : i + size] for i in range(len(text) - size + 1)}


def model_of(text: str, vocab: CharVocabulary) -> NgramModel:
    """Return the n-gram model of a text."""
    return build(runs_of(vocab.encode(text)), vocab.size, ORDER)


def loss(memory: NgramModel, texts: list[str], vocab: CharVocabulary) -> float:
    """Return the mean loss of texts under an n-gram model, each read from its own start."""
    predict, total, count = predictor(memory), 0.0, 0
    for text in texts:
        ids = vocab.encode(text)
        contexts, lengths = ContextTracker(memory, 1).read(ids[None, :-1])
        for at in range(0, len(ids) - 1, TOGETHER):
            part = slice(at, at + TOGETHER)
            p = predict(contexts[0, part], lengths[0, part]).p
            targets = ids[1:][part]
            total -= float(np.log(p[np.arange(len(targets)), targets]).sum())
            count += len(targets)
    return total / count


def features(piece: str) -> torch.Tensor:
    """Return hashed counts of 1 to 5 characters and of 1 and 2 words, damped, of length one."""
    found = words(piece)
    grams = Counter(f"{n}{piece[i : i + n]}" for n in range(1, 6) for i in range(len(piece) - n))
    grams.update(f"w{word}" for word in found)
    grams.update(f"p{a} {b}" for a, b in itertools.pairwise(found))
    vector = torch.zeros(DIMENSIONS)
    for gram, times in grams.items():
        vector[zlib.crc32(gram.encode()) % DIMENSIONS] += np.log1p(times)
    return vector / vector.norm()


features_of_real = lru_cache(maxsize=PIECES)(features)


def told_apart(samples: list[str], real: list[str]) -> float:
    """Return the area under the ROC curve of a logistic regression, by cross-validation."""
    count = min(len(samples), len(real))
    x = torch.stack([*map(features, samples[:count]), *map(features_of_real, real[:count])])
    y = torch.cat([torch.ones(count), torch.zeros(count)])
    fold, scores = torch.arange(count).repeat(2) * FOLDS // count, torch.empty(2 * count)
    for each in range(FOLDS):
        weights = torch.zeros(DIMENSIONS, requires_grad=True)
        optimizer = torch.optim.LBFGS([weights], max_iter=60, line_search_fn="strong_wolfe")
        mean, known = x[fold != each].mean(0), y[fold != each]
        inputs = x[fold != each] - mean

        def closure(inputs=inputs, known=known, weights=weights, optimizer=optimizer):
            optimizer.zero_grad()
            errors = torch.nn.functional.binary_cross_entropy_with_logits(inputs @ weights, known)
            total = errors + 1e-4 * weights.square().sum()
            total.backward()
            return total

        optimizer.step(closure)
        scores[fold == each] = (x[fold == each] - mean) @ weights.detach()
    above = scores[:count, None] - scores[None, count:]
    return float((above > 0).float().mean() + (above == 0).float().mean() / 2)


def pieces(texts: list[str], size: int = PIECE) -> list[str]:
    """Return whole pieces of texts."""
    return [text[i : i + size] for text in texts for i in range(0, len(text) - size + 1, size)]


@dataclass
class Judge:
    """The texts of a comparison, and what is computed of them once."""

    model: Model
    training: str
    other: str
    real: list[str]
    source: Source

    def __post_init__(self):
        self.vocab = self.model.vocab
        self.memory = model_of(self.other, self.vocab)
        self.lexicon = set(words(self.training))
        self.known = {size: spans(self.training, size) for size in SPANS}
        self.of_real: dict[int, float] = {}

    def reverse(self, texts: list[str]) -> float:
        """Return what a model of the samples loses on real text against one of real text."""
        whole = "".join(texts)
        if len(whole) not in self.of_real:
            count = len(whole) // PIECE
            same = model_of("".join(spread_pieces(self.other, PIECE, count)), self.vocab)
            self.of_real[len(whole)] = loss(same, self.real, self.vocab)
        return loss(model_of(whole, self.vocab), self.real, self.vocab) - self.of_real[len(whole)]

    def row(self, name: str, texts: list[str], *, is_real: bool = False) -> str:
        """Return a row of the table."""
        found, whole = [word for text in texts for word in words(text)], "\n".join(texts)
        copies = self.source.search([self.source.codes(text, text.encode()) for text in texts])
        longest = max(each.longest[1] - each.longest[0] for each in copies)
        copied = sum(each.share * each.num_symbols for each in copies) / sum(map(len, texts))
        unknown = sum(word not in self.lexicon for word in found) / len(found)
        here = {size: spans(whole, size) for size in SPANS}
        fresh = [len(here[size] - self.known[size]) / len(here[size]) for size in SPANS]
        own = pieces(texts) if not is_real else spread_pieces(self.training, PIECE, PIECES)
        apart = f"{told_apart(own[:PIECES], spread_pieces(self.other, PIECE, PIECES)):.3f}"
        gap = "" if is_real else f"{self.reverse(texts):.3f}"
        return " | ".join(
            [f"| {name}", f"{loss(self.memory, texts, self.vocab):.3f}", gap, apart]
            + [f"{unknown * 1000:.1f}", f"{copied:.2%}", str(longest)]
            + [*(f"{each:.1%}" for each in fresh), f"{variety(found):.1%} |"]
        )


def readable(text: str, vocab: CharVocabulary) -> str:
    """Return a text without the characters that a model does not know."""
    return "".join(char for char in text if vocab.knows(char))


def name_of(config: SampleConfig) -> str:
    """Return the settings of a row: temperature, and what is not at its default."""
    named = {name: getattr(config, name) for name in SETTINGS[1:]}
    others = {name: value for name, value in named.items() if value != getattr(PLAIN, name)}
    shown = {"temperature": config.temperature} | others
    return ", ".join(f"{name.replace('_', '-')} {value:g}" for name, value in shown.items())


def make_parser() -> argparse.ArgumentParser:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("model", nargs="?", default="")
    parser.add_argument("--write-training", type=Path)
    parser.add_argument("--length", type=int, default=10_000)
    parser.add_argument("--texts", type=int, default=40)
    parser.add_argument("--temperature", type=float, nargs="+", default=[0.8])
    parser.add_argument("--min-p", type=float, nargs="+", default=[0.0])
    parser.add_argument("--top-p", type=float, nargs="+", default=[1.0])
    parser.add_argument("--memory-weight", type=float, nargs="+", default=[None])
    parser.add_argument("--no-repeat", type=int, nargs="+", default=[0])
    parser.add_argument("--best-of", type=int, nargs="+", default=[1])
    parser.add_argument("--seed", type=int, default=1)
    return parser


def main() -> None:
    arguments = make_parser().parse_args()
    whole, size = arguments.text.read_text(encoding="utf-8"), arguments.length
    if arguments.write_training:
        arguments.write_training.write_text(blocks(whole, 2), encoding="utf-8")
        return
    begin("Quality of text")
    torch.set_num_threads(1)
    model = load_model(find_model(Path("checkpoints"), arguments.model))
    training, rest = blocks(whole, 2), readable(blocks(whole, 2, 1), model.vocab)
    real = blocks(rest, REAL)
    other = "".join(blocks(rest, REAL, first) for first in range(1, REAL))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "training.txt").write_text(training, encoding="utf-8")
        source = Source([Path(folder)], model.reading())
        texts = pieces([real], size)[: arguments.texts]
        judge = Judge(model, training, other, texts, source)
        heading = ["setting", "judge", "reverse", "auc", "unknown", "copied", "longest"]
        heading += [*(f"new {each}" for each in SPANS), "distinct"]
        print(f"| {' | '.join(heading)} |\n|{'---|' * len(heading)}")
        print(judge.row("real text", texts, is_real=True), flush=True)
        sampler = Sampler(model, num_symbols=size * arguments.texts)
        for chosen in itertools.product(*(getattr(arguments, name) for name in SETTINGS)):
            config = SampleConfig(length=size, **dict(zip(SETTINGS, chosen, strict=True)))
            samples = sampler.write(Jobs([""], [config], arguments.texts, arguments.seed))
            print(judge.row(name_of(config), [sample.text for sample in samples]), flush=True)


if __name__ == "__main__":
    main()
