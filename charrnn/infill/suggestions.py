"""Changes that are worth a look, with their place in the text."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from charrnn.data.vocab import Vocabulary
from charrnn.infill.edits import KINDS
from charrnn.infill.proof import Suspicions
from charrnn.infill.reader import Symbols

NEAR = 3
"""Symbols within which only the best change is suggested."""

AROUND = 12
"""Most symbols of a word that are shown before and after a change."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A change that makes the text likelier."""

    kind: str
    """A name in KINDS."""
    begin: int
    """Position of the first symbol that is changed."""
    end: int
    """Position after the last one."""
    new: tuple[int, ...]
    """Symbols in their place."""
    probability: float
    """Probability that the change is right."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A suggestion as people read it."""

    line: int
    """From 1."""
    column: int
    """Of the first symbol that is changed, from 1."""
    found: str
    """The words that the change concerns."""
    meant: str
    """The same words after the change."""


def suggestions(found: Suspicions, least: float) -> list[Suggestion]:
    """Return the changes that are probably right, in the order of the text.

    Of changes within NEAR symbols of each other, only the best is returned.

    Args:
        found: What speaks against each symbol.
        least: Least probability.
    """
    probabilities = 1 / (1 + np.exp(-np.maximum(found.gains, -700.0)))
    is_free = np.ones(len(probabilities), dtype=np.bool_)
    result = []
    for i in np.argsort(-probabilities, kind="stable").tolist():
        if probabilities[i] < least:
            break
        if is_free[i]:
            is_free[max(0, i - NEAR) : i + NEAR + 1] = False
            new = tuple(found.edits.new[i, : found.edits.sizes[i]].tolist())
            span = int(found.edits.begin[i]), int(found.edits.end[i])
            result.append(
                Suggestion(KINDS[found.kinds[i]].name, *span, new, float(probabilities[i]))
            )
    return sorted(result, key=lambda each: each.begin)


def shown(ids: Symbols, suggestion: Suggestion, vocab: Vocabulary) -> Shown:
    """Return a suggestion as people read it."""
    begin, end = suggestion.begin, suggestion.end
    starts = line_starts(ids[:begin], vocab)
    first, last = begin, end
    while first > max(0, begin - AROUND) and not is_blank(ids[first - 1], vocab):
        first -= 1
    while last < min(len(ids), end + AROUND) and not is_blank(ids[last], vocab):
        last += 1
    new = np.concatenate(
        [ids[first:begin], np.array(suggestion.new, dtype=np.int64), ids[end:last]]
    )
    words = vocab.decode(ids[first:last]), vocab.decode(new)
    return Shown(len(starts), begin - starts[-1] + 1, *words)


def line_starts(ids: Symbols, vocab: Vocabulary) -> list[int]:
    """Return the positions at which lines begin; the last one may be the end of the text."""
    ends = np.flatnonzero(ids == (-1 if vocab.newline is None else vocab.newline))
    return [0, *(ends + 1).tolist()]


def is_blank(symbol: int, vocab: Vocabulary) -> bool:
    """True for a space or line end."""
    return vocab.decode([int(symbol)]).isspace()


def line_numbers(
    ids: Symbols, found: Suspicions, changes: list[Suggestion], vocab: Vocabulary
) -> Iterator[dict[str, Any]]:
    """Yield each line of a text as --json prints it."""
    edges = list(dict.fromkeys([*line_starts(ids, vocab), len(ids)]))
    left = changes[::-1]
    for number, (begin, end) in enumerate(pairwise(edges), start=1):
        suggested = []
        while left and left[-1].begin < end:
            change = left.pop()
            words = shown(ids, change, vocab)
            suggested.append(
                {"column": words.column, "kind": change.kind, "old": vocab.decode(ids[change.begin : change.end]),
                 "new": vocab.decode(list(change.new)), "found": words.found, "meant": words.meant,
                 "probability": change.probability}
            )  # fmt: skip
        yield {
            "line": number,
            "text": vocab.decode(ids[begin:end]),
            "bits": [round(value, 3) for value in found.bits[begin:end].tolist()],
            "suggestions": suggested,
        }
