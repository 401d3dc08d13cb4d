"""The loop: truncated back-propagation through time over a text, in a budget. Yields events."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from charrnn.config import TrainConfig
from charrnn.corpus import Corpus
from charrnn.counting import of_corpus
from charrnn.distributed import ALONE, World
from charrnn.errors import DivergedError
from charrnn.events import Event, Finished, RolledBack, Sampled, SaveFailed
from charrnn.learner import Report
from charrnn.model import weight_arrays
from charrnn.progress import MOST_HALVINGS
from charrnn.runs import Run
from charrnn.snapshots import Snapshot, are_finite
from charrnn.standing import Standing
from charrnn.transfer import Initial

MOST_SKIPPED = 10
"""Gradients in a row that were not finite, before training counts as diverged."""


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
    memory = resume.model.memory if resume else of_corpus(corpus, config.memory)
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
            or (self.world.is_alone and self.should_stop())  # several agree between reports
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
