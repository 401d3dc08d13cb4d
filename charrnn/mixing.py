"""Network and memory -> one prediction: (1 - w) network + w memory, w a fixed function of both.

The share w comes from a gate: a layer of six tanh units over ten features of the two predictions,
and a sigmoid. It was fitted by benchmarks/memory_weight.py on the ends of training texts, for
networks weak and strong; nothing of it is fitted in a user's run.
"""

from typing import Any

import numpy as np

from charrnn.memory import Floats, Memory, Reader, Recalled

SMALLEST = np.float32(1e-30)
"""A probability below this adds nothing to an entropy."""

GATE_INPUT = (
    (-1.0827, -0.4209, 0.5260, -0.5417, -0.3598, 1.4194),
    (1.3310, -0.0567, -0.7540, -1.1444, -0.2983, -0.9839),
    (0.0633, -0.1708, 0.0708, 0.0313, -0.0910, -0.0514),
    (-0.0177, -0.4962, 0.2944, 0.0386, -0.0092, -0.3116),
    (0.7422, 0.2830, -0.3068, -0.2471, 0.7401, 1.3653),
    (0.5603, 0.0083, -0.0498, 1.0079, -1.2948, 0.7516),
    (1.0844, -0.2887, 0.1169, 0.0382, -0.0516, -0.9059),
    (0.1777, -0.4321, -0.4612, -0.3473, -0.3177, -0.1041),
    (-0.0379, 0.6909, -0.8284, -0.3698, 0.2774, -0.1550),
    (0.0086, -0.4801, 2.3126, -0.2305, 0.3413, -0.4270),
)
GATE_OUTPUT = (1.4787, 1.3019, 1.6807, -2.2917, -2.4274, -3.6618, -0.6250)
"""Weights of the tanh units (10, 6), and of the sigmoid, its bias last."""


def features(logs: Floats, recalled: Recalled) -> Floats:
    """Return what the gate sees of two predictions, (n, 10).

    Args:
        logs: Logarithms of the network's probabilities, (n, V).
        recalled: What the memory says at the same places.
    """
    log_p, q = logs.astype(np.float32), recalled.p.astype(np.float32)  # fast, and exact enough
    p, log_q = np.exp(log_p), np.log(np.maximum(q, SMALLEST))
    network, memory = dots(p, log_p), dots(q, log_q)  # entropies, negative
    return np.stack(
        [
            np.ones(len(p)),
            -network,
            recalled.order,
            np.log(recalled.total),
            np.log(recalled.followers),
            -memory,
            log_p.max(axis=-1),
            log_q.max(axis=-1),
            memory - dots(q, log_p),  # how far the network is from the memory
            network - dots(p, log_q),  # how far the memory is from the network
        ],
        axis=1,
        dtype=np.float64,
    )


def dots(x: Any, y: Any) -> Any:
    """Return the products of rows, (n, V), (n, V) -> (n,)."""
    return np.einsum("nv,nv->n", x, y)


def share(logs: Floats, recalled: Recalled, weight: float | None = None) -> Floats:
    """Return the memory's share in the mix, (n,), in [0, 1]; arguments as of `features`.

    Args:
        logs: Logarithms of the network's probabilities, (n, V).
        recalled: What the memory says at the same places.
        weight: One share for all, instead of the gate's.
    """
    if weight is not None:
        return np.full(len(logs), weight)
    hidden = np.tanh(features(logs, recalled) @ np.array(GATE_INPUT))
    score = hidden @ np.array(GATE_OUTPUT[:-1]) + GATE_OUTPUT[-1]
    result: Floats = 1 / (1 + np.exp(-score))
    return result


def mixed(logs: Floats, recalled: Recalled, weight: Floats) -> Floats:
    """Return the probabilities of the mix, (n, V).

    Args:
        logs: Logarithms of the network's probabilities, (n, V).
        recalled: What the memory says at the same places.
        weight: The memory's share, (n,).
    """
    result: Floats = (1 - weight[:, None]) * np.exp(logs) + weight[:, None] * recalled.p
    return result


def log_probabilities(scores: Any) -> Floats:
    """Return the logarithms of a network's probabilities in float64, (..., V), all finite."""
    shifted = np.maximum(scores.astype(np.float64) - scores.max(axis=-1, keepdims=True), -700.0)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def mix(scores: Any, memory: Memory, reader: Reader) -> Any:
    """Return scores of a network's prediction with a memory mixed in, (B, V), float32.

    Args:
        scores: The network's, (B, V).
        memory: With its own weight, or none.
        reader: Has read what the network has.
    """
    logs, recalled = log_probabilities(scores), memory.recall(reader.contexts, reader.lengths)
    with np.errstate(divide="ignore"):
        result = np.log(mixed(logs, recalled, share(logs, recalled, memory.weight)))
    return result.astype(np.float32)
