"""Under- or overfitting, from training and validation loss."""

EARLY = 0.8
"""A best model from before this share of the run means that later ones learned by heart."""

BY_HEART = 0.3
"""Nats by which held-out text may cost more than training text; beyond, it is learned by heart."""

BY_CHANCE = 0.1
"""A gap below this says nothing, wherever the best validation was."""

FEW_EPOCHS = 8.0
"""Passes below which a longer run still pays, on all texts tried."""

UNDERFITTING, OVERFITTING, GOOD = "underfitting", "overfitting", "a good fit"
"""How an advice begins; a report has more words for each."""

ALONE = "the memory would cost more here than it brings, so the model writes without it"


def advice(
    val_loss: float | None,
    train_loss: float | None,
    *,
    best_at: float,
    epochs: float,
    is_better_alone: bool = False,
) -> str:
    """Return what to try next, empty where nothing can be said.

    Args:
        val_loss: Of the network alone on held-out text, nats per character.
        train_loss: On what it trained on last, with dropout on.
        best_at: When the best validation was, as a share of the run.
        epochs: Passes over the text.
        is_better_alone: Whether the network is better without its memory.
    """
    found = fit(val_loss, train_loss, best_at=best_at, epochs=epochs)
    return "; ".join(part for part in (found, ALONE if is_better_alone else "") if part)


def fit(val_loss: float | None, train_loss: float | None, *, best_at: float, epochs: float) -> str:
    """Return whether a network knows too little, or learns by heart; arguments as of `advice`."""
    if val_loss is None or train_loss is None:
        return ""
    gap = val_loss - train_loss
    if epochs < 1:
        return (
            f"{UNDERFITTING}: it has seen {epochs:.0%} of the text; more --max-time will help much"
        )
    if gap > BY_HEART or (best_at < EARLY and gap > BY_CHANCE):
        when = f"best after {best_at:.0%} of the run" if best_at < EARLY else f"a gap of {gap:.2f}"
        return (
            f"{OVERFITTING} ({when}): it learns the text by heart; "
            "more text, more --dropout or a smaller --size"
        )
    if epochs < FEW_EPOCHS:
        return f"{UNDERFITTING}: {epochs:.1f} passes over the text; more --max-time will help"
    return f"{GOOD}: more text or a larger --size with more --max-time would go further"
