"""What a picture is of: a model, and a text as symbols and as signs that can be seen."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from charrnn.checkpoint import Model, load_model
from charrnn.errors import InputError, printable
from charrnn.expectations import Expectations, expectations
from charrnn.glyphs import glyphs
from charrnn.reading import held_out_corpus, read_ids
from charrnn.sampling import Sampler
from charrnn.vocab import ByteVocabulary, Ids

MOST_SYMBOLS = 5000
"""Of a text, unless more are asked for: a page of a few hundred kilobytes."""


@dataclass(frozen=True)
class View:
    """A text that a model reads."""

    model: Model
    ids: Ids
    """The text, (T,)."""
    title: str
    memory_weight: float | None = None
    """The memory's share in what is expected; None is the model's own."""

    @cached_property
    def text(self) -> str:
        """The text, a character for each symbol; a byte is the character of its number."""
        if isinstance(self.model.vocab, ByteVocabulary):
            return bytes(self.ids.tolist()).decode("latin-1")
        return self.model.vocab.decode(self.ids.tolist())

    @cached_property
    def alphabet(self) -> list[str]:
        """A sign for each symbol of the vocabulary."""
        return glyphs(self.model.vocab)

    @cached_property
    def signs(self) -> list[str]:
        """A sign for each symbol of the text; blanks stay blank."""
        space = self.model.vocab.encode(" ")[0] if " " in self.alphabet_of_text else -1
        return [" " if i == space else self.alphabet[i] for i in self.ids.tolist()]

    @property
    def alphabet_of_text(self) -> set[str]:
        """The characters that occur."""
        return set(self.text)

    @cached_property
    def expected(self) -> Expectations:
        """What the model expects at each symbol."""
        return expectations(Sampler(self.model), self.ids.tolist(), self.memory_weight)


def read_view(
    model: Path,
    files: Iterable[Path],
    *,
    length: int = MOST_SYMBOLS,
    is_held_out: bool = False,
    memory_weight: float | None = None,
) -> View:
    """Open a model and a text.

    Args:
        model: A checkpoint file.
        files: The text; of several, one after the other.
        length: Symbols that are read, from the first.
        is_held_out: Of the files that the model learned, only what was held out.
        memory_weight: The memory's share in what is expected.

    Raises:
        InputError: A file cannot be read, has characters that the model never saw, or is empty.
        CheckpointError: The model is damaged.
    """
    loaded, paths = load_model(model), list(files)
    if is_held_out:
        ids = held_out_corpus(loaded, paths).val
    else:
        ids = read_ids(loaded, paths[0])[0]
    if not len(ids):
        raise InputError(f"{printable(paths[0])}: is empty; name a text to look at")
    what = "held out of " if is_held_out else ""
    title = f"{what}{paths[0].name}, read by {model.parent.name}"
    return View(loaded, ids[:length], title, memory_weight)
