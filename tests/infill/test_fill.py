"""What is proposed, joined and kept for a gap."""

from itertools import product

import numpy as np
import pytest
from infill_models import memory_of, model_of, read, sides_of

from charrnn.infill.fill import Candidates, Gap, Proposals, fillings, pairs, ranked_fillings, scored

SENTENCE = "The quick brown fox jumps over the lazy dog, said Zoe.\n"
MODEL = model_of(SENTENCE * 30)


def filled(before, after, least, most, *, model=MODEL, count=1, seed=0):
    sides, ids = read(model, before)
    after = model.vocab.encode(after).astype(np.int64)
    found = fillings(sides, Gap(ids, after, least, most), count, seed)
    return [model.vocab.decode(list(each.ids)) for each in found], found


def test_only_one_thing_fits():
    texts, _ = filled("The quick ", "fox jumps", 1, 20)
    assert texts == ["brown "]
    texts, _ = filled(SENTENCE + "The quick ", " said Zoe.\n", 30, 40)
    assert texts == ["brown fox jumps over the lazy dog,"]


def test_nothing_is_before():
    assert filled("", "quick brown fox", 4, 8)[0] == ["The "]


def test_fillings_differ_have_the_length_and_come_best_first():
    texts, found = filled("The ", "dog", 3, 9, count=8)
    assert len(set(texts)) == len(texts) == 8
    assert all(3 <= len(text) <= 9 for text in texts)
    assert [each.loss for each in found] == sorted(each.loss for each in found)


def test_a_seed_gives_the_same_fillings():
    one, other, third = (filled("The ", "dog", 2, 12, count=5, seed=s)[1] for s in (1, 1, 2))
    assert one == other != third


def test_fillings_come_as_often_as_the_model_expects_them():
    """Two symbols of three between 0 1 and 2 1: nine fillings, their probability by enumeration."""
    rng = np.random.default_rng(3)
    memory = memory_of(rng.choice(3, 300, p=[0.5, 0.3, 0.2]), 3, order=2)
    sides, gap = sides_of(memory), Gap(np.array([0, 1]), np.array([2, 1]), 2, 2)
    all_of_them = list(product(range(3), repeat=2))
    losses = [each.loss for each in scored(sides[0], gap, all_of_them)]
    wanted = np.exp(-4 * np.array(losses))
    wanted /= wanted.sum()
    first = [fillings_first(sides, gap, seed) for seed in range(400)]
    shares = [first.count(each) / len(first) for each in all_of_them]
    assert shares == pytest.approx(wanted, abs=0.08)


def fillings_first(sides, gap, seed):
    """Return the filling that is drawn first, before they are sorted."""
    from charrnn.infill.fill import cuts, proposed

    rng = np.random.default_rng(seed)
    forward = proposed(sides[0], gap.before, 32, gap.most, rng)
    backward = proposed(sides[1], gap.after[::-1], 4, gap.most, rng)
    return next(ranked_fillings([cuts(sides[0], gap, forward)], forward, backward, rng))


def proposals_of(ids, bits):
    """Return proposals with packed contexts of up to four symbols, after a text of zeros."""
    packed = np.zeros((len(ids), ids.shape[1] + 1), dtype=np.uint64)
    for t in range(ids.shape[1]):
        packed[:, t + 1] = (
            packed[:, t] << np.uint64(bits) | ids[:, t].astype(np.uint64)
        ) & np.uint64((1 << 4 * bits) - 1)
    return Proposals(ids, np.zeros(packed.shape), packed, np.full(packed.shape, 4))


def test_pairs_are_all_that_agree():
    rng = np.random.default_rng(0)
    forward, backward = (proposals_of(rng.integers(0, 3, (5, 6)), 2) for _ in range(2))
    gap, size = Gap(np.array([]), np.array([]), 3, 5), 2
    wanted = set()
    for row, cut, back, taken in product(range(5), range(size, 7), range(5), range(size, 7)):
        end = forward.ids[row, :cut][-size:].tolist()
        start = backward.ids[back, :taken][::-1][:size].tolist()
        if end == start and 3 <= cut + taken - size <= 5:
            wanted.add((row, cut, back, taken - size))
    found = list(
        zip(*(each.tolist() for each in pairs(gap, forward, backward, size, 2)), strict=True)
    )
    assert len(found) == len(set(found))
    assert set(found) == wanted
    assert wanted


def test_a_join_is_weighed_as_the_whole():
    """Its weight plus the log-probability of the continuation and of the beginning is that of all."""
    from charrnn.infill.fill import joins, proposed

    sides, before = read(MODEL, "The quick ")
    after = MODEL.vocab.encode("jumps over").astype(np.int64)
    gap, rng = Gap(before, after, 6, 14), np.random.default_rng(0)
    forward = proposed(sides[0], before, 20, 14, rng)
    backward = proposed(sides[1], after[::-1], 20, 14, rng)
    (found,) = joins(sides[0], gap, forward, backward, rng)
    assert len(found.row) > 20
    for i in range(0, len(found.row), len(found.row) // 20):
        row, cut, back, rest = (
            int(part[i]) for part in (found.row, found.cut, found.back, found.rest)
        )
        prefix = [*before, *forward.ids[row, :cut]]
        tail = [*backward.ids[back, :rest][::-1], *after[: sides[0].memory.order]]
        ids = np.array([*prefix, *tail], dtype=np.int64)
        packed, lengths = sides[0].contexts(ids)
        each = sides[0].log_p(packed[:-1], lengths[:-1], ids)
        proposed_as = backward.sums[back, rest + 4] + np.log(20 * backward.ids.shape[1])
        assert found.weights[i] == pytest.approx(each[len(prefix) :].sum() - proposed_as)


def test_equal_fillings_are_one():
    ids = np.array([[1, 2], [1, 2]])
    proposals = proposals_of(ids, 2)
    rows, none = np.array([0, 1]), np.zeros(2, dtype=np.int64)
    same = Candidates(rows, np.array([2, 2]), none, none, np.zeros(2))
    found = list(ranked_fillings([same], proposals, proposals, np.random.default_rng(0)))
    assert found == [(1, 2)]
