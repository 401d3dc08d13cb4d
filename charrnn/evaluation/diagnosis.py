"""Under- or overfitting, from training and validation loss."""

from dataclasses import dataclass

EARLY = 0.8
"""If the best model is from before this fraction of the run, later ones memorised the text."""

BY_HEART = 0.3
"""Validation loss minus training loss, in nats; a larger gap means that the text is memorised."""

BY_CHANCE = 0.1
"""A smaller gap is noise, whenever the best validation was."""

FEW_EPOCHS = 8.0
"""Passes over the text; with fewer, a longer run improved the loss of every text tried."""

MEMORY_LEFT_OUT = (
    "the n-gram memory makes the loss on held-out text worse, so the model writes without it"
)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """How well a network fits its text."""

    kind: str
    """underfitting, overfitting or good."""
    text: str
    """The same for people, with the reason and what to try next."""


def diagnose(
    val_loss: float | None,
    train_loss: float | None,
    *,
    best_at: float,
    epochs: float,
    memory_hurts: bool = False,
) -> str:
    """Return a diagnosis with advice on what to try next; empty if the losses are unknown.

    Args:
        val_loss: Loss of the network alone on held-out text, nats per character.
        train_loss: Loss of the last training steps, with dropout, nats per character.
        best_at: Position of the best validation, as a fraction of the run.
        epochs: Passes over the text.
        memory_hurts: Whether the n-gram memory makes the loss on held-out text worse.
    """
    fit = diagnose_fit(val_loss, train_loss, best_at=best_at, epochs=epochs)
    return "; ".join(([fit.text] if fit else []) + ([MEMORY_LEFT_OUT] if memory_hurts else []))


def diagnose_fit(
    val_loss: float | None, train_loss: float | None, *, best_at: float, epochs: float
) -> Diagnosis | None:
    """Return whether a network underfits or overfits; arguments as of `diagnose`."""
    if val_loss is None or train_loss is None:
        return None
    gap = val_loss - train_loss
    if epochs < 1:
        seen = f"the network has seen {epochs:.0%} of the text"
        text = f"{seen}; a larger --max-time will help a lot"
        return Diagnosis("underfitting", f"underfitting: {text}")
    if gap > BY_HEART or (best_at < EARLY and gap > BY_CHANCE):
        early = f"best validation after {best_at:.0%} of the run"
        sign = early if best_at < EARLY else f"validation loss {gap:.2f} above training loss"
        advice = "use more text, a larger --dropout or a smaller --size"
        text = f"overfitting ({sign}): the network memorises the text; {advice}"
        return Diagnosis("overfitting", text)
    if epochs < FEW_EPOCHS:
        text = f"{epochs:.1f} passes over the text; a larger --max-time will help"
        return Diagnosis("underfitting", f"underfitting: {text}")
    text = "for a lower loss, use more text, or a larger --size and --max-time"
    return Diagnosis("good", f"a good fit: {text}")
