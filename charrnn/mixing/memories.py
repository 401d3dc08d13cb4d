"""The n-gram memory of another text, counted in the characters of a model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from charrnn.checkpoints.model import Model
from charrnn.core.config import MEMORY_ORDER
from charrnn.core.console import count_text
from charrnn.core.errors import InputError, printable
from charrnn.data.ids import known_ids
from charrnn.data.reading import Reading, Survey, conversion_notes
from charrnn.data.records import find_records
from charrnn.data.text_files import Codes, closed, find_files, read_codes
from charrnn.data.vocab import CharVocabulary, Ids, describe, id_dtype, turned_round
from charrnn.ngram.counts import Texts, records_of, runs_of
from charrnn.ngram.model import NgramModel, build

MOST_SHOWN = 5
"""Most characters that a note lists."""


def count_file(path: Path, model: Model) -> tuple[NgramModel, list[str]]:
    """Return the n-gram model of a file or folder, read as a model reads text; and notes.

    Characters that the model lacks are left out, and no n-gram reaches across one of them.

    Raises:
        InputError: It cannot be read, or has no character of the model.
    """
    reading, survey = model.reading(), Survey()
    files, notes = find_files([path], reading)
    ids, begins, unknown = read_known(model, reading, files, survey)
    if not len(ids) or (model.records and (ids == model.vocab.newline).all()):
        raise InputError(f"{printable(path)}: has no character that the model knows")
    notes += [f"{printable(path)}: {note}" for note in conversion_notes(survey, reading)]
    notes += [f"{printable(path)}: {left_out(unknown)}"] if len(unknown) else []
    texts = texts_for(model, ids, begins)
    return build(texts, model.vocab.size, MEMORY_ORDER), notes


def read_known(
    model: Model, reading: Reading, files: Sequence[Path], survey: Survey
) -> tuple[Ids, list[int], Codes]:
    """Return the ids of files as one text, where its pieces begin, and unknown code points.

    A piece ends where characters are unknown.
    """
    chunks = [
        chunk
        for i, path in enumerate(files)
        for chunk in closed(read_codes(path, reading, survey), adds_newline=i < len(files) - 1)
    ]
    codes = np.concatenate([np.zeros(0, np.uint8), *chunks])
    if not isinstance(model.vocab, CharVocabulary):
        return codes.astype(id_dtype(model.vocab.size)), [], codes[:0]
    places = np.flatnonzero(np.isin(codes, model.vocab.code_points))
    begins = np.flatnonzero(np.diff(places, prepend=-2) > 1)
    ids, unknown = known_ids(model.vocab, codes)
    return ids, begins.tolist(), unknown


def texts_for(model: Model, ids: Ids, begins: Sequence[int]) -> Texts:
    """Return a text as the memory of a model counts it: in its direction, or as records."""
    if model.records:
        assert model.vocab.newline is not None  # a model of lines has it
        records, _ = find_records(ids, model.vocab.newline)
        records = records.turned_round(len(ids)) if model.is_backward else records
        return records_of(model.turned(ids), records, model.vocab.newline)
    if model.is_backward:
        return runs_of(turned_round(ids), pieces=[len(ids) - begin for begin in begins[::-1]])
    return runs_of(ids, pieces=begins)


def left_out(unknown: Codes) -> str:
    """Return the note about characters that a model lacks, the most frequent ones first."""
    distinct, counts = np.unique(unknown, return_counts=True)
    common = distinct[np.argsort(-counts, kind="stable")][:MOST_SHOWN].tolist()
    shown = ", ".join(describe(chr(code)) for code in common)
    more = ", ..." if len(distinct) > MOST_SHOWN else ""
    are = "is" if len(unknown) == 1 else "are"
    number = count_text(len(unknown), "character")
    return f"{number} that the model lacks {are} left out: {shown}{more}"
