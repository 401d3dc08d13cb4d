"""The recurrent network in NumPy, float32: one character per step, for one stream or a batch.

It is arranged for sampling. The embedding and the input matrix of the first layer are folded into
one table. Other layers (not those of a GRU) multiply input and old state by one matrix. One tanh
serves all gates, since sigmoid(x) = (1 + tanh(x / 2)) / 2, with the halves folded into the weights.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from charrnn.nn.architecture import LAYER_NORM_EPSILON, ModelConfig, key_width
from charrnn.nn.engine import Engine, Floats, Matrix, Ring
from charrnn.nn.state import State
from charrnn.nn.transformer_engine import TransformerEngine

HALF, ONE = np.float32(0.5), np.float32(1)

EPSILON = np.float32(LAYER_NORM_EPSILON)


class RecurrentEngine(Engine):
    """Steps a recurrent network, for one stream or a batch.

    Args:
        config: The architecture.
        weights: Arrays named as in shapes(config).
    """

    def __init__(self, config: ModelConfig, weights: Mapping[str, Floats]) -> None:
        super().__init__(config)
        cell = LAYERS[config.cell]
        embedding = weights["embedding.weight"]
        self._layers = [cell(weights, 0, config.hidden_size, embedding)]
        self._layers += [cell(weights, i, config.hidden_size) for i in range(1, config.num_layers)]
        for layer in self._layers:
            layer.combine()
        self._attention = Attention(config, weights) if config.attention else None
        self._decoder = Matrix(weights["decoder.weight"].T)
        self._decoder_bias = weights["decoder.bias"]

    def step(self, ids: Any, state: State) -> tuple[Floats, State]:
        """Read one character of each stream, as every engine does."""
        logits, state, _ = self._step(ids, state)
        return logits, state

    def attend(self, symbol: int, state: State) -> tuple[Floats, State, Floats]:
        """Read one character of a single stream, as every engine does."""
        logits, state, weights = self._step(symbol, state)
        return logits, state, weights[None, None]

    def _step(self, ids: Any, state: State) -> tuple[Floats, State, Any]:
        parts = state.arrays()
        new = {name: np.empty_like(parts[name]) for name in "hc" if name in parts}
        x: Any = ids
        for i, layer in enumerate(self._layers):
            layer.step(x, [parts[name][i] for name in new], [part[i] for part in new.values()])
            x = new["h"][i]
        weights = None
        if self._attention is not None:
            x, past, weights = self._attention.step(x, parts["past"], parts["count"])
            new |= past
        logits = self._decoder.times(x)
        logits += self._decoder_bias
        return logits, State.from_arrays(new), weights


class _Layer:
    """The weights of one layer, as all cells arrange them.

    Args:
        weights: Weights of the network.
        layer: Index of the layer.
        hidden_size: H.
        embedding: The embedding, (V, E), for the first layer, whose input is ids; else None.
    """

    num_halved = 0
    """Number of gates, from the first, that are sigmoids."""

    def __init__(
        self,
        weights: Mapping[str, Floats],
        layer: int,
        hidden_size: int,
        embedding: Floats | None = None,
    ) -> None:
        name = f"layers.{layer}."
        self.hidden_size = hidden_size
        self.from_input = self.arrange(weights[name + "weight_ih_l0"].T)
        self.recurrent = self.arrange(weights[name + "weight_hh_l0"].T)
        self.bias_input = self.arrange(weights[name + "bias_ih_l0"])
        self.bias_recurrent = self.arrange(weights[name + "bias_hh_l0"])
        self.is_first = embedding is not None
        if embedding is not None:  # (V, gates * H)
            self.from_input = embedding @ self.from_input

    def arrange(self, matrix: Floats) -> Floats:
        """Return a copy with the columns of sigmoid gates halved."""
        result = np.array(matrix, dtype=np.float32, order="C")
        result[..., : self.num_halved * self.hidden_size] *= HALF
        return result

    def combine(self) -> None:
        """Combine the weights for `step`."""
        bias = self.bias_input + self.bias_recurrent
        if self.is_first:
            self.table = self.from_input + bias
            self.matrix = Matrix(self.recurrent)
        else:
            self.bias = bias
            self.matrix = Matrix(np.concatenate([self.from_input, self.recurrent]))

    def gates(self, x: Any, h: Floats) -> Floats:
        """Return the pre-activations of all gates, (gates * H,) or (B, gates * H)."""
        if self.is_first:
            gates = self.matrix.times(h)
            gates += self.table[x]
        else:
            gates = self.matrix.times(np.concatenate((x, h), axis=-1))
            gates += self.bias
        return gates

    def step(self, x: Any, state: list[Floats], new: list[Floats]) -> None:
        """Read an input, and write the new state into `new`."""
        raise NotImplementedError


class _LSTM(_Layer):
    """Gates i, f, g, o; stored in the order i, f, o, g, so that the sigmoids are contiguous."""

    num_halved = 3

    def arrange(self, matrix: Floats) -> Floats:
        i, f, g, o = np.split(matrix, 4, axis=-1)
        return super().arrange(np.concatenate([i, f, o, g], axis=-1))

    def step(self, x: Any, state: list[Floats], new: list[Floats]) -> None:
        H = self.hidden_size
        gates = self.gates(x, state[0])
        np.tanh(gates, out=gates)
        sigmoids = gates[..., : 3 * H]
        sigmoids += ONE
        sigmoids *= HALF
        h, c = new
        np.multiply(gates[..., H : 2 * H], state[1], out=c)
        written = gates[..., :H]
        written *= gates[..., 3 * H :]
        c += written
        np.tanh(c, out=h)
        h *= gates[..., 2 * H : 3 * H]


class _GRU(_Layer):
    """Gates r, z, n. The recurrent part of n is multiplied by r, so it stays separate."""

    num_halved = 2

    def combine(self) -> None:
        if self.is_first:
            self.table = self.from_input + self.bias_input
        else:
            self.input = Matrix(self.from_input)
        self.matrix = Matrix(self.recurrent)

    def step(self, x: Any, state: list[Floats], new: list[Floats]) -> None:
        H = self.hidden_size
        old = state[0]
        from_x = self.table[x] if self.is_first else self.input.times(x) + self.bias_input
        from_h = self.matrix.times(old)
        from_h += self.bias_recurrent
        sigmoids = from_x[..., : 2 * H] + from_h[..., : 2 * H]
        np.tanh(sigmoids, out=sigmoids)
        sigmoids += ONE
        sigmoids *= HALF
        r, z = sigmoids[..., :H], sigmoids[..., H:]
        n = np.tanh(from_x[..., 2 * H :] + r * from_h[..., 2 * H :])
        np.subtract(old, n, out=new[0])
        new[0] *= z
        new[0] += n


class _RNN(_Layer):
    """h = tanh(W x + U h + b)."""

    def step(self, x: Any, state: list[Floats], new: list[Floats]) -> None:
        np.tanh(self.gates(x, state[0]), out=new[0])


class Attention:
    """One head over the last N outputs of the last layer; the twin of `nn/attention.py`.

    Args:
        config: The architecture.
        weights: Arrays named as in shapes(config).
    """

    def __init__(self, config: ModelConfig, weights: Mapping[str, Floats]) -> None:
        self._size, self._width = config.attention, key_width(config)
        query = weights["attention.query.weight"]
        self._query = Matrix((query - query.mean(0)).T)  # LayerNorm subtracts the mean
        scale = np.float32(2 * self._width**-0.5)
        self._key_gate = scale * sigmoid(weights["attention.key_gate"])
        self._value_gate = sigmoid(weights["attention.value_gate"])
        buckets = np.frexp(np.arange(config.attention))[1]  # 0, 1, 2-3, 4-7 and so on
        self._bias = weights["attention.distance_bias"][buckets[::-1]]  # oldest first
        self._past = Ring()

    def step(self, x: Floats, past: Floats, count: Floats) -> tuple[Floats, dict[str, Floats], Any]:
        """Return output and what the head adds to it, the past after it, and the weights.

        Args:
            x: Output of the last layer, (H,) or (B, H).
            past: Normalised outputs before it, oldest first, (1, N, H) or (1, B, N, H).
            count: How many of them exist, (1, 1) or (1, B, 1).

        Returns:
            The sum, (H,) or (B, H); the new parts of the state; the weight of each of the last
            outputs, oldest first, (n,) or (B, N).
        """
        mean = x.mean() if x.ndim == 1 else x.mean(-1, keepdims=True)
        own = scaled(x - mean)
        q = scaled(self._query.times(own)) * self._key_gate
        new = self._past.moved(past)
        new[0, ..., -1, :] = own
        N, fewest = self._size, count.min()
        # A batch is never cut: the rounding of a product would depend on its other streams.
        first = 0 if x.ndim > 1 else min(N - int(fewest), N - 1)
        scores = np.empty((*x.shape[:-1], N - first), dtype=np.float32)
        scores[..., -1] = 0
        np.matmul(past[0, ..., first:-1, : self._width], q[..., None], out=scores[..., :-1, None])
        scores += self._bias[first:]
        if fewest < N:
            if x.ndim > 1:
                scores[..., :-1][np.arange(N - 1) < N - count[0]] = -np.inf
            count = np.minimum(count + ONE, np.float32(N))
        weights = softmax(scores)
        added = np.matmul(weights[..., None, :], new[0, ..., first:, :])[..., 0, :]
        added *= self._value_gate
        added += x
        return added, {"past": new, "count": count}, weights


LAYERS: dict[str, type[_Layer]] = {"lstm": _LSTM, "gru": _GRU, "rnn": _RNN}


def make_engine(config: ModelConfig, weights: Mapping[str, Floats]) -> Engine:
    """Return the network of an architecture in NumPy.

    Args:
        config: The architecture.
        weights: Arrays named as in shapes(config).

    Raises:
        InputError: The network has two directions, and no next character.
    """
    config.check_writes()
    kind = TransformerEngine if config.cell == "transformer" else RecurrentEngine
    return kind(config, weights)


def scaled(x: Floats) -> Floats:
    """Return x, which has mean 0, with variance 1 over its last axis."""
    square = np.dot(x, x) if x.ndim == 1 else np.einsum("bi,bi->b", x, x)[:, None]
    result: Floats = x * (square * np.float32(1 / x.shape[-1]) + EPSILON) ** np.float32(-0.5)
    return result


def softmax(scores: Floats) -> Floats:
    """Return probabilities over the last axis; scores are overwritten."""
    scores -= np.maximum.reduce(scores, axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= np.add.reduce(scores, axis=-1, keepdims=True)
    return scores


def sigmoid(x: Floats) -> Floats:
    """Return 1 / (1 + exp(-x))."""
    result: Floats = ONE / (ONE + np.exp(-x))
    return result
