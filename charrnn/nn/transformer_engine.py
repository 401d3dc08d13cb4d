"""The transformer in NumPy, float32: one character a step, for one stream or a batch.

Rotary positions (arXiv:2104.09864) have a period here: each frequency is a whole number of turns
in PERIOD characters, so that a stream of any length has exact angles. Positions count from 0 to
2 * PERIOD, and then continue at PERIOD.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.nn.architecture import PERIOD, ModelConfig
from charrnn.nn.engine import Engine, Floats, Matrix, Ring
from charrnn.nn.state import State

BASE = 10_000.0
"""The slowest of the rotations makes about a turn in 2 pi * BASE characters."""

EPSILON = np.float32(1e-6)
"""Added to the root mean square in RMSNorm."""


def rotations(width: int) -> NDArray[np.complex64]:
    """Return the rotation of each pair of a head's D numbers at each position, (PERIOD, D / 2)."""
    frequencies = BASE ** (-np.arange(width // 2) / (width // 2))
    turns = np.maximum(1, np.rint(frequencies * PERIOD / (2 * np.pi))).astype(np.int64)
    steps = np.arange(PERIOD)[:, None] * turns % PERIOD
    result: NDArray[np.complex64] = np.exp(steps * (2j * np.pi / PERIOD)).astype(np.complex64)
    return result


class TransformerEngine(Engine):
    """Steps a transformer, for one stream or a batch.

    The scale of the scores is folded into the matrix of the queries.

    Args:
        config: The architecture.
        weights: Arrays named as in shapes(config).
    """

    def __init__(self, config: ModelConfig, weights: Mapping[str, Floats]) -> None:
        super().__init__(config)
        self._embedding = weights["embedding.weight"]
        self._blocks = [self._block(weights, f"layers.{i}.") for i in range(config.num_layers)]
        self._decoder = Matrix(weights["decoder.weight"].T)
        self._bias = weights["decoder.bias"]
        self._rotations = rotations(config.hidden_size // config.num_heads)[:, None, None]
        self._keys, self._values = Ring(), Ring()

    def _block(self, weights: Mapping[str, Floats], name: str) -> tuple[Matrix, ...]:
        H = self.config.hidden_size
        qkv = weights[name + "qkv.weight"].copy()
        qkv[:H] *= np.float32((H // self.config.num_heads) ** -0.5)
        others = (weights[name + part] for part in ("output.weight", "up.weight", "down.weight"))
        return tuple(Matrix(part.T) for part in (qkv, *others))

    def step(self, ids: Any, state: State) -> tuple[Floats, State]:
        """Read one character of each stream, as every engine does."""
        logits, new_state, _, _ = self._read(ids, state)
        return logits, new_state

    def attend(self, symbol: int, state: State) -> tuple[Floats, State, Floats]:
        """Read one character of a single stream, and return where each head of a block looked."""
        logits, new_state, _, shares = self._read(symbol, state)
        count = min(self.config.context, int(state.arrays()["position"][0, 0]) + 1)
        return logits, new_state, np.stack(shares)[..., -count:]

    def observe(self, ids: Any, state: State) -> tuple[Floats, State, dict[str, Floats]]:
        """Read one character; h is the residual stream behind each block, after RMSNorm."""
        logits, new_state, streams, _ = self._read(ids, state)
        return logits, new_state, {"h": np.stack([normed(x) for x in streams])}

    def _read(self, ids: Any, state: State) -> tuple[Floats, State, list[Floats], list[Floats]]:
        """Return logits, state, residual stream behind each block, and what its heads looked at."""
        old, heads, H = state.arrays(), self.config.num_heads, self.config.hidden_size
        position = old["position"][0, ..., 0]
        turns = self._rotations[position.astype(np.int64) % PERIOD]
        keys, values = self._keys.moved(old["keys"]), self._values.moved(old["values"])
        before = np.empty_like(old["before"])
        hidden = self._hidden(position + 1)
        x, streams, shares = self._embedding[ids], [], []
        for i, (qkv, output, up, down) in enumerate(self._blocks):
            mixed = with_character_before(
                normed(x), old["before"][i, ..., 0, :], before[i, ..., 0, :]
            )
            both, v = np.split(qkv.times(mixed), [2 * H], axis=-1)
            both = np.ascontiguousarray(both).reshape(*v.shape[:-1], 2, heads, -1)
            both = (both.view(np.complex64) * turns).view(np.float32)
            q, k = both[..., 0, :, :], both[..., 1, :, :].reshape(v.shape)
            keys[i, ..., -1, :], values[i, ..., -1, :] = k, v
            found, share = attended(q, keys[i], values[i], hidden)
            x = x + output.times(found)
            mixed = with_character_before(
                normed(x), old["before"][i, ..., 1, :], before[i, ..., 1, :]
            )
            active = np.maximum(up.times(mixed), 0)
            active *= active
            x += down.times(active)
            streams.append(x)
            shares.append(share)
        logits = self._decoder.times(normed(x))
        logits += self._bias
        after = position + 1
        after = np.where(after >= 2 * PERIOD, after - PERIOD, after).astype(np.float32)
        new = {"keys": keys, "values": values, "before": before, "position": after[None, ..., None]}
        return logits, State.from_arrays(new), streams, shares

    def _hidden(self, count: Any) -> Floats | None:
        """Return -inf where nothing was read yet, else 0, (..., 1, N); None if all is read."""
        N = self.config.context
        if np.min(count) >= N:
            return None
        is_read = np.arange(N) >= N - np.asarray(count)[..., None]
        return np.where(is_read, 0, -np.inf).astype(np.float32)[..., None, :]


def normed(x: Floats) -> Floats:
    """Return x divided by its root mean square."""
    square = np.einsum("...i,...i->...", x, x)[..., None] * np.float32(1 / x.shape[-1])
    result: Floats = x / (np.sqrt(square) + EPSILON)
    return result


def with_character_before(x: Floats, before: Floats, kept: Floats) -> Floats:
    """Return x with its first half, which is written into `kept`, replaced by that of `before`."""
    kept[...] = x[..., : kept.shape[-1]]
    x[..., : kept.shape[-1]] = before
    return x


def attended(
    q: Floats, keys: Floats, values: Floats, hidden: Floats | None
) -> tuple[Floats, Floats]:
    """Return what the heads find, (..., H), and the weight of each character, (..., heads, N).

    Args:
        q: Scaled queries, (..., heads, D).
        keys: (..., N, H).
        values: (..., N, H).
        hidden: Added to the scores, (..., 1, N).
    """
    by_head = (*keys.shape[:-1], *q.shape[-2:])
    k, v = (part.reshape(by_head).swapaxes(-3, -2) for part in (keys, values))  # (..., heads, N, D)
    scores = (k @ q[..., None])[..., 0]
    if hidden is not None:
        scores += hidden
    scores -= scores.max(-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(-1, keepdims=True)
    found = (scores[..., None, :] @ v)[..., 0, :]
    return found.reshape(*q.shape[:-2], -1), scores
