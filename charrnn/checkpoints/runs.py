"""Summaries of all runs, and which of their losses are comparable."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from charrnn.checkpoints.log import METRICS, as_count, as_text, read_tail
from charrnn.checkpoints.metadata import Metadata, read_metadata
from charrnn.checkpoints.run_folder import BEST, CONFIG, LOCK
from charrnn.core.console import speed_text, time_text
from charrnn.core.errors import CheckpointError, InputError, printable, reason_of
from charrnn.core.files import is_locked
from charrnn.core.settings import read_settings
from charrnn.nn.architecture import direction_text, size_text

COLUMNS = ("run", "val loss", "state", "corpus", "size", "steps", "time", "char/s")
NUMERIC = (1, 5, 6, 7)
"""Columns of numbers."""

STATES = {
    "finished": "finished", "early_stop": "finished", "max_time": "finished",
    "signal": "stopped", "requeue": "stopped",
    "diverged": "diverged", "error": "failed",
}  # fmt: skip
"""State of a run by its stop reason."""

UNFINISHED = ("running", "stopped", "killed")
"""States of runs that have steps left."""

UNFINISHED_SPLIT = "unfinished"
"""`split` of a run that has not ended."""

SHORTEST_DIGEST = 6
MOST_NAMED = 8
"""Texts or runs that a message lists."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunInfo:
    """Summary of one run; None is a value that its files do not contain."""

    run: str
    state: str
    is_alive: bool
    """A process is training it."""
    stop_reason: str | None
    code: int | None
    error: str | None
    val_loss: float | None
    """Validation loss of the best model, in nats per character."""
    corpus: tuple[str, ...] | None
    """Names of the first files of its text."""
    num_files: int | None
    corpus_digest: str | None
    split: str | None = None
    """What `val_loss` was scored on, and how: losses with another split are not comparable."""
    cell: str | None
    num_layers: int | None
    hidden_size: int | None
    attention: int | None = None
    direction: str | None = None
    num_parameters: int | None
    step: int | None
    total_steps: int | None
    seconds: float | None
    chars_per_second: float | None
    best: Path | None
    folder: Path

    def as_json(self) -> dict[str, Any]:
        """Return what --json prints."""
        paths = {"best": self.best and str(self.best), "folder": str(self.folder)}
        return {name: v for name, v in (asdict(self) | paths).items() if name != "num_files"}

    def row(self) -> list[str]:
        """Return a row of the table, one text for each of COLUMNS."""
        return [
            self.run,
            "?" if self.val_loss is None else f"{self.val_loss:.4f}",
            self.state,
            corpus_text(self.corpus, self.num_files),
            self._size_text(),
            self._steps_text(),
            time_text(self.seconds),
            speed_text(self.chars_per_second).removesuffix(" char/s"),
        ]

    def _size_text(self) -> str:
        if self.cell is None:
            return "?"
        size = size_text(self.cell, self.num_layers, self.hidden_size, self.attention or 0)
        return size + direction_text(self.direction)

    def _steps_text(self) -> str:
        step = "?" if self.step is None else f"{self.step:,}"
        has_total = self.state in UNFINISHED and self.total_steps is not None
        return f"{step}/{self.total_steps:,}" if has_total else step


def list_runs(checkpoints: Path) -> list[RunInfo]:
    """Return all runs, those with comparable losses together, the lowest loss first.

    Groups are in the order of their texts; runs without a loss are last, by name.

    Raises:
        InputError: The folder cannot be read.
    """
    try:
        folders = [path for path in checkpoints.iterdir() if is_run(path)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"--checkpoints: {printable(checkpoints)}: {reason_of(error)}") from None
    return sorted(map(summarize_run, folders), key=_rank)


def _rank(info: RunInfo) -> tuple[bool, tuple[str, str, str], float, str]:
    has_loss = info.val_loss is not None
    return (
        not has_loss,
        group_of(info) if has_loss else ("", "", ""),
        info.val_loss or 0.0,
        info.run,
    )


def split_of(metadata: Metadata) -> str | None:
    """Return held-out part and protocol of a validation loss, as in a signature; None without.

    An unfinished run has scored an unknown part of its held-out text. By the first rule the seed
    decides which lines are held out.
    """
    if metadata.metrics.val_loss is None:
        return None
    end = metadata.raw.get("end")
    scores = end.get("scores") if isinstance(end, dict) else None
    first = scores[0] if isinstance(scores, list) and scores else None
    signature = as_text(first.get("signature")) if isinstance(first, dict) else None
    if signature is None:
        return UNFINISHED_SPLIT
    is_drawn = metadata.settings.get("lines") is True and "corpus_rule" not in metadata.settings
    seed = f"|seed:{metadata.settings.get('seed')}" if is_drawn else ""
    return "|".join(signature.split("|")[:3]) + seed


def group_of(info: RunInfo) -> tuple[str, str, str]:
    """Return text, its digest and split: losses are comparable where all three are equal.

    The pseudo-likelihood of a model of both directions compares only with those of its kind.
    """
    text = corpus_text(info.corpus, info.num_files)
    split = (info.split or "") + "|both" * (info.direction == "both")
    return text if not info.corpus_digest else "", info.corpus_digest or "", split


def groups_of(infos: Sequence[RunInfo]) -> list[list[RunInfo]]:
    """Return the runs with a loss in groups of comparable ones, in the same order."""
    groups: dict[tuple[str, str, str], list[RunInfo]] = {}
    for info in infos:
        if info.val_loss is not None:
            groups.setdefault(group_of(info), []).append(info)
    return list(groups.values())


