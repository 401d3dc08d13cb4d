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
from charrnn.sampling.jobs import Job, Sample, StopFinder, Written, finished, uniforms
from charrnn.sampling.prefill import prompt_ids, start_logits
from charrnn.sampling.sampler import Sampler

CHARACTERS = 32
"""Characters that one CUDA graph generates for each text."""

WARM_UP = 3
"""Runs before a graph is captured, which CUDA libraries require."""

MOST_ROWS, LEAST_ROWS, SCORES = 4096, 64, 1 << 22
"""Range of the batch size, and limit of the logits in a batch, about 100 bytes each."""


def filtered(logits: Tensor, config: SampleConfig) -> Tensor:
    """Return unnormalised probabilities after all filters, (B, V): filters.py in torch."""
    if config.temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(1), logits.shape[1]).float()
    logits = logits - logits.amax(1, keepdim=True)
    logits = logits / min(max(config.temperature, COLDEST), HOTTEST)
    if 0 < config.top_k < logits.shape[1]:
        threshold = logits.topk(config.top_k, dim=1).values[:, -1:]
        logits = torch.where(logits < threshold, -torch.inf, logits)
    if config.top_p < 1:
        ordered, order = logits.sort(dim=1, descending=True, stable=True)
        p = ordered.softmax(dim=1)
        is_out = p.cumsum(1) - p >= config.top_p
        logits = logits.masked_fill(torch.zeros_like(is_out).scatter(1, order, is_out), -torch.inf)
    weights = logits.exp()
    return torch.where(weights < config.min_p, 0.0, weights) if config.min_p > 0 else weights


