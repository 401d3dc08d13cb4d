"""Generate thousands of texts on a GPU, with filters and CUDA graphs."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charrnn.checkpoints.model import Model
from charrnn.core.config import SampleConfig
from charrnn.data.vocab import id_dtype
from charrnn.ngram.cuda import DeviceNgrams, DeviceReader, Gate
from charrnn.ngram.model import NgramModel
from charrnn.nn.device import float32_products
from charrnn.nn.model import network_on
from charrnn.nn.network import Network
from charrnn.sampling.batch_texts import LEAST_ROWS, BatchTexts, rows_for, uniform_blocks
from charrnn.sampling.filters import COLDEST, HOTTEST
from charrnn.sampling.jobs import Job, Sample, Written
from charrnn.sampling.prefill import prompt_ids, start_logits
from charrnn.sampling.sampler import Sampler
from charrnn.steering.cuda import DeviceSteering, window_of

CHARACTERS = 32
"""Characters that one CUDA graph generates for each text."""

WARM_UP = 3
"""Runs before a graph is captured, which CUDA libraries require."""


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


def draw(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Return one symbol for each row of unnormalised probabilities, (B,): filters.py's in torch."""
    sums = weights.double().cumsum(1)
    chosen = (sums <= uniforms[:, None] * sums[:, -1:]).sum(1)
    return chosen.clamp(max=weights.shape[1] - 1)  # an index beyond the table ends the process


def restore(tensors: Sequence[Tensor], saved: Sequence[Tensor]) -> None:
    """Give tensors the numbers that were saved."""
    for tensor, old in zip(tensors, saved, strict=True):
        tensor.copy_(old)


class Exchange:
    """Memory of the host for one block of symbols, which a GPU reads and writes by itself."""

    def __init__(self, num_rows: int, device: torch.device) -> None:
        is_cuda, shape = device.type == "cuda", (CHARACTERS, num_rows)
        self.uniforms = torch.zeros(shape, dtype=torch.float64, pin_memory=is_cuda)
        self.chosen = torch.zeros(shape, dtype=torch.int32, pin_memory=is_cuda)
        self._done = torch.cuda.Event() if is_cuda else None  # type: ignore[no-untyped-call]

    def record(self) -> None:
        """Mark the end of the work that uses this memory."""
        if self._done is not None:
            self._done.record()

    def wait(self) -> None:
        """Wait until the marked work is done."""
        if self._done is not None:
            self._done.synchronize()


