"""Steer thousands of texts on a device, by operations that a CUDA graph may capture: steering.py in torch.

Legend of shapes:
    B texts   V symbols   W symbols that are looked back on   S states of the automaton
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from charrnn.steering import repeats
from charrnn.steering.automaton import FAR, NEVER
from charrnn.steering.steering import Steering


def window_of(steering: Steering | None, num_symbols: int) -> int:
    """Return W for texts of up to so many symbols: a power of two, for few captured graphs.

    More symbols than a text has change nothing.
    """
    if steering is None or not steering.no_repeat:
        return 0
    return min(repeats.WINDOW, 1 << max(5, num_symbols.bit_length()))


class DeviceSteering:
    """Steers B texts.

    Args:
        steering: The constraints.
        num_rows: B.
        vocab: V.
        window: W, 0 if repeats are allowed.
        device: Device of all tensors.
    """

    def __init__(
        self, steering: Steering, num_rows: int, vocab: int, window: int, device: torch.device
    ) -> None:
        bias = np.zeros(vocab, np.float32) if steering.bias is None else steering.bias
        self._bias = torch.from_numpy(bias).to(device)
        self._shortest, self._automaton = steering.no_repeat, steering.automaton
        self._penalties = torch.from_numpy(repeats.penalties(self._shortest)).to(device)
        self._past = torch.zeros((num_rows, window), dtype=torch.int64, device=device)
        self._runs = torch.zeros((num_rows, window), dtype=torch.int32, device=device)
        self._states = torch.zeros(num_rows, dtype=torch.int64, device=device)
        self._left = torch.zeros((), dtype=torch.int64, device=device)
        self.tensors = (self._past, self._runs, self._states, self._left)
        """Everything that a step changes."""
        if self._automaton is not None:
            table = np.pad(self._automaton.table, ((0, 2), (0, 0)), constant_values=NEVER)
            self._table = torch.from_numpy(table % len(table)).to(device, torch.int64)
            self._distances = torch.from_numpy(self._automaton.distances).to(device)

    def start(self, fed: Sequence[Sequence[int]], length: int) -> None:
        """Start new texts after these symbols, (B); each will get at most `length`."""
        self._states.zero_()
        self._left.fill_(min(length, int(FAR) - 1))
        if self._shortest:
            texts, rows = repeats.distinct(fed)
            state = repeats.Repeats(self._shortest, texts, length)
            for tensor, array in ((self._past, state.past), (self._runs, state.runs)):
                tensor.fill_(-1 if tensor is self._past else 0)
                whole = torch.from_numpy(array).to(tensor)[torch.from_numpy(rows).to(tensor.device)]
                tensor[:, tensor.shape[1] - state.window :] = whole

    def apply(self, logits: Tensor) -> Tensor:
        """Return the logits of the next symbols after all constraints, (B, V)."""
        limits = self._bias.expand_as(logits)
        if self._automaton is not None:
            may_come = self._distances[self._table[self._states]] < self._left
            limits = torch.where(may_come, limits, -torch.inf)
        logits = logits + limits
        is_stuck = logits.amax(1, keepdim=True) == -torch.inf
        logits = torch.where(is_stuck, limits, logits)
        if not self._shortest:
            return logits
        completed = torch.where(self._runs >= self._shortest - 1, self._runs + 1, 0)
        spans = torch.zeros_like(logits, dtype=torch.int32)
        spans = spans.scatter_reduce(1, self._past.clamp(min=0), completed, "amax")
        return logits - self._penalties[spans]

    def read(self, chosen: Tensor) -> None:
        """Append the next symbol of each text, (B,)."""
        self._left.sub_(1)
        if self._automaton is not None:
            self._states.copy_(self._table[self._states, chosen])
        if self._shortest:
            runs = (self._runs + 1).clamp(max=len(self._penalties) - 2)
            self._runs.copy_(torch.where(self._past == chosen[:, None], runs, 0))
            self._past.copy_(torch.cat([self._past[:, 1:], chosen[:, None]], 1))
