"""Texts written on a device, thousands side by side; prompts, stops and seeds as in sampling.py."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from charrnn.checkpoint import Model
from charrnn.config import SampleConfig
from charrnn.engine_cuda import CHARACTERS, DeviceMemory, DeviceNetwork, Writer
from charrnn.jobs import Job
from charrnn.sampling import Sample, Sampler, StopFinder, Written, uniforms

MOST_ROWS, LEAST_ROWS, SCORES = 4096, 64, 1 << 22
"""Texts side by side, and scores of their next characters, which need about 100 bytes each."""


class DeviceSampler(Sampler):
    """Writes with one model on a device.

    All batches of a model have the same number of rows, idle ones if there are fewer texts: a
    product of another size may be rounded in another way, and a text depends on its seed alone.
    """

    is_streaming = False

    def __init__(self, model: Model, stops: Sequence[str], device: torch.device) -> None:
        super().__init__(model, stops)
        self._device, self.batch_size = device, rows_for(model.vocab.size)
        self._network = DeviceNetwork(model.config, model.weights, device)
        self._writers: dict[SampleConfig, Writer] = {}

    @property
    def engine(self) -> str:
        """What writes, in words."""
        return f"{self.batch_size} texts side by side on {self._device}"

    def rows(self, asked: int | None) -> int:
        """Return how many texts are written side by side: whatever is asked, the same."""
        return self.batch_size

    def batch(self, jobs: Sequence[Job], config: SampleConfig) -> list[Written]:
        """Write the texts of some jobs."""
        writer, seeds = self._writer(config), [job.seed for job in jobs]
        writer.begin([self.fed(job.prompt) for job in jobs], self.first_scores())
        finders = [StopFinder(self.stops) for _ in jobs]
        texts: list[list[int]] = [[] for _ in jobs]
        numbers = blocks(seeds, self.batch_size)
        for start in range(0, config.length, CHARACTERS):
            count = min(CHARACTERS, config.length - start)
            chosen = writer.write(next(numbers))[:count].T.tolist()
            for text, finder, symbols in zip(texts, finders, chosen, strict=False):
                take(text, finder, symbols)
            if all(finder.is_found for finder in finders):
                break
        return [
            (text + finder.finish(), "stop" if finder.is_found else "length")
            for text, finder in zip(texts, finders, strict=True)
        ]

    def sample(self, prompt: str, config: SampleConfig, seed: int, index: int = 0) -> Sample:
        """Return one text, written by itself."""
        return next(self.write([Job(index, seed, prompt, config)]))

    def _writer(self, config: SampleConfig) -> Writer:
        if config not in self._writers:
            self._writers.clear()  # one at a time has room enough
            memory = self.memory(config)
            on_device = DeviceMemory(memory, self._device) if memory else None
            self._writers[config] = Writer(
                self._network, on_device, config, self.batch_size, self._device
            )
        return self._writers[config]


def rows_for(vocab_size: int) -> int:
    """Return how many texts are written side by side: as many as there is room for their scores."""
    return max(LEAST_ROWS, min(MOST_ROWS, SCORES // vocab_size))


def take(text: list[int], finder: StopFinder, symbols: Sequence[int]) -> None:
    """Add symbols to a text, up to its stop string."""
    for symbol in symbols:
        if finder.is_found:
            return
        text += finder.feed(symbol)


def blocks(seeds: Sequence[int], num_rows: int) -> Iterator[NDArray[np.float64]]:
    """Yield the uniform numbers of texts, (CHARACTERS, B) at a time, the same as one by one."""
    draws = [uniforms(seed) for seed in seeds]
    numbers = np.zeros((CHARACTERS, num_rows))  # those of idle rows stay 0
    while True:
        numbers[:, : len(seeds)] = np.array([list(islice(draw, CHARACTERS)) for draw in draws]).T
        yield numbers
