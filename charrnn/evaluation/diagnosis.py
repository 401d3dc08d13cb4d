"""Under- or overfitting, from losses, validation curve and symbol frequencies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from charrnn.data.vocab import Ids

EARLY = 0.8
"""If the best model is from before this fraction of the run, later ones memorised the text."""

BY_HEART = 0.3
"""Validation loss minus training loss, in nats; a larger gap means that the text is memorised."""

BY_CHANCE = 0.1
"""A smaller gap is noise, whenever the best validation was."""

FEW_EPOCHS = 8.0
"""Passes over the text; with fewer, a longer run improved the loss of every text tried."""

LATELY = 2 / 3
"""The last third of a run is compared with the best validation before it."""

FLAT = 0.005
"""Nats; a validation loss that fell by less lately does not fall any more."""

FEWEST_VALIDATIONS = 4
"""With fewer, a curve is too short to be judged."""

BY_FREQUENCIES = 0.98
"""From this fraction of the unigram entropy on, a model has learned only symbol frequencies."""

KNOWN = 0.02
"""Nats; below this validation loss there is nothing left to learn."""

NUM_COUNTED = 1_000_000
"""Symbols of training text that the unigram entropy is computed from."""

MEMORY_LEFT_OUT = (
    "the n-gram memory makes the loss on held-out text worse, so the model writes without it"
)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """How well a network fits its text."""

    kind: str
    """underfitting, overfitting, good, known (nothing left to learn) or random (nothing at all)."""
    text: str
    """The same for people, with the reason and what to try next."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Losses:
    """What a diagnosis is made from; losses in nats per symbol, None if unknown."""

    network: float | None
    """Of the network alone on held-out text."""
    train: float | None
    """Of the last training steps, with dropout."""
    best_at: float
    """Position of the best validation, as a fraction of the run."""
    epochs: float
    """Passes over the text."""
    mixed: float | None = None
    """Of network and n-gram memory together on held-out text."""
    unigram_entropy: float | None = None
    """Of the training text: the loss from symbol frequencies alone."""
    curve: Sequence[tuple[float, float]] = ()
    """Validations of the network alone: step, loss."""
    budget: str = "max_time"
    """Name of the setting that makes a run longer."""

    @property
    def budget_option(self) -> str:
        """The option that makes a run longer."""
        return f"--{self.budget.replace('_', '-')}"


def diagnose(losses: Losses, *, memory_hurts: bool = False) -> str:
    """Return a diagnosis with advice on what to try next; empty if the losses are unknown.

    Args:
        losses: Losses of the run.
        memory_hurts: Whether the n-gram memory makes the loss on held-out text worse.
    """
    fit = diagnose_fit(losses)
    return "; ".join(([fit.text] if fit else []) + ([MEMORY_LEFT_OUT] if memory_hurts else []))


def split_advice(advice: str) -> tuple[str, bool]:
    """Return the text on the fit in what `diagnose` returned, and whether the memory hurts."""
    text = advice.removesuffix(MEMORY_LEFT_OUT)
    return text.removesuffix("; "), text != advice


def diagnose_fit(losses: Losses) -> Diagnosis | None:
    """Return how well a network fits its text; None if a loss is unknown."""
    network, train = losses.network, losses.train
    if network is None or train is None:
        return None
    if network < KNOWN:
        text = (
            "known: the network predicts the held-out text almost without error, so more training "
            "will not help; a text that repeats itself gives such a loss"
        )
        return Diagnosis("known", text)
    if losses.unigram_entropy is not None and network >= BY_FREQUENCIES * losses.unigram_entropy:
        return diagnose_frequencies(losses)
    gap = network - train
    if losses.epochs < 1:
        seen = f"the network has seen {losses.epochs:.0%} of the text"
        text = f"{seen}; a larger {losses.budget_option} will help a lot"
        return Diagnosis("underfitting", f"underfitting: {text}")
    if gap > BY_HEART or (losses.best_at < EARLY and gap > BY_CHANCE):
        early = f"best validation after {losses.best_at:.0%} of the run"
        sign = early if losses.best_at < EARLY else f"validation loss {gap:.2f} above training loss"
        advice = "use more text, a larger --dropout or a smaller --size"
        text = f"overfitting ({sign}): the network memorises the text; {advice}"
        return Diagnosis("overfitting", text)
    return diagnose_length(losses)


def diagnose_frequencies(losses: Losses) -> Diagnosis:
    """Return the diagnosis of a network that has learned only symbol frequencies."""
    nothing = "the network predicts no better than the frequencies of the characters do"
    mixed, entropy = losses.mixed, losses.unigram_entropy or 0.0
    memory_knows_more = mixed is not None and mixed < BY_FREQUENCIES * entropy
    is_flat = has_fallen_lately(losses.curve) is False
    if is_flat and losses.epochs >= 1 and not memory_knows_more:
        text = (
            f"nothing to predict: {nothing}, and its loss has stopped falling, so more training "
            "will not help; is the text random, compressed or encrypted?"
        )
        return Diagnosis("random", text)
    text = f"a larger {losses.budget_option} shows if there is more to learn"
    return Diagnosis("underfitting", f"underfitting: so far {nothing}; {text}")


def diagnose_length(losses: Losses) -> Diagnosis:
    """Return the diagnosis of a network that does not overfit, from the length of its run."""
    epochs, is_falling, more = losses.epochs, has_fallen_lately(losses.curve), losses.budget_option
    if epochs < FEW_EPOCHS and is_falling is not False:
        fell = ", and the validation loss was still falling" if is_falling else ""
        text = f"{epochs:.1f} passes over the text{fell}; a larger {more} will help"
        return Diagnosis("underfitting", f"underfitting: {text}")
    text = f"for a lower loss, use more text, or a larger --size and {more}"
    if epochs < FEW_EPOCHS:
        text = f"the validation loss has stopped falling; {text}"
    return Diagnosis("good", f"a good fit: {text}")


def budget_setting(settings: Mapping[str, Any]) -> str:
    """Return the name of the setting that makes a run longer: steps, epochs or max_time."""
    is_given = (name for name in ("steps", "epochs") if settings.get(name) is not None)
    return next(is_given, "max_time")


def has_fallen_lately(curve: Sequence[tuple[float, float]]) -> bool | None:
    """Return whether the loss fell in the last third of a curve; None if it is too short."""
    begin = LATELY * curve[-1][0] if curve else 0.0
    before = [loss for step, loss in curve if step <= begin]
    later = [loss for step, loss in curve if step > begin]
    if len(curve) < FEWEST_VALIDATIONS or not before:
        return None
    return min(later) < min(before) - FLAT


def unigram_entropy(ids: Ids) -> float:
    """Return the unigram entropy of a text, nats per symbol; only its beginning is counted."""
    counts = np.bincount(ids[:NUM_COUNTED])
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
