"""Trained weights for a text with other characters: rows are mapped, new ones are made."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charrnn.checkpoint import Model
from charrnn.errors import InputError
from charrnn.vocab import ByteVocabulary, CharVocabulary, Vocabulary

PER_CHARACTER = ("embedding.weight", "decoder.weight", "decoder.bias")
"""Weights with a row for each character."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Initial:
    """Where a new run starts from instead of random weights."""

    weights: dict[str, NDArray[np.float32]]
    """As the model had them; those of PER_CHARACTER with a row for each character of the text."""
    is_new: NDArray[np.bool_]
    """Characters that the model did not know, (V,): their rows are still to be drawn."""
    new: str
    """Those characters."""
    dropped: str
    """Characters that the model knew and the text does not have."""
    parent: str
    """SHA-256 of the model's file, in hex."""


def transfer(model: Model, vocab: Vocabulary) -> Initial:
    """Return a model's weights, mapped to the characters of a text.

    Raises:
        InputError: One has bytes for characters, the other has not.
    """
    if isinstance(vocab, ByteVocabulary) != isinstance(model.vocab, ByteVocabulary):
        raise InputError(
            "--init-from: one of text and model is read as bytes, the other as characters; "
            "give or leave out --bytes"
        )
    ours, theirs = characters(vocab), characters(model.vocab)
    place = {character: i for i, character in enumerate(theirs)}
    is_new = np.array([character not in place for character in ours])
    rows = np.array([place.get(character, 0) for character in ours])
    weights = dict(model.weights)
    for name in PER_CHARACTER:
        weights[name] = weights[name][rows]
    return Initial(
        weights=weights,
        is_new=is_new,
        new="".join(c for c, is_first in zip(ours, is_new, strict=True) if is_first),
        dropped="".join(c for c in theirs if c not in set(ours)),
        parent=str(model.facts["sha256"]),
    )


def characters(vocab: Vocabulary) -> list[str]:
    """Return the characters of a vocabulary in the order of their ids; of bytes, as Latin-1."""
    if isinstance(vocab, CharVocabulary):
        return [vocab.decode([i]) for i in range(vocab.size)]
    return [chr(byte) for byte in range(256)]
