"""Names of runs: create, open, and resolve a MODEL argument."""

import contextlib
import re
from pathlib import Path

from charrnn.checkpoints.log import METRICS, SAMPLES
from charrnn.checkpoints.run_folder import BEST, CONFIG, LOCK, Run
from charrnn.core.errors import BusyError, InputError, printable, reason_of
from charrnn.core.files import sync_folder
from charrnn.data.text_files import has_nul

MOST_TRIES = 100
"""Times that a folder is made again which another process takes away."""

CHECKPOINT = ".safetensors"
"""How the name of a checkpoint ends."""

MOST_NAMED = 8
"""Runs that a message names."""


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
            return _lock_folder(folder)
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


def _lock_folder(folder: Path) -> Run:
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
    for _ in range(MOST_TRIES):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            check_folder(folder)
            run = _lock_folder(folder)
        except FileNotFoundError:
            continue  # whoever had it has just taken it away
        except OSError as error:
            reason = reason_of(error)
            raise InputError(f"{printable(folder)}: {reason}; choose another --run") from None
        if run.still_exists:
            return run
        run.close()
    raise BusyError(f"{printable(folder)}: comes and goes; try again")


def is_run_file(name: str) -> bool:
    """Say whether a file's name is one that only a run has."""
    return (
        name in (METRICS, SAMPLES, CONFIG) or re.fullmatch(r"step-.*|\..*\.tmp", name) is not None
    )


def check_folder(folder: Path) -> None:
    """Refuse a folder with things in it that is no run's.

    Raises:
        InputError: It has neither lock nor checkpoint.
    """
    names = {path.name for path in folder.iterdir()}
    is_run = LOCK in names or BEST in names or all(map(is_run_file, names))
    if not is_run:
        raise InputError(f"{printable(folder)}: a folder, but no run; choose another --run")


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
    raise InputError(f"{printable(name)}: no such run or file; {known_runs(checkpoints)}")


def find_folder(checkpoints: Path, name: str, file: str) -> Path | None:
    """Return the folder of a run, by its name or path, if there is a certain file in it."""
    for folder in (checkpoints / name, Path(name)):
        with contextlib.suppress(OSError, ValueError):  # a name too long, or with a NUL
            if (folder / file).is_file():
                return folder
    return None


def is_text(checkpoints: Path, name: str, *, has_any_bytes: bool = False) -> bool:
    """Say whether a name means a text or a folder of texts, and no model or run.

    Args:
        checkpoints: Folder of all runs, which is no text itself.
        name: A path, or a run's name.
        has_any_bytes: A file with NULs may be meant as a text.
    """
    with contextlib.suppress(OSError, ValueError):  # a name too long, or with a NUL
        path = Path(name)
        is_named = "/" not in name and (checkpoints / name / BEST).exists()
        if is_named or (path / BEST).exists():
            return False
        if path.is_dir():
            return not (path / LOCK).exists() and path.resolve() != checkpoints.resolve()
        return path.is_file() and path.suffix != CHECKPOINT and (has_any_bytes or not has_nul(path))
    return False


def known_runs(checkpoints: Path) -> str:
    """Return the names of the newest runs, for a message."""
    names = [printable(path.parent.name) for path in reversed(_all_best(checkpoints))]
    if not names:
        return f"no run in {printable(checkpoints)} yet"
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"there are: {', '.join(names[:MOST_NAMED])}{more}"


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
