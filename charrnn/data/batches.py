"""(B, T) batches for truncated BPTT, of streams or of records; a batch is a function of its step."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from charrnn.core.config import TrainConfig
from charrnn.core.console import count_text
from charrnn.core.seeds import derive_seed
from charrnn.data.corpus import Corpus
from charrnn.data.file_kinds import unfit
from charrnn.data.records import Records
from charrnn.data.vocab import Ids

IGNORED = -1
"""Target that the loss ignores: padding after a record."""

SMALLEST_WINDOW = 8
"""Smallest number of characters in a window."""

PAD_TO = 16
"""Held-out records are padded to a multiple of this, so that there are few shapes."""

SHAPES_PER_OCTAVE = 8
"""Other batches of records, up to 256 wide, are padded to one of so many widths between a power of
two and the next."""

POOL = 64
"""Number of batches whose records are sorted by length together."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The text of one step."""

    inputs: Any
    """Input ids, (B, T), int64: an array, or a tensor if the text is in GPU memory."""
    targets: Any
    """Ids to predict, (B, T): the inputs shifted by one character, or IGNORED."""
    is_fresh: NDArray[np.bool_]
    """True for streams that begin with an empty state, (B,)."""

    @property
    def num_chars(self) -> int:
        """Number of targets that count."""
        return int((self.targets != IGNORED).sum())

    def part(self, rows: slice) -> "Batch":
        """Return some of the rows; for an empty slice, one row of ignored targets."""
        if rows.start < rows.stop:
            return Batch(self.inputs[rows], self.targets[rows], self.is_fresh[rows])
        one = slice(0, 1)
        return Batch(self.inputs[one], self.targets[one] * 0 + IGNORED, self.is_fresh[one])


