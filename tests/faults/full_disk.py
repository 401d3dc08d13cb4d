"""A full disk: a tmpfs of every size, or without root a limit on the size of a file."""

import os
import resource
import subprocess
from pathlib import Path

from harness import expect, forked, run_script, wait, work_folder
from history import Template, make_template, recover, saves

from charrnn.checkpoints.names import create_run, open_run
from charrnn.core.events import Saved

PAGE = 4096


def can_mount(folder: Path) -> bool:
    """True if this process may mount a file system."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "charrnn", str(folder)],
        capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        subprocess.run(["umount", str(folder)], check=True)
    return done.returncode == 0


def save_until_full(template: Template, folder: Path, size: int) -> None:
    """Save into a file system of this size; all reported saves must be there."""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "charrnn", str(folder)], check=True
    )
    try:
        hold_promises(template, folder / "checkpoints", size)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def hold_promises(template: Template, checkpoints: Path, size: int) -> None:
    """Save a history, and compare the reported saves with the files."""
    promised = [0, 0]
    run = create_run(checkpoints, "run", [])
    for event in saves(run, template, range(1, 5)):
        if isinstance(event, Saved):
            promised[event.is_best] = event.step
    left = [path.name for path in run.folder.glob(".*.tmp")]
    run.close()
    expect(not left, f"{size} bytes: left {left}")
    if promised[0] == 0:
        return
    step, best = recover(run.folder)
    expect(step >= promised[0], f"{size} bytes: step {step}, saved {promised[0]}")
    expect(best >= promised[1], f"{size} bytes: best {best}, saved {promised[1]}")
    open_run(run.folder).close()


def save_under_limit(template: Template, size: int) -> int:
    """Save in a child process whose files are limited to this size."""

    def action() -> int:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        hold_promises(template, Path(f"limit-{size}"), size)
        return 0

    return wait(forked(action))


def check(count: int, seed: int) -> tuple[int, str]:
    """Try `count` sizes up to twice what a run needs, in steps of 4 KiB where there are many."""
    with work_folder() as folder:
        template = make_template(hidden_size=24)
        needed = measure(template)
        sizes = list(range(PAGE, 2 * needed, PAGE))
        if count < len(sizes):
            sizes = [needed // 3, 2 * needed // 3][:count]
        mounted = folder / "disk"
        mounted.mkdir()
        is_root = can_mount(mounted)
        for size in sizes:
            if is_root:
                save_until_full(template, mounted, size)
            expect(save_under_limit(template, size // 4) == 0, f"limit {size // 4}: not recovered")
    kind = "tmpfs and file-size limit" if is_root else "file-size limit (no right to mount)"
    return len(sizes), f"{kind} of every size: always the old or the new file"


def measure(template: Template) -> int:
    """Return the bytes of a run with all its files."""
    run = create_run(Path("measure"), "run", [])
    list(saves(run, template, range(1, 5)))
    run.close()
    return sum(os.path.getsize(path) for path in run.folder.iterdir())


if __name__ == "__main__":
    run_script("full disk", 2, 10_000, check)
