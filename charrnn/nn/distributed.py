"""Several processes that train as one: rank, size, what they agree on. For one the identity.

torchrun starts them and sets RANK, WORLD_SIZE and where they meet. Each has its rows of every
batch; whatever depends on a clock, a signal or a disk is what the first process finds. So all take
the same steps in the same order, which is what collective calls need.
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
from charrnn.core.rank import check_shares, rank_from_env
from charrnn.core.signals import without_handlers

T = TypeVar("T")

PATIENCE = timedelta(minutes=30)
"""How long one process waits for another; the first may have a large text to read."""

BUCKET = 4.0
"""MiB of gradients that are sent together: about those of a layer, while others are computed."""

LOST = ("gloo", "nccl", "connection closed", "connection reset", "connection refused")
"""Phrases of an error that says that another process has gone."""

ATTEMPT = "TORCHELASTIC_RESTART_COUNT"
"""How often torchrun has started all processes again."""


@dataclass(frozen=True, slots=True)
class World:
    """The processes of one training; collective calls block until all have made them."""

    rank: int = 0
    size: int = 1

    @property
    def is_alone(self) -> bool:
        """Whether there is only this process."""
        return self.size == 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    def rows(self, count: int) -> slice:
        """Return which of so many rows of a batch belong to this process."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def check(self, batch_size: int) -> None:
        """Refuse a number of streams that cannot be shared out evenly.

        Raises:
            InputError: It is no multiple of the number of processes.
        """
        check_shares(batch_size, self.size)

    def agree(self, value: T) -> T:
        """Return what the first process has here, whatever the others have."""
        if self.is_alone:
            return value
        box = [value if self.is_first else None]
        distributed.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]  # type: ignore[return-value]

    def largest(self, number: int) -> int:
        """Return the largest number that any process has here."""
        tensor = torch.tensor(number)
        if not self.is_alone:
            distributed.all_reduce(tensor, distributed.ReduceOp.MAX)
        return int(tensor)

    def total(self, numbers: Tensor) -> Tensor:
        """Return the sums of what the processes have here, on the CPU."""
        sums = numbers.detach().cpu()
        if not self.is_alone:
            distributed.all_reduce(sums)
        return sums

    def gathered(self, part: Tensor) -> Tensor:
        """Return the states of all streams, (L, S, H), of which each process has S / size."""
        if self.is_alone:
            return part
        mine = part.detach().cpu().contiguous()
        parts = [torch.empty_like(mine) for _ in range(self.size)]
        distributed.all_gather(parts, mine)
        return torch.cat(parts, dim=1)

    def clock(self, clock: Callable[[], float]) -> Callable[[], float]:
        """Return the first process's clock."""
        return clock if self.is_alone else lambda: self.agree(clock())

    def shared(self, model: nn.Module) -> Callable[..., Any]:
        """Return a network's forward pass whose gradients are the mean over all processes.

        They are sent while others are still computed (DistributedDataParallel).
        """
        if self.is_alone:
            return model
        return nn.parallel.DistributedDataParallel(
            model, bucket_cap_mb=BUCKET, gradient_as_bucket_view=True
        )

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn the loss of another process into an error that says so.

        Raises:
            CharRNNError: Another process of this training has gone.
        """
        try:
            yield
        except RuntimeError as error:
            if self.is_alone or not is_lost(error):
                raise
            raise CharRNNError(
                f"another of the {self.size} processes has gone; go on with --resume"
            ) from error


ALONE = World()


def _meet() -> None:
    """Wait until all processes are there."""
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    store, rank, size = next(rendezvous("env://", timeout=PATIENCE))
    # torchrun keeps its store when it starts all again: the addresses in it are of the dead.
    attempt = PrefixStore(f"attempt {os.environ.get(ATTEMPT, '0')}", store)
    distributed.init_process_group(
        backend, store=attempt, rank=rank, world_size=size, timeout=PATIENCE
    )


def is_lost(error: RuntimeError) -> bool:
    """Say whether an error means that another process has gone."""
    text = str(error).lower()
    return isinstance(error, distributed.DistError) or any(phrase in text for phrase in LOST)


@contextmanager
def joined() -> Iterator[World]:
    """Meet the other processes that torchrun has started; yield what all of them are.

    gloo carries what is on the CPU, NCCL what is on GPUs.

    Raises:
        CharRNNError: They cannot be reached.
    """
    world = World(rank_from_env().rank, rank_from_env().size)
    if world.is_alone:
        yield world
        return
    with world.told(), without_handlers():  # nothing but the system ends a process that waits
        _meet()
    yield world
    distributed.destroy_process_group()  # not after an error: the others may have gone
