"""Settings of a new run: what is measured, what follows from given weights."""

from pathlib import Path

import pytest

from charrnn.checkpoints.model import load_model
from charrnn.core.errors import InputError
from charrnn.launch import prepare as prepare_module
from charrnn.launch.prepare import SettingSources, prepare
from charrnn.nn.architecture import ModelConfig

GOLDEN = Path(__file__).parents[1] / "golden" / "golden-v1.safetensors"


def prepared(text_file, init_from=None, **flags):
    return prepare([text_file], SettingSources({"device": "cpu", **flags}, {}, {}), init_from)


@pytest.mark.parametrize(
    ("flags", "is_timed"),
    [
        ({}, True), ({"max_time": 60.0}, True), ({"max_time": 60.0, "steps": 9}, True),
        ({"steps": 9}, False), ({"epochs": 2.0}, False), ({"size": "tiny"}, False),
        ({"hidden_size": 16}, True), ({"hidden_size": 16, "num_layers": 1}, False),
        ({"size": "tiny", "max_time": 60.0}, False),
    ],
)  # fmt: skip
def test_a_machine_is_timed_only_where_its_speed_decides(text_file, monkeypatch, flags, is_timed):
    asked = []

    def speed_class(device, precision, network, *size):
        asked.append((device.type, precision, network.cell))
        return 2.0**36

    monkeypatch.setattr(prepare_module, "speed_class", speed_class)
    config = prepared(text_file, precision="fp32", cell="gru", **flags).config
    assert asked == [("cpu", "fp32", "gru")] * is_timed
    assert config.hidden_size == flags.get("hidden_size", 128)


def test_a_run_from_trained_weights_has_their_sizes_and_half_the_rate(text_file):
    model = load_model(GOLDEN).config
    alike = {"num_layers": model.num_layers, "embedding_size": model.embedding_size}
    anew = prepared(text_file, steps=9, hidden_size=model.hidden_size, cell=model.cell, **alike)
    run = prepared(text_file, GOLDEN, steps=9)
    assert ModelConfig.from_settings(run.config, 5) == ModelConfig.from_settings(anew.config, 5)
    assert run.config.lr == anew.config.lr / 2
    assert run.init is not None
    assert prepared(text_file, GOLDEN, steps=9, lr=0.25).config.lr == 0.25  # as it was named
    with pytest.raises(InputError, match="the model has hidden_size 16, not 17"):
        prepared(text_file, GOLDEN, hidden_size=model.hidden_size + 1)