def without_unfinished(infos: Sequence[RunInfo]) -> list[RunInfo]:
    """Return the runs that have ended; all of them if none has."""
    return [info for info in infos if info.split != UNFINISHED_SPLIT] or list(infos)


def is_run(folder: Path) -> bool:
    """Return whether a folder contains a file that only a run has."""
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return False
    kept = (LOCK, BEST, METRICS)
    return any(name in kept or fnmatch(name, "step-*.safetensors") for name in names)


def summarize_run(folder: Path, *, has_ended: bool = False) -> RunInfo:
    """Summarize the files of a run; `has_ended` ignores that its lock is still held."""
    # Before its log is read: a run that ends in between was running.
    is_alive = not has_ended and is_locked(folder / LOCK)
    best, log = _metadata(folder / BEST), read_tail(folder / METRICS)
    known = best or Metadata()
    end, corpus, metrics = known.end, known.corpus, known.metrics
    reason = end.stop_reason if log.is_empty and end else log.stop_reason
    return RunInfo(
        run=folder.name,
        state=_state(reason, is_alive=is_alive),
        is_alive=is_alive,
        stop_reason=None if is_alive else reason,
        code=None if is_alive else log.code,
        error=None if is_alive else log.error,
        val_loss=metrics.val_loss,
        corpus=tuple(corpus.files) or None if corpus else None,
        num_files=corpus.num_files if corpus else None,
        corpus_digest=corpus.digest if corpus else None,
        split=split_of(known),
        **_sizes(known, folder),
        step=_first(log.step, end and end.step, known.progress and known.progress.step),
        total_steps=log.total_steps,
        seconds=_first(log.seconds, end and end.seconds),
        chars_per_second=_first(log.chars_per_second, metrics.chars_per_second),
        best=None if best is None else folder / BEST,
        folder=folder,
    )


def _state(reason: str | None, *, is_alive: bool) -> str:
    """Return the state of a run from its stop reason, if its log has one."""
    if is_alive:
        return "running"
    return "killed" if reason is None else STATES.get(reason, "failed")


def _first(*values: Any) -> Any:
    """Return the first value that is not None."""
    return next((value for value in values if value is not None), None)


def _metadata(path: Path) -> Metadata | None:
    """Return the metadata of a checkpoint; None if it is missing or cannot be read."""
    try:
        return read_metadata(path)
    except (CheckpointError, InputError):
        return None


def _sizes(known: Metadata, folder: Path) -> dict[str, Any]:
    """Return sizes and direction of a best model; without one, of the run's settings."""
    network = known.network
    if network is None:
        return _sizes_of_settings(folder / CONFIG) | {"num_parameters": None}
    return {
        "direction": as_text(known.settings.get("direction")) or "forward",
        "cell": network.cell,
        "num_layers": network.num_layers,
        "hidden_size": network.hidden_size,
        "attention": network.attention,
        "num_parameters": network.num_parameters(),
    }


def _sizes_of_settings(path: Path) -> dict[str, Any]:
    try:
        settings = read_settings(path) if path.is_file() else {}
    except (InputError, OSError):
        settings = {}
    sizes = {name: as_count(settings.get(name)) for name in ("num_layers", "hidden_size")}
    direction = (as_text(settings.get("direction")) or "forward") if settings else None
    cell = None if None in sizes.values() else as_text(settings.get("cell"))
    attention = (as_count(settings.get("attention")) or 0) if settings else None
    return sizes | {"cell": cell, "attention": attention, "direction": direction}


def corpus_text(names: Sequence[str] | None, num_files: int | None = None) -> str:
    """Return the name of a text's first file, and the number of other files."""
    if not names:
        return "?"
    num_more = max(num_files or 0, len(names)) - 1
    return Path(names[0]).name + (f" and {num_more} more" if num_more else "")


def filter_by_corpus(infos: Sequence[RunInfo], corpus: str | None) -> list[RunInfo]:
    """Return the runs trained on a text; all runs if `corpus` is None.

    Args:
        infos: Runs.
        corpus: One of its files, by path, name or stem; or the start of its digest.
    """
    return [info for info in infos if corpus is None or _was_trained_on(info, corpus)]


def _was_trained_on(info: RunInfo, corpus: str) -> bool:
    is_digest = re.fullmatch(f"[0-9a-f]{{{SHORTEST_DIGEST},64}}", corpus.lower()) is not None
    if is_digest and (info.corpus_digest or "").startswith(corpus.lower()):
        return True
    paths = [Path(name) for name in info.corpus or ()]
    return any(corpus in (str(p), p.name, p.stem) or Path(corpus) == p for p in paths)


def filter_by_loss(infos: Sequence[RunInfo]) -> list[RunInfo]:
    """Return the runs with a best model and a validation loss, in the same order."""
    return [info for info in infos if info.best is not None and info.val_loss is not None]


def join_names(infos: Sequence[RunInfo], *, of_texts: bool = False) -> str:
    """Return the names of runs, or of their texts, for a message."""
    names = [corpus_text(i.corpus, i.num_files) if of_texts else i.run for i in infos]
    distinct = [printable(name) for name in dict.fromkeys(names)]
    more = f" and {len(distinct) - MOST_NAMED} more" if len(distinct) > MOST_NAMED else ""
    return ", ".join(distinct[:MOST_NAMED]) + more
