"""How the text of a model was read: so are texts that it is compared with."""

from pathlib import Path
from typing import Any

import numpy as np

from charrnn.checkpoint import Model
from charrnn.config import TrainConfig
from charrnn.corpus import Corpus, load_corpus
from charrnn.errors import InputError, printable
from charrnn.progress import from_json
from charrnn.textfiles import Codes, Reading, Survey, read_codes
from charrnn.vocab import ByteVocabulary, CharVocabulary, Ids, describe, id_dtype

MOST_SHOWN = 10
"""Unknown characters that an error lists."""


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


def read_ids(
    model: Model,
    path: Path,
    encoding: str | None = None,
    *,
    skips: bool = False,
    most: int | None = None,
) -> tuple[Ids, int]:
    """Return a file as a model's ids, and how many characters were left out of it.

    Args:
        model: Whose symbols.
        path: The file.
        encoding: Instead of that of the text it learned.
        skips: Leave out characters that the model never saw.
        most: Ids after which no more is read.

    Raises:
        InputError: The file cannot be read, or has such characters.
    """
    vocab, pieces, unknown, left = model.vocab, [], [], most
    for codes in read_codes(path, reading_of(model, encoding), Survey()):
        if isinstance(vocab, CharVocabulary):
            codes, missing = known_ids(vocab, first_known(vocab, codes, left))
            unknown.append(missing)
        pieces.append(codes[:left].astype(id_dtype(vocab.size)))
        left = left if left is None else left - len(pieces[-1])
        if left == 0:
            break
    num_unknown = sum(map(len, unknown))
    if num_unknown and not skips:
        assert isinstance(vocab, CharVocabulary)  # no byte is unknown
        raise unknown_characters(path, vocab, np.concatenate(unknown))
    return np.concatenate(pieces) if pieces else np.zeros(0, np.uint8), num_unknown


def first_known(vocab: CharVocabulary, codes: Codes, most: int | None) -> Codes:
    """Return code points up to the one that is the last of so many which a model knows."""
    if most is None:
        return codes
    counts = np.cumsum(np.isin(codes, vocab.code_points))
    return codes[: int(np.searchsorted(counts, most)) + 1]


def known_ids(vocab: CharVocabulary, codes: Codes) -> tuple[Ids, Codes]:
    """Return the ids of the code points that a model knows, and the code points it does not."""
    places = np.minimum(np.searchsorted(vocab.code_points, codes), vocab.size - 1)
    is_known = vocab.code_points[places] == codes
    return places[is_known].astype(id_dtype(vocab.size)), codes[~is_known]


def unknown_characters(path: Path, vocab: CharVocabulary, codes: Any) -> InputError:
    """Return the error about characters that a model never saw."""
    distinct, counts = np.unique(codes, return_counts=True)
    common = distinct[np.argsort(-counts, kind="stable")][:MOST_SHOWN].tolist()
    shown = ", ".join(describe(chr(code)) for code in common)
    more = ", ..." if len(distinct) > MOST_SHOWN else ""
    return InputError(
        f"{printable(path)}: {int(counts.sum()):,} characters are not among the {vocab.size} that "
        f"this model has seen: {shown}{more}; leave them out with --unknown skip"
    )


def held_out_corpus(model: Model, paths: list[Path]) -> Corpus:
    """Return the texts that a model's run has learned, read as it did.

    Raises:
        InputError: They are not those, or nothing of them was held out.
    """
    corpus = load_corpus(paths, train_config(model))
    if not has_learned(model, corpus):
        raise InputError(
            "--held-out: these are not the files that the model learned, or they have changed; "
            "leave it out to read all of them"
        )
    if not len(corpus.val):
        raise InputError("--held-out: the model's run held nothing out")
    return corpus


def has_learned(model: Model, corpus: Corpus) -> bool:
    """Say whether a model's run was on these very texts, read in the same way."""
    said = model.facts.get("corpus")
    return isinstance(said, dict) and said.get("digest") == corpus.digest
