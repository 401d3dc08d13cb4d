"""The rank of this process among those that torchrun started: environment variables, read in one place."""

import os
from dataclasses import dataclass

from charrnn.core.errors import InputError


@dataclass(frozen=True, slots=True)
class Rank:
    """Which of the processes of one training this is."""

    rank: int = 0
    size: int = 1
    """Processes on all machines."""
    local_rank: int = 0
    local_size: int = 1
    """Processes on this machine."""


def rank_from_env() -> Rank:
    """Return this process's place; that of a single one unless torchrun has started several."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    numbers = [os.environ.get(name, "") for name in names]
    is_told = all(number.isascii() and number.isdigit() for number in numbers)
    if not is_told or int(numbers[1]) < 2 or "MASTER_ADDR" not in os.environ:
        return Rank()
    return Rank(*map(int, numbers))


def check_shares(batch_size: int, num_processes: int) -> None:
    """Refuse a number of streams that cannot be shared out evenly.

    Raises:
        InputError: It is no multiple of the number of processes.
    """
    if batch_size % num_processes:
        raise InputError(
            f"--batch-size: {batch_size} streams cannot be shared out evenly to {num_processes} "
            f"processes; choose a multiple of {num_processes}, or another number of processes"
        )
