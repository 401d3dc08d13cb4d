"""Settings <-> flat TOML."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charrnn.config import check_keys
from charrnn.errors import InputError, printable, reason_of


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings of a --config file, as TOML gives them.

    Raises:
        InputError: It cannot be read, is no TOML, or has a setting that does not exist.
    """
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"--config: {printable(path)}: {reason_of(error)}") from None
    except (ValueError, RecursionError) as error:  # too many digits or brackets, among others
        raise InputError(f"--config: {printable(path)}: no TOML: {printable(error)}") from None
    check_keys(settings, f"--config: {printable(path)}")
    return settings


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
