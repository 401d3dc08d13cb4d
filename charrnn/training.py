"""The loop: truncated back-propagation through time over a text, in a budget. Yields events."""

import math
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from charrnn import __version__
from charrnn.batches import Batches, RecordBatches, Streams, fit_streams
from charrnn.budget import Budget
from charrnn.checkpoint import Model, pack
from charrnn.config import SampleConfig, TrainConfig
from charrnn.corpus import Corpus
from charrnn.device import default_threads
from charrnn.errors import DivergedError
from charrnn.evaluation import Score, by_record, streamed
from charrnn.events import Evaluated, Event, Finished, Planned, Sampled, Saved, Started, Step
from charrnn.learner import Learner
from charrnn.model import CharRNN, load_weights, weight_arrays
from charrnn.runs import Run, save_failed
from charrnn.sampling import Sampler
from charrnn.schedule import BestSoFar, learning_rate
from charrnn.seeds import derive_seed
from charrnn.vocab import ByteVocabulary, decoded_length

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
        self.threads = config.threads or default_threads()
        torch.set_num_threads(self.threads)
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
        score = self.score(self.learner.precision, self.budget.eval_chars)
        self.budget.evaluated(self.step, score.chars, self.clock() - begin)
        is_best = self.best.update(score.loss, self.step)
        yield Evaluated(
            step=self.step, loss=score.loss, chars=score.chars, is_best=is_best, is_final=False
        )
        if is_best:
            self.best_weights = weight_arrays(dict(self.learner.averaged.named_parameters()))
            yield from self.save_best(score.loss)

    def score(self, precision: str, most_chars: int | None, model: CharRNN | None = None) -> Score:
        """Score held-out text, all of it or a part that is always the same."""
        model, corpus = model or self.learner.averaged, self.corpus
        if corpus.val_records is not None:
            assert corpus.vocab.newline is not None  # a text of lines has it
            return by_record(
                model, corpus.val, corpus.val_records, corpus.vocab.newline,
                precision=precision, most_chars=most_chars,
            )  # fmt: skip
        return streamed(model, corpus.val, precision=precision, most_chars=most_chars)

    def preview(self) -> str:
        """Write a little with the averaged weights: the same prompt and seed each time."""
        sampler = Sampler(self.as_model(self.averaged_weights()))
        config = SampleConfig(length=PREVIEW_CHARS)
        seed = derive_seed(self.config.seed, "preview", 0) >> 10
        if self.corpus.train_records is None:
            return sampler.sample("", config, seed).text
        return "\n".join(s.text for s in sampler.many("", config, seed, PREVIEW_RECORDS))

    def averaged_weights(self) -> Weights:
        """Return the averaged weights as they are now."""
        return weight_arrays(dict(self.learner.averaged.named_parameters()))

    def as_model(self, weights: Weights) -> Model:
        """Return weights as what `sample` opens."""
        return Model(
            config=self.learner.model.config,
            weights=weights,
            vocab=self.corpus.vocab,
            records=self.corpus.train_records is not None,
            starts=self.corpus.starts,
            facts={},
        )

    def save(self) -> Iterator[Event]:
        """Write a full checkpoint; the best too, while no validation has chosen one."""
        self.last_saved = self.step
        if self.run is None:
            return
        begin = self.clock()
        tensors = {f"model/{n}": t for n, t in self.averaged_weights().items()}
        tensors |= weight_arrays(self.learner.tensors())
        self.check_finite(tensors)
        try:
            path = self.run.save_step(self.step, pack(tensors, self.facts("full", None)))
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
        self.check_finite(tensors)
        try:
            path = self.run.save_best(pack(tensors, self.facts("model", val_loss)))
        except OSError as error:
            raise save_failed(self.run.best, error) from error
        yield Saved(step=self.best.step or self.step, path=path, is_best=True)

    def check_finite(self, tensors: Weights) -> None:
        """Let nothing that is not finite reach a file; what was saved before stands.

        Raises:
            DivergedError: A tensor holds inf or NaN.
        """
        if not all(np.isfinite(array).all() for array in tensors.values()):
            raise DivergedError(
                f"step {self.step}: diverged: the weights are not finite; "
                f"try a smaller --lr than {self.config.lr:g}"
            )

    def facts(self, kind: str, val_loss: float | None) -> dict[str, Any]:
        """Return what a checkpoint says beside its tensors; see docs/internals.md."""
        corpus, budget = self.corpus, self.budget
        return {
            "kind": kind,
            "version": __version__,
            "config": {"model": asdict(self.learner.model.config), "train": _plain(self.config)},
            "vocabulary": corpus.vocab.to_json(),
            "records": corpus.train_records is not None,
            "starts": [[i, n] for i, n in corpus.starts.items()],
            "corpus": {
                "digest": corpus.digest,
                "files": list(corpus.files),
                "num_train": len(corpus.train),
                "num_val": len(corpus.val),
            },
            "memory": None,
            "plan": [list(entry) for entry in budget.plan],
            "progress": {
                "step": self.step,
                "epoch": self.epoch,
                "seconds": budget.elapsed(),
                "eval_every": budget.eval_every,
                "save_every": budget.save_every,
                "sample_every": budget.sample_every,
                "eval_chars": budget.eval_chars,
                "skipped_in_a_row": int(self.learner.skipped_in_a_row),
                "best": asdict(self.best),
            },
            "metrics": {
                "val_loss": val_loss,
                "train_loss": self.train_loss,
                "chars_per_second": budget.chars_per_second,
            },
            "environment": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "numpy": np.__version__,
                "device": str(self.learner.device),
                "precision": self.learner.precision,
                "threads": self.threads,
            },
        }

    def finish(self) -> Iterator[Event]:
        """Validate once more, score the best model on all held-out text, save, and sum up."""
        if self.last_evaluated != self.step and self.stop_reason != "signal":
            yield from self.validate()
        if self.last_saved != self.step:
            yield from self.save()
        val_loss = None
        if self.best_weights is not None and self.stop_reason != "signal":
            score = self.score("fp32", None, self.best_model())
            val_loss = score.loss
            yield Evaluated(
                step=self.best.step, loss=val_loss, chars=score.chars, is_best=True, is_final=True
            )
            yield from self.save_best(val_loss)
        if self.run is not None and self.stop_reason != "signal":
            self.run.keep_newest(1)
        yield self.finished(val_loss if val_loss is not None else self.best.loss)

    def best_model(self) -> CharRNN:
        """Return a network with the best weights, on the training device."""
        assert self.best_weights is not None  # a validation has chosen them
        model = CharRNN(self.learner.model.config)
        load_weights(model, self.best_weights)
        return model.to(self.learner.device)

    def finished(self, val_loss: float | None) -> Finished:
        """Return the run in a few numbers."""
        return Finished(
            step=self.step,
            epoch=self.epoch,
            stop_reason=self.stop_reason,
            val_loss=val_loss,
            bits_per_char=bits_per_char(val_loss, self.corpus),
            train_loss=self.train_loss,
            chars_per_second=self.budget.chars_per_second,
            seconds=self.budget.elapsed(),
        )


