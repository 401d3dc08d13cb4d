"""Rank, world size and collective operations of one training; the identity for one process.

torchrun starts the processes and sets RANK, WORLD_SIZE and the address of rank 0. Each rank reads
its rows of every batch. What depends on a clock, a signal or a disk is decided by rank 0 and
broadcast, so that all ranks take the same steps in the same order, as collective calls require.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from charrnn.core.errors import CharRNNError
from charrnn.core.rank import rank_from_env
from charrnn.core.signals import without_handlers
from charrnn.nn.state import State

T = TypeVar("T")

PATIENCE = timedelta(minutes=30)
"""How long a rank waits for another one; rank 0 may have a large text to read."""

BUCKET = 4.0
"""MiB of gradients in one all-reduce: about one layer, sent while others are computed."""

LOST = ("gloo", "nccl", "connection closed", "connection reset", "connection refused")
"""Phrases in the error of a collective call whose peer has exited."""

ATTEMPT = "TORCHELASTIC_RESTART_COUNT"
"""How often torchrun has restarted all processes."""


@dataclass(frozen=True, slots=True)
class World:
    """The ranks of one training. A collective call blocks until every rank has made it."""

    rank: int = 0
    size: int = 1

    @property
    def is_single(self) -> bool:
        """True for a training by one process."""
        return self.size == 1

    @property
    def is_rank_zero(self) -> bool:
        """True for the rank that writes files and output."""
        return self.rank == 0

    def shard(self, count: int) -> slice:
        """Return the rows of a batch of `count` rows that belong to this rank."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def broadcast(self, value: T) -> T:
        """Return the value that rank 0 passes."""
        if self.is_single:
            return value
        box = [value if self.is_rank_zero else None]
        distributed.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]  # type: ignore[return-value]

    def all_reduce_max(self, number: int) -> int:
        """Return the largest number that any rank passes."""
        tensor = torch.tensor(number)
        if not self.is_single:
            distributed.all_reduce(tensor, distributed.ReduceOp.MAX)
        return int(tensor)

    def all_reduce_sum(self, numbers: Tensor) -> Tensor:
        """Return the sums over all ranks, on the CPU."""
        sums = numbers.detach().cpu()
        if not self.is_single:
            distributed.all_reduce(sums)
        return sums

    def all_gather(self, state: State) -> State:
        """Return the state of all S streams, from that of the S / size streams of each rank."""
        if self.is_single:
            return state
        mine = state.map(lambda part: part.detach().cpu().contiguous())
        states = [mine.map(torch.empty_like) for _ in range(self.size)]
        for name, part in mine.arrays().items():
            distributed.all_gather([each.arrays()[name] for each in states], part)
        return State.cat(states, torch.cat)

    def clock(self, clock: Callable[[], float]) -> Callable[[], float]:
        """Return the clock of rank 0."""
        return clock if self.is_single else lambda: self.broadcast(clock())

    def wrap_ddp(self, model: nn.Module) -> Callable[..., Any]:
        """Return the forward pass of a network whose gradients are averaged over all ranks.

        DistributedDataParallel sends them while others are still computed.
        """
        if self.is_single:
            return model
        return nn.parallel.DistributedDataParallel(
            model, bucket_cap_mb=BUCKET, gradient_as_bucket_view=True
        )

    @contextmanager
    def peer_errors(self) -> Iterator[None]:
        """Turn the error of a collective call whose peer has exited into a CharRNNError.

        Raises:
            CharRNNError: Another process of this training has exited.
        """
        try:
            yield
        except RuntimeError as error:
            if self.is_single or not is_lost(error):
                raise
            raise CharRNNError(
                f"another of the {self.size} processes has ended; continue with --resume"
            ) from error


ALONE = World()


def _init_process_group() -> None:
    """Wait until all ranks are connected."""
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    store, rank, size = next(rendezvous("env://", timeout=PATIENCE))
    # torchrun keeps its store across restarts, with the addresses of the processes before.
    attempt = PrefixStore(f"attempt {os.environ.get(ATTEMPT, '0')}", store)
    distributed.init_process_group(
        backend, store=attempt, rank=rank, world_size=size, timeout=PATIENCE
    )


def is_lost(error: RuntimeError) -> bool:
    """True if an error means that another process has exited."""
    text = str(error).lower()
    return isinstance(error, distributed.DistError) or any(phrase in text for phrase in LOST)


@contextmanager
def joined() -> Iterator[World]:
    """Connect to the other processes that torchrun has started, and yield the World.

    gloo transfers tensors on the CPU, NCCL tensors on GPUs.

    Raises:
        CharRNNError: A process cannot be reached.
    """
    world = World(rank_from_env().rank, rank_from_env().size)
    if world.is_single:
        yield world
        return
    with world.peer_errors(), without_handlers():  # a call that waits in C runs no Python handler
        _init_process_group()
    yield world
    distributed.destroy_process_group()  # not after an error: peers may have exited
