"""Steer texts: steps 3 and 4 of the order in which a character is chosen.

They come after network and n-gram memory, before temperature and filters: first what may come at all
(--bias, --ban, --match), then what would repeat a span (--no-repeat).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.checkpoints.model import Model
from charrnn.core.config import STEERED, SampleConfig
from charrnn.steering.automaton import Automaton
from charrnn.steering.characters import Biases, character_bias
from charrnn.steering.matching import Matching, automaton_for
from charrnn.steering.repeats import Repeats

Logits = NDArray[np.float32]


@dataclass(frozen=True, eq=False, slots=True)
class Steering:
    """The constraints of a config, for the vocabulary of one model."""

    bias: Biases | None
    """Added to logits, (V,); -inf for a banned symbol."""
    no_repeat: int
    """Symbols of the shortest span that is not repeated; 0 for none."""
    automaton: Automaton | None
    """The texts that match a pattern; None for all."""


def steering_of(config: SampleConfig, model: Model) -> Steering | None:
    """Return the constraints of a config; None if it has none.

    Raises:
        InputError: A constraint does not fit the model.
    """
    if not any(getattr(config, name) for name in STEERED):
        return None
    bias = character_bias(config, model)
    return Steering(bias, config.no_repeat, automaton_for(config, model, bias))


class SteeringState:
    """Steers texts side by side.

    Args:
        steering: The constraints.
        fed: Symbols so far of each text (B).
        length: Symbols that a text will get at most.
    """

    def __init__(self, steering: Steering, fed: Sequence[Sequence[int]], length: int) -> None:
        self._bias, shortest = steering.bias, steering.no_repeat
        self._repeats = Repeats(shortest, fed, length) if shortest else None
        automaton = steering.automaton
        self.matching = None if automaton is None else Matching(automaton, len(fed), length)
        """The states of the texts, if they have to match."""

    def apply(self, logits: Logits) -> Logits:
        """Return the logits of the next symbols after all constraints, (B, V)."""
        if self._bias is not None:
            logits = biased(logits, self._bias)
        if self.matching is not None:
            logits = limited(logits, self.matching.may_come, self._bias)
        return logits if self._repeats is None else self._repeats.apply(logits)

    def read(self, chosen: NDArray[Any]) -> None:
        """Append the next symbol of each text, (B,)."""
        if self._repeats is not None:
            self._repeats.read(chosen)
        if self.matching is not None:
            self.matching.read(chosen)

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Drop all texts but these."""
        if self._repeats is not None:
            self._repeats.keep(rows)
        if self.matching is not None:
            self.matching.keep(rows)


def biased(logits: Logits, bias: Biases) -> Logits:
    """Return logits with a bias, (B, V); where nothing that may come is possible, the bias alone.

    Only at the start of a text symbols are impossible: those that start no line.
    """
    result: Logits = logits + bias
    is_stuck = np.isneginf(result.max(axis=-1))
    return np.where(is_stuck[:, None], bias, result) if is_stuck.any() else result


def limited(logits: Logits, may_come: NDArray[np.bool_], bias: Biases | None) -> Logits:
    """Return logits without symbols that may not come, (B, V).

    Where all others are impossible, as at the start of a text, it is the bias alone.
    """
    result: Logits = np.where(may_come, logits, -np.inf)
    is_stuck = np.isneginf(result.max(axis=-1))
    if is_stuck.any():
        alone = np.float32(0) if bias is None else bias
        result[is_stuck] = np.where(may_come[is_stuck], alone, -np.inf)
    return result
