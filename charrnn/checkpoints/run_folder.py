"""The folder of a run: its lock, its checkpoints and which of them are kept, its log."""

import contextlib
import os
import platform
import re
import time
from pathlib import Path

from charrnn.checkpoints.log import METRICS, SAMPLES, RunLog
from charrnn.core.errors import BusyError, printable
from charrnn.core.files import remove, remove_temporary, try_lock, verify, write_durably

BEST, LOCK = "best.safetensors", ".lock"
CONFIG, SPOOLED = "config.toml", "input.txt"

NUM_KEPT = 3
"""Full checkpoints kept during a run; one after it has finished."""

LOCK_TRIES, LOCK_PAUSE = 7, 0.05
"""Attempts to lock a run, and seconds between them."""


class Run:
    """The folder of one training run, locked until `close`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = _lock(folder / LOCK)
        self.damaged: set[Path] = set()
        """Full checkpoints that could not be read; they are left unchanged, and not counted."""
        remove_temporary(folder)
        self.log = RunLog(folder)

    @property
    def best(self) -> Path:
        """Path of the best model."""
        return self.folder / BEST

    def save_step(self, step: int, data: bytes) -> Path:
        """Write a full checkpoint, read it back, then delete those that are no longer kept.

        Checkpoints of later steps are deleted too: training has rolled back.
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
        """Replace the best model."""
        write_durably(self.best, data)
        return self.best

    def keep_newest(self, count: int) -> None:
        """Delete all full checkpoints but the newest `count`."""
        for path in self.good_files()[:-count]:
            remove(path)

    def good_files(self) -> list[Path]:
        """Return the full checkpoints that are not known to be damaged, oldest first."""
        return [path for path in step_files(self.folder) if path not in self.damaged]

    def newest_name(self) -> str | None:
        """Return the name of the newest full checkpoint."""
        return self.good_files()[-1].name if self.good_files() else None

    @property
    def is_empty(self) -> bool:
        """Whether it holds no checkpoint."""
        return not step_files(self.folder) and not self.best.exists()

    def discard_if_empty(self) -> None:
        """Remove the files and the folder of a run that saved nothing; keep foreign files."""
        if self.is_empty and self.still_exists:
            for name in (METRICS, SAMPLES, CONFIG, SPOOLED, LOCK):
                remove(self.folder / name)
            with contextlib.suppress(OSError):  # it has foreign files
                self.folder.rmdir()

    @property
    def still_exists(self) -> bool:
        """Whether the locked folder is still the folder at this path."""
        try:
            return os.path.samestat(os.fstat(self._lock), (self.folder / LOCK).stat())
        except OSError:
            return False

    def close(self) -> None:
        """Release the lock."""
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
    """Take an exclusive lock; the kernel releases it when this process dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    if not _lock_with_retries(descriptor):
        number, _, host = os.read(descriptor, 100).decode("utf-8", "replace").strip().partition(" ")
        os.close(descriptor)
        raise BusyError(
            f"{printable(path.parent)}: being trained by process {printable(number)} on "
            f"{printable(host)}; wait, or stop it"
        )
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()} {platform.node()}\n".encode())
    return descriptor


def _lock_with_retries(descriptor: int) -> bool:
    """Lock an open file; try again while another process tests the lock for a moment."""
    for _ in range(LOCK_TRIES - 1):
        if try_lock(descriptor):
            return True
        time.sleep(LOCK_PAUSE)
    return try_lock(descriptor)
