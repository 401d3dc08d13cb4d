"""Rank and world size of this process, from the environment variables that torchrun sets."""

import os
from dataclasses import dataclass

from charrnn.core.errors import InputError


@dataclass(frozen=True, slots=True)
class Rank:
    """Rank of this process among all processes that train one model."""

    rank: int = 0
    size: int = 1
    """World size: processes on all machines."""
    local_rank: int = 0
    local_size: int = 1
    """Processes on this machine."""


def rank_from_env() -> Rank:
    """Return the rank of this process; rank 0 of 1 unless torchrun has started several."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    numbers = [os.environ.get(name, "") for name in names]
    are_set = all(number.isascii() and number.isdigit() for number in numbers)
    if not are_set or int(numbers[1]) < 2 or "MASTER_ADDR" not in os.environ:
        return Rank()
    return Rank(*map(int, numbers))


def check_shares(batch_size: int, num_processes: int) -> None:
    """Check that all ranks get equally many streams of a batch.

    Raises:
        InputError: The batch size is not a multiple of the number of processes.
    """
    if batch_size % num_processes:
        raise InputError(
            f"--batch-size: {batch_size} streams cannot be divided evenly among {num_processes} "
            f"processes; choose a multiple of {num_processes}, or another number of processes"
        )
