"""Log-probabilities of the characters of a text, as clients of the API read them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from charrnn.checkpoints.model import Model
from charrnn.data.vocab import ByteVocabulary
from charrnn.ngram.context import StreamMixer
from charrnn.ngram.gate import log_probabilities
from charrnn.ngram.model import NgramModel
from charrnn.nn.engine import Engine
from charrnn.sampling.prefill import prompt_ids, start_logits


@dataclass(slots=True)
class LogProbabilities:
    """What a model predicts for each symbol of a text; lists of equal length, (T,)."""

    ids: list[int] = field(default_factory=list)
    logs: list[float | None] = field(default_factory=list)
    """Log-probability of each symbol; None for the first one of a prompt."""
    tops: list[dict[int, float] | None] = field(default_factory=list)
    """The likeliest symbols at each position, and the actual one."""

    def add(self, symbol: int, log: float | None, top: dict[int, float] | None) -> None:
        """Append a symbol."""
        self.ids.append(symbol)
        self.logs.append(log)
        self.tops.append(top)

    def reversed(self) -> "LogProbabilities":
        """Return the same from the last symbol to the first."""
        return LogProbabilities(self.ids[::-1], self.logs[::-1], self.tops[::-1])

    def followed_by(self, other: "LogProbabilities") -> "LogProbabilities":
        """Return those of a text and of what follows it."""
        return LogProbabilities(
            self.ids + other.ids, self.logs + other.logs, self.tops + other.tops
        )

    def to_json(self, model: Model, offset: int, count: int) -> dict[str, Any]:
        """Return the object of the API.

        Args:
            model: For its vocabulary.
            offset: Characters of the text before the first symbol.
            count: Number of likely symbols at each position; 0 leaves them out.
        """
        names = names_of(model)
        tops = [None if top is None else named(top, names) for top in self.tops]
        return {
            "tokens": [names(symbol) for symbol in self.ids],
            "token_logprobs": self.logs,
            "top_logprobs": tops if count else None,
            "text_offset": offsets(model, self.ids, offset),
        }


def names_of(model: Model) -> Callable[[int], str]:
    r"""Return the function that names a symbol: the character, or `bytes:\xc3` for a byte."""
    vocab = model.vocab
    if isinstance(vocab, ByteVocabulary):
        return lambda symbol: chr(symbol) if symbol < 0x80 else f"bytes:\\x{symbol:02x}"
    return lambda symbol: vocab.decode([symbol])


def named(top: Mapping[int, float], names: Callable[[int], str]) -> dict[str, float]:
    """Return log-probabilities by the names of symbols."""
    return {names(symbol): log for symbol, log in top.items()}


def offsets(model: Model, ids: Sequence[int], begin: int) -> list[int]:
    """Return the position of each symbol in the text; the bytes of one character share theirs."""
    if not isinstance(model.vocab, ByteVocabulary):
        return list(range(begin, begin + len(ids)))
    starts = [symbol & 0xC0 != 0x80 for symbol in ids]
    return [begin + max(0, count - 1) for count in np.cumsum(starts).tolist()]


class Follower:
    """Reads a text with a model, symbol by symbol in the model's direction.

    The predictions are those of the model before temperature and filters.

    Args:
        model: The model.
        engine: Its network.
        memory: Its n-gram memory, if that has influence.
        count: Number of likely symbols to list at each position.
        check: Called before each symbol; an error that it raises ends the reading.
    """

    def __init__(
        self, model: Model, engine: Engine, memory: NgramModel | None, count: int,
        check: Callable[[], None],
    ) -> None:  # fmt: skip
        self._model, self._engine, self._check = model, engine, check
        self._count = min(count, model.vocab.size)
        self._mixer = StreamMixer([memory], []) if memory else None
        self._logits, self._state = start_logits(model), engine.empty_state()

    def prompt(self, prompt: str) -> LogProbabilities:
        """Read a prompt, which begins the text; return its log-probabilities but for the first."""
        given, found = len(self._model.vocab.encode(prompt)), LogProbabilities()
        ids = prompt_ids(self._model, prompt)
        for symbol in ids[: len(ids) - given]:  # the newline that a text begins after
            self._read(symbol)
        for position, symbol in enumerate(ids[len(ids) - given :]):
            found.add(symbol, *(self._predicted(symbol) if position else (None, None)))
            self._read(symbol)
        return found

    def text(self, ids: Iterable[int]) -> LogProbabilities:
        """Read what comes next; return its log-probabilities."""
        found = LogProbabilities()
        for symbol in ids:
            found.add(symbol, *self._predicted(symbol))
            self._read(symbol)
        return found

    def _read(self, symbol: int) -> None:
        self._check()
        self._logits, self._state = self._engine.step(symbol, self._state)
        if self._mixer is not None:
            self._mixer.read(symbol)

    def _predicted(self, symbol: int) -> tuple[float, dict[int, float] | None]:
        """Return the log-probability of the symbol that comes, and the likeliest ones."""
        scores = self._logits if self._mixer is None else self._mixer.mixed(self._logits)
        logs = log_probabilities(scores)  # at least -700: JSON has no infinity
        best = np.argsort(-logs, kind="stable")[: self._count].tolist()
        top = {i: float(logs[i]) for i in dict.fromkeys([*best, symbol])} if best else None
        return float(logs[symbol]), top
