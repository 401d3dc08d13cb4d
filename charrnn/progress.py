"""Where a run stands, as plain numbers that a full checkpoint keeps beside its tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_type_hints

from charrnn.errors import CheckpointError, InputError, NewerFormatError, printable

T = TypeVar("T")

MOST_HALVINGS = 3
"""Times that a run goes back to its last good state with half the learning rate."""

SMALLEST = 1e-12
"""No number that is kept lies between 0 and this."""

STOP_REASONS = ("finished", "early_stop", "max_time")
"""How a run ends that nobody has cut short."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Counts that decide how training goes on."""

    step: int = 0
    """Optimiser updates, those left out included."""
    skipped: int = 0
    """Updates left out, their gradients not being finite."""
    skipped_in_a_row: int = 0
    halvings: int = 0
    """How often the learning rate was halved, because training had diverged."""
    loss_scale: float | None = None
    """Of the fp16 scaler; None without one."""
    scale_growth: int | None = None
    """Updates since the scale last changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """What time has shown so far; it decides how often things happen, not what is learned."""

    seconds: float = 0.0
    """Since the first step, over all sessions."""
    is_planned: bool = False
    eval_every: int | None = None
    save_every: int | None = None
    sample_every: int | None = None
    eval_chars: int | None = None
    num_timed: int = 0
    """Steps whose time was taken."""
    chars_timed: int = 0
    seconds_timed: float = 0.0
    scored_per_second: float | None = None
    """Speed of validation, in characters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """How a run has ended: the figures that `train` printed."""

    step: int
    epoch: float
    val_loss: float | None
    bits_per_char: float | None
    chars_per_second: float | None
    seconds: float
    stop_reason: str

    def __post_init__(self) -> None:
        if self.stop_reason not in STOP_REASONS:
            raise InputError("no reason that a run ends for")


def from_json(kind: type[T], values: object, what: str) -> T:
    """Rebuild a dataclass from what JSON gave back; what is missing has its default.

    Raises:
        CheckpointError: A value is of another kind, out of its range, or of no known name.
    """
    if not isinstance(values, Mapping):
        raise CheckpointError(f"its {what} is no JSON object")
    hints = get_type_hints(kind)
    known = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    for name, value in values.items():
        if name not in known:
            raise NewerFormatError(f"its {what} has {printable(name)[:40]!r}; update charrnn")
        if not _fits(value, hints[name]):
            raise CheckpointError(f"its {what} says {name} = {printable(value)[:40]}")
    try:
        return kind(**{name: _convert(value, hints[name]) for name, value in values.items()})
    except InputError as error:
        raise CheckpointError(f"its {what}: {error}") from None


def _kinds(hint: Any) -> tuple[Any, ...]:
    """Return the types that a hint allows; of a list only that it holds names."""
    return get_args(hint) if isinstance(hint, UnionType) else (hint,)


def _fits(value: object, hint: Any) -> bool:
    kinds = _kinds(hint)
    if value is None:
        return type(None) in kinds
    if isinstance(value, str):
        return "\0" not in value and bool({str, Path} & {*kinds})
    if isinstance(value, bool):
        return bool in kinds
    if isinstance(value, list):
        return list[str] in kinds and all(isinstance(each, str) for each in value)
    is_number = (type(value) is int and {int, float} & {*kinds}) or (
        type(value) is float and float in kinds
    )
    return bool(is_number) and (value == 0 or SMALLEST <= value < 2**63)  # type: ignore[operator]


def _convert(value: Any, hint: Any) -> Any:
    kinds = _kinds(hint)
    if Path in kinds and value is not None:
        return Path(value)
    return float(value) if float in kinds and type(value) is int else value
