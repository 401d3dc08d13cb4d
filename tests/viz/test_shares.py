"""The share of network and n-gram memories in a character, by hand and character by character."""

from dataclasses import replace

import numpy as np
import pytest
from architectures import small
from ngrams import distribution
from unigram_models import unigram

from charrnn.checkpoints.metadata import Metadata
from charrnn.checkpoints.model import Model
from charrnn.core.config import SampleConfig
from charrnn.data.vocab import CharVocabulary
from charrnn.ngram.counts import runs_of
from charrnn.ngram.gate import log_probabilities
from charrnn.ngram.model import build
from charrnn.nn.architecture import shapes
from charrnn.sampling.likelihood import predictions, written_ids
from charrnn.sampling.sampler import Sampler
from charrnn.viz.origins import source_shares

BACKWARD = Metadata(settings={"direction": "backward"})


def random_model(cell, **more):
    vocab = CharVocabulary(map(ord, "\nabcdefghij"))
    config = small(cell, hidden_size=9)
    rng = np.random.default_rng(41)
    weights = {n: rng.normal(0, 0.6, s).astype(np.float32) for n, s in shapes(config).items()}
    ids = (np.random.default_rng(5).integers(0, 4, 900) ** 2).astype(np.uint8)
    memory = build(runs_of(ids), 11, 4)
    return Model(
        config=config, weights=weights, vocab=vocab, starts={},
        **{"records": False, "memory": memory} | more,
    )  # fmt: skip


def shares_of(model, prompt="ab", added=(), **settings):
    sampler = Sampler(model, added=added)
    config = SampleConfig(length=40, **settings)
    sample = sampler.sample(prompt, config, 3)
    return sampler, sample, source_shares(sampler, sample, config)


def test_by_hand():
    """Network 1/2 each; memories q and r with weights 1/4 and 1/5, one after the other."""
    model = unigram({"\n": 0.25, "a": 0.5, "b": 0.25})
    own, other = (build(runs_of(model.vocab.encode(t)), 3, 1) for t in ("abab", "aab\n"))
    model = replace(model, memory=own.weighted(0.25))
    _, sample, shares = shares_of(model, prompt="a", added=[other.weighted(0.2)])
    before = "a" + sample.text
    for t, character in enumerate(sample.text):
        i = int(model.vocab.encode(character)[0])
        context = model.vocab.encode(before[t : t + 1])
        p, q, r = (
            (0.5 if character == "a" else 0.25),
            *(distribution(each, context)[i] for each in (own, other)),
        )
        parts = np.array([0.75 * 0.8 * p, 0.25 * 0.8 * q, 0.2 * r])
        assert shares[:, t] == pytest.approx(parts / parts.sum(), abs=1e-6)


def network_part(model, prompt):
    """Return the share of the network times the mixed probability, over its own: 1 - w, (T,)."""
    sampler, sample, shares = shares_of(model, prompt)
    assert shares.shape == (2, 40)
    assert shares.sum(axis=0) == pytest.approx(np.ones(40))
    ids = written_ids(sample, model)
    whole, alone = (
        [
            logs[0, ids[t]]
            for t, (_, logs) in enumerate(predictions(sampler.prefill, each, [prompt], [ids]))
        ]
        for each in (sampler.memories(SampleConfig()), [])
    )
    network = shares[0, ::-1] if model.is_backward else shares[0]
    return network * np.exp(whole) / np.exp(alone)


@pytest.mark.parametrize("metadata", [Metadata(), BACKWARD], ids=["forward", "backward"])
@pytest.mark.parametrize("prompt", ["", "abcd"])
def test_shares_agree_with_the_mixture(cell, metadata, prompt):
    """A fixed weight of 0.3 leaves 0.7 of the network's probability; the gate decides for each."""
    model = random_model(cell, metadata=metadata)
    rest = network_part(model, prompt)
    assert ((rest > 0) & (rest <= 1)).all()
    assert rest.std() > 0.005
    fixed = replace(model, memory=model.memory.weighted(0.3))
    assert network_part(fixed, prompt) == pytest.approx(np.full(40, 0.7), rel=1e-3)


def test_without_a_memory_all_is_the_networks():
    assert (shares_of(random_model("gru", memory=None))[2] == np.ones((1, 40))).all()
    assert shares_of(random_model("gru"), memory_weight=0.0)[2].shape == (1, 40)
    assert (shares_of(random_model("gru"), memory_weight=1.0)[2][0] == 0).all()


def test_a_long_text_is_computed_in_parts(monkeypatch):
    whole = shares_of(random_model("lstm"))[2]
    monkeypatch.setattr("charrnn.ngram.model.ASKED_TOGETHER", 11 * 7)
    assert shares_of(random_model("lstm"))[2] == pytest.approx(whole)


def test_the_logits_of_a_start_may_be_impossible():
    """Without newline the first character is drawn from the starts of lines: the network's."""
    model = unigram({"a": 0.5, "b": 0.5}, starts={0: 1})
    memory = build(runs_of(model.vocab.encode("abab")), 2, 1)
    _, sample, shares = shares_of(replace(model, memory=memory), prompt="")
    assert sample.text[0] == "a"
    assert shares[:, 0].tolist() == [1, 0]
    assert log_probabilities(np.array([0, -np.inf])).min() > -np.inf
