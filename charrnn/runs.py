"""A run's folder: name, lock, checkpoints, what is kept of them, and the logs."""

import contextlib
import json
import math
import os
import re
import shutil
import socket
from dataclasses import asdict
from pathlib import Path
from typing import Any

from charrnn.durable import (
    remove,
    remove_temporary,
    sync_folder,
    try_lock,
    verify,
    write_durably,
)
from charrnn.errors import BusyError, InputError, printable, reason_of
from charrnn.events import Event, Planned, RolledBack, Sampled, Step

BEST, LOCK = "best.safetensors", ".lock"
METRICS, SAMPLES = "metrics.jsonl", "samples.jsonl"
LONGEST_LINE = 1 << 20
"""Bytes of a log's line."""

NUM_KEPT = 3
"""Full checkpoints kept while a run goes on; one after its normal end."""

NUM_LOGGED = 1000
"""Lines about steps in metrics.jsonl, at most about so many a run."""


class Run:
    """The folder of one training run, locked for as long as this object lives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = _lock(folder / LOCK)
        self.damaged: set[Path] = set()
        """Full checkpoints that could not be read; left as they are, and not counted."""
        remove_temporary(folder)
        for name in (METRICS, SAMPLES):
            _cut_torn_line(folder / name)
        self._last_logged = 0
        self._log_every = 1

    @property
    def best(self) -> Path:
        """The model to share and to sample from."""
        return self.folder / BEST

    def save_step(self, step: int, data: bytes) -> Path:
        """Write a full checkpoint, read it back, then let go of those that are too many."""
        path = self.folder / f"step-{step:08d}.safetensors"
        write_durably(path, data)
        verify(path, data)
        self.damaged.discard(path)
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

    def drop_after(self, step: int) -> None:
        """Delete the full checkpoints of later steps: training has gone back behind them."""
        for path in step_files(self.folder):
            if _step_of(path) > step:
                remove(path)

    def record(self, event: Event) -> None:
        """Append an event to the logs; a log that cannot be written stops no training."""
        if isinstance(event, Planned):
            self._log_every = max(1, event.total_steps // NUM_LOGGED)
        if isinstance(event, Step):
            if event.step - self._last_logged < self._log_every:
                return
            self._last_logged = event.step
        if isinstance(event, RolledBack):
            self._last_logged = event.good_step
        name = SAMPLES if isinstance(event, Sampled) else METRICS
        self.append(name, {"event": type(event).__name__.lower()} | asdict(event))

    def append(self, name: str, line: dict[str, Any]) -> None:
        """Append one flat JSON object to a log; numbers that are not finite become null."""
        values = {key: None if _is_lost(value) else value for key, value in line.items()}
        text = json.dumps(values, default=lambda value: Path(value).name, ensure_ascii=False)
        data = text.encode("utf-8", "backslashreplace") + b"\n"  # JSON's escapes are the same
        with contextlib.suppress(OSError), (self.folder / name).open("ab") as log:
            log.write(data)

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been saved."""
        return not step_files(self.folder) and not self.best.exists()

    def discard_if_empty(self) -> None:
        """Remove the folder of a run that ended before its first save."""
        if self.is_empty:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def is_there(self) -> bool:
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


def _cut_torn_line(path: Path) -> None:
    """Take the unfinished last line off a log: its writer was killed in the middle of it."""
    with contextlib.suppress(OSError), path.open("r+b") as log:
        size = log.seek(0, os.SEEK_END)
        start = max(0, size - LONGEST_LINE)
        log.seek(start)
        log.truncate(start + log.read().rfind(b"\n") + 1)


