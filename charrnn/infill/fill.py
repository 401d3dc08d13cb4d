"""What fits between two texts: proposals from both ends, joined where they agree, kept by weight.

Continuations of what is before are drawn from the forward reader, and beginnings of what is after
from the backward reader. A continuation may be cut anywhere, or joined to a beginning that has the
same OVERLAP symbols. Each result has the weight of an importance sample: by how much likelier the
forward n-grams find the whole than those who proposed it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from charrnn.infill.reader import Reader, Rows, Symbols
from charrnn.ngram.counts import Floats, Keys, mask

NUM_FORWARD, NUM_BACKWARD = 128, 96
"""Proposals of each side."""

LONGEST_BACK = 24
"""Most symbols of a proposal from the back."""

OVERLAP = 4
"""Symbols in which a continuation and a beginning must agree."""

MOST_PAIRS = 60_000
"""Most joins that are weighed."""

POOL = 48
"""Results that are kept by weight, and then scored by network and n-grams."""

LOOK = 32
"""Symbols after the gap that are scored."""


@dataclass(frozen=True, slots=True)
class Filling:
    """What fits into a gap."""

    ids: tuple[int, ...]
    fill_loss: float
    """Mean loss of its symbols, given what is before, in nats; 0 without any."""
    after_loss: float
    """Mean loss of the first LOOK symbols after the gap."""
    loss: float
    """Mean loss of both."""


@dataclass(frozen=True, slots=True)
class Proposals:
    """Continuations in one direction, and how likely they are."""

    ids: Symbols
    """(B, N)."""
    sums: Floats
    """Log-probability of the first 0, 1, ... symbols, (B, N + 1)."""
    packed: Keys
    """n-gram context after 0, 1, ... symbols, (B, N + 1)."""
    lengths: Symbols
    """Its length, (B, N + 1)."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Ways to fill the gap: a continuation up to its cut, and a beginning after their overlap."""

    row: Symbols
    """Continuation, (n,)."""
    cut: Symbols
    """Symbols that are taken from it, (n,)."""
    back: Symbols
    """Beginning, (n,)."""
    rest: Symbols
    """Symbols that are taken from it after the overlap, 0 for none, (n,)."""
    weights: Floats
    """Logarithm, (n,)."""


@dataclass(frozen=True, slots=True)
class Gap:
    """What is before and after, and how many symbols fit between."""

    before: Symbols
    after: Symbols
    least: int
    most: int


def fillings(
    sides: tuple[Reader, Reader], gap: Gap, count: int, seed: int,
    is_whole: Callable[[Sequence[int]], bool] = lambda ids: True,
) -> list[Filling]:  # fmt: skip
    """Return up to `count` different fillings of a gap, the likeliest first.

    Args:
        sides: Readers of both directions.
        gap: The gap.
        count: Number of fillings.
        seed: The same seed gives the same fillings.
        is_whole: Whether symbols may be a filling: for bytes, whole characters only.
    """
    rng = np.random.default_rng(seed)
    forward = proposed(sides[0], gap.before, NUM_FORWARD, gap.most, rng)
    backward = proposed(sides[1], gap.after[::-1], NUM_BACKWARD, min(gap.most, LONGEST_BACK), rng)
    parts = [cuts(sides[0], gap, forward), *joins(sides[0], gap, forward, backward, rng)]
    ranked = ranked_fillings(parts, forward, backward, rng)
    pool = list(islice(filter(is_whole, ranked), max(POOL, 2 * count)))
    found = scored(sides[0], gap, pool) if pool else []
    return sorted(found, key=lambda filling: (filling.loss, filling.ids))[:count]


def proposed(
    reader: Reader, given: Symbols, count: int, length: int, rng: np.random.Generator
) -> Proposals:
    """Return continuations of a text that are drawn from a reader."""
    rows, each = Rows(reader, given, count), np.arange(count)
    ids, sums = np.empty((count, length), dtype=np.int64), np.zeros((count, length + 1))
    contexts = [(rows.packed, rows.lengths)]
    for t in range(length):
        logs = rows.logs()
        if reader.records:  # a gap is inside one line
            logs[:, reader.newline] = -np.inf
        totals = np.cumsum(np.exp(logs), axis=1)
        drawn = (totals <= rng.random(count)[:, None] * totals[:, -1:]).sum(axis=1)
        ids[:, t] = np.minimum(drawn, totals.shape[1] - 1)
        sums[:, t + 1] = sums[:, t] + logs[each, ids[:, t]]
        rows.read(ids[:, t])
        contexts.append((rows.packed, rows.lengths))
    packed, lengths = (np.stack(part, axis=1) for part in zip(*contexts, strict=True))
    return Proposals(ids, sums, packed, lengths)


def cuts(reader: Reader, gap: Gap, forward: Proposals) -> Candidates:
    """Return every cut of every continuation, weighed by how well the text after it follows."""
    row, cut = (each.ravel() for each in np.indices((len(forward.ids), gap.most - gap.least + 1)))
    cut = cut + gap.least
    packed, lengths = forward.packed[row, cut], forward.lengths[row, cut]
    weights = followed(
        reader, packed, lengths, np.tile(gap.after[: reader.memory.order], (len(row), 1))
    )
    none = np.zeros_like(row)
    return Candidates(row, cut, none, none, weights)


