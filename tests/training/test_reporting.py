"""Training loss, plan and metrics as they are reported; the events of a run are in test_trainer."""

from charrnn.core.config import TrainConfig
from charrnn.training import reporting
from charrnn.training.schedule import UNKNOWN
from charrnn.training.step_budget import Budget
from charrnn.training.throughput import Throughput


def make_budget(**changes):
    """Return a budget of 100 steps per epoch, with a clock that stands still."""
    return Budget(TrainConfig(**changes), 100, 1000, Throughput(lambda: 0.0), chars_per_step=1000)


def test_the_training_loss_is_a_mean_over_steps():
    loss = reporting.RecentLoss()
    assert loss.mean is None
    loss.add(5, None)  # all updates were skipped
    assert loss.mean is None
    loss.add(1, 4.0)
    loss.add(3, 2.0)
    assert loss.mean == 2.5


def test_the_training_loss_forgets_all_but_the_last_fifty_reports():
    loss = reporting.RecentLoss()
    for value in (9.0, 7.0, *[1.0] * 49):
        loss.add(1, value)
    assert loss.mean == (7.0 + 49) / 50


def test_a_plan_without_cadences_reports_those_of_the_whole_run():
    event = reporting.planned_event(5, make_budget(steps=20, max_time=1000))
    assert (event.step, event.total_steps) == (5, 20)
    assert (event.eval_every, event.save_every, event.sample_every) == (20, 20, 0)
    event = reporting.planned_event(5, make_budget(eval_every=3, save_every=4, sample_every=6))
    assert (event.eval_every, event.save_every, event.sample_every) == (3, 4, 6)
    assert reporting.planned_event(0, make_budget(max_time=9.0)).total_steps == UNKNOWN


def test_the_metrics_of_a_checkpoint_are_losses_and_speed():
    throughput, loss = Throughput(lambda: 0.0), reporting.RecentLoss()
    loss.add(10, 1.5)
    throughput.trained(10, 10, 500, 0.25)
    metrics = reporting.checkpoint_metrics(2.0, loss, throughput)
    assert metrics == {"val_loss": 2.0, "train_loss": 1.5, "chars_per_second": 2000}
