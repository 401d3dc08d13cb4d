"""The training loop: yields events, validates, saves, recovers from divergence."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace

from charrnn.checkpoints.run_folder import Run
from charrnn.checkpoints.state import MOST_HALVINGS, Snapshot, State, are_finite, num_streams
from charrnn.core.config import TrainConfig
from charrnn.core.errors import CheckpointError, DivergedError
from charrnn.core.events import Event, Finished, RolledBack, Sampled, ThreadsChanged
from charrnn.data.batches import make_batches
from charrnn.data.corpus import Corpus
from charrnn.data.cuda import maybe_to_gpu
from charrnn.ngram.model import NgramModel
from charrnn.ngram.word_model import new_memory
from charrnn.nn.architecture import ModelConfig
from charrnn.nn.device import be_deterministic
from charrnn.nn.distributed import ALONE, World
from charrnn.nn.network import weight_arrays
from charrnn.training import reporting
from charrnn.training.checkpointing import Checkpointer, describe, describe_sources
from charrnn.training.learner import Learner, UpdateStats
from charrnn.training.schedule import learning_rate
from charrnn.training.step_budget import make_budget
from charrnn.training.threads import Threads
from charrnn.training.throughput import Throughput
from charrnn.training.transfer import Initial
from charrnn.training.validation import Validator

INTERRUPTED = ("signal", "requeue")
"""Stop reasons of an interrupted run, which can be resumed."""

MOST_SKIPPED = 10
"""Updates skipped in a row, their gradients not finite, after which training has diverged."""


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
    """Train a network and yield events.

    Args:
        config: All settings; the plan decides the counts that are None.
        corpus: The text, as from `load_corpus`.
        run: Where to save and log; None keeps nothing.
        resume: A full checkpoint to continue from, bit for bit if the settings are the same.
        init: Initial weights instead of random ones.
        should_stop: Called after every step; True, or a stop reason, saves and ends.
        clock: Seconds; only differences count.
        world: The processes that train together. All make this call with the same settings and
            text; only rank 0 has a run, and `should_stop` must return the same in all of them.

    Raises:
        InputError: The text is too small, or the device is not available.
        DivergedError: Training diverged repeatedly, at ever smaller learning rates.
        CharRNNError: The last save failed.
    """
    memory = resume.model.memory if resume else new_memory(config, corpus)
    trainer = Trainer(config, corpus, run, should_stop, clock, init, memory, world)
    if resume is not None:
        trainer.resume(resume)
    for event in trainer.events():
        if run is not None:
            run.log.record(event)
        yield event


class Trainer:
    """The parts of one run, its loop, and its state.

    Arguments are those of `train`, and the n-gram memory, mixed into every evaluation.
    """

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
        self.config, self.run, self.world = config, run, world
        self.should_stop, self.clock = should_stop, world.clock(clock)
        self.threads = Threads(config, is_single=world.is_single)
        be_deterministic(config.deterministic)
        batches = make_batches(corpus, config)
        model_config = ModelConfig.from_settings(config, corpus.vocab.size)
        self.learner = Learner(config, model_config, batches.batch_size, init, world)
        self.batches = maybe_to_gpu(batches, self.learner.device)
        self.validator = Validator(self.learner, corpus, config, should_stop, memory)
        self.throughput = Throughput(self.clock)
        num_scores, is_float32 = len(self.validator.protocols), self.learner.precision == "fp32"
        self.budget = make_budget(config, corpus, batches, self.throughput, num_scores, is_float32)
        environment = reporting.environment(self.learner, self.threads.chosen)
        metadata = describe(config, model_config, corpus, environment, init)
        sources = describe_sources(config, corpus)
        self.checkpointer = Checkpointer(run, metadata, sources, memory, world)
        self.step = self.halvings = self.resumed_at = 0
        self.train_loss = reporting.RecentLoss()
        self.is_replanned, self.stop_reason = False, "finished"
        self.good = self.state()

    def resume(self, snapshot: Snapshot) -> None:
        """Continue from a checkpoint; if the budget differs from its own, make a new plan.

        Raises:
            CheckpointError: It holds the state of another number of streams.
        """
        state = snapshot.state
        found, expected = num_streams(state.tensors), self.batches.batch_size
        if found != expected:
            raise CheckpointError(f"it has the state of {found} streams, not of {expected}")
        self.restore(state)
        self.checkpointer.last_saved = self.resumed_at = self.step
        self.validator.resume(state.best, snapshot.best_model, self.run)
        self.throughput.resume(self.step, state.timing)
        self.budget.resume(state.plan, state.timing)
        self.checkpointer.metadata["parent"] = snapshot.model.metadata.parent
        self.checkpointer.metadata["corpus"] = asdict(snapshot.corpus)  # not the new file names
        if self.config.budget() != snapshot.config.budget():
            self.is_replanned = True
            self.budget.replan(self.step, plan_is_complete=snapshot.plan_is_complete)
            if snapshot.plan_is_complete:
                self.validator.best.num_worse = 0
        self.good = self.state()

    def restore(self, state: State) -> None:
        """Restore tensors and counts."""
        self.learner.restore(state.tensors, state.progress)
        self.step, self.halvings = state.progress.step, state.progress.halvings

    def state(self) -> State:
        """Return a copy of all that training continues from."""
        return State(
            tensors=dict(weight_arrays(self.learner.tensors())),
            progress=self.learner.progress(self.step, self.halvings),
            plan=tuple(self.budget.plan),
            best=replace(self.validator.best),
            timing=self.budget.timing(),
        )

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step under the current plan."""
        config, plan = self.config, self.budget.plan
        peak = config.lr / 2**self.halvings
        return learning_rate(step, plan, peak, config.warmup_steps, config.step_rule)

    def events(self) -> Iterator[Event]:
        """Train, and yield events from the first step to the last save."""
        yield reporting.started_event(self.step, self.learner, self.threads.chosen, self.budget)
        self.throughput.start()
        if self.budget.is_planned:
            yield reporting.planned_event(self.step, self.budget)
        if self.is_replanned:  # the checkpoint must hold the new plan before anything can fail
            yield from self.save()
        if self.validator.best.evaluated != self.step:
            yield from self.validate_if_due()  # a signal interrupted it
        while True:
            yield from self.train_on()
            yield from self.save_the_end()
            if self.is_done():  # False if training had diverged at its very end
                break
        yield from self.finish()
        self.checkpointer.check()

    def is_done(self) -> bool:
        """Return whether training ends here, and set the stop reason."""
        if self.step >= self.budget.total_steps:
            return True
        if reason := self.requested_stop():
            self.stop_reason = reason
        elif self.config.patience and self.validator.best.num_worse >= self.config.patience:
            self.stop_reason = "early_stop"
        elif self.budget.is_spent(self.step):
            self.stop_reason = "max_time"
        return self.stop_reason != "finished"

    def requested_stop(self) -> str:
        """Return the stop reason from `should_stop`, empty without one."""
        reason = self.should_stop()
        return reason if isinstance(reason, str) else ("signal" if reason else "")

    def train_on(self) -> Iterator[Event]:
        """Train until the plan, the time budget or the patience is exhausted."""
        while not self.is_done():
            stats, change = self.train_until_report()
            lr = self.learning_rate(self.step - 1)
            yield reporting.step_event(self.step, lr, stats, self.budget)
            if change:
                self.checkpointer.metadata["environment"]["threads"] = change.threads
                yield change
            if stats.longest_streak >= MOST_SKIPPED or not stats.is_sound:
                yield from self.roll_back()
                continue
            if self.budget.plan_if_due(self.step) or self.budget.correct_if_due(self.step):
                yield reporting.planned_event(self.step, self.budget)
            yield from self.validate_if_due()
            if self.budget.is_due(self.budget.sample_every, self.step) and not self.should_stop():
                yield Sampled(step=self.step, text=self.validator.preview())
            is_whole = not self.learner.skipped_in_a_row  # otherwise it may be about to diverge
            if is_whole and self.budget.is_due(self.budget.save_every, self.step):
                yield from self.save()

    def train_until_report(self) -> tuple[UpdateStats, ThreadsChanged | None]:
        """Train up to the next report, or up to the next validation, save or preview."""
        begin, first, num_chars = self.clock(), self.step, 0
        window = self.threads.window(self.budget.window())
        while self.step == first or not (
            self.step - first >= window
            or self.budget.is_anything_due(self.step)
            or (self.world.is_single and self.should_stop())  # several ranks ask between reports
        ):
            batch = self.batches.batch(self.step)
            self.learner.update(batch, self.step, self.learning_rate(self.step))
            num_chars += batch.num_chars
            self.step += 1
        stats = self.learner.take_stats()
        made = self.step, self.step - first, num_chars, self.clock() - begin
        self.throughput.trained(*made)
        self.train_loss.add(self.step - first, stats.loss)
        return stats, self.threads.trained(*made)

    def roll_back(self) -> Iterator[Event]:
        """Go back to the last good state and halve the learning rate.

        Raises:
            DivergedError: The rate has been halved as often as is allowed.
        """
        diverged_at, halvings = self.step, self.halvings + 1
        if halvings > MOST_HALVINGS:
            kept = (self.run and self.run.newest_name()) or "none"
            raise DivergedError(
                f"step {diverged_at}: training diverged for the {halvings}th time; newest "
                f"checkpoint: {kept}; try a smaller --lr than {self.config.lr:g}"
            )
        self.restore(self.good)
        self.halvings = halvings
        self.validator.roll_back(self.good.best, self.step)
        self.throughput.roll_back(self.step)
        self.budget.roll_back(self.step)
        yield RolledBack(step=diverged_at, good_step=self.step, lr=self.config.lr / 2**halvings)
        if self.step > 0:
            yield from self.save()  # so that a resumed run has the smaller rate

    def validate_if_due(self) -> Iterator[Event]:
        """Validate if a validation is due, and correct the plan by the measured speed."""
        if self.budget.is_due(self.budget.eval_every, self.step):
            yield from self.validate()
            if self.budget.correct(self.step):
                yield reporting.planned_event(self.step, self.budget)

    def validate(self) -> Iterator[Event]:
        """Score the averaged weights on held-out text; save them if they are the best so far."""
        if not self.budget.eval_chars:
            return
        begin, best_model, budget = self.clock(), self.validator.best_model, self.budget
        result = self.validator.validate(self.step, self.budget.eval_chars)
        if result is None:
            return
        self.throughput.evaluated(self.step, budget.num_read(result.chars), self.clock() - begin)
        self.threads.compare_again()
        yield result
        if self.validator.best_model is not best_model:
            if self.checkpointer.last_saved == 0:  # a model alone cannot be resumed
                yield from self.save()
            yield from self.save_best()

    def save(self) -> Iterator[Event]:
        """Write a full checkpoint, and the best model too until a validation has chosen one."""
        state = self.state()
        if not are_finite(state.tensors):
            yield from self.roll_back()
            return
        if state.progress.skipped_in_a_row == 0:
            self.good = state
        begin = self.clock()
        metrics = reporting.checkpoint_metrics(None, self.train_loss, self.throughput)
        yield from self.checkpointer.save_state(state, metrics)
        self.throughput.saved(self.clock() - begin)
        if self.validator.best_model is None or self.checkpointer.is_best_due:
            yield from self.save_best()

    def save_best(self, end: Finished | None = None) -> Iterator[Event]:
        """Write the best validated model, or else the newest averaged weights."""
        best = self.validator.best_model
        yield from self.checkpointer.save_best(
            best.weights if best else self.learner.averaged_arrays(),
            best.step if best else self.step,
            self.budget.plan,
            reporting.checkpoint_metrics(self.validator.loss, self.train_loss, self.throughput),
            loss=best.loss if best else None,
            end=end,
            memory_hurts=self.validator.memory_hurts,
        )

    def save_the_end(self) -> Iterator[Event]:
        """Validate once more and save, where training has ended."""
        is_new = self.step > self.resumed_at or (self.step and self.validator.best_model is None)
        is_due = is_new and self.validator.best.evaluated != self.step
        if is_due and self.stop_reason not in INTERRUPTED:
            yield from self.validate()
        if self.checkpointer.last_saved != self.step:
            yield from self.save()

    def finish(self) -> Iterator[Event]:
        """Score the best model, save it with the summary of the run, and yield the summary."""
        is_complete = self.step > 0 and self.stop_reason not in INTERRUPTED
        if is_complete:
            yield from self.validator.score_best(self.budget.final_chars())
            if reason := self.requested_stop():  # a resumed run scores again
                self.stop_reason, is_complete = reason, False
        end = reporting.finished_event(
            self.step, self.stop_reason, self.validator, self.train_loss, self.budget
        )
        if is_complete:
            yield from self.save_best(end)
            self.checkpointer.clear_away()
        yield end
