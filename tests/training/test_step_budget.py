"""Time, with a clock that the tests turn by hand."""

import dataclasses

import pytest
from training_runs import Clock

from charrnn.checkpoints.state import Timing
from charrnn.core.config import TrainConfig
from charrnn.training.step_budget import Budget
from charrnn.training.throughput import Throughput


def run_budget(config, *, step_seconds, steps_per_epoch=100, held_out=100_000, eval_rate=100_000.0):
    """Play a run through a budget; return it, the last step, and the seconds taken."""
    clock = Clock()
    throughput = Throughput(clock)
    budget = Budget(config, steps_per_epoch, held_out, throughput, chars_per_step=2048)
    throughput.start()
    step = 0
    while step < budget.total_steps and not budget.is_spent(step):
        seconds = step_seconds(step)
        clock.now += seconds
        step += 1
        throughput.trained(step, 1, 2048, seconds)
        _ = budget.plan_if_due(step) or budget.correct_if_due(step)
        if budget.is_due(budget.eval_every, step):
            clock.now += budget.eval_chars / eval_rate
            throughput.evaluated(step, budget.eval_chars, budget.eval_chars / eval_rate)
            budget.correct(step)
    clock.now += (budget.eval_chars + held_out) / eval_rate  # the end of a run
    return budget, step, clock.now - 1000.0


def test_a_plan_in_steps_is_known_from_the_start():
    budget = Budget(TrainConfig(epochs=3), 100, 1000, Throughput(Clock()), chars_per_step=1000)
    assert budget.plan == [(0, 300)]


def test_a_time_budget_is_kept_at_a_steady_speed():
    budget, step, seconds = run_budget(TrainConfig(max_time=300), step_seconds=lambda step: 0.05)
    assert step == budget.total_steps
    assert 285 <= seconds <= 315


def test_a_time_budget_is_kept_when_the_machine_slows_down():
    budget, step, seconds = run_budget(
        TrainConfig(max_time=300), step_seconds=lambda step: 0.05 if step < 2000 else 0.1
    )
    assert 285 <= seconds <= 315
    assert step == budget.total_steps
    assert len(budget.plan) > 2  # at least one correction


def test_a_time_budget_is_used_when_the_machine_becomes_faster():
    _, step, seconds = run_budget(
        TrainConfig(max_time=300), step_seconds=lambda step: 0.1 if step < 1000 else 0.05
    )
    assert 285 <= seconds <= 315
    assert step > 3500


def test_a_time_budget_is_used_when_the_machine_was_slow_while_the_plan_was_made():
    budget, step, seconds = run_budget(
        TrainConfig(max_time=60), step_seconds=lambda step: 1.0 if step < 10 else 0.03
    )
    first_plan = budget.plan[1][1]
    assert first_plan < budget.eval_every  # so that no validation corrects it
    assert 57 <= seconds <= 63
    assert step > 1000  # 50 s of 0.03 s a step, less validations


def test_a_sudden_standstill_ends_the_run_in_time():
    budget, step, seconds = run_budget(
        TrainConfig(max_time=100), step_seconds=lambda step: 0.05 if step < 1700 else 1.0
    )
    assert step < budget.total_steps
    assert seconds <= 105


def test_a_tiny_time_budget_stays_within_five_seconds():
    _, step, seconds = run_budget(TrainConfig(max_time=2), step_seconds=lambda step: 0.1)
    assert step >= 1
    assert seconds <= 7


def test_the_shorter_of_steps_and_time_counts():
    budget, step, _ = run_budget(
        TrainConfig(max_time=300, steps=50), step_seconds=lambda step: 0.05
    )
    assert step == budget.total_steps == 50
    budget, step, seconds = run_budget(
        TrainConfig(max_time=60, steps=100_000), step_seconds=lambda step: 0.05
    )
    assert step < 1300
    assert 55 <= seconds <= 65


def test_validations_are_about_twenty_and_take_at_most_a_twentieth_of_the_time():
    budget, step, seconds = run_budget(TrainConfig(max_time=600), step_seconds=lambda step: 0.05)
    count = step // budget.eval_every
    assert 15 <= count <= 21
    assert count * budget.eval_chars / 100_000 <= 0.05 * seconds


def test_saves_are_a_minute_apart():
    budget, _, _ = run_budget(TrainConfig(max_time=600), step_seconds=lambda step: 0.05)
    assert budget.save_every == pytest.approx(60 / 0.05, rel=0.02)


def test_cadences_that_are_given_are_kept():
    config = TrainConfig(steps=100, eval_every=7, save_every=11, sample_every=0)
    budget, _, _ = run_budget(config, step_seconds=lambda step: 0.05)
    assert (budget.eval_every, budget.save_every, budget.sample_every) == (7, 11, 0)
    assert [step for step in range(1, 101) if budget.is_due(budget.eval_every, step)] == list(
        range(7, 100, 7)
    )
    assert not any(budget.is_due(budget.sample_every, step) for step in range(1, 101))