def _is_lost(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def step_files(folder: Path) -> list[Path]:
    """Return the full checkpoints of a run, oldest first."""
    found = [(m, path) for path in folder.glob("step-*.safetensors") if (m := _step_of(path)) >= 0]
    return [path for _, path in sorted(found)]


def _step_of(path: Path) -> int:
    match = re.fullmatch(r"step-(\d+)\.safetensors", path.name)
    return int(match[1]) if match else -1


def create_run(checkpoints: Path, name: str | None, files: list[Path]) -> Run:
    """Make the folder of a new run and lock it.

    Without a name it is called after the first file; if that is taken, the next free number is
    added: shakespeare, shakespeare-2, ...

    Raises:
        InputError: The name is taken or no name, or the folder cannot be made.
    """
    wanted = check_name(name) if name is not None else default_name(files)
    number = 1
    while True:
        folder = checkpoints / (wanted if number == 1 else f"{wanted}-{number}")
        try:
            checkpoints.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
            return _opened(folder)
        except FileExistsError:
            if not checkpoints.is_dir():
                raise InputError(
                    f"{printable(checkpoints)}: not a folder; choose another --checkpoints folder"
                ) from None
            if name is not None:
                raise InputError(
                    f"{printable(folder)}: taken; choose another --run, or go on with it: --resume"
                ) from None
            number += 1
        except OSError as error:
            reason = reason_of(error)
            raise InputError(
                f"{printable(folder)}: {reason}; choose another --checkpoints folder"
            ) from None


def _opened(folder: Path) -> Run:
    """Lock a run's folder, and see to it that its name lasts."""
    run = Run(folder)
    for parent in (folder.parent, folder.parent.parent):
        with contextlib.suppress(OSError):  # a folder above that we may not open
            sync_folder(parent)
    return run


def run_folder(checkpoints: Path, name: str | None, files: list[Path]) -> Path:
    """Return the folder that a resumed run has: its name as it is, never numbered."""
    return checkpoints / (check_name(name) if name is not None else default_name(files))


def open_run(folder: Path) -> Run:
    """Lock the folder of a run that goes on, or make it.

    Raises:
        BusyError: Another process trains it.
        InputError: The folder cannot be made, or is none.
    """
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            run = _opened(folder)
        except FileNotFoundError:
            continue  # whoever had it has just taken it away
        except OSError as error:
            reason = reason_of(error)
            raise InputError(f"{printable(folder)}: {reason}; choose another --run") from None
        if run.is_there:
            return run
        run.close()


def check_name(name: str) -> str:
    """Return a run's name if it can be a folder's.

    Raises:
        InputError: It is empty, hidden, or a path.
    """
    if (
        not name
        or name.startswith(".")
        or any(c in name for c in "/\\\0")
        or not name.isprintable()
    ):
        raise InputError(f"--run: {printable(name)!r} is no name for a folder")
    return name


def default_name(files: list[Path]) -> str:
    """Return the stem of the first file; for input.txt and stdin that of the folder it is in."""
    first = files[0]
    if first.name in ("input.txt", "-"):
        first = first.parent
    first = first.resolve()
    kept = re.sub(r"[^\w.+-]+", "-", first.stem if first.is_file() else first.name)
    return kept.strip(".-") or "run"


def _lock(path: Path) -> int:
    """Hold an exclusive lock; the kernel drops it when this process dies, however it does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    if not try_lock(descriptor):
        holder = printable(os.read(descriptor, 100).decode("utf-8", "replace").strip())
        os.close(descriptor)
        raise BusyError(
            f"{printable(path.parent)}: being trained by another process ({holder}); wait, or stop it"
        )
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode())
    return descriptor


def find_model(checkpoints: Path, name: str | None) -> Path:
    """Return the checkpoint file that a MODEL argument means.

    A run's name or folder (its best); a file; without a name, the best that was written last.
    A run comes before a file or folder of the same name: that may be what it was trained on.

    Raises:
        InputError: There is no such model; those that exist are named.
    """
    if name is None:
        return _newest_best(checkpoints)
    empty = None
    for path in (checkpoints / name, Path(name)):
        with contextlib.suppress(OSError, ValueError):  # a name too long, or with a NUL
            if (path / BEST).exists():
                return path / BEST
            if path.is_dir():
                empty = path
            elif path.exists():
                return path
    if empty is not None:
        raise InputError(f"{printable(empty)}: holds no {BEST}; name a run, or train one first")
    known = ", ".join(printable(path.parent.name) for path in _all_best(checkpoints)[-5:])
    hint = f"; there are: {known}" if known else f"; no run in {printable(checkpoints)} yet"
    raise InputError(f"{printable(name)}: no such run or file{hint}")


def _all_best(checkpoints: Path) -> list[Path]:
    """Return the best of every run, the one written last at the end."""
    try:
        found = [path for path in checkpoints.glob(f"*/{BEST}") if path.is_file()]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)
    except OSError as error:
        raise InputError(f"--checkpoints: {printable(checkpoints)}: {reason_of(error)}") from None


def _newest_best(checkpoints: Path) -> Path:
    if found := _all_best(checkpoints):
        return found[-1]
    raise InputError(
        f"no model in {printable(checkpoints)} yet; train one first: charrnn train FILE"
    )
