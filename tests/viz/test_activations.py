"""What a model expects at each symbol, against one that reads the text again from its beginning."""

import numpy as np
import pytest
from ngrams import distribution

from charrnn.checkpoints.model import Model
from charrnn.data.vocab import CharVocabulary
from charrnn.ngram.counts import runs_of
from charrnn.ngram.model import build
from charrnn.nn.architecture import ModelConfig, shapes
from charrnn.sampling.sampler import Sampler
from charrnn.viz.activations import expectations, states

VOCAB = CharVocabulary(map(ord, "\nabcde"))
TEXT = "abac\nabe\nbacabac\n"


def model(*, records, weight=0.6):
    """A network that gives each symbol 1/6; all other predictions are from its n-gram memory."""
    config = ModelConfig(cell="gru", vocab_size=6, embedding_size=2, hidden_size=3, num_layers=1)
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes(config).items()}
    memory = build(runs_of(VOCAB.encode("\nabacab\nabeba\nbacaba\nac\nbe\n" * 3)), 6, 3)
    memory.weight = weight
    return Model(
        config=config, weights=weights, vocab=VOCAB, records=records, starts={}, memory=memory,
    )  # fmt: skip


def expected_of(model, memory_weight=None):
    ids = VOCAB.encode(TEXT)
    logits = states(model, ids.tolist())["logits"]
    return expectations(Sampler(model), ids, logits, memory_weight)


def test_a_network_that_knows_nothing_is_surprised_by_log2_v_bits():
    found = expected_of(model(records=False), memory_weight=0.0)
    assert found.bits == pytest.approx(np.full(len(TEXT), np.log2(6)), abs=1e-5)
    assert found.probabilities == pytest.approx(np.full((len(TEXT), 5), 1 / 6), abs=1e-6)
    assert found.guesses.tolist() == [[0, 1, 2, 3, 4]] * len(TEXT)


@pytest.mark.parametrize("records", [False, True])
def test_a_memory_reads_behind_a_newline_and_anew_with_each_record(records):
    which = model(records=records)
    found = expected_of(which)
    before = [0]  # the newline before a text
    for t, symbol in enumerate(VOCAB.encode(TEXT).tolist()):
        p = 0.4 / 6 + 0.6 * distribution(which.memory, before)
        assert found.bits[t] == pytest.approx(-np.log2(p[symbol]), abs=1e-5)
        best = np.argsort(-p, kind="stable")[:5]
        assert found.probabilities[t] == pytest.approx(p[best], abs=1e-6)
        before = [0] if records and symbol == 0 else [*before, symbol]
    assert distribution(which.memory, [1, 3, 0]) != pytest.approx(distribution(which.memory, [0]))
