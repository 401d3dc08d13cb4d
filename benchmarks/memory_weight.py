"""The memory's weight, fitted on the end of the training text; the held-out text is never read.

Network and memory learn the first 90% of a text's training split, and are scored on its last 10%,
streamed, at weights from 0 to 0.9. For each discount of the memory the best weight is marked.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from common import begin

from charrnn.checkpoint import load_model
from charrnn.config import TrainConfig
from charrnn.corpus import load_corpus
from charrnn.counting import of_corpus
from charrnn.evaluation import streamed_batches
from charrnn.finding import create_run
from charrnn.memory import DISCOUNT, LOWEST_DISCOUNT, Reader
from charrnn.model import CharRNN, load_weights
from charrnn.training import train

WEIGHTS = np.arange(0, 0.95, 0.05)


def probabilities(path: Path, config: TrainConfig) -> tuple[np.ndarray, dict[float, np.ndarray]]:
    """Return the network's probability of each scored character, and the memory's by discount."""
    corpus = load_corpus([path], config)
    run = create_run(path.parent, "run", [])
    for _ in train(config, corpus, run):
        pass
    model = load_model(run.best)
    network = CharRNN(model.config)
    load_weights(network, model.weights)
    memory = of_corpus(corpus, config.memory)
    assert memory is not None
    discounts = sorted({0.7, 0.8, DISCOUNT, 0.95})
    readers = {d: None for d in discounts}
    found, remembered, state = [], {d: [] for d in discounts}, None
    for batch in streamed_batches(corpus.val):
        state = state or network.empty_state(len(batch.inputs))
        keep = torch.from_numpy(~batch.is_fresh)[None, :, None]
        with torch.no_grad():
            logits, state = network(torch.from_numpy(batch.inputs), tuple(p * keep for p in state))
        asked = batch.targets >= 0
        chosen = torch.softmax(logits, -1).gather(
            -1, torch.from_numpy(np.maximum(batch.targets, 0))[..., None]
        )
        found.append(chosen[..., 0].numpy()[asked])
        for d in discounts:
            readers[d] = readers[d] or Reader(memory, len(batch.inputs))
            memory.discounts = [LOWEST_DISCOUNT, *[d] * memory.order]
            p = readers[d].read(batch.inputs, batch.targets, batch.is_fresh)
            remembered[d].append(p[asked])
    run.close()
    return np.concatenate(found), {d: np.concatenate(p) for d, p in remembered.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--hidden-size", type=int, default=256)
    parser.add_argument("--order", type=int, default=7)
    arguments = parser.parse_args()
    begin("The memory's weight")
    data = arguments.text.read_bytes()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "training.txt"
        path.write_bytes(data[: int(len(data) * 0.9)])
        config = TrainConfig(
            steps=arguments.steps, hidden_size=arguments.hidden_size, batch_size=16, lr=8e-3,
            memory=arguments.order, ema_decay=0.99, sample_every=0,
        )  # fmt: skip
        network, remembered = probabilities(path, config)
    print(f"{arguments.text.name}: 1×{arguments.hidden_size}, {arguments.steps} steps; ", end="")
    print(f"{len(network):,} characters of the end of the training split\n")
    for discount, memory in remembered.items():
        losses = [-np.log((1 - w) * network + w * memory).mean() for w in WEIGHTS]
        best = int(np.argmin(losses))
        shown = ", ".join(
            f"{'**' if i == best else ''}{w:.2f} {loss:.4f}{'**' if i == best else ''}"
            for i, (w, loss) in enumerate(zip(WEIGHTS, losses, strict=True))
        )
        print(f"- discount {discount}: alone {-np.log(memory).mean():.4f}; {shown}")


if __name__ == "__main__":
    main()
