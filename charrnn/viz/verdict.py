"""How a run went and what to try next, in plain words."""

import math
import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charrnn.checkpoints.log import as_number, as_text
from charrnn.checkpoints.model import Model
from charrnn.checkpoints.runs import GOES_ON, RunInfo
from charrnn.core.config import SampleConfig, TrainConfig
from charrnn.core.console import loss_text, speed_text, time_text
from charrnn.evaluation.diagnosis import ALONE, GOOD, OVERFITTING, UNDERFITTING
from charrnn.viz.history import ALONE_CURVE, History
from charrnn.viz.render.elements import Element, Heading, Listing, Remark, Rows

LITTLE = 0.9
"""Share of the loss of one that knows the frequencies alone; a network above it knows little else."""

MORE_TIME = 3
LEAST_TIME = 300.0
"""How many times as long the next run should be, and seconds that it should at least have."""

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
"""How a run went, by kind."""

ENDS = {
    "finished": "as planned",
    "max_time": "its time was up",
    "early_stop": "it got no better for long",
    "signal": "stopped by a signal",
    "requeue": "saved, to go on elsewhere",
}
"""Why a run ended, in words."""


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """What a report is made of. None is what nobody knows."""

    info: RunInfo
    history: History
    model: Model
    sources: tuple[str, ...] = ()
    """Absolute names of what the run was started on, files and folders."""
    val_source: str | None = None
    """That of its --val-file."""
    shown: float | None = None
    """Nats per symbol of the held-out text that a report shows."""
    unigram_entropy: float | None = None
    """Nats per symbol for one that knows how frequent each is, and nothing else."""

    @property
    def unit(self) -> str:
        """What a loss is counted over."""
        return self.model.vocab.unit

    @property
    def loss(self) -> float | None:
        """Validation loss of the model that is kept, nats."""
        return self.info.val_loss

    @property
    def has_memory(self) -> bool:
        """Whether what it writes is mixed with a memory."""
        return self.model.memory is not None and self.model.memory.weight != 0

    @property
    def network_loss(self) -> float | None:
        """The same without the memory: of all held-out text, or as the run had it at that step."""
        if not self.has_memory:
            return self.loss
        scores = self.history.last.get("scores")
        first = scores[0] if isinstance(scores, list) and scores else None
        found = as_number(first.get("network_loss")) if isinstance(first, dict) else None
        return found or dict(self.history.curves[ALONE_CURVE]).get(self.best_step)

    @property
    def train_loss(self) -> float | None:
        """Of the network alone, on what it trained on last."""
        points = self.history.curves["training loss"]
        newest = points[-1][1] if points else None
        return as_number(self.history.last.get("train_loss")) or newest

    @property
    def epochs(self) -> float | None:
        """Passes over the text."""
        return self.history.epoch

    @property
    def best_step(self) -> int:
        """The step of the model that is kept."""
        progress = self.model.metadata.progress
        return progress.step if progress else 0

    @property
    def advice(self) -> str:
        """What training said at its end, how the network fits first."""
        return as_text(self.history.last.get("advice")) or ""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Those of the run."""
        return self.model.metadata.settings

    @property
    def text_arguments(self) -> list[str]:
        """Names of the text's files and folders, as a command takes them."""
        return [relative_path(name) for name in self.sources] or ["FILE..."]

    @property
    def checkpoints_option(self) -> list[str]:
        """The option for the folder of all runs, if it is not the usual one."""
        folder = self.info.folder.parent
        return [] if folder == Path("checkpoints") else ["--checkpoints", str(folder)]


def relative_path(name: str) -> str:
    """Return an absolute name as it is from here, if it lies below."""
    with suppress(ValueError, OSError):
        return str(Path(name).relative_to(Path.cwd()))
    return name


def verdict(run: RunSummary) -> list[Element]:
    """Return how the run went, what to try next, and its figures."""
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
    """Return how a run went in a sentence or two, by its kind."""
    info = run.info
    total = f" of {info.total_steps:,}" if info.total_steps and kind in GOES_ON else ""
    return HEADLINES[kind].format(
        steps=f"{info.step or 0:,}{total}",
        best=f"{run.best_step:,}",
        error=info.error or "nobody knows why",
        unit=run.unit,
        epochs=f"{run.epochs or 0:.1f}",
        share=f"{run.epochs or 0:.0%}",
    )


def outcome(run: RunSummary) -> str:
    """Return the kind of end that a run has come to, one of HEADLINES."""
    if run.info.state in HEADLINES:
        return run.info.state
    if run.loss is None:
        return "unknown"
    if run.unigram_entropy is not None and (run.network_loss or 0) > LITTLE * run.unigram_entropy:
        return "little"
    if run.epochs is not None and run.epochs < 1:
        return "begun"
    begins = {OVERFITTING: "overfitting", UNDERFITTING: "underfitting", GOOD: "good"}
    found = (kind for begin, kind in begins.items() if run.advice.startswith(begin))
    return next(found, "ended")


def loss_meaning(run: RunSummary) -> Iterator[str]:
    """Yield what the validation loss means, or without one that of the text which is shown."""
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
    if run.advice.endswith(ALONE):
        yield "A memory of its text would do harm here, so the network writes alone."


# What to do


def next_steps(run: RunSummary, kind: str) -> list[tuple[str, str]]:
    """Return what to do next and why, as commands."""
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
    } | dict.fromkeys(GOES_ON + ("failed",), (f"go on where it stands{time_left(info)}", resume))
    step = by_kind.get(kind, ("more time, and a larger network if that pays", longer))
    sample = ["charrnn", "sample", info.run, *where, "--temperature", temperature]
    steps = [] if kind == "running" else [step]
    steps.append(("let it write; a higher temperature is more daring, a lower one safer", sample))
    return [(why, shlex.join(command)) for why, command in steps]


def reading_flags(run: RunSummary) -> list[str]:
    """Return the options without which a text would be read or held out otherwise."""
    settings, usual = run.settings, TrainConfig()
    flags = [f"--{name}" for name in ("bytes", "lines") if settings.get(name) is True]
    for name in ("encoding", "newlines", "val_frac"):
        value, default = settings.get(name), getattr(usual, name)
        if type(value) is type(default) and value not in (default, 0.0):
            flags += [f"--{name.replace('_', '-')}", f"{value}"]
    return flags + (["--val-file", relative_path(run.val_source)] if run.val_source else [])


def time_left(info: RunInfo) -> str:
    """Return about how long a run would still take."""
    if not (info.step and info.total_steps and info.seconds):
        return ""
    left = info.seconds / info.step * max(0, info.total_steps - info.step)
    return f", for about {time_text(left)}"


def max_time(seconds: float) -> str:
    """Return a time as --max-time takes it, roundly."""
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes}m"
    return f"{minutes // 60}h" + (f"{minutes % 60}m" if minutes % 60 else "")


# Figures


def figures(run: RunSummary) -> list[tuple[str, str]]:
    """Return what a run has ended with, by name."""
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
    """Return a loss, and between how many symbols it means to hesitate."""
    if loss is None:
        return "?"
    return f"{loss_text(loss)} nats per {unit}: hesitates between {math.exp(loss):.1f}"
