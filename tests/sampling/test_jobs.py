"""Which texts a call writes, in which order."""

from charrnn.core.config import SampleConfig
from charrnn.core.seeds import sample_seed
from charrnn.sampling.jobs import Jobs, batched

COLD, HOT = SampleConfig(temperature=0.5), SampleConfig(temperature=1.0)


def test_the_index_runs_over_prompts_then_temperatures_then_samples():
    jobs = Jobs(["a", "b"], [COLD, HOT], 3, seed=7)
    assert len(jobs) == 12
    assert [(job.prompt, job.config.temperature) for job in jobs.since(0)] == (
        [("a", 0.5)] * 3 + [("a", 1.0)] * 3 + [("b", 0.5)] * 3 + [("b", 1.0)] * 3
    )
    assert [job.index for job in jobs.since(9)] == [9, 10, 11]


def test_the_first_text_has_the_calls_seed_and_the_others_follow_from_it():
    jobs = Jobs(["a"], [COLD], 4, seed=7)
    assert [job.seed for job in jobs.since(0)] == [7] + [sample_seed(7, i) for i in (1, 2, 3)]


def test_of_nothing_there_are_no_jobs():
    assert [*Jobs([], [COLD], 5, 1).since(0)] == [*Jobs(["a"], [COLD], 0, 1).since(0)] == []


def test_jobs_of_one_temperature_are_written_together():
    """One text of each of 5 prompts, at two temperatures, three side by side."""
    jobs = Jobs(list("abcde"), [COLD, HOT], 1, seed=7)
    groups = [
        [[(job.index, job.config.temperature) for job in group] for group in item]
        for item in batched(jobs.since(0), 3)
    ]
    assert groups == [
        [[(0, 0.5), (2, 0.5), (4, 0.5)], [(1, 1.0), (3, 1.0)]],
        [[(5, 1.0), (7, 1.0), (9, 1.0)], [(6, 0.5), (8, 0.5)]],
    ]
