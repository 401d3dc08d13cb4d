"""Dynamic evaluation: network and n-gram model keep learning on the scored text.

The n-gram model counts each symbol after it was scored. The network learns after each window: one
step of Adam on the loss of the window, and a small step back to the trained weights (Mikolov et
al., 2010; Krause et al., arXiv:1709.07432). Nothing is learned before it is scored.
"""

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch

from charrnn.data.vocab import Ids
from charrnn.evaluation.loss import Score
from charrnn.ngram.context import ContextTracker
from charrnn.ngram.gate import log_probabilities, share, target_probabilities
from charrnn.ngram.model import NgramModel
from charrnn.ngram.online import OnlineNgrams
from charrnn.nn.network import Network

WINDOW = 32
"""Symbols between two updates of the network."""

RATE, BETAS = 1e-3, (0.0, 0.999)
"""Of Adam; without momentum, so that each window changes the weights once."""

DECAY = 5e-3
"""Fraction of the way back to the trained weights at each update."""


class AdaptiveNetwork:
    """A copy of a network that learns from each window after it has read it.

    Args:
        network: The trained network; it is not changed.
        rate: Learning rate of Adam.
        decay: Fraction of the way back to the trained weights at each update.
    """

    def __init__(self, network: Network, rate: float = RATE, decay: float = DECAY) -> None:
        self.network, self.decay = deepcopy(network).requires_grad_(True), decay
        self.trained = [parameter.detach().clone() for parameter in network.parameters()]
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=rate, betas=BETAS)
        self.state = network.empty_state(1)

    def read(self, inputs: Ids, targets: Ids) -> torch.Tensor:
        """Return the logits of each next symbol, (T, V), then learn from the targets."""
        device = self.network.device
        fed = torch.from_numpy(inputs.astype(np.int64)).to(device)[None]
        logits, state = self.network(fed, self.state)
        self.state = state.detach()
        expected = torch.from_numpy(targets.astype(np.int64)).to(device)
        loss = torch.nn.functional.cross_entropy(logits[0], expected)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(self.network.parameters()), self.trained, self.decay)
        result: torch.Tensor = logits[0].detach()
        return result


def score_dynamically(
    network: Network,
    ids: Ids,
    memory: NgramModel | None = None,
    *,
    rate: float = RATE,
    decay: float = DECAY,
    show_done: Callable[[int], object] = lambda done: None,
) -> Score:
    """Score a text as one stream, with a network and an n-gram model that learn from it.

    Args:
        network: On the device to use; it is not changed.
        ids: The text, (N,), N >= 2.
        memory: n-gram model to mix in; it is not changed.
        rate: Learning rate of Adam; 0 leaves the network as it is.
        decay: Fraction of the way back to the trained weights at each update.
        show_done: Called with the number of symbols that are done.
    """
    learner = AdaptiveNetwork(network, rate, decay)
    online, totals = OnlineNgrams(memory) if memory else None, np.zeros(3)
    tracker = ContextTracker(memory, 1) if memory else None
    for begin in range(0, len(ids) - 1, WINDOW):
        end = min(begin + WINDOW, len(ids) - 1)
        targets = ids[begin + 1 : end + 1]
        logs = log_probabilities(learner.read(ids[begin:end], targets).cpu().numpy())
        p = np.exp(logs[np.arange(len(targets)), targets])
        totals[1] -= np.log(p).sum()
        if online is not None and tracker is not None:
            contexts, lengths = tracker.read(ids[None, begin:end])
            prediction = online.follow(contexts[0], lengths[0], targets)
            weight = share(logs, prediction, online.memory.weight)
            p = target_probabilities(logs, prediction, weight, targets)
            totals[2] += weight.sum()
        totals[0] -= np.log(p).sum()
        show_done(end)
    loss, network_loss, weight = (totals / (len(ids) - 1)).tolist()
    return Score(loss, network_loss, len(ids) - 1, weight)
