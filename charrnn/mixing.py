"""Network and memory -> one prediction: (1 - w) network + w memory, w a fixed function of both.

The share w comes from a gate: a layer of six tanh units over ten features of the two predictions,
and a sigmoid. It was fitted by benchmarks/memory_weight.py on the ends of training texts, for
networks weak and strong; nothing of it is fitted in a user's run.
"""

from typing import Any

import numpy as np

from charrnn.memory import Floats, Recalled

SMALLEST = np.float32(1e-30)
"""A probability below this adds nothing to an entropy."""

GATE_INPUT = (
    (-0.3030, 0.3003, 0.8164, 0.3607, -0.4676, 1.5006),
    (-0.6726, -0.8591, 0.1372, -1.7999, 0.2654, -0.9061),
    (-0.2080, -0.3837, -0.0156, -0.0530, -0.1280, -0.0204),
    (-0.3667, -0.2570, 0.1019, 0.0025, -0.1909, -0.2153),
    (0.0196, 0.4544, 0.0964, -0.0697, 1.1305, 1.0825),
    (0.5171, 0.6745, -0.8894, 0.3923, -1.1495, 0.3618),
    (-0.7423, 0.3097, 0.0713, -0.8973, 0.3103, -0.9921),
    (-0.2034, 0.9617, -0.3511, -0.4934, 0.8602, -0.1483),
    (0.5138, 0.1633, -0.1510, -0.1534, 0.5380, -0.0459),
    (0.0094, -0.0187, 1.5184, 0.5544, -0.4322, -0.5455),
)
GATE_OUTPUT = (1.0982, 1.5528, 2.0805, -2.0167, -2.7655, -2.6662, 0.0862)
"""Weights of the tanh units (10, 6), and of the sigmoid, its bias last."""

_INPUT, _OUTPUT = np.array(GATE_INPUT), np.array(GATE_OUTPUT[:-1])[:, None]


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
    hidden = np.tanh(times(features(logs, recalled), _INPUT))
    result: Floats = 1 / (1 + np.exp(-times(hidden, _OUTPUT)[:, 0] - GATE_OUTPUT[-1]))
    return result


def times(x: Floats, matrix: Floats) -> Floats:
    """Return x @ matrix, each row the same to the last bit however many there are; BLAS is not so."""
    result: Floats = x[:, :1] * matrix[0]
    for i in range(1, len(matrix)):
        result += x[:, i : i + 1] * matrix[i]
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


def mix(scores: Any, recalled: Recalled, weight: float | None = None) -> Any:
    """Return scores of a network's prediction with a memory's mixed in, (B, V), float32.

    Args:
        scores: The network's, (B, V).
        recalled: What the memory says at the same places.
        weight: The memory's share, instead of the gate's.
    """
    logs = log_probabilities(scores)
    with np.errstate(divide="ignore"):
        result = np.log(mixed(logs, recalled, share(logs, recalled, weight)))
    return result.astype(np.float32)
