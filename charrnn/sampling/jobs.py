"""What to generate (prompt, config, seed), stop strings, uniform random numbers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, AnyStr

import numpy as np

from charrnn.checkpoints.model import Model
from charrnn.core.config import SampleConfig
from charrnn.core.seeds import sample_seed
from charrnn.data.vocab import (
    ByteVocabulary,
    Ids,
    WholeCharacters,
    id_dtype,
    without_broken_start,
)

BLOCK = 256
"""Uniform numbers that are drawn together."""

MOST_ROUNDS, LEAST_TRIES = 10, 100
"""Tries to find new texts: ten for each text, and at least 100 for each prompt and temperature."""

Written = tuple[list[int] | Ids, str]
"""The ids of a text, and why it ended: "length", "stop" or "match"."""


@dataclass(frozen=True, slots=True)
class Job:
    """One text to generate; model, stop strings and job determine the text."""

    index: int
    seed: int
    prompt: str
    config: SampleConfig


@dataclass(frozen=True, slots=True)
class Jobs:
    """All texts of a request; jobs are made on demand, because there may be millions."""

    prompts: Sequence[str]
    configs: Sequence[SampleConfig]
    """One for each temperature."""
    num_samples: int
    """Number of texts for each prompt and temperature."""
    seed: int
    """Seed of the first text; the seeds of the others are derived from it."""

    def __len__(self) -> int:
        return len(self.prompts) * len(self.configs) * self.num_samples

    def __getitem__(self, index: int) -> Job:
        """Return a job; from len(self) on, the jobs are the same with other seeds."""
        prompt, config = self.prompt_of(index), self.group_of(index) % len(self.configs)
        seed = sample_seed(self.seed, index)
        return Job(index, seed, self.prompts[prompt], self.configs[config])

    def __iter__(self) -> Iterator[Job]:
        return self.since(0)

    def group_of(self, index: int) -> int:
        """Return the number of a job's prompt and temperature."""
        return index % len(self) // self.num_samples

    def prompt_of(self, index: int) -> int:
        """Return the number of a job's prompt."""
        return self.group_of(index) // len(self.configs)

    @property
    def num_symbols(self) -> int:
        """How many symbols all texts have at most."""
        lengths = sum(config.length * config.best_of for config in self.configs)
        return len(self.prompts) * self.num_samples * lengths

    @property
    def num_rounds(self) -> int:
        """How often all jobs may be tried until there are enough new texts."""
        if not self.num_samples:
            return 0
        is_random = any(config.temperature > 0 for config in self.configs)
        return max(MOST_ROUNDS, -(-LEAST_TRIES // self.num_samples)) if is_random else 1

    def since(self, index: int) -> Iterator[Job]:
        """Yield the jobs from an index on."""
        return (self[i] for i in range(index, len(self)))


def batched(jobs: Iterable[Job], size: int) -> Iterator[list[list[Job]]]:
    """Yield lists of groups: jobs that are generated together, of one config, at most `size` each.

    All jobs of one list come before those of the next.
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
    """Generated text, without prompt and stop string."""
    raw: bytes
    """The text as bytes for a file or pipe."""
    finish: str
    """Why the text ended: "length", "stop" or "match"."""
    temperature: float
    precision: str = "fp32"
    """Number format that the matrices of the network were rounded to."""
    is_backward: bool = False
    """Whether the prompt is the end of the text, instead of its start."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Other settings that made the text, as in JSON, without those at their default."""
    best_of: int = 1
    """Number of texts of which this is the likeliest."""
    loss: float | None = None
    """Mean loss in nats per character, at temperature 1, if it was chosen by that."""

    @property
    def whole(self) -> str:
        """The text with its prompt."""
        return joined(self.prompt, self.text, self.is_backward)


def sample_of(model: Model, job: Job, ids: list[int] | Ids, finish: str) -> Sample:
    """Return the finished text of a job, in reading order.

    Args:
        model: Model that wrote it.
        job: What was to be written.
        ids: Ids in the order in which they were written.
        finish: Why the text ended.
    """
    vocab, is_backward = model.vocab, model.is_backward
    ids = model.turned(np.asarray(ids, dtype=id_dtype(vocab.size))) if is_backward else ids
    if isinstance(vocab, ByteVocabulary):
        raw = vocab.raw(ids)
        ids = list(without_broken_start(raw) if is_backward else WholeCharacters().feed(raw))
    raw = vocab.raw(ids)
    return Sample(
        index=job.index,
        seed=job.seed,
        prompt=job.prompt,
        text=raw.decode("utf-8", "replace"),
        raw=raw,
        finish=finish,
        temperature=job.config.temperature,
        precision=model.precision,
        is_backward=is_backward,
        settings=job.config.recorded(),
        best_of=job.config.best_of,
    )


def joined(prompt: AnyStr, text: AnyStr, is_backward: bool) -> AnyStr:
    """Return a text with its prompt, which a backward model has at the end."""
    return text + prompt if is_backward else prompt + text


def uniforms(seed: int) -> Iterator[float]:
    """Yield random numbers in [0, 1) for one sample, a function of its seed."""
    rng = np.random.default_rng(seed)
    while True:
        yield from rng.random(BLOCK).tolist()


class StopFinder:
    """Finds stop strings in a stream of ids; holds back ids that may begin one.

    Args:
        stops: Stop strings as ids; the first one that is complete ends the text.
    """

    def __init__(self, stops: Sequence[Sequence[int]]) -> None:
        self._stops = [list(stop) for stop in stops if len(stop)]
        self._held: list[int] = []
        self.is_found = False
        self.reason = "length"
        """Why the text ends, if it is not by a stop string."""

    def feed(self, *new: int) -> list[int]:
        """Add ids, of which only the last may end a stop string.

        Returns:
            The ids that no stop string can include any more.
        """
        if not self._stops:
            return list(new)
        self._held += new
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
        """Return the ids that were held back, at the end of a text."""
        return [] if self.is_found else self._release(len(self._held))

    def _release(self, count: int) -> list[int]:
        released, self._held = self._held[:count], self._held[count:]
        return released


def finished(text: list[int], finder: StopFinder) -> Written:
    """Return a text at its end, with the ids that its finder held back, and why it ended."""
    return text + finder.finish(), "stop" if finder.is_found else finder.reason
