"""The loop: truncated back-propagation through time over a text, in a budget. Yields events."""

import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from charrnn.batches import make_batches
from charrnn.budget import Budget
from charrnn.checkpoint import pack
from charrnn.config import SampleConfig, TrainConfig
from charrnn.corpus import Corpus
from charrnn.device import set_threads
from charrnn.errors import DivergedError
from charrnn.evaluation import Score, bits_per_char, num_held_out, score_held_out
from charrnn.events import Evaluated, Event, Finished, Planned, Sampled, Saved, Started, Step
from charrnn.learner import Learner
from charrnn.model import CharRNN, load_weights, weight_arrays
from charrnn.runs import Run, save_failed
from charrnn.sampling import Sampler
from charrnn.schedule import BestSoFar, learning_rate
from charrnn.seeds import derive_seed
from charrnn.snapshots import as_model, check_finite, describe

MOST_SKIPPED = 10
"""Gradients in a row that were not finite, before a run counts as diverged."""

PREVIEW_CHARS = 200
PREVIEW_RECORDS = 8

Weights = dict[str, NDArray[np.float32]]


def train(
    config: TrainConfig,
    corpus: Corpus,
    run: Run | None = None,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Event]:
    """Train a network and yield what happens.

    Args:
        config: All settings; None among the counts means that the plan decides.
        corpus: The text, as from `load_corpus`.
        run: Where to save and log; None keeps nothing.
        should_stop: Asked after every step; True saves, and ends with stop reason "signal".
        clock: Seconds; only differences count.

    Raises:
        InputError: The text is too small, or the device is not there.
        DivergedError: Gradients stayed non-finite.
    """
    for event in Trainer(config, corpus, run, should_stop, clock).events():
        if run is not None:
            run.record(event)
        yield event


