"""Predictions of the n-gram model in C: the bits of NumPy, and so the same figures."""

import numpy as np
import pytest
import torch

from charrnn.core.config import TrainConfig
from charrnn.data.corpus import load_corpus
from charrnn.evaluation.loss import score_held_out
from charrnn.evaluation.protocols import COLD, STREAMED
from charrnn.evaluation.text_end import memory_loss
from charrnn.ngram import native
from charrnn.ngram.counts import Order, runs_of
from charrnn.ngram.model import NgramModel, build
from charrnn.ngram.native import NgramArrays, is_safe, predictor
from charrnn.ngram.word_model import count_corpus
from charrnn.nn.architecture import ModelConfig
from charrnn.nn.model import make_network
from charrnn.nn.network import initialise

WORDS = ["the", "sea", "and", "of", "naïve", "語", "rose", "in", "winter", "we", "go"]

CORPORA = {
    "text": (lambda rng: " ".join(rng.choice(WORDS, 3000)).encode(), {}),
    "records": (lambda rng: "\n".join("-".join(rng.choice(WORDS, 2)) for _ in range(900)).encode(),
                {"lines": True, "val_frac": 0.2}),
    "bytes": (lambda rng: np.cumsum(rng.integers(0, 9, 9000)).astype(np.uint8).tobytes(),
              {"bytes": True}),
    "many characters": (lambda rng: "".join(map(chr, rng.geometric(0.004, 9000) + 0x4E00)).encode(), {}),
    "nothing seen": (lambda rng: b"ab" * 4000 + bytes(rng.integers(97, 123, 1000).astype(np.uint8)),
                     {"val_frac": 0.11}),
}  # fmt: skip


@pytest.fixture(params=CORPORA)
def corpus(request, tmp_path):
    content, settings = CORPORA[request.param]
    path = tmp_path / "text.txt"
    path.write_bytes(content(np.random.default_rng(5)))
    return load_corpus([path], TrainConfig(**settings))


def all_contexts(memory, ids):
    """Return the context at each symbol of a text and at random ones, of each length."""
    K, n, rng = memory.order, len(ids), np.random.default_rng(7)
    random = rng.integers(0, memory.vocab_size, n)
    lengths = rng.integers(0, K + 1, 2 * n)
    contexts = np.zeros(2 * n, dtype=np.uint64)
    for shift in range(K, 0, -1):
        symbols = np.concatenate([np.roll(ids, shift), np.roll(random, shift)]).astype(np.uint64)
        contexts = contexts << np.uint64(memory.bits) | symbols
    masks = (np.uint64(1) << (lengths * memory.bits).astype(np.uint64)) - np.uint64(1)
    return contexts & masks, lengths


@pytest.mark.parametrize("has_tables", [False, True])
def test_predictions_have_the_bits_of_numpy(library, corpus, has_tables):
    memory = count_corpus(corpus, 7)
    asked = all_contexts(memory, np.asarray(corpus.val)[:1500])
    expected = memory.predict(*asked)
    found = NgramArrays(memory, has_tables=has_tables).predict(library, *asked)
    assert len(set(expected.order.tolist())) >= 3  # the longest known contexts differ
    for name in ("p", "order", "total", "followers"):
        assert getattr(found, name).tobytes() == getattr(expected, name).tobytes(), name


def test_a_prediction_does_not_depend_on_those_beside_it(library, corpus):
    memory = count_corpus(corpus, 4)
    contexts, lengths = all_contexts(memory, np.asarray(corpus.val)[:40])
    arrays = NgramArrays(memory, has_tables=True)
    together = arrays.predict(library, contexts, lengths)
    for i in range(len(contexts)):
        alone = arrays.predict(library, contexts[i : i + 1], lengths[i : i + 1])
        assert alone.p.tobytes() == together.p[i].tobytes()
    assert not len(arrays.predict(library, contexts[:0], lengths[:0]).p)


def test_figures_do_not_depend_on_a_compiler(library, corpus, monkeypatch):
    memory = count_corpus(corpus, 7)
    V = corpus.vocab.size
    network = make_network(
        ModelConfig(cell="gru", vocab_size=V, embedding_size=4, hidden_size=8, num_layers=1)
    )
    initialise(network, 0)
    calls = []

    def scores():
        protocols = [STREAMED] if corpus.val_records else [STREAMED, COLD]
        found = [score_held_out(network, corpus, each, memory) for each in protocols]
        calls.append(predictor(memory))
        return found, memory_loss(memory, STREAMED.batches(np.asarray(corpus.val)))

    with torch.no_grad():
        monkeypatch.setattr(native, "load", lambda: None)
        expected = scores()
        monkeypatch.setattr(native, "load", lambda: library)
        assert scores() == expected
    assert calls[0] == memory.predict
    assert calls[1] != memory.predict


def test_only_many_predictions_pay_for_a_compiler(monkeypatch):
    memory, built = build(runs_of(np.arange(50, dtype=np.uint8) % 7), 7, 2), []
    monkeypatch.setattr(native, "load", lambda: None)
    monkeypatch.setattr(native, "load_or_build", lambda: built.append(1))
    assert predictor(memory, 400_000) == memory.predict
    assert not built
    assert predictor(memory, 600_000) == memory.predict  # there is no compiler
    assert built == [1]


def test_counts_that_name_no_symbol_are_not_given_to_c(library, monkeypatch):
    memory = build(runs_of(np.cumsum(np.arange(3000) % 4).astype(np.uint8) % 27), 27, 2)
    assert is_safe(memory)
    keys = memory.orders[1].keys.copy()
    keys[3] |= np.uint64(31)
    broken = Order.of(keys, memory.orders[1].counts, memory.orders[1].discounts)
    unsafe = NgramModel([memory.orders[0], broken, memory.orders[2]], 27)
    assert not is_safe(unsafe)
    monkeypatch.setattr(native, "load", lambda: library)
    assert predictor(unsafe) == unsafe.predict
