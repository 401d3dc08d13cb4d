"""What the losses say in words."""

import math

import numpy as np
import pytest

from charrnn.evaluation.diagnosis import (
    MEMORY_LEFT_OUT,
    Losses,
    budget_setting,
    diagnose,
    diagnose_fit,
    has_fallen_lately,
    unigram_entropy,
)

FALLING = [(10, 2.0), (20, 1.9), (30, 1.8), (40, 1.7)]
FLAT = [(10, 2.0), (20, 1.7), (30, 1.7), (40, 1.699)]


def losses(network, train, **more):
    return Losses(**{"network": network, "train": train, "best_at": 1.0, "epochs": 1.0} | more)


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
    found = diagnose(losses(val_loss, train_loss, best_at=best_at, epochs=epochs))
    assert found.startswith(word)
    assert bool(found) == bool(word)


@pytest.mark.parametrize(
    ("settings", "option"),
    [
        ({}, "--max-time"),
        ({"max_time": 60.0, "steps": None}, "--max-time"),
        ({"epochs": 2.0, "max_time": 60.0}, "--epochs"),
        ({"steps": 9, "max_time": 60.0}, "--steps"),
    ],
)
def test_advice_names_the_option_that_limited_the_run(settings, option):
    budget = budget_setting(settings)
    for epochs, entropy in ((0.5, None), (3.0, None), (9.0, None), (0.5, 1.5)):
        found = diagnose(losses(1.5, 1.4, epochs=epochs, unigram_entropy=entropy, budget=budget))
        assert f" {option} " in f"{found} "
        assert found.count("--") - found.count("--size") == 1


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
    found = diagnose_fit(losses(val_loss, 1.4, epochs=epochs))
    assert found.kind == kind
    assert kind in found.text


def test_a_memory_that_is_left_out_is_said_besides():
    found = diagnose(losses(1.8, 1.8, epochs=0.45), memory_hurts=True)
    assert found.startswith("underfitting: ")
    assert found.endswith("; " + MEMORY_LEFT_OUT)
    assert diagnose(losses(None, None), memory_hurts=True) == MEMORY_LEFT_OUT


@pytest.mark.parametrize(
    ("curve", "has_fallen"),
    [
        (FALLING, True),  # 1.7 after 1.9
        (FLAT, False),
        ([(10, 1.0), (20, 1.0), (30, 1.0), (40, 0.99)], True),
        ([(10, 1.0), (20, 1.0), (30, 1.0), (40, 0.996)], False),
        ([(10, 1.0), (20, 1.0), (30, 0.5), (40, 1.5)], True),  # the best one counts
        ([(10, 2.0), (20, 1.5), (30, 1.0)], None),  # too few
        ([(30, 2.0), (31, 1.5), (32, 1.0), (40, 0.5)], None),  # resumed without a log
        ([], None),
    ],
)
def test_the_last_third_of_a_curve_is_compared_with_what_was_before(curve, has_fallen):
    assert has_fallen_lately(curve) is has_fallen


@pytest.mark.parametrize(
    ("curve", "epochs", "kind"),
    [
        (FALLING, 3, "underfitting"),
        (FLAT, 3, "good"),
        ([], 3, "underfitting"),
        (FALLING, 8, "good"),
        (FLAT, 8, "good"),
    ],
)
def test_more_time_is_advised_while_the_loss_falls(curve, epochs, kind):
    found = diagnose_fit(losses(1.7, 1.7, epochs=epochs, curve=curve))
    assert found.kind == kind
    assert ("has stopped falling" in found.text) == (curve == FLAT and epochs < 8)


def test_random_digits_are_not_underfitting():
    """Ten digits equally often: ln 10 = 2.3026 nats."""
    curve = [(118, 2.3040), (236, 2.3038), (354, 2.3029), (472, 2.3032), (600, 2.3033)]
    digits = {"epochs": 5.7, "mixed": 2.3029, "unigram_entropy": 2.3026, "curve": curve}
    found = diagnose_fit(losses(2.3029, 2.3030, **digits))
    assert found.kind == "random"
    assert "more training will not help" in found.text
    by_heart = diagnose_fit(losses(2.3029, 1.5, **digits))
    assert by_heart.kind == "random"


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 0.5},  # most of the text was not read yet
        {"curve": FALLING},
        {"curve": []},
        {"mixed": 1.5},  # the n-gram memory predicts the text, so it can be predicted
    ],
)
def test_a_network_at_the_frequencies_may_only_have_begun(changes):
    known = {"epochs": 3.0, "mixed": 3.0, "unigram_entropy": 3.0, "curve": FLAT}
    assert diagnose_fit(losses(2.94, 2.9, **known)).kind == "random"
    found = diagnose_fit(losses(2.94, 2.9, **known | changes))
    assert found.kind == "underfitting"
    assert "no better than the frequencies" in found.text
    assert "no better" not in diagnose_fit(losses(2.93, 2.9, **known | changes)).text


def test_a_text_that_is_known_is_not_underfitting():
    found = diagnose_fit(losses(0.0005, 0.002, epochs=3, curve=FALLING))
    assert found.kind == "known"
    assert "more training will not help" in found.text
    assert diagnose_fit(losses(0.02, 0.02, epochs=3)).kind == "underfitting"


def test_the_unigram_entropy_is_the_loss_from_frequencies_alone():
    """Halves and quarters: 1/2 ln 2 + 2 * 1/4 ln 4 = 1.5 ln 2."""
    assert unigram_entropy(np.array([0, 0, 3, 5], np.uint8)) == pytest.approx(1.5 * math.log(2))
    assert unigram_entropy(np.arange(10)) == pytest.approx(math.log(10))
