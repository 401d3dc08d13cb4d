"""The training loop: yields events, validates, saves, recovers from divergence."""

import platform
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from charrnn.checkpoints.run_folder import Run
from charrnn.checkpoints.state import MOST_HALVINGS, Snapshot, State, are_finite
from charrnn.core.config import TrainConfig
from charrnn.core.errors import CheckpointError, DivergedError
from charrnn.core.events import (
    Event,
    Finished,
    Planned,
    RolledBack,
    Sampled,
    SaveFailed,
    Started,
    Step,
)
from charrnn.data.batches import make_batches
from charrnn.data.corpus import Corpus
from charrnn.data.cuda import resident
from charrnn.evaluation.diagnosis import advice
from charrnn.evaluation.loss import bits_per_char
from charrnn.evaluation.protocols import held_out_ids, num_held_out
from charrnn.ngram.model import NgramModel, count_corpus
from charrnn.nn.device import be_deterministic, pick_device, set_threads
from charrnn.nn.distributed import ALONE, World
from charrnn.nn.model import weight_arrays
from charrnn.training.budget import Budget
from charrnn.training.checkpointing import Saver, describe, describe_sources
from charrnn.training.learner import Learner, Report
from charrnn.training.schedule import learning_rate
from charrnn.training.transfer import Initial
from charrnn.training.validation import Validator

RECENT = 50
"""Reports, five a second, that the training loss at the end is a mean of."""

CUT = ("signal", "requeue")
"""Stop reasons of a run that somebody wants to go on with."""

MOST_SKIPPED = 10
"""Gradients in a row that were not finite, before training counts as diverged."""


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
        memory: NgramModel | None = None,
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


def train(
    config: TrainConfig,
    corpus: Corpus,
    run: Run | None = None,
    *,
    resume: Snapshot | None = None,
    init: Initial | None = None,
    should_stop: Callable[[], bool | str] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
    world: World = ALONE,
) -> Iterator[Event]:
    """Train a network and yield what happens.

    Args:
        config: All settings; None among the counts means that the plan decides.
        corpus: The text, as from `load_corpus`.
        run: Where to save and log; None keeps nothing.
        resume: A full checkpoint to go on from, bit for bit while the settings are the same.
        init: Weights to start from instead of random ones.
        should_stop: Asked after every step; True, or a stop reason, saves and ends.
        clock: Seconds; only differences count.
        world: The processes that train together. All make this call with the same settings and
            text; only the first has a run, and `should_stop` must say the same to all of them.

    Raises:
        InputError: The text is too small, or the device is not there.
        DivergedError: Training diverged again and again, at ever smaller rates.
        CharRNNError: The last save failed.
    """
    memory = resume.model.memory if resume else count_corpus(corpus, config.memory)
    trainer = Trainer(config, corpus, run, should_stop, clock, init, memory, world)
    if resume is not None:
        trainer.resume(resume)
    for event in trainer.events():
        if run is not None:
            run.record(event)
        yield event


