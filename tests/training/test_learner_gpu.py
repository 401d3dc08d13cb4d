"""What only a GPU can show of an update: number formats, kernels, waiting."""

import numpy as np
import pytest
import torch
from graph_rules import no_waiting

from charrnn.core.config import TrainConfig
from charrnn.data.batches import Streams
from charrnn.data.cuda import maybe_to_gpu
from charrnn.nn.architecture import ModelConfig
from charrnn.nn.device import autocast
from charrnn.training.learner import Learner

pytestmark = pytest.mark.gpu
PRECISIONS = ["fp32", "bf16", "fp16"]
V, B, T = 65, 64, 64


def make_learner(precision, weight_drop=0.0):
    config = TrainConfig(
        hidden_size=512, embedding_size=128, num_layers=1, dropout=0.1, embedding_dropout=0.1,
        device="cuda", precision=precision, weight_drop=weight_drop,
    )  # fmt: skip
    return Learner(config, ModelConfig.from_settings(config, V), B)


@pytest.fixture
def batches():
    ids = np.random.default_rng(0).integers(0, V, 50_000).astype(np.uint8)
    return Streams(ids, B, T, seed=0, restart_prob=0.1)


@pytest.mark.parametrize("asked", ["bf16", "fp16"])
def test_recurrent_layers_compute_in_fp16_whatever_is_asked_for(asked):
    """If this fails with bf16, cuDNN has learned it: `precision_text` and docs say otherwise."""
    learner = make_learner(asked)
    x = torch.zeros(B, T, 128, device="cuda")
    with autocast(learner.device, asked):
        output, _ = learner.model.layers[0](x)
    assert output.dtype == torch.float16
    assert learner.scaler.is_enabled()


@pytest.mark.parametrize("is_resident", [False, True])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_an_update_waits_for_nothing(batches, precision, is_resident):
    learner = make_learner(precision)
    batches = maybe_to_gpu(batches, learner.device) if is_resident else batches
    learner.update(batches.batch(0), 0, 1e-3)
    with no_waiting():
        for step in range(1, 4):
            learner.update(batches.batch(step), step, 1e-3)
    assert learner.take_stats().skipped < 4


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_weight_drop_leaves_the_parameters_in_their_memory(batches, precision):
    learner = make_learner(precision, weight_drop=0.2)
    before = [p.data_ptr() for p in learner.model.parameters()]
    learner.update(batches.batch(0), 0, 1e-3)
    assert [p.data_ptr() for p in learner.model.parameters()] == before


def test_the_sizes_of_the_presets_reach_persistent_kernels(batches):
    learner = make_learner("fp16")
    learner.update(batches.batch(0), 0, 1e-3)
    with torch.profiler.profile() as profile:
        learner.update(batches.batch(1), 1, 1e-3)
    names = [event.key for event in profile.key_averages()]
    assert any("persist" in name.lower() for name in names), names


def test_the_chosen_gpu_becomes_the_current_one():
    last = torch.cuda.device_count() - 1
    make_device = TrainConfig(device=f"cuda:{last}", precision="fp32", hidden_size=8)
    Learner(make_device, ModelConfig.from_settings(make_device, V), 2)
    assert torch.cuda.current_device() == last
    torch.cuda.set_device(0)
