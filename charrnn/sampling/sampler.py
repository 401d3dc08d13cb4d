"""Generate text, one stream or a batch, on the CPU."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.checkpoints.model import Model
from charrnn.core.config import SampleConfig
from charrnn.data.vocab import ByteVocabulary, CharVocabulary, Decoder
from charrnn.ngram.context import BatchMixer, StreamMixer
from charrnn.ngram.model import NgramModel
from charrnn.nn.engine import Engine
from charrnn.nn.native import NativeEngine, fastest
from charrnn.sampling.filters import Logits, apply_filters
from charrnn.sampling.jobs import Job, Sample, StopFinder, Written, batched, uniforms
from charrnn.sampling.prefill import Prefill, prompt_ids


def draw(logits: Logits, uniform: NDArray[np.float64] | float) -> Any:
    """Return one character for each row of logits, by inverse cumulative sum: (...), or an int.

    Args:
        logits: (..., V), the largest of each row 0.
        uniform: One number in [0, 1) a row, (...).
    """
    sums = np.add.accumulate(np.exp(logits).astype(np.float64), axis=-1)
    # The first sum above the threshold: an impossible character adds nothing and is never it.
    if logits.ndim == 1:
        place = int(sums.searchsorted(uniform * sums[-1], side="right"))
        return min(place, len(sums) - 1)  # one that exists, even of scores that are NaN
    threshold = np.asarray(uniform)[..., None] * sums[..., -1:]
    return (sums <= threshold).sum(axis=-1)


class Sampler:
    """Writes with one model."""

    batch_size = 64
    """Samples written side by side, unless told otherwise."""

    is_streaming = True
    """Whether a single text comes character by character."""

    def __init__(self, model: Model, stops: Sequence[str] = ()) -> None:
        self.model = model
        self._memories: dict[float | None, NgramModel | None] = {}
        self.stops = [ids for stop in stops if (ids := self._stop_ids(stop)) is not None]
        if model.records and model.vocab.newline is not None:
            self.stops.append([model.vocab.newline])

    @cached_property
    def _engine(self) -> Engine | NativeEngine:
        return fastest(self.model.config, self.model.weights)

    @cached_property
    def prefill(self) -> Prefill:
        """Reads prompts."""
        return Prefill(self.model, self._engine)

    @property
    def engine(self) -> str:
        """What writes, in words."""
        return "compiled step" if isinstance(self._engine, NativeEngine) else "step in NumPy"

    def _stop_ids(self, stop: str) -> list[int] | None:
        """Return a stop string as ids; None if it has characters that never come."""
        vocab = self.model.vocab
        if isinstance(vocab, CharVocabulary) and not all(map(vocab.knows, stop)):
            return None
        return [int(i) for i in vocab.encode(stop)]

    def memory(self, config: SampleConfig) -> NgramModel | None:
        """Return the memory with the weight that is asked for; None where it has no say."""
        memory, weight = self.model.memory, config.memory_weight
        if memory is not None and weight not in self._memories:
            self._memories[weight] = memory.weighted(weight)  # it remembers frequent contexts
        return self._memories.get(weight)

    def stream(
        self, prompt: str, config: SampleConfig, seed: int
    ) -> Generator[list[int], None, str]:
        """Yield the ids of one text as they become certain; return why it ended.

        Raises:
            InputError: The prompt has characters that the model never saw.
        """
        finder = StopFinder(self.stops)
        if config.length == 0:
            return "length"
        logits, state = self.prefill.one(prompt)
        memory = self.memory(config)
        follower = StreamMixer(memory, prompt_ids(self.model, prompt)) if memory else None
        for count, uniform in enumerate(uniforms(seed), start=1):
            if follower is not None:
                logits = follower.mixed(logits)
            chosen = draw(apply_filters(logits, config), uniform)
            if follower is not None:
                follower.read(chosen)
            if released := finder.feed(chosen):
                yield released
            if finder.is_found:
                return "stop"
            if count == config.length:
                break
            logits, state = self._engine.step(chosen, state)
        yield finder.finish()
        return "length"

    def sample(self, prompt: str, config: SampleConfig, seed: int) -> Sample:
        """Return one text, generated as a single stream."""
        ids: list[int] = []
        stream = self.stream(prompt, config, seed)
        while True:
            try:
                ids += next(stream)
            except StopIteration as end:
                return self._sample_of(Job(0, seed, prompt, config), ids, end.value)

    def write(self, jobs: Iterable[Job], batch_size: int | None = None) -> Iterator[Sample]:
        """Yield samples in order, `batch_size` of them, at least two, written side by side.

        A sample's text depends on its own job alone, not on which others are written.
        """
        for groups in batched(jobs, self.rows(batch_size)):
            samples = [sample for group in groups for sample in self._together(group)]
            yield from sorted(samples, key=lambda sample: sample.index)

    def _together(self, jobs: Sequence[Job]) -> Iterator[Sample]:
        """Yield the samples of jobs that have one config."""
        config = jobs[0].config
        nothing: list[Written] = [([], "length")] * len(jobs)
        texts = self.batch(jobs, config) if config.length else nothing
        for job, (ids, finish) in zip(jobs, texts, strict=True):
            yield self._sample_of(job, ids, finish)

    def rows(self, asked: int | None) -> int:
        """Return how many texts are written side by side when so many are asked for."""
        return max(2, asked or self.batch_size)

    def batch(self, jobs: Sequence[Job], config: SampleConfig) -> list[Written]:
        """Write the texts of some jobs, side by side; those that are done leave."""
        B, prompts = len(jobs), [job.prompt for job in jobs]
        logits, state = self.prefill.many(prompts)
        finders = [StopFinder(self.stops) for _ in jobs]
        texts: list[list[int]] = [[] for _ in jobs]
        memory = self.memory(config)
        texts_read = [prompt_ids(self.model, prompt) for prompt in prompts]
        followers = BatchMixer(memory, texts_read) if memory else None
        draws = [uniforms(job.seed) for job in jobs]
        rows = np.arange(B)  # which text each row of the state belongs to
        for count in range(1, config.length + 1):
            uniform = np.array([next(draws[row]) for row in rows])
            if followers is not None:
                logits = followers.mixed(logits)
            chosen = draw(apply_filters(logits, config), uniform)
            for row, symbol in zip(rows.tolist(), chosen.tolist(), strict=True):
                texts[row] += finders[row].feed(symbol)
            if followers is not None:
                followers.read(chosen)
            going = np.array([not finders[row].is_found for row in rows])
            if count == config.length or not going.any():
                break
            if not going.all():
                rows, chosen = rows[going], chosen[going]
                state = tuple(part[:, going] for part in state)
                if followers is not None:
                    followers.keep(going)
            logits, state = self._engine.step(chosen, state)
        return [
            (text + finder.finish(), "stop" if finder.is_found else "length")
            for text, finder in zip(texts, finders, strict=True)
        ]

    def _sample_of(self, job: Job, ids: list[int], finish: str) -> Sample:
        vocab = self.model.vocab
        return Sample(
            index=job.index,
            seed=job.seed,
            prompt=job.prompt,
            text=vocab.decode(ids),
            raw=vocab.raw(ids),
            finish=finish,
            temperature=job.config.temperature,
        )


def stream(
    model: Model, prompt: str = "", *, seed: int, stops: Sequence[str] = (), **settings: Any
) -> Iterator[str]:
    """Yield the characters of one text as they are made.

    Args:
        model: As from `charrnn.load`.
        prompt: Text to go on from.
        seed: Same seed, same text.
        stops: Strings that end the text; they are not part of it.
        **settings: length, temperature, top_k, top_p, min_p, memory_weight, as in SampleConfig.
    """
    decoder = Decoder(model.vocab)
    for ids in Sampler(model, stops).stream(prompt, SampleConfig(**settings), seed):
        yield from decoder.feed(ids)
    yield from decoder.feed([], final=isinstance(model.vocab, ByteVocabulary))