def test_reports_are_some_tenths_of_a_second_apart():
    budget = Budget(TrainConfig(steps=10_000), 100, 1000, Throughput(Clock()), chars_per_step=1000)
    assert budget.window() == 1
    budget.throughput.trained(4, 1, 100, 0.002)
    assert budget.window() == 100


@pytest.mark.parametrize(("most_seconds", "slack"), [(20, 2.5), (100, 2.5), (400, 10.0)])
def test_a_run_may_go_over_its_time_by_a_share_of_it_or_a_few_seconds(most_seconds, slack):
    clock = Clock()
    budget = Budget(
        TrainConfig(max_time=most_seconds, steps=1000),
        100,
        0,
        Throughput(clock),
        chars_per_step=1000,
    )
    budget.throughput.start()
    last = 1000.0 + most_seconds + slack - budget.seconds_to_end()
    clock.now = last - 0.01
    assert not budget.is_spent(1)
    clock.now = last + 0.01
    assert budget.is_spent(1)
    assert not budget.is_spent(0)  # one step at least
    assert not budget.is_spent(1000)  # the plan has had its end


def test_the_time_left_is_never_longer_than_the_time_budget():
    budget, clock = timed(TrainConfig(max_time=20), held_out=0)
    budget.plan_if_due(30)
    clock.now += 6.0  # nine of 20 seconds, and the machine is now far slower than planned
    budget.throughput.trained(31, 1, 1000, 6.0)
    assert budget.forecast(31) > 20.0 + 2.5
    assert budget.seconds_left(31) == pytest.approx(20.0 + 2.5 - 9.0)


def timed(config=None, *, held_out=1_000_000, step_seconds=0.1, **kinds):
    """Return a budget that knows its speed, and its clock: 1,000 characters a step."""
    clock = Clock()
    throughput = Throughput(clock)
    budget = Budget(
        config or TrainConfig(max_time=100), 100, held_out, throughput, chars_per_step=1000, **kinds
    )
    throughput.start()
    for step in range(1, 31):
        clock.now += step_seconds
        throughput.trained(step, 1, 1000, step_seconds)
    return budget, clock


@pytest.mark.parametrize(("is_float32", "seconds"), [(True, 5.0), (False, 9.2)])
def test_the_end_of_a_run_is_timed_by_what_is_read_and_not_by_what_is_scored(is_float32, seconds):
    """A validation reads 16,000 + 16,000 characters in 0.8 s: 40,000 a second.

    Both final evaluations score 76,000, and one warms up: 168,000 characters, 4.2 or 8.4 s.
    """
    budget, _ = timed(held_out=76_000, num_scores=2, num_warm_up=16_000, is_float32=is_float32)
    budget.eval_chars = 16_000
    budget.throughput.evaluated(30, budget.num_read(16_000), 0.8)
    budget.throughput.saved(0.0)
    assert budget.seconds_to_end() == pytest.approx(seconds)


def test_nothing_is_due_at_the_very_end_but_the_end():
    budget = Budget(
        TrainConfig(steps=20, eval_every=5, save_every=7),
        100,
        1000,
        Throughput(Clock()),
        chars_per_step=1000,
    )
    assert [s for s in range(1, 23) if budget.is_due(5, s)] == [5, 10, 15]
    assert [s for s in range(1, 23) if budget.is_anything_due(s)] == [5, 7, 10, 14, 15, 20, 21, 22]


@pytest.mark.parametrize(("seconds", "is_off"), [(0.0, False), (0.3, False), (5.0, True)])
def test_a_plan_that_is_a_little_off_stays(seconds, is_off):
    budget, clock = timed(held_out=0)
    assert budget.plan_if_due(30)
    plan = list(budget.plan)
    clock.now += seconds
    assert budget.correct(30) == is_off
    assert (budget.plan == plan) != is_off
    assert not budget.correct(budget.total_steps)


@pytest.mark.parametrize("has_validated", [True, False])
def test_all_validations_of_a_run_are_over_the_same_characters_also_after_a_resume(has_validated):
    config = TrainConfig(max_time=1000)
    budget, _ = timed(config)
    budget.plan_if_due(30)
    if has_validated:
        budget.throughput.evaluated(30, budget.eval_chars, 0.5)
    timing = budget.timing()
    assert timing.eval_chars == budget.eval_chars > 16_384
    slower, clock = timed(config, step_seconds=1.0)
    timing = dataclasses.replace(timing, is_planned=False)
    slower.throughput.resume(30, timing)
    slower.resume(budget.plan, timing)
    slower.throughput.start()
    for step in range(31, 61):
        clock.now += 1.0
        slower.throughput.trained(step, 1, 1000, 1.0)
    assert slower.plan_if_due(60)
    assert slower.eval_chars == timing.eval_chars
    untold, _ = timed()
    assert untold.timing().eval_chars is None


