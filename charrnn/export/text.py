"""What a text gives to a page: itself, to find passages in, and names for units that respond to it."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.checkpoints.model import Model
from charrnn.core.errors import InputError
from charrnn.data.vocab import CharVocabulary
from charrnn.export.page import text_of
from charrnn.sampling.corpus.source import Source, string_of
from charrnn.viz.activations import activations_of, kind_of, states_in_pieces
from charrnn.viz.unit_search import UnitMatch, search_units, untrained_activations
from charrnn.viz.view import View

Codes = NDArray[np.uint32]

MOST_CHARACTERS = 20_000_000
"""Characters of a text that a page may have."""

LEAST_KNOWN = 0.5
"""Share of the characters of a text that the model has seen, below which a note is due."""

SEARCHED = 5_000
"""Symbols at the end of the text, which training holds out, that units are chosen by."""

MOST_UNITS = 6
"""Units that get a name."""

LEAST_SCORE = {"AUC": 0.8, "|r|": 0.5}
"""What a reader sees: the score that a unit needs by each measure, besides that it is better than
those of untrained networks."""

RETURN, NEWLINE = 13, 10


@dataclass(frozen=True, slots=True)
class PageText:
    """The fields of a page that come from a text, and notes about its files."""

    fields: dict[str, Any]
    notes: Sequence[str]


def page_text(paths: Sequence[Path], model: Model) -> PageText:
    """Return what a page of a model has from files and folders.

    Raises:
        InputError: They are empty, too long, or cannot be read.
    """
    try:
        source = Source([*paths], model.reading())
        pieces = read_codes(source)
    except InputError as error:
        raise InputError(f"--with-text: {error}") from None
    shown = [as_shown(piece, model) for piece in pieces]
    starts = np.cumsum([0, *map(len, shown[:-1])]).tolist()
    files = [[path.name, start] for path, start in zip(source.files, starts, strict=True)]
    passages = {"files": files, "data": text_of(packed_text(np.concatenate(shown)))}
    codes = np.concatenate(pieces)
    return PageText(
        {"passages": passages, "units": named_units(model, codes)},
        [*source.notes, *note_of_unknown(codes, model)],
    )


def note_of_unknown(codes: Codes, model: Model) -> Iterator[str]:
    """Yield a note about a text in other characters than those of the model."""
    known = model.vocab.code_points if isinstance(model.vocab, CharVocabulary) else codes
    share = np.isin(codes, known).mean()
    if share < LEAST_KNOWN:
        yield f"--with-text: the model can write only {share:.0%} of the characters of this text"


def read_codes(source: Source) -> list[Codes]:
    """Return the code points of each file as the model reads them; bytes of a byte model.

    Raises:
        InputError: They are too many, or cannot be read.
    """
    pieces, left = [], MOST_CHARACTERS
    for number in range(len(source.files)):
        chunks = [np.zeros(0, np.uint32)]
        for chunk in source.chunks_of(number):
            left -= len(chunk)
            if left < 0:
                raise InputError(f"more than {MOST_CHARACTERS:,} characters, too many for a page")
            chunks.append(chunk.astype(np.uint32))
        pieces.append(np.concatenate(chunks))
    return pieces


def as_shown(codes: Codes, model: Model) -> Codes:
    """Return code points of a text as the page shows them: each line ends with LF."""
    if not isinstance(model.vocab, CharVocabulary):
        text = codes.astype(np.uint8).tobytes().decode("utf-8", "replace")
        codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    if model.line_ends() == "cr":
        return np.where(codes == RETURN, NEWLINE, codes).astype(np.uint32)
    return np.delete(codes, np.flatnonzero(codes == RETURN))


def packed_text(codes: Codes) -> bytes:
    """Return code points deflated: all lowest bytes, then all middle, then all highest ones."""
    return zlib.compress(codes.astype("<u4").view(np.uint8).reshape(-1, 4)[:, :3].T.tobytes(), 9)


def named_units(model: Model, codes: Codes) -> list[list[Any]]:
    """Return units that respond to a property of a text, best first: index over all, and name."""
    vocab, ids = model.vocab, codes[-SEARCHED:].astype(np.uint16)
    if isinstance(vocab, CharVocabulary):
        ids = vocab.encode("".join(filter(vocab.knows, string_of(codes[-SEARCHED:]))))
    kind, read = kind_of(model, is_hidden=False), ids.tolist()
    if not read:
        return []
    random = untrained_activations(model, read, kind)
    ours = activations_of(states_in_pieces(model, read), kind)
    names: dict[int, str] = {}
    for match in search_units(ours, random, *View(model, ids, "").characters):
        if match.score > match.random and match.score >= LEAST_SCORE[match.measure]:
            names.setdefault(match.layer * model.config.hidden_size + match.unit, name_of(match))
    return [[index, name] for index, name in names.items()][:MOST_UNITS]


def name_of(match: UnitMatch) -> str:
    """Return what a unit follows, in words: what it is high at, or a count that it rises with."""
    unit = f"{match.layer}:{match.unit}"
    if match.sign > 0:
        return f"{unit} {match.name}"
    return f"{unit} {match.name}, falling" if match.measure == "|r|" else f"{unit} low {match.name}"
