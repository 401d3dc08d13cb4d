"""n-gram prediction and gate in PyTorch, for batched generation on a GPU."""

from collections.abc import Sequence
from itertools import takewhile

import numpy as np
import torch
from torch import Tensor

from charrnn.ngram.counts import Order, mask
from charrnn.ngram.gate import GATE_INPUT, GATE_OUTPUT, SMALLEST
from charrnn.ngram.model import SMALLEST_PROBABILITY, NgramModel
from charrnn.ngram.word_model import BASE, POWERS, WordModel
from charrnn.ngram.word_model import SMALLEST as LEAST
from charrnn.ngram.words import FACTOR, FACTORS, NAMES, SPREAD

SIGN = -(1 << 63)
"""XOR with it maps the order of unsigned to that of signed integers, which torch can search."""


class DeviceNgrams:
    """The counts of an n-gram model on a device; predictions for a batch of contexts."""

    def __init__(self, memory: NgramModel, device: torch.device) -> None:
        self.bits, self.weight, self._vocab_size = memory.bits, memory.weight, memory.vocab_size
        self.longest = memory.order
        known = takewhile(lambda order: len(order.keys), memory.orders)  # higher ones are empty too
        self._orders = [DeviceOrder(order, memory, device) for order in known]
        self.words = DeviceWords(memory, device) if isinstance(memory, WordModel) else None

    def predict(self, contexts: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities, (B, V), and order, total and followers of the longest known context.

        Args:
            contexts: Packed as in model.py, (B, 1), int64; or as the rows of CONTEXT, (B, 4).
            lengths: Number of symbols in each context, (B,).
        """
        B, V, chars = len(contexts), self._vocab_size, contexts[:, 0]
        p = base = torch.full((B, V), 1.0 / V, dtype=torch.float64, device=contexts.device)
        stats = torch.ones((3, B), dtype=torch.float64, device=contexts.device)
        stats[0].zero_()
        is_seen = torch.ones_like(lengths, dtype=torch.bool)
        for k, order in enumerate(self._orders):
            low = (chars & ((1 << self.bits * k) - 1)) << self.bits
            longer, total, followers = order.refined(p, low)
            is_seen = is_seen & (lengths >= k) & (followers > 0)
            p = torch.where(is_seen[:, None], longer, p)
            base = p if k <= BASE else base
            found = torch.stack([torch.full_like(total, k), total, followers.double()])
            stats = torch.where(is_seen, found, stats)
        return (p if self.words is None else self.words.product(p, base, contexts)), stats


class DeviceReader:
    """Reads symbols into the contexts of n-gram memories on a device."""

    def __init__(self, memories: Sequence[DeviceNgrams]) -> None:
        self._bits = memories[0].bits
        self.longest = max(memory.longest for memory in memories)
        self._words = next((memory.words for memory in memories if memory.words), None)
        self.num_parts = len(NAMES) if self._words else 1
        self._mask = int(mask(self._bits * self.longest))

    def after(self, contexts: Tensor, symbols: Tensor) -> Tensor:
        """Return contexts after one more symbol each, (B, parts)."""
        chars = (contexts[:, 0] << self._bits | symbols) & self._mask
        rest = self._words.after(contexts, symbols) if self._words else []
        return torch.stack([chars, *rest], 1)


class DeviceOrder:
    """The counts of one order on a device."""

    def __init__(self, order: Order, memory: NgramModel, device: torch.device) -> None:
        self._ones, self._vocab_size = (1 << memory.bits) - 1, memory.vocab_size
        self._keys, self._counts, self._sums, self._discount_sums, self._discounts = (
            torch.from_numpy(array).to(device)
            for array in (
                order.keys.astype(np.uint64).view(np.int64) ^ np.int64(SIGN),
                order.counts.astype(np.int64),
                np.array(order.sums),
                np.array(order.discount_sums),
                np.array([0.0, *order.discounts]),
            )
        )
        self._symbols = torch.arange(memory.vocab_size, device=device)

    def refined(self, p: Tensor, low: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return probabilities refined by the counts, (B, V), and total and followers, (B,).

        Args:
            p: The prediction before, (B, V).
            low: The smallest key of each context, (B,).
        """
        keys, V = self._keys, self._vocab_size
        begin = torch.searchsorted(keys, low ^ SIGN)
        end = torch.searchsorted(keys, (low | self._ones) ^ SIGN, right=True)
        total = (self._sums[end] - self._sums[begin]).clamp(min=1).double()
        indices = begin[:, None] + self._symbols
        is_follower = indices < end[:, None]
        indices = indices.clamp(max=len(keys) - 1)
        count = self._counts[indices]
        shares = (count - self._discounts[count.clamp(max=3)]) * is_follower / total[:, None]
        symbols = torch.where(is_follower, (keys[indices] ^ SIGN) & self._ones, V)
        longer = p * ((self._discount_sums[end] - self._discount_sums[begin]) / total)[:, None]
        longer = torch.nn.functional.pad(longer, (0, 1)).scatter_add(1, symbols, shares)[:, :V]
        return longer, total, end - begin


class DeviceWords:
    """The word contexts of a memory on a device: words.py and word_model.py in torch."""

    def __init__(self, memory: WordModel, device: torch.device) -> None:
        words = memory.words
        self._bits = memory.bits
        forms = torch.from_numpy(np.array(words.forms, dtype=np.int64)).to(device)
        self._is_part, self._added = forms >= 0, forms + memory.vocab_size + 1
        self._orders = [
            (DeviceOrder(order, memory, device), size)
            for size, order in enumerate(memory.word_orders, start=1)
            if len(order.keys)
        ]
        self._factors = torch.tensor([signed(factor) for factor in FACTORS.values()], device=device)

    def after(self, contexts: Tensor, symbols: Tensor) -> list[Tensor]:
        """Return run, word and word before of contexts after one more symbol each, (B,)."""
        chars, run, word, before = contexts.unbind(1)
        last = chars & ((1 << self._bits) - 1)
        changes = self._is_part[symbols] != self._is_part[last]
        ended = changes & self._is_part[last]
        before, word = torch.where(ended, word, before), torch.where(ended, run, word)
        run = (run.masked_fill(changes, 0) + self._added[symbols]) * signed(FACTOR)
        return [run, word, before]

    def product(self, p: Tensor, words: Tensor, contexts: Tensor) -> Tensor:
        """Return the product of the predictions of characters and words, (B, V)."""
        for order, size in self._orders:
            numbers = contexts[:, 1 : 1 + size]
            total = (numbers * self._factors[:size]).sum(1)
            total = (total ^ shifted(total, 29)) * signed(SPREAD)
            low = (total ^ shifted(total, 32)) << self._bits
            low = low.masked_fill((numbers == 0).any(1), 0)
            longer, _, followers = order.refined(words, low)
            is_seen = (followers > 0) & (low != 0)
            words = torch.where(is_seen[:, None], longer, words)
        logs = [each.clamp(min=LEAST).log() for each in (p, words)]
        return (POWERS[0] * logs[0] + POWERS[1] * logs[1]).softmax(1)


def signed(number: int) -> int:
    """Return the number with the same 64 bits that has a sign."""
    return number - (1 << 64) if number >> 63 else number


def shifted(values: Tensor, bits: int) -> Tensor:
    """Return values shifted right as numbers without sign."""
    return (values >> bits) & ((1 << 64 - bits) - 1)


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
