"""Texts for a request, piece by piece; what clients of `/v1/completions` receive."""

import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from charrnn.checkpoints.model import Model
from charrnn.data.vocab import Decoder
from charrnn.sampling.jobs import Job, Sample
from charrnn.sampling.likelihood import written_ids
from charrnn.sampling.sampler import Sampler
from charrnn.server.completion_request import CompletionRequest
from charrnn.server.log_probabilities import Follower, LogProbabilities

FINISH: dict[str | None, str] = {"match": "stop"}
"""Reasons for an end that have another name in the API."""

MANY = 1 << 30
"""Symbols that a server may write: worth compiling the loop."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """The next part of a text."""

    index: int
    """Number of the text."""
    text: str
    num_symbols: int = 0
    """Symbols of the model that were written."""
    log_probabilities: LogProbabilities | None = None
    finish: str | None = None
    """Why the text ended, "length", "stop" or "match"; None before its end."""

    def followed_by(self, other: "Piece") -> "Piece":
        """Return this part of a text and the next one together."""
        first, second = self.log_probabilities, other.log_probabilities
        both = first.followed_by(second) if first and second else first or second
        return Piece(
            index=self.index, text=self.text + other.text,
            num_symbols=self.num_symbols + other.num_symbols, log_probabilities=both,
            finish=other.finish,
        )  # fmt: skip


class Writer:
    """Writes the texts of requests with one model.

    Args:
        model: The model.
    """

    def __init__(self, model: Model) -> None:
        self.model, self.sampler = model, Sampler(model, num_symbols=MANY)

    def pieces(self, request: CompletionRequest, check: Callable[[], None]) -> Iterator[Piece]:
        """Yield the texts of a request.

        One text is that of `charrnn sample`, and comes while it is written if the model reads
        forward. Several are written side by side, as by `charrnn sample -n`, and come when they
        are finished.

        Args:
            request: What to write, as `fitted` returns it.
            check: Called between the steps of a text; an error that it raises ends the request.
        """
        sampler, jobs = self.sampler.variant(request.stops, check), request.jobs
        if len(jobs) == 1 and sampler.is_streaming and request.config.best_of == 1:
            yield from self._streamed(sampler, request, jobs[0])
        elif len(jobs) == 1:
            job = jobs[0]
            yield self._whole(sampler.sample(job.prompt, job.config, job.seed), request, check)
        else:
            for sample in sampler.write(jobs):
                yield self._whole(sample, request, check)

    def _follower(self, request: CompletionRequest, check: Callable[[], None]) -> Follower | None:
        """Return what reads a text for its log-probabilities, if they are asked for."""
        if request.alternatives is None:
            return None
        memory = self.sampler.memory(request.config)
        return Follower(
            self.model, self.sampler.prefill.engine, memory, request.alternatives, check
        )

    def _streamed(self, sampler: Sampler, request: CompletionRequest, job: Job) -> Iterator[Piece]:
        """Yield the only text of a request while it is written."""
        decoder, follower = Decoder(self.model.vocab), self._follower(request, sampler.check)
        read = follower.prompt(job.prompt) if follower else None
        if request.echo:
            yield Piece(index=0, text=job.prompt, log_probabilities=read)
        stream = sampler.stream(job.prompt, job.config, job.seed)
        while True:
            try:
                ids = next(stream)
            except StopIteration as end:
                finish = end.value
                break
            logs = follower.text(ids) if follower else None
            yield Piece(
                index=0, text=decoder.feed(ids), num_symbols=len(ids), log_probabilities=logs
            )
        yield Piece(index=0, text=decoder.end(), finish=finish)

    def _whole(
        self, sample: Sample, request: CompletionRequest, check: Callable[[], None]
    ) -> Piece:
        """Return a finished text."""
        ids, logs = written_ids(sample, self.model).tolist(), None
        if follower := self._follower(request, check):
            read = follower.prompt(sample.prompt)
            logs = follower.text(ids)
            logs = read.followed_by(logs) if request.echo else logs
            logs = logs.reversed() if sample.is_backward else logs
        return Piece(
            index=sample.index, text=sample.whole if request.echo else sample.text,
            num_symbols=len(ids), log_probabilities=logs, finish=sample.finish,
        )  # fmt: skip


def merged(pieces: Iterable[Piece]) -> list[Piece]:
    """Return one piece for each text, in the order of the texts."""
    found: dict[int, Piece] = {}
    for piece in pieces:
        before = found.get(piece.index)
        found[piece.index] = before.followed_by(piece) if before else piece
    return [found[index] for index in sorted(found)]


class Response:
    """The objects that a client receives for one request.

    Args:
        request: The request, as `fitted` returns it.
        model: For its vocabulary.
        name: Name of the model.
    """

    def __init__(self, request: CompletionRequest, model: Model, name: str) -> None:
        self._request, self._model, self._jobs = request, model, request.jobs
        self._frame = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": name,
        }
        self.unit = model.vocab.unit
        self._lengths = [0] * len(self._jobs)
        """Characters of each text so far."""
        lengths = {each: len(model.vocab.encode(each)) for each in set(request.prompts)}
        self.num_read = sum(lengths[prompt] for prompt in request.prompts)
        self.num_written = 0

    def whole(self, pieces: Iterable[Piece]) -> dict[str, Any]:
        """Return the object of a request that is not streamed."""
        return self.event(pieces) | {"usage": self.usage()}

    def event(self, pieces: Iterable[Piece]) -> dict[str, Any]:
        """Return the next object of a stream."""
        return self._frame | {"choices": [self._choice(piece) for piece in merged(pieces)]}

    def last_event(self) -> dict[str, Any]:
        """Return the object that ends a stream which was asked to count."""
        return self._frame | {"choices": [], "usage": self.usage()}

    def usage(self) -> dict[str, int]:
        """Return the number of characters (of a byte model, bytes) of the request."""
        return {
            "prompt_tokens": self.num_read,
            "completion_tokens": self.num_written,
            "total_tokens": self.num_read + self.num_written,
        }

    def _choice(self, piece: Piece) -> dict[str, Any]:
        logs, begin = piece.log_probabilities, self._lengths[piece.index]
        self._lengths[piece.index] += len(piece.text)
        self.num_written += piece.num_symbols
        choice = {
            "index": piece.index,
            "text": piece.text,
            "logprobs": logs and logs.to_json(self._model, begin, self._request.alternatives or 0),
            "finish_reason": FINISH.get(piece.finish, piece.finish),
        }
        return choice | ({"seed": self._jobs[piece.index].seed} if piece.finish else {})