class BatchGenerator:
    """Generates B texts side by side on a device.

    Args:
        network: Network on the device.
        memory: n-gram memory on the device, if the model has one.
        config: Filters.
        num_rows: Batch size (B).
        device: Device of all tensors.
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
        self._tensors = (*self._state, self._logits, self._contexts, self._lengths)
        """Everything that a step changes."""
        self._prefilled: tuple[list[tuple[int, ...]], list[Tensor]] | None = None
        """The last prompts, and the tensors after them."""
        self._graph: torch.cuda.CUDAGraph | None = None

    @torch.inference_mode()
    def start(self, prompts: Sequence[Sequence[int]], first: NDArray[np.float32]) -> None:
        """Start new texts: read their prompts.

        Args:
            prompts: Ids of each prompt, for at most B texts; other rows repeat the first one.
            first: Logits of the first symbol of a text with an empty prompt, (V,).
        """
        idle = self._lengths.shape[0] - len(prompts)
        texts = [*map(tuple, prompts), *[tuple(prompts[0])] * idle]
        with self._current():
            if self._prefilled is None or self._prefilled[0] != texts:
                for tensor in self._tensors:
                    tensor.zero_()
                self._logits.copy_(torch.from_numpy(first).expand_as(self._logits))
                for t in range(max(map(len, texts))):
                    self._read_prompts(texts, t)
                self._prefilled = texts, [tensor.clone() for tensor in self._tensors]
            self._restore(self._prefilled[1])

    def _read_prompts(self, texts: Sequence[Sequence[int]], t: int) -> None:
        """Read symbol t of each prompt; rows with shorter prompts do not change."""
        before = [tensor.clone() for tensor in self._tensors]
        symbols = torch.tensor([text[t] if t < len(text) else 0 for text in texts])
        is_over = torch.tensor([t >= len(text) for text in texts]).to(self._logits.device)
        self._read(symbols.to(self._contexts.device))
        for tensor, old in zip(self._tensors, before, strict=True):
            rows_at = 1 if tensor.ndim == 3 else 0  # a state is (L, B, H)
            shape = [-1 if axis == rows_at else 1 for axis in range(tensor.ndim)]
            tensor.copy_(torch.where(is_over.view(shape), old, tensor))

    @torch.inference_mode()
    def next_symbols(self, uniforms: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the next symbols of the texts, (CHARACTERS, B).

        Args:
            uniforms: A number in [0, 1) for each of them, (CHARACTERS, B).
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
        """Return a context in which CUDA streams and graphs use this device."""
        device = self._uniforms.device
        return torch.cuda.device(device) if device.type == "cuda" else nullcontext()

    def _restore(self, saved: Sequence[Tensor]) -> None:
        for tensor, old in zip(self._tensors, saved, strict=True):
            tensor.copy_(old)

    def _captured(self) -> torch.cuda.CUDAGraph:
        """Return a graph of CHARACTERS steps; capturing it does not change the texts."""
        before = [tensor.clone() for tensor in self._tensors]
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self._steps()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._steps()
        self._restore(before)
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
    """Generates text with one model on a device, in batches only.

    All batches of a model have the same size, with idle rows if there are fewer texts: a matrix
    product of another size may be rounded differently, and a text must depend on its seed only.

    Args:
        model: Model with its weights.
        stops: Strings that end a text.
        device: Device of the network.
    """

    is_streaming = False

    def __init__(self, model: Model, stops: Sequence[str], device: torch.device) -> None:
        super().__init__(model, stops)
        self._device, self.batch_size = device, rows_for(model.vocab.size)
        self._network = DeviceNetwork(model.config, model.weights, device)
        self._generators: dict[SampleConfig, BatchGenerator] = {}

    @property
    def engine(self) -> str:
        """Name of the implementation, for messages."""
        return f"batches of {self.batch_size} texts on {self._device}"

    def rows(self, asked: int | None) -> int:
        """Return the batch size, which does not depend on `asked`."""
        return self.batch_size

    def batch(self, jobs: Sequence[Job], config: SampleConfig) -> list[Written]:
        """Generate the texts of jobs side by side."""
        generator, seeds = self._generator(config), [job.seed for job in jobs]
        prompts = [prompt_ids(self.model, job.prompt) for job in jobs]
        generator.start(prompts, start_logits(self.model))
        finders = [StopFinder(self.stops) for _ in jobs]
        texts: list[list[int]] = [[] for _ in jobs]
        numbers = blocks(seeds, self.batch_size)
        for start in range(0, config.length, CHARACTERS):
            count = min(CHARACTERS, config.length - start)
            chosen = generator.next_symbols(next(numbers))[:count].T.tolist()
            for text, finder, symbols in zip(texts, finders, chosen, strict=False):
                take(text, finder, symbols)
            if all(finder.is_found for finder in finders):
                break
        return [finished(text, finder) for text, finder in zip(texts, finders, strict=True)]

    def sample(self, prompt: str, config: SampleConfig, seed: int) -> Sample:
        """Return one text, generated alone."""
        return next(self.write([Job(0, seed, prompt, config)]))

    def _generator(self, config: SampleConfig) -> BatchGenerator:
        if config not in self._generators:
            self._generators.clear()  # frees the device memory of the previous one
            memory = self.memory(config)
            on_device = DeviceNgrams(memory, self._device) if memory else None
            self._generators[config] = BatchGenerator(
                self._network, on_device, config, self.batch_size, self._device
            )
        return self._generators[config]


def rows_for(vocab_size: int) -> int:
    """Return the batch size: as many texts as the limit of logits allows."""
    return max(LEAST_ROWS, min(MOST_ROWS, SCORES // vocab_size))


def take(text: list[int], finder: StopFinder, symbols: Sequence[int]) -> None:
    """Append symbols to a text, up to its stop string."""
    for symbol in symbols:
        if finder.is_found:
            return
        text += finder.feed(symbol)


def blocks(seeds: Sequence[int], num_rows: int) -> Iterator[NDArray[np.float64]]:
    """Yield the uniform numbers of texts, (CHARACTERS, B) at a time; 0 for idle rows."""
    draws = [uniforms(seed) for seed in seeds]
    numbers = np.zeros((CHARACTERS, num_rows))
    while True:
        numbers[:, : len(seeds)] = np.array([list(islice(draw, CHARACTERS)) for draw in draws]).T
        yield numbers
