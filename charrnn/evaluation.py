"""Loss of a model on text it was not trained on, in nats per character.

Streamed: the text as up to 32 pieces side by side, each first fed the 512 characters before it,
unscored; within 0.001 of one single pass. Records: each by itself, from an empty state.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from charrnn.batches import IGNORED, Batch, pad_records
from charrnn.corpus import Corpus
from charrnn.device import autocast
from charrnn.memory import Memory, Reader, Recalled
from charrnn.model import CharRNN, State, clear_rows
from charrnn.records import Records
from charrnn.vocab import ByteVocabulary, Ids, decoded_length

PIECES = 32
CONTEXT = 512
"""Characters read before a piece is scored."""

WINDOW = 256
"""Characters fed at a time."""

RECORD_ROWS = 256


@dataclass(frozen=True, slots=True)
class Score:
    """What a text costs."""

    loss: float
    """Nats per character, with the memory if there is one."""
    network: float
    """Of the network alone."""
    chars: int
    """Characters scored."""


def streamed(
    model: CharRNN, ids: Ids, memory: Memory | None = None, *, precision: str = "fp32",
    most_chars: int | None = None,
) -> Score:  # fmt: skip
    """Score a text with carried state. N characters give N - 1 predictions.

    Args:
        model: On the device to use.
        ids: The text, (N,), N >= 2.
        memory: Mixed into the network's prediction.
        precision: Number format of the products.
        most_chars: Score about so many characters only, the same share of each piece.
    """
    return _score(model, streamed_batches(ids, most_chars), precision, memory)


def streamed_batches(ids: Ids, most_chars: int | None = None) -> Iterator[Batch]:
    """Yield the windows of the streamed protocol; a piece goes on from one to the next."""
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


def by_record(
    model: CharRNN, ids: Ids, records: Records, newline: int, memory: Memory | None = None, *,
    precision: str = "fp32",
    most_chars: int | None = None,
) -> Score:  # fmt: skip
    """Score records, each with its end, from an empty state; the shortest are not preferred."""
    return _score(model, _record_batches(ids, records, newline, most_chars), precision, memory)


def _record_batches(
    ids: Ids, records: Records, newline: int, most_chars: int | None
) -> Iterator[Batch]:
    if most_chars is not None:
        records = records.take(np.flatnonzero(np.cumsum(records.lengths + 1) <= most_chars))
    order = np.argsort(records.lengths, kind="stable")
    for begin in range(0, len(order), RECORD_ROWS):
        yield pad_records(ids, records.take(order[begin : begin + RECORD_ROWS]), newline)


def score_held_out(
    model: CharRNN,
    corpus: Corpus,
    memory: Memory | None = None,
    *,
    precision: str = "fp32",
    most_chars: int | None = None,
    should_stop: Callable[[], object] = lambda: False,
) -> Score | None:
    """Score the held-out text of a corpus, by the protocol that its kind asks for.

    None if `should_stop`, asked before each batch, cut it short.
    """
    if corpus.val_records is None:
        batches = streamed_batches(corpus.val, most_chars)
    else:
        assert corpus.vocab.newline is not None  # a text of lines has it
        batches = _record_batches(corpus.val, corpus.val_records, corpus.vocab.newline, most_chars)
    try:
        return _score(model, _until(should_stop, batches), precision, memory)
    except _Stopped:
        return None


class _Stopped(Exception):
    pass


def _until(should_stop: Callable[[], object], batches: Iterator[Batch]) -> Iterator[Batch]:
    for batch in batches:
        if should_stop():
            raise _Stopped
        yield batch


def num_held_out(corpus: Corpus) -> int:
    """Return how many characters of held-out text can be scored."""
    if corpus.val_records is not None:
        return int((corpus.val_records.lengths + 1).sum()) if len(corpus.val_records) else 0
    return max(0, len(corpus.val) - 1)


def bits_per_char(loss: float | None, corpus: Corpus) -> float | None:
    """Return a loss in bits per character; of bytes, over the characters that they decode to."""
    if loss is None:
        return None
    bits = loss / math.log(2)
    if not isinstance(corpus.vocab, ByteVocabulary):
        return bits
    num_chars = decoded_length(np.asarray(corpus.val))
    return bits * len(corpus.val) / num_chars if num_chars else None


@torch.no_grad()
def _score(
    model: CharRNN, batches: Iterator[Batch], precision: str, memory: Memory | None = None
) -> Score:
    device = model.decoder.weight.device
    totals = torch.zeros(2, dtype=torch.float64, device=device)
    chars, state, reader = 0, None, None
    for batch in batches:
        if memory and (reader is None or reader.num_rows != len(batch.inputs)):
            reader = Reader(memory, len(batch.inputs))
        state = _restart(model, state, batch)
        with autocast(device, precision):
            logits, state = model(torch.from_numpy(batch.inputs).to(device), state)
        targets = torch.from_numpy(batch.targets).to(device)
        costs = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
        )
        totals[1] += costs.sum(dtype=torch.float64)
        if reader is not None:
            recalled = reader.read(batch.inputs, batch.targets, batch.is_fresh)
            costs = _mixed(costs, logits, recalled, reader.memory)
        totals[0] += costs.sum(dtype=torch.float64)
        chars += batch.num_chars
    loss, network = (totals / max(1, chars)).tolist()
    return Score(loss, network, chars)


def _mixed(
    costs: torch.Tensor, logits: torch.Tensor, recalled: Recalled, memory: Memory
) -> torch.Tensor:
    """Return the costs of the mix, (B * T,); where nothing is asked for, both say 1."""
    weight: float | torch.Tensor
    if memory.weight is None:
        logs = torch.log_softmax(logits.double(), dim=-1)
        entropy = -(logs.exp() * logs).sum(dim=-1).cpu().numpy()
        weight = torch.from_numpy(memory.share(entropy, recalled)).flatten().to(costs.device)
    else:
        weight = memory.weight
    remembered = torch.from_numpy(recalled.p).flatten().to(costs.device)
    return -torch.log((1 - weight) * torch.exp(-costs.double()) + weight * remembered)


def _restart(model: CharRNN, state: State | None, batch: Batch) -> State:
    if state is None or state[0].shape[1] != len(batch.inputs):
        return model.empty_state(len(batch.inputs))
    return clear_rows(state, torch.from_numpy(batch.is_fresh).to(state[0].device))