def test_a_rollback_keeps_what_was_planned_at_its_step():
    budget = Budget(TrainConfig(steps=100), 100, 1000, Throughput(Clock()), chars_per_step=1000)
    budget.plan = [(0, 100), (20, 80), (21, 90)]
    budget.roll_back(20)
    assert budget.plan == [(0, 100), (20, 80)]


def test_the_end_takes_longer_where_training_is_in_16_bits():
    """In float32 half as many characters are scored in the time, down to the floor of 200,000."""
    (single, _), (half, _) = timed(), timed(is_float32=False)
    rate = 3 * 10_000  # three times the speed of training
    assert (single.final_chars(), half.final_chars()) == pytest.approx((300_000, 200_000), abs=5)
    for budget, factor in ((single, 1), (half, 2)):
        read = budget.eval_chars + factor * budget.final_chars()
        assert budget.seconds_to_end() == pytest.approx(read / rate + 0.2)


@pytest.mark.parametrize(
    ("held_out", "seconds", "num_scores", "expected"),
    [
        (1_000_000, 100, 1, 300_000),  # 10 s at 30,000 a second
        (1_000_000, 100, 2, 200_000),  # affordable are 150,000; the floor is 200,000
        (1_000_000, 100, 6, 150_000),  # three times 50,000 is below the floor
        (1_000_000, 300, 1, 900_000),
        (150_000, 300, 1, 150_000),  # there is no more
        (1_000_000, 4, 1, 36_000),
        (1_000_000, 1, 4, 16_384),  # fewer say nothing
    ],
)
def test_the_last_evaluation_takes_a_share_of_the_time(held_out, seconds, num_scores, expected):
    budget, clock = timed(TrainConfig(max_time=seconds), held_out=held_out, num_scores=num_scores)
    clock.now = 1000.0
    assert budget.final_chars() == pytest.approx(expected, abs=5)


def test_a_new_budget_is_planned_after_eight_steps_of_its_session():
    budget, clock = timed(TrainConfig(steps=40))
    budget.throughput.resume(30, budget.timing())
    budget.throughput.start()
    budget.replan(30, plan_is_complete=False)
    clock.now += 10
    assert [step for step in range(31, 39) if budget.plan_if_due(step)] == [38]
    assert budget.plan == [(0, 40), (30, 40)]


def test_a_time_budget_is_planned_after_a_fiftieth_of_it_at_the_earliest():
    clock = Clock()
    budget = Budget(TrainConfig(max_time=50), 100, 1000, Throughput(clock), chars_per_step=1000)
    budget.throughput.start()
    clock.now += 0.9
    assert not budget.plan_if_due(8)
    clock.now += 0.2
    assert not budget.plan_if_due(7)
    assert budget.plan_if_due(9)


def validations_of(config, step_seconds, **kinds):
    """Return what is validated and when, after 30 steps of so many seconds each."""
    budget, _ = timed(config, held_out=10_000_000, step_seconds=step_seconds, **kinds)
    budget.plan_if_due(30)
    return budget.eval_chars, budget.eval_every, budget.sample_every, budget.final_chars()


def test_without_a_time_budget_the_clock_decides_no_figure():
    config = TrainConfig(steps=40_000)
    # 40,000 steps of 1,000 characters: a twentieth, in 20 validations, at twice the speed.
    # Two final scores in a tenth of the run: 40,000,000 / 10 * 2 / 2.
    expected = (200_000, 2000, 2000, 4_000_000)
    assert validations_of(config, 0.1, num_scores=2) == expected
    assert validations_of(config, 3.0, num_scores=2) == expected
    in_time = TrainConfig(max_time=10_000)
    assert validations_of(in_time, 0.1) != validations_of(in_time, 3.0)


def test_without_a_time_budget_validations_are_known_before_the_first_step():
    budget = Budget(TrainConfig(steps=60), 100, 1_000_000, Throughput(Clock()), chars_per_step=2048)
    # 16,384 characters take as long as 4 steps, a twentieth of 80 steps.
    assert (budget.eval_chars, budget.eval_every, budget.sample_every) == (16_384, 80, 80)
    budget.resume([(0, 60)], Timing(eval_every=7, sample_every=9, eval_chars=5000))
    assert (budget.eval_chars, budget.eval_every, budget.sample_every) == (5000, 7, 9)


def test_more_steps_are_validated_as_if_they_had_been_asked_for_at_once():
    budget = Budget(
        TrainConfig(steps=40_000), 100, 10_000_000, Throughput(Clock()), chars_per_step=1000
    )
    budget.resume([(0, 400)], Timing(eval_every=160, eval_chars=16_384))
    budget.replan(400, plan_is_complete=False)
    assert (budget.eval_chars, budget.eval_every) == (16_384, 2000)
