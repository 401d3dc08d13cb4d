"""How text is cut into batches for scoring: streamed, cold windows, records; held-out text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from charrnn.checkpoints.model import Model
from charrnn.core.config import TrainConfig
from charrnn.core.errors import InputError, printable
from charrnn.core.events import PSEUDO
from charrnn.data.batches import IGNORED, PAD_TO, Batch, pad_records
from charrnn.data.corpus import Corpus, load_corpus
from charrnn.data.file_kinds import unfit
from charrnn.data.records import Records
from charrnn.data.vocab import Ids

PIECES = 32
CONTEXT = 512
"""Characters that warm up the state before a piece is scored."""

WINDOW = 256
"""Characters per batch of the streamed protocol, and length of the standard cold window."""

TOGETHER = PIECES * WINDOW
"""Predictions in one batch of cold windows or of records."""

LONGEST_WINDOW = TOGETHER

RECORD_ROWS = 256


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a text is cut for scoring."""

    window: int | None = None
    """Predictions in a cold window; None carries the state through the text."""
    is_by_record: bool = False
    is_adapted: bool = False
    """Whether network and n-gram model keep learning on the scored text."""
    is_pseudo: bool = False
    """Whether each symbol is predicted from both sides."""

    @property
    def name(self) -> str:
        """Name in reports and JSON."""
        if self.is_pseudo:
            return PSEUDO
        if self.is_by_record:
            return "records"
        if self.is_adapted:
            return "streamed-adapted"
        return f"cold-{self.window}" if self.window else "streamed"

    def num_predictions(self, num_symbols: int) -> int:
        """Return how many symbols of a text are scored."""
        predictions = num_symbols if self.is_by_record else max(0, num_symbols - 1)
        return predictions // self.window * self.window if self.window else predictions

    def batches(self, ids: Ids, most_chars: int | None = None) -> Iterator[Batch]:
        """Yield the batches of a text."""
        return cold(ids, self.window, most_chars) if self.window else streamed(ids, most_chars)


STREAMED, COLD = Protocol(), Protocol(WINDOW)
BY_RECORD, ADAPTED = Protocol(is_by_record=True), Protocol(is_adapted=True)


def pseudo(*, records: bool) -> Protocol:
    """Return the protocol of a model of both directions, of lines or of other text."""
    return Protocol(is_by_record=records, is_pseudo=True)


def parse_protocol(name: str) -> Protocol:
    """Return the protocol with a name: streamed, or cold-W.

    Raises:
        InputError: No protocol has this name.
    """
    if name == "streamed":
        return STREAMED
    match = re.fullmatch(r"cold-([1-9][0-9]{0,5})", name, re.ASCII)
    if not match or int(match[1]) > LONGEST_WINDOW:
        raise InputError(
            f"--protocol: {printable(name)}: no such protocol; use streamed, or cold-W with "
            f"W from 1 to {LONGEST_WINDOW}, for example cold-{WINDOW}"
        )
    return Protocol(int(match[1]))


