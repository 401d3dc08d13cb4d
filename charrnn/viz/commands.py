"""The training command to try after a run."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charrnn.checkpoints.log import as_number
from charrnn.core.config import HISTORICAL, TrainConfig
from charrnn.evaluation.diagnosis import budget_setting

MORE = 3
LEAST_TIME = 300.0
"""Length of a suggested run: as a multiple of this run's, and in seconds at least."""

MORE_DROPOUT, MOST_DROPOUT = 0.2, 0.6

NOTHING_LEFT = ("random", "known")
"""Outcomes after which no training can lower the loss."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """The part of a run that the next command depends on."""

    sources: Sequence[str]
    """Absolute paths of the training files and folders."""
    val_source: str | None
    """Absolute path of its --val-file."""
    settings: Mapping[str, Any]
    """Training settings by name."""
    checkpoints_option: Sequence[str]
    """The option --checkpoints, if it is not the default."""
    seconds: float
    """Duration of the run."""

    @property
    def kept_flags(self) -> list[str]:
        """The options that read and split the text in the same way, and choose the same cell."""
        usual = TrainConfig()
        flags = [f"--{name}" for name in ("bytes", "lines") if self.settings.get(name) is True]
        for name in (
            "encoding",
            "errors",
            "newlines",
            "normalize",
            "column",
            "val_frac",
            "val_pieces",
            "direction",
            "cell",
            "attention",
        ):
            value = {**HISTORICAL, **self.settings}.get(name)
            if name == "newlines" and flags:
                continue  # neither bytes nor lines have a choice
            default = getattr(usual, name)
            if type(value) is type(default) and value not in (default, 0.0):
                flags += [f"--{name.replace('_', '-')}", f"{value}"]
        return flags + (["--val-file", relative_path(self.val_source)] if self.val_source else [])

    def budget(self, factor: int) -> list[str]:
        """Return the option for a run so many times as long, in the unit that was chosen."""
        given = as_number(self.settings.get(name := budget_setting(self.settings)))
        if name != "max_time" and given is not None:
            return [f"--{name}", f"{factor * given:.12g}"]
        least = LEAST_TIME if factor > 1 else 0.0
        return ["--max-time", max_time(max(least, factor * self.seconds))]

    def setting(self, name: str) -> float:
        """Return a number among the settings, or its default."""
        found = as_number(self.settings.get(name))
        return float(getattr(TrainConfig(), name)) if found is None else found


def training_step(kind: str, trained: Trained) -> tuple[str, list[str]]:
    """Return the reason and the words of the training command to try after an outcome."""
    texts = text_arguments(trained.sources, trained.settings)
    anew = ["charrnn", "train", *texts, *trained.kept_flags, *trained.checkpoints_option]
    longer, as_long = [*anew, *trained.budget(MORE)], [*anew, *trained.budget(1)]
    dropout = min(MOST_DROPOUT, trained.setting("dropout") + MORE_DROPOUT)
    by_kind = {
        "diverged": (
            "train with a lower learning rate",
            [*as_long, "--lr", f"{trained.setting('lr') / 3:.2g}"],
        ),
        "unknown": (
            "hold out a tenth of the text, to measure the quality",
            [*as_long, "--val-frac", "0.1"],
        ),
        "overfitting": (
            "use more text if there is any, or more dropout, which works against learning by heart",
            [*as_long, "--dropout", f"{dropout:.2g}"],
        ),
        "good": ("use more text, or more time for a larger network", longer),
    }
    return by_kind.get(kind, ("train for longer, with a larger network if that helps", longer))


def checkpoints_option(folder: Path) -> list[str]:
    """Return the option --checkpoints for a run's folder, if that of all runs is not the default."""
    parent = folder.parent
    return [] if parent == Path("checkpoints") else ["--checkpoints", str(parent)]


def text_arguments(sources: Sequence[str], settings: Mapping[str, Any]) -> list[str]:
    """Return paths of training files and folders for a command line, with their weights."""
    paths = [relative_path(name) for name in sources] or ["FILE..."]
    weights = str(settings.get("weights") or "").split(",")
    if len(weights) != len(sources):
        return paths
    weighted = zip(paths, weights, strict=True)
    return [f"{path}:{weight}" if weight not in ("", "1") else path for path, weight in weighted]


def relative_path(name: str) -> str:
    """Return an absolute path relative to the working folder, if it is inside it."""
    with suppress(ValueError, OSError):
        return str(Path(name).relative_to(Path.cwd()))
    return name


def max_time(seconds: float) -> str:
    """Return a duration in whole minutes, in the form of --max-time."""
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes}m"
    return f"{minutes // 60}h" + (f"{minutes % 60}m" if minutes % 60 else "")
