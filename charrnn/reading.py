"""How the text of a model was read: so are texts that it is compared with."""

from typing import Any

from charrnn.checkpoint import Model
from charrnn.config import TrainConfig
from charrnn.errors import InputError
from charrnn.progress import from_json
from charrnn.textfiles import Reading
from charrnn.vocab import ByteVocabulary


def setting_of(model: Model, name: str) -> Any:
    """Return a setting that a model was trained with; the usual one where it does not say."""
    said = model.facts.get("config", {}).get("train")
    usual = getattr(TrainConfig(), name)
    value = said.get(name, usual) if isinstance(said, dict) else usual
    return value if type(value) is type(usual) else usual


def train_config(model: Model) -> TrainConfig:
    """Return all settings that a model was trained with.

    Raises:
        CheckpointError: They are not those of this charrnn.
        InputError: It does not say.
    """
    said = model.facts.get("config", {}).get("train")
    if not isinstance(said, dict):
        raise InputError("the model does not say how it was trained")
    return from_json(TrainConfig, said, "settings")


def reading_of(model: Model, encoding: str | None = None) -> Reading:
    """Return how files become a model's symbols, in its own encoding or another one.

    A record is a line, and a line does not end in a carriage return.
    """
    if isinstance(model.vocab, ByteVocabulary):
        return Reading(bytes=True)
    newlines = "lf" if model.records else setting_of(model, "newlines")
    return Reading(encoding=encoding or setting_of(model, "encoding"), newlines=newlines)
