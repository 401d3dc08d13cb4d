"""Build the events that the loop yields, and the metrics and environment of a checkpoint."""

import platform
from collections import deque
from typing import Any

import numpy as np
import torch

from charrnn.core.config import as_settings
from charrnn.core.events import Finished, Planned, Started, Step
from charrnn.evaluation.diagnosis import (
    Losses,
    budget_setting,
    diagnose,
    diagnose_fit,
    unigram_entropy,
)
from charrnn.evaluation.loss import bits_per_char
from charrnn.evaluation.protocols import held_out_ids
from charrnn.training.learner import Learner, UpdateStats
from charrnn.training.step_budget import Budget
from charrnn.training.throughput import Throughput
from charrnn.training.validation import Validator

NUM_RECENT = 50
"""Reports (five per second) that the final training loss is the mean of."""


class RecentLoss:
    """Mean training loss over the steps of the last reports; one report may be a single step."""

    def __init__(self) -> None:
        self._reports: deque[tuple[int, float]] = deque(maxlen=NUM_RECENT)

    def add(self, num_steps: int, loss: float | None) -> None:
        """Add one report: its number of steps and its mean loss, None if all were skipped."""
        if loss is not None:
            self._reports.append((num_steps, loss))

    @property
    def mean(self) -> float | None:
        """Nats per symbol; None before the first report."""
        steps = sum(count for count, _ in self._reports)
        return sum(count * loss for count, loss in self._reports) / steps if steps else None


def environment(learner: Learner, threads: int) -> dict[str, Any]:
    """Return what the numbers depend on besides settings and text."""
    return {
        "device": str(learner.device),
        "precision": learner.precision,
        "threads": threads,
        "processes": learner.world.size,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def started_event(step: int, learner: Learner, threads: int, budget: Budget) -> Started:
    """Return the size of the network and the machine that trains it."""
    return Started(
        step=step,
        num_parameters=learner.model.config.num_parameters(),
        steps_per_epoch=budget.steps_per_epoch,
        device=str(learner.device),
        precision=learner.precision,
        threads=threads,
        processes=learner.world.size,
    )


def planned_event(step: int, budget: Budget) -> Planned:
    """Return the current plan: number of steps and cadences."""
    return Planned(
        step=step,
        total_steps=budget.total_steps,
        seconds=budget.forecast(step),
        eval_every=budget.eval_every or budget.total_steps,
        save_every=budget.save_every or budget.total_steps,
        sample_every=budget.sample_every or 0,
    )


def step_event(step: int, lr: float, stats: UpdateStats, budget: Budget) -> Step:
    """Return the means over the newest updates, with speed and time."""
    return Step(
        step=step,
        total_steps=budget.total_steps,
        epoch=budget.epoch(step),
        loss=stats.loss,
        lr=lr,
        grad_norm=stats.grad_norm,
        skipped=stats.skipped,
        chars_per_second=budget.throughput.chars_per_second,
        seconds=budget.throughput.elapsed(),
        seconds_left=budget.seconds_left(step),
    )


def checkpoint_metrics(
    val_loss: float | None, train_loss: RecentLoss, throughput: Throughput
) -> dict[str, Any]:
    """Return the losses and the speed that a checkpoint records."""
    return {
        "val_loss": val_loss,
        "train_loss": train_loss.mean,
        "chars_per_second": throughput.chars_per_second,
    }


def finished_event(
    step: int,
    stop_reason: str,
    validator: Validator,
    train_loss: RecentLoss,
    budget: Budget,
) -> Finished:
    """Return the summary of a run: losses of its best model, advice, speed and time."""
    scores, val_loss = validator.figures, validator.loss
    corpus, epoch, is_pseudo = validator.corpus, budget.epoch(step), validator.is_pseudo
    losses = Losses(
        network=scores[0].network_loss if scores else None,
        train=train_loss.mean,
        best_at=validator.best.step / max(1, step),
        epochs=epoch,
        mixed=val_loss,
        unigram_entropy=unigram_entropy(corpus.train) if scores else None,
        curve=validator.curve,
        budget=budget_setting(as_settings(validator.config)),
    )
    return Finished(
        unit=corpus.vocab.unit,
        step=step,
        epoch=epoch,
        stop_reason=stop_reason,
        val_loss=val_loss,
        bits_per_char=None
        if is_pseudo
        else bits_per_char(val_loss, corpus.vocab, held_out_ids(corpus.in_reading_order())),
        scores=scores,
        advice=diagnose(losses, memory_hurts=validator.memory_hurts),
        fit=fit.kind if (fit := diagnose_fit(losses)) else "",
        train_loss=train_loss.mean,
        chars_per_second=budget.throughput.chars_per_second,
        seconds=budget.throughput.elapsed(),
    )
