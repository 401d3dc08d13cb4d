"""One direction of reading: what a model predicts for each symbol of a text, in that direction.

The text of a backward reader is turned round, so that both directions are the same code.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.checkpoints.model import Model
from charrnn.core.errors import InputError
from charrnn.ngram.backward import backward
from charrnn.ngram.counts import Floats, Keys, mask
from charrnn.ngram.gate import log_probabilities, mix
from charrnn.ngram.model import NgramModel, chunks
from charrnn.ngram.native import predictor
from charrnn.nn.engine import Engine
from charrnn.nn.numpy_engine import make_engine
from charrnn.nn.state import State

Symbols = NDArray[Any]
"""Ids of symbols, or positions."""

MOST_PIECES, LEAST_PIECE, WARM_UP = 32, 64, 128
"""Pieces of a text that the network reads as one batch, least symbols of a piece, and symbols that
are read before each piece. What is further away changes the predictions by less than 0.001 nats."""

CONTEXT = 512
"""Most symbols that are read before a continuation."""

MANY = 1 << 20
"""Predictions that a text of usual length asks for: worth compiling the library."""


@dataclass(frozen=True, eq=False)
class Reader:
    """Predictions in one direction, of n-gram memory and network, or of the memory alone."""

    memory: NgramModel
    newline: int | None
    """Id of the newline, which a text begins after; None if the vocabulary has none."""
    records: bool
    """Whether each line is a text of its own."""
    network: Model | None = None
    """A network that reads in this direction."""

    @cached_property
    def _engine(self) -> Engine:
        assert self.network is not None
        return make_engine(self.network.config, self.network.weights)

    @cached_property
    def predict(self) -> Any:
        """n-gram predictions: (packed contexts, lengths) -> NgramPrediction."""
        return predictor(self.memory, MANY)

    def contexts(self, ids: Symbols) -> tuple[Keys, Symbols]:
        """Return the packed context before each symbol of a text, and after it, and their lengths.

        Args:
            ids: A text from its beginning, (T,).

        Returns:
            Packed symbols and their number, (T + 1,) each.
        """
        begin = [] if self.newline is None else [self.newline]
        text = np.concatenate([begin, ids]).astype(np.uint64)
        packed = np.zeros(len(ids) + 1, dtype=np.uint64)
        after = packed[len(ids) + 1 - len(text) :]
        for d in range(self.memory.order):
            after[d:] |= text[: max(0, len(text) - d)] << np.uint64(self.memory.bits * d)
        lengths = np.arange(len(ids) + 1) + len(begin)
        if self.records and self.newline is not None:
            lines = np.where(np.append(self.newline, ids) == self.newline, lengths, 0)
            lengths = lengths - np.maximum.accumulate(lines) + 1
        return packed, np.minimum(lengths, self.memory.order)

    def log_p(self, contexts: Keys, lengths: Symbols, symbols: Symbols) -> Floats:
        """Return the log-probability of one symbol after each context, by the n-grams alone, (n,)."""
        result = np.empty(len(contexts))
        for part in chunks(len(contexts), self.memory.vocab_size):
            p = self.predict(contexts[part], lengths[part]).p
            result[part] = np.log(p[np.arange(len(p)), symbols[part]])
        return result

    def logs(self, ids: Symbols, begin: int, end: int) -> NDArray[np.float32]:
        """Return the log-probabilities of all symbols before each symbol of a part, (end - begin, V).

        Args:
            ids: The text from its beginning, (T,).
            begin: First position of the part.
            end: Position after the part, at most T.
        """
        packed, lengths = (each[begin:end] for each in self.contexts(ids))
        result = np.empty((end - begin, self.memory.vocab_size), dtype=np.float32)
        scores = self.network_logits(ids, begin, end) if self.network else None
        for part in chunks(end - begin, self.memory.vocab_size):
            prediction = self.predict(packed[part], lengths[part])
            if scores is None:
                result[part] = np.log(prediction.p)
            else:
                result[part] = log_probabilities(mix(scores[part], prediction, self.memory.weight))
        return result

    def network_logits(self, ids: Symbols, begin: int, end: int) -> NDArray[np.float32]:
        """Return the logits of the network before each symbol of a part, read in pieces, (n, V)."""
        size = max(LEAST_PIECE, -(-(end - begin) // MOST_PIECES))
        starts = begin + np.arange(max(2, -(-(end - begin) // size))) * size
        logits, state = self.beginning(len(starts))
        result = np.empty((size, *logits.shape), dtype=np.float32)
        for t in range(-WARM_UP, size):
            if t >= 0:
                result[t] = logits
            symbols = ids[np.clip(starts + t, 0, len(ids) - 1)]
            logits, state = self.step(symbols, state)
            self._begin(starts + t < 0, logits, state)
        return result.transpose(1, 0, 2).reshape(-1, result.shape[2])[: end - begin]

    def appended(self, packed: Keys, lengths: Symbols, symbols: Symbols) -> tuple[Keys, Symbols]:
        """Return contexts and their lengths after one more symbol each."""
        memory = self.memory
        packed = (packed << np.uint64(memory.bits) | symbols.astype(np.uint64)) & mask(
            memory.bits * memory.order
        )
        lengths = np.minimum(lengths + 1, memory.order)
        return packed, np.where(symbols == self.newline, 1, lengths) if self.records else lengths

    def step(self, symbols: Symbols, state: State) -> tuple[NDArray[np.float32], State]:
        """Return logits, (B, V), and states of the network after one more symbol each.

        After a newline, a record begins.
        """
        logits, state = self._engine.step(symbols, state)
        if self.records:
            self._begin(symbols == self.newline, logits, state)
        return logits, state

    def _begin(self, rows: NDArray[np.bool_], logits: NDArray[np.float32], state: State) -> None:
        """Overwrite logits and states of some rows by those before any text, in place."""
        first, fresh = self._beginning
        same = np.zeros(np.count_nonzero(rows), dtype=np.int64)
        logits[rows] = first[same]
        state.put(rows, fresh.rows(same))

    def after(self, given: Symbols, count: int) -> tuple[NDArray[np.float32], State]:
        """Return logits, (B, V), and states of the network after a text, in equal rows."""
        logits, state = self.beginning(2)  # two rows make a batch
        for symbol in given:
            logits, state = self.step(np.full(2, symbol), state)
        rows = np.zeros(count, dtype=np.int64)
        return logits[rows], state.rows(rows)

    def beginning(self, count: int) -> tuple[NDArray[np.float32], State]:
        """Return logits, (B, V), and states of the network before any text, in equal rows."""
        rows = np.zeros(count, dtype=np.int64)
        logits, state = self._beginning
        return logits[rows], state.rows(rows)

    @cached_property
    def _beginning(self) -> tuple[NDArray[np.float32], State]:
        """Logits, (2, V), and states of texts that begin; without newline all symbols are alike."""
        state = self._engine.empty_state(2)
        if self.newline is None:
            return np.zeros((2, self.memory.vocab_size), dtype=np.float32), state
        return self._engine.step(np.full(2, self.newline), state)


def readers(model: Model, partner: Model | None = None) -> tuple[Reader, Reader]:
    """Return the readers of both directions.

    Args:
        model: A forward model; of a model of both directions, only the n-grams are used.
        partner: A backward model with the same vocabulary; without it the n-grams of the forward
            model are turned round.

    Raises:
        InputError: A model has no n-gram memory.
    """
    forward_memory = memory_of(model)
    frame = model.vocab.newline, model.records
    if partner is None:
        back = Reader(backward(forward_memory), *frame)
    else:
        back = Reader(memory_of(partner), *frame, partner)
    return Reader(forward_memory, *frame, None if model.is_both else model), back


def memory_of(model: Model) -> NgramModel:
    """Return the n-gram memory of a model.

    Raises:
        InputError: It has none.
    """
    if model.memory is None or not model.memory.order:
        raise InputError(
            "the model has no n-gram memory, which this needs; train without --memory off"
        )
    return model.memory.characters  # words have no place in spans and their reversal


def log_unigrams(memory: NgramModel) -> Floats:
    """Return the logarithm of how often each symbol occurs in the training text, (V,)."""
    top = memory.orders[-1]
    last = (top.keys & np.uint64((1 << memory.bits) - 1)).astype(np.int64)
    counts = np.bincount(last, top.counts, minlength=memory.vocab_size) + 0.5
    result: Floats = np.log(counts / counts.sum())
    return result


class Rows:
    """Continuations of one text in a reader's direction, side by side.

    Args:
        reader: The direction.
        given: The text that is continued, from its beginning, (T,).
        count: Number of continuations (B), at least 2.
    """

    def __init__(self, reader: Reader, given: Symbols, count: int) -> None:
        self.reader, given = reader, given[-CONTEXT:]
        packed, lengths = reader.contexts(given)
        self.packed, self.lengths = np.full(count, packed[-1]), np.full(count, lengths[-1])
        if reader.network is not None:
            self._logits, self._state = reader.after(given, count)

    def logs(self) -> Floats:
        """Return the log-probabilities of the next symbol of each, (B, V)."""
        prediction = self.reader.predict(self.packed, self.lengths)
        if self.reader.network is None:
            result: Floats = np.log(prediction.p)
            return result
        return log_probabilities(mix(self._logits, prediction, self.reader.memory.weight))

    def read(self, symbols: Symbols) -> None:
        """Read the next symbol of each, (B,)."""
        self.packed, self.lengths = self.reader.appended(self.packed, self.lengths, symbols)
        if self.reader.network is not None:
            self._logits, self._state = self.reader.step(symbols, self._state)
