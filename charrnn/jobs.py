"""Which texts a call writes, in which order: prompts, then temperatures, then how many of each."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from charrnn.config import SampleConfig
from charrnn.seeds import sample_seed


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
