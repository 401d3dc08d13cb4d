"""The outcome of a run, next steps and figures, in plain words."""

import math
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from charrnn.checkpoints.log import as_number, score_rows
from charrnn.checkpoints.model import Model
from charrnn.checkpoints.runs import UNFINISHED, RunInfo
from charrnn.core.config import SampleConfig
from charrnn.core.console import count_text, loss_text, perplexity_text, speed_text, time_text
from charrnn.evaluation.diagnosis import Diagnosis, Losses, diagnose_fit
from charrnn.viz.commands import NOTHING_LEFT, Trained, checkpoints_option, training_step
from charrnn.viz.history import ALONE_CURVE, History
from charrnn.viz.render.elements import Element, Heading, Listing, Remark, Rows

LITTLE = 0.9
"""Above this fraction of the unigram entropy, a network has learned little more than frequencies."""

HEADLINES = {
    "running": "The run is still training: {steps} steps are done. This report is about the best "
    "model so far.",
    "stopped": "The run was stopped before its end, after {steps} steps.",
    "killed": "The process of the run died before its end, after {steps} steps.",
    "diverged": "The run failed: the loss grew without limit, so training ended. This report is "
    "about the best model before that.",
    "failed": "The run failed: {error}.",
    "unknown": "The quality of the model is unknown, because no text was held out to test it. Read "
    "the sample below to judge whether its text is new or copied.",
    "little": "The network has learned little more than which {unit}s are frequent: alone, it "
    "predicts new text hardly better than these frequencies do.",
    "random": "There is nothing to predict in this text but which {unit}s are frequent: the loss "
    "has stopped falling at what these frequencies give. More training will not help. Is the text "
    "random, compressed or encrypted?",
    "known": "The model predicts the held-out text almost without error. More training will not "
    "help. A text that repeats itself gives such a result.",
    "overfitting": "The model is usable, but the network began to learn its text by heart: after "
    "step {best} of {steps} it still improved on the text that it trained on, but not on new text. "
    "The model of step {best} was kept.",
    "underfitting": "The run went well, and more training will help: it read its text {epochs} "
    "times, and the model improved until the end.",
    "begun": "The run has only begun: it has read {share} of its text. With more time the model "
    "will become much better.",
    "good": "The run went well: the model is as good on new text as one can expect from its training "
    "text. A network of this size has little more to learn from this text.",
    "ended": "The run ended as planned.",
}  # fmt: skip
"""Sentences on a run, by outcome."""

ENDS = {
    "finished": "as planned",
    "max_time": "time limit reached",
    "early_stop": "no improvement for a long time",
    "signal": "stopped by a signal",
    "requeue": "saved, to continue elsewhere",
}
"""Reasons to stop, in words."""


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """Everything that a report shows of a run. None means unknown."""

    info: RunInfo
    history: History
    model: Model
    sources: tuple[str, ...] = ()
    """Absolute paths of the training files and folders, as given to the run."""
    val_source: str | None = None
    """Absolute path of its --val-file."""
    shown_loss: float | None = None
    """Loss on the part of the held-out text that the report shows, nats per symbol."""
    unigram_entropy: float | None = None
    """Unigram entropy of the training text, nats per symbol."""

    @property
    def unit(self) -> str:
        """Name of a symbol: character or byte."""
        return self.model.vocab.unit

    @property
    def loss(self) -> float | None:
        """Validation loss of the best model, nats per symbol."""
        return self.info.val_loss

    @property
    def has_memory(self) -> bool:
        """Whether the model mixes its predictions with an n-gram memory."""
        return self.model.memory is not None and self.model.memory.weight != 0

    @property
    def network_loss(self) -> float | None:
        """Validation loss without the memory: the final score, else that of the best step."""
        if not self.has_memory:
            return self.loss
        scores = self.history.last.get("scores")
        first = scores[0] if isinstance(scores, list) and scores else None
        found = as_number(first.get("network_loss")) if isinstance(first, dict) else None
        return found or dict(self.history.curves[ALONE_CURVE]).get(self.best_step)

    @property
    def train_loss(self) -> float | None:
        """Training loss at the end of the run, of the network alone."""
        points = self.history.curves["training loss"]
        newest = points[-1][1] if points else None
        return as_number(self.history.last.get("train_loss")) or newest

    @property
    def fit(self) -> Diagnosis | None:
        """How well the network fits its text."""
        return diagnose_fit(
            Losses(
                network=self.network_loss,
                train=self.train_loss,
                best_at=self.best_step / max(1, self.info.step or 0),
                epochs=self.history.epoch or 0.0,
                mixed=self.loss,
                unigram_entropy=self.unigram_entropy,
                curve=self.history.curves[ALONE_CURVE],
            )
        )

    @property
    def best_step(self) -> int:
        """Step of the best model."""
        progress = self.model.metadata.progress
        return progress.step if progress else 0

    @property
    def checkpoints_option(self) -> list[str]:
        """The option --checkpoints, if the folder of all runs is not the default."""
        return checkpoints_option(self.info.folder)


def verdict(run: RunSummary) -> list[Element]:
    """Return the elements: outcome, next steps, figures."""
    kind = outcome(run)
    return [
        Heading("How it went"),
        Remark(headline(run, kind), is_main=True),
        *map(Remark, loss_meaning(run)),
        Heading("What to try next"),
        *(Listing(f"{why}:\n    {command}") for why, command in next_steps(run, kind)),
        Heading("Figures"),
        Rows((), figures(run)),
    ]


