"""How a run went and what to try next, for somebody who has never trained a network."""

import math
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charrnn.advice import ALONE, GOOD, OVERFITTING, UNDERFITTING
from charrnn.checkpoint import Model
from charrnn.console import loss_text, speed_text, time_text
from charrnn.history import ALONE_CURVE, History
from charrnn.lenient import as_count, as_mapping, as_number, as_text
from charrnn.overview import GOES_ON, RunInfo
from charrnn.parts import Heading, Listing, Part, Remark, Rows
from charrnn.vocab import ByteVocabulary

LITTLE = 0.7
"""Share of the loss of somebody who knows nothing; above it hardly more than frequencies is known.
Of English text the frequencies of its letters alone leave three quarters."""

MORE_TIME = 3
"""How many times as long the next run should be."""

MORE_DROPOUT, MOST_DROPOUT = 0.2, 0.6


@dataclass(frozen=True, slots=True)
class Facts:
    """What a verdict is made of."""

    info: RunInfo
    history: History
    model: Model

    @property
    def end(self) -> Mapping[str, Any]:
        """What the run ended with; of one that has not ended, its best model's figures."""
        facts = self.model.facts
        return self.history.last or as_mapping(facts.get("end")) or as_mapping(facts.get("metrics"))

    @property
    def loss(self) -> float | None:
        """Validation loss of the model that is kept, nats."""
        return self.info.val_loss

    @property
    def network_loss(self) -> float | None:
        """The same without the memory."""
        scores = self.end.get("scores")
        first = as_mapping(scores[0]) if isinstance(scores, list) and scores else {}
        return as_number(first.get("network_loss"))

    @property
    def unit(self) -> str:
        """What a loss is counted over."""
        return "byte" if isinstance(self.model.vocab, ByteVocabulary) else "character"

    @property
    def settings(self) -> Mapping[str, Any]:
        """Those of the run."""
        return as_mapping(as_mapping(self.model.facts.get("config")).get("train"))

    @property
    def text(self) -> list[str]:
        """Names of the text's files."""
        files = as_mapping(self.model.facts.get("corpus")).get("files")
        return [str(name) for name in files] if isinstance(files, list) else ["FILE"]

    @property
    def epochs(self) -> float:
        """Passes over the text."""
        return as_number(self.end.get("epoch")) or 0.0

    @property
    def advice(self) -> str:
        """What training said at its end, how the network fits first."""
        return as_text(self.end.get("advice")) or ""


HEADLINES = {
    "running": "It is still training: {steps} steps are done. What stands here is about the best "
    "model so far.",
    "stopped": "It was stopped before it was done, after {steps} steps. What stands here is about "
    "the best model so far.",
    "killed": "Its process died before it was done, after {steps} steps. What stands here is about "
    "the best model so far.",
    "diverged": "It failed: its numbers grew beyond all measure, and training was given up. What "
    "stands here is about the best model from before that.",
    "failed": "It failed: {error}.",
    "unknown": "Nobody can say how good it is: no text was held out to try it on. Whether it writes "
    "or recites is for you to judge.",
    "little": "It has learned little more than which {unit}s are frequent: new text surprises it "
    "almost as much as chance would.",
    "overfitting": "It began to learn its text by heart: from some point on it did better on what "
    "it had read, but no longer on new text. The model that was kept is the best on new text.",
    "underfitting": "It went well, and it can still get better: it read its text {epochs} times, "
    "and was learning to the end.",
    "good": "It went well: it does as well on new text as one may expect from what it has read. A "
    "network of this size has little more to learn from this text.",
    "ended": "It ended as planned.",
}  # fmt: skip
"""How a run went, by kind."""


def verdict(facts: Facts) -> list[Part]:
    """Return how the run went, what to try next, and its figures."""
    kind, info = kind_of(facts), facts.info
    total = f" of {info.total_steps:,}" if info.total_steps else ""
    what = HEADLINES[kind].format(
        steps=f"{info.step or 0:,}{total}",
        error=info.error or "nobody knows why",
        unit=facts.unit,
        epochs=f"{facts.epochs:.1f}",
    )
    return [
        Heading("How it went"),
        Remark(what, is_main=True),
        *map(Remark, meaning(facts)),
        Heading("What to try next"),
        *(Listing(f"{why}:\n    {command}") for why, command in next_steps(facts, kind)),
        Heading("In figures"),
        Rows((), figures(facts)),
    ]


