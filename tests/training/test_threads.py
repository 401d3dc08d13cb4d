"""Which number of threads a run takes, by the times of its steps."""

import dataclasses
import os
import time

import pytest
import torch

from charrnn.core.config import TrainConfig
from charrnn.training.threads import (
    LARGEST_SHARE,
    CpuTime,
    Threads,
    advised_threads,
    cpu_time,
    halves,
    is_open,
)

CONFIG = TrainConfig(max_time=60, device="cpu")


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    """Four cores, no limit; torch's real number of threads is restored."""
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("charrnn.nn.device.available_cores", lambda: 4)
    yield
    torch.set_num_threads(before)


def train_on(threads, speeds, seconds, step=0):
    """Train for some seconds at a speed for each number of threads; return step and changes."""
    changes, spent = [], 0.0
    while spent < seconds:
        speed, count = speeds[torch.get_num_threads()], threads.window(20)
        step += count
        change = threads.trained(step, count, count * 512, count * 512 / speed)
        changes += [change] if change else []
        spent += count * 512 / speed
    return step, changes


def test_a_count_is_halved_down_to_one():
    assert halves(8) == [1, 2, 4, 8]
    assert halves(6) == [1, 3, 6]
    assert halves(1) == [1]


@pytest.mark.parametrize(
    ("speeds", "best"),
    [
        ({4: 9000, 2: 20_000, 1: 12_000}, 2),
        ({4: 2000, 2: 3000, 1: 6500}, 1),
        ({4: 10_000, 2: 10_700, 1: 5000}, 4),  # 7% faster is within the noise
    ],
)
def test_the_fastest_number_is_taken_and_the_change_has_its_step(speeds, best):
    threads = Threads(CONFIG)
    step, changes = train_on(threads, speeds, 10)
    assert threads.chosen == best
    if best == 4:
        assert changes == []
        return
    (change,) = changes
    assert (change.threads, 0 < change.step < step) == (best, True)
    assert change.chars_per_second == pytest.approx(speeds[best])
    assert change.previous == pytest.approx(speeds[4])


def test_the_first_step_does_not_count():
    threads = Threads(CONFIG)
    assert threads.window(20) == 1
    assert threads.trained(1, 1, 512, 0.01) is None  # one thread, as fast as no other
    _, changes = train_on(threads, {4: 9000, 2: 8000, 1: 7000}, 10, step=1)
    assert (threads.chosen, changes) == (4, [])


def test_it_is_compared_again_after_a_validation_but_seldom():
    threads = Threads(CONFIG)
    step, _ = train_on(threads, {4: 2000, 2: 3000, 1: 6500}, 60)
    threads.compare_again()
    later, changes = train_on(threads, {4: 9000, 2: 6000, 1: 5000}, 10, step)
    assert [change.threads for change in changes] == [4]
    threads.trained(later, 1, 512, 1 / LARGEST_SHARE * 60)
    threads.compare_again()
    assert threads.window(10**6) < 10**6
    train_on(threads, {4: 9000, 2: 6000, 1: 5000}, 2, later)
    threads.compare_again()
    assert threads.window(10**6) == 10**6


@pytest.mark.parametrize(
    "changes", [{"threads": 4}, {"max_time": None, "steps": 9}, {"epochs": 3.0}, {"steps": 9}]
)
def test_a_run_that_ends_otherwise_or_names_its_threads_keeps_them(changes):
    config = dataclasses.replace(CONFIG, **changes)
    assert not is_open(config)
    threads = Threads(config)
    train_on(threads, {4: 1000, 2: 9000, 1: 9000}, 10)
    assert (threads.chosen, threads.window(20)) == (4, 20)


def test_the_environment_and_other_ranks_fix_the_threads(monkeypatch):
    assert is_open(CONFIG)
    assert Threads(CONFIG, is_single=False).window(20) == 20
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert not is_open(CONFIG)


def test_a_clear_difference_ends_the_comparison_after_one_block_each():
    threads, counts = Threads(CONFIG), []
    while threads.window(10**6) < 10**6:
        counts.append(torch.get_num_threads())
        threads.trained(len(counts), 1, 512, {4: 0.5, 2: 0.2, 1: 0.1}[counts[-1]])
    assert (counts, torch.get_num_threads()) == ([1, 1, 2, 4], 1)


@pytest.mark.parametrize(
    ("used", "own", "advised"),
    [
        (2.0, 2.0, 8),  # this process alone
        (2.8, 2.0, 8),  # others: 0.8 s of 2 s, 0.4 cores: noise
        (4.0, 2.0, 4),  # one core of eight
        (10.0, 2.0, 4),  # four
        (11.2, 2.0, 2),  # 4.6: 3.4 are free
        (16.0, 2.0, 1),
        (16.0, 0.0, 1),  # all eight
    ],
)
def test_as_many_threads_are_advised_as_cores_are_free(used, own, advised):
    before = CpuTime(8, 100.0, 3.0, 50.0)
    after = CpuTime(8, 100.0 + used, 3.0 + own, 52.0)
    assert advised_threads(8, before, after) == advised
    assert advised_threads(1, before, after) == 1


def test_nothing_is_advised_without_figures_or_after_a_moment():
    before, after = CpuTime(2, 1.0, 1.0, 1.0), CpuTime(2, 1.4, 1.0, 1.2)
    assert [advised_threads(2, *pair) for pair in ((None, after), (before, None))] == [2, 2]
    assert advised_threads(2, before, after) == 2


def test_cpu_time_is_that_of_the_cores_this_process_may_use(monkeypatch, tmp_path):
    stat = tmp_path / "stat"
    stat.write_text(
        "cpu  9000 9000 9000 9000 9000 0 0 0 0 0\n"
        "cpu0 100 10 20 7000 300 1 2 3 0 0\n"
        "cpu1 8000 0 0 0 0 0 0 0 0 0\n"
        "cpu2 200 0 0 7000 300 0 0 64 0 0\n"
        "intr 1 2 3\n"
    )
    monkeypatch.setattr("charrnn.training.threads.STAT", stat)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2}, raising=False)
    monkeypatch.setattr(os, "sysconf", lambda _: 100)
    monkeypatch.setattr(time, "process_time", lambda: 1.25)
    monkeypatch.setattr(time, "monotonic", lambda: 7.5)
    assert cpu_time() == CpuTime(2, 4.0, 1.25, 7.5)  # 136 and 264 hundredths
    stat.unlink()
    assert cpu_time() is None
