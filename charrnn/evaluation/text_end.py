"""Whether the end of a text, which is held out, is like the rest."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from charrnn.core.errors import InputError
from charrnn.data.batches import IGNORED, Batch
from charrnn.data.corpus import Corpus
from charrnn.data.records import find_lines, strings
from charrnn.data.vocab import Ids
from charrnn.evaluation.held_out import leak_notes
from charrnn.evaluation.protocols import streamed
from charrnn.ngram.context import ContextTracker
from charrnn.ngram.counts import runs_of
from charrnn.ngram.model import NgramModel, build, chunks
from charrnn.ngram.native import predictor

ORDER = 3
"""Longest context of the n-gram model that compares; a short one sees the language, not names."""

MOST_COUNTED, MOST_SCORED = 300_000, 8_000
"""Symbols of the first half that are counted; symbols of each tenth that are scored."""

LEAST = 20_000
"""Symbols of a text; the tenths of a shorter one differ by chance."""

UNLIKE = 0.4
"""Nats per symbol: the end is unlike the rest if it is less expected by this much."""

FEWEST_LINES, SORTED = 50, 0.95
"""Lines unlike the line before, and share of them that follow it in order, of a sorted text."""

MARK = "*** END OF THE PROJECT GUTENBERG EBOOK"
"""Line after which a book of Project Gutenberg has its licence."""


def split_notes(corpus: Corpus) -> list[str]:
    """Return all notes about what is held out: that it is not new, or unlike the rest."""
    return [*leak_notes(corpus), *end_notes(corpus)]


def end_notes(corpus: Corpus) -> list[str]:
    """Return a note if the held-out end of a text is unlike the rest of it."""
    if corpus.train_records is not None or not corpus.num_val:
        return []
    if has_mark(corpus):
        way_out = "delete it from the file, or hold out another text: --val-file"
        return [f"after {MARK!r} comes a licence, which is learned and held out too: {way_out}"]
    if corpus.train_pieces:  # what is held out comes from all over the text
        return []
    if is_sorted(corpus):
        what = "the lines are sorted, so the end, which is held out, has other words than the rest"
        return [f"{what}; --lines holds out lines from everywhere"]
    if end_loss(corpus.train, corpus.val, corpus.vocab.size) < UNLIKE:
        return []
    why = "is unlike the rest (a licence, a list, another language?)"
    what = f"the end of the text, which is held out, {why}"
    way_out = "delete the end, or use --val-pieces 5 or --val-file"
    return [f"{what}: the loss says little about the rest; {way_out}"]


def has_mark(corpus: Corpus) -> bool:
    """True if a text has the mark at which a book of Project Gutenberg ends."""
    try:
        mark = corpus.vocab.encode(f"\n{MARK}")
    except InputError:
        return False
    val = corpus.val[-MOST_COUNTED:] if corpus.train_pieces else corpus.val[:MOST_COUNTED]
    ends = (corpus.train[-MOST_COUNTED:], val)
    joined = np.concatenate(ends).astype(mark.dtype)
    return mark.tobytes() in joined.tobytes()


def is_sorted(corpus: Corpus) -> bool:
    """True if nearly all lines of a text follow each other in order, as in a list of words."""
    newline = corpus.vocab.newline
    lines = None if newline is None else find_lines(corpus.train[:MOST_COUNTED], newline)
    if lines is None or len(lines) < FEWEST_LINES:
        return False
    each = [line.casefold() for line in strings(corpus.train, lines, corpus.vocab)]
    in_order = [one < other for one, other in pairwise(each) if one != other]
    return len(in_order) >= FEWEST_LINES - 1 and sum(in_order) >= SORTED * len(in_order)


def end_loss(train: Ids, val: Ids, vocab_size: int) -> float:
    """Return by how many nats per symbol the end is less expected than a middle part of that size.

    An n-gram model of the first half of the text expects both.
    """
    half, size = (len(train) + len(val)) // 2, len(val)
    middle = train[half : half + size]
    if len(train) + len(val) < LEAST or len(middle) < 2 or half < 2:
        return 0.0
    model = build(runs_of(train[:half], MOST_COUNTED), vocab_size, ORDER)
    ours, theirs = (memory_loss(model, streamed(ids, MOST_SCORED)) for ids in (val, middle))
    return (ours or 0.0) - (theirs or 0.0)


def memory_loss(memory: NgramModel, batches: Iterable[Batch]) -> float | None:
    """Return the loss of the n-gram memory alone, nats per symbol; None without text."""
    total = count = 0.0
    reader, predict = None, predictor(memory)
    for batch in batches:
        if reader is None or len(reader.lengths) != len(batch.inputs):
            reader = ContextTracker(memory, len(batch.inputs))
        contexts, lengths = reader.read(batch.inputs, batch.is_fresh)
        is_scored = batch.targets != IGNORED
        scored = contexts[is_scored], lengths[is_scored], batch.targets[is_scored]
        for part in chunks(len(scored[0]), memory.vocab_size):
            context, length, target = (each[part] for each in scored)
            p = predict(context, length).p[np.arange(len(target)), target]
            total -= float(np.log(p).sum())
            count += len(p)
    return total / count if count else None
