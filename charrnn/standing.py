"""Where a run stands: what learns, what it learns from, what time there is, what was good."""

import platform
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from charrnn.advice import advice
from charrnn.batches import make_batches
from charrnn.budget import Budget
from charrnn.config import TrainConfig
from charrnn.corpus import Corpus
from charrnn.device import be_deterministic, pick_device, set_threads
from charrnn.distributed import ALONE, World
from charrnn.errors import CheckpointError
from charrnn.evaluation import bits_per_char
from charrnn.events import Finished, Planned, Started, Step
from charrnn.heldout import held_out_ids, num_held_out
from charrnn.learner import Learner, Report
from charrnn.memory import Memory
from charrnn.model import weight_arrays
from charrnn.resident import resident
from charrnn.runs import Run
from charrnn.saving import Saver
from charrnn.schedule import learning_rate
from charrnn.snapshots import Snapshot, State, describe, describe_sources
from charrnn.transfer import Initial
from charrnn.validation import Validator

RECENT = 50
"""Reports, five a second, that the training loss at the end is a mean of."""

CUT = ("signal", "requeue")
"""Stop reasons of a run that somebody wants to go on with."""


class Standing:
    """All parts of one run, put together, copied into a state and taken back from one."""

    def __init__(
        self,
        config: TrainConfig,
        corpus: Corpus,
        run: Run | None,
        should_stop: Callable[[], bool | str],
        clock: Callable[[], float],
        init: Initial | None = None,
        memory: Memory | None = None,
        world: World = ALONE,
    ) -> None:
        self.config, self.corpus, self.run, self.world = config, corpus, run, world
        self.should_stop, self.clock = should_stop, world.clock(clock)
        self.threads = set_threads(config.threads, pick_device(config.device))
        be_deterministic(config.deterministic)
        batches, model_config = make_batches(corpus, config), config.model(corpus.vocab.size)
        self.learner = Learner(config, model_config, batches.batch_size, init, world)
        self.batches = resident(batches, self.learner.device)
        self.validator = Validator(self.learner, corpus, config, should_stop, memory)
        self.budget = Budget(
            config,
            self.batches.steps_per_epoch,
            num_held_out(corpus),
            self.clock,
            is_float32=self.learner.precision == "fp32",
            num_scores=len(self.validator.protocols),
        )
        facts = describe(config, model_config, corpus, self.environment())
        facts["parent"] = init.parent if init else None
        self.saver = Saver(run, facts, describe_sources(config, corpus), memory, world)
        self.step = self.halvings = 0
        self.last_saved = self.resumed_at = 0
        self.is_replanned = False
        self.recent: deque[tuple[int, float]] = deque(maxlen=RECENT)
        self.stop_reason = "finished"
        self.good = self.state()

    def environment(self) -> dict[str, Any]:
        """Return what the numbers depend on beside settings and text."""
        return {
            "device": str(self.learner.device),
            "precision": self.learner.precision,
            "threads": self.threads,
            "processes": self.world.size,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        }

    def resume(self, snapshot: Snapshot) -> None:
        """Go on where a checkpoint was written; with another budget, towards its end.

        Raises:
            CheckpointError: It holds the state of another number of streams.
        """
        state = snapshot.state
        found, expected = state.tensors["state/h"].shape[1], self.batches.batch_size
        if found != expected:
            raise CheckpointError(f"the state of {found} streams; there are {expected}")
        self.go_to(state)
        self.last_saved = self.resumed_at = self.step
        self.validator.resume(state.best, snapshot.shipped)
        self.budget.resume(self.step, state.plan, state.timing)
        for name in ("parent", "corpus"):  # the text may be found under another name now
            self.saver.facts[name] = snapshot.model.facts.get(name)
        if self.config.budget() != snapshot.config.budget():
            self.is_replanned = True
            self.budget.replan(self.step, is_over=snapshot.is_over)
            if snapshot.is_over:
                self.validator.best.num_worse = 0
        self.good = self.state()

    def go_to(self, state: State) -> None:
        """Take back tensors and counts."""
        self.learner.restore(state.tensors, state.progress)
        self.step, self.halvings = state.progress.step, state.progress.halvings

    def state(self) -> State:
        """Return all that training goes on from, copied."""
        return State(
            tensors=dict(weight_arrays(self.learner.tensors())),
            progress=self.learner.progress(self.step, self.halvings),
            plan=tuple(self.budget.plan),
            best=replace(self.validator.best),
            timing=self.budget.timing(),
        )

    @property
    def epoch(self) -> float:
        """Passes over the text so far."""
        return self.step / self.batches.steps_per_epoch

    @property
    def is_cut(self) -> bool:
        """Whether somebody has asked for the end, to go on some other time."""
        return self.stop_reason in CUT

    def started(self) -> Started:
        """Return what is about to be trained."""
        return Started(
            step=self.step,
            num_parameters=self.learner.model.config.num_parameters(),
            steps_per_epoch=self.batches.steps_per_epoch,
            device=str(self.learner.device),
            precision=self.learner.precision,
            threads=self.threads,
            processes=self.world.size,
        )

    def planned(self) -> Planned:
        """Return the plan as it stands."""
        budget = self.budget
        return Planned(
            step=self.step,
            total_steps=budget.total_steps,
            seconds=budget.forecast(self.step),
            eval_every=budget.eval_every or budget.total_steps,
            save_every=budget.save_every or budget.total_steps,
            sample_every=budget.sample_every or 0,
        )

    def as_step(self, report: Report) -> Step:
        """Return what the newest steps came to."""
        return Step(
            step=self.step,
            total_steps=self.budget.total_steps,
            epoch=self.epoch,
            loss=report.loss,
            lr=self.learning_rate(self.step - 1),
            grad_norm=report.grad_norm,
            skipped=report.skipped,
            chars_per_second=self.budget.chars_per_second,
            seconds=self.budget.elapsed(),
            seconds_left=self.budget.seconds_left(self.step),
        )

    def learning_rate(self, step: int) -> float:
        """Return the rate of a step under the plan as it stands."""
        peak = self.config.lr / 2**self.halvings
        return learning_rate(step, self.budget.plan, peak, self.config.warmup_steps)

    @property
    def train_loss(self) -> float | None:
        """The mean over the steps of the last reports: one alone may be of a single step."""
        steps = sum(count for count, _ in self.recent)
        return sum(count * loss for count, loss in self.recent) / steps if steps else None

    def metrics(self, val_loss: float | None) -> dict[str, Any]:
        """Return how good and how fast it is, for a checkpoint."""
        return {
            "val_loss": val_loss,
            "train_loss": self.train_loss,
            "chars_per_second": self.budget.chars_per_second,
        }

    def finished(self) -> Finished:
        """Return the run in a few numbers."""
        scores, val_loss = self.validator.figures, self.validator.loss
        return Finished(
            unit=self.corpus.vocab.unit,
            step=self.step,
            epoch=self.epoch,
            stop_reason=self.stop_reason,
            val_loss=val_loss,
            bits_per_char=bits_per_char(val_loss, self.corpus.vocab, held_out_ids(self.corpus)),
            scores=scores,
            advice=advice(
                scores[0].network_loss if scores else None,
                self.train_loss,
                best_at=self.validator.best.step / max(1, self.step),
                epochs=self.epoch,
                is_better_alone=self.validator.is_better_alone,
            ),
            train_loss=self.train_loss,
            chars_per_second=self.budget.chars_per_second,
            seconds=self.budget.elapsed(),
        )
