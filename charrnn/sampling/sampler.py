"""Generate text, one stream or a batch, on the CPU."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from copy import copy
from functools import cached_property
from typing import Self

import numpy as np

from charrnn.checkpoints.model import Model
from charrnn.core.config import SampleConfig
from charrnn.core.errors import InputError
from charrnn.data.vocab import CharVocabulary
from charrnn.ngram.context import StreamMixer
from charrnn.ngram.model import NgramModel
from charrnn.ngram.native import is_safe
from charrnn.nn.engine import Engine
from charrnn.nn.native import CompiledSteps, native_engine
from charrnn.nn.numpy_engine import make_engine
from charrnn.sampling.filters import Chooser, apply_filters, draw
from charrnn.sampling.jobs import (
    Job,
    Sample,
    StopFinder,
    Written,
    batched,
    finished,
    sample_of,
    uniforms,
)
from charrnn.sampling.likelihood import candidates, likeliest, with_losses
from charrnn.sampling.native import NativeLoop
from charrnn.sampling.prefill import Prefill, prompt_ids
from charrnn.steering.steering import Steering, SteeringState, steering_of

MOST_RECORDS, SCORES = 256, 1 << 18
"""Records that are generated side by side, and limit of their logits."""

MOST_MEMORIES = 4
"""Memory weights that are remembered, each with a cache of predictions."""

MOST_STEERINGS = 4
"""Configs whose constraints are remembered, compiled; one `sample` has one for each temperature."""


def never() -> None:
    """Interrupt nothing."""


class Sampler:
    """Generates text with one model.

    Args:
        model: Model with its weights.
        stops: Strings that end a text.
        num_symbols: About how many symbols will be written in all: many pay for building the
            compiled loop.
        added: n-gram memories of other texts, each with a weight, mixed in after the model's own.
        engine: What steps the network, or several, instead of the network of the model.
    """

    batch_size = 64
    """Default number of texts that are generated side by side."""

    def __init__(
        self,
        model: Model,
        stops: Sequence[str] = (),
        *,
        num_symbols: int = 0,
        added: Sequence[NgramModel] = (),
        engine: Engine | None = None,
    ) -> None:
        model.config.check_writes()
        self.model, self._num_symbols = model, num_symbols
        self._added, self._given_engine = tuple(added), engine
        self._memories: dict[float | None, NgramModel | None] = {}
        self._steerings: dict[SampleConfig, Steering | None] = {}
        self.stops = self._all_stops(stops)
        self.check: Callable[[], None] = never

    def _all_stops(self, stops: Sequence[str]) -> list[list[int]]:
        """Return the ids of stop strings; a record also ends at its newline."""
        found = [ids for stop in stops if (ids := self._stop_ids(stop)) is not None]
        newline = self.model.vocab.newline
        return [*found, [newline]] if self.model.records and newline is not None else found

    def variant(self, stops: Sequence[str], check: Callable[[], None] = never) -> Self:
        """Return a sampler with other stop strings, which shares network, memory and caches.

        Args:
            stops: Strings that end a text.
            check: Called between the steps of a text; an error that it raises ends the text.
        """
        loop, _ = self._loop, self.prefill  # made before they are shared
        other = copy(self)
        other.stops, other.check = self._all_stops(stops), check
        other._loop = loop and loop.variant(other.stops, check)
        return other

    @cached_property
    def _engine(self) -> Engine:
        return self._given_engine or make_engine(self.model.config, self.model.weights)

    @cached_property
    def _loop(self) -> NativeLoop | None:
        model = self.model
        if self._given_engine is not None:
            return None
        if not all(map(is_safe, [*self._added, *([model.memory] if model.memory else [])])):
            return None
        engine = native_engine(model.config, model.weights, self._num_symbols)
        return NativeLoop(engine, model, self.stops) if engine else None

    @cached_property
    def prefill(self) -> Prefill:
        """Reads prompts with NumPy."""
        return Prefill(self.model, self._engine)

    @cached_property
    def _rereading(self) -> Prefill:
        """Reads many texts again, compiled where the loop is."""
        loop = self._loop
        return Prefill(self.model, CompiledSteps(loop.network)) if loop else self.prefill

    @property
    def is_streaming(self) -> bool:
        """Whether `stream` yields the characters of a single text in reading order."""
        return not self.model.is_backward

    @property
    def engine(self) -> str:
        """Name of the implementation, for messages."""
        return "compiled loop" if self._loop else "loop in NumPy"

    def _stop_ids(self, stop: str) -> list[int] | None:
        """Return the ids of a stop string; None if the vocabulary lacks one of its characters."""
        vocab = self.model.vocab
        if isinstance(vocab, CharVocabulary) and not all(map(vocab.knows, stop)):
            return None
        stop_ids: list[int] = self.model.turned(vocab.encode(stop)).tolist()
        return stop_ids

    def memory(self, config: SampleConfig) -> NgramModel | None:
        """Return the model's n-gram memory with the weight of a config; None without influence."""
        memory, weight = self.model.memory, config.memory_weight
        if memory is not None and weight not in self._memories:
            if len(self._memories) == MOST_MEMORIES:
                self._memories.clear()
            self._memories[weight] = memory.weighted(weight)  # has a cache of contexts
        return self._memories.get(weight)

    def memories(self, config: SampleConfig) -> Sequence[NgramModel]:
        """Return all n-gram memories that have influence, in the order in which they are mixed in."""
        own = self.memory(config)
        return self._added if own is None else (own, *self._added)

    def steering(self, config: SampleConfig) -> Steering | None:
        """Return the constraints of a config, for the model; None if it has none.

        Raises:
            InputError: A constraint does not fit the model.
        """
        if config.match and len(self.stops) > self.model.records:
            raise InputError(
                "--match and --stop: a text ends where the pattern does; leave out --stop"
            )
        if config not in self._steerings:
            if len(self._steerings) == MOST_STEERINGS:
                self._steerings.clear()
            self._steerings[config] = steering_of(config, self.model)
        return self._steerings[config]

    def stream(
        self, prompt: str, config: SampleConfig, seed: int
    ) -> Generator[list[int], None, str]:
        """Yield the ids of one text as soon as no stop string can include them.

        A backward model writes the last one first.

        Returns:
            Why the text ended: "length", "stop" or "match".

        Raises:
            InputError: The prompt has characters that the vocabulary lacks.
        """
        finder = StopFinder(self.stops)
        if config.length == 0:
            return "length"
        memories, steering = self.memories(config), self.steering(config)
        if self._loop:
            return (yield from self._loop.stream(Job(0, seed, prompt, config), memories, steering))
        logits, state = self.prefill.one(prompt)
        fed = prompt_ids(self.model, prompt)
        mixer = StreamMixer(memories, fed) if memories else None
        steered = SteeringState(steering, [fed], config.length) if steering else None
        matching = steered.matching if steered else None
        for count, uniform in enumerate(uniforms(seed), start=1):
            self.check()
            if mixer is not None:
                logits = mixer.mixed(logits)
            if steered is not None:
                logits = steered.apply(logits[None])[0]
            chosen = draw(apply_filters(logits, config), uniform)
            if mixer is not None:
                mixer.read(chosen)
            if steered is not None:
                steered.read(np.array([chosen]))
            is_part = matching is None or self.model.records or not matching.is_left[0]
            if is_part and (released := finder.feed(chosen)):
                yield released
            if finder.is_found:
                return "stop"
            if count == config.length or (matching is not None and matching.is_over[0]):
                break
            logits, state = self._engine.step(chosen, state)
        yield finder.finish()
        return "match" if matching is not None and matching.is_complete[0] else "length"

    def sample(self, prompt: str, config: SampleConfig, seed: int) -> Sample:
        """Return one text, generated as a single stream, or as the likeliest of a batch."""
        if config.best_of > 1:
            return next(self.write([Job(0, seed, prompt, config)]))
        ids: list[int] = []
        stream = self.stream(prompt, config, seed)
        while True:
            try:
                ids += next(stream)
            except StopIteration as end:
                return sample_of(self.model, Job(0, seed, prompt, config), ids, end.value)

    def write(self, jobs: Iterable[Job], batch_size: int | None = None) -> Iterator[Sample]:
        """Yield samples in the order of their jobs, generated in batches of at least two.

        The text of a sample depends on its own job only, not on the other jobs.
        """
        return likeliest(self._tried(candidates(jobs), batch_size))

    def _tried(self, jobs: Iterable[Job], batch_size: int | None) -> Iterator[Sample]:
        for groups in batched(jobs, self.rows(batch_size)):
            samples = [sample for group in groups for sample in self._together(group)]
            yield from sorted(samples, key=lambda sample: sample.index)

    def _together(self, jobs: Sequence[Job]) -> list[Sample]:
        """Return the samples of jobs with the same config."""
        config = jobs[0].config
        empty: list[Written] = [([], "length")] * len(jobs)
        texts = self.batch(jobs, config) if config.length else empty
        samples = [sample_of(self.model, job, *text) for job, text in zip(jobs, texts, strict=True)]
        if config.best_of == 1:
            return samples
        return with_losses(samples, self._rereading, self.memories(config), self.model)

    def rows(self, asked: int | None) -> int:
        """Return the batch size that is used if `asked` is requested; None is the default.

        Records end early, one after the other: more of them fill the rows.
        """
        default = self.batch_size
        if self.model.records:
            default = max(default, min(MOST_RECORDS, SCORES // self.model.vocab.size))
        return max(2, asked or default)

    def batch(self, jobs: Sequence[Job], config: SampleConfig) -> list[Written]:
        """Generate the texts of jobs side by side; a finished text leaves the batch."""
        steering = self.steering(config)
        if self._loop:
            return self._loop.batch(jobs, config, self.memories(config), steering)
        logits, state = self.prefill.many([job.prompt for job in jobs])
        fed = [prompt_ids(self.model, job.prompt) for job in jobs]
        chooser = Chooser(self.memories(config), steering, fed, config)
        matching = chooser.matching
        finders = [StopFinder(self.stops) for _ in jobs]
        texts: list[list[int]] = [[] for _ in jobs]
        draws = [uniforms(job.seed) for job in jobs]
        rows = np.arange(len(jobs))  # index of the text in each row of the state
        for count in range(1, config.length + 1):
            self.check()
            chosen = chooser.choose(logits, np.array([next(draws[row]) for row in rows]))
            has_left = matching.is_left if matching and not self.model.records else rows < 0
            for row, symbol, is_part in zip(rows, chosen.tolist(), ~has_left, strict=True):
                texts[row] += finders[row].feed(symbol) if is_part else []
            is_open = np.array([not finders[row].is_found for row in rows])
            if matching is not None:
                for row in rows[matching.is_complete]:
                    finders[row].reason = "match"
                is_open &= ~matching.is_over
            if count == config.length or not is_open.any():
                break
            if not is_open.all():
                rows, chosen = rows[is_open], chosen[is_open]
                state = state.rows(is_open)
                chooser.keep(is_open)
            logits, state = self._engine.step(chosen, state)
        return [finished(text, finder) for text, finder in zip(texts, finders, strict=True)]
