"""`charrnn info`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from charrnn.cli.completion import complete_models
from charrnn.cli.options import Common, GroupedCommand, by_source, common, config_options
from charrnn.core.config import TrainConfig

READING = (
    "bytes",
    "encoding",
    "errors",
    "newlines",
    "normalize",
    "lines",
    "column",
    "val_frac",
    "val_pieces",
    "max_time",
)
"""Settings of `info` for a text: how it is read, and the time budget."""


@click.command(cls=GroupedCommand)
@click.argument("path", required=False, shell_complete=complete_models)
@config_options(TrainConfig, group="For a text", only=READING)
@common
@click.pass_context
def info(ctx: click.Context, /, path: str | None, common: Common, **settings: Any) -> None:
    """Describe a text before training, or a checkpoint.

    PATH is a text, a folder of texts, a checkpoint file, or the name or folder of a run, which
    stands for its best model; the default is the newest model of all runs.

    For a text: encoding, characters, split, loss of an n-gram model alone, the network that train
    would choose, and its speed on this machine. For a checkpoint: network, characters, text,
    settings, losses and digests. Two full checkpoints with the same state digest continue
    identically, bit for bit.
    """
    from charrnn.checkpoints.checkpoint_info import format_checkpoint, inspect
    from charrnn.checkpoints.names import find_model, is_text
    from charrnn.core.output import print_result
    from charrnn.core.stdin import is_pipe, spooled, spooled_names

    checkpoints = common.checkpoints
    if path is not None and (
        is_pipe(path) or is_text(checkpoints, path, has_any_bytes=bool(settings["bytes"]))
    ):
        flags, environment = by_source(ctx, settings)
        with spooled((path,), checkpoints) as paths:
            names = spooled_names((path,), paths)
            survey_text(paths[0], names, flags, environment, common)
        return
    found = inspect(find_model(checkpoints, path, "charrnn info {model}"))
    as_text = json.dumps(found.as_json()) if common.as_json else "\n".join(format_checkpoint(found))
    print_result(as_text)


def survey_text(
    path: Path, names: Mapping[Path, str], flags: dict[str, Any], environment: dict[str, Any],
    common: Common,
) -> None:  # fmt: skip
    """Print what is found out about a text, each line as soon as it is known."""
    from charrnn.core.output import print_result
    from charrnn.launch.prepare import SettingSources
    from charrnn.launch.text_info import survey

    values: dict[str, Any] = {}
    findings = survey([path], SettingSources(flags, environment, {}), names)
    while True:
        with common.console.waiting("looking at the text"):
            finding = next(findings, None)
        if finding is None:
            break
        values |= finding.values
        if not common.as_json:
            print_result(f"{finding.name:<16} {finding.text}")
    if common.as_json:
        print_result(json.dumps(values))
