"""The plan as data: rates and totals by hand."""

import math
from itertools import pairwise

import pytest

from charrnn.training.schedule import UNKNOWN, learning_rate, position, steps_for_budget


def test_the_position_in_a_cycle_runs_from_zero_to_one():
    assert [position(step, [(0, 200)]) for step in (0, 50, 100, 200)] == [
        (0, 0), (0, 0.25), (0, 0.5), (0, 1),
    ]  # fmt: skip


def test_a_correction_goes_on_from_where_the_plan_was():
    plan = [(0, 200), (100, 150)]  # half-way through, the end moves from 200 to 150
    assert position(100, plan) == (0, 0.5)
    assert position(125, plan) == (0, 0.75)
    assert position(150, plan) == (0, 1)


def test_a_later_end_slows_down_but_never_goes_back():
    plan = [(0, 200), (100, 500)]
    assert position(100, plan) == (0, 0.5)
    assert position(300, plan) == (0, 0.75)
    rates = [learning_rate(step, plan, 1.0, 0) for step in range(500)]
    assert all(later <= earlier for earlier, later in pairwise(rates))


def test_a_plan_that_begins_at_the_end_of_another_is_a_new_cycle():
    plan = [(0, 30), (30, 50)]
    assert position(29, plan) == (0, pytest.approx(29 / 30))
    assert position(30, plan) == (1, 0)
    assert position(40, plan) == (1, 0.5)
    assert position(40, [(0, 31), (30, 50)]) == (0, pytest.approx(30 / 31 + 1 / 31 / 2))


def test_before_a_time_budget_is_planned_nothing_has_decayed():
    assert learning_rate(5000, [(0, UNKNOWN)], 0.004, 60) == pytest.approx(0.004, rel=1e-5)


def test_the_rate_warms_up_then_falls_in_a_straight_line():
    plan, peak = [(0, 1000)], 2.0
    assert learning_rate(0, plan, peak, 50) == pytest.approx(2.0 / 50)
    assert learning_rate(24, plan, peak, 50) == pytest.approx(2.0 * 25 / 50 * 0.976)
    assert learning_rate(250, plan, peak, 50) == pytest.approx(1.5)
    assert learning_rate(1000, plan, peak, 50) == pytest.approx(0.0)


def test_the_rate_of_an_older_run_falls_as_half_a_cosine():
    plan, peak = [(0, 1000)], 2.0
    assert learning_rate(250, plan, peak, 50, 3) == pytest.approx(1 + math.sqrt(0.5))
    assert learning_rate(0, plan, peak, 50, 3) == pytest.approx(2.0 / 50)
    assert learning_rate(24, plan, peak, 50, 3) == pytest.approx(
        2.0 * 25 / 50 * 0.5 * (1 + math.cos(math.pi * 0.024))
    )
    assert learning_rate(500, plan, peak, 50, 3) == pytest.approx(1.0)
    assert learning_rate(1000, plan, peak, 50, 3) == pytest.approx(0.0)


def test_warm_up_takes_at_most_a_tenth_of_the_plan():
    # 100 steps: 10 of warm-up, so step 9 is at the peak of the ramp.
    ramp = learning_rate(9, [(0, 100)], 1.0, 60) / 0.91
    assert ramp == pytest.approx(1.0)
    assert learning_rate(0, [(0, 5)], 1.0, 60) == pytest.approx(1.0)
    # It follows a correction: 300 steps have 30.
    assert learning_rate(14, [(0, 100), (8, 300)], 1.0, 60) == pytest.approx(
        0.5 * (1 - position(14, [(0, 100), (8, 300)])[1])
    )


@pytest.mark.parametrize(
    ("epochs", "steps", "max_time", "expected"),
    [
        (None, None, None, (40 * 13, 600.0)),
        (None, None, 90.0, (None, 90.0)),
        (None, 77, None, (77, None)),
        (None, 77, 90.0, (77, 90.0)),
        (2.5, None, None, (32, None)),  # 2.5 * 13 = 32.5, to even
        (0.001, None, None, (1, None)),
    ],
)
def test_a_budget_is_so_many_steps_and_so_many_seconds(epochs, steps, max_time, expected):
    assert steps_for_budget(epochs, steps, max_time, steps_per_epoch=13) == expected


def test_every_cycle_but_the_first_has_half_its_height():
    plan = [(0, 30), (30, 50), (50, 90)]
    assert learning_rate(0, plan, 2.0, 0) == pytest.approx(2.0)
    assert learning_rate(30, plan, 2.0, 0) == pytest.approx(1.0)
    assert learning_rate(40, plan, 2.0, 0) == pytest.approx(0.5)
    assert learning_rate(50, plan, 2.0, 0) == pytest.approx(1.0)
    assert learning_rate(70, plan, 2.0, 0) == pytest.approx(0.5)
