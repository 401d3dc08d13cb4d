"""The memory's share in the mix, fitted on the end of training texts; held-out text is never read.

For each TEXT:STEPS:HIDDEN a network and a memory learn the first 90% of the text's training split
and are asked about its last 10%, streamed. `memory.SHARE` is what this prints for all of them
together; beside it stand the best constant of each, and the function fitted on the others only.
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from common import begin

from charrnn.checkpoint import load_model
from charrnn.config import TrainConfig
from charrnn.corpus import load_corpus
from charrnn.finding import create_run
from charrnn.memory import Reader
from charrnn.model import CharRNN, load_weights
from charrnn.protocols import streamed
from charrnn.training import train

CONSTANTS = np.arange(0, 1, 0.05)


@dataclass
class Case:
    """What network and memory say of the end of one training text."""

    name: str
    network: torch.Tensor
    """Probability of each character, (n,)."""
    memory: torch.Tensor
    features: torch.Tensor
    """(n, 5): 1, entropy, order, log total, log followers."""

    def loss(self, share: torch.Tensor | float) -> torch.Tensor:
        return -torch.log((1 - share) * self.network + share * self.memory).mean()

    def fitted(self, coefficients: torch.Tensor) -> torch.Tensor:
        return self.loss(torch.sigmoid(self.features @ coefficients))


def make_case(text: Path, steps: int, hidden_size: int) -> Case:
    """Train, and ask."""
    data = text.read_bytes()
    config = TrainConfig(
        steps=steps, hidden_size=hidden_size, batch_size=16, lr=8e-3 * 256 / hidden_size, memory=7,
        ema_decay=0.99, sample_every=0,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "training.txt"
        path.write_bytes(data[: int(len(data) * 0.9)])
        corpus = load_corpus([path], config)
        run = create_run(Path(name), "run", [])
        for _ in train(config, corpus, run):
            pass
        model = load_model(run.best)
        run.close()
    network = CharRNN(model.config)
    load_weights(network, model.weights)
    assert model.memory is not None
    rows, state, reader = [], None, None
    for batch in streamed(corpus.val[:400_000]):
        state = state or network.empty_state(len(batch.inputs))
        reader = reader or Reader(model.memory, len(batch.inputs))
        keep = torch.from_numpy(~batch.is_fresh)[None, :, None]
        with torch.no_grad():
            logits, state = network(torch.from_numpy(batch.inputs), tuple(p * keep for p in state))
        logs = torch.log_softmax(logits.double(), -1).numpy()
        said = reader.read(batch.inputs, batch.targets, batch.is_fresh)
        asked = batch.targets >= 0
        chosen = np.take_along_axis(logs, np.maximum(batch.targets, 0)[..., None], -1)[..., 0]
        entropy = -(np.exp(logs) * logs).sum(-1)
        columns = (np.exp(chosen), said.p, np.ones_like(entropy), entropy, said.order,
                   np.log(said.total), np.log(said.followers))  # fmt: skip
        rows.append(np.stack([column[asked] for column in columns], axis=1))
    found = torch.from_numpy(np.concatenate(rows))
    return Case(
        f"{text.name} 1×{hidden_size} {steps} steps", found[:, 0], found[:, 1], found[:, 2:]
    )


def fit(cases: list[Case]) -> torch.Tensor:
    """Return the coefficients with the least mean loss over some cases."""
    coefficients = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([coefficients], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.stack([case.fitted(coefficients) for case in cases]).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    return coefficients.detach()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="+", metavar="TEXT:STEPS:HIDDEN")
    begin("The memory's share")
    cases = []
    for word in parser.parse_args().cases:
        text, steps, hidden_size = word.rsplit(":", 2)
        cases.append(make_case(Path(text), int(steps), int(hidden_size)))
    joint = fit(cases)
    print("| case | network | memory | best constant | fitted on all | fitted on the others |")
    print("|---|---|---|---|---|---|")
    for case in cases:
        losses = [float(case.loss(float(w))) for w in CONSTANTS]
        best = int(np.argmin(losses))
        others = [other for other in cases if other is not case] or cases
        print(
            f"| {case.name} | {float(case.loss(0.0)):.4f} | {float(case.loss(1.0)):.4f} "
            f"| {losses[best]:.4f} at {CONSTANTS[best]:.2f} | {float(case.fitted(joint)):.4f} "
            f"| {float(case.fitted(fit(others))):.4f} |"
        )
    print(f"\nSHARE = ({', '.join(f'{value:.3f}' for value in joint.tolist())})")


if __name__ == "__main__":
    main()
