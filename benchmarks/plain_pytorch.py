"""Baselines: the training and sampling loops of a typical port of char-rnn to PyTorch."""

import numpy as np
import torch
from torch import nn

from charrnn.nn.device import autocast


class PlainNetwork(nn.Module):
    """Embedding, one nn.LSTM of all layers, linear."""

    def __init__(self, vocab_size, embedding_size, hidden_size, num_layers):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.lstm = nn.LSTM(embedding_size, hidden_size, num_layers, batch_first=True)
        self.decoder = nn.Linear(hidden_size, vocab_size)

    def forward(self, ids, state=None):
        output, state = self.lstm(self.embedding(ids), state)
        return self.decoder(output), state

    def take(self, weights):
        """Copy the weights of a charrnn network."""
        parameters = dict(self.named_parameters())
        with torch.no_grad():
            for name, array in weights.items():
                if name.startswith("layers."):
                    _, layer, rest = name.split(".")
                    name = "lstm." + rest.replace("_l0", f"_l{layer}")
                parameters[name].copy_(torch.from_numpy(np.array(array)))
        return self


class PlainTraining:
    """Training: cross-entropy, Adam, clipped gradients, carried state."""

    def __init__(self, vocab_size, config, device, precision):
        self.device, self.precision = device, precision
        self.network = PlainNetwork(
            vocab_size, config.embedding_size, config.hidden_size, config.num_layers
        ).to(device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3)
        self.state = None

    def update(self, batch, step):
        inputs = torch.from_numpy(batch.inputs).to(self.device)
        targets = torch.from_numpy(batch.targets).to(self.device)
        with autocast(self.device, self.precision):
            logits, (h, c) = self.network(inputs, self.state)
        self.state = (h.detach().float(), c.detach().float())
        loss = nn.functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()


@torch.no_grad()
def plain_sampling(network, length, num_streams, temperature, write):
    """Sample one character at a time: step, softmax, multinomial, int.

    All streams of a batch are drawn; only the first is written.
    """
    network.eval()
    ids, state = (
        torch.zeros((num_streams, 1), dtype=torch.int64, device=network.decoder.weight.device),
        None,
    )
    for _ in range(length):
        logits, state = network(ids, state)
        probabilities = torch.softmax(logits[:, -1] / temperature, dim=-1)
        ids = torch.multinomial(probabilities, 1)
        write(chr(32 + int(ids[0])))
