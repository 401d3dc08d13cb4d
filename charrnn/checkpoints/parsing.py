"""Dataclasses from JSON objects: strict, or None where a value does not fit."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_type_hints

from charrnn.core.errors import CheckpointError, InputError, NewerFormatError, printable

T = TypeVar("T")

SMALLEST = 1e-12
"""Positive numbers below this are refused: they are damage, and overflow where they divide."""


def parse_dataclass(kind: type[T], values: object, what: str) -> T:
    """Build a dataclass from a JSON object; a missing value has its default.

    Raises:
        CheckpointError: A value has another type, is out of range, or has an unknown name.
    """
    if not isinstance(values, Mapping):
        raise CheckpointError(f"its {what} is not a JSON object")
    hints = get_type_hints(kind)
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    for name, value in values.items():
        if name not in known:
            raise NewerFormatError(
                f"its {what} has an unknown {printable(name)[:40]!r}; update charrnn"
            )
        if not _fits(value, hints[name]):
            raise CheckpointError(f"its {what}: {name} cannot be {printable(value)[:40]}")
    try:
        return kind(**{name: _convert(value, hints[name]) for name, value in values.items()})
    except InputError as error:
        raise CheckpointError(f"its {what}: {error}") from None


def parse_part(kind: type[T], values: object) -> T | None:
    """Build a dataclass from the values that it has fields for; None unless all of them fit."""
    if not isinstance(values, Mapping):
        return None
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    try:
        return parse_dataclass(kind, {n: v for n, v in values.items() if n in names}, "")
    except (CheckpointError, TypeError):  # TypeError: a value without default is missing
        return None


def _kinds(hint: Any) -> tuple[Any, ...]:
    """Return the types that a type hint allows."""
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
        return list[str] in kinds and all(isinstance(item, str) for item in value)
    is_number = (type(value) is int and {int, float} & {*kinds}) or (
        type(value) is float and float in kinds
    )
    return bool(is_number) and (value == 0 or SMALLEST <= value < 2**63)  # type: ignore[operator]


def _convert(value: Any, hint: Any) -> Any:
    kinds = _kinds(hint)
    if Path in kinds and value is not None:
        return Path(value)
    return float(value) if float in kinds and type(value) is int else value