def followed(reader: Reader, packed: Keys, lengths: Symbols, symbols: Symbols) -> Floats:
    """Return the log-probability by the n-grams of symbols, (n, M), after contexts; -1 is none, (n,)."""
    total = np.zeros(len(packed))
    for column in symbols.T:
        is_on = column >= 0
        total[is_on] += reader.log_p(packed[is_on], lengths[is_on], column[is_on])
        packed, lengths = reader.appended(packed, lengths, np.maximum(column, 0))
    return total


def joins(
    reader: Reader, gap: Gap, forward: Proposals, backward: Proposals, rng: np.random.Generator
) -> list[Candidates]:
    """Return the joins of continuations and beginnings that agree in OVERLAP symbols; or none."""
    K, bits = reader.memory.order, reader.memory.bits
    size, most_back = min(OVERLAP, K), backward.ids.shape[1]
    if min(gap.most, most_back) <= size:
        return []
    row, cut, back, rest = pairs(gap, forward, backward, size, bits)
    if len(row) > MOST_PAIRS:
        some = rng.choice(len(row), MOST_PAIRS, replace=False)
        row, cut, back, rest = row[some], cut[some], back[some], rest[some]
    text = np.concatenate(
        [backward.ids[:, ::-1], np.tile(gap.after[:K], (len(backward.ids), 1))], axis=1
    )
    known = np.stack([cumulated(reader, line) for line in text])
    begin = most_back - rest  # of what follows the overlap, in `text`
    ahead = begin[:, None] + np.arange(K - size)
    symbols = np.where(
        ahead < text.shape[1], text[back[:, None], np.minimum(ahead, text.shape[1] - 1)], -1
    )
    weights = known[back, -1] - known[back, np.minimum(begin + K - size, text.shape[1])]
    weights += followed(reader, forward.packed[row, cut], forward.lengths[row, cut], symbols)
    weights -= backward.sums[back, rest + size] + np.log(len(text) * most_back)
    return [Candidates(row, cut, back, rest, weights)]


def pairs(
    gap: Gap, forward: Proposals, backward: Proposals, size: int, bits: int
) -> tuple[Symbols, Symbols, Symbols, Symbols]:
    """Return the joins that agree in `size` symbols and have an allowed length, as Candidates does."""
    row, cut = (each.ravel() for each in np.indices(forward.packed.shape))
    row, cut = row[cut >= size], cut[cut >= size]
    ends = forward.packed[row, cut] & mask(bits * size)
    back, taken = (each.ravel() for each in np.indices(backward.sums.shape))
    back, taken = back[taken >= size], taken[taken >= size]
    starts = np.zeros(len(back), dtype=np.uint64)
    for d in range(1, size + 1):
        starts = starts << np.uint64(bits) | backward.ids[back, taken - d].astype(np.uint64)
    by_start = np.argsort(starts, kind="stable")
    begin, end = (np.searchsorted(starts[by_start], ends, side=side) for side in ("left", "right"))
    counts = end - begin
    left = np.repeat(np.arange(len(ends)), counts)
    right = by_start[np.arange(len(left)) - np.repeat(np.cumsum(counts) - counts - begin, counts)]
    rest = taken[right] - size
    fits = (cut[left] + rest >= gap.least) & (cut[left] + rest <= gap.most)
    left, right = left[fits], right[fits]
    return row[left], cut[left], back[right], rest[fits]


def cumulated(reader: Reader, ids: Symbols) -> Floats:
    """Return the log-probability by the n-grams of the first 0, 1, ... symbols of a text, (T + 1,)."""
    packed, lengths = reader.contexts(ids)
    return np.append(0, np.cumsum(reader.log_p(packed[:-1], lengths[:-1], ids)))


def ranked_fillings(
    parts: list[Candidates], forward: Proposals, backward: Proposals, rng: np.random.Generator
) -> Iterator[tuple[int, ...]]:
    """Yield different fillings, drawn by weight without replacement."""
    weights = np.concatenate([part.weights for part in parts])
    order = np.argsort(-(weights + rng.gumbel(size=len(weights))), kind="stable")
    row, cut, back, rest = (
        np.concatenate([getattr(part, name) for part in parts])[order]
        for name in ("row", "cut", "back", "rest")
    )
    found = set()
    for i in range(len(order)):
        tail = backward.ids[back[i], : rest[i]][::-1]
        filling = (*forward.ids[row[i], : cut[i]].tolist(), *tail.tolist())
        if filling not in found:
            found.add(filling)
            yield filling


def scored(reader: Reader, gap: Gap, pool: list[tuple[int, ...]]) -> list[Filling]:
    """Return fillings with their losses by network and n-grams."""
    after = gap.after[:LOOK].tolist()
    rows = Rows(reader, gap.before, max(2, len(pool)))
    texts = [[*ids, *after] for ids in pool]
    texts += texts[:1] * (len(rows.packed) - len(texts))  # two rows make a batch
    longest = max(map(len, texts))
    symbols = np.array([text + [0] * (longest - len(text)) for text in texts])
    logs, each = np.empty(symbols.shape), np.arange(len(texts))
    for t in range(longest):
        logs[:, t] = rows.logs()[each, symbols[:, t]]
        rows.read(symbols[:, t])
    result = []
    for ids, log in zip(pool, logs, strict=False):
        inside, outside = -log[: len(ids)], -log[len(ids) : len(ids) + len(after)]
        whole = np.concatenate([inside, outside])
        result.append(
            Filling(
                ids,
                *(float(part.mean()) if len(part) else 0.0 for part in (inside, outside, whole)),
            )
        )
    return result
