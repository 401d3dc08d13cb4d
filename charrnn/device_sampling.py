"""Texts written on a device, thousands side by side; prompts, stops and seeds as in sampling.py."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from charrnn.checkpoint import Model
from charrnn.config import SampleConfig
from charrnn.engine_cuda import CHARACTERS, DeviceMemory, DeviceNetwork, Writer
from charrnn.sampling import Sample, Sampler, StopFinder, Written, uniforms


class DeviceSampler(Sampler):
    """Writes with one model on a device.

    All batches have the same number of rows, the last ones of them idle if there are fewer texts:
    a product of other sizes may be rounded in another way.
    """

    batch_size, is_streaming = 1024, False

    def __init__(self, model: Model, stops: Sequence[str], device: torch.device) -> None:
        super().__init__(model, stops)
        self._device = device
        self._network = DeviceNetwork(model.config, model.weights, device)
        self._writers: dict[tuple[SampleConfig, int], Writer] = {}

    def batch(
        self, prompt: str, config: SampleConfig, seeds: Sequence[int], num_rows: int
    ) -> list[Written]:
        """Write one text for each seed."""
        writer = self._writer(config, num_rows)
        fed = self.fed(prompt)
        writer.begin(fed, None if fed else self.first_scores())
        finders = [StopFinder(self.stops) for _ in seeds]
        texts: list[list[int]] = [[] for _ in seeds]
        numbers = blocks([*seeds, *[0] * (num_rows - len(seeds))])
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
        written = self.batch(prompt, config, [seed], 1) if config.length else [([], "length")]
        return self.finished(*written[0], prompt, config, seed, index)

    def _writer(self, config: SampleConfig, num_rows: int) -> Writer:
        key = (config, num_rows)
        if key not in self._writers:
            memory = self.memory(config)
            on_device = DeviceMemory(memory, self._device) if memory else None
            writer = Writer(self._network, on_device, config, num_rows, self._device)
            self._writers = {key: writer}
        return self._writers[key]


def take(text: list[int], finder: StopFinder, symbols: Sequence[int]) -> None:
    """Add symbols to a text, up to its stop string."""
    for symbol in symbols:
        if finder.is_found:
            return
        text += finder.feed(symbol)


def blocks(seeds: Sequence[int]) -> Iterator[NDArray[np.float64]]:
    """Yield the uniform numbers of texts, (CHARACTERS, B) at a time, the same as one by one."""
    draws = [uniforms(seed) for seed in seeds]
    while True:
        yield np.array([[next(draw) for _ in range(CHARACTERS)] for draw in draws]).T
