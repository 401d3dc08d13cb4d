"""How text is cut into batches for scoring: streamed, cold windows, records; held-out text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from charrnn.checkpoints.model import Model
from charrnn.core.config import TrainConfig
from charrnn.core.errors import InputError, printable
from charrnn.data.batches import IGNORED, PAD_TO, Batch, pad_records
from charrnn.data.corpus import Corpus, Records, load_corpus
from charrnn.data.vocab import Ids

PIECES = 32
CONTEXT = 512
"""Characters read before a piece is scored."""

WINDOW = 256
"""Characters fed at a time, and the cold window that is reported."""

TOGETHER = PIECES * WINDOW
"""Predictions of cold windows, or of records, that are made side by side."""

LONGEST_WINDOW = TOGETHER

RECORD_ROWS = 256


@dataclass(frozen=True, slots=True)
class Protocol:
    """One way to score."""

    window: int | None = None
    """Predictions of a cold window; None carries the state through the text."""
    is_by_record: bool = False
    is_adapted: bool = False
    """Whether memory and network go on learning on what they have scored."""

    @property
    def name(self) -> str:
        """As it is reported."""
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
        """Yield a text as this protocol reads it."""
        return cold(ids, self.window, most_chars) if self.window else streamed(ids, most_chars)


STREAMED, COLD = Protocol(), Protocol(WINDOW)
BY_RECORD, ADAPTED = Protocol(is_by_record=True), Protocol(is_adapted=True)


def parse_protocol(name: str) -> Protocol:
    """Return the protocol of a name: streamed, or cold-W.

    Raises:
        InputError: There is none.
    """
    if name == "streamed":
        return STREAMED
    match = re.fullmatch(r"cold-([1-9][0-9]{0,5})", name, re.ASCII)
    if not match or int(match[1]) > LONGEST_WINDOW:
        raise InputError(
            f"--protocol: {printable(name)}: there are streamed and cold-W, "
            f"windows of W from 1 to {LONGEST_WINDOW}; for example cold-{WINDOW}"
        )
    return Protocol(int(match[1]))


def streamed(ids: Ids, most_chars: int | None = None) -> Iterator[Batch]:
    """Yield the windows of the streamed protocol; a piece goes on from one to the next.

    Args:
        ids: The text, (N,).
        most_chars: Score about so many characters only, the same share of each piece.
    """
    num_predictions = len(ids) - 1
    pieces = max(1, min(PIECES, num_predictions // CONTEXT))
    length = -(-num_predictions // pieces)  # of one piece; the last may be shorter
    is_whole = most_chars is None or most_chars >= num_predictions
    scored = length if is_whole else min(length, max(1, (most_chars or 0) // pieces))
    starts = np.arange(pieces)[:, None] * length
    begin = -CONTEXT if pieces > 1 else 0
    while begin < scored:
        size = min(WINDOW, scored - begin) if begin >= 0 else min(WINDOW, -begin)
        places = starts + begin + np.arange(size)
        last = np.minimum(starts + length, num_predictions)  # a piece's predictions end here
        is_scored = (begin >= 0) & (places < last)
        inputs = ids[np.clip(places, 0, num_predictions)].astype(np.int64)
        targets = ids[np.clip(places + 1, 0, num_predictions)].astype(np.int64)
        # The first piece has no text before it: it starts empty where the others are warm.
        is_fresh = (begin == (-CONTEXT if pieces > 1 else 0)) | ((begin == 0) & (starts[:, 0] == 0))
        yield Batch(inputs, np.where(is_scored, targets, IGNORED), is_fresh)
        begin += size


def cold(ids: Ids, window: int, most_chars: int | None = None) -> Iterator[Batch]:
    """Yield consecutive windows, each from an empty state; what fills no window is left out.

    Args:
        ids: The text, (N,).
        window: Predictions of each (W).
        most_chars: Score about so many characters only, in windows equally far apart.
    """
    starts = np.arange((len(ids) - 1) // window) * window
    if most_chars is not None and most_chars < len(starts) * window:
        kept = max(1, most_chars // window)
        starts = starts[np.arange(kept) * len(starts) // kept]
    rows = max(1, TOGETHER // window)
    for begin in range(0, len(starts), rows):
        places = starts[begin : begin + rows, None] + np.arange(window + 1)
        taken = ids[places].astype(np.int64)
        yield Batch(taken[:, :-1], taken[:, 1:], np.ones(len(taken), dtype=np.bool_))


def by_record(
    ids: Ids, records: Records, newline: int, most_chars: int | None = None
) -> Iterator[Batch]:
    """Yield records in batches of similar length; the shortest are not preferred.

    Args:
        ids: The text that holds them.
        records: Where they lie in it.
        newline: What begins and ends each.
        most_chars: Score the first ones only, about so many characters.
    """
    if most_chars is not None:
        records = records.take(np.flatnonzero(np.cumsum(records.lengths + 1) <= most_chars))
    for chosen in record_groups(records):
        yield pad_records(ids, records.take(chosen), newline)


def record_groups(records: Records) -> Iterator[np.ndarray[tuple[int], np.dtype[np.intp]]]:
    """Yield which records are scored side by side."""
    order = np.argsort(records.lengths, kind="stable")
    begin = 0
    while begin < len(order):
        widths = records.lengths[order[begin : begin + RECORD_ROWS]] + PAD_TO
        size = max(1, int((widths * (1 + np.arange(len(widths))) <= TOGETHER).sum()))
        yield order[begin : begin + size]
        begin += size


def split_name(config: TrainConfig) -> str:
    """Return what a signature calls the text that a run holds out."""
    return "val-file" if config.val_file else f"last-{config.val_frac:g}"


def held_out_protocols(corpus: Corpus) -> tuple[Protocol, ...]:
    """Return the protocols of a corpus's held-out text; the first one chooses the best model."""
    if corpus.val_records is not None:
        return (BY_RECORD,)
    is_long = len(corpus.val) > (COLD.window or 0)
    return (STREAMED, COLD) if is_long else (STREAMED,)


def held_out_batches(corpus: Corpus, protocol: Protocol, most_chars: int | None) -> Iterator[Batch]:
    """Return the held-out text of a corpus, as a protocol reads it; records by themselves."""
    if corpus.val_records is None:
        return protocol.batches(corpus.val, most_chars)
    assert corpus.vocab.newline is not None  # a text of lines has it
    return by_record(corpus.val, corpus.val_records, corpus.vocab.newline, most_chars)


def held_out_ids(corpus: Corpus) -> Ids:
    """Return the held-out text; of records, each with its end, one after the other."""
    if corpus.val_records is None:
        return corpus.val
    assert corpus.vocab.newline is not None  # a text of lines has it
    return corpus.val_records.joined(corpus.val, corpus.vocab.newline)


def num_held_out(corpus: Corpus) -> int:
    """Return how many symbols of held-out text can be scored."""
    if corpus.val_records is not None:
        return int((corpus.val_records.lengths + 1).sum()) if len(corpus.val_records) else 0
    return max(0, len(corpus.val) - 1)


def held_out_corpus(model: Model, paths: list[Path]) -> Corpus:
    """Return the texts that a model's run has learned, read as it did.

    Raises:
        InputError: They are not those, or nothing of them was held out.
    """
    corpus = load_corpus(paths, model.train_config())
    if not model.has_learned(corpus):
        raise InputError(
            "--held-out: these are not the files that the model learned, or they have changed; "
            "leave it out to read all of them"
        )
    if not len(corpus.val):
        raise InputError("--held-out: the model's run held nothing out")
    return corpus
