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

from charrnn.evaluation import Score, shares
from charrnn.memory import Keys, Memory, Recalled, mask
from charrnn.model import CharRNN, detach
from charrnn.vocab import Ids

WINDOW = 32
"""Symbols between two updates of the network."""

RATE, BETAS = 3e-4, (0.0, 0.999)
"""Of Adam; without momentum, so that a window changes the weights once."""

DECAY = 1e-3
"""Share of the way back to the trained weights at each update."""


class OnlineMemory:
    """A memory that goes on counting, as if what it has seen had been a second training text.

    A key that only began a training text counts once whatever comes to precede it first.

    Args:
        memory: Counts of the training text; they are not changed.
    """

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        size = memory.order + 1
        self._counts: list[dict[int, int]] = [{} for _ in range(size)]
        self._totals: list[dict[int, int]] = [{} for _ in range(size)]
        self._followers: list[dict[int, int]] = [{} for _ in range(size)]
        self._spares: list[dict[int, float]] = [{} for _ in range(size)]

    def follow(self, contexts: Keys, lengths: NDArray[np.int64], symbols: Ids) -> Recalled:
        """Return how likely each symbol is after what came before it, and count it then.

        Args:
            contexts: The K symbols before each, packed; (n,).
            lengths: How many of them there are really, 0 to K; (n,).
            symbols: One after the other, (n,).
        """
        found = np.zeros((4, len(symbols)))
        known = self.memory.look_up(contexts, symbols)
        for i, (context, length, symbol) in enumerate(
            zip(contexts.tolist(), lengths.tolist(), symbols.tolist(), strict=True)
        ):
            counts = self._counts_of(context, length, symbol, known[:, :, i].tolist())
            found[:, i] = self._climb(counts)
            self._learn(context, length, symbol, counts)
        return Recalled(*found)

    def _counts_of(
        self, context: int, length: int, symbol: int, known: list[list[float]]
    ) -> list[tuple[float, ...]]:
        """Return by order a key's count, and its context's sum, followers and discounts."""
        bits = self.memory.bits
        result: list[tuple[float, ...]] = []
        for k in range(length + 1):
            before = context & ((1 << bits * k) - 1)
            result.append(
                (
                    known[0][k] + self._counts[k].get(before << bits | symbol, 0),
                    known[1][k] + self._totals[k].get(before, 0),
                    known[2][k] + self._followers[k].get(before, 0),
                    known[3][k] + self._spares[k].get(before, 0.0),
                )
            )
        return result

    def _climb(self, counts: list[tuple[float, ...]]) -> tuple[float, float, float, float]:
        p, sure = 1.0 / self.memory.vocab_size, (0.0, 1.0, 1.0)
        for k, (count, total, followers, spare) in enumerate(counts):
            if not total:
                break
            p = (count - self._discount(k, count) + spare * p) / total
            sure = (float(k), total, followers)
        return p, *sure

    def _discount(self, order: int, count: float) -> float:
        return self.memory.orders[order].discounts[min(int(count), 3) - 1] if count else 0.0

    def _learn(
        self, context: int, length: int, symbol: int, counts: list[tuple[float, ...]]
    ) -> None:
        """Count a symbol; in a lower order only where the longer key was new."""
        bits = self.memory.bits
        for k in range(length, -1, -1):
            before, count = context & ((1 << bits * k) - 1), counts[k][0]
            is_new = count == 0
            if k == length < self.memory.order and not is_new:
                return  # it begins the text: nothing precedes it that could be counted
            key = before << bits | symbol
            self._counts[k][key] = self._counts[k].get(key, 0) + 1
            self._totals[k][before] = self._totals[k].get(before, 0) + 1
            more = self._discount(k, count + 1) - self._discount(k, count)
            self._spares[k][before] = self._spares[k].get(before, 0.0) + more
            if not is_new:
                return
            self._followers[k][before] = self._followers[k].get(before, 0) + 1


def contexts_of(ids: Ids, begin: int, end: int, memory: Memory) -> tuple[Keys, NDArray[np.int64]]:
    """Return what stands before each symbol from `begin` to `end`, packed, and how much of it."""
    places = np.arange(begin, end)
    contexts = np.zeros(len(places), dtype=np.uint64)
    for j in range(memory.order):
        behind = places - 1 - j
        symbols = np.where(behind >= 0, ids[np.maximum(behind, 0)], 0).astype(np.uint64)
        contexts |= symbols << np.uint64(memory.bits * j)
    return contexts & mask(memory.bits * memory.order), np.minimum(places, memory.order)


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
    memory: Memory | None = None,
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
    online = OnlineMemory(memory) if memory else None
    totals = np.zeros(3)
    for begin in range(0, len(ids) - 1, window):
        end = min(begin + window, len(ids) - 1)
        targets = ids[begin + 1 : end + 1]
        logits = learner.read(ids[begin:end], targets)
        logs = torch.log_softmax(logits.double(), -1).cpu()
        p = logs[torch.arange(len(targets)), torch.from_numpy(targets.astype(np.int64))].exp()
        totals[1] -= float(p.log().sum())
        if online is not None:
            contexts, lengths = contexts_of(ids, begin + 1, end + 1, online.memory)
            recalled = online.follow(contexts, lengths, targets)
            share = shares(logits[None], recalled, online.memory)[0].cpu()
            p = (1 - share) * p + share * torch.from_numpy(recalled.p)
            totals[2] += float(share.sum())
        totals[0] -= float(p.log().sum())
        report(end)
    loss, alone, weight = (totals / (len(ids) - 1)).tolist()
    return Score(loss, alone, len(ids) - 1, weight)
