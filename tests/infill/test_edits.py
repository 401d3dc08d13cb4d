"""The gain of a change, against the likelihood of the whole changed text."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from infill_models import memory_of, sides_of

from charrnn.infill.edits import HOPELESS, Edits, Side

NEWLINE, V = 0, 4


def all_changes(ids, other):
    """Return a change of each kind at each position."""
    T, changes = len(ids), []
    for i in range(T):
        changes += [(i, i + 1, [other, -1]), (i, i, [other, -1]), (i, i + 1, [-1, -1])]
        if i + 1 < T:
            changes.append((i, i + 2, [ids[i + 1], ids[i]]))
    return Edits(*(np.array(each) for each in zip(*changes, strict=True)))


def likelihood(reader, ids):
    packed, lengths = reader.contexts(ids)
    return reader.log_p(packed[:-1], lengths[:-1], ids).sum()


def changed(ids, edits, i):
    new = edits.new[i, : edits.sizes[i]]
    return np.concatenate([ids[: edits.begin[i]], new, ids[edits.end[i] :]]).astype(np.int64)


@pytest.mark.parametrize("records", [False, True])
@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.integers(0, V - 1), min_size=8, max_size=40),
    st.lists(st.integers(0, V - 1), min_size=1, max_size=12),
    st.integers(0, V - 1),
)
def test_a_gain_is_the_difference_of_both_texts(records, learned, ids, other):
    """Forward and backward. The network is left out, so the whole is a sum over n-grams."""
    ids = np.array(ids)
    memory = memory_of([*learned, 1, NEWLINE], V, newline=NEWLINE if records else None)
    edits = all_changes(ids, other)
    for reader, text, each in zip(
        sides_of(memory, newline=NEWLINE, records=records),
        (ids, ids[::-1]),
        (edits, edits.turned(len(ids))),
        strict=True,
    ):
        side = Side(reader, text, (1.0, 1.0))
        side.open(0, len(text))
        wanted = [
            likelihood(reader, changed(text, each, i)) - likelihood(reader, text)
            for i in range(len(each.begin))
        ]
        assert sum(side.differences(each)) == pytest.approx(wanted, abs=1e-5)


def test_a_turned_change_changes_the_turned_text():
    ids = np.array([1, 2, 3, 1, 1])
    edits = all_changes(ids, 2)
    turned = edits.turned(len(ids))
    for i in range(len(edits.begin)):
        assert changed(ids[::-1], turned, i).tolist() == changed(ids, edits, i)[::-1].tolist()


def test_what_is_given_up_early_is_hopeless():
    """What is not given up has its full gain."""
    ids = np.array([1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3] * 3)
    side = Side(sides_of(memory_of(ids, V, order=6))[0], ids, (1.0, 1.0))
    side.open(0, len(ids))
    edits = all_changes(ids, 2)
    exact, found = side.gains(edits, -np.inf), side.gains(edits)
    assert (found < HOPELESS).any()
    is_open = found >= HOPELESS
    assert found[is_open] == pytest.approx(exact[is_open])
    assert (exact[~is_open] < -2).all()
