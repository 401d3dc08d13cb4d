"""Fit the powers with which an n-gram memory multiplies characters and words.

The last tenth of each TEXT is predicted, in windows of 256, from counts of the rest: training text,
or text that no figure is reported of. Prints losses in nats per character, and `POWERS` of
`ngram/word_model.py`.

python benchmarks/fit_words.py plays.txt prose.txt source.py
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from common import begin

from charrnn.core.config import MEMORY_ORDER, TrainConfig
from charrnn.data.batches import IGNORED
from charrnn.data.corpus import load_corpus
from charrnn.evaluation.protocols import COLD, held_out_batches
from charrnn.ngram.context import ContextTracker
from charrnn.ngram.word_model import BASE, POWERS, SMALLEST, WordModel, count_corpus

MOST_ASKED = 25_600
"""Characters of each text that are predicted."""


@dataclass(eq=False)
class Case:
    """Predictions of characters and words on the end of a text."""

    name: str
    logs: torch.Tensor
    """Logarithms of the probabilities of characters and words, (2, n, V)."""
    targets: torch.Tensor

    def loss(self, powers: torch.Tensor) -> torch.Tensor:
        """Return nats per character with powers, (2,)."""
        scores = powers[0] * self.logs[0] + powers[1] * self.logs[1]
        return torch.nn.functional.cross_entropy(scores, self.targets)


def make_case(path: Path) -> Case:
    """Predict the held-out text of a file."""
    corpus = load_corpus([path], TrainConfig())
    memory = count_corpus(corpus, MEMORY_ORDER, has_words=True)
    assert isinstance(memory, WordModel)
    logs, targets = [], []
    for batch in held_out_batches(corpus, COLD, MOST_ASKED):
        contexts, lengths = ContextTracker(memory, len(batch.inputs)).read(batch.inputs)
        asked = batch.targets != IGNORED
        characters = memory.characters.predict(contexts[asked], lengths[asked]).p
        base = memory.characters.predict(contexts[asked], np.minimum(lengths[asked], BASE)).p
        both = np.stack([characters, memory.refined(base, contexts[asked])])
        logs.append(torch.from_numpy(np.log(np.maximum(both, SMALLEST))))
        targets.append(torch.from_numpy(batch.targets[asked].astype(np.int64)))
    return Case(path.stem, torch.cat(logs, dim=1), torch.cat(targets))


def fit(cases: list[Case]) -> torch.Tensor:
    """Return the powers with the lowest mean loss over some cases."""
    powers = torch.tensor(POWERS, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([powers], line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.stack([case.loss(powers) for case in cases]).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    return powers.detach()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", nargs="+", type=Path, metavar="TEXT")
    texts = parser.parse_args().texts
    begin("The powers of characters and words")
    cases = [make_case(path) for path in texts]
    powers = fit(cases)
    print(
        "| text | characters | words | built in | fitted | without its text |\n|---|---|---|---|---|---|"
    )
    for case in cases:
        others = fit([other for other in cases if other is not case] or cases)
        columns = ([1.0, 0.0], [0.0, 1.0], POWERS, powers, others)
        losses = [float(case.loss(torch.as_tensor(column))) for column in columns]
        print(f"| {case.name} | {' | '.join(f'{loss:.4f}' for loss in losses)} |", flush=True)
    print(f"\nPOWERS = ({', '.join(f'{power:.2f}' for power in powers.tolist())})")


if __name__ == "__main__":
    main()
