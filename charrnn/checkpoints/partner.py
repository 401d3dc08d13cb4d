"""The model of the other direction: a backward one on the text of a forward one, or the reverse."""

import shlex
from pathlib import Path

from charrnn.checkpoints.metadata import Metadata, read_metadata
from charrnn.checkpoints.names import best_models, find_model
from charrnn.checkpoints.run_folder import BEST, CONFIG
from charrnn.core.errors import CheckpointError, InputError, printable

MOST_NAMED = 3
"""Files that a command names."""


def find_partner(
    checkpoints: Path, model: Path, direction: str, named: str | None = None
) -> Path | None:
    """Return the checkpoint of a model that reads the text of another model in a direction.

    It is `named`; else the model itself if it has the direction; else the newest run of that
    direction on the same text, split and characters; else None.

    Args:
        checkpoints: Folder of all runs.
        model: A checkpoint file.
        direction: forward, backward or both.
        named: Run or file, as the user names it.

    Raises:
        CheckpointError: The model, or the one named, is damaged.
        InputError: There is no such model as the one named, or it has another direction.
    """
    if named is not None:
        return named_model(checkpoints, direction, named)
    known = read_metadata(model)
    if known.direction == direction:
        return model
    for path in reversed(best_models(checkpoints)):
        try:
            other = read_metadata(path)
        except (CheckpointError, InputError):
            continue  # another run is not asked for by name
        if other.direction == direction and are_on_one_text(known, other):
            return path
    return None


def named_model(checkpoints: Path, direction: str, name: str) -> Path:
    """Return the checkpoint of a model that must have a direction.

    Raises:
        CheckpointError: It is damaged.
        InputError: There is no such model, or it has another direction.
    """
    path = find_model(checkpoints, name, f"--{direction} {{model}}", directions=(direction,))
    found = read_metadata(path).direction
    if found != direction:
        what = "model of both directions" if found == "both" else f"{found} model"
        raise InputError(f"--{direction}: {printable(name)}: is a {what}")
    return path


def are_on_one_text(first: Metadata, second: Metadata) -> bool:
    """Return whether two models have the same text, split and characters."""
    digests = [each.corpus.digest if each.corpus else None for each in (first, second)]
    characters = [each.raw.get("vocabulary") for each in (first, second)]
    return digests[0] == digests[1] is not None and characters[0] == characters[1]


def no_partner(model: Path, direction: str) -> InputError:
    """Return the error that a text has no model of a direction, with the command that trains one."""
    corpus, config = read_metadata(model).corpus, model.with_name(CONFIG)
    files = corpus.files if corpus and corpus.num_files <= MOST_NAMED else ["FILE..."]
    words = ["charrnn", "train", *files, "--direction", direction]
    words += ["--config", str(config)] if config.is_file() else []
    return InputError(
        f"there is no {direction} model of the text of {name_of(model)}; train one: "
        f"{printable(shlex.join(words))}"
    )


def name_of(model: Path) -> str:
    """Return the name of a run, or of a checkpoint file, for messages."""
    return printable(model.parent.name if model.name == BEST else model)
