"""Types of options: numbers, paths, durations, lists; what each accepts, and its error."""

import re
from pathlib import Path
from typing import Any

import click

from charrnn.core.errors import printable
from charrnn.core.files import expanded


class Integer(click.ParamType[int]):
    """An integer in ASCII digits, without underscores."""

    name = "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number; a bad value is a usage error."""
        if not re.fullmatch(r"[+-]?[0-9]{1,19}", str(value)):
            self.fail(f"{printable(value)!r} is not a whole number", param, ctx)
        return int(value)


class Number(click.ParamType[float]):
    """A finite decimal number in ASCII digits."""

    name = "F"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number; a bad value is a usage error."""
        if re.fullmatch(r"[+-]?[0-9]+,[0-9]+", str(value)):
            point = value.replace(",", ".")
            self.fail(f"write a point, {point}: {value!r} is not a finite number", param, ctx)
        plain = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?"
        if type(value) not in (int, float) and not re.fullmatch(plain, str(value)):
            self.fail(f"{printable(value)!r} is not a finite number", param, ctx)
        number = float(str(value))  # float() of a very long number is inf
        if number - number != 0:  # inf and nan are not finite
            self.fail(f"{printable(value)!r} is not a finite number", param, ctx)
        return number


class FilePath(click.Path):
    """A path; ~ at its beginning is the home folder (not every shell expands it in --option=~)."""

    def __init__(self, *, allow_dash: bool = False) -> None:
        super().__init__(path_type=Path, allow_dash=allow_dash)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; an empty one is a usage error, and not the working folder."""
        if value == "":
            self.fail("the name is empty", param, ctx)
        return super().convert(expanded(value) if isinstance(value, str) else value, param, ctx)


class MemoryOrder(Integer):
    """The longest context of the n-gram memory; "off" is 0."""

    name = "off|N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number; a bad value is a usage error."""
        return 0 if value == "off" else super().convert(value, param, ctx)


class Duration(click.ParamType[float]):
    """A duration in seconds, written as 90s, 5m or 1h30m."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds; a bad value is a usage error."""
        if type(value) in (int, float):
            return Number().convert(value, param, ctx)
        match = re.fullmatch(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?", str(value), re.ASCII)
        if not match or not value:
            self.fail(f"{printable(value)!r} is not a time such as 90s, 5m or 1h30m", param, ctx)
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return float(hours * 3600 + minutes * 60 + seconds)


class FloatList(click.ParamType[tuple[float, ...]]):
    """One or more numbers, separated by commas."""

    name = "F[,F]..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Return the numbers; a bad value is a usage error."""
        parts = str(value).split(",")
        if re.fullmatch(r"[0-9]+,([03-9][0-9]*|[0-9]{2,})", str(value)) and parts[1] != "0":
            self.fail(
                f"{value!r} is two numbers, {parts[0]} and {parts[1]}; for a fraction write a point: "
                f"{'.'.join(parts)}, for two numbers {parts[0]}.0,{parts[1]}.0",
                param,
                ctx,
            )
        return tuple(Number().convert(part.strip(" "), param, ctx) for part in parts)


class CharacterBias(click.ParamType[tuple[str, float]]):
    """Characters and a number: CHARS=F. The last = separates them, so that = can be a character."""

    name = "CHARS=F"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        """Return characters and number; a bad value is a usage error."""
        characters, sign, number = str(value).rpartition("=")
        if not sign or not characters:
            self.fail(f"{printable(value)!r} is not CHARS=F, such as aeiou=-2", param, ctx)
        return characters, Number().convert(number, param, ctx)


KINDS: dict[str, click.ParamType[Any]] = {
    "time": Duration(),
    "order": MemoryOrder(),
    "list": FloatList(),
    "bias": CharacterBias(),
}
