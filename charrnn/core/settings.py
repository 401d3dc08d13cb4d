"""Merge settings from flags, environment, TOML file and preset; read and write TOML."""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from charrnn.core.config import TrainConfig
from charrnn.core.errors import InputError, printable, reason_of

SIZE_FIELDS = ("hidden_size", "num_layers", "embedding_size")

LARGEST = 1 << 20
"""Largest file of settings, in bytes."""


def resolve(
    flags: Mapping[str, Any],
    environment: Mapping[str, Any],
    file: Mapping[str, Any],
    preset: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, str]]:
    """Merge the sources of settings: flag over environment over file over preset over default.

    --size as a flag or in the environment also overrides the sizes in the file.

    Returns:
        Values by field of TrainConfig, and origins by field: "flag", "environment", "file",
        "preset" or "default".
    """
    if "size" in flags or "size" in environment:
        file = {name: value for name, value in file.items() if name not in SIZE_FIELDS}
    values: dict[str, Any] = {each.name: each.default for each in fields(TrainConfig)}
    origins = dict.fromkeys(values, "default")
    layers = {"preset": preset, "file": file, "environment": environment, "flag": flags}
    for origin, layer in layers.items():
        if "steps" in layer or "epochs" in layer:  # the stronger source decides both
            values["steps"] = values["epochs"] = None
            origins["steps"] = origins["epochs"] = origin
        for name, value in layer.items():
            values[name], origins[name] = value, origin
    return values, origins


def check_keys(names: Mapping[str, Any], where: str) -> None:
    """Check that all settings exist.

    Raises:
        InputError: A key is not a field of TrainConfig; the message names the closest one.
    """
    known = [each.name for each in fields(TrainConfig)]
    for name in names:
        if name not in known:
            import difflib  # slow to import

            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InputError(f"{where}: unknown setting {name!r}{hint}")


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings in a --config file, with TOML's types.

    Raises:
        InputError: It cannot be read, is not TOML, or contains an unknown setting.
    """
    import tomllib  # slow to import

    data = read_small_file(path, "--config", LARGEST)
    try:
        settings = tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # too many digits or brackets, among others
        raise InputError(f"--config: {printable(path)}: not TOML: {printable(error)}") from None
    check_keys(settings, f"--config: {printable(path)}")
    return settings


def read_small_file(path: Path, option: str, most: int) -> bytes:
    """Return the content of a file, or named pipe, that an option names.

    Raises:
        InputError: It cannot be read, or has more than `most` bytes.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        raise InputError(f"{option}: {printable(path)}: {reason}") from None
    if len(data) > most:
        raise InputError(f"{option}: {printable(path)}: has more than {most:,} bytes")
    return data


def to_toml(settings: Mapping[str, Any], origins: Mapping[str, str] | None = None) -> str:
    """Return settings as TOML, one a line, without those that are None.

    Args:
        settings: Values by name.
        origins: Origin of each, written as a comment.
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
    text = str(value).encode("utf-8", "replace").decode("utf-8")  # TOML forbids lone surrogates
    # A JSON string is a TOML string, except that TOML requires DEL to be escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
