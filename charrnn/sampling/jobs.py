"""What to generate (prompt, config, seed), stop strings, uniform random numbers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from charrnn.core.config import SampleConfig
from charrnn.core.seeds import sample_seed

BLOCK = 256
"""Uniform numbers drawn at a time."""


Written = tuple[list[int], str]
"""The ids of a text, and why it ended: length or stop."""


@dataclass(frozen=True, slots=True)
class Job:
    """One text to be written; nothing else decides what it becomes."""

    index: int
    seed: int
    prompt: str
    config: SampleConfig


@dataclass(frozen=True, slots=True)
class Jobs:
    """All texts of a call, made up one by one: there may be millions."""

    prompts: Sequence[str]
    configs: Sequence[SampleConfig]
    """One for each temperature."""
    num_samples: int
    """Of each prompt and temperature."""
    seed: int
    """That of the first text; the others' follow from it."""

    def __len__(self) -> int:
        return len(self.prompts) * len(self.configs) * self.num_samples

    def __getitem__(self, index: int) -> Job:
        place, _ = divmod(index, self.num_samples)
        prompt, config = divmod(place, len(self.configs))
        seed = sample_seed(self.seed, index)
        return Job(index, seed, self.prompts[prompt], self.configs[config])

    def __iter__(self) -> Iterator[Job]:
        return self.since(0)

    def since(self, index: int) -> Iterator[Job]:
        """Yield those from one index on."""
        return (self[i] for i in range(index, len(self)))


def batched(jobs: Iterable[Job], size: int) -> Iterator[list[list[Job]]]:
    """Yield jobs in groups that are written together: of one config, at most `size` each.

    All jobs of one item come before those of the next.
    """
    groups: dict[SampleConfig, list[Job]] = {}
    for job in jobs:
        group = groups.setdefault(job.config, [])
        group.append(job)
        if len(group) == size:
            yield list(groups.values())
            groups = {}
    if groups:
        yield list(groups.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One finished text."""

    index: int
    seed: int
    prompt: str
    text: str
    """What was generated: without prompt and stop string."""
    raw: bytes
    """The same as it goes into a file."""
    finish: str
    """length or stop."""
    temperature: float


def uniforms(seed: int) -> Iterator[float]:
    """Yield the random numbers of one sample, a function of its seed."""
    rng = np.random.default_rng(seed)
    while True:
        yield from rng.random(BLOCK).tolist()


class StopFinder:
    """Holds back what may be the beginning of a stop string; releases what cannot be."""

    def __init__(self, stops: Sequence[Sequence[int]]) -> None:
        self._stops = [list(stop) for stop in stops if len(stop)]
        self._held: list[int] = []
        self.is_found = False

    def feed(self, new: int) -> list[int]:
        """Take in an id; return those that are now certain to be text."""
        if not self._stops:
            return [new]
        self._held.append(new)
        if any(self._held[-len(stop) :] == stop for stop in self._stops):
            length = max(len(s) for s in self._stops if self._held[-len(s) :] == s)
            self.is_found = True
            return self._release(len(self._held) - length)
        longest = 0
        for stop in self._stops:
            for size in range(min(len(stop) - 1, len(self._held)), longest, -1):
                if self._held[-size:] == stop[:size]:
                    longest = size
                    break
        return self._release(len(self._held) - longest)

    def finish(self) -> list[int]:
        """Return what was held back, when no more text comes."""
        return [] if self.is_found else self._release(len(self._held))

    def _release(self, count: int) -> list[int]:
        released, self._held = self._held[:count], self._held[count:]
        return released
