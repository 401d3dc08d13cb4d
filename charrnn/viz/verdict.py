"""The outcome of a run, next steps and figures, in plain words."""

import math
import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charrnn.checkpoints.log import as_number
from charrnn.checkpoints.model import Model
from charrnn.checkpoints.runs import UNFINISHED, RunInfo
from charrnn.core.config import SampleConfig, TrainConfig
from charrnn.core.console import loss_text, speed_text, time_text
from charrnn.evaluation.diagnosis import diagnose_fit
from charrnn.viz.history import ALONE_CURVE, History
from charrnn.viz.render.elements import Element, Heading, Listing, Remark, Rows

LITTLE = 0.9
"""Above this fraction of the unigram entropy, a network has learned little more than frequencies."""

MORE_TIME = 3
LEAST_TIME = 300.0
"""Length of a suggested run: as a multiple of this run's, and in seconds at least."""

MORE_DROPOUT, MOST_DROPOUT = 0.2, 0.6


HEADLINES = {
    "running": "It is still training: {steps} steps are done. What stands here is about the best "
    "model so far.",
    "stopped": "It was stopped before it was done, after {steps} steps.",
    "killed": "Its process died before it was done, after {steps} steps.",
    "diverged": "It failed: its numbers grew beyond all measure, and training was given up. What "
    "stands here is about the best model from before that.",
    "failed": "It failed: {error}.",
    "unknown": "Nobody can say how good it is: no text was held out to try it on. Whether it writes "
    "or recites is for you to judge.",
    "little": "It has learned little more than which {unit}s are frequent: new text surprises it "
    "almost as much as chance would.",
    "overfitting": "It can be used, but it began to learn its text by heart: after step {best} of "
    "{steps} it got better on what it had read, and no better or worse on new text. The model of "
    "step {best} was kept.",
    "underfitting": "It went well, and it can still get better: it read its text {epochs} times, "
    "and was learning to the end.",
    "begun": "It has only begun: it has read {share} of its text. With more time it will get much "
    "better.",
    "good": "It went well: it does as well on new text as one may expect from what it has read. A "
    "network of this size has little more to learn from this text.",
    "ended": "It ended as planned.",
}  # fmt: skip
"""Sentences on a run, by outcome."""

