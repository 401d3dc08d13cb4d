"""The held-out text of a corpus: what it is called, how it is read, how much there is."""

from collections.abc import Iterator

from charrnn.batches import Batch
from charrnn.config import TrainConfig
from charrnn.corpus import Corpus
from charrnn.protocols import BY_RECORD, COLD, STREAMED, Protocol, by_record
from charrnn.vocab import Ids


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