def streamed(ids: Ids, most_chars: int | None = None) -> Iterator[Batch]:
    """Yield the windows of up to 32 pieces of a text; a piece continues from window to window.

    Args:
        ids: The text, (N,).
        most_chars: Score only about this many characters, the same number of each piece.
    """
    num_predictions = len(ids) - 1
    pieces = max(1, min(PIECES, num_predictions // CONTEXT))
    length = -(-num_predictions // pieces)  # predictions per piece; the last may have fewer
    is_whole = most_chars is None or most_chars >= num_predictions
    scored = length if is_whole else min(length, max(1, (most_chars or 0) // pieces))
    starts = np.arange(pieces)[:, None] * length
    begin = -CONTEXT if pieces > 1 else 0
    while begin < scored:
        size = min(WINDOW, scored - begin) if begin >= 0 else min(WINDOW, -begin)
        positions = starts + begin + np.arange(size)
        end = np.minimum(starts + length, num_predictions)  # of each piece
        is_scored = (begin >= 0) & (positions < end)
        inputs = ids[np.clip(positions, 0, num_predictions)].astype(np.int64)
        targets = ids[np.clip(positions + 1, 0, num_predictions)].astype(np.int64)
        # The first piece has no text before it, so it begins with an empty state.
        is_fresh = (begin == (-CONTEXT if pieces > 1 else 0)) | ((begin == 0) & (starts[:, 0] == 0))
        yield Batch(inputs, np.where(is_scored, targets, IGNORED), is_fresh)
        begin += size


def cold(ids: Ids, window: int, most_chars: int | None = None) -> Iterator[Batch]:
    """Yield consecutive windows, each from an empty state; an incomplete last one is left out.

    Args:
        ids: The text, (N,).
        window: Predictions per window (W).
        most_chars: Score only about this many characters, in equally spaced windows.
    """
    starts = np.arange((len(ids) - 1) // window) * window
    if most_chars is not None and most_chars < len(starts) * window:
        kept = max(1, most_chars // window)
        starts = starts[np.arange(kept) * len(starts) // kept]
    rows = max(1, TOGETHER // window)
    for begin in range(0, len(starts), rows):
        positions = starts[begin : begin + rows, None] + np.arange(window + 1)
        taken = ids[positions].astype(np.int64)
        yield Batch(taken[:, :-1], taken[:, 1:], np.ones(len(taken), dtype=np.bool_))


def by_record(
    ids: Ids, records: Records, newline: int, most_chars: int | None = None
) -> Iterator[Batch]:
    """Yield records in batches of similar length.

    Args:
        ids: The text that contains the records.
        records: Their positions in the text.
        newline: Id of the newline, which begins and ends each record.
        most_chars: Score only the first records, at most this many characters.
    """
    if most_chars is not None:
        records = records.take(np.flatnonzero(np.cumsum(records.lengths + 1) <= most_chars))
    for chosen in record_groups(records):
        yield pad_records(ids, records.take(chosen), newline)


def record_groups(records: Records) -> Iterator[np.ndarray[tuple[int], np.dtype[np.intp]]]:
    """Yield the indices of the records of each batch."""
    order = np.argsort(records.lengths, kind="stable")
    begin = 0
    while begin < len(order):
        widths = records.lengths[order[begin : begin + RECORD_ROWS]] + PAD_TO
        size = max(1, int((widths * (1 + np.arange(len(widths))) <= TOGETHER).sum()))
        yield order[begin : begin + size]
        begin += size


def split_name(config: TrainConfig) -> str:
    """Return the name of a run's held-out text in a signature."""
    if config.val_file:
        return "val-file"
    if config.lines and config.corpus_rule > 1:
        return f"lines-{config.val_frac:g}/{config.corpus_rule}"
    if config.val_pieces > 1:
        return f"pieces-{config.val_frac:g}/{config.val_pieces}"
    return f"last-{config.val_frac:g}"


def held_out_protocols(corpus: Corpus, direction: str = "forward") -> tuple[Protocol, ...]:
    """Return the protocols for held-out text; the first one chooses the best model."""
    if direction == "both":
        return (pseudo(records=corpus.val_records is not None),)
    if corpus.val_records is not None:
        return (BY_RECORD,)
    is_long = len(corpus.val) > (COLD.window or 0)
    return (STREAMED, COLD) if is_long else (STREAMED,)


def held_out_batches(corpus: Corpus, protocol: Protocol, most_chars: int | None) -> Iterator[Batch]:
    """Return the batches of held-out text; of records, one row each."""
    if corpus.val_records is None:
        return protocol.batches(corpus.val, most_chars)
    assert corpus.vocab.newline is not None  # a corpus of records has one
    return by_record(corpus.val, corpus.val_records, corpus.vocab.newline, most_chars)


def held_out_ids(corpus: Corpus) -> Ids:
    """Return the held-out text, (N,); of records, all of them joined, each with its newline."""
    if corpus.val_records is None:
        return corpus.val
    assert corpus.vocab.newline is not None  # a corpus of records has one
    return corpus.val_records.joined(corpus.val, corpus.vocab.newline)


def num_held_out(corpus: Corpus) -> int:
    """Return the number of symbols of held-out text that can be scored."""
    if corpus.val_records is not None:
        return int((corpus.val_records.lengths + 1).sum()) if len(corpus.val_records) else 0
    return max(0, len(corpus.val) - 1)


def num_warm_up(corpus: Corpus) -> int:
    """Return the symbols that the streamed protocol reads before those it scores."""
    if corpus.val_records is not None or num_held_out(corpus) < 2 * CONTEXT:
        return 0
    return min(PIECES, num_held_out(corpus) // CONTEXT) * CONTEXT


def held_out_corpus(model: Model, paths: list[Path]) -> Corpus:
    """Return the corpus of a model's run in reading order, with the same held-out text.

    Raises:
        InputError: The files are not those of the run, or it had no held-out text.
    """
    corpus = load_corpus(paths, model.train_config())
    if not model.has_learned(corpus):
        raise unfit(
            paths,
            "not the text that the model was trained on, or it has changed; leave out --held-out "
            "to use all of the text",
        )
    if not corpus.num_val:
        raise InputError("--held-out: the run of this model held out no text")
    return corpus.in_reading_order()
