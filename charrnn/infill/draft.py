"""A text with gaps, filled from its beginning to its end."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from charrnn.checkpoints.model import Model
from charrnn.core.errors import InputError, printable
from charrnn.core.seeds import derive_seed, sample_seed
from charrnn.data.reading import Survey, conversion_notes
from charrnn.data.vocab import ByteVocabulary, Vocabulary
from charrnn.infill.fill import Filling, Gap, fillings
from charrnn.infill.reader import Reader, Symbols
from charrnn.sampling.prefill import as_it_is, read_text

MARK = re.compile(r"\[(?:\.\.\.|…)\]")
"""What marks a gap in a draft."""

MOST = 1000
"""Most symbols of a gap."""


@dataclass(frozen=True, slots=True)
class FillConfig:
    """Settings of filling gaps."""

    least: int
    """Least symbols of a gap."""
    most: int
    count: int
    """Number of texts."""
    seed: int

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("--min", self.least, 0, MOST),
            ("--max", self.most, max(1, self.least), MOST),
            ("-n", self.count, 1, MOST),
            ("--seed", self.seed, 0, 2**63 - 1),
        ):
            if not low <= value <= high:
                raise InputError(f"{name}: must be in [{low}, {high:,}], got {value:,}")


@dataclass(frozen=True, slots=True)
class Filled:
    """A draft whose gaps are filled."""

    pieces: tuple[Symbols, ...]
    """What is around the gaps, one more than gaps."""
    fills: tuple[Filling, ...]

    @property
    def loss(self) -> float:
        """Mean loss of the fillings and what follows each, nats per symbol."""
        return float(np.mean([fill.loss for fill in self.fills]))

    def numbers(self, index: int, seed: int, vocab: Vocabulary) -> dict[str, Any]:
        """Return the text as --json prints it."""
        whole = np.concatenate([ids for ids, _ in self.parts()])
        fills = [
            {"text": vocab.decode(fill.ids), "loss": fill.loss, "fill_loss": fill.fill_loss,
             "after_loss": fill.after_loss}
            for fill in self.fills
        ]  # fmt: skip
        return {
            "index": index,
            "seed": seed,
            "text": vocab.decode(whole),
            "loss": self.loss,
            "fills": fills,
        }

    def parts(self) -> Iterator[tuple[Symbols, bool]]:
        """Yield the pieces and the fillings in order, and whether each is a filling."""
        for piece, fill in zip(self.pieces, self.fills, strict=False):
            yield piece, False
            yield np.array(fill.ids, dtype=np.int64), True
        yield self.pieces[-1], False


def read_draft(model: Model, path: Path) -> tuple[tuple[Symbols, ...], list[str]]:
    """Return what is around the gaps of a file, and notes about what is converted.

    Raises:
        InputError: The file cannot be read, or has no gap that can be filled.
    """
    reading, survey = model.reading(), Survey()
    text = reading.convert(read_text(path, "DRAFT", as_it_is(reading)), survey)
    pieces = MARK.split(text)
    if len(pieces) == 1:
        raise InputError(f"DRAFT: {printable(path)}: has no gap; mark each with [...]")
    return checked(model, pieces, "DRAFT"), conversion_notes(survey, reading)


def ends(model: Model, before: str, after: str) -> tuple[tuple[Symbols, ...], list[str]]:
    """Return what is before and after one gap, and notes about what is converted."""
    reading, survey = model.reading(), Survey()
    pieces = [reading.convert(text, survey) for text in (before, after)]
    if model.records and any("\n" in piece for piece in pieces):
        raise InputError("--before and --after: each text of this model is a single line")
    return checked(model, pieces, "--before and --after"), conversion_notes(survey, reading)


def checked(model: Model, pieces: Sequence[str], what: str) -> tuple[Symbols, ...]:
    """Return the ids of what is around gaps.

    Raises:
        InputError: Nothing follows a gap, or the model lacks a character.
    """
    if not (all(pieces[1:]) or model.records):  # the end of a line follows too
        raise InputError(f"{what}: nothing follows a gap; charrnn sample continues a text")
    return tuple(model.vocab.encode(piece, what).astype(np.int64) for piece in pieces)


def filled(
    sides: tuple[Reader, Reader], pieces: Sequence[Symbols], vocab: Vocabulary, config: FillConfig,
    report: Callable[[int], None] = lambda done: None,
) -> list[Filled]:  # fmt: skip
    """Return filled drafts, the likeliest first; fewer if the only gap has no more fillings.

    Args:
        sides: Readers of both directions.
        pieces: What is around the gaps, one more than gaps.
        vocab: Vocabulary of the model.
        config: The settings.
        report: Is called with the number of gaps that are filled.

    Raises:
        InputError: A gap has no filling.
    """
    is_single = len(pieces) == 2
    num_runs, count = (1, config.count) if is_single else (config.count, 1)
    runs: list[tuple[Filling, ...]] = []
    for run in range(num_runs):
        before, fills = pieces[0], []
        for number, after in enumerate(pieces[1:]):
            seed = derive_seed(sample_seed(config.seed, run), "fill", number)
            found = fillings(
                sides, gap_of(sides[0], before, after, config), count, seed, checker(vocab)
            )
            if not found:
                raise InputError("no filling found; try other --min and --max")
            fills.append(found)
            before = np.concatenate([before, np.array(found[0].ids, dtype=np.int64), after])
            report(run * (len(pieces) - 1) + number + 1)
        runs += zip(*fills, strict=True)
    texts = [Filled(tuple(pieces), fills) for fills in runs]
    return sorted(texts, key=lambda text: text.loss)


def gap_of(reader: Reader, before: Symbols, after: Symbols, config: FillConfig) -> Gap:
    """Return a gap; after the end of a record comes a newline."""
    if reader.records and reader.newline is not None and reader.newline not in after:
        after = np.append(after, reader.newline)
    return Gap(before, after, config.least, config.most)


def checker(vocab: Vocabulary) -> Callable[[Sequence[int]], bool]:
    """Return whether symbols are whole characters."""
    if not isinstance(vocab, ByteVocabulary):
        return lambda ids: True

    def is_utf8(ids: Sequence[int]) -> bool:
        with suppress(UnicodeDecodeError):
            bytes(ids).decode("utf-8")
            return True
        return False

    return is_utf8
