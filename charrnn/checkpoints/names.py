"""Names of runs: create a run, open a run, resolve a MODEL argument."""

import contextlib
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from charrnn.checkpoints.log import METRICS, SAMPLES
from charrnn.checkpoints.metadata import read_metadata
from charrnn.checkpoints.run_folder import BEST, CONFIG, LOCK, Run
from charrnn.core.config import DIRECTIONS
from charrnn.core.errors import BusyError, CheckpointError, InputError, printable, reason_of
from charrnn.core.files import expanded, sync_folder
from charrnn.data.file_kinds import head_of, kind_of, utf16_of
from charrnn.data.text_files import has_nul

MOST_TRIES = 100
"""Times that a folder is created again after another process has removed it."""

CHECKPOINT = ".safetensors"
"""Suffix of a checkpoint file."""

MOST_NAMED = 8
"""Runs that a message lists."""


def create_run(
    checkpoints: Path, name: str | None, files: list[Path], direction: str = "forward"
) -> Run:
    """Create the folder of a new run and lock it.

    The default name is that of the first file; if it is taken, the next free number is appended:
    shakespeare, shakespeare-2, ...

    Raises:
        InputError: The name is taken or not valid, or the folder cannot be created.
    """
    wanted = check_name(name) if name is not None else default_name(files, direction)
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
                    f"{printable(folder)}: taken; choose another --run, or continue it: --resume"
                ) from None
            number += 1
        except OSError as error:
            reason = reason_of(error)
            raise InputError(
                f"{printable(folder)}: {reason}; choose another --checkpoints folder"
            ) from None


def _lock_folder(folder: Path) -> Run:
    """Lock a run's folder, and make its directory entry durable."""
    run = Run(folder)
    for parent in (folder.parent, folder.parent.parent):
        with contextlib.suppress(OSError):  # no permission to open a parent folder
            sync_folder(parent)
    return run


def run_folder(
    checkpoints: Path, name: str | None, files: list[Path], direction: str = "forward"
) -> Path:
    """Return the folder of a run to resume: its name without a number appended."""
    wanted = check_name(name) if name is not None else default_name(files, direction)
    return checkpoints / wanted


def open_run(folder: Path) -> Run:
    """Lock the folder of a run to resume; create it if it does not exist.

    Raises:
        BusyError: Another process trains it.
        InputError: The folder cannot be created, or is no run.
    """
    for _ in range(MOST_TRIES):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            check_folder(folder)
            run = _lock_folder(folder)
        except FileNotFoundError:
            continue  # another process has just removed it
        except OSError as error:
            reason = reason_of(error)
            raise InputError(f"{printable(folder)}: {reason}; choose another --run") from None
        if run.still_exists:
            return run
        run.close()
    raise BusyError(
        f"{printable(folder)}: created and deleted repeatedly by another process; try again"
    )


def is_run_file(name: str) -> bool:
    """Return whether only a run has a file of this name."""
    return (
        name in (METRICS, SAMPLES, CONFIG) or re.fullmatch(r"step-.*|\..*\.tmp", name) is not None
    )


def check_folder(folder: Path) -> None:
    """Refuse a folder with foreign files.

    Raises:
        InputError: It has neither a lock nor a best model, and other files than a run's.
    """
    names = {path.name for path in folder.iterdir()}
    is_run = LOCK in names or BEST in names or all(map(is_run_file, names))
    if not is_run:
        raise InputError(f"{printable(folder)}: a folder, but not a run; choose another --run")


def check_name(name: str) -> str:
    """Return a run's name if a folder can have it.

    Raises:
        InputError: It is empty, hidden, a path, or not printable.
    """
    if (
        not name
        or name.startswith(".")
        or any(c in name for c in "/\\\0")
        or not name.isprintable()
    ):
        raise InputError(f"--run: {printable(name)!r} cannot be the name of a folder")
    return name


def default_name(files: list[Path], direction: str = "forward") -> str:
    """Return the stem of the first file; for input.txt and stdin, the name of its folder.

    The name of a run of another direction ends in it: shakespeare-backward.
    """
    first = files[0]
    if first.name in ("input.txt", "-"):
        first = first.parent
    first = first.resolve()
    kept = re.sub(r"[^\w.+-]+", "-", first.stem if first.is_file() else first.name)
    name = kept.strip(".-") or "run"
    return name if direction == "forward" else f"{name}-{direction}"


def find_model(
    checkpoints: Path,
    name: str | None,
    use: str = "charrnn sample {model}",
    texts: Sequence[str] = (),
    directions: Sequence[str] = DIRECTIONS,
    *,
    writes: bool = False,
) -> Path:
    """Return the checkpoint file of a MODEL argument.

    That is the best model of a run (by name or folder), or a file; without a name, the best model
    that was written last; to write text, the last one that reads forward, if there is one. A run
    comes before a file or folder of the same name, which may be the text that it was trained on.

    Args:
        checkpoints: Folder of all runs.
        name: The MODEL argument.
        use: The command that wants the model, for a message; {model} and {texts} are filled in.
        texts: The texts that the command names.
        directions: In which the model may read, for a message.
        writes: Whether the command writes text.

    Raises:
        InputError: There is no such model; the message lists those that exist.
        CheckpointError: It is a text.
    """
    if name is None:
        return _newest_best(checkpoints, writes=writes)
    if not name:
        raise InputError("the name of the model is empty; name a run or a checkpoint file")
    without_best, name = None, expanded(name)
    for path in (checkpoints / name, Path(name)):
        with contextlib.suppress(OSError, ValueError):  # a name too long, or with a NUL
            if (path / BEST).exists():
                return path / BEST
            if path.is_dir():
                without_best = path
            elif path.exists():
                head = head_of(path)
                is_other = not head or head.startswith(b"\x80") or kind_of(head) is not None
                if not is_other and is_text(checkpoints, name):  # reading it names the others
                    raise text_for_model(checkpoints, path, use, texts, directions)
                return path
    if without_best is not None:
        raise InputError(
            f"{printable(without_best)}: has no {BEST}; name a run, or train one first"
        )
    raise InputError(f"{printable(name)}: no such run or file; {known_runs(checkpoints)}")


