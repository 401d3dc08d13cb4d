"""The compiled loop: joins network, n-gram memory, filters and stop strings for native/loop.c.

A text of a seed is that of the loop in NumPy but for draws on a rounding edge. Python sees blocks,
which grow until one takes a given time, so that Ctrl-C and a terminal do not wait.
"""

import ctypes
import math
import time
from collections.abc import Callable, Generator, Sequence

import numpy as np

from charrnn.checkpoints.model import Model
from charrnn.core.config import SampleConfig
from charrnn.native.arrays import IMPOSSIBLE, Batch, Filters, Stops
from charrnn.ngram.context import ContextTracker
from charrnn.ngram.model import NgramModel
from charrnn.ngram.native import NgramArrays
from charrnn.nn.native import NativeEngine
from charrnn.sampling.jobs import Job, StopFinder, Written
from charrnn.sampling.prefill import prompt_ids, start_logits
from charrnn.steering.native import SteeringArrays
from charrnn.steering.steering import Steering

FIRST, MOST = 8, 4096
"""Steps of the first block, and of the largest."""

SECONDS = 0.03
"""A block that takes longer is not followed by a larger one."""

READ_TOGETHER = 64
"""Symbols of prompts that are read in one call."""

REASONS = ("length", "stop", "match")
"""Why a text ended, by the number in the array is_stopped."""

MOST_MEMORIES = 4
"""Mixtures of n-gram memories of which arrays are kept, one for each weight."""