class Trainer(Standing):
    """What happens in a run, from its first step to its last save."""

    def events(self) -> Iterator[Event]:
        """Yield what happens, from the first step to the last save."""
        yield self.started()
        self.budget.start()
        if self.budget.is_planned:
            yield self.planned()
        if self.is_replanned:  # whatever happens now, the new plan is known
            yield from self.save()
        if self.validator.best.evaluated != self.step:
            yield from self.validate_if_due()  # a signal had cut it short
        while True:
            yield from self.train_on()
            yield from self.save_the_end()
            if self.is_done():  # if not, training had diverged at its very end
                break
        yield from self.finish()
        self.saver.check()

    def is_done(self) -> bool:
        """Say whether training ends here, and remember why."""
        if self.step >= self.budget.total_steps:
            return True
        if reason := self.asked_to_stop():
            self.stop_reason = reason
        elif self.config.patience and self.validator.best.num_worse >= self.config.patience:
            self.stop_reason = "early_stop"
        elif self.budget.is_spent(self.step):
            self.stop_reason = "max_time"
        return self.stop_reason != "finished"

    def asked_to_stop(self) -> str:
        """Return the stop reason that somebody gives, empty without one."""
        reason = self.should_stop()
        if isinstance(reason, str):
            return reason
        return "signal" if reason else ""

    def train_on(self) -> Iterator[Event]:
        """Train until the plan, the time or somebody's patience ends."""
        while not self.is_done():
            report = self.train_until_report()
            yield self.as_step(report)
            if report.longest_streak >= MOST_SKIPPED or not report.is_sound:
                yield from self.roll_back()
                continue
            if self.budget.plan_if_due(self.step):
                yield self.planned()
            yield from self.validate_if_due()
            if self.budget.is_due(self.budget.sample_every, self.step) and not self.should_stop():
                yield Sampled(step=self.step, text=self.validator.preview())
            is_whole = not self.learner.skipped_in_a_row  # else it may be about to diverge
            if is_whole and self.budget.is_due(self.budget.save_every, self.step):
                yield from self.save()

    def train_until_report(self) -> Report:
        """Make the steps up to the next report, or the next thing due."""
        begin, first, num_chars = self.clock(), self.step, 0
        window = self.budget.window()
        while self.step == first or not (
            self.step - first >= window
            or self.budget.is_anything_due(self.step)
            or (self.world.is_single and self.should_stop())  # several agree between reports
        ):
            batch = self.batches.batch(self.step)
            self.learner.update(batch, self.step, self.learning_rate(self.step))
            num_chars += batch.num_chars
            self.step += 1
        report = self.learner.report()
        self.budget.trained(self.step, self.step - first, num_chars, self.clock() - begin)
        if report.loss is not None:
            self.recent.append((self.step - first, report.loss))
        return report

    def roll_back(self) -> Iterator[Event]:
        """Go back to the last good state and halve the learning rate.

        Raises:
            DivergedError: That has been tried often enough.
        """
        diverged_at, halvings = self.step, self.halvings + 1
        if halvings > MOST_HALVINGS:
            kept = self.run.newest_name() if self.run else None
            raise DivergedError(
                f"step {diverged_at}: diverged, for the {halvings}th time; what is left: "
                f"{kept or 'nothing'}; try a smaller --lr than {self.config.lr:g}"
            )
        self.go_to(self.good)
        self.halvings = halvings
        self.validator.best = replace(self.good.best)
        self.budget.roll_back(self.step)
        peak = self.config.lr / 2**halvings
        yield RolledBack(step=diverged_at, good_step=self.step, lr=peak)
        if self.step > 0:
            yield from self.save()  # so that a resume knows of the smaller rate

    def validate_if_due(self) -> Iterator[Event]:
        """Validate at the cadence, and correct the plan by what time has shown."""
        if self.budget.is_due(self.budget.eval_every, self.step):
            yield from self.validate()
            if self.budget.correct(self.step):
                yield self.planned()

    def validate(self) -> Iterator[Event]:
        """Try the averaged weights on held-out text; save them if they are the best."""
        if not self.budget.eval_chars:
            return
        begin, shipped = self.clock(), self.validator.shipped
        result = self.validator.validate(self.step, self.budget.eval_chars)
        if result is None:
            return
        self.budget.evaluated(self.step, result.chars, self.clock() - begin)
        yield result
        if self.validator.shipped is not shipped:
            if self.last_saved == 0:  # a model alone could not be resumed
                yield from self.save()
            yield from self.save_best()

    def save(self) -> Iterator[Event]:
        """Write a full checkpoint; the best too, while no validation has chosen one."""
        state = self.state()
        if not are_finite(state.tensors):
            yield from self.roll_back()
            return
        if state.progress.skipped_in_a_row == 0:
            self.good = state
        begin = self.clock()
        result = self.saver.save_state(state, self.metrics(None))
        if result is not None:
            yield result
        if not isinstance(result, SaveFailed):
            self.last_saved = self.step
        self.budget.saved(self.clock() - begin)
        if self.validator.shipped is None or self.saver.is_best_due:
            yield from self.save_best()

    def save_best(self, end: Finished | None = None) -> Iterator[Event]:
        """Write the model to share: what a validation chose, else the newest averaged weights."""
        shipped, plan = self.validator.shipped, self.budget.plan
        if shipped is None:
            weights = weight_arrays(dict(self.learner.averaged.named_parameters()))
            result = self.saver.save_best(weights, self.step, plan, self.metrics(None), end=end)
        else:
            metrics = self.metrics(self.validator.loss)
            result = self.saver.save_best(
                shipped.weights, shipped.step, plan, metrics, loss=shipped.loss, end=end,
                is_better_alone=self.validator.is_better_alone,
            )  # fmt: skip
        if result is not None:
            yield result

    def save_the_end(self) -> Iterator[Event]:
        """Validate once more and save, where training has ended."""
        is_new = self.step > self.resumed_at or (self.step and self.validator.shipped is None)
        if is_new and not self.is_cut and self.validator.best.evaluated != self.step:
            yield from self.validate()
        if self.last_saved != self.step:
            yield from self.save()

    def finish(self) -> Iterator[Event]:
        """Score the best model, save it with how the run ended, and sum up."""
        end = None
        if self.step > 0 and not self.is_cut:
            yield from self.validator.score_shipped(self.budget.final_chars())
            if reason := self.asked_to_stop():  # what was cut short is done when it is resumed
                self.stop_reason = reason
            else:
                end = self.finished()
                yield from self.save_best(end)
                self.clear_away()
        yield end or self.finished()

    def clear_away(self) -> None:
        """Keep one full checkpoint, if the newest is safe."""
        if self.run is not None and self.saver.failed is None:
            self.run.keep_newest(1)