def text_for_model(
    checkpoints: Path, path: Path, use: str, texts: Sequence[str], directions: Sequence[str]
) -> CheckpointError:
    """Return the error of a text that is named where a model is wanted; arguments as `find_model`."""
    models = [text for text in texts if is_model(checkpoints, text)]
    names = (default_name([path], direction) for direction in directions)
    runs = [name for name in names if (checkpoints / name / BEST).exists()]
    if models:
        others = [str(path) if text in models else text for text in texts]
        advice = "swap it with the model: " + filled(use, models[0], others)
    elif runs:
        advice = f"its run is {runs[0]}: " + filled(use, runs[0], texts)
    else:
        option = "" if "forward" in directions else f" --direction {directions[0]}"
        advice = "train on it first: " + filled("charrnn train {texts}" + option, "", [str(path)])
    return CheckpointError(f"{printable(path)}: is a text, not a model; {printable(advice)}")


def filled(use: str, model: str, texts: Sequence[str]) -> str:
    """Return a command with the names of a model and of texts."""
    return use.format(model=shlex.quote(model), texts=shlex.join(texts))


def is_model(checkpoints: Path, name: str) -> bool:
    """Return whether a name is a run that has a model, or a checkpoint file."""
    with contextlib.suppress(OSError, ValueError):  # a name too long, or with a NUL
        is_run = any((path / BEST).exists() for path in (checkpoints / name, Path(name)))
        return is_run or (Path(name).suffix == CHECKPOINT and Path(name).is_file())
    return False


def newest_note(path: Path) -> str:
    """Return the note that names the model that is used if none is named."""
    is_newest = best_models(path.parent.parent)[-1:] == [path]
    which = "newest" if is_newest else f"newest {direction_of(path)} model"
    return f"no model is named; the {which} is used: {path.parent.name}"


def find_folder(checkpoints: Path, name: str, file: str) -> Path | None:
    """Return the folder of a run, by name or path, if it contains `file`; else None."""
    for folder in (checkpoints / name, Path(name)):
        with contextlib.suppress(OSError, ValueError):  # a name too long, or with a NUL
            if (folder / file).is_file():
                return folder
    return None


def is_text(checkpoints: Path, name: str, *, has_any_bytes: bool = False) -> bool:
    """Return whether a name is a text file or a folder of texts, not a model or run.

    Args:
        checkpoints: Folder of all runs, which is not a text itself.
        name: A path, or a run's name.
        has_any_bytes: Whether a file with NUL bytes may be a text (--bytes).
    """
    with contextlib.suppress(OSError, ValueError):  # a name too long, or with a NUL
        path = Path(name)
        is_named = "/" not in name and (checkpoints / name / BEST).exists()
        if is_named or (path / BEST).exists():
            return False
        if path.is_dir():
            return not (path / LOCK).exists() and path.resolve() != checkpoints.resolve()
        is_other = path.is_file() and path.suffix != CHECKPOINT
        return is_other and (has_any_bytes or not is_like_model(path))
    return False


def is_like_model(path: Path) -> bool:
    """Return whether a file begins as a checkpoint or a pickle does, or as neither text nor model.

    A document, an archive or a picture is no model; reading it as a text names it.
    """
    head = head_of(path)
    if kind_of(head) or utf16_of(head):
        return b"data.pkl" in head  # in a zip file: a PyTorch pickle
    return has_nul(path)


def known_runs(checkpoints: Path) -> str:
    """Return the names of the newest runs for a message."""
    names = [printable(path.parent.name) for path in reversed(best_models(checkpoints))]
    if not names:
        return f"no run in {printable(checkpoints)} yet"
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"there are: {', '.join(names[:MOST_NAMED])}{more}"


def best_models(checkpoints: Path) -> list[Path]:
    """Return the best models of all runs, the newest last."""
    try:
        found = [path for path in checkpoints.glob(f"*/{BEST}") if path.is_file()]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)
    except OSError as error:
        raise InputError(f"--checkpoints: {printable(checkpoints)}: {reason_of(error)}") from None


def direction_of(path: Path) -> str:
    """Return the direction of a checkpoint; a damaged one counts as forward."""
    try:
        return read_metadata(path).direction
    except (CheckpointError, InputError):
        return "forward"  # the command that loads it says what is wrong


def _newest_best(checkpoints: Path, *, writes: bool) -> Path:
    """Return the newest best model; to write text, the newest of the first direction that is there."""
    found = best_models(checkpoints)
    for direction in DIRECTIONS if writes else ():
        for path in reversed(found):
            if direction_of(path) == direction:
                return path
    if found:
        return found[-1]
    raise InputError(
        f"no model in {printable(checkpoints)} yet; train one first: charrnn train FILE"
    )
