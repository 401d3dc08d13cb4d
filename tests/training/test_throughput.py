"""Measured times, with a clock that the tests turn by hand."""

import pytest
from training_runs import Clock

from charrnn.training.throughput import Throughput


def test_the_speed_leaves_out_the_first_three_steps():
    throughput = Throughput(Clock())
    for step, seconds in ((1, 9.0), (2, 9.0), (3, 9.0), (4, 0.5), (5, 0.5)):
        throughput.trained(step, 1, 100, seconds)
    assert throughput.chars_per_second == 200
    assert throughput.step_seconds == 0.5


def test_seconds_count_over_all_sessions():
    clock = Clock()
    throughput = Throughput(clock)
    throughput.start()
    clock.now += 60
    assert throughput.elapsed() == throughput.session_seconds() == 60
    resumed = Throughput(clock)
    resumed.resume(10, throughput.timing())
    clock.now += 500  # what happens before the first step does not count
    resumed.start()
    clock.now += 2
    assert (resumed.elapsed(), resumed.session_seconds()) == (62, 2)


def test_a_resumed_session_keeps_the_measurements_and_has_cold_steps_of_its_own():
    throughput = Throughput(Clock())
    throughput.trained(4, 1, 100, 0.5)
    throughput.evaluated(4, 300, 0.1)
    resumed = Throughput(Clock())
    resumed.resume(10, throughput.timing())
    for step, seconds in ((11, 9.0), (12, 9.0), (13, 9.0), (14, 1.5)):
        resumed.trained(step, 1, 100, seconds)
    assert resumed.step_seconds == 1.0
    assert resumed.chars_per_second == 100
    assert resumed.scored_per_second == pytest.approx(3000)


def test_the_slower_of_the_last_two_validations_is_the_speed_of_the_next():
    throughput = Throughput(Clock())
    assert throughput.scored_per_second == 30_000  # nothing was measured
    throughput.trained(4, 1, 100, 0.5)
    assert throughput.scored_per_second == 3 * 200
    found = []
    for step, seconds in ((10, 0.5), (20, 0.25), (30, 0.1), (40, 0.2)):
        throughput.evaluated(step, 100, seconds)
        found.append(throughput.scored_per_second)
    assert found == [200, 200, 400, 500]


def test_wall_time_per_step_is_that_between_the_last_three_marks():
    clock = Clock()
    throughput = Throughput(clock)
    throughput.start()
    found = []
    for step, seconds in ((10, 10.0), (20, 10.0), (30, 30.0), (40, 60.0)):
        clock.now += seconds
        throughput.mark(step)
        found.append(throughput.wall_per_step)
    assert found == [None, 1.0, 2.0, 4.5]
    throughput.roll_back(35)
    assert throughput.wall_per_step is None


def test_the_first_steps_after_a_rollback_are_cold_again():
    throughput = Throughput(Clock())
    throughput.trained(4, 1, 100, 0.5)
    throughput.roll_back(4)
    for step, seconds in ((5, 9.0), (6, 9.0), (7, 9.0), (8, 1.5)):
        throughput.trained(step, 1, 100, seconds)
    assert throughput.step_seconds == 1.0
