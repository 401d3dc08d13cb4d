"""A model and a text to look at, with a visible glyph for each symbol."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from charrnn.checkpoints.model import Model, load_model
from charrnn.core.errors import InputError, escape, printable
from charrnn.data.ids import read_ids
from charrnn.data.reading import Survey, conversion_notes
from charrnn.data.vocab import ByteVocabulary, Ids, is_unseen
from charrnn.evaluation.protocols import held_out_corpus, held_out_ids
from charrnn.sampling.sampler import Sampler
from charrnn.viz.activations import Expectations, Parts, expectations, states

MARKS = ("Mn", "Me")
"""Unicode categories of combining marks: points of Hebrew, accents after their letter."""

GLYPHS = {" ": "␣", "\n": "↵", "\t": "→", "\r": "␍"}


def glyph(character: str) -> str:
    """Return a glyph for one character."""
    if character in GLYPHS:
        return GLYPHS[character]
    return "".join(map(escape, character)) if any(map(is_unseen, character)) else character


@dataclass(frozen=True)
class View:
    """A text, and what a model predicts and stores while it reads the text."""

    model: Model
    ids: Ids
    """The text, (T,)."""
    title: str
    memory_weight: float | None = None
    """Weight of the n-gram memory in the predictions; None is the model's own."""
    num_unknown: int = 0
    """Number of characters that were left out because the model has never seen them."""
    notes: tuple[str, ...] = ()
    """About line ends and accents that were converted."""

    @property
    def unit(self) -> str:
        """Name of a symbol: character or byte."""
        return self.model.vocab.unit

    @cached_property
    def text(self) -> str:
        """The text, one character per symbol; byte b is the character chr(b)."""
        return "".join(map(self.character, self.ids.tolist()))

    @cached_property
    def characters(self) -> tuple[str, NDArray[np.int64]]:
        """The text as people read it, and the number of symbols of each character."""
        if not isinstance(self.model.vocab, ByteVocabulary):
            return self.text, np.ones(len(self.text), dtype=np.int64)
        text = bytes(self.ids.tolist()).decode("utf-8", "surrogateescape")
        widths = [len(each.encode("utf-8", "surrogateescape")) for each in text]
        return text, np.array(widths, dtype=np.int64)

    def character(self, symbol: int) -> str:
        """Return one symbol as it is in `text`."""
        vocab = self.model.vocab
        return chr(symbol) if isinstance(vocab, ByteVocabulary) else vocab.decode([symbol])

    @cached_property
    def alphabet(self) -> list[str]:
        """A glyph for each symbol of the vocabulary, (V,)."""
        vocab = self.model.vocab
        if isinstance(vocab, ByteVocabulary):
            return [glyph(chr(i)) if i < 0x7F else f"{i:02X}" for i in range(256)]
        return [glyph(vocab.decode([i])) for i in range(vocab.size)]

    @cached_property
    def glyphs(self) -> list[str]:
        """A glyph for each symbol of the text; a space stays blank, a newline also ends the line."""
        shown = {" ": " ", "\n": GLYPHS["\n"] + "\n"}
        symbols = zip(self.text, self.ids.tolist(), strict=True)
        return [shown.get(character, self.alphabet[i]) for character, i in symbols]

    @cached_property
    def running_glyphs(self) -> list[str]:
        """The glyphs of running text: a combining mark is not escaped where it follows a letter."""
        glyphs, has_letter = [], False
        for character, shown in zip(self.text, self.glyphs, strict=True):
            is_joined = has_letter and unicodedata.category(character) in MARKS
            glyphs.append(character if is_joined else shown)
            has_letter = is_joined or (shown == character and character != " ")
        return glyphs

    @cached_property
    def expected(self) -> Expectations:
        """Predictions of the model for each symbol."""
        sampler, logits = Sampler(self.model), self.states["logits"]
        return expectations(sampler, self.ids, logits, self.memory_weight)

    @cached_property
    def states(self) -> Parts:
        """Units and logits after each symbol."""
        return states(self.model, self.ids.tolist())


def read_view(
    model: Path,
    files: Iterable[Path],
    names: Mapping[Path, str],
    *,
    length: int,
    is_held_out: bool = False,
    memory_weight: float | None = None,
) -> View:
    """Load a model and read a text.

    Args:
        model: A checkpoint file.
        files: The text; several files are joined in order.
        names: Names to show instead of a file's own.
        length: Number of symbols to read, from the first.
        is_held_out: The files are the training text; read only its held-out part.
        memory_weight: Weight of the n-gram memory in the predictions.

    Raises:
        InputError: A file cannot be read, or is empty.
        CheckpointError: The model is damaged.
    """
    loaded, paths = load_model(model), list(files)
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    title = names.get(paths[0], paths[0].name) + more
    if is_held_out:
        ids = held_out_ids(held_out_corpus(loaded, paths))[:length]
        return View(
            loaded, ids, f"held-out part of {title}, read by {model.parent.name}", memory_weight
        )
    survey = Survey()
    ids, num_unknown = read_files(loaded, paths, length, survey)
    if not len(ids):
        what = "has no character that the model knows" if num_unknown else "is empty"
        raise InputError(f"{printable(title)}: {what}; name another text")
    return View(
        loaded, ids, f"{title}, read by {model.parent.name}", memory_weight, num_unknown,
        notes=tuple(conversion_notes(survey, loaded.reading())),
    )  # fmt: skip


def read_files(model: Model, paths: Iterable[Path], length: int, survey: Survey) -> tuple[Ids, int]:
    """Return the first `length` ids of joined files, and the number of unknown characters."""
    pieces, num_unknown, reading = [np.empty(0, dtype=np.int64)], 0, model.reading()
    for path in paths:
        if left := length - sum(map(len, pieces)):
            piece, num_missing = read_ids(
                model.vocab, reading, path, skips=True, most=left, survey=survey
            )
            pieces.append(np.asarray(piece, dtype=np.int64))
            num_unknown += num_missing
    return np.concatenate(pieces), num_unknown
