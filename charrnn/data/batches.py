"""Ids -> (B, T) chunks: streams on a circle, or whole records. A batch is a function of its step."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from charrnn.core.config import TrainConfig
from charrnn.core.errors import InputError
from charrnn.core.seeds import derive_seed
from charrnn.data.corpus import Corpus, Records
from charrnn.data.vocab import Ids

IGNORED = -1
"""Target that the loss passes over: padding behind a record."""

SMALLEST_WINDOW = 8
"""Characters; no text is cut into shorter windows than this."""

PAD_TO = 16
"""Batches of records are padded to a multiple of this, so that few shapes occur."""

POOL = 64
"""Batches' worth of records among which those of similar length are put together."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's worth of text."""

    inputs: Any
    """Ids that are fed, (B, T), int64: an array, or a tensor where the text lives on a GPU."""
    targets: Any
    """Ids to be predicted, (B, T): the inputs, one character on. IGNORED where there is none."""
    is_fresh: NDArray[np.bool_]
    """Streams that begin with an empty state, (B,)."""

    @property
    def num_chars(self) -> int:
        """Characters trained on."""
        return int((self.targets != IGNORED).sum())

    def part(self, rows: slice) -> "Batch":
        """Return some of the rows; where there are none, one whose targets do not count."""
        if rows.start < rows.stop:
            return Batch(self.inputs[rows], self.targets[rows], self.is_fresh[rows])
        one = slice(0, 1)
        return Batch(self.inputs[one], self.targets[one] * 0 + IGNORED, self.is_fresh[one])


class Batches(Protocol):
    """Something that has a batch for every step."""

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one pass over the text."""

    @property
    def batch_size(self) -> int:
        """Rows of the state (S)."""

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, counted from 0 over all epochs."""


@dataclass(frozen=True, slots=True)
class Streams:
    """A long text read as `batch_size` streams side by side, on a circle.

    In epoch e, position p of stream s is character (o + s * (N // S) + p) mod N, with a fresh
    offset o for each epoch, so that nothing is lost at the ends.
    """

    ids: Ids
    batch_size: int
    seq_len: int
    seed: int
    restart_prob: float

    @property
    def stream_len(self) -> int:
        """Characters of one stream in one epoch."""
        return len(self.ids) // self.batch_size

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one pass over the text."""
        return self.stream_len // self.seq_len

    def batch(self, step: int) -> Batch:
        """Return the batch of a step."""
        starts, is_fresh = self.places(step)
        # Targets are inputs shifted by one, so one character more than a window is read.
        places = (starts[:, None] + np.arange(self.seq_len + 1)) % len(self.ids)
        rows = self.ids[places].astype(np.int64)
        return Batch(rows[:, :-1], rows[:, 1:], is_fresh)

    def places(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return where each stream's window begins, going round, and whether its state is empty.

        It is at an epoch's start, and now and then; both (S,).
        """
        epoch, index = divmod(step, self.steps_per_epoch)
        N, S = len(self.ids), self.batch_size
        offset = derive_seed(self.seed, "offset", epoch) % N
        starts = offset + np.arange(S) * self.stream_len + index * self.seq_len
        draws = np.random.default_rng(derive_seed(self.seed, "restart", step)).random(S)
        return starts, (draws < self.restart_prob) | (index == 0)


@dataclass(frozen=True, slots=True)
class RecordBatches:
    """Whole records, shuffled anew each epoch, those of similar length together.

    Row: inputs newline + record, targets record + newline, from an empty state.
    """

    ids: Ids
    records: Records
    newline: int
    batch_size: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one pass over all records."""
        return -(-len(self.records) // self.batch_size)

    def batch(self, step: int) -> Batch:
        """Return the batch of a step; the last one of an epoch may have fewer rows."""
        epoch, index = divmod(step, self.steps_per_epoch)
        chosen = _record_order(self, epoch)[index]
        return pad_records(self.ids, self.records.take(chosen), self.newline)

    def __hash__(self) -> int:  # by identity: the arrays inside cannot be hashed
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


@lru_cache(maxsize=1)
def _record_order(batches: RecordBatches, epoch: int) -> list[NDArray[np.int64]]:
    """Return the records of each batch of an epoch."""
    rng = np.random.default_rng(derive_seed(batches.seed, "shuffle", epoch))
    order, size = rng.permutation(len(batches.records)), batches.batch_size
    result: list[NDArray[np.int64]] = []
    for begin in range(0, len(order), POOL * size):
        pool = order[begin : begin + POOL * size]
        pool = pool[np.argsort(batches.records.lengths[pool], kind="stable")]
        result += [pool[i : i + size] for i in range(0, len(pool), size)]
    return [result[i] for i in rng.permutation(len(result))]


def pad_records(ids: Ids, records: Records, newline: int) -> Batch:
    """Return records as rows of one batch, padded behind with targets that the loss ignores."""
    B = len(records)
    T = -(-(int(records.lengths.max()) + 1) // PAD_TO) * PAD_TO
    inputs = np.full((B, T), newline, dtype=np.int64)
    targets = np.full((B, T), IGNORED, dtype=np.int64)
    for row, (start, length) in enumerate(zip(records.starts, records.lengths, strict=True)):
        inputs[row, 1 : length + 1] = targets[row, :length] = ids[start : start + length]
        targets[row, length] = newline
    return Batch(inputs, targets, np.ones(B, dtype=np.bool_))


def fit_streams(num_chars: int, batch_size: int, seq_len: int) -> tuple[int, int]:
    """Return batch size and window, shrunk until a small text fills at least one window.

    The batch is halved first, while a stream has fewer than four windows.

    Raises:
        InputError: The text is shorter than the smallest window.
    """
    if num_chars < SMALLEST_WINDOW:
        raise InputError(
            f"the training text has {num_chars} characters, at least {SMALLEST_WINDOW} are needed; "
            "use a longer text, or a smaller --val-frac"
        )
    while batch_size > 1 and num_chars // batch_size < 4 * seq_len:
        batch_size //= 2
    while seq_len > SMALLEST_WINDOW and num_chars // batch_size < seq_len:
        seq_len = max(SMALLEST_WINDOW, seq_len // 2)
    return batch_size, seq_len


def fit_batches(corpus: Corpus, config: TrainConfig) -> tuple[int, int]:
    """Return batch size and window, as far as the text can fill them.

    Raises:
        InputError: The text is too small for the smallest window.
    """
    if corpus.train_records is not None:
        return min(config.batch_size, len(corpus.train_records)), config.seq_len
    return fit_streams(len(corpus.train), config.batch_size, config.seq_len)


def make_batches(corpus: Corpus, config: TrainConfig) -> Batches:
    """Return the batches of a text: streams, or records with --lines."""
    size, window = fit_batches(corpus, config)
    if corpus.train_records is not None:
        assert corpus.vocab.newline is not None  # a text of lines has it
        return RecordBatches(
            corpus.train, corpus.train_records, corpus.vocab.newline, size, config.seed
        )
    return Streams(corpus.train, size, window, config.seed, config.restart_prob)
