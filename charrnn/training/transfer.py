"""Initial weights from another model, mapped to a new vocabulary."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.checkpoints.model import Model
from charrnn.core.config import TrainConfig
from charrnn.core.console import count_text
from charrnn.core.errors import InputError, printable
from charrnn.data.corpus import Corpus
from charrnn.data.vocab import ByteVocabulary, CharVocabulary, Vocabulary

MOST_SHOWN = 40
"""Most characters that a note lists."""

PER_CHARACTER = ("embedding.weight", "decoder.weight", "decoder.bias")
"""Last parts of the names of tensors with one row per character."""


def architecture(model: Model, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that the weights of a model determine.

    Raises:
        InputError: Other values are given.
    """
    settings = {each.name for each in fields(TrainConfig)}
    fixed = {n: value for n, value in asdict(model.config).items() if n in settings}
    fixed["direction"] = model.setting("direction")
    for name, value in fixed.items():
        if given.get(name, value) != value:
            raise InputError(
                f"--init-from: the model has {name} {value}, not {printable(given[name])}; "
                f"leave out --{name.replace('_', '-')}"
            )
    return fixed | ({"bytes": True} if isinstance(model.vocab, ByteVocabulary) else {})


@dataclass(frozen=True, kw_only=True, slots=True)
class Initial:
    """Initial weights of a run that starts from another model."""

    weights: dict[str, NDArray[np.float32]]
    """Weights of the model; those of PER_CHARACTER have one row per character of the text."""
    is_new: NDArray[np.bool_]
    """Whether the model lacks a character, (V,); such rows keep their random values."""
    new: str
    """Characters that the model lacks."""
    dropped: str
    """Characters of the model that the text lacks."""
    parent: str
    """SHA-256 of the model's file, in hex."""


def transfer_notes(init: Initial, corpus: Corpus) -> list[str]:
    """Return notes on known, new and dropped characters."""
    known = corpus.vocab.size - len(init.new)
    notes = [f"trained weights know {known} of the {corpus.vocab.size} characters of this text"]
    for characters, what in (
        (init.new, "that the model does not know"),
        (init.dropped, "of the model that are not in this text, removed"),
    ):
        if count := len(characters):
            more = f" and {count - MOST_SHOWN:,} more" * (count > MOST_SHOWN)
            shown = " ".join(
                repr(c) if c == " " else repr(c)[1:-1] for c in characters[:MOST_SHOWN]
            )
            notes.append(f"{count_text(count, 'character')} {what}: {shown}{more}")
    return notes


def held_out_notes(model: Model, corpus: Corpus, config: TrainConfig) -> list[str]:
    """Return a note if the weights of a model may have learned what this run holds out."""
    if not corpus.num_val or not may_have_learned(model, corpus, config):
        return []
    other = "since their run held out another part: the loss may look better than it is"
    return [f"the trained weights may have learned some of the held-out text, {other}"]


def may_have_learned(model: Model, corpus: Corpus, config: TrainConfig) -> bool:
    """True if the run of a model held out less, or by another rule, of what may be the same text."""
    known, is_drawn = model.metadata.corpus, config.lines and config.corpus_rule == 1
    has_same_seed = model.setting("seed") == config.seed
    if known is None or (model.has_learned(corpus) and (has_same_seed or not is_drawn)):
        return False
    if not config.lines or not model.records:  # only the name shows that it is the same text
        names = {Path(name).name for name in known.files}
        return bool(names & {Path(name).name for name in corpus.files})
    frac, rule = model.setting("val_frac"), model.setting("corpus_rule")
    have_files = bool(config.val_file or model.metadata.settings.get("val_file"))
    return have_files or rule == 1 or rule != config.corpus_rule or frac < config.val_frac


def transfer(model: Model, vocab: Vocabulary) -> Initial:
    """Return the weights of a model, mapped to the characters of a text.

    Raises:
        InputError: Only one of the two is read as bytes.
    """
    if isinstance(vocab, ByteVocabulary) != isinstance(model.vocab, ByteVocabulary):
        raise InputError(
            "--init-from: of text and model, one is read as bytes, the other as characters; "
            "add or leave out --bytes"
        )
    ours, theirs = characters(vocab), characters(model.vocab)
    index = {character: i for i, character in enumerate(theirs)}
    is_new = np.array([character not in index for character in ours])
    rows = np.array([index.get(character, 0) for character in ours])
    weights = dict(model.weights)
    for name in weights:
        if name.endswith(PER_CHARACTER):
            weights[name] = weights[name][rows]
    return Initial(
        weights=weights,
        is_new=is_new,
        new="".join(c for c, is_first in zip(ours, is_new, strict=True) if is_first),
        dropped="".join(c for c in theirs if c not in set(ours)),
        parent=str(model.metadata.sha256),
    )


def characters(vocab: Vocabulary) -> list[str]:
    """Return the characters of a vocabulary in the order of their ids; bytes as Latin-1."""
    if isinstance(vocab, CharVocabulary):
        return [vocab.decode([i]) for i in range(vocab.size)]
    return [chr(byte) for byte in range(256)]
