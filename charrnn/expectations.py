"""What a model expects at each character of a text: how surprised it is, and its best guesses."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charrnn.config import SampleConfig
from charrnn.engine import Floats
from charrnn.following import OneFollower
from charrnn.mixing import log_probabilities
from charrnn.sampling import Sampler
from charrnn.vocab import Ids

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
    sampler: Sampler, ids: Ids, hidden: Floats, memory_weight: float | None = None
) -> Expectations:
    """Return what was expected of each symbol of a text.

    It is read as `sample` begins a text: behind a newline where there is one, else the first symbol
    is expected as lines begin. A model of lines begins anew at each.

    Args:
        sampler: Of the model.
        ids: The text, (T,).
        hidden: The output of the last layer after each symbol, (T, H).
        memory_weight: The memory's share, instead of the model's own; 0 is the network alone.
    """
    memory = sampler.memory(SampleConfig(memory_weight=memory_weight))
    newline = sampler.model.vocab.newline if sampler.model.records else None
    logits = logits_before(sampler, ids, hidden, newline)
    follower = OneFollower(memory, sampler.fed("")) if memory else None
    K = min(NUM_GUESSES, sampler.model.vocab.size)
    bits, guesses = np.empty(len(ids)), np.empty((len(ids), K), dtype=np.int64)
    probabilities = np.empty((len(ids), K))
    for t, symbol in enumerate(ids.tolist()):
        logs = log_probabilities(logits[t] if follower is None else follower.mixed(logits[t]))
        bits[t] = -logs[symbol] * BITS
        guesses[t] = np.argsort(-logs, kind="stable")[:K]
        probabilities[t] = np.exp(logs[guesses[t]])
        if follower is not None:
            follower.read(symbol)
        if memory is not None and symbol == newline:
            follower = OneFollower(memory, sampler.fed(""))
    return Expectations(bits, guesses, probabilities)


def logits_before(sampler: Sampler, ids: Ids, hidden: Floats, newline: int | None) -> Floats:
    """Return the network's logits of each symbol before it is read, (T, V).

    Args:
        sampler: Of the model.
        ids: The text, (T,).
        hidden: The output of the last layer after each symbol, (T, H).
        newline: Behind it a text begins anew, if there is one.
    """
    weights, (first, _) = sampler.model.weights, sampler.start()
    logits = np.empty((len(ids), sampler.model.vocab.size), dtype=np.float32)
    np.matmul(hidden[:-1], weights["decoder.weight"].T, out=logits[1:])
    logits[1:] += weights["decoder.bias"]
    begins = np.append(True, ids[:-1] == newline)
    logits[begins] = first
    return logits
