"""Training speed: charrnn's update beside the plain nn.LSTM loop that any port would write.

Same sizes, same precision, same text; in turn A B B A; the ratio is what counts. charrnn does
more in a step: dropout masks, averaged weights, carried state with restarts.
"""

import argparse
import statistics
import time

import numpy as np
import torch
from common import begin, spread
from torch import nn

from charrnn.batches import Streams
from charrnn.config import TrainConfig
from charrnn.device import autocast, default_threads, pick_device, pick_precision, synchronise
from charrnn.learner import Learner

V = 65


class PlainLoop:
    """Embedding, nn.LSTM, linear; cross-entropy; Adam; clipped gradients; carried state."""

    def __init__(self, config, device, precision):
        self.device, self.precision = device, precision
        self.embedding = nn.Embedding(V, config.embedding_size)
        self.lstm = nn.LSTM(
            config.embedding_size, config.hidden_size, config.num_layers, batch_first=True
        )
        self.decoder = nn.Linear(config.hidden_size, V)
        self.model = nn.ModuleList([self.embedding, self.lstm, self.decoder]).to(device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)
        self.state = None

    def update(self, batch, step):
        inputs = torch.from_numpy(batch.inputs).to(self.device)
        targets = torch.from_numpy(batch.targets).to(self.device)
        with autocast(self.device, self.precision):
            output, (h, c) = self.lstm(self.embedding(inputs), self.state)
            logits = self.decoder(output)
        self.state = (h.detach().float(), c.detach().float())
        loss = nn.functional.cross_entropy(logits.float().reshape(-1, V), targets.reshape(-1))
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()


class Ours:
    """charrnn's learner."""

    def __init__(self, config):
        self.learner = Learner(config, config.model(V), config.batch_size)

    def update(self, batch, step):
        self.learner.update(batch, step, 1e-3)


def rate(subject, streams, device, steps):
    """Return characters a second over some steps."""
    begin_time = time.perf_counter()
    for step in range(steps):
        subject.update(streams.batch(step), step)
    synchronise(device)
    return steps * streams.batch_size * streams.seq_len / (time.perf_counter() - begin_time)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="a block's length, about")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--dropout", type=float, default=0.1)
    arguments = parser.parse_args()
    begin("Training speed")
    device = pick_device(arguments.device)
    precision = pick_precision(arguments.precision, device)
    torch.set_num_threads(default_threads())
    ids = np.random.default_rng(0).integers(0, V, 1_000_000).astype(np.uint8)
    print(f"{device}, {precision}, {torch.get_num_threads()} threads, dropout {arguments.dropout}")
    for layers, hidden, B, T in (
        (1, 256, 16, 64),
        (1, 384, 16, 64),
        (1, 512, 32, 64),
        (2, 256, 32, 64),
    ):
        config = TrainConfig(
            num_layers=layers, hidden_size=hidden, embedding_size=64, batch_size=B, seq_len=T,
            dropout=arguments.dropout, weight_drop=arguments.dropout,
            device=arguments.device, precision=arguments.precision,
        )  # fmt: skip
        streams = Streams(ids, B, T, 0, 0.01)
        subjects = {"ours": Ours(config), "plain": PlainLoop(config, device, precision)}
        warm = {name: rate(subject, streams, device, 3) for name, subject in subjects.items()}
        steps = max(3, int(arguments.seconds * min(warm.values()) / (B * T)))
        rates: dict[str, list[float]] = {"ours": [], "plain": []}
        for round_number in range(arguments.rounds):
            order = ["ours", "plain"] if round_number % 2 == 0 else ["plain", "ours"]
            for name in order:
                rates[name].append(rate(subjects[name], streams, device, steps))
        ratios = [a / b for a, b in zip(rates["ours"], rates["plain"], strict=True)]
        print(
            f"{layers}x{hidden}, B {B}, T {T}: charrnn {statistics.median(rates['ours']):,.0f}, "
            f"plain {statistics.median(rates['plain']):,.0f} char/s, "
            f"ratio {spread(ratios, '', 2)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