def kind_of(facts: Facts) -> str:
    """Return the kind of end that a run has come to, one of HEADLINES."""
    if facts.info.state in HEADLINES:
        return facts.info.state
    if facts.loss is None:
        return "unknown"
    if facts.loss > LITTLE * math.log(facts.model.vocab.size):
        return "little"
    begins = {OVERFITTING: "overfitting", UNDERFITTING: "underfitting", GOOD: "good"}
    found = (kind for begin, kind in begins.items() if facts.advice.startswith(begin))
    return next(found, "ended")


def meaning(facts: Facts) -> Iterator[str]:
    """Yield what the validation loss means, if there is one."""
    size, unit, loss = facts.model.vocab.size, facts.unit, facts.loss
    if loss is None:
        return
    yield (
        f"Before each {unit} of text that it never learned from, it hesitates between "
        f"{math.exp(loss):.1f} {unit}s on average. One that knows nothing hesitates between all "
        f"{size}. Lower is better; no text can be foreseen altogether."
    )
    began, ended = facts.history.curves[ALONE_CURVE][:1], facts.network_loss
    if began and ended is not None:
        yield (
            f"Without its memory of the text it began, at its first test, with "
            f"{math.exp(began[0][1]):.1f}, and ended with {math.exp(ended):.1f}."
        )
    if facts.advice.endswith(ALONE):
        yield "Its memory of the text would do harm here, so the network writes alone."


def next_steps(facts: Facts, kind: str) -> list[tuple[str, str]]:
    """Return what to do next and why, as commands."""
    info, settings, folder = facts.info, facts.settings, facts.info.folder.parent
    where = [] if folder == Path("checkpoints") else ["--checkpoints", str(folder)]
    anew = ["charrnn", "train", *facts.text[:3], *where]
    longer = ["--max-time", duration(MORE_TIME * (info.seconds or 600))]
    dropout = min(MOST_DROPOUT, (as_number(settings.get("dropout")) or 0) + MORE_DROPOUT)
    lower = (as_number(settings.get("lr")) or 0.003) / 3
    resume = (
        "go on where it stands",
        ["charrnn", "train", "--run", info.run, "--resume", *where],
    )
    by_kind = {
        "diverged": ("train with smaller steps", [*anew, "--lr", f"{lower:.2g}"]),
        "unknown": ("hold a tenth of the text out, and see", [*anew, "--val-frac", "0.1"]),
        "overfitting": (
            "give it more text if there is any, or make learning by heart harder",
            [*anew, "--dropout", f"{dropout:.2g}"],
        ),
        "good": ("more text, or more time for a larger network", [*anew, *longer]),
    } | dict.fromkeys(GOES_ON + ("failed",), resume)
    step = by_kind.get(kind, ("more time; it picks a size that fits", [*anew, *longer]))
    sample = ["charrnn", "sample", info.run, *where, "--temperature", "0.7"]
    steps = [] if kind == "running" else [step]
    steps.append(("let it write; it gets more daring above 0.7, safer below", sample))
    return [(why, shlex.join(command)) for why, command in steps]


def duration(seconds: float) -> str:
    """Return a time as --max-time takes it, roundly."""
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes}m"
    return f"{minutes // 60}h" + (f"{minutes % 60}m" if minutes % 60 else "")


def figures(facts: Facts) -> list[tuple[str, str]]:
    """Return what a run has ended with, by name."""
    end, info = facts.end, facts.info
    rows = [
        (f"validation loss, nats per {facts.unit}", loss_text(facts.loss)),
        ("the same without its memory", loss_text(facts.network_loss)),
        ("training loss, without its memory", loss_text(as_number(end.get("train_loss")))),
        ("network", f"{info.cell} {info.num_layers}×{info.hidden_size}"),
        ("steps", f"{info.step or as_count(end.get('step')) or 0:,}"),
        ("passes over the text", f"{facts.epochs:.2f}"),
        ("time", time_text(info.seconds)),
        ("speed", speed_text(info.chars_per_second)),
        ("ended", info.state if info.state in GOES_ON else info.stop_reason or info.state),
    ]
    return [(name, value) for name, value in rows if "?" not in value]
