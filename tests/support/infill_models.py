"""Models of small texts, read from both sides."""

import numpy as np

from charrnn.checkpoints.model import Model
from charrnn.data.records import find_records
from charrnn.data.vocab import ByteVocabulary, CharVocabulary
from charrnn.infill.reader import Reader, readers
from charrnn.ngram.backward import backward
from charrnn.ngram.counts import records_of, runs_of
from charrnn.ngram.model import build
from charrnn.nn.architecture import ModelConfig, shapes


def memory_of(ids, vocab_size, *, order=3, newline=None):
    """Return the n-gram model of a text; with a newline, of its lines."""
    ids = np.asarray(ids, dtype=np.uint8)
    if newline is None:
        return build(runs_of(ids), vocab_size, order)
    return build(records_of(ids, find_records(ids, newline)[0], newline), vocab_size, order)


def sides_of(memory, *, newline=None, records=False):
    """Return the readers of both directions, without a network."""
    return tuple(Reader(each, newline, records) for each in (memory, backward(memory)))


def model_of(text, *, records=False, is_bytes=False, order=7, scale=0.0):
    """Return a model that knows a text by its n-grams; its network is random, or without
    scale knows nothing and weighs little."""
    vocab = ByteVocabulary() if is_bytes else CharVocabulary(map(ord, text + "\n"))
    config = ModelConfig(
        cell="lstm", vocab_size=vocab.size, embedding_size=5, hidden_size=7, num_layers=2
    )
    rng = np.random.default_rng(41)
    weights = {n: rng.normal(0, scale, s).astype(np.float32) for n, s in shapes(config).items()}
    memory = memory_of(
        vocab.encode(text), vocab.size, order=order, newline=vocab.newline if records else None
    )
    return Model(
        config=config, weights=weights, vocab=vocab, records=records, starts={},
        memory=memory if scale else memory.weighted(0.95),
    )  # fmt: skip


def read(model, text):
    """Return the readers of a model, and the ids of a text."""
    return readers(model), model.vocab.encode(text).astype(np.int64)
