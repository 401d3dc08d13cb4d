"""The history of a run, read from its logs: curves, and previews of its text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charrnn.checkpoints.log import METRICS, SAMPLES, as_count, as_number, as_text, read_log
from charrnn.core.errors import InputError, printable
from charrnn.evaluation.protocols import COLD

ALONE_CURVE = "validation loss, network alone"

CURVES = {
    "training loss": ("step", "loss"),
    "validation loss": ("evaluated", "loss"),
    ALONE_CURVE: ("evaluated", "network_loss"),
    "learning rate": ("step", "lr"),
    "gradient norm": ("step", "grad_norm"),
}
"""Event and field of each curve, by name of the curve."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A text that the model wrote at a step; prompt and seed are the same at each step."""

    step: int
    text: str
    val_loss: float | None
    """Loss of the last validation up to that step."""


@dataclass(slots=True)
class History:
    """The history of one run. Steps that were repeated after a resume are there once."""

    name: str
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    previews: list[Preview] = field(default_factory=list)
    last: Mapping[str, Any] = field(default_factory=dict)
    """The `finished` event of the log; empty if there is none."""
    chars: list[int] = field(default_factory=list)
    """Number of held-out symbols that each validation read."""
    epoch: float | None = None
    """Passes over the text at the last step."""


def read_history(folder: Path) -> History:
    """Read the history of a run from its logs.

    Raises:
        InputError: The folder has no log.
    """
    if not (folder / METRICS).is_file():
        raise InputError(f"{printable(folder)}: not a run: there is no {METRICS} in it; name a run")
    history = History(folder.name, {name: [] for name in CURVES})
    for line in read_log(folder / METRICS):
        _take(history, line)
    validations = history.curves["validation loss"]
    previews = {}
    for line in read_log(folder / SAMPLES):
        step, text = as_count(line.get("step")), as_text(line.get("text"))
        if step is not None and text is not None:
            before = [loss for at, loss in validations if at <= step]
            previews[step] = Preview(step, text, before[-1] if before else None)
    newest = max((points[-1][0] for points in history.curves.values() if points), default=0)
    kept = [step for step in sorted(previews) if step <= newest]  # the run repeats later steps
    history.previews = [previews[step] for step in kept]
    return history


def _take(history: History, line: Mapping[str, Any]) -> None:
    """Add one event of a log; after a resume, drop points beyond the step that was loaded."""
    event, step = line.get("event"), as_count(line.get("step"))
    if step is None:
        return
    if event in ("started", "rolledback"):
        kept = as_count(line.get("good_step")) if event == "rolledback" else step
        history.last, history.epoch = {}, None
        for points in history.curves.values():
            points[:] = [point for point in points if point[0] <= (kept or 0)]
    if event == "finished":
        history.last = line
    if event in ("step", "finished"):
        history.epoch = as_number(line.get("epoch"))
    if event == "evaluated" and line.get("protocol") != COLD.name:
        history.chars.append(as_count(line.get("chars")) or 0)
    if line.get("is_final"):  # scores of the best model, no points of a curve
        return
    for name, (kind, key) in CURVES.items():
        value = as_number(line.get(key))
        if event == kind and value is not None:
            history.curves[name].append((step, value))
