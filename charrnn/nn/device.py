"""What this machine has: device, precision, threads, speed. torch only inside functions."""

from __future__ import annotations

import math
import os
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from charrnn.core.errors import InputError, printable
from charrnn.core.rank import rank_from_env

if TYPE_CHECKING:
    import torch


MOST_THREADS = 8
"""Small recurrent products stop gaining from more threads than this."""

MOST_ASKED = 1024

CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")
"""Microseconds of CPU in a period, and the period: what a container may use."""


PROBES, PROBE_SECONDS = 4, 0.8
"""Steps that the speed probe makes at least, and for how long it goes on."""


def default_threads() -> int:
    """Return how many CPU threads to use: OMP_NUM_THREADS, else the cores at hand, at most 8.

    The processes of one training share the cores. torchrun sets OMP_NUM_THREADS to 1 for them,
    which says nothing about the machine, unless the user has set more.
    """
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    wanted_here = int(wanted) if wanted.isascii() and wanted.isdigit() else 0
    if wanted_here > (rank_from_env().size > 1):
        return min(wanted_here, MOST_ASKED)
    return max(1, min(MOST_THREADS, cores_at_hand() // rank_from_env().local_size))


def cores_at_hand() -> int:
    """Return how many cores this process may use: its affinity, and what its container allows."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no control groups of version 2, or no limit
        quota, period = CPU_LIMIT.read_text("ascii").split()
        cores = min(cores, max(1, round(int(quota) / int(period))))
    return cores


def set_threads(threads: int | None, device: torch.device) -> int:
    """Let torch use so many CPU threads, or as many as is best; return their number.

    Beside a GPU one is enough, and leaves the cores to other runs.
    """
    import torch

    torch.set_num_threads(threads or (1 if device.type == "cuda" else default_threads()))
    return torch.get_num_threads()


def be_deterministic(is_wanted: bool) -> None:
    """Let CUDA use only kernels that give the same bits each time; a CPU always does.

    `:16:8` is the one workspace that both cuBLAS and cuDNN name as reproducible; they read it
    when their first product is made.
    """
    import torch

    if is_wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":16:8")
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True)


def pick_device(name: str) -> torch.device:
    """Return the device of a name: auto is CUDA where there is one, else the CPU.

    Of several processes on one machine each has a GPU of its own.

    Raises:
        InputError: There is no such device here.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and rank_from_env().size > 1:
        name = f"cuda:{rank_from_env().local_rank}"
    elif name.startswith("cuda:") and rank_from_env().local_size > 1:
        raise InputError(f"--device: {printable(name)}: one GPU for all; use --device cuda")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"--device: {printable(name)} is no device; use cpu or cuda") from None
    if device.type not in ("cpu", "cuda", "mps"):
        raise InputError(f"--device: {printable(name)} is not supported; use cpu or cuda")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise InputError(
            f"--device: {name}: this torch sees {count or 'no'} CUDA devices; use --device cpu"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InputError("--device: mps: not available here; use --device cpu")
    return device


def pick_precision(name: str, device: torch.device) -> str:
    """Return fp32, bf16 or fp16: auto is bf16 where the device multiplies it fast.

    Raises:
        InputError: The device cannot compute in the format asked for.
    """
    if name == "auto":
        return "bf16" if has_bf16(device) else "fp32"
    if name == "bf16" and not has_bf16(device):
        raise InputError(f"--precision: bf16: this {device.type} has no bf16 units; use fp32")
    if name == "fp16" and device.type != "cuda":
        raise InputError("--precision: fp16: only CUDA trains in fp16; use fp32 or bf16")
    return name


def has_bf16(device: torch.device) -> bool:
    """Say whether bf16 products are fast and work here; on a CPU by a tiny real call."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    try:
        if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return False
        with torch.device("meta"):  # draws no random numbers
            layer = torch.nn.LSTM(8, 8)
        layer.to_empty(device="cpu")
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            layer(torch.zeros(2, 2, 8))
    except (AttributeError, RuntimeError):
        return False
    return True


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context in which products are computed in `precision`."""
    import torch

    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    return torch.autocast(device.type, dtype=dtype, enabled=precision != "fp32")


def synchronise(device: torch.device) -> None:
    """Wait until a device has done all it was asked to; a CPU always has."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def speed_class(device: torch.device, precision: str) -> float:
    """Return this machine's training speed in FLOP/s, rounded to a power of two.

    Rounded, so that the noise of one short probe does not change which size is picked.
    """
    import torch

    from charrnn.core.config import ModelConfig
    from charrnn.nn.model import CharRNN, initialise

    on_gpu = device.type == "cuda"
    config = ModelConfig(
        cell="lstm",
        vocab_size=64,
        embedding_size=64,
        hidden_size=1024 if on_gpu else 256,
        num_layers=1,
    )
    B, T = (128, 128) if on_gpu else (32, 32)
    model = CharRNN(config)
    initialise(model, 0)
    model = model.to(device)
    inputs = torch.zeros((B, T), dtype=torch.int64, device=device)

    def seconds() -> float:
        begin = time.perf_counter()
        with autocast(device, precision):
            logits, _ = model(inputs, model.empty_state(B))
        logits.sum().backward()
        synchronise(device)
        return time.perf_counter() - begin

    tries = [seconds() for _ in range(PROBES)]
    while sum(tries) < PROBE_SECONDS:  # a neighbour may have had the first ones
        tries.append(seconds())
    fastest = min(tries)
    return float(2 ** round(math.log2(B * T * config.flops_per_char() / fastest)))