ENDS = {
    "finished": "as planned",
    "max_time": "its time was up",
    "early_stop": "it got no better for long",
    "signal": "stopped by a signal",
    "requeue": "saved, to go on elsewhere",
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
    shown: float | None = None
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
    def epochs(self) -> float | None:
        """Passes over the training text."""
        return self.history.epoch

    @property
    def best_step(self) -> int:
        """Step of the best model."""
        progress = self.model.metadata.progress
        return progress.step if progress else 0

    @property
    def settings(self) -> Mapping[str, Any]:
        """Training settings of the run, by name."""
        return self.model.metadata.settings

    @property
    def text_arguments(self) -> list[str]:
        """Paths of the training files and folders, for a command line."""
        return [relative_path(name) for name in self.sources] or ["FILE..."]

    @property
    def checkpoints_option(self) -> list[str]:
        """The option --checkpoints, if the folder of all runs is not the default."""
        folder = self.info.folder.parent
        return [] if folder == Path("checkpoints") else ["--checkpoints", str(folder)]


def relative_path(name: str) -> str:
    """Return an absolute path relative to the working folder, if it is inside it."""
    with suppress(ValueError, OSError):
        return str(Path(name).relative_to(Path.cwd()))
    return name


def verdict(run: RunSummary) -> list[Element]:
    """Return the elements: outcome, next steps, figures."""
    kind = outcome(run)
    return [
        Heading("How it went"),
        Remark(headline(run, kind), is_main=True),
        *map(Remark, loss_meaning(run)),
        Heading("What to try next"),
        *(Listing(f"{why}:\n    {command}") for why, command in next_steps(run, kind)),
        Heading("In figures"),
        Rows((), figures(run)),
    ]


def headline(run: RunSummary, kind: str) -> str:
    """Return one or two sentences on the outcome of a run."""
    info = run.info
    total = f" of {info.total_steps:,}" if info.total_steps and kind in UNFINISHED else ""
    return HEADLINES[kind].format(
        steps=f"{info.step or 0:,}{total}",
        best=f"{run.best_step:,}",
        error=info.error or "nobody knows why",
        unit=run.unit,
        epochs=f"{run.epochs or 0:.1f}",
        share=f"{run.epochs or 0:.0%}",
    )


def outcome(run: RunSummary) -> str:
    """Return the outcome of a run, a key of HEADLINES."""
    if run.info.state in HEADLINES:
        return run.info.state
    if run.loss is None:
        return "unknown"
    if run.unigram_entropy is not None and (run.network_loss or 0) > LITTLE * run.unigram_entropy:
        return "little"
    if run.epochs is None:
        return "ended"
    if run.epochs < 1:
        return "begun"
    best_at = run.best_step / max(1, run.info.step or 0)
    found = diagnose_fit(run.network_loss, run.train_loss, best_at=best_at, epochs=run.epochs)
    return found.kind if found else "ended"


def loss_meaning(run: RunSummary) -> Iterator[str]:
    """Yield sentences on the meaning of the validation loss, or of the loss on the text shown."""
    size, unit = run.model.vocab.size, run.unit
    loss = run.shown if run.loss is None else run.loss
    if loss is None:
        return
    where = " shown below" if run.loss is None else ""
    yield (
        f"Before each {unit} of text that it never learned from{where}, it hesitates between "
        f"{math.exp(loss):.1f} {unit}s on average. One that knows nothing hesitates between all "
        f"{size}. Lower is better; no text can be foreseen altogether."
    )
    curve, alone = run.history.curves[ALONE_CURVE], run.network_loss
    if run.has_memory and alone is not None:
        first = (
            f"; at its first test, at step {curve[0][0]:,.0f}, between {math.exp(curve[0][1]):.1f}"
        )
        yield (
            "To help its network it looks up what followed similar passages in the text it read "
            f"(its memory). The network alone hesitates between {math.exp(alone):.1f}"
            f"{first if len(curve) > 1 else ''}."
        )
    if run.model.memory is not None and not run.has_memory:
        yield "A memory of its text would do harm here, so the network writes alone."


# What to do


def next_steps(run: RunSummary, kind: str) -> list[tuple[str, str]]:
    """Return the next steps as pairs: reason, command."""
    info, seconds = run.info, run.info.seconds or 0.0
    where, temperature = run.checkpoints_option, f"{SampleConfig().temperature:g}"
    anew = ["charrnn", "train", *run.text_arguments, *reading_flags(run), *where]
    longer = [*anew, "--max-time", max_time(max(LEAST_TIME, MORE_TIME * seconds))]
    as_long = [*anew, "--max-time", max_time(seconds)]
    dropout = min(MOST_DROPOUT, run.model.setting("dropout") + MORE_DROPOUT)
    lower = run.model.setting("lr") / 3
    resume = ["charrnn", "train", "--run", info.run, "--resume", *where]
    by_kind = {
        "diverged": ("train with smaller steps", [*as_long, "--lr", f"{lower:.2g}"]),
        "unknown": ("hold a tenth of the text out, and see", [*as_long, "--val-frac", "0.1"]),
        "overfitting": (
            "give it more text if there is any, or make learning by heart harder",
            [*as_long, "--dropout", f"{dropout:.2g}"],
        ),
        "good": ("more text, or more time for a larger network", longer),
    } | dict.fromkeys(UNFINISHED + ("failed",), (f"go on where it stands{time_left(info)}", resume))
    step = by_kind.get(kind, ("more time, and a larger network if that pays", longer))
    sample = ["charrnn", "sample", info.run, *where, "--temperature", temperature]
    steps = [] if kind == "running" else [step]
    steps.append(("let it write; a higher temperature is more daring, a lower one safer", sample))
    return [(why, shlex.join(command)) for why, command in steps]


def reading_flags(run: RunSummary) -> list[str]:
    """Return the options that are needed to read and split the text in the same way."""
    settings, usual = run.settings, TrainConfig()
    flags = [f"--{name}" for name in ("bytes", "lines") if settings.get(name) is True]
    for name in ("encoding", "newlines", "val_frac"):
        value, default = settings.get(name), getattr(usual, name)
        if type(value) is type(default) and value not in (default, 0.0):
            flags += [f"--{name.replace('_', '-')}", f"{value}"]
    return flags + (["--val-file", relative_path(run.val_source)] if run.val_source else [])


def time_left(info: RunInfo) -> str:
    """Return about how much time a run has left, in words; empty if unknown."""
    if not (info.step and info.total_steps and info.seconds):
        return ""
    left = info.seconds / info.step * max(0, info.total_steps - info.step)
    return f", for about {time_text(left)}"


def max_time(seconds: float) -> str:
    """Return a duration in whole minutes, in the form of --max-time."""
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes}m"
    return f"{minutes // 60}h" + (f"{minutes % 60}m" if minutes % 60 else "")


# Figures


def figures(run: RunSummary) -> list[tuple[str, str]]:
    """Return the figures of a run as rows: name, value."""
    info, alone = run.info, run.network_loss if run.has_memory else None
    layers = f"{info.num_layers} layer{'s' * (info.num_layers != 1)}"
    without = "" if alone is None else ", network alone"
    rows = [
        ("validation loss", loss_words(run.loss, run.unit)),
        ("validation loss, network alone", loss_words(alone, run.unit)),
        (f"training loss{without}", loss_words(run.train_loss, run.unit)),
        ("network", f"{info.cell}, {layers} of {info.hidden_size} units"),
        ("steps", "?" if info.step is None else f"{info.step:,}"),
        ("passes over the text", "?" if run.epochs is None else f"{run.epochs:.2f}"),
        ("time", time_text(info.seconds)),
        ("speed", speed_text(info.chars_per_second)),
        ("ended", ENDS.get(info.stop_reason or "", info.state)),
    ]
    return [(name, value) for name, value in rows if "?" not in value]


def loss_words(loss: float | None, unit: str) -> str:
    """Return a loss, and its perplexity in words."""
    if loss is None:
        return "?"
    return f"{loss_text(loss)} nats per {unit}: hesitates between {math.exp(loss):.1f}"