class BatchGenerator:
    """Generates B texts side by side on a device.

    Args:
        network: Network on the device.
        memories: n-gram memories on the device, in the order in which they are mixed in.
        config: Filters.
        num_rows: Batch size (B).
        steered: Constraints of the texts, if they have any.
        tf32: Round the factors of products to TF32.
    """

    def __init__(
        self, network: Network, memories: Sequence[DeviceNgrams], config: SampleConfig, num_rows: int,
        steered: DeviceSteering | None = None, *, tf32: bool = True,
    ) -> None:  # fmt: skip
        device, B, self._tf32 = network.device, num_rows, tf32
        self._network, self._config, self._steered = network, config, steered
        self._memories = [(memory, Gate(memory.weight, device)) for memory in memories]
        self._reader = DeviceReader(memories) if memories else None
        self._state = network.empty_state(B)
        self._logits = torch.zeros((B, network.config.vocab_size), device=device)
        num_parts = self._reader.num_parts if self._reader else 1
        self._contexts = torch.zeros((B, num_parts), dtype=torch.int64, device=device)
        self._lengths = torch.zeros(B, dtype=torch.int64, device=device)
        self._uniforms = torch.zeros((CHARACTERS, B), dtype=torch.float64, device=device)
        self._chosen = torch.zeros((CHARACTERS, B), dtype=torch.int32, device=device)
        parts = self._state.arrays().values()
        self._tensors = (*parts, self._logits, self._contexts, self._lengths)
        """Everything that reading a symbol changes."""
        self._exchanges = [Exchange(B, device) for _ in range(2)]
        """For the block that is generated, and the one that is read."""
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
            restore(self._tensors, self._prefilled[1])
            if self._steered is not None:
                self._steered.start(texts, self._config.length)

    def _read_prompts(self, texts: Sequence[Sequence[int]], t: int) -> None:
        """Read symbol t of each prompt; rows with shorter prompts do not change."""
        before = [tensor.clone() for tensor in self._tensors]
        symbols = torch.tensor([text[t] if t < len(text) else 0 for text in texts])
        is_over = torch.tensor([t >= len(text) for text in texts]).to(self._logits.device)
        self._read(symbols.to(self._contexts.device))
        num_parts = len(self._state.arrays())
        for i, (tensor, old) in enumerate(zip(self._tensors, before, strict=True)):
            rows_at = 1 if i < num_parts else 0
            shape = [-1 if axis == rows_at else 1 for axis in range(tensor.ndim)]
            tensor.copy_(torch.where(is_over.view(shape), old, tensor))

    def blocks(self, numbers: Iterable[NDArray[np.float64]]) -> Iterator[NDArray[np.int32]]:
        """Yield the next symbols of the texts, (CHARACTERS, B) each.

        The device generates the next block while the caller reads this one.

        Args:
            numbers: Numbers in [0, 1) for each block, (CHARACTERS, B).
        """
        last: Exchange | None = None
        for uniforms in numbers:
            launched = self._launch(uniforms)
            if last is not None:
                yield self._result(last)
            last = launched
        if last is not None:
            yield self._result(last)

    @torch.inference_mode()
    def _launch(self, uniforms: NDArray[np.float64]) -> Exchange:
        """Start to generate a block, without waiting for it."""
        self._exchanges.reverse()
        exchange = self._exchanges[0]
        with self._current():
            exchange.wait()  # a block that was never read may still use this memory
            exchange.uniforms.copy_(torch.from_numpy(uniforms))
            self._uniforms.copy_(exchange.uniforms, non_blocking=True)
            if self._uniforms.device.type == "cuda":
                self._graph = self._graph or self._captured()
                self._graph.replay()
            else:
                self._steps()
            exchange.chosen.copy_(self._chosen, non_blocking=True)
            exchange.record()
        return exchange

    def _result(self, exchange: Exchange) -> NDArray[np.int32]:
        exchange.wait()
        return exchange.chosen.numpy()

    @contextmanager
    def _current(self) -> Iterator[None]:
        """Make this the device of CUDA streams and graphs, with its precision of products."""
        device = self._uniforms.device
        on_device = torch.cuda.device(device) if device.type == "cuda" else nullcontext()
        with on_device, float32_products(device, tf32=self._tf32):
            yield

    def _captured(self) -> torch.cuda.CUDAGraph:
        """Return a graph of CHARACTERS steps; capturing it does not change the texts."""
        changed = [*self._tensors, *(self._steered.tensors if self._steered else ())]
        before = [tensor.clone() for tensor in changed]
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self._steps()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # The default stream of torch.cuda.graph is on the device of the first capture.
        with torch.cuda.graph(graph, stream=side):
            self._steps()
        restore(changed, before)
        return graph

    def _steps(self) -> None:
        for t in range(CHARACTERS):
            logits = self._mixed()
            if self._steered is not None:
                logits = self._steered.apply(logits)
            chosen = draw(filtered(logits, self._config), self._uniforms[t])
            if self._steered is not None:
                self._steered.read(chosen)
            self._chosen[t] = chosen
            self._read(chosen)

    def _mixed(self) -> Tensor:
        mixed = self._logits
        for memory, gate in self._memories:
            mixed = gate.mixed(mixed, *memory.predict(self._contexts, self._lengths))
        return torch.where(self._lengths[:, None] > 0, mixed, self._logits)

    def _read(self, symbols: Tensor) -> None:
        logits, state = self._network(symbols[:, None], self._state)
        self._logits.copy_(logits[:, 0])
        self._state.copy_(state)
        if self._reader is not None:
            self._contexts.copy_(self._reader.after(self._contexts, symbols))
            self._lengths.copy_((self._lengths + 1).clamp(max=self._reader.longest))


