"""A run's folder: name, lock, checkpoints, what is kept of them, and the logs."""

import contextlib
import os
import re
import socket
import time
from pathlib import Path

from charrnn.checkpoints.log import METRICS, SAMPLES, RunLog
from charrnn.core.errors import BusyError, printable
from charrnn.core.files import remove, remove_temporary, try_lock, verify, write_durably

BEST, LOCK = "best.safetensors", ".lock"
CONFIG, SPOOLED = "config.toml", "input.txt"

NUM_KEPT = 3
"""Full checkpoints kept while a run goes on; one after its normal end."""

LOCK_TRIES, LOCK_PAUSE = 7, 0.05
"""How often, and with how many seconds between, a trainer tries to lock its run."""


class Run:
    """The folder of one training run, locked for as long as this object lives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = _lock(folder / LOCK)
        self.damaged: set[Path] = set()
        """Full checkpoints that could not be read; left as they are, and not counted."""
        remove_temporary(folder)
        self.log = RunLog(folder)

    @property
    def best(self) -> Path:
        """The model to share and to sample from."""
        return self.folder / BEST

    def save_step(self, step: int, data: bytes) -> Path:
        """Write a full checkpoint, read it back, then let go of those that are too many.

        Those of later steps go too: training has gone back behind them.
        """
        path = self.folder / f"step-{step:08d}.safetensors"
        write_durably(path, data)
        try:
            verify(path, data)
        except OSError:
            remove(path)
            raise
        self.damaged.discard(path)
        for other in self.good_files():
            if _step_of(other) > step:
                remove(other)
        self.keep_newest(NUM_KEPT)
        return path

    def save_best(self, data: bytes) -> Path:
        """Replace the model to share."""
        write_durably(self.best, data)
        return self.best

    def keep_newest(self, count: int) -> None:
        """Delete all full checkpoints but the newest."""
        for path in self.good_files()[:-count]:
            remove(path)

    def good_files(self) -> list[Path]:
        """Return the full checkpoints, oldest first, without those known to be damaged."""
        return [path for path in step_files(self.folder) if path not in self.damaged]

    def newest_name(self) -> str | None:
        """Return the name of the newest full checkpoint."""
        return self.good_files()[-1].name if self.good_files() else None

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been saved."""
        return not step_files(self.folder) and not self.best.exists()

    def discard_if_empty(self) -> None:
        """Remove what a run has made that ended before its first save, and nothing else."""
        if self.is_empty and self.still_exists:
            for name in (METRICS, SAMPLES, CONFIG, SPOOLED, LOCK):
                remove(self.folder / name)
            with contextlib.suppress(OSError):  # it holds something that is not ours
                self.folder.rmdir()

    @property
    def still_exists(self) -> bool:
        """Whether the folder that is locked is still the one of this name."""
        try:
            return os.path.samestat(os.fstat(self._lock), (self.folder / LOCK).stat())
        except OSError:
            return False

    def close(self) -> None:
        """Let go of the lock."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def step_files(folder: Path) -> list[Path]:
    """Return the full checkpoints of a run, oldest first."""
    found = [(m, path) for path in folder.glob("step-*.safetensors") if (m := _step_of(path)) >= 0]
    return [path for _, path in sorted(found)]


def _step_of(path: Path) -> int:
    match = re.fullmatch(r"step-(\d+)\.safetensors", path.name)
    return int(match[1]) if match else -1


def _lock(path: Path) -> int:
    """Hold an exclusive lock; the kernel drops it when this process dies, however it does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    if not _lock_with_retries(descriptor):
        number, _, host = os.read(descriptor, 100).decode("utf-8", "replace").strip().partition(" ")
        os.close(descriptor)
        raise BusyError(
            f"{printable(path.parent)}: being trained by process {printable(number)} on "
            f"{printable(host)}; wait, or stop it"
        )
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode())
    return descriptor


def _lock_with_retries(descriptor: int) -> bool:
    """Lock an open file, a few times if need be: who looks whether we live holds it for a moment."""
    for _ in range(LOCK_TRIES - 1):
        if try_lock(descriptor):
            return True
        time.sleep(LOCK_PAUSE)
    return try_lock(descriptor)
