"""What the losses say in words."""

import pytest

from charrnn.evaluation.diagnosis import MEMORY_LEFT_OUT, diagnose, diagnose_fit


@pytest.mark.parametrize(
    ("val_loss", "train_loss", "best_at", "epochs", "word"),
    [
        (1.8, 1.8, 1.0, 0.45, "underfitting: the network has seen 45% of the text; "),
        (1.6, 1.55, 1.0, 1.0, "underfitting: 1.0 passes"),
        (1.6, 1.55, 1.0, 3.0, "underfitting: 3.0 passes"),
        (1.5, 1.4, 1.0, 8.0, "a good fit"),
        (1.5, 1.4, 1.0, 20.0, "a good fit"),
        (1.9, 1.4, 1.0, 20.0, "overfitting (validation loss 0.50 above training loss)"),
        (1.55, 1.4, 0.5, 20.0, "overfitting (best validation after 50% of the run)"),
        (1.625, 1.375, 0.8, 20.0, "a good fit"),  # late enough
        (1.625, 1.375, 0.79, 20.0, "overfitting (best validation after 79% of the run)"),
        (1.45, 1.4, 0.5, 20.0, "a good fit"),  # a wiggle
        (3.4, 3.0, 0.6, 0.5, "underfitting"),  # whatever the gap, it has hardly begun
        (None, 1.4, 1.0, 20.0, ""),
        (1.5, None, 1.0, 20.0, ""),
    ],
)
def test_losses_in_words(val_loss, train_loss, best_at, epochs, word):
    found = diagnose(val_loss, train_loss, best_at=best_at, epochs=epochs)
    assert found.startswith(word)
    assert bool(found) == bool(word)


@pytest.mark.parametrize(
    ("val_loss", "epochs", "kind"),
    [
        (1.5, 20, "good"),
        (1.9, 20, "overfitting"),
        (1.5, 3, "underfitting"),
        (1.5, 0.5, "underfitting"),
    ],
)
def test_a_diagnosis_is_of_a_kind_that_its_text_names(val_loss, epochs, kind):
    found = diagnose_fit(val_loss, 1.4, best_at=1.0, epochs=epochs)
    assert found.kind == kind
    assert kind in found.text


def test_a_memory_that_is_left_out_is_said_besides():
    found = diagnose(1.8, 1.8, best_at=1.0, epochs=0.45, memory_hurts=True)
    assert found.startswith("underfitting: ")
    assert found.endswith("; " + MEMORY_LEFT_OUT)
    assert diagnose(None, None, best_at=1.0, epochs=1.0, memory_hurts=True) == MEMORY_LEFT_OUT
