"""Fit the discounts of the n-gram model on the ends of training texts; held-out text is never read.

The n-grams of the first 90% of each TEXT's training split are counted, and score the rest,
streamed. Prints the loss of several choices, and the result of a coordinate search.
"""

import argparse
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from common import begin

from charrnn.data.vocab import Ids
from charrnn.evaluation.protocols import streamed
from charrnn.launch.text_info import memory_loss
from charrnn.ngram.counts import HIGH, LAST_LOW, LOW, LOWEST, Discounts, Order, runs_of
from charrnn.ngram.model import NgramModel, build

ASKED = 60_000
STEPS = (0.1, 0.05, 0.025)

Choice = tuple[Discounts, Discounts]
"""Discounts of the low orders, and of the high orders."""


@dataclass
class Case:
    """The n-gram model of a training text, and the rest of that text."""

    memory: NgramModel
    ids: Ids

    def loss(self, choice: Choice) -> float:
        """Return nats per character."""
        orders = [
            Order.of(o.keys, o.counts, LOWEST if k == 0 else choice[k > LAST_LOW])
            for k, o in enumerate(self.memory.orders)
        ]
        memory = NgramModel(orders, self.memory.vocab_size)
        return memory_loss(memory, streamed(self.ids)) or 0.0


def make_case(path: Path) -> Case:
    """Count the first 90% of a training split."""
    text = path.read_bytes().decode("utf-8", "replace")
    characters, ids = np.unique(list(text), return_inverse=True)
    ids = ids[: int(len(ids) * 0.9)].astype(np.uint16)
    end = int(len(ids) * 0.9)
    return Case(build(runs_of(ids[:end]), len(characters), 7), ids[end : end + ASKED])


def is_possible(choice: Choice) -> bool:
    """True if no discount exceeds its count, and discounts do not fall as counts rise."""
    return all(0 < d < count for each in choice for count, d in enumerate(each, start=1)) and all(
        a <= b for each in choice for a, b in pairwise(each)
    )


def search(cases: list[Case], choice: Choice) -> Choice:
    """Return the discounts with the lowest mean loss that a coordinate search reaches."""
    values = [d for each in choice for d in each]
    best = mean_loss(cases, choice)
    for step in STEPS:
        for place in range(len(values)):
            for change in (step, -step):
                tried = list(values)
                tried[place] += change
                one, two, more, first, second, third = tried
                candidate = ((one, two, more), (first, second, third))
                if is_possible(candidate) and (loss := mean_loss(cases, candidate)) < best:
                    best, values, choice = loss, tried, candidate
    return choice


def mean_loss(cases: list[Case], choice: Choice) -> float:
    """Return the mean loss over the texts."""
    return float(np.mean([case.loss(choice) for case in cases]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", nargs="+", type=Path, metavar="TEXT")
    texts = parser.parse_args().texts
    begin("The memory's discounts")
    cases = [make_case(path) for path in texts]
    print(f"| discounts | {' | '.join(path.name for path in texts)} |")
    print(f"|---|{'---|' * len(texts)}")
    usual = (LOW, HIGH)
    choices = {
        "0.9 for all": ((0.9,) * 3, (0.9,) * 3),
        "as built in": usual,
        "a search from there": search(cases, usual),
    }
    for name, choice in choices.items():
        losses = " | ".join(f"{case.loss(choice):.4f}" for case in cases)
        print(f"| {name}: {[[round(d, 3) for d in each] for each in choice]} | {losses} |")


if __name__ == "__main__":
    main()
