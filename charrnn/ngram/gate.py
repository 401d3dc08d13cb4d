"""Network and memory -> one prediction: (1 - w) network + w memory, w a fixed function of both.

The share w comes from a gate: a layer of six tanh units over ten features of the two predictions,
and a sigmoid. It was fitted by benchmarks/memory_weight.py on the ends of training texts, for
networks weak and strong; nothing of it is fitted in a user's run.
"""

from typing import Any

import numpy as np

from charrnn.ngram.counts import Floats
from charrnn.ngram.model import NgramPrediction

GATE_INPUT = (
    (-0.0641, -0.1732, 0.9382, 0.4522, -0.4522, 1.3776),
    (0.1192, -0.0508, -0.1083, -1.5628, -0.1944, -0.7568),
    (0.1451, -0.4716, -0.0225, -0.0491, 0.0011, -0.0000),
    (0.1605, -0.3799, 0.1358, -0.0232, 0.0459, -0.3029),
    (0.0908, 0.1889, 0.0671, 0.1027, 0.0998, 1.2825),
    (0.0605, 0.4293, -0.7440, 0.3505, -0.1872, 0.4729),
    (-0.0345, -0.0761, -0.2227, -0.5330, -0.8227, -0.5226),
    (-0.0029, -0.2265, -0.0111, -0.5491, 0.9860, -0.0084),
    (0.0494, 0.1352, -0.0653, -0.4101, 0.3537, -0.1516),
    (0.1830, 0.0685, 1.4951, 0.8025, -0.5478, -0.4271),
)
GATE_OUTPUT = (0.3177, 1.1952, 2.0551, -1.6864, -2.6067, -2.5802, -0.3180)
"""Weights of the tanh units (10, 6), and of the sigmoid, its bias last."""

SMALLEST = 1e-37
"""Of a mix; its logarithm is a float32 that no filter and no draw takes for possible."""

_INPUT, _OUTPUT = np.array(GATE_INPUT), np.array(GATE_OUTPUT[:-1])


def features(logs: Any, prediction: NgramPrediction) -> Floats:
    """Return what the gate sees of two predictions, (n, 10).

    Args:
        logs: Logarithms of the network's probabilities, (n, V).
        prediction: What the memory says at the same places.
    """
    log_p = logs.astype(np.float32, copy=False)  # fast, and exact enough
    p, q, log_q = np.exp(log_p), prediction.q, prediction.log_q
    network = np.vecdot(p, log_p)  # an entropy, negative
    result = np.empty((len(log_p), len(GATE_INPUT)))
    result[:, 0] = 1
    np.negative(network, out=result[:, 1])
    result[:, 2:6] = prediction.seen
    np.maximum.reduce(log_p, axis=1, out=result[:, 6])
    result[:, 7] = prediction.peak
    # How far the network is from the memory, and the memory from the network.
    np.subtract(-prediction.seen[:, 3], np.vecdot(q, log_p), out=result[:, 8])
    np.subtract(network, np.vecdot(p, log_q), out=result[:, 9])
    return result


def share(logs: Any, prediction: NgramPrediction, weight: float | None = None) -> Floats:
    """Return the memory's share in the mix, (n,), in [0, 1]; arguments as of `features`.

    Args:
        logs: Logarithms of the network's probabilities, (n, V).
        prediction: What the memory says at the same places.
        weight: One share for all, instead of the gate's.
    """
    if weight is not None:
        return np.full(len(logs), weight)
    hidden = np.tanh(times(features(logs, prediction), _INPUT))
    result: Floats = 1 / (1 + np.exp(-GATE_OUTPUT[-1] - times(hidden, _OUTPUT)))
    return result


def times(x: Floats, matrix: Floats) -> Floats:
    """Return x @ matrix, each row the same to the last bit however many there are: one by one."""
    product: Floats = np.matmul(x[:, None], matrix)[:, 0]
    return product


def mixed(logs: Any, prediction: NgramPrediction, weight: Floats) -> Floats:
    """Return the probabilities of the mix, (n, V).

    Args:
        logs: Logarithms of the network's probabilities, (n, V).
        prediction: What the memory says at the same places.
        weight: The memory's share, (n,).
    """
    result: Floats = np.exp(logs, dtype=np.float64)
    result += weight[:, None] * (prediction.p - result)
    return result


def log_probabilities(scores: Any) -> Floats:
    """Return the logarithms of a network's probabilities in float64, (..., V), all finite."""
    shifted = np.maximum(scores.astype(np.float64) - scores.max(axis=-1, keepdims=True), -700.0)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def mix(scores: Any, prediction: NgramPrediction, weight: float | None = None) -> Any:
    """Return scores of a network's prediction with a memory's mixed in, (B, V), float32.

    Args:
        scores: The network's, (B, V).
        prediction: What the memory says at the same places.
        weight: The memory's share, instead of the gate's.
    """
    logs = scores - np.maximum.reduce(scores, axis=1, keepdims=True)
    logs -= np.log(np.add.reduce(np.exp(logs), axis=1, keepdims=True))
    result = mixed(logs, prediction, share(logs, prediction, weight))
    return np.log(np.maximum(result, SMALLEST, out=result), dtype=np.float32)
