"""n-gram prediction and gate in PyTorch, for batched generation on a GPU."""

from itertools import takewhile

import numpy as np
import torch
from torch import Tensor

from charrnn.ngram.counts import mask
from charrnn.ngram.gate import GATE_INPUT, GATE_OUTPUT, SMALLEST
from charrnn.ngram.model import SMALLEST_PROBABILITY, NgramModel

SIGN = -(1 << 63)
"""XOR with it maps the order of unsigned to that of signed integers, which torch can search."""


class DeviceNgrams:
    """The counts of an n-gram model on a device; predictions for a batch of contexts."""

    def __init__(self, memory: NgramModel, device: torch.device) -> None:
        self.bits, self.weight, self._vocab_size = memory.bits, memory.weight, memory.vocab_size
        self.mask = int(mask(memory.bits * memory.order))
        self.longest = memory.order
        self._orders = [
            tuple(
                torch.from_numpy(array).to(device)
                for array in (
                    each.keys.astype(np.uint64).view(np.int64) ^ np.int64(SIGN),
                    each.counts.astype(np.int64),
                    np.array(each.sums),
                    np.array(each.discount_sums),
                    np.array([0.0, *each.discounts]),
                )
            )
            for each in takewhile(
                lambda order: len(order.keys), memory.orders
            )  # higher orders are empty too
        ]
        self._symbols = torch.arange(memory.vocab_size, device=device)

    def predict(self, contexts: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities, (B, V), and order, total and followers of the longest known context.

        Args:
            contexts: Packed as in model.py, (B,), int64.
            lengths: Number of symbols in each context, (B,).
        """
        B, V, ones = len(contexts), self._vocab_size, (1 << self.bits) - 1
        p = torch.full((B, V), 1.0 / V, dtype=torch.float64, device=contexts.device)
        stats = torch.ones((3, B), dtype=torch.float64, device=contexts.device)
        stats[0].zero_()
        is_seen = torch.ones_like(lengths, dtype=torch.bool)
        for k, (keys, counts, sums, discount_sums, discounts) in enumerate(self._orders):
            low = (contexts & ((1 << self.bits * k) - 1)) << self.bits
            begin = torch.searchsorted(keys, low ^ SIGN)
            end = torch.searchsorted(keys, (low | ones) ^ SIGN, right=True)
            is_seen = is_seen & (lengths >= k) & (end > begin)
            total = (sums[end] - sums[begin]).clamp(min=1).double()
            indices = begin[:, None] + self._symbols
            is_follower = indices < end[:, None]
            indices = indices.clamp(max=len(keys) - 1)
            count = counts[indices]
            shares = (count - discounts[count.clamp(max=3)]) * is_follower / total[:, None]
            symbols = torch.where(is_follower, (keys[indices] ^ SIGN) & ones, V)
            longer = p * ((discount_sums[end] - discount_sums[begin]) / total)[:, None]
            longer = torch.nn.functional.pad(longer, (0, 1)).scatter_add(1, symbols, shares)[:, :V]
            p = torch.where(is_seen[:, None], longer, p)
            found = torch.stack([torch.full_like(total, k), total, (end - begin).double()])
            stats = torch.where(is_seen, found, stats)
        return p, stats


class Gate:
    """The mixture of gate.py on a device."""

    def __init__(self, weight: float | None, device: torch.device) -> None:
        self._weight = weight
        self._input = torch.tensor(GATE_INPUT, dtype=torch.float64, device=device)
        self._output = torch.tensor(GATE_OUTPUT, dtype=torch.float64, device=device)

    def mixed(self, logits: Tensor, q: Tensor, stats: Tensor) -> Tensor:
        """Return the logarithms of the mixture, (B, V), with n-gram probabilities q and statistics."""
        logs = logits.double().log_softmax(dim=1)
        p = logs.exp()
        w = self._weight if self._weight is not None else self._share(p, logs, q, stats)
        return (p + w * (q - p)).clamp(min=SMALLEST).log().float()

    def _share(self, p: Tensor, logs: Tensor, q: Tensor, stats: Tensor) -> Tensor:
        order, total, followers = stats
        log_q = q.clamp(min=float(SMALLEST_PROBABILITY)).log()
        network, memory = (p * logs).sum(1), (q * log_q).sum(1)
        features = torch.stack(
            [
                torch.ones_like(order), -network, order, total.log(), followers.log(), -memory,
                logs.amax(1), log_q.amax(1), memory - (q * logs).sum(1), network - (p * log_q).sum(1),
            ],
            dim=1,
        )  # fmt: skip
        hidden = (features @ self._input).tanh()
        return (hidden @ self._output[:-1] + self._output[-1]).sigmoid()[:, None]
