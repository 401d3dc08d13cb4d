"""Choose the number of CPU threads of a run with a time budget, by the speed of its own steps.

Other runs keep their number; where other processes use the cores, fewer are advised.
"""

import os
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from charrnn.core.config import TrainConfig
from charrnn.core.events import ThreadsChanged
from charrnn.nn.device import pick_device, set_threads

ROUNDS = 2
"""Blocks of steps that a comparison makes with each number of threads."""

BLOCK_SECONDS = 0.1
"""Duration of a block, about."""

GAIN = 1.08
"""Another number of threads is taken if it is at least so much faster."""

CLEAR = 2.0
"""A comparison ends early where the fastest number is so much faster than the next."""

LARGEST_SHARE = 0.05
"""Fraction of the time that comparisons take, at most, after the first."""

STAT = Path("/proc/stat")
"""CPU time of each core by kind, on Linux."""

WORKING = (0, 1, 2, 5, 6, 7)
"""Columns of STAT in which a core works: user, nice, system, irq, softirq, steal."""

SHORTEST = 0.3
"""Seconds between two readings of STAT, which counts in hundredths of a second, at least."""


def is_open(config: TrainConfig) -> bool:
    """Return whether a run may choose its number of threads.

    A run that ends by steps or epochs may not: equal commands train equal weights.
    """
    return config.steps is None and config.epochs is None and not is_named(config)


def is_named(config: TrainConfig) -> bool:
    """Return whether the user names the number of threads."""
    return config.threads is not None or bool(os.environ.get("OMP_NUM_THREADS"))


class Threads:
    """The number of threads, compared with smaller ones at the start and after validations.

    Every thread waits for the slowest one at each barrier, which beside a busy process is one that
    waits for its turn on a core: two threads were a third as fast as one.

    Args:
        config: Settings.
        is_single: Whether this is the only process of the training.
    """

    def __init__(self, config: TrainConfig, *, is_single: bool = True) -> None:
        self._device = device = pick_device(config.device)
        self.chosen = self._current = set_threads(config.threads, device)
        """Threads of this run; in a comparison others are set for a moment."""
        may_choose = is_single and device.type == "cpu" and is_open(config)
        self._counts = halves(self.chosen) if may_choose else [self.chosen]
        self._blocks: list[int] = []
        """Threads of the blocks to come."""
        self._step_seconds = BLOCK_SECONDS
        self._since = 0.0
        """Seconds since the last comparison."""
        self._begin(is_cold=True)

    def _begin(self, *, is_cold: bool) -> None:
        """Begin a comparison; if it is cold, its first block is one step and does not count."""
        self._is_cold, self._cost = is_cold, 0.0
        self._chars: defaultdict[int, int] = defaultdict(int)
        self._seconds: defaultdict[int, float] = defaultdict(float)
        if len(self._counts) > 1:
            self._blocks = self._counts[: int(is_cold)] + self._counts * ROUNDS
            self._set(self._blocks[0])

    def compare_again(self) -> None:
        """Compare again, unless that was done a short time ago."""
        if not self._blocks and self._since * LARGEST_SHARE >= self._cost:
            self._begin(is_cold=False)

    def window(self, usual: int) -> int:
        """Return the number of steps up to the next report, `usual` outside of comparisons."""
        if not self._blocks:
            return usual
        return 1 if self._is_cold else max(1, round(BLOCK_SECONDS / self._step_seconds))

    def trained(
        self, step: int, num_steps: int, num_chars: int, seconds: float
    ) -> ThreadsChanged | None:
        """Add the time of some steps, the last of which is `step`; return a change of threads."""
        if not self._blocks:
            self._since += seconds
            return None
        count = self._blocks.pop(0)
        self._cost += seconds
        self._step_seconds = max(seconds, 1e-6) / num_steps
        if self._is_cold:
            self._is_cold = False
        else:
            self._chars[count] += num_chars
            self._seconds[count] += max(seconds, 1e-6)
        return self._decide_if_due(step)

    def _decide_if_due(self, step: int) -> ThreadsChanged | None:
        rates = {count: self._chars[count] / self._seconds[count] for count in self._chars}
        ranked = sorted(rates, key=lambda count: -rates[count])
        is_clear = len(rates) == len(self._counts) and rates[ranked[0]] >= CLEAR * rates[ranked[1]]
        if self._blocks and not is_clear:
            self._set(self._blocks[0])
            return None
        best, old = ranked[0], self.chosen
        self._blocks, self._since = [], 0.0
        self.chosen = best if rates[best] >= GAIN * rates[old] else old
        self._set(self.chosen)
        if self.chosen == old:
            return None
        return ThreadsChanged(
            step=step, threads=best, chars_per_second=rates[best], previous=rates[old]
        )

    def _set(self, count: int) -> None:
        if count != self._current:
            self._current = set_threads(count, self._device)


def halves(count: int) -> list[int]:
    """Return 1 ... a quarter of a number, its half, itself."""
    return [count] if count <= 1 else [*halves(count // 2), count]


@dataclass(frozen=True, slots=True)
class CpuTime:
    """CPU time of all processes on the cores that this one may use, in seconds, at one moment."""

    cores: int
    used: float
    """By all processes."""
    own: float
    """By this process."""
    now: float


def cpu_time() -> CpuTime | None:
    """Return the CPU time up to now; None where the system does not tell."""
    try:
        names = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        rows = [line.split() for line in STAT.read_text("ascii").splitlines()]
        cores = [row[1:] for row in rows if row and row[0] in names]
        # niced processes count too: systems that group by session give them a full share
        busy = [int(t) for core in cores for i, t in enumerate(core) if i in WORKING]
        used = sum(busy) / os.sysconf("SC_CLK_TCK")
    except (AttributeError, OSError, ValueError):
        return None
    return CpuTime(len(cores), used, time.process_time(), time.monotonic())


def advised_threads(threads: int, before: CpuTime | None, after: CpuTime | None) -> int:
    """Return the largest number, of some threads and its halves, for which there are free cores.

    The cores are free that other processes did not use between two moments.
    """
    if before is None or after is None or after.now - before.now < SHORTEST:
        return threads
    others = (after.used - before.used - after.own + before.own) / (after.now - before.now)
    free = after.cores - others
    return max([count for count in halves(threads) if count < free + 0.5], default=1)
