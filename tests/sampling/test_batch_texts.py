"""Texts as arrays are the texts that come symbol by symbol."""

from itertools import islice

import numpy as np
import pytest

from charrnn.sampling.batch_texts import BatchTexts, uniform_blocks
from charrnn.sampling.jobs import StopFinder, uniforms


def one_by_one(symbols, stops):
    """Return what a text is when StopFinder reads it symbol by symbol."""
    finder, text = StopFinder(stops), []
    for symbol in symbols:
        text += finder.feed(symbol)
        if finder.is_found:
            return text, "stop"
    return text + finder.finish(), "length"


def by_arrays(symbols, stops, sizes):
    """Return the texts, (N, B), given in blocks of these sizes."""
    texts, begin = BatchTexts(stops, symbols.shape[1]), 0
    for size in sizes:
        texts.add(symbols[begin : begin + size])
        begin += size
    return [(ids.tolist(), finish) for ids, finish in texts.written()], texts.are_over


@pytest.mark.parametrize("sizes", [(40,), (32, 8), (1,) * 40, (3, 1, 30, 2, 4)])
@pytest.mark.parametrize(
    "stops",
    [[], [[]], [[0]], [[1, 1]], [[0, 1, 0, 1, 2]], [[1, 2], [0, 1, 2], [2]], [[0] * 50, [2, 2]]],
)
def test_texts_end_where_they_end_symbol_by_symbol(stops, sizes):
    symbols = np.random.default_rng(2).integers(0, 3, (40, 200)).astype(np.uint8)
    found, are_over = by_arrays(symbols, stops, sizes)
    expected = [one_by_one(column.tolist(), stops) for column in symbols.T]
    assert found == expected
    assert are_over == all(finish == "stop" for _, finish in expected)


def test_the_longest_of_the_stops_that_end_together_is_left_out():
    symbols = np.array([[7], [1], [2], [9], [9]], dtype=np.uint8)
    assert by_arrays(symbols, [[2], [1, 2]], (5,)) == ([([7], "stop")], True)


def test_uniform_numbers_are_those_of_each_seed():
    seeds = [3, 1 << 60, 3]
    found = np.concatenate([b.copy() for b in islice(uniform_blocks(seeds, 5, 32), 20)])
    assert found.shape == (640, 5)
    for column, seed in zip(found.T, seeds, strict=False):
        assert column.tolist() == list(islice(uniforms(seed), 640))
    assert not found[:, 3:].any()
