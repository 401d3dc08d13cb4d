"""Settings from flags, environment, file and preset -> one of each, and where it came from."""

import difflib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from charrnn.config import TrainConfig
from charrnn.errors import InputError

SIZE_FIELDS = ("hidden_size", "num_layers", "embedding_size")


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
