"""Fit the powers with which `fill` and `proof` read a text from both sides.

Each RUN was trained on the first 90% of a *training* split (or on a text that no figure is reported
of), so its held-out text is training text too; each TEXT is the file that it was trained on. At random
positions of it every symbol is tried in the place of the one that is there. The powers are those that
make the own symbol likeliest. The last column leaves out the text in the row.
Prints `PROPOSAL` and `POWERS` of `infill/edits.py`; and, where each case also names a run of both
directions on its text, `TWO_WAY` of `infill/two_way.py`.

python benchmarks/fit_powers.py checkpoints/plays:plays.txt checkpoints/code:code.txt
python benchmarks/fit_powers.py checkpoints/plays:plays.txt:checkpoints/plays-both
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from common import begin

from charrnn.checkpoints.model import load_model
from charrnn.data.corpus import load_corpus
from charrnn.infill.edits import POWERS, PROPOSAL, Edits, Side
from charrnn.infill.reader import log_unigrams, readers
from charrnn.infill.two_way import TWO_WAY, TwoWay

PLACES, MARGIN = 3000, 16
"""Positions of a text that are tried, and symbols at its ends that are not."""

ROUNDS = 60


@dataclass(eq=False)
class Case:
    """What is predicted at random positions of the end of one text."""

    name: str
    own: torch.Tensor
    """The symbol that is there, (n,)."""
    guess: torch.Tensor
    """Log-probabilities of each symbol: forward, backward, unigram, (n, V, 3)."""
    whole: torch.Tensor
    """Differences of the whole: forward first and rest, backward first and rest, (n, V, 4)."""
    two_way: torch.Tensor
    """Gain by the built-in powers, and the prediction of a network of both directions, (n, V, 2)."""


def make_case(run: Path, text: Path, both: Path | None = None) -> Case:
    """Try every symbol at random positions of the held-out text of a run."""
    model = load_model(run / "best.safetensors")
    corpus = load_corpus([text], model.train_config())
    if not model.has_learned(corpus):
        raise SystemExit(f"{run} was trained on another text than {text}")
    ids = np.asarray(corpus.val, dtype=np.int64)
    sides = [
        Side(reader, each, (1.0, 1.0))
        for reader, each in zip(readers(model), (ids, ids[::-1]), strict=True)
    ]
    for side in sides:
        side.open(0, len(ids))
    V, T = model.vocab.size, len(ids)
    inner = np.arange(MARGIN, T - MARGIN)
    at = np.sort(np.random.default_rng(0).choice(inner, min(PLACES, len(inner)), replace=False))
    begins, symbols = np.repeat(at, V), np.tile(np.arange(V), len(at))
    edits = Edits(begins, begins + 1, np.stack([symbols, np.full_like(symbols, -1)], axis=1))
    parts = [*sides[0].differences(edits), *sides[1].differences(edits.turned(T))]
    unigrams = np.broadcast_to(log_unigrams(sides[0].reader.memory), (len(at), V))
    guess = [sides[0].row(at), sides[1].row(T - 1 - at), unigrams]
    whole = np.stack([part.reshape(-1, V) for part in parts], axis=-1)
    judge = TwoWay.of(load_model(both / "best.safetensors")) if both else None
    logs = judge.logs(ids, 0, T)[at] if judge else np.zeros((len(at), V))
    return Case(
        run.name,
        torch.from_numpy(ids[at]),
        torch.from_numpy(np.stack(guess, axis=-1).astype(np.float64)),
        torch.from_numpy(whole),
        torch.from_numpy(np.stack([whole @ np.ravel(POWERS), logs], axis=-1)),
    )


def loss(features: torch.Tensor, own: torch.Tensor, powers: torch.Tensor) -> torch.Tensor:
    """Return nats per hidden symbol."""
    return torch.nn.functional.cross_entropy(features @ powers, own)


def fit(cases: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """Return the powers with the lowest mean loss over (features, own symbols)."""
    powers = torch.full((cases[0][0].shape[-1],), 0.5, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([powers], max_iter=ROUNDS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        total = torch.stack([loss(*case, powers) for case in cases]).mean()
        total.backward()
        return total

    optimizer.step(closure)
    return powers.detach()


def report(name: str, cases: list[Case], built_in: list[float]) -> None:
    """Print the losses with each choice of powers, and the fitted ones."""
    data = [(getattr(case, name), case.own) for case in cases]
    fitted, known = fit(data), torch.tensor(built_in, dtype=torch.float64)
    print(f"\n| {name} | built in | fitted | without its text |\n|---|---|---|---|")
    for i, case in enumerate(cases):
        others = fit(data[:i] + data[i + 1 :] or data)
        losses = [float(loss(*data[i], powers)) for powers in (known, fitted, others)]
        print(f"| {case.name} | {' | '.join(f'{each:.4f}' for each in losses)} |")
    print(f"\nfitted: {', '.join(f'{value:.2f}' for value in fitted.tolist())}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="+", metavar="RUN:TEXT[:BOTH]")
    words = parser.parse_args().cases
    begin("The powers of both sides")
    cases = [make_case(*map(Path, word.split(":"))) for word in words]
    forward, backward, unigram = PROPOSAL
    report("guess", cases, [forward, backward, -unigram])
    report("whole", cases, [power for side in POWERS for power in side])
    if all(word.count(":") == 2 for word in words):
        report("two_way", cases, [*TWO_WAY])


if __name__ == "__main__":
    main()
