"""What a model expects at each character of a text: how surprised it is, and its best guesses."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charrnn.config import SampleConfig
from charrnn.following import OneFollower
from charrnn.mixing import log_probabilities
from charrnn.sampling import Sampler

NUM_GUESSES = 5

BITS = 1 / np.log(2)
"""Of a nat."""


@dataclass(frozen=True, slots=True)
class Expectations:
    """What was expected of each symbol of a text, before it was read."""

    bits: NDArray[np.float64]
    """Surprise at the symbol that came, (T,)."""
    guesses: NDArray[np.int64]
    """The likeliest symbols, the best first, (T, K)."""
    probabilities: NDArray[np.float64]
    """Theirs, (T, K)."""


def expectations(
    sampler: Sampler, ids: Sequence[int], memory_weight: float | None = None
) -> Expectations:
    """Read a text symbol by symbol, and return what was expected of each.

    It is read as `sample` begins a text: behind a newline where there is one, else the first symbol
    is expected as lines begin. A model of lines begins anew at each.

    Args:
        sampler: Of the model.
        ids: The text, (T,).
        memory_weight: The memory's share, instead of the model's own; 0 is the network alone.
    """
    memory = sampler.memory(SampleConfig(memory_weight=memory_weight))
    begin, newline = sampler.start(), sampler.model.vocab.newline
    logits, state = begin
    follower = OneFollower(memory, sampler.fed("")) if memory else None
    K = min(NUM_GUESSES, sampler.model.vocab.size)
    bits, guesses = np.empty(len(ids)), np.empty((len(ids), K), dtype=np.int64)
    probabilities = np.empty((len(ids), K))
    for t, symbol in enumerate(map(int, ids)):
        logs = log_probabilities(logits if follower is None else follower.mixed(logits))
        bits[t] = -logs[symbol] * BITS
        guesses[t] = np.argsort(-logs, kind="stable")[:K]
        probabilities[t] = np.exp(logs[guesses[t]])
        logits, state = sampler.step(symbol, state)
        if follower is not None:
            follower.read(symbol)
        if sampler.model.records and symbol == newline:
            logits, state = begin
            follower = OneFollower(memory, sampler.fed("")) if memory else None
    return Expectations(bits, guesses, probabilities)
