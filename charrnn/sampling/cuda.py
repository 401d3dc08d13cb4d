"""Generate thousands of texts on a GPU, with filters and CUDA graphs."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charrnn.checkpoints.model import Model
from charrnn.core.config import SampleConfig
from charrnn.ngram.cuda import DeviceNgrams, Gate
from charrnn.nn.cuda import DeviceNetwork
from charrnn.sampling.filters import COLDEST, HOTTEST
from charrnn.sampling.jobs import Job, Sample, StopFinder, Written, uniforms
from charrnn.sampling.prefill import prompt_ids, start_logits
from charrnn.sampling.sampler import Sampler

CHARACTERS = 32
"""Steps of one graph."""

WARM_UP = 3
"""Runs before a capture, as CUDA's libraries want them."""

MOST_ROWS, LEAST_ROWS, SCORES = 4096, 64, 1 << 22
"""Texts side by side, and scores of their next characters, which need about 100 bytes each."""


def filtered(logits: Tensor, config: SampleConfig) -> Tensor:
    """Return weights of the characters that stay possible, (B, V): filters.py in torch."""
    if config.temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(1), logits.shape[1]).float()
    logits = logits - logits.amax(1, keepdim=True)
    logits = logits / min(max(config.temperature, COLDEST), HOTTEST)
    if 0 < config.top_k < logits.shape[1]:
        threshold = logits.topk(config.top_k, dim=1).values[:, -1:]
        logits = torch.where(logits < threshold, -torch.inf, logits)
    if config.top_p < 1:
        ordered, order = logits.sort(dim=1, descending=True, stable=True)
        shares = ordered.softmax(dim=1)
        is_out = shares.cumsum(1) - shares >= config.top_p
        logits = logits.masked_fill(torch.zeros_like(is_out).scatter(1, order, is_out), -torch.inf)
    weights = logits.exp()
    return torch.where(weights < config.min_p, 0.0, weights) if config.min_p > 0 else weights


class Writer:
    """Writes B texts side by side.

    Args:
        network: The weights.
        memory: Mixed in, if there is one.
        config: Filters.
        num_rows: Texts (B).
        device: Where all of it lies.
    """

    def __init__(
        self,
        network: DeviceNetwork,
        memory: DeviceNgrams | None,
        config: SampleConfig,
        num_rows: int,
        device: torch.device,
    ) -> None:
        self._network, self._memory, self._config = network, memory, config
        self._gate = Gate(memory.weight, device) if memory else None
        model, B = network.config, num_rows
        count = 2 if model.cell == "lstm" else 1
        shape = (model.num_layers, B, model.hidden_size)
        self._state = [torch.zeros(shape, device=device) for _ in range(count)]
        self._logits = torch.zeros((B, model.vocab_size), device=device)
        self._contexts = torch.zeros(B, dtype=torch.int64, device=device)
        self._lengths = torch.zeros(B, dtype=torch.int64, device=device)
        self._uniforms = torch.zeros((CHARACTERS, B), dtype=torch.float64, device=device)
        self._chosen = torch.zeros((CHARACTERS, B), dtype=torch.int64, device=device)
        self._changing = (*self._state, self._logits, self._contexts, self._lengths)
        self._begun: tuple[list[tuple[int, ...]], list[Tensor]] | None = None
        self._graph: torch.cuda.CUDAGraph | None = None

    @torch.inference_mode()
    def begin(self, fed: Sequence[Sequence[int]], first: NDArray[np.float32]) -> None:
        """Forget all texts, and read what new ones begin with.

        Args:
            fed: Symbols of each text, for B texts or fewer; the rows that are left do as the first.
            first: Scores of the first symbol of a text that is fed nothing, (V,).
        """
        texts = [*map(tuple, fed), *[tuple(fed[0])] * (self._lengths.shape[0] - len(fed))]
        with self._current():
            if self._begun is None or self._begun[0] != texts:
                for part in self._changing:
                    part.zero_()
                self._logits.copy_(torch.from_numpy(first).expand_as(self._logits))
                for t in range(max(map(len, texts))):
                    self._read_beginnings(texts, t)
                self._begun = texts, [part.clone() for part in self._changing]
            self._go_back_to(self._begun[1])

    def _read_beginnings(self, texts: Sequence[Sequence[int]], t: int) -> None:
        """Read symbol t of the texts that begin with so many; the others stay as they are."""
        before = [part.clone() for part in self._changing]
        symbols = torch.tensor([text[t] if t < len(text) else 0 for text in texts])
        is_over = torch.tensor([t >= len(text) for text in texts]).to(self._logits.device)
        self._read(symbols.to(self._contexts.device))
        for part, old in zip(self._changing, before, strict=True):
            rows_at = 1 if part.ndim == 3 else 0  # a state is (L, B, H)
            shape = [-1 if place == rows_at else 1 for place in range(part.ndim)]
            part.copy_(torch.where(is_over.view(shape), old, part))

    @torch.inference_mode()
    def write(self, uniforms: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return what the texts go on with, (CHARACTERS, B).

        Args:
            uniforms: A number in [0, 1) for each of them.
        """
        self._uniforms.copy_(torch.from_numpy(uniforms))
        if self._uniforms.device.type != "cuda":
            self._steps()
        else:
            with self._current():
                self._graph = self._graph or self._captured()
                self._graph.replay()
        return self._chosen.cpu().numpy()

    def _current(self) -> AbstractContextManager[object]:
        """Return the context in which streams and graphs belong to this device."""
        device = self._uniforms.device
        return torch.cuda.device(device) if device.type == "cuda" else nullcontext()

    def _go_back_to(self, kept: Sequence[Tensor]) -> None:
        for part, old in zip(self._changing, kept, strict=True):
            part.copy_(old)

    def _captured(self) -> torch.cuda.CUDAGraph:
        """Record CHARACTERS steps; the texts are where they were afterwards."""
        before = [part.clone() for part in self._changing]
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self._steps()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._steps()
        self._go_back_to(before)
        return graph

    def _steps(self) -> None:
        for t in range(CHARACTERS):
            weights = filtered(self._mixed(), self._config)
            sums = weights.double().cumsum(1)
            threshold = self._uniforms[t][:, None] * sums[:, -1:]
            chosen = (sums <= threshold).sum(1)
            self._chosen[t] = chosen
            self._read(chosen)

    def _mixed(self) -> Tensor:
        if self._memory is None or self._gate is None:
            return self._logits
        mixed = self._gate.mixed(self._logits, *self._memory.predict(self._contexts, self._lengths))
        return torch.where(self._lengths[:, None] > 0, mixed, self._logits)

    def _read(self, symbols: Tensor) -> None:
        logits, state = self._network.step(symbols, self._state)
        self._logits.copy_(logits)
        for part, new in zip(self._state, state, strict=True):
            part.copy_(new)
        if self._memory is not None:
            packed = (self._contexts << self._memory.bits | symbols) & self._memory.mask
            self._contexts.copy_(packed)
            self._lengths.copy_((self._lengths + 1).clamp(max=self._memory.longest))


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
        fed = [prompt_ids(self.model, job.prompt) for job in jobs]
        writer.begin(fed, start_logits(self.model))
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

    def sample(self, prompt: str, config: SampleConfig, seed: int) -> Sample:
        """Return one text, generated alone."""
        return next(self.write([Job(0, seed, prompt, config)]))

    def _writer(self, config: SampleConfig) -> Writer:
        if config not in self._writers:
            self._writers.clear()  # one at a time has room enough
            memory = self.memory(config)
            on_device = DeviceNgrams(memory, self._device) if memory else None
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
