"""Filters on distributions of four characters, worked out by hand; and the draw."""

import numpy as np
import pytest

from charrnn.core.config import SampleConfig
from charrnn.sampling.filters import (
    apply_filters,
    draw,
    keep_argmax,
    keep_top_k,
    keep_top_p,
    probabilities,
    scale,
)

HALVES = (0.5, 0.25, 0.125, 0.125)
NEARLY_ONE = 1 - 2.0**-53
"""The largest number that a random generator returns."""


def floats(values):
    return np.array(values, dtype=np.float32)


def logits(*shares: float):
    with np.errstate(divide="ignore"):
        return np.log(np.array(shares, dtype=np.float32))


def assert_shares(found, *expected):
    np.testing.assert_allclose(probabilities(found), expected, rtol=1e-6)


def filtered(shares, **settings):
    return apply_filters(logits(*shares), SampleConfig(**({"temperature": 1.0} | settings)))


def test_temperature_one_half_squares_the_odds():
    # squares 1/4, 1/16, 1/64, 1/64 add up to 22/64
    assert_shares(scale(logits(*HALVES), 0.5), 16 / 22, 4 / 22, 1 / 22, 1 / 22)


def test_temperature_two_takes_their_roots():
    # roots 0.8, 0.4, 0.4, 0.2 add up to 1.8
    assert_shares(scale(logits(0.64, 0.16, 0.16, 0.04), 2.0), 4 / 9, 2 / 9, 2 / 9, 1 / 9)


def test_without_any_filter_the_distribution_stays():
    assert_shares(filtered(HALVES), *HALVES)


def test_temperature_zero_takes_the_largest_logit():
    assert_shares(filtered((0.2, 0.1, 0.6, 0.1), temperature=0.0), 0, 0, 1, 0)


def test_temperature_zero_takes_the_first_of_equals():
    assert_shares(keep_argmax(floats([1, 3, 3, 2])), 0, 1, 0, 0)
    assert_shares(filtered((0.1, 0.4, 0.1, 0.4), temperature=0.0, top_k=2), 0, 1, 0, 0)


def test_a_temperature_near_zero_is_argmax_without_overflow():
    assert_shares(filtered(HALVES, temperature=1e-320), 1, 0, 0, 0)


def test_a_huge_temperature_makes_all_possible_characters_equal():
    assert_shares(filtered((0.9, 0.1, 0.0, 0.0), temperature=1e300), 1 / 2, 1 / 2, 0, 0)


@pytest.mark.parametrize("temperature", [5e-324, 1e-45, 1e-6, 1.0, 1e38, 1e39, 1.7e308])
def test_no_temperature_makes_nan_of_logits_far_apart(temperature):
    far = floats([-1e4, 0, -np.inf, 1e4])
    result = apply_filters(far, SampleConfig(temperature=temperature))
    assert not np.isnan(probabilities(result)).any()


def test_top_k_leaves_k_characters():
    assert_shares(keep_top_k(logits(*HALVES), 2), 2 / 3, 1 / 3, 0, 0)
    assert_shares(keep_top_k(logits(0.125, 0.25, 0.125, 0.5), 1), 0, 0, 0, 1)


def test_ties_with_the_kth_stay():
    assert_shares(keep_top_k(logits(*HALVES), 3), *HALVES)
    assert_shares(keep_top_k(logits(0.4, 0.1, 0.1, 0.4), 1), 1 / 2, 0, 0, 1 / 2)


def test_top_k_keeps_what_is_impossible_impossible():
    assert_shares(keep_top_k(logits(0.75, 0.25, 0.0, 0.0), 3), 3 / 4, 1 / 4, 0, 0)


@pytest.mark.parametrize("top_k", [0, 4, 5, 1000])
def test_top_k_of_zero_or_of_all_leaves_everything(top_k):
    assert_shares(filtered(HALVES, top_k=top_k), *HALVES)


@pytest.mark.parametrize("k", [0, 5])
def test_a_k_outside_the_vocabulary_is_a_mistake_of_the_caller(k):
    with pytest.raises(ValueError, match=rf"\[1, 4\], got {k}"):
        keep_top_k(logits(*HALVES), k)


def test_top_p_keeps_the_character_that_crosses_p():
    assert_shares(keep_top_p(logits(*HALVES), 0.6), 2 / 3, 1 / 3, 0, 0)


def test_top_p_stops_where_p_is_reached_exactly():
    assert_shares(keep_top_p(logits(*HALVES), 0.5), 1, 0, 0, 0)


def test_top_p_always_leaves_one():
    assert_shares(keep_top_p(logits(*HALVES), 1e-12), 1, 0, 0, 0)


def test_of_ties_top_p_takes_the_first():
    assert_shares(keep_top_p(logits(0.125, 0.5, 0.125, 0.25), 0.8), 1 / 7, 4 / 7, 0, 2 / 7)


def test_min_p_is_a_share_of_the_likeliest():
    assert_shares(filtered(HALVES, min_p=0.26), 2 / 3, 1 / 3, 0, 0)  # 0.26 / 2 = 0.13
    assert_shares(filtered(HALVES, min_p=0.24), *HALVES)  # 0.24 / 2 = 0.12


