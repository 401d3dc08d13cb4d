"""JSON that anybody may have written: lines, and values of the kind that is asked for or None."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

LARGEST = 2**63


def objects(lines: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
    """Yield the lines that are JSON objects with something in them; others are passed over."""
    for line in lines:
        with suppress(ValueError, RecursionError):
            if found := as_mapping(json.loads(line, parse_constant=lambda _: None)):
                yield found


def as_number(value: object) -> float | None:
    """Return a number of a sane size."""
    if type(value) is int:
        return as_count(value)
    is_number = isinstance(value, float) and math.isfinite(value) and abs(value) < LARGEST
    return value if is_number and isinstance(value, float) else None


def as_count(value: object) -> int | None:
    """Return a whole number from 0 up."""
    return value if isinstance(value, int) and type(value) is int and 0 <= value < LARGEST else None


def as_text(value: object) -> str | None:
    """Return a text."""
    return value if isinstance(value, str) else None


def as_texts(value: object) -> tuple[str, ...]:
    """Return a list of texts; an empty one instead of anything else."""
    are_texts = isinstance(value, list) and all(isinstance(each, str) for each in value)
    return tuple(value) if isinstance(value, list) and are_texts else ()


def as_mapping(value: object) -> Mapping[str, Any]:
    """Return an object; an empty one instead of anything else."""
    return value if isinstance(value, Mapping) else {}
