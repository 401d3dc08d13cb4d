"""Temperature, top-k, top-p, min-p, and the draw: pure functions on logits.

`Chooser` is the whole way from the logits of the network to the next symbols, step by step as in
the compiled loop and on a GPU.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.core.config import SampleConfig
from charrnn.ngram.context import BatchMixer
from charrnn.ngram.model import NgramModel
from charrnn.steering.steering import Steering, SteeringState

Logits = NDArray[np.float32]
"""Logits, (..., V); -inf for an impossible symbol."""

IMPOSSIBLE = np.float32(-np.inf)

COLDEST, HOTTEST = 1e-6, 1e30
"""Temperatures are clipped to this range, where logits stay finite in float32."""


def apply_filters(logits: Logits, config: SampleConfig) -> Logits:
    """Apply temperature, top-k, top-p and min-p, in this order.

    Returns:
        Logits, (..., V); the largest of each row is 0.
    """
    if config.temperature == 0:
        return keep_argmax(logits)
    logits = scale(logits, config.temperature)
    if 0 < config.top_k < logits.shape[-1]:
        logits = keep_top_k(logits, config.top_k)
    if config.top_p < 1:
        logits = keep_top_p(logits, config.top_p)
    if config.min_p > 0:
        logits = keep_min_p(logits, config.min_p)
    return logits


def scale(logits: Logits, temperature: float) -> Logits:
    """Return logits divided by a temperature, shifted so that the largest is 0."""
    highest = np.maximum.reduce(logits, axis=-1, keepdims=True)
    scaled: Logits = (logits - highest) / np.float32(min(max(temperature, COLDEST), HOTTEST))
    return scaled


def keep_argmax(logits: Logits) -> Logits:
    """Keep only the most likely symbol; the first one on a tie."""
    first = logits.argmax(axis=-1)[..., None]
    return np.where(np.arange(logits.shape[-1]) == first, np.float32(0), IMPOSSIBLE)


def keep_top_k(logits: Logits, k: int) -> Logits:
    """Keep the k most likely symbols, 1 <= k <= V, and ties with the k-th.

    Raises:
        ValueError: k is outside [1, V].
    """
    V = logits.shape[-1]
    if not 1 <= k <= V:
        raise ValueError(f"top_k must be in [1, {V}], got {k}")
    threshold = np.partition(logits, V - k, axis=-1)[..., V - k, None]
    return np.where(logits < threshold, IMPOSSIBLE, logits)


def keep_top_p(logits: Logits, p: float) -> Logits:
    """Keep the smallest set of most likely symbols with a total probability of p, 0 < p <= 1.

    The symbol that crosses p is kept, so the set is never empty (nucleus, arXiv:1904.09751).
    """
    order = np.argsort(-logits, axis=-1, kind="stable")
    sorted_probabilities = np.take_along_axis(probabilities(logits), order, axis=-1)
    before = np.cumsum(sorted_probabilities, axis=-1) - sorted_probabilities
    is_out = np.empty(logits.shape, dtype=np.bool_)
    np.put_along_axis(is_out, order, before >= p, axis=-1)
    return np.where(is_out, IMPOSSIBLE, logits)


def keep_min_p(logits: Logits, p: float) -> Logits:
    """Keep symbols at least p times as likely as the most likely one (arXiv:2407.01082).

    Args:
        logits: (..., V); the largest of each row is 0.
        p: In (0, 1].
    """
    kept = logits.copy()
    np.putmask(kept, logits < np.float32(math.log(p)), IMPOSSIBLE)
    return kept


def draw(logits: Logits, uniform: NDArray[np.float64] | float) -> Any:
    """Return one symbol for each row of logits, by inverse transform sampling: (...), or an int.

    Args:
        logits: (..., V); the largest logit of each row is 0.
        uniform: One number in [0, 1) for each row, (...).
    """
    sums = np.add.accumulate(np.exp(logits).astype(np.float64), axis=-1)
    # The first sum above the threshold: an impossible symbol adds nothing and is never drawn.
    if logits.ndim == 1:
        index = int(sums.searchsorted(uniform * sums[-1], side="right"))
        return min(index, len(sums) - 1)  # a valid index even if logits are NaN
    threshold = np.asarray(uniform)[..., None] * sums[..., -1:]
    return np.minimum((sums <= threshold).sum(axis=-1), logits.shape[-1] - 1)


def probabilities(logits: Logits) -> Logits:
    """Return the softmax along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Logits = shifted / shifted.sum(axis=-1, keepdims=True)
    return result


class Chooser:
    """Chooses the next symbols of texts side by side: n-gram memories, constraints, filters.

    Args:
        memories: n-gram memories, mixed in one after the other.
        steering: The constraints, if there are any.
        fed: Symbols so far of each text (B).
        config: Filters; `length` is the most symbols that a text gets.
    """

    def __init__(
        self, memories: Sequence[NgramModel], steering: Steering | None,
        fed: Sequence[Sequence[int]], config: SampleConfig,
    ) -> None:  # fmt: skip
        self._mixer = BatchMixer(memories, fed) if memories else None
        self._steered = SteeringState(steering, fed, config.length) if steering else None
        self._config = config
        self.matching = self._steered.matching if self._steered else None
        """The states of the texts, if they have to match a pattern."""

    def choose(self, logits: Logits, uniforms: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the next symbol of each text, (B,), and append it to what was read.

        Args:
            logits: Of the network, (B, V).
            uniforms: A number in [0, 1) for each text, (B,).
        """
        if self._mixer is not None:
            logits = self._mixer.mixed(logits)
        if self._steered is not None:
            logits = self._steered.apply(logits)
        chosen: NDArray[np.int64] = draw(apply_filters(logits, self._config), uniforms)
        if self._mixer is not None:
            self._mixer.read(chosen)
        if self._steered is not None:
            self._steered.read(chosen)
        return chosen

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Drop all texts but these."""
        if self._mixer is not None:
            self._mixer.keep(rows)
        if self._steered is not None:
            self._steered.keep(rows)