class Texts:
    """The state of texts that are written side by side, in the arrays of the struct `batch`.

    Args:
        engine: The network.
        model: For what the start of a text is.
        prompts: One for each text.
        memories: For the number of symbols in a context.
        length: Symbols to write.
        steering: Constraints of the texts.
        tail: Last symbols that the end of a text is found by.
    """

    def __init__(
        self, engine: NativeEngine, model: Model, prompts: Sequence[str],
        memories: Sequence[NgramModel], length: int, steering: Steering | None, tail: int,
    ) -> None:  # fmt: skip
        B, P, L = len(prompts), engine.arrays.padded, engine.config.num_layers
        self.size = B
        self.texts = np.arange(B)
        self.written, self.stopped = np.zeros((2, B), dtype=np.int64)
        self.wanted = np.full(B, length)
        self.start = np.full(engine.arrays.symbols, IMPOSSIBLE, dtype=np.float32)
        self.start[: model.vocab.size] = np.maximum(start_logits(model), IMPOSSIBLE)
        given = {prompt: prompt_ids(model, prompt) for prompt in dict.fromkeys(prompts)}
        ids = [given[prompt] for prompt in prompts]
        self.next = np.array([each[-1] if each else -1 for each in ids], dtype=np.int64)
        self.contexts, self.lengths = contexts(ids, memories)
        symbols = engine.arrays.symbols
        self.steered = steering and SteeringArrays(steering, ids, length, model.vocab.size, symbols)
        past = self.steered.past if self.steered else np.zeros((B, 0))
        self.last = np.zeros((B, max(tail, past.shape[1])), dtype=np.int32)
        """The last symbols of each text, as many as a step looks back on."""
        self.last[:, self.last.shape[1] - past.shape[1] :] = past
        h, c = self._read(engine, [each[:-1] for each in given.values()], L, P)
        row_of = {prompt: row for row, prompt in enumerate(given)}
        rows = [row_of[prompt] for prompt in prompts]
        self.h, self.c = np.ascontiguousarray(h[:, rows]), np.ascontiguousarray(c[:, rows])

    def _read(
        self, engine: NativeEngine, ids: list[list[int]], L: int, P: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return h and c after the ids of distinct prompts, (L, B, P)."""
        order = sorted(range(len(ids)), key=lambda row: -len(ids[row]))
        h, c = np.zeros((2, L, len(ids), P), dtype=np.float32)
        lengths = np.array([len(ids[row]) for row in order])
        for begin in range(0, int(lengths[0]), READ_TOGETHER):
            part = np.zeros((min(READ_TOGETHER, lengths[0] - begin), len(ids)), dtype=np.int64)
            for column, row in enumerate(order):
                symbols = ids[row][begin : begin + len(part)]
                part[: len(symbols), column] = symbols
            rows = (lengths[None] > begin + np.arange(len(part))[:, None]).sum(axis=1)
            if not engine.library.read_texts(
                engine.arrays.address, len(part), len(ids), rows.ctypes.data,
                part.ctypes.data, h.ctypes.data, c.ctypes.data,
            ):  # fmt: skip
                raise MemoryError
        back = np.argsort(order)
        return h[:, back], c[:, back]


def contexts(
    ids: Sequence[Sequence[int]], memories: Sequence[NgramModel]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the contexts of texts, as n-gram memories see them, and their lengths, (B,)."""
    if not memories:
        return np.zeros(len(ids), dtype=np.uint64), np.zeros(len(ids), dtype=np.int64)
    tracker = ContextTracker(memories, len(ids))
    tracker.begin(ids)
    return tracker.contexts, tracker.lengths


class NativeLoop:
    """Writes texts with the compiled loop.

    Args:
        engine: The network, and the library.
        model: The model.
        stops: Stop strings as ids.
    """

    def __init__(self, engine: NativeEngine, model: Model, stops: Sequence[Sequence[int]]) -> None:
        self.network, self._model = engine, model
        self._stops = [list(stop) for stop in stops if len(stop)]
        self._tail = max(map(len, self._stops), default=1) - 1
        self._lengths = np.array([len(stop) for stop in self._stops], dtype=np.int64)
        self._ids = np.array([i for stop in self._stops for i in stop], dtype=np.int32)
        self._memories: dict[tuple[int, ...], tuple[Sequence[NgramModel], NgramArrays]] = {}
        self._check: Callable[[], None] | None = None

    def variant(self, stops: Sequence[Sequence[int]], check: Callable[[], None]) -> "NativeLoop":
        """Return a loop with other stop strings that calls `check` between blocks."""
        other = NativeLoop(self.network, self._model, stops)
        other._memories, other._check = self._memories, check
        return other

    def _blocks(
        self, jobs: Sequence[Job], config: SampleConfig, memories: Sequence[NgramModel],
        steering: Steering | None,
    ) -> Generator[list[tuple[int, list[int]]], None, Texts]:  # fmt: skip
        """Yield the new ids of each text that is open; return the state at the end."""
        prompts = [job.prompt for job in jobs]
        texts = Texts(
            self.network, self._model, prompts, memories, config.length, steering, self._tail
        )
        draws, tail = [np.random.default_rng(job.seed) for job in jobs], texts.last.shape[1]
        steps, is_open, num_open = FIRST, np.arange(len(jobs)), len(jobs)
        while num_open:
            if self._check:
                self._check()
            steps = min(steps, int(texts.wanted[is_open].max()))
            uniforms = np.zeros((len(jobs), steps))
            for text in is_open:
                uniforms[text] = draws[text].random(steps)
            ids = np.zeros((len(jobs), tail + steps), dtype=np.int32)
            ids[:, :tail] = texts.last
            counts, start = texts.written.copy(), time.perf_counter()
            num_open = self._write(texts, num_open, config, memories, uniforms, ids)
            if time.perf_counter() - start < SECONDS / 2:
                steps = min(2 * steps, MOST)
            new = (texts.written - counts).tolist()
            yield [(t, ids[t, tail : tail + new[t]].tolist()) for t in is_open.tolist()]
            texts.last, is_open = ids[:, ids.shape[1] - tail :], np.sort(texts.texts[:num_open])
        return texts

    def _write(
        self, texts: Texts, num_open: int, config: SampleConfig, memories: Sequence[NgramModel],
        uniforms: np.ndarray, ids: np.ndarray,
    ) -> int:  # fmt: skip
        """Write a block; return the number of texts that are still open."""
        parts = (
            texts.h, texts.c, texts.texts, texts.next, texts.start, texts.contexts, texts.lengths,
            texts.written, texts.wanted, texts.stopped,
        )  # fmt: skip
        batch = Batch(
            texts.size, num_open, *(part.ctypes.data for part in parts),
            uniforms.shape[1], texts.last.shape[1], uniforms.ctypes.data, ids.ctypes.data,
        )  # fmt: skip
        lowest = math.log(config.min_p) if config.min_p > 0 else -math.inf
        how = Filters(config.temperature, config.top_k, config.top_p, lowest)
        ends = Stops(len(self._stops), self._lengths.ctypes.data, self._ids.ctypes.data)
        is_done = self.network.library.write_texts(
            self.network.arrays.address, self._address(memories),
            texts.steered and texts.steered.address,
            *(ctypes.addressof(each) for each in (how, ends, batch)),
        )  # fmt: skip
        if not is_done:
            raise MemoryError
        return int(batch.open)

    def _address(self, memories: Sequence[NgramModel]) -> int | None:
        """Return the address of the first memory, which has those of the others."""
        if not memories:
            return None
        key = tuple(map(id, memories))
        if key not in self._memories:
            if len(self._memories) == MOST_MEMORIES:
                self._memories.clear()
            arrays: NgramArrays | None = None
            has_words = any(memory.words for memory in memories)
            for memory in reversed(memories):
                arrays = NgramArrays(memory, arrays, has_words=has_words)
            assert arrays is not None
            self._memories[key] = memories, arrays
        return self._memories[key][1].address

    def stream(
        self, job: Job, memories: Sequence[NgramModel], steering: Steering | None = None
    ) -> Generator[list[int], None, str]:
        """Yield the ids of one text in blocks; return why it ended, as Sampler.stream does."""
        finder = StopFinder(self._stops)
        blocks = self._blocks([job], job.config, memories, steering)
        while True:
            try:
                ((_, new),) = next(blocks)
            except StopIteration as end:
                reason = REASONS[end.value.stopped[0]]
                break
            if released := finder.feed(*new):
                yield released
        if reason != "stop":
            yield finder.finish()
        return reason

    def batch(
        self, jobs: Sequence[Job], config: SampleConfig, memories: Sequence[NgramModel],
        steering: Steering | None = None,
    ) -> list[Written]:  # fmt: skip
        """Return the texts of jobs of one config."""
        written: list[list[int]] = [[] for _ in jobs]
        blocks = self._blocks(jobs, config, memories, steering)
        while True:
            try:
                block = next(blocks)
            except StopIteration as end:
                stopped = end.value.stopped.tolist()
                break
            for text, new in block:
                written[text] += new
        return [self._ended(ids, REASONS[i]) for ids, i in zip(written, stopped, strict=True)]

    def _ended(self, ids: list[int], reason: str) -> Written:
        """Return a text without the longest stop string that ends it, and why it ended."""
        sizes = [len(stop) for stop in self._stops if ids[-len(stop) :] == stop]
        return ids[: len(ids) - max(sizes)] if reason == "stop" else ids, reason
