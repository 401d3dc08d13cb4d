"""Scoring by a model that goes on learning from what it has scored: memory and network.

The memory counts each symbol once it was scored; so does the network, a window at a time: a step
of Adam on what the window cost, and a small step back to the trained weights (dynamic evaluation:
Mikolov et al., 2010; Krause et al., arXiv:1709.07432). Nothing is ever learned before it is scored.
"""

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray

from charrnn.data.vocab import Ids
from charrnn.evaluation.loss import Score
from charrnn.ngram.context import ContextTracker
from charrnn.ngram.counts import Floats, Keys, mask
from charrnn.ngram.gate import log_probabilities, share
from charrnn.ngram.model import NgramModel, NgramPrediction
from charrnn.nn.model import CharRNN, detach

WINDOW = 32
"""Symbols between two updates of the network."""

RATE, BETAS = 1e-3, (0.0, 0.999)
"""Of Adam; without momentum, so that a window changes the weights once."""

DECAY = 5e-3
"""Share of the way back to the trained weights at each update."""


class OnlineNgrams:
    """A memory that goes on counting, as if what it has seen had been a second training text.

    A key that only began a training text, and so was counted without anything before it, counts one
    more here than in a memory built anew, once something precedes it.

    Args:
        memory: Counts of the training text; they are not changed.
    """

    def __init__(self, memory: NgramModel) -> None:
        self.memory = memory
        self._new: list[dict[int, dict[int, int]]] = [{} for _ in memory.orders]

    def follow(self, contexts: Keys, lengths: NDArray[np.int64], symbols: Ids) -> NgramPrediction:
        """Return how likely everything is at each symbol, and count it then.

        Args:
            contexts: The K symbols before each, packed; (n,).
            lengths: How many of them there are really, 0 to K; (n,).
            symbols: One after the other, (n,).
        """
        found = [
            self._climb(*place)
            for place in zip(contexts.tolist(), lengths.tolist(), symbols.tolist(), strict=True)
        ]
        p, sure = np.stack([each[0] for each in found]), np.array([each[1] for each in found])
        return NgramPrediction(p, *sure.T)

    def _climb(self, context: int, length: int, symbol: int) -> tuple[Floats, tuple[float, ...]]:
        """Return the prediction after a context, how sure it is, and count what came."""
        p, sure = np.full(self.memory.vocab_size, 1.0 / self.memory.vocab_size), (0.0, 1.0, 1.0)
        seen: list[int] = []
        is_known = True
        for k in range(length + 1):
            counts = self._counts(k, context & ((1 << self.memory.bits * k) - 1))
            seen.append(int(counts[symbol]))
            is_known = is_known and bool(counts.any())
            if is_known:
                total, discounts = counts.sum(), self.memory.orders[k].discounted(counts)
                p = (counts - discounts + discounts.sum() * p) / total
                sure = (float(k), float(total), float(np.count_nonzero(counts)))
        self._learn(context, symbol, seen)
        return p, sure

    def _counts(self, order: int, context: int) -> NDArray[np.int64]:
        """Return how often each symbol was counted after a context, (V,)."""
        counts, stored = np.zeros(self.memory.vocab_size, dtype=np.int64), self.memory.orders[order]
        begin, end = self.memory.followers(order, context)
        names = stored.keys[begin:end] & mask(self.memory.bits)
        counts[names.astype(np.intp)] = stored.counts[begin:end]
        for symbol, count in self._new[order].get(context, {}).items():
            counts[symbol] += count
        return counts

    def _learn(self, context: int, symbol: int, seen: list[int]) -> None:
        """Count a symbol; in a lower order only where the longer key was new.

        Where the text begins, the longest key has nothing before it that could be counted.
        """
        begins = len(seen) - 1 < self.memory.order
        for k in range(len(seen) - 1, -1, -1):
            is_new = seen[k] == 0
            if begins and k == len(seen) - 1 and not is_new:
                return
            counts = self._new[k].setdefault(context & ((1 << self.memory.bits * k) - 1), {})
            counts[symbol] = counts.get(symbol, 0) + 1
            if not is_new:
                return


class AdaptiveNetwork:
    """A copy of a network that learns from each window it has read.

    Args:
        network: Whose weights; they are not changed.
        rate: Of Adam.
        decay: Share of the way back to the trained weights.
    """

    def __init__(self, network: CharRNN, rate: float = RATE, decay: float = DECAY) -> None:
        self.network, self.decay = deepcopy(network).requires_grad_(True), decay
        self.trained = [parameter.detach().clone() for parameter in network.parameters()]
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=rate, betas=BETAS)
        self.state = network.empty_state(1)

    def read(self, inputs: Ids, targets: Ids) -> torch.Tensor:
        """Return the scores of each next symbol, (T, V), and learn from what did come."""
        device = self.network.decoder.weight.device
        fed = torch.from_numpy(inputs.astype(np.int64)).to(device)[None]
        logits, state = self.network(fed, self.state)
        self.state = detach(state)
        came = torch.from_numpy(targets.astype(np.int64)).to(device)
        loss = torch.nn.functional.cross_entropy(logits[0], came)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(self.network.parameters()), self.trained, self.decay)
        result: torch.Tensor = logits[0].detach()
        return result


def adapted(
    network: CharRNN,
    ids: Ids,
    memory: NgramModel | None = None,
    *,
    rate: float = RATE,
    decay: float = DECAY,
    window: int = WINDOW,
    report: Callable[[int], object] = lambda done: None,
) -> Score:
    """Score a text as one stream, with a network and a memory that learn as they go.

    Args:
        network: On the device to use; it is not changed.
        ids: The text, (N,), N >= 2.
        memory: Mixed into the network's prediction; it is not changed.
        rate: Of Adam; 0 leaves the network as it is.
        decay: Share of the way back to the trained weights at each update.
        window: Symbols between two updates.
        report: Told how many symbols are done.
    """
    learner = AdaptiveNetwork(network, rate, decay)
    online, totals = OnlineNgrams(memory) if memory else None, np.zeros(3)
    reader = ContextTracker(memory, 1) if memory else None
    for begin in range(0, len(ids) - 1, window):
        end = min(begin + window, len(ids) - 1)
        targets = ids[begin + 1 : end + 1]
        logits = learner.read(ids[begin:end], targets)
        logs, places = log_probabilities(logits.cpu().numpy()), np.arange(len(targets))
        p = np.exp(logs[places, targets])
        totals[1] -= np.log(p).sum()
        if online is not None and reader is not None:
            contexts, lengths = reader.read(ids[None, begin:end])
            prediction = online.follow(contexts[0], lengths[0], targets)
            weight = share(logs, prediction, online.memory.weight)
            p = (1 - weight) * p + weight * prediction.p[places, targets]
            totals[2] += weight.sum()
        totals[0] -= np.log(p).sum()
        report(end)
    loss, alone, weight = (totals / (len(ids) - 1)).tolist()
    return Score(loss, alone, len(ids) - 1, weight)
