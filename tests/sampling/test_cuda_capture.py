"""The steps of a CUDA graph wait for nothing, copy nothing and have fixed shapes."""

import numpy as np
import pytest
import torch
from architectures import small
from graph_rules import Forbidden, GraphRules

from charrnn.checkpoints.model import Model
from charrnn.core.config import SampleConfig
from charrnn.data.vocab import CharVocabulary
from charrnn.ngram.counts import runs_of
from charrnn.ngram.cuda import DeviceNgrams
from charrnn.ngram.model import build
from charrnn.nn.model import make_network
from charrnn.nn.network import initialise
from charrnn.sampling.cuda import BatchGenerator
from charrnn.steering.cuda import DeviceSteering, window_of
from charrnn.steering.steering import steering_of

V, B = 20, 4
X = torch.arange(6.0)


def make_generator(cell, sample, memory_weight, device):
    network = make_network(small(cell, vocab_size=V, hidden_size=6))
    initialise(network, 0)
    memory = build(runs_of(np.random.default_rng(0).integers(0, V, 900).astype(np.uint8)), V, 3)
    memory = memory.weighted(memory_weight) if memory_weight != 0 else None
    on_device = [DeviceNgrams(memory, device)] if memory else []
    vocab = CharVocabulary(range(97, 97 + V))
    model = Model(config=network.config, weights={}, vocab=vocab, records=False, starts={})
    steering = steering_of(sample, model)
    window = window_of(steering, sample.length)
    steered = DeviceSteering(steering, B, V, window, device) if steering else None
    return BatchGenerator(network.to(device).requires_grad_(False), on_device, sample, B, steered)


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(
    ("settings", "memory_weight"),
    [
        ({}, 0),
        ({"temperature": 0.0}, None),
        ({"top_k": 5, "top_p": 0.9, "min_p": 0.05}, None),
        ({"temperature": 1.5, "top_p": 0.5}, 0.3),
        ({"ban": "ab", "bias": (("c", 1.0),), "no_repeat": 3}, None),
        ({"match": "[c-f]+g"}, None),
    ],
)
def test_a_graph_may_capture_the_steps(monkeypatch, cell, device, settings, memory_weight):
    monkeypatch.setattr("charrnn.sampling.cuda.CHARACTERS", 2)
    generator = make_generator(cell, SampleConfig(**settings), memory_weight, torch.device(device))
    if device == "cpu":
        generator.start([[1, 2], [3]], np.zeros(V, np.float32))
    with torch.inference_mode(), GraphRules():
        generator._steps()
    assert generator._chosen.shape == (2, B)


@pytest.mark.parametrize(
    "work",
    [
        lambda: X[0].item(),
        lambda: bool(X.any()),
        lambda: X.nonzero(),
        lambda: torch.where(X > 2),
        lambda: X[X > 2],
        lambda: X.clone().index_put_((X > 2,), torch.tensor(0.0)),
        lambda: X.masked_select(X > 2),
        lambda: X.unique(),
        lambda: X.unique_consecutive(),
        lambda: torch.equal(X, X),
        lambda: X.to("meta"),
        lambda: torch.zeros(6, device="meta").copy_(X),
        lambda: torch.zeros(6, device="meta") + X,
        lambda: torch.arange(X[2]),
    ],
)
def test_what_a_graph_must_not_capture_is_noticed(work):
    with pytest.raises(Forbidden), GraphRules():
        work()


def test_reading_numbers_fails_where_there_are_none():
    """A list is made without an operation that GraphRules sees; this is why "meta" is tried."""
    with pytest.raises(NotImplementedError), GraphRules():
        torch.zeros(3, device="meta").tolist()
