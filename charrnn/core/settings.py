"""Merge settings from flags, environment, TOML file and preset; read and write TOML."""

import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from charrnn.core.config import TrainConfig
from charrnn.core.errors import InputError, printable, reason_of

SIZE_FIELDS = ("hidden_size", "num_layers", "embedding_size")

LARGEST = 1 << 20
"""Bytes of a file of settings."""


def resolve(
    flags: Mapping[str, Any],
    environment: Mapping[str, Any],
    file: Mapping[str, Any],
    preset: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, str]]:
    """Merge the sources of a run's settings: flag over environment over file over preset.

    A size named by flag or environment also beats the sizes that a file gives.

    Returns:
        Value by field of TrainConfig, and by field where it came from: "flag",
        "environment", "file", "preset" or "default".
    """
    if "size" in flags or "size" in environment:
        file = {name: value for name, value in file.items() if name not in SIZE_FIELDS}
    values: dict[str, Any] = {each.name: each.default for each in fields(TrainConfig)}
    origins = dict.fromkeys(values, "default")
    layers = {"preset": preset, "file": file, "environment": environment, "flag": flags}
    for origin, layer in layers.items():
        if "steps" in layer or "epochs" in layer:  # two words for one thing: the stronger one says
            values["steps"] = values["epochs"] = None
            origins["steps"] = origins["epochs"] = origin
        for name, value in layer.items():
            values[name], origins[name] = value, origin
    return values, origins


def check_keys(names: Mapping[str, Any], where: str) -> None:
    """Refuse settings that do not exist.

    Raises:
        InputError: A key is no field of TrainConfig; the nearest one is named.
    """
    known = [each.name for each in fields(TrainConfig)]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InputError(f"{where}: unknown setting {name!r}{hint}")


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings of a --config file, as TOML gives them.

    Raises:
        InputError: It cannot be read, is no TOML, or has a setting that does not exist.
    """
    data = read_small_file(path, "--config", LARGEST)
    try:
        settings = tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # too many digits or brackets, among others
        raise InputError(f"--config: {printable(path)}: no TOML: {printable(error)}") from None
    check_keys(settings, f"--config: {printable(path)}")
    return settings


def read_small_file(path: Path, option: str, most: int) -> bytes:
    """Return what is in a file that an option names, or comes through a pipe of that name.

    Raises:
        InputError: It cannot be read, or has more than `most` bytes.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:  # the latter for a name with a NUL
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        raise InputError(f"{option}: {printable(path)}: {reason}") from None
    if len(data) > most:
        raise InputError(f"{option}: {printable(path)}: has more than {most:,} bytes")
    return data


def to_toml(settings: Mapping[str, Any], origins: Mapping[str, str] | None = None) -> str:
    """Return settings as TOML, a line each; None is left out, since TOML has no word for it.

    Args:
        settings: Values by name.
        origins: Where each came from, put behind it as a comment.
    """
    lines = []
    for name, value in settings.items():
        if value is not None:
            comment = f"  # {origins[name]}" if origins else ""
            lines.append(f"{name} = {_literal(value)}{comment}\n")
    return "".join(lines)


def _literal(value: object) -> str:
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    text = str(value).encode("utf-8", "replace").decode("utf-8")  # TOML holds no lone surrogates
    # A JSON string is a TOML string, but for DEL, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
