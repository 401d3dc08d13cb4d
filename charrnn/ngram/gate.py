"""Mix network and n-gram probabilities: (1 - w) network + w n-gram, w from a small fixed gate.

The gate is a layer of six tanh units over ten features of both predictions, and a sigmoid. It was
fitted by benchmarks/fit_gate.py on the ends of training texts, for weak and strong networks;
nothing is fitted in a run.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

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
"""Lower bound of a mixed probability; its logarithm fits a float32 and is never drawn."""

_INPUT, _OUTPUT = np.array(GATE_INPUT), np.array(GATE_OUTPUT[:-1])


def features(logs: Any, prediction: NgramPrediction) -> Floats:
    """Return the input features of the gate, (n, 10).

    Args:
        logs: Logarithms of the network's probabilities, (n, V).
        prediction: The n-gram predictions after the same contexts.
    """
    log_p = logs.astype(np.float32, copy=False)  # float32 is exact enough here
    p, q, log_q = np.exp(log_p), prediction.q, prediction.log_q
    network = np.vecdot(p, log_p)  # negative entropy
    result = np.empty((len(log_p), len(GATE_INPUT)))
    result[:, 0] = 1
    np.negative(network, out=result[:, 1])
    result[:, 2:6] = prediction.statistics
    np.maximum.reduce(log_p, axis=1, out=result[:, 6])
    result[:, 7] = prediction.peak
    # Kullback-Leibler divergences in both directions.
    np.subtract(-prediction.statistics[:, 3], np.vecdot(q, log_p), out=result[:, 8])
    np.subtract(network, np.vecdot(p, log_q), out=result[:, 9])
    return result


def share(logs: Any, prediction: NgramPrediction, weight: float | None = None) -> Floats:
    """Return the weight of the n-gram prediction, (n,), in [0, 1].

    Args:
        logs: Logarithms of the network's probabilities, (n, V).
        prediction: The n-gram predictions after the same contexts.
        weight: One weight for all, instead of that of the gate.
    """
    if weight is not None:
        return np.full(len(logs), weight)
    hidden = np.tanh(times(features(logs, prediction), _INPUT))
    result: Floats = 1 / (1 + np.exp(-GATE_OUTPUT[-1] - times(hidden, _OUTPUT)))
    return result


def times(x: Floats, matrix: Floats) -> Floats:
    """Return x @ matrix row by row, so that the bits of a row do not depend on their number."""
    product: Floats = np.matmul(x[:, None], matrix)[:, 0]
    return product


def mixed(logs: Any, prediction: NgramPrediction, weight: Floats) -> Floats:
    """Return the probabilities of the mixture, (n, V).

    Args:
        logs: Logarithms of the network's probabilities, (n, V).
        prediction: The n-gram predictions after the same contexts.
        weight: Weight of the n-gram prediction, (n,).
    """
    result: Floats = np.exp(logs, dtype=np.float64)
    result += weight[:, None] * (prediction.p - result)
    return result


def target_probabilities(
    logs: Any, prediction: NgramPrediction, weight: Floats, targets: NDArray[Any]
) -> Floats:
    """Return the probability of one symbol each in the mixture, (n,).

    Args:
        logs: Logarithms of the network's probabilities, (n, V).
        prediction: The n-gram predictions after the same contexts.
        weight: Weight of the n-gram prediction, (n,).
        targets: The symbols, (n,).
    """
    at = np.arange(len(targets)), targets
    result: Floats = (1 - weight) * np.exp(logs[at]) + weight * prediction.p[at]
    return result


def log_probabilities(scores: Any) -> Floats:
    """Return log softmax of logits in float64, (..., V), all finite."""
    shifted = np.maximum(scores.astype(np.float64) - scores.max(axis=-1, keepdims=True), -700.0)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def mix(scores: Any, prediction: NgramPrediction, weight: float | None = None) -> Any:
    """Return the logarithms of the mixture, (B, V), float32.

    Args:
        scores: Logits of the network, (B, V).
        prediction: The n-gram predictions after the same contexts.
        weight: Weight of the n-gram prediction, instead of that of the gate.
    """
    logs = scores - np.maximum.reduce(scores, axis=1, keepdims=True)
    logs -= np.log(np.add.reduce(np.exp(logs), axis=1, keepdims=True))
    result = mixed(logs, prediction, share(logs, prediction, weight))
    return np.log(np.maximum(result, SMALLEST, out=result), dtype=np.float32)