class Batches(Protocol):
    """A batch for every step."""

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one pass over the text."""

    @property
    def batch_size(self) -> int:
        """Rows of the state (S)."""

    def batch(self, step: int) -> Batch:
        """Return the batch of a step; steps count from 0 over all epochs."""


@dataclass(frozen=True, slots=True)
class Streams:
    """A text read as S = `batch_size` parallel streams, on a circle.

    In epoch e, position p of stream s is character (o + s * (N // S) + p) mod N, with a new
    random offset o in each epoch, so that all characters are trained on.
    """

    ids: Ids
    batch_size: int
    seq_len: int
    seed: int
    restart_prob: float
    pieces: tuple[int, ...] = field(default=(), kw_only=True)
    """Start of each piece of the text, the first at 0; no window crosses one."""

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
        starts, is_fresh = self.windows(step)
        # One character more than a window: targets are inputs shifted by one.
        positions = (starts[:, None] + np.arange(self.seq_len + 1)) % len(self.ids)
        rows = self.ids[positions].astype(np.int64)
        return Batch(rows[:, :-1], rows[:, 1:], is_fresh)

    def windows(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the start of each stream's window, and whether its state is empty; both (S,).

        Starts may exceed N. States are empty at the start of an epoch and, by `restart_prob`,
        at random.
        """
        epoch, index = divmod(step, self.steps_per_epoch)
        N, S = len(self.ids), self.batch_size
        offset = derive_seed(self.seed, "offset", epoch) % N
        starts = offset + np.arange(S) * self.stream_len + index * self.seq_len
        draws = np.random.default_rng(derive_seed(self.seed, "restart", step)).random(S)
        is_fresh = (draws < self.restart_prob) | (index == 0)
        return self._inside_pieces(starts, is_fresh) if self.pieces else (starts, is_fresh)

    def _inside_pieces(
        self, starts: NDArray[np.int64], is_fresh: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Move each window that crosses into another piece to the side that has more of it.

        Such a window, and the next one of the stream, begins with an empty state.
        """
        left = self._left_in_piece(starts)
        crosses, was_moved = (
            n <= self.seq_len for n in (left, self._left_in_piece(starts - self.seq_len))
        )
        shifts = np.where(2 * left > self.seq_len, left - 1 - self.seq_len, left)
        return starts + crosses * shifts, is_fresh | crosses | was_moved

    def _left_in_piece(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of characters from each position to the end of its piece, (S,)."""
        ends = np.array([*self.pieces[1:], len(self.ids)])
        inside = positions % len(self.ids)
        left: NDArray[np.int64] = ends[np.searchsorted(ends, inside, "right")] - inside
        return left


@dataclass(frozen=True, slots=True, eq=False)  # equal only to itself: arrays have no hash
class RecordBatches:
    """Whole records, shuffled in each epoch, those of similar length in one batch.

    Row: inputs newline + record, targets record + newline, from an empty state.
    """

    ids: Ids
    records: Records
    newline: int
    batch_size: int
    seed: int
    step_rule: int = 2

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one pass over all records."""
        return -(-len(self.records) // self.batch_size)

    def batch(self, step: int) -> Batch:
        """Return the batch of a step; the last one of an epoch may have fewer rows."""
        epoch, index = divmod(step, self.steps_per_epoch)
        chosen = _record_order(self, epoch)[index]
        records = self.records.take(chosen)
        return pad_records(self.ids, records, self.newline, self._pad_to(records))

    def _pad_to(self, records: Records) -> int:
        """Return the number of which the width of a batch is a multiple."""
        if self.step_rule == 1:
            return PAD_TO
        octave = int(records.lengths.max()).bit_length()
        return min(PAD_TO, max(1, (1 << octave) // (2 * SHAPES_PER_OCTAVE)))


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


def pad_records(ids: Ids, records: Records, newline: int, pad_to: int = PAD_TO) -> Batch:
    """Return records as rows of one batch, padded with targets that the loss ignores."""
    ends = records.lengths[:, None]
    columns = np.arange(-(-(int(ends.max()) + 1) // pad_to) * pad_to)
    positions = np.minimum(records.starts[:, None] + columns, len(ids) - 1)
    texts = ids[positions].astype(np.int64)
    inputs = np.full(texts.shape, newline, dtype=np.int64)
    inputs[:, 1:] = np.where(columns < ends, texts, newline)[:, :-1]
    targets = np.where(columns < ends, texts, np.where(columns == ends, newline, IGNORED))
    return Batch(inputs, targets, np.ones(len(records), dtype=np.bool_))


def fit_streams(num_chars: int, batch_size: int, seq_len: int) -> tuple[int, int]:
    """Return batch size and window, reduced until a small text fills at least one window.

    The batch is halved first, while a stream has fewer than four windows.
    """
    while batch_size > 1 and num_chars // batch_size < 4 * seq_len:
        batch_size //= 2
    while seq_len > SMALLEST_WINDOW and num_chars // batch_size < seq_len:
        seq_len = max(SMALLEST_WINDOW, seq_len // 2)
    return batch_size, seq_len


def fit_batches(corpus: Corpus, config: TrainConfig) -> tuple[int, int]:
    """Return batch size and window, reduced to what the text can fill.

    Raises:
        InputError: The text is too small for the smallest window.
    """
    if corpus.train_records is not None:
        return min(config.batch_size, len(corpus.train_records)), config.seq_len
    if (num_chars := len(corpus.train)) < SMALLEST_WINDOW:
        raise unfit(
            corpus.files,
            f"the training text has {count_text(num_chars, 'character')}, at least "
            f"{SMALLEST_WINDOW} are needed; use a longer text, or a smaller --val-frac",
        )
    size, window = fit_streams(len(corpus.train), config.batch_size, config.seq_len)
    return size, min(window, longest_window(corpus)) if corpus.train_pieces else window


def longest_window(corpus: Corpus) -> int:
    """Return the length of the longest window that fits, with its last target, into every piece.

    Raises:
        InputError: A piece is shorter than the smallest window.
    """
    shortest = int(np.diff([*corpus.train_pieces, len(corpus.train)]).min())
    if shortest <= SMALLEST_WINDOW:
        raise unfit(
            corpus.files,
            f"a piece of the training text has {count_text(shortest, 'character')}, more than "
            f"{SMALLEST_WINDOW} are needed; use fewer --val-pieces",
        )
    return shortest - 1


def make_batches(corpus: Corpus, config: TrainConfig) -> Batches:
    """Return the batches of a corpus: streams, or records with --lines."""
    size, window = fit_batches(corpus, config)
    if corpus.train_records is not None:
        assert corpus.vocab.newline is not None  # a corpus of records has one
        return RecordBatches(
            corpus.train,
            weighted_records(corpus),
            corpus.vocab.newline,
            size,
            config.seed,
            config.step_rule,
        )
    return Streams(
        weighted_text(corpus), size, window, config.seed, config.restart_prob,
        pieces=corpus.train_pieces,
    )  # fmt: skip


def weighted_text(corpus: Corpus) -> Ids:
    """Return the training text of one pass: each text as often as its weight says."""
    if not corpus.repeats:
        return corpus.train
    parts = [corpus.train[begin:end] for begin, end, count in corpus.repeats for _ in range(count)]
    return np.concatenate(parts)


def weighted_records(corpus: Corpus) -> Records:
    """Return the training records of one pass: those of each text as often as its weight says."""
    records = corpus.train_records
    assert records is not None
    if not corpus.repeats:
        return records
    _, ends, counts = np.array(corpus.repeats).T
    texts = np.searchsorted(ends, records.starts, side="right")
    return records.take(np.repeat(np.arange(len(records)), counts[texts]))