def test_min_p_of_one_leaves_the_likeliest_and_its_equals():
    assert_shares(filtered((0.4, 0.1, 0.1, 0.4), min_p=1.0), 1 / 2, 0, 0, 1 / 2)


def test_a_min_p_too_small_for_float32_leaves_everything():
    assert_shares(filtered(HALVES, min_p=5e-324), *HALVES)


def test_temperature_comes_before_top_p():
    # 16/22 reaches 0.7 alone; at temperature 1 it would take two characters
    assert_shares(filtered(HALVES, temperature=0.5, top_p=0.7), 1, 0, 0, 0)


def test_top_k_comes_before_top_p():
    # of two characters the first has 2/3, more than 0.6; of four it has 1/2, less
    assert_shares(filtered(HALVES, top_k=2, top_p=0.6), 1, 0, 0, 0)


def test_top_p_comes_before_min_p():
    # 0.5 and 0.25 reach 0.6; after min-p the first alone would, with 2/3
    assert_shares(filtered(HALVES, top_p=0.6, min_p=0.3), 2 / 3, 1 / 3, 0, 0)


def test_temperature_comes_before_min_p():
    # at temperature 1/2 the second is 1/4 as likely as the first, at 1 it is 1/2
    assert_shares(filtered(HALVES, temperature=0.5, min_p=0.3), 1, 0, 0, 0)


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_a_batch_is_filtered_row_by_row(temperature):
    rows = np.random.default_rng(3).normal(0, 2, (5, 7)).astype(np.float32)
    config = SampleConfig(temperature=temperature, top_k=6, top_p=0.95, min_p=0.02)
    result = apply_filters(rows, config)
    for row, expected in zip(result, rows, strict=True):
        np.testing.assert_array_equal(row, apply_filters(expected, config))


def test_filters_leave_their_input_as_it_was():
    given = logits(*HALVES)
    apply_filters(given, SampleConfig(temperature=0.5, top_k=3, top_p=0.9, min_p=0.1))
    np.testing.assert_array_equal(given, logits(*HALVES))


def test_filters_return_float32():
    config = SampleConfig(temperature=0.7, top_k=3, top_p=0.9, min_p=0.1)
    assert apply_filters(logits(*HALVES), config).dtype == np.float32
    assert keep_argmax(logits(*HALVES)).dtype == np.float32


@pytest.mark.parametrize(
    ("uniform", "expected"),
    [(0.0, 0), (0.49, 0), (0.51, 1), (0.74, 1), (0.76, 2), (0.87, 2), (0.88, 3), (NEARLY_ONE, 3)],
)
def test_draw_inverts_the_cumulative_sum(uniform, expected):
    assert draw(logits(*HALVES), uniform) == expected  # sums 0.5, 0.75, 0.875, 1


def test_a_number_on_an_edge_belongs_to_the_next_character():
    edges = (0.0, 0.25, 0.5, 0.75)
    assert [int(draw(np.zeros(4, np.float32), u)) for u in edges] == [0, 1, 2, 3]
    assert draw(np.zeros((4, 4), np.float32), np.array(edges)).tolist() == [0, 1, 2, 3]


def test_a_draw_at_the_very_end_is_the_last_symbol():
    """A number below 1 never reaches the sum, by rounding neither; 1 itself or infinity would."""
    rows = np.log(np.array([[0.3, 0.7], [0.1, 1.0], [1.0, np.inf]], np.float32))
    numbers = np.array([1.0, np.nextafter(1, 0), 0.5])
    assert draw(rows, numbers).tolist() == [1, 1, 1]
    assert [draw(row, u) for row, u in zip(rows, numbers, strict=True)] == [1, 1, 1]


@pytest.mark.parametrize(("uniform", "expected"), [(0.0, 1), (0.5, 3), (NEARLY_ONE, 3)])
def test_draw_never_returns_an_impossible_character(uniform, expected):
    assert draw(logits(0.0, 0.5, 0.0, 0.5, 0.0), uniform) == expected


def test_draw_ends_inside_any_row_for_the_largest_number():
    rows = np.random.default_rng(5).normal(0, 3, (1000, 7)).astype(np.float32)
    rows[:, 5:] = -np.inf
    assert draw(rows, np.full(1000, NEARLY_ONE)).max() == 4
    assert draw(rows, np.zeros(1000)).max() == 0


def test_each_row_is_drawn_with_its_own_number():
    rows = np.stack([logits(*HALVES), logits(*HALVES[::-1]), logits(*HALVES)])
    assert draw(rows, np.array([0.6, 0.6, 0.9])).tolist() == [1, 3, 3]


def test_frequencies_follow_the_probabilities():
    shares, count = (0.4, 0.3, 0.2, 0.1), 20_000
    rows = np.broadcast_to(logits(*shares), (count, 4))
    drawn = draw(rows, np.random.default_rng(7).random(count))
    # one standard deviation is at most sqrt(0.25 / 20,000) = 0.0035
    np.testing.assert_allclose(np.bincount(drawn) / count, shares, atol=0.02)