def headline(run: RunSummary, kind: str) -> str:
    """Return one or two sentences on the outcome of a run."""
    info = run.info
    total = f" of {info.total_steps:,}" if info.total_steps and kind in UNFINISHED else ""
    return HEADLINES[kind].format(
        steps=f"{info.step or 0:,}{total}",
        best=f"{run.best_step:,}",
        error=info.error or "no reason was recorded",
        unit=run.unit,
        epochs=f"{run.history.epoch or 0:.1f}",
        share=f"{run.history.epoch or 0:.0%}",
    )


def outcome(run: RunSummary) -> str:
    """Return the outcome of a run, a key of HEADLINES."""
    if run.info.state in HEADLINES:
        return run.info.state
    if run.loss is None:
        return "unknown"
    fit = run.fit
    if fit is not None and fit.kind in NOTHING_LEFT:
        return fit.kind
    if run.unigram_entropy is not None and (run.network_loss or 0) > LITTLE * run.unigram_entropy:
        return "little"
    if run.history.epoch is None:
        return "ended"
    if run.history.epoch < 1:
        return "begun"
    return fit.kind if fit else "ended"


def loss_meaning(run: RunSummary) -> Iterator[str]:
    """Yield sentences on the meaning of the validation loss, or of the loss on the text shown."""
    size, unit = run.model.vocab.size, run.unit
    loss = run.shown_loss if run.loss is None else run.loss
    if loss is None:
        return
    where = " shown below" if run.loss is None else ""
    yield (
        f"At each {unit} of the held-out text{where}, the model is on average "
        f"{perplexity_text(loss, unit)}. A model that knows nothing is as unsure as between all "
        f"{size}. Lower is better; no text is fully predictable."
    )
    curve, alone = run.history.curves[ALONE_CURVE], run.network_loss
    if run.has_memory and alone is not None:
        step, first = curve[0] if len(curve) > 1 else (0, 0.0)
        before = f" At its first test, at step {step:,.0f}, it was {math.exp(first):.1f}."
        yield (
            "The network is helped by an n-gram memory, which looks up what followed similar "
            "passages in the training text. The network alone is as unsure as between "
            f"{math.exp(alone):.1f} {unit}s.{before if len(curve) > 1 else ''}"
        )
    if run.model.memory is not None and not run.has_memory:
        yield "An n-gram memory would do harm here, so the network writes alone."


# What to do


def next_steps(run: RunSummary, kind: str) -> list[tuple[str, str]]:
    """Return the next steps as pairs: reason, command."""
    info, where = run.info, run.checkpoints_option
    trained = Trained(
        sources=run.sources,
        val_source=run.val_source,
        settings=run.model.metadata.settings,
        checkpoints_option=where,
        seconds=info.seconds or 0.0,
    )
    resume = ["charrnn", "train", "--run", info.run, "--resume", *where]
    sample = ["charrnn", "sample", info.run, *where]
    steps = [training_step(kind, trained)]
    if kind in ("running", *NOTHING_LEFT):
        steps = []
    elif kind in (*UNFINISHED, "failed"):
        steps = [(f"continue the run{time_left(info)}", resume)]
    steps.append(
        (
            "write text; a higher temperature gives more surprising text, a lower one safer text",
            [*sample, "--temperature", f"{SampleConfig().temperature:g}"],
        )
    )
    return [(why, shlex.join(command)) for why, command in steps]


def time_left(info: RunInfo) -> str:
    """Return about how much time a run has left, in words; empty if unknown."""
    if not (info.step and info.total_steps and info.seconds):
        return ""
    left = info.seconds / info.step * max(0, info.total_steps - info.step)
    return f", for about {time_text(left)}"


# Figures


def figures(run: RunSummary) -> list[tuple[str, str]]:
    """Return the figures of a run as rows: name, value."""
    info, alone = run.info, run.network_loss if run.has_memory else None
    without = "" if alone is None else ", network alone"
    has_mean = as_number(run.history.last.get("train_loss")) is not None
    of_which = ", mean of the last points of its curve" if has_mean else ""
    rows = [
        ("validation loss", loss_words(run.loss, run.unit)),
        ("validation loss, network alone", loss_words(alone, run.unit)),
        *((f"validation loss, {name}", text) for name, text in score_rows(run.history.last)),
        (f"training loss{without}", loss_words(run.train_loss, run.unit, of_which)),
        ("network", network_text(info)),
        ("steps", "?" if info.step is None else f"{info.step:,}"),
        ("passes over the text", "?" if run.history.epoch is None else f"{run.history.epoch:.2f}"),
        ("time", time_text(info.seconds)),
        ("speed", speed_text(info.chars_per_second)),
        ("ended", ENDS.get(info.stop_reason or "", info.state)),
    ]
    return [(name, value) for name, value in rows if "?" not in value]


def network_text(info: RunInfo) -> str:
    """Return cell and size of a network in words."""
    if info.num_layers is None:
        return "?"
    head = f", attention to {info.attention} outputs" if info.attention else ""
    noun = "block" if info.cell == "transformer" else "layer"
    return f"{info.cell}, {count_text(info.num_layers, noun)} of {info.hidden_size} units{head}"


def loss_words(loss: float | None, unit: str, of_which: str = "") -> str:
    """Return a loss, what it is the mean of, and its perplexity in words."""
    if loss is None:
        return "?"
    return f"{loss_text(loss)} nats per {unit}{of_which}: {perplexity_text(loss, unit)}"
