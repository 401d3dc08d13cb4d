"""Power cuts: every possible state of the disk afterwards, enumerated on a recorded history.

A shim in place of `os` records the operations of the writer. A state follows from a prefix of that
record: each write not yet synced is kept, dropped, zeroed, or torn at a boundary of 512 or 4,096
bytes; each new name, rename and removal not yet synced with its folder is kept or dropped. In each
state the reader must find the newest save that was reported, or the one in progress.
"""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import expect, run_script, work_folder
from history import make_template, recover, saves

import charrnn.checkpoints.run_folder
import charrnn.core.files
from charrnn.checkpoints.names import create_run
from charrnn.core.errors import CharRNNError
from charrnn.core.events import Saved

SECTORS = (512, 4096)

FORGOTTEN = {
    "fsync of the file": lambda op: op[0] == "fsync",
    "fsync of the folder": lambda op: op[0] == "fsync folder",
}
"""Mechanisms that can be disabled, to check that the enumeration notices."""

Op = tuple[Any, ...]


@dataclass
class Recorder:
    """Replaces `os` in the writer: executes each operation and records it."""

    forget: Callable[[Op], bool] = lambda op: False
    ops: list[Op] = field(default_factory=list)
    _files: dict[int, int] = field(default_factory=dict)
    _count: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def note(self, *op: Any) -> None:
        """Record an operation, unless it is disabled."""
        if not self.forget(op):
            self.ops.append(op)

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = os.open(path, flags, mode)
        if flags & os.O_CREAT:
            self._count += 1
            self._files[descriptor] = self._count
            self.note("create", Path(path).name, self._count)
        return descriptor

    def write(self, descriptor: int, data: Any) -> int:
        count = os.write(descriptor, data[:4096])  # many short writes: more moments to crash at
        self.note("write", self._files[descriptor], bytes(data[:count]))
        return count

    def fsync(self, descriptor: int) -> None:
        os.fsync(descriptor)
        inode = self._files.get(descriptor)
        self.note("fsync", inode) if inode else self.note("fsync folder")

    def close(self, descriptor: int) -> None:
        self._files.pop(descriptor, None)
        os.close(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        os.replace(source, target)
        self.note("rename", Path(source).name, Path(target).name)

    def unlink(self, path: Path) -> None:
        os.unlink(path)
        self.note("unlink", Path(path).name)


@dataclass
class Disk:
    """Content that is certainly on a disk, and content that may be."""

    names: dict[str, int] = field(default_factory=dict)
    synced: dict[int, bytes] = field(default_factory=dict)
    written: dict[int, bytes] = field(default_factory=dict)
    pending: list[Op] = field(default_factory=list)

    def do(self, op: Op) -> None:
        """Apply an operation."""
        match op:
            case ("write", inode, data):
                self.written[inode] = self.written.get(inode, b"") + data
            case ("fsync", inode):
                self.synced[inode] = self.written.get(inode, b"")
            case ("fsync folder",):
                self.names = applied(self.names, self.pending)
                self.pending = []
            case ("create" | "rename" | "unlink", *_):
                self.pending.append(op)

    def states(self) -> Iterator[dict[str, bytes]]:
        """Yield every content of the folder that a crash at this moment may leave."""
        for size in range(len(self.pending) + 1):
            for kept in itertools.combinations(self.pending, size):
                names = applied(self.names, kept)
                unsure = sorted({i for i in names.values() if self.is_unsure(i)})
                for contents in itertools.product(*map(self.contents, unsure)):
                    found = dict(zip(unsure, contents, strict=True))
                    yield {n: found.get(i, self.synced.get(i, b"")) for n, i in names.items()}

    def is_unsure(self, inode: int) -> bool:
        """True if a file has content that was not synced."""
        return self.written.get(inode, b"") != self.synced.get(inode, b"")

    def contents(self, inode: int) -> list[bytes]:
        """Return the possible contents of a file with writes that were not synced."""
        data, safe = self.written[inode], len(self.synced.get(inode, b""))
        cuts = {0, safe, len(data)}
        for sector in SECTORS:
            cuts |= set(range(0, len(data), sector))
        found = [data, data[:safe], data[:safe] + bytes(len(data) - safe)]
        for cut in sorted(cuts):
            found += [data[:cut], data[:cut] + bytes(len(data) - cut)]
        return list(dict.fromkeys(found))


def applied(names: dict[str, int], ops: Any) -> dict[str, int]:
    """Return the names after some changes; a change of a missing file has no effect."""
    names = dict(names)
    for op in ops:
        match op:
            case ("create", name, inode):
                names[name] = inode
            case ("rename", source, target) if source in names:
                names[target] = names.pop(source)
            case ("unlink", name):
                names.pop(name, None)
    return names


def record(num_saves: int, forget: Callable[[Op], bool]) -> list[Op]:
    """Return the operations of a history of saves; ("acknowledged", step, is_best) after each."""
    recorder = Recorder(forget)
    template = make_template()
    run = create_run(Path("checkpoints"), "recorded", [])
    os_of_durable, kept = charrnn.core.files.os, charrnn.checkpoints.run_folder.NUM_KEPT
    charrnn.core.files.os, charrnn.checkpoints.run_folder.NUM_KEPT = recorder, 2
    try:
        for event in saves(run, template, range(1, num_saves + 1)):
            assert isinstance(event, Saved)
            recorder.ops.append(("acknowledged", event.step, event.is_best))
    finally:
        charrnn.core.files.os, charrnn.checkpoints.run_folder.NUM_KEPT = os_of_durable, kept
        run.close()
    return recorder.ops


def check_states(num_saves: int, forget: Callable[[Op], bool] = lambda op: False) -> int:
    """Check every crash state of a history; return their number."""
    ops, disk, count = record(num_saves, forget), Disk(), 0
    promised = [0, 0]  # newest full checkpoint and best model that were reported as saved
    seen: set[int] = set()
    for place in range(len(ops) + 1):
        for state in disk.states():
            if (key := hash((tuple(sorted(state.items())), *promised))) in seen:
                continue
            seen.add(key)
            count += 1
            look(
                state,
                promised,
                f"after {place} of {len(ops)} operations: {ops[max(0, place - 1)][:2]}",
            )
        if place < len(ops):
            match ops[place]:
                case ("acknowledged", step, is_best):
                    promised[is_best] = step
                case op:
                    disk.do(op)
    return count


def look(state: dict[str, bytes], promised: list[int], where: str) -> None:
    """Recover from one crash state."""
    folder = Path("checkpoints", "crashed")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in state.items():
        (folder / name).write_bytes(content)
    try:
        step, best = recover(folder)
    except CharRNNError as error:
        step, best = -1, -1
        expect(False, f"{where}: {error}")
    expect(promised[0] <= step <= promised[0] + 1, f"{where}: step {step}, saved {promised[0]}")
    expect(promised[1] <= best <= promised[1] + 1, f"{where}: best {best}, saved {promised[1]}")


def check(num_saves: int, seed: int) -> tuple[int, str]:
    """Enumerate a history of so many saves."""
    with work_folder():
        count = check_states(num_saves)
    return count, f"all states of {num_saves} saves and models: the old or the new, never less"


if __name__ == "__main__":
    run_script("power cut: every crash state of the writer", 1, 3, check)