class DeviceSampler(Sampler):
    """Generates text with one model on a device, in batches only.

    Batches have one of two sizes, with idle rows if there are fewer texts. In both a seed gives the
    same text but for draws on a rounding edge: a product of another size may be rounded differently.
    With TF32, which is several times as fast, the logits differ from those of a CPU by about 0.001,
    so a text for a seed is soon another one than on a CPU, of the same quality.

    Args:
        model: Model with its weights.
        stops: Strings that end a text.
        device: Device of the network.
        tf32: Round the factors of products on a GPU to TF32; without it, texts are those of a CPU.
        added: n-gram memories of other texts, mixed in after the model's own.
    """

    def __init__(
        self, model: Model, stops: Sequence[str], device: torch.device, *, tf32: bool = True,
        added: Sequence[NgramModel] = (),
    ) -> None:  # fmt: skip
        super().__init__(model, stops, added=added)
        self._device, self.batch_size, self._tf32 = device, rows_for(model.config), tf32
        self._network = network_on(device, model.config, model.weights)
        self._generators: dict[tuple[SampleConfig, int, int], BatchGenerator] = {}
        self._ngrams: dict[int, tuple[NgramModel, DeviceNgrams]] = {}

    @property
    def is_streaming(self) -> bool:
        """False: texts are written in batches."""
        return False

    @property
    def engine(self) -> str:
        """Name of the implementation, for messages."""
        products = ", products in TF32" if self._tf32 else ""
        return f"batches of up to {self.batch_size} texts on {self._device}{products}"

    def rows(self, asked: int | None) -> int:
        """Return the larger batch size, which does not depend on `asked`."""
        return self.batch_size

    def batch(self, jobs: Sequence[Job], config: SampleConfig) -> list[Written]:
        """Generate the texts of jobs side by side."""
        num_rows = self.batch_size if len(jobs) > LEAST_ROWS else min(LEAST_ROWS, self.batch_size)
        prompts = [prompt_ids(self.model, job.prompt) for job in jobs]
        longest = max(map(len, prompts))
        generator = self._generator(config, num_rows, longest + config.length)
        generator.start(prompts, start_logits(self.model))
        numbers = uniform_blocks([job.seed for job in jobs], num_rows, CHARACTERS)
        texts = BatchTexts(self.stops, len(jobs), self.steering(config), config.length)
        dtype = id_dtype(self.model.vocab.size)
        ends = range(CHARACTERS, config.length + CHARACTERS, CHARACTERS)
        for end, symbols in zip(ends, generator.blocks(islice(numbers, len(ends))), strict=True):
            count = CHARACTERS - max(0, end - config.length)
            texts.add(symbols[:count, : len(jobs)].astype(dtype))
            if texts.are_over:
                break
        return texts.written()

    def sample(self, prompt: str, config: SampleConfig, seed: int) -> Sample:
        """Return one text, generated alone."""
        return next(self.write([Job(0, seed, prompt, config)]))

    def _generator(self, config: SampleConfig, num_rows: int, num_symbols: int) -> BatchGenerator:
        """Return the generator of texts of up to so many symbols, prompt included."""
        if any(other != config for other, _, _ in self._generators):
            self._generators.clear()  # frees the device memory of the previous ones
        steering, steered = self.steering(config), None
        window = window_of(steering, num_symbols)
        if (config, num_rows, window) not in self._generators:
            if steering is not None:
                vocab = self.model.vocab.size
                steered = DeviceSteering(steering, num_rows, vocab, window, self._device)
            memories = self._on_device(self.memories(config))
            self._generators[config, num_rows, window] = BatchGenerator(
                self._network, memories, config, num_rows, steered, tf32=self._tf32
            )
        return self._generators[config, num_rows, window]

    def _on_device(self, memories: Sequence[NgramModel]) -> list[DeviceNgrams]:
        for memory in memories:
            if id(memory) not in self._ngrams:
                self._ngrams[id(memory)] = memory, DeviceNgrams(memory, self._device)
        return [self._ngrams[id(memory)][1] for memory in memories]
