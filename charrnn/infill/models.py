"""The models that read a text from both sides."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from charrnn.checkpoints.model import Model, load_model
from charrnn.checkpoints.names import find_model, newest_note
from charrnn.checkpoints.partner import find_partner, name_of, no_partner
from charrnn.core.errors import InputError
from charrnn.infill.reader import Reader, readers


@dataclass(frozen=True, eq=False, slots=True)
class Pair:
    """A forward model, and what reads in both directions."""

    path: Path
    """The checkpoint of the forward model."""
    model: Model
    sides: tuple[Reader, Reader]
    """Forward and backward."""
    notes: Sequence[str]
    """Which models are used where the user named none."""


def find_pair(
    checkpoints: Path, name: str | None, backward: str | None, use: str, texts: Sequence[str]
) -> Pair:
    """Return the models of a command.

    The backward model is the one named, or the newest run of that direction on the same text; else
    the n-grams of the forward model are turned round.

    Args:
        checkpoints: Folder of all runs.
        name: The model as the user names it; the newest without it.
        backward: The backward model as the user names it.
        use: The command, for the message that a text was named as a model.
        texts: The texts that the command names.

    Raises:
        CheckpointError: A model is damaged.
        InputError: There is no such model, or it does not fit.
    """
    named = find_model(checkpoints, name, use, texts)
    path = find_partner(checkpoints, named, "forward")
    if path is None:
        raise no_partner(named, "forward")
    notes = [newest_note(path)] if name is None else []
    model = load_model(path)
    found = find_partner(checkpoints, path, "backward", backward)
    partner = load_model(found) if found is not None else None
    if found is not None and partner is not None:
        if partner.vocab.to_json() != model.vocab.to_json() or partner.records != model.records:
            raise InputError(
                f"--backward: {name_of(found)}: has other characters than {name_of(path)}"
            )
        notes += [f"backward model {name_of(found)}"] * (backward is None)
    return Pair(path, model, readers(model, partner), notes)
