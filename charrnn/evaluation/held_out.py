"""Whether held-out text is new: how much of it is in the training text too."""

import numpy as np
from numpy.typing import NDArray

from charrnn.data.corpus import Corpus
from charrnn.data.records import find_lines, record_keys
from charrnn.data.vocab import Ids

SPAN = 64
"""Symbols of the spans that are looked for; a power of two. Shorter ones occur again by chance."""

MOST_READ, MOST_KEPT = 16_000_000, 500_000
"""Symbols of a longer text that are read, at its end; spans of it that are compared."""

BLOCK = 1 << 15
"""Positions that are hashed together."""

TOLD_FROM = 0.1
"""Share of held-out spans known from training, from which a note is given."""

FACTOR = 0x9E3779B97F4A7C15
"""Base of the polynomial that hashes a span, modulo 2^64; odd."""

Hashes = NDArray[np.uint64]


def known_share(train: Ids, val: Ids) -> float:
    """Return the share of the spans of held-out text that the training text has too.

    Of a long text, the spans with a hash that is a multiple of some number are compared, in both
    parts, and the part of the training text nearest to the held-out text: then the share of all may
    be larger.
    """
    train, val = train[-MOST_READ:], val[:MOST_READ]
    step = -(-len(train) // MOST_KEPT) or 1
    asked, known = span_hashes(val, step), np.unique(span_hashes(train, step))
    if not len(asked) or not len(known):
        return 0.0
    places = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    return float((known[places] == asked).mean())


def span_hashes(ids: Ids, step: int) -> Hashes:
    """Return the hashes of the spans at all positions of a text, of those that are multiples of `step`."""
    blocks = []
    for begin in range(0, len(ids) - SPAN + 1, BLOCK):
        hashes = np.asarray(ids[begin : begin + BLOCK + SPAN - 1]).astype(np.uint64) + np.uint64(1)
        factor, width = FACTOR, 1
        while width < SPAN:  # a span is two spans of half its width
            hashes = hashes[:-width] * np.uint64(factor) + hashes[width:]
            factor, width = factor * factor % 2**64, 2 * width
        mixed = hashes ^ (hashes >> np.uint64(29))
        blocks.append(hashes if step == 1 else hashes[mixed % np.uint64(step) == 0])
    return np.concatenate(blocks) if blocks else np.zeros(0, np.uint64)


def known_line_share(corpus: Corpus, shortest: int) -> float:
    """Return the share of held-out text in lines that the training text has too, as people read them.

    Lines of fewer symbols than `shortest` are taken for new.
    """
    newline = corpus.vocab.newline
    if newline is None or not len(corpus.val):
        return 0.0
    train, val = corpus.train[-MOST_READ:], corpus.val[:MOST_READ]
    lines, others = (find_lines(ids, newline) for ids in (val, train))
    lines, others = (
        each.take(np.flatnonzero(each.lengths >= shortest)) for each in (lines, others)
    )
    known = record_keys(train, others, corpus.vocab)
    is_known = np.isin(record_keys(val, lines, corpus.vocab), known)
    return float((lines.lengths + 1)[is_known].sum() / len(val))


def leak_notes(corpus: Corpus) -> list[str]:
    """Return a note if much of the held-out text is in the training text too."""
    worse = "so the loss will look better than it is"
    if not corpus.num_val or corpus.val is corpus.train:  # records that are split are new
        return []
    lines = known_line_share(corpus, 1 if corpus.train_records else SPAN // 2)
    if corpus.train_records is not None:
        told = [f"{lines:.0%} of the held-out lines are trained on too, {worse}"]
        return told if lines >= TOLD_FROM else []
    share = max(lines, known_share(corpus.train, corpus.val))
    what = f"{share:.0%} of the held-out text is in the training part too"
    twice = "leave out what is there twice"
    hint = f"if it is a list, train with --lines; else {twice}" if lines == share else twice
    return [f"{what}, {worse}; {hint}"] if share >= TOLD_FROM else []