def fit_batches(corpus: Corpus, config: TrainConfig) -> tuple[int, int]:
    """Return batch size and window, as far as the text can fill them.

    Raises:
        InputError: The text is too small for the smallest window.
    """
    if corpus.train_records is not None:
        return min(config.batch_size, len(corpus.train_records)), config.seq_len
    return fit_streams(len(corpus.train), config.batch_size, config.seq_len)


def make_batches(corpus: Corpus, config: TrainConfig) -> Batches:
    """Return the batches of a text: streams, or records with --lines."""
    size, window = fit_batches(corpus, config)
    if corpus.train_records is not None:
        assert corpus.vocab.newline is not None  # a text of lines has it
        return RecordBatches(
            corpus.train, corpus.train_records, corpus.vocab.newline, size, config.seed
        )
    return Streams(corpus.train, size, window, config.seed, config.restart_prob)


def num_held_out(corpus: Corpus) -> int:
    """Return how many characters of held-out text can be scored."""
    if corpus.val_records is not None:
        return int((corpus.val_records.lengths + 1).sum()) if len(corpus.val_records) else 0
    return max(0, len(corpus.val) - 1)


def bits_per_char(loss: float | None, corpus: Corpus) -> float | None:
    """Return a loss in bits per character; of bytes, over the characters that they decode to."""
    if loss is None:
        return None
    bits = loss / math.log(2)
    if not isinstance(corpus.vocab, ByteVocabulary):
        return bits
    num_chars = decoded_length(np.asarray(corpus.val))
    return bits * len(corpus.val) / num_chars if num_chars else None


def _plain(config: TrainConfig) -> dict[str, Any]:
    """Return the settings as JSON can hold them."""
    values = asdict(config).items()
    return {name: str(v) if name == "val_file" and v is not None else v for name, v in values}