class Trainer:
    """One run: what learns, what it learns from, what time there is, and where it stands."""

    def __init__(
        self,
        config: TrainConfig,
        corpus: Corpus,
        run: Run | None,
        should_stop: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self.config, self.corpus, self.run = config, corpus, run
        self.should_stop, self.clock = should_stop, clock
        self.threads = set_threads(config.threads)
        self.batches = make_batches(corpus, config)
        model_config = config.model(corpus.vocab.size)
        self.learner = Learner(config, model_config, self.batches.batch_size)
        self.budget = Budget(
            config,
            self.batches.steps_per_epoch,
            num_held_out(corpus),
            clock,
            is_float32=self.learner.precision == "fp32",
        )
        self.step = 0
        self.best = BestSoFar()
        self.best_weights: Weights | None = None
        self.last_evaluated = self.last_saved = -1
        self.train_loss: float | None = None
        self.final: Score | None = None
        self.stop_reason = "finished"

    @property
    def epoch(self) -> float:
        """Passes over the text so far."""
        return self.step / self.batches.steps_per_epoch

    def events(self) -> Iterator[Event]:
        """Yield what happens, from the first step to the last save."""
        yield self.started()
        self.budget.start()
        while not self.is_done():
            yield self.train_until_report()
            if self.budget.plan_if_due(self.step):
                yield self.planned()
            yield from self.do_what_is_due()
        yield from self.finish()

    def started(self) -> Started:
        """Return what is about to be trained."""
        return Started(
            num_parameters=self.learner.model.config.num_parameters(),
            steps_per_epoch=self.batches.steps_per_epoch,
            device=str(self.learner.device),
            precision=self.learner.precision,
            threads=self.threads,
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

    def is_done(self) -> bool:
        """Say whether training ends here, and remember why."""
        if self.step >= self.budget.total_steps:
            return True
        if self.should_stop():
            self.stop_reason = "signal"
        elif self.config.patience and self.best.num_worse >= self.config.patience:
            self.stop_reason = "early_stop"
        elif self.budget.is_spent(self.step):
            self.stop_reason = "max_time"
        return self.stop_reason != "finished"

    def train_until_report(self) -> Step:
        """Make the steps up to the next report, or the next thing due."""
        begin, first, num_chars = self.clock(), self.step, 0
        window = self.budget.window()
        while self.step == first or not (
            self.step - first >= window
            or self.budget.is_anything_due(self.step)
            or self.should_stop()
        ):
            batch = self.batches.batch(self.step)
            self.learner.update(batch, self.step, self.learning_rate(self.step))
            num_chars += batch.num_chars
            self.step += 1
        report = self.learner.report()
        self.budget.trained(self.step, self.step - first, num_chars, self.clock() - begin)
        if report.skipped_in_a_row >= MOST_SKIPPED:
            raise DivergedError(
                f"step {self.step}: diverged: {report.skipped_in_a_row} gradients in a row were "
                f"not finite; try a smaller --lr than {self.config.lr:g}"
            )
        self.train_loss = report.loss if report.loss is not None else self.train_loss
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
        return learning_rate(step, self.budget.plan, self.config.lr, self.config.warmup_steps)

    def do_what_is_due(self) -> Iterator[Event]:
        """Validate, show a preview and save, each at its own cadence."""
        budget = self.budget
        if budget.is_due(budget.eval_every, self.step):
            yield from self.validate()
            if budget.correct(self.step):
                yield self.planned()
        if budget.is_due(budget.sample_every, self.step):
            yield Sampled(step=self.step, text=self.preview())
        if budget.is_due(budget.save_every, self.step):
            yield from self.save()

    def validate(self) -> Iterator[Event]:
        """Try the averaged weights on held-out text; keep and save them if they are the best."""
        self.last_evaluated = self.step
        if not self.budget.eval_chars:
            return
        begin = self.clock()
        score = score_held_out(
            self.learner.averaged,
            self.corpus,
            precision=self.learner.precision,
            most_chars=self.budget.eval_chars,
        )
        self.budget.evaluated(self.step, score.chars, self.clock() - begin)
        is_best = self.best.update(score.loss, self.step)
        yield Evaluated(
            step=self.step, loss=score.loss, chars=score.chars, is_best=is_best, is_final=False
        )
        if is_best:
            self.best_weights = self.averaged_weights()
            yield from self.save_best(score.loss)

    def preview(self) -> str:
        """Write a little with the averaged weights: the same prompt and seed each time."""
        sampler = Sampler(as_model(self.learner.model.config, self.corpus, self.averaged_weights()))
        config = SampleConfig(length=PREVIEW_CHARS)
        seed = derive_seed(self.config.seed, "preview", 0) >> 10
        if self.corpus.train_records is None:
            return sampler.sample("", config, seed).text
        return "\n".join(s.text for s in sampler.many("", config, seed, PREVIEW_RECORDS))

    def averaged_weights(self) -> Weights:
        """Return the averaged weights as they are now."""
        return weight_arrays(dict(self.learner.averaged.named_parameters()))

    def save(self) -> Iterator[Event]:
        """Write a full checkpoint; the best too, while no validation has chosen one."""
        self.last_saved = self.step
        if self.run is None:
            return
        begin = self.clock()
        tensors = {f"model/{n}": t for n, t in self.averaged_weights().items()}
        tensors |= weight_arrays(self.learner.tensors())
        check_finite(tensors, self.step)
        try:
            path = self.run.save_step(self.step, pack(tensors, self.facts("full")))
        except OSError as error:
            raise save_failed(self.run.folder, error) from error
        self.budget.saved(self.clock() - begin)
        yield Saved(step=self.step, path=path, is_best=False)
        if self.best_weights is None:
            yield from self.save_best(None)

    def save_best(self, val_loss: float | None) -> Iterator[Event]:
        """Write the model to share: the best weights, or the newest before any validation."""
        if self.run is None:
            return
        weights = self.best_weights or self.averaged_weights()
        tensors = {f"model/{name}": array for name, array in weights.items()}
        check_finite(tensors, self.step)
        try:
            path = self.run.save_best(pack(tensors, self.facts("model", val_loss)))
        except OSError as error:
            raise save_failed(self.run.best, error) from error
        yield Saved(step=self.best.step or self.step, path=path, is_best=True)

    def facts(self, kind: str, val_loss: float | None = None) -> dict[str, Any]:
        """Return what a checkpoint says beside its tensors."""
        progress = {
            "step": self.step,
            "epoch": self.epoch,
            "skipped_in_a_row": int(self.learner.skipped_in_a_row),
            "best": asdict(self.best),
        }
        environment = {
            "device": str(self.learner.device),
            "precision": self.learner.precision,
            "threads": self.threads,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        }
        facts = describe(self.config, self.learner.model.config, self.corpus, environment)
        budget = self.budget
        return facts | {
            "kind": kind,
            "plan": [list(entry) for entry in budget.plan],
            "progress": progress | budget.progress(),
            "metrics": {
                "val_loss": val_loss,
                "train_loss": self.train_loss,
                "chars_per_second": budget.chars_per_second,
            },
        }

    def finish(self) -> Iterator[Event]:
        """Validate once more, save, score the best model, and sum up; before step 1 do nothing."""
        if self.step == 0:
            yield self.finished()
            return
        if self.last_evaluated != self.step and self.stop_reason != "signal":
            yield from self.validate()
        if self.last_saved != self.step:
            yield from self.save()
        if self.stop_reason != "signal":
            yield from self.score_best()
            if self.run is not None:
                self.run.keep_newest(1)
        yield self.finished()

    def score_best(self) -> Iterator[Event]:
        """Score the best weights in float32 on all held-out text, as far as time allows."""
        if self.best_weights is None:
            return
        most = self.budget.final_chars()
        self.final = score_held_out(self.best_model(), self.corpus, most_chars=most)
        yield Evaluated(
            step=self.best.step,
            loss=self.final.loss,
            chars=self.final.chars,
            is_best=True,
            is_final=True,
        )
        yield from self.save_best(self.final.loss)

    def best_model(self) -> CharRNN:
        """Return a network with the best weights, on the training device."""
        assert self.best_weights is not None  # a validation has chosen them
        model = CharRNN(self.learner.model.config)
        load_weights(model, self.best_weights)
        return model.to(self.learner.device)

    def finished(self) -> Finished:
        """Return the run in a few numbers."""
        val_loss = self.final.loss if self.final else self.best.loss
        return Finished(
            unit="byte" if self.config.bytes else "character",
            val_chars=self.final.chars if self.final else 0,
            step=self.step,
            epoch=self.epoch,
            stop_reason=self.stop_reason,
            val_loss=val_loss,
            bits_per_char=bits_per_char(val_loss, self.corpus),
            train_loss=self.train_loss,
            chars_per_second=self.budget.chars_per_second,
            seconds=self.budget.elapsed(),
        )
