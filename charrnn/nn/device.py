"""Device, precision, threads and speed of this machine. torch is imported inside functions only."""

from __future__ import annotations

import ctypes
import math
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charrnn.core.errors import InputError, printable
from charrnn.core.rank import rank_from_env

if TYPE_CHECKING:
    import torch

    from charrnn.nn.architecture import ModelConfig


MOST_THREADS = 8
"""More threads do not speed up the small products of a recurrent network."""

MOST_ASKED = 1024
"""Largest number of threads taken from OMP_NUM_THREADS."""

CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")
"""CPU limit of the container: microseconds of CPU per period, and the period."""


HALF_UNITS = (7, 0)
"""CUDA compute capability from which on a GPU has units for products in fp16."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt (malloc.h)."""

KEPT_BYTES, LARGEST_KEPT = 1 << 30, 32 << 20
"""Freed bytes that a process keeps, and its largest block, the largest value that glibc takes."""

PROBES, PROBE_SECONDS = 4, 0.8
"""Least number of steps of the speed probe, and its least duration."""


def default_threads() -> int:
    """Return the number of CPU threads: OMP_NUM_THREADS, else the available cores, at most 8.

    The processes of one training share the cores. torchrun sets OMP_NUM_THREADS to 1 for each of
    them; that value is ignored, unless the user has set a larger one.
    """
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    wanted_here = int(wanted) if wanted.isascii() and wanted.isdigit() else 0
    if wanted_here > (rank_from_env().size > 1):
        return min(wanted_here, MOST_ASKED)
    return max(1, min(MOST_THREADS, available_cores() // rank_from_env().local_size))


def available_cores() -> int:
    """Return the number of cores that affinity and container allow this process."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no cgroup v2, or no limit
        quota, period = CPU_LIMIT.read_text("ascii").split()
        cores = min(cores, max(1, round(int(quota) / int(period))))
    return cores


def set_threads(threads: int | None, device: torch.device) -> int:
    """Set the number of CPU threads of torch, None for the default; return the number.

    With a GPU the default is 1, which leaves the cores to other runs. On a CPU, memory that torch
    frees is also kept for its next step.
    """
    import torch

    if device.type == "cpu":
        keep_freed_memory()
    torch.set_num_threads(threads or (1 if device.type == "cuda" else default_threads()))
    return torch.get_num_threads()


def keep_freed_memory() -> None:
    """Let the C library keep freed memory, where it can (glibc).

    Otherwise each step of 1x512 gives 20 MB back to the system and gets them again page by page,
    4,900 pages or 3 ms of 30.
    """
    with suppress(AttributeError, OSError, TypeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)


def be_deterministic(is_wanted: bool) -> None:
    """Restrict CUDA to deterministic kernels; those of a CPU always are.

    `:16:8` is the workspace that both cuBLAS and cuDNN document as reproducible; they read the
    variable at their first product.
    """
    import torch

    if is_wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":16:8")
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True)


def pick_device(name: str) -> torch.device:
    """Return the device of a name: auto is CUDA if available, else the CPU.

    With several processes on one machine each uses its own GPU, which becomes its current one: a
    context on another GPU would take half a gigabyte there.

    Raises:
        InputError: The device is not available.
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
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)
    return device


def pick_precision(name: str, device: torch.device) -> str:
    """Return fp32, bf16 or fp16: auto is 16 bits if the device has units for them.

    On CUDA that is fp16: cuDNN's recurrent layers compute in fp16 whatever autocast is asked for.

    Raises:
        InputError: The device does not support the format.
    """
    if name == "auto" and device.type == "cuda":
        return "fp16" if has_fp16(device) else "fp32"
    if name == "auto":
        return "bf16" if has_bf16(device) else "fp32"
    if name == "bf16" and not has_bf16(device):
        raise InputError(f"--precision: bf16: this {device.type} has no bf16 units; use fp32")
    if name == "fp16" and device.type != "cuda":
        raise InputError("--precision: fp16: only CUDA trains in fp16; use fp32 or bf16")
    return name


def precision_text(device: str, precision: str) -> str:
    """Return the name of a precision for messages, with what recurrent layers compute in."""
    if device.startswith("cuda") and precision == "bf16":
        return "bf16 (recurrent layers in fp16, as cuDNN has it)"
    return precision


def scales_loss(device: torch.device, precision: str) -> bool:
    """True if gradients may underflow without a loss scale: fp16, and bf16 on CUDA (as above)."""
    return device.type == "cuda" and precision != "fp32"


def float64_device(device: torch.device) -> torch.device:
    """Return where sums in float64 are kept: on the device, but mps has no float64."""
    import torch

    return torch.device("cpu") if device.type == "mps" else device


@contextmanager
def float32_products(device: torch.device, *, tf32: bool) -> Iterator[None]:
    """Round the factors of float32 products on a GPU to TF32 (10 bits of fraction), or not."""
    import torch

    all_switches: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn.rnn)
    switches = all_switches if device.type == "cuda" else ()
    before = [switch.fp32_precision for switch in switches]
    try:
        for switch in switches:
            switch.fp32_precision = "tf32" if tf32 else "ieee"
        yield
    finally:
        for switch, old in zip(switches, before, strict=True):
            switch.fp32_precision = old


def has_fp16(device: torch.device) -> bool:
    """True if a CUDA device has units for products in fp16."""
    import torch

    return torch.cuda.get_device_capability(device) >= HALF_UNITS


def has_bf16(device: torch.device) -> bool:
    """True if bf16 products are fast and work on this device; on a CPU a small LSTM is run."""
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
    """Return a context in which products are computed in `precision`."""
    import torch

    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    return torch.autocast(device.type, dtype=dtype, enabled=precision != "fp32")


def synchronise(device: torch.device) -> None:
    """Wait until a device has finished its work."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def speed_class(
    device: torch.device, precision: str, config: ModelConfig, batch_size: int, seq_len: int
) -> float:
    """Return the speed at which a network trains on this machine, in FLOP/s.

    It is rounded to a power of the square root of two, so that the noise of a short probe rarely
    changes the preset, and then by one row.
    """
    import torch

    from charrnn.nn.model import make_network
    from charrnn.nn.network import initialise

    model = make_network(config)
    initialise(model, 0)
    model = model.to(device)
    inputs = torch.zeros((batch_size, seq_len), dtype=torch.int64, device=device)

    def seconds() -> float:
        begin = time.perf_counter()
        with autocast(device, precision):
            logits, _ = model(inputs, model.empty_state(batch_size))
        logits.sum().backward()
        synchronise(device)
        return time.perf_counter() - begin

    tries = [seconds() for _ in range(PROBES)]
    while sum(tries) < PROBE_SECONDS:  # another process may have slowed the first ones
        tries.append(seconds())
    speed = inputs.numel() * config.flops_per_char() / min(tries)
    return float(2 ** (round(2 * math.log2(speed)) / 2))
