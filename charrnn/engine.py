"""One character at a time on the CPU: NumPy, float32; h and c can be read after every step.

The same network as model.py, arranged for sampling: the embedding and the first layer's input
matrix are folded into one table, and one tanh serves all gates, since
sigmoid(x) = (1 + tanh(x / 2)) / 2, with the halves folded into the weights.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.config import ModelConfig

Floats = NDArray[np.float32]
State = tuple[Floats, ...]
"""(h, c) or (h,): each (L, H) for one stream, (L, B, H) for many."""

TILE = 8
"""Rows that are multiplied together. BLAS rounds a row differently with the number of rows and its
place among them; in tiles of 8 a stream's text depends on nothing but its seed."""

HALF, ONE = np.float32(0.5), np.float32(1)


class Engine:
    """Steps a network, one stream or many.

    Args:
        config: The architecture.
        weights: Arrays named as in shapes(config).
    """

    def __init__(self, config: ModelConfig, weights: Mapping[str, Floats]) -> None:
        self.config = config
        self._layers = [
            _LAYERS[config.cell](weights, layer, config.hidden_size)
            for layer in range(config.num_layers)
        ]
        self._layers[0].fold(weights["embedding.weight"])
        self._decoder = np.ascontiguousarray(weights["decoder.weight"].T)
        self._decoder_bias = weights["decoder.bias"]

    def empty_state(self, *batch: int) -> State:
        """Return the state before any text, of one stream, or of a batch of them."""
        shape = (self.config.num_layers, *batch, self.config.hidden_size)
        count = 2 if self.config.cell == "lstm" else 1
        return tuple(np.zeros(shape, dtype=np.float32) for _ in range(count))

    def step(self, ids: Any, state: State) -> tuple[Floats, State]:
        """Read one character of each stream.

        Args:
            ids: The character, an int; or one for each of B streams, (B,).
            state: What the text before has left.

        Returns:
            Logits of the next character, (V,) or (B, V), and the new state.
        """
        new = tuple(np.empty_like(part) for part in state)
        x: Any = ids
        for i, layer in enumerate(self._layers):
            for part, value in zip(new, layer.step(x, *(s[i] for s in state)), strict=True):
                part[i] = value
            x = new[0][i]
        return times(x, self._decoder) + self._decoder_bias, new


def times(x: Floats, matrix: Floats) -> Floats:
    """Return x @ matrix; a batch (B, K) in tiles of TILE rows, the last one padded."""
    if x.ndim == 1:
        product: Floats = x @ matrix
        return product
    B, K = x.shape
    padded = x if B % TILE == 0 else np.concatenate([x, np.zeros((-B % TILE, K), np.float32)])
    tiles: Floats = padded.reshape(-1, TILE, K) @ matrix
    return tiles.reshape(len(padded), -1)[:B]


class _Layer:
    """What all cells share: matrices turned for x @ W, and the folding of the embedding."""

    num_halved = 0
    """Gates, from the first, that are sigmoids."""

    def __init__(self, weights: Mapping[str, Floats], layer: int, hidden_size: int) -> None:
        name = f"layers.{layer}."
        self.hidden_size = hidden_size
        self.input = self.halve(weights[name + "weight_ih_l0"].T)
        self.recurrent = self.halve(weights[name + "weight_hh_l0"].T)
        self.bias = self.halve(weights[name + "bias_ih_l0"] + weights[name + "bias_hh_l0"])
        self.table: Floats | None = None

    def halve(self, matrix: Floats) -> Floats:
        """Return a contiguous copy with the columns of sigmoid gates halved."""
        result = np.array(matrix, dtype=np.float32, order="C")
        result[..., : self.num_halved * self.hidden_size] *= HALF
        return result

    def fold(self, embedding: Floats) -> None:
        """Make the table of each character's share of the gates, (V, gates * H)."""
        self.table = embedding @ self.input + self.bias

    def from_input(self, x: Any) -> Floats:
        """Return the input's share of the gates."""
        if self.table is not None:
            share: Floats = self.table[x]
            return share
        return times(x, self.input) + self.bias

    def step(self, x: Any, h: Floats, *rest: Floats) -> State:
        raise NotImplementedError


class _LSTM(_Layer):
    """i, f, g, o; kept in the order i, f, o, g so that the sigmoids lie side by side."""

    num_halved = 3

    def halve(self, matrix: Floats) -> Floats:
        i, f, g, o = np.split(matrix, 4, axis=-1)
        return super().halve(np.concatenate([i, f, o, g], axis=-1))

    def step(self, x: Any, h: Floats, *rest: Floats) -> State:
        H = self.hidden_size
        gates = self.from_input(x) + times(h, self.recurrent)
        np.tanh(gates, out=gates)
        sigmoids = gates[..., : 3 * H]
        sigmoids += ONE
        sigmoids *= HALF
        i, f, o = sigmoids[..., :H], sigmoids[..., H : 2 * H], sigmoids[..., 2 * H :]
        c = f * rest[0] + i * gates[..., 3 * H :]
        return o * np.tanh(c), c


class _GRU(_Layer):
    """r, z, n; the recurrent bias of n is inside the reset gate's reach, so it stays apart."""

    num_halved = 2

    def __init__(self, weights: Mapping[str, Floats], layer: int, hidden_size: int) -> None:
        super().__init__(weights, layer, hidden_size)
        self.new_bias = weights[f"layers.{layer}.bias_hh_l0"][2 * hidden_size :]
        self.bias[2 * hidden_size :] -= self.new_bias

    def step(self, x: Any, h: Floats, *rest: Floats) -> State:
        H = self.hidden_size
        from_x, from_h = self.from_input(x), times(h, self.recurrent)
        sigmoids = (np.tanh(from_x[..., : 2 * H] + from_h[..., : 2 * H]) + ONE) * HALF
        r, z = sigmoids[..., :H], sigmoids[..., H:]
        n = np.tanh(from_x[..., 2 * H :] + r * (from_h[..., 2 * H :] + self.new_bias))
        return (n + z * (h - n),)


class _RNN(_Layer):
    """h = tanh(W x + U h + b)."""

    def step(self, x: Any, h: Floats, *rest: Floats) -> State:
        return (np.tanh(self.from_input(x) + times(h, self.recurrent)),)


_LAYERS: dict[str, type[_Layer]] = {"lstm": _LSTM, "gru": _GRU, "rnn": _RNN}
