"""What this machine has."""

import math
from types import SimpleNamespace

import pytest
import torch

from charrnn.core.errors import InputError
from charrnn.launch.size_presets import probe
from charrnn.nn.device import (
    available_cores,
    default_threads,
    float32_products,
    float64_device,
    has_bf16,
    keep_freed_memory,
    pick_device,
    pick_precision,
    precision_text,
    scales_loss,
    speed_class,
)

CPU = torch.device("cpu")


def test_a_c_library_without_mallopt_changes_nothing(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: SimpleNamespace())
    keep_freed_memory()
    monkeypatch.setattr("ctypes.CDLL", lambda name: (_ for _ in ()).throw(TypeError("no name")))
    keep_freed_memory()


@pytest.mark.parametrize("name", ["cpu", "auto"])
def test_there_is_always_a_cpu(name):
    if name == "cpu" or not torch.cuda.is_available():
        assert pick_device(name) == CPU


@pytest.mark.parametrize(
    "name", ["cuda", "cuda:99", "warp", "meta", "mps", "cuda:x", "\x1b[2J", ""]
)
def test_a_device_that_is_not_here_is_one_clear_line(name):
    if name == "cuda" and torch.cuda.is_available():
        pytest.skip("there is one")
    if name == "mps" and torch.backends.mps.is_available():
        pytest.skip("there is one")
    with pytest.raises(InputError, match="--device: ") as caught:
        pick_device(name)
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fp16_is_refused_on_a_cpu():
    with pytest.raises(InputError, match="fp16"):
        pick_precision("fp16", CPU)


def test_auto_precision_follows_the_probe(monkeypatch):
    monkeypatch.setattr("charrnn.nn.device.has_bf16", lambda device: True)
    assert pick_precision("auto", CPU) == "bf16"
    monkeypatch.setattr("charrnn.nn.device.has_bf16", lambda device: False)
    assert pick_precision("auto", CPU) == "fp32"
    with pytest.raises(InputError, match="bf16"):
        pick_precision("bf16", CPU)


def test_the_probe_for_bf16_says_yes_or_no_and_draws_nothing():
    before = torch.get_rng_state()
    assert has_bf16(CPU) in (True, False)
    assert torch.equal(torch.get_rng_state(), before)


def test_threads_are_at_least_one_and_at_most_eight():
    assert 1 <= default_threads() <= 8


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "transformer"])
def test_the_speed_class_is_a_power_of_the_root_of_two(cell):
    speed = speed_class(CPU, "fp32", *probe(cell, 0, on_gpu=False))
    assert (2 * math.log2(speed)).is_integer()


def test_the_speed_is_that_of_training_forwards_and_backwards(monkeypatch):
    passes, backward = [], torch.Tensor.backward

    def count(tensor):
        passes.append(tensor)
        backward(tensor)

    monkeypatch.setattr(torch.Tensor, "backward", count)
    speed_class(CPU, "fp32", *probe("lstm", 0, on_gpu=False))
    assert len(passes) >= 4


@pytest.mark.parametrize(
    ("said", "cores"),
    [
        ("max 100000", 6), ("250000 100000", 2), ("260000 100000", 3), ("30000 100000", 1),
        ("900000 100000", 6), ("nonsense", 6),
    ],
)  # fmt: skip
def test_a_container_has_as_many_cores_as_it_may_use_one_at_least(
    tmp_path, monkeypatch, said, cores
):
    (tmp_path / "cpu.max").write_text(said + "\n")
    monkeypatch.setattr("charrnn.nn.device.CPU_LIMIT", tmp_path / "cpu.max")
    monkeypatch.setattr("charrnn.nn.device.os.sched_getaffinity", lambda pid: set(range(6)))
    assert available_cores() == cores


@pytest.mark.parametrize(
    ("name", "is_there"), [("cuda", True), ("cuda:1", True), ("cuda:2", False)]
)
def test_a_cuda_device_has_a_number_below_their_count(monkeypatch, name, is_there):
    current = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    if is_there:
        assert pick_device(name) == torch.device(name)
        assert current == [torch.device(name)] * (name == "cuda:1")
        return
    with pytest.raises(InputError, match="this torch sees 2 CUDA devices"):
        pick_device(name)


def test_bf16_is_fast_only_where_the_processor_has_it_and_a_network_runs(monkeypatch):
    cpu, ops = torch.device("cpu"), SimpleNamespace(_is_mkldnn_bf16_supported=lambda: True)
    monkeypatch.setattr(torch.ops, "mkldnn", ops)
    monkeypatch.setattr(torch.nn.LSTM, "forward", lambda self, x: x)
    assert has_bf16(cpu)
    ops._is_mkldnn_bf16_supported = lambda: False
    assert not has_bf16(cpu)
    ops._is_mkldnn_bf16_supported = lambda: True

    def fail(self, x):
        raise RuntimeError("not implemented for BFloat16")

    monkeypatch.setattr(torch.nn.LSTM, "forward", fail)
    assert not has_bf16(cpu)
    assert not has_bf16(torch.device("meta"))


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((6, 1), "fp32"), ((7, 0), "fp16"), ((7, 5), "fp16"), ((9, 0), "fp16")],
)
def test_on_cuda_auto_is_fp16_where_the_gpu_has_units_for_it(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert pick_precision("auto", torch.device("cuda")) == expected


def test_bf16_on_cuda_says_what_recurrent_layers_compute_in():
    assert precision_text("cuda:1", "bf16") == "bf16 (recurrent layers in fp16, as cuDNN has it)"
    assert [precision_text(*pair) for pair in (("cuda", "fp16"), ("cpu", "bf16"))] == [
        "fp16",
        "bf16",
    ]


def test_the_loss_is_scaled_for_every_16_bit_format_on_cuda():
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    assert [scales_loss(cuda, name) for name in ("fp32", "bf16", "fp16")] == [False, True, True]
    assert not scales_loss(cpu, "bf16")


def test_sums_in_float64_leave_a_device_without_it():
    assert float64_device(torch.device("mps")) == torch.device("cpu")
    assert float64_device(torch.device("cuda:1")) == torch.device("cuda:1")


@pytest.mark.parametrize(
    ("device", "tf32", "inside"),
    [("cuda", True, ["tf32"] * 2), ("cuda", False, ["ieee"] * 2), ("cpu", True, None)],
)
def test_products_have_a_named_precision_inside_a_block_and_no_longer(device, tf32, inside):
    def now():
        return [torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.rnn.fp32_precision]

    before = now()
    with float32_products(torch.device(device), tf32=tf32):
        assert now() == (inside or before)
    assert now() == before
