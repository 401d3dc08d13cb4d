"""The fields of a JSON object from a client: each is checked when it is taken."""

import difflib
import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from charrnn.core.config import MOST_BIAS, are_biases
from charrnn.core.errors import printable

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "suffix": ("",),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
}
"""Settings of the API that a model here does not have, and the values that leave them out."""

IGNORED = {"user"}


class RequestError(Exception):
    """A request that is refused: status, message, and the field that is wrong."""

    def __init__(
        self, status: int, message: str, field: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.field, self.code = status, message, field, code


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body.

    Raises:
        RequestError: It is no JSON object, or has numbers or strings that are none.
    """

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no number of JSON")

    try:
        found = json.loads(body.decode("utf-8"), parse_constant=refuse)
    except RecursionError:
        raise RequestError(400, "the body is nested too deeply") from None
    except ValueError as error:
        raise RequestError(400, f"the body is not JSON in UTF-8: {printable(error)}") from None
    if not isinstance(found, dict):
        raise RequestError(400, "the body must be a JSON object")
    return found


class Fields:
    """The fields of an object, taken one by one.

    Args:
        values: Values by name; null is a field that is not given.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: value for name, value in values.items() if value is not None}
        self._taken: list[str] = []

    def take(self, name: str, check: Callable[[Any, str], Any], default: Any) -> Any:
        """Return a field after its check, or a default if it is not given."""
        self._taken.append(name)
        return check(self._values[name], name) if name in self._values else default

    def check_others(self) -> None:
        """Refuse fields that were not taken.

        Raises:
            RequestError: There is one that has a meaning.
        """
        for name, values in NEUTRAL.items():
            if self.take(name, lambda value, _: value, values[0]) not in values:
                raise RequestError(400, f"{name}: this server does not support it", name)
        for name in self._values.keys() - IGNORED - set(self._taken):
            near = difflib.get_close_matches(name, self._taken, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            shown = printable(name)[:80]
            raise RequestError(400, f"unknown field {shown!r}{hint}", shown)


def wrong(name: str, what: str, value: Any) -> RequestError:
    """Return the error that a field must be something else."""
    return RequestError(400, f"{name}: must be {what}, got {printable(repr(value))[:80]}", name)


def integer(value: Any, name: str) -> int:
    """Return a whole number."""
    if type(value) is not int or abs(value) >= 1 << 63:
        raise wrong(name, "a whole number of at most 63 bits", value)
    return value


def number(value: Any, name: str) -> float:
    """Return a finite number."""
    if type(value) not in (int, float) or not abs(value) < 1e300:
        raise wrong(name, "a number", value)
    return float(value)


def flag(value: Any, name: str) -> bool:
    """Return true or false."""
    if type(value) is not bool:
        raise wrong(name, "true or false", value)
    return value


def mapping(value: Any, name: str) -> dict[str, Any]:
    """Return an object."""
    if type(value) is not dict:
        raise wrong(name, "an object", value)
    return value


def text(value: Any, name: str) -> str:
    """Return a string of Unicode characters."""
    if type(value) is not str:
        raise wrong(name, "a string", value)
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise RequestError(
            400, f"{name}: has half of a surrogate pair, which is no character", name
        )
    return value


def biases(value: Any, name: str) -> tuple[tuple[str, float], ...]:
    """Return pairs of a character and what is added to its logit."""
    pairs = mapping(value, name).items()
    if not all(len(character) == 1 for character, _ in pairs):
        raise RequestError(400, f"{name}: its names must be single characters", name)
    found = tuple((text(character, name), number(bias, name)) for character, bias in pairs)
    if not are_biases(found):
        raise wrong(name, f"numbers from -{MOST_BIAS} to {MOST_BIAS}", value)
    return found


CHECKS: dict[Any, Callable[[Any, str], Any]] = {
    int: integer, float: number, str: text, tuple[tuple[str, float], ...]: biases
}  # fmt: skip
"""Checks of settings, by their type."""


def texts(value: Any, name: str, most: int) -> tuple[str, ...]:
    """Return one string or a list of strings."""
    found = value if type(value) is list else [value]
    if not 1 <= len(found) <= most:
        raise RequestError(400, f"{name}: must be 1 to {most} strings, got {len(found)}", name)
    return tuple(text(each, name) for each in found)


def check_range(what: str, value: int, low: int, high: int, field: str | None = None) -> None:
    """Refuse a number outside of a range."""
    if not low <= value <= high:
        message = f"{what}: must be from {low:,} to {high:,}, got {value:,}"
        raise RequestError(400, message, field or what)
