"""The models that read a text from both sides."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from charrnn.checkpoints.metadata import read_metadata
from charrnn.checkpoints.model import Model, load_model
from charrnn.checkpoints.names import find_model, newest_note
from charrnn.checkpoints.partner import find_partner, name_of, no_partner
from charrnn.core.errors import InputError
from charrnn.infill.reader import Reader, readers
from charrnn.infill.two_way import TwoWay


@dataclass(frozen=True, eq=False, slots=True)
class Pair:
    """A forward model, and what reads in both directions."""

    path: Path
    """The checkpoint of the forward model; if there is none, of the model of both directions."""
    model: Model
    sides: tuple[Reader, Reader]
    """Forward and backward."""
    two_way: TwoWay | None
    """A network that predicts a symbol from both sides."""
    notes: Sequence[str]
    """Which models are used where the user named none."""


def find_pair(
    checkpoints: Path, name: str | None, backward: str | None, use: str, texts: Sequence[str],
    *, with_both: bool = False,
) -> Pair:  # fmt: skip
    """Return the models of a command.

    The backward model is the one named, or the newest run of that direction on the same text; else
    the n-grams of the forward model are turned round. A model of both directions that has no
    forward model beside it lends its n-grams.

    Args:
        checkpoints: Folder of all runs.
        name: The model as the user names it; the newest forward one without it.
        backward: The backward model as the user names it; or one of both directions.
        use: The command, for the message that a text was named as a model.
        texts: The texts that the command names.
        with_both: Also find the model of both directions: one of those named, or else the newest.

    Raises:
        CheckpointError: A model is damaged.
        InputError: There is no such model, or it does not fit.
    """
    named = find_model(checkpoints, name, use, texts, writes=True)
    path = find_partner(checkpoints, named, "forward")
    if path is None and not is_both(named):
        raise no_partner(named, "forward")
    path = path or named
    notes = [newest_note(path)] if name is None else []
    both = None
    if with_both:
        both, backward, both_notes = find_both(checkpoints, named, backward)
        notes += both_notes
    found = find_partner(checkpoints, path, "backward", backward)
    if found is not None and backward is None:
        notes.append(f"backward model {name_of(found)}")
    model = load_model(path)
    partner = fitting(found, model, path) if found else None
    two_way = TwoWay.of(fitting(both, model, path)) if both else None
    return Pair(path, model, readers(model, partner), two_way, notes)


def find_both(
    checkpoints: Path, named: Path, backward: str | None
) -> tuple[Path | None, str | None, list[str]]:
    """Return the model of both directions, what is left of --backward, and a note.

    It is a model that the user names, or the newest run of its kind on the same text.
    """
    if backward is not None and is_both(path := find_model(checkpoints, backward)):
        return path, None, []
    found = find_partner(checkpoints, named, "both")
    notes = [f"model of both directions {name_of(found)}"] if found not in (None, named) else []
    return found, backward, notes


def is_both(path: Path) -> bool:
    """Return whether a checkpoint is a model of both directions."""
    return read_metadata(path).direction == "both"


def fitting(path: Path, model: Model, beside: Path) -> Model:
    """Return a model that reads the same symbols as another one.

    Raises:
        CheckpointError: It is damaged.
        InputError: It has other characters.
    """
    found = load_model(path)
    if found.vocab.to_json() != model.vocab.to_json() or found.records != model.records:
        raise InputError(
            f"--backward: {name_of(path)}: has other characters than {name_of(beside)}"
        )
    return found
