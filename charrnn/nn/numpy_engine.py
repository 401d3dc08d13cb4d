"""The recurrent network in NumPy, float32: one character per step, for one stream or a batch.

It is arranged for sampling. The embedding and the input matrix of the first layer are folded into
one table. Other layers (not those of a GRU) multiply input and old state by one matrix. One tanh
serves all gates, since sigmoid(x) = (1 + tanh(x / 2)) / 2, with the halves folded into the weights.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from charrnn.nn.architecture import ModelConfig
from charrnn.nn.engine import Engine, Floats, Matrix
from charrnn.nn.state import State

HALF, ONE = np.float32(0.5), np.float32(1)


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
        self._decoder = Matrix(weights["decoder.weight"].T)
        self._decoder_bias = weights["decoder.bias"]

    def step(self, ids: Any, state: State) -> tuple[Floats, State]:
        """Read one character of each stream, as every engine does."""
        new_state = state.map(np.empty_like)
        old, new = list(state.arrays().values()), list(new_state.arrays().values())
        x: Any = ids
        for i, layer in enumerate(self._layers):
            layer.step(x, [part[i] for part in old], [part[i] for part in new])
            x = new[0][i]
        logits = self._decoder.times(x)
        logits += self._decoder_bias
        return logits, new_state


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
        self.combine()

    def arrange(self, matrix: Floats) -> Floats:
        """Return a copy with the columns of sigmoid gates halved."""
        result = np.array(matrix, dtype=np.float32, order="C")
        result[..., : self.num_halved * self.hidden_size] *= HALF
        return result

    def combine(self) -> None:
        """Combine the weights for `gates`."""
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


LAYERS: dict[str, type[_Layer]] = {"lstm": _LSTM, "gru": _GRU, "rnn": _RNN}


def make_engine(config: ModelConfig, weights: Mapping[str, Floats]) -> Engine:
    """Return the network of an architecture in NumPy.

    Args:
        config: The architecture.
        weights: Arrays named as in shapes(config).
    """
    return RecurrentEngine(config, weights)
