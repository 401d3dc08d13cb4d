"""Fit the gate that mixes network and n-gram model, on the ends of training texts.

Each RUN was trained on the first 90% of a *training* split (or on a text that no figure is reported
of), so its held-out text is training text too; each TEXT is the file that it was trained on. A RUN
that is named twice counts twice. Runs of one KIND are left out together in the last column. Weak
and strong networks and texts of many kinds give a gate that suits all.
Prints `GATE_INPUT` and `GATE_OUTPUT` of `ngram/gate.py`.

python benchmarks/fit_gate.py checkpoints/hamlet:plays.txt:plays checkpoints/c:headers.txt:code
"""

import argparse
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from common import begin

from charrnn.checkpoints.model import load_model
from charrnn.core.config import MEMORY_ORDER
from charrnn.data.batches import IGNORED
from charrnn.data.corpus import load_corpus
from charrnn.evaluation.protocols import streamed
from charrnn.ngram.context import ContextTracker
from charrnn.ngram.gate import features, log_probabilities, share
from charrnn.ngram.word_model import count_corpus
from charrnn.nn.model import make_network
from charrnn.nn.network import load_weights

ASKED = 60_000
"""Characters that each run scores."""

HIDDEN = 6
"""Units of the gate."""

WEIGHT_PENALTY = 1e-5
ROUNDS = 250

CONSTANTS = np.arange(0, 1, 0.05)


@dataclass(eq=False)
class Case:
    """Predictions of network and n-gram model on the end of one training text."""

    name: str
    kind: str
    """Texts of one kind are left out together."""
    network: torch.Tensor
    """Probability of each character, (n,)."""
    memory: torch.Tensor
    seen: torch.Tensor
    """Input features of the gate, (n, 10)."""
    built_in: float
    """Loss with the gate of `ngram/gate.py`."""

    def loss(self, weight: torch.Tensor | float) -> torch.Tensor:
        """Return nats per character with a constant weight of the n-gram model."""
        return -torch.log((1 - weight) * self.network + weight * self.memory).mean()

    def fitted(self, gate: torch.Tensor) -> torch.Tensor:
        """Return nats per character with a gate, its weights as one vector."""
        into, out = unpack(gate)
        return self.loss(torch.sigmoid(torch.tanh(self.seen @ into) @ out[:-1] + out[-1]))


def unpack(gate: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the weights of the tanh units, and of the output."""
    return gate[: -HIDDEN - 1].view(-1, HIDDEN), gate[-HIDDEN - 1 :]


@cache
def make_case(run: Path, text: Path, kind: str, *, has_words: bool) -> Case:
    """Score the held-out text of a run."""
    model = load_model(run / "best.safetensors")
    corpus = load_corpus([text], model.train_config())
    if not model.has_learned(corpus):
        raise SystemExit(f"{run} was trained on another text than {text}")
    memory = count_corpus(corpus, MEMORY_ORDER, has_words=has_words)
    assert memory is not None  # an order is given
    network = make_network(model.config)
    load_weights(network, model.weights)
    rows, built_in, state, reader = [], [], None, None
    for batch in streamed(corpus.val[:ASKED]):
        state = state or network.empty_state(len(batch.inputs))
        reader = reader or ContextTracker(memory, len(batch.inputs))
        with torch.no_grad():
            state = state.clear(torch.from_numpy(batch.is_fresh))
            scores, state = network(torch.from_numpy(batch.inputs), state)
        contexts, lengths = reader.read(batch.inputs, batch.is_fresh)
        asked = batch.targets != IGNORED
        if not asked.any():
            continue
        logs = log_probabilities(scores.numpy()[asked])
        prediction = memory.predict(contexts[asked], lengths[asked])
        there = np.arange(len(logs)), batch.targets[asked]
        p, q, w = np.exp(logs[there]), prediction.p[there], share(logs, prediction)
        rows.append(np.column_stack([p, q, features(logs, prediction)]))
        built_in.append(-np.log((1 - w) * p + w * q))
    found = torch.from_numpy(np.concatenate(rows))
    loss = float(np.concatenate(built_in).mean())
    return Case(run.name, kind, found[:, 0], found[:, 1], found[:, 2:], loss)


def fit(cases: list[Case]) -> torch.Tensor:
    """Return the gate with the lowest mean loss over some cases."""
    torch.manual_seed(0)
    size = cases[0].seen.shape[1] * HIDDEN
    start = torch.cat([0.15 * torch.randn(size), 0.3 * torch.randn(HIDDEN + 1)]).double()
    gate = start.requires_grad_(True)
    optimizer = torch.optim.LBFGS([gate], max_iter=ROUNDS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.stack([case.fitted(gate) for case in cases]).mean()
        loss = loss + WEIGHT_PENALTY * gate.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return gate.detach()


def print_row(case: Case, gate: torch.Tensor, others: torch.Tensor) -> None:
    """Print the losses of a case with each way of mixing."""
    losses = [float(case.loss(float(w))) for w in CONSTANTS]
    best = int(np.argmin(losses))
    print(
        f"| {case.name} | {float(case.loss(0.0)):.4f} | {float(case.loss(1.0)):.4f} "
        f"| {losses[best]:.4f} at {CONSTANTS[best]:.2f} | {case.built_in:.4f} "
        f"| {float(case.fitted(gate)):.4f} | {float(case.fitted(others)):.4f} |",
        flush=True,
    )


def print_gate(gate: torch.Tensor) -> None:
    """Print the weights as `ngram/gate.py` has them."""
    into, out = unpack(gate)
    print("\nGATE_INPUT = (")
    for row in into.tolist():
        print(f"    ({', '.join(f'{value:.4f}' for value in row)}),")
    print(f")\nGATE_OUTPUT = ({', '.join(f'{value:.4f}' for value in out.tolist())})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="+", metavar="RUN:TEXT:KIND")
    parser.add_argument(
        "--words", action="store_true", help="the gate of a memory that knows words"
    )
    arguments = parser.parse_args()
    begin("The gate of the memory")
    cases = []
    for case in arguments.cases:
        run, text, kind = case.rsplit(":", 2)
        cases.append(make_case(Path(run), Path(text), kind, has_words=arguments.words))
    gate = fit(cases)
    without = {
        kind: fit([case for case in cases if case.kind != kind] or cases)
        for kind in {case.kind for case in cases}
    }
    print("| run | network | memory | best constant | built in | fitted | without its text |")
    print("|---|---|---|---|---|---|---|")
    for case in dict.fromkeys(cases):
        print_row(case, gate, without[case.kind])
    print_gate(gate)


if __name__ == "__main__":
    main()
