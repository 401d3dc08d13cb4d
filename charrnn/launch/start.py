"""Start a new run or resume one, as `train` requests."""

import json
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from charrnn.checkpoints.names import (
    create_run,
    default_name,
    direction_of,
    find_model,
    known_runs,
    open_run,
    run_folder,
)
from charrnn.checkpoints.run_folder import BEST, SPOOLED, Run
from charrnn.checkpoints.state import Snapshot
from charrnn.core.config import LARGEST_WEIGHT, TrainConfig, as_settings
from charrnn.core.console import Console, time_text
from charrnn.core.errors import BusyError, CharRNNError, InputError, printable
from charrnn.core.files import split_number, sync_folder
from charrnn.core.output import print_result
from charrnn.core.settings import to_toml
from charrnn.core.stdin import spooled
from charrnn.launch.prepare import PreparedRun, SettingSources, plan_text, prepare
from charrnn.launch.resume import newest_snapshot, prepare_resumed
from charrnn.launch.session import launch, print_end
from charrnn.launch.workers import RankZero, follow_rank_zero
from charrnn.nn.device import default_threads, pick_device
from charrnn.nn.distributed import joined
from charrnn.training.threads import CpuTime, advised_threads, cpu_time, is_named, is_open


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRequest:
    """The arguments of `train`."""

    files: tuple[str, ...]
    given: SettingSources
    run: str | None
    resume: bool
    init_from: str | None
    checkpoints: Path
    dry_run: bool
    as_json: bool
    begin: CpuTime | None = None
    """CPU time when the command began."""

    @property
    def sources(self) -> list[Path]:
        """The files as paths; `-` is stdin."""
        return [Path(name) for name in self.files]

    @property
    def direction(self) -> str:
        """The direction that the settings name, or that of the model of --init-from."""
        named = self.given.all.get("direction")
        if named is None and self.init_from:
            with suppress(CharRNNError):  # loading it says what is wrong
                named = direction_of(find_model(self.checkpoints, self.init_from))
        return str(named or "forward")


def without_weights(files: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the names in FILE:WEIGHT arguments, and the setting that records the weights, if any.

    Weights with a common divisor are divided by it.

    Raises:
        InputError: A weight is no whole number.
    """
    pairs = [split_number(name) for name in files]
    if all(weight is None for _, weight in pairs):
        return tuple(files), {}
    weights = [1.0 if weight is None else weight for _, weight in pairs]
    for name, weight in zip(files, weights, strict=True):
        if weight not in range(1, LARGEST_WEIGHT + 1):
            raise InputError(
                f"{printable(name)}: the weight of a text is a whole number from 1 to "
                f"{LARGEST_WEIGHT}: how often a pass reads it"
            )
    numbers = list(map(int, weights))
    divided = [number // math.gcd(*numbers) for number in numbers]
    names = tuple(name for name, _ in pairs)
    return names, {"weights": ",".join(map(str, divided)) if max(divided) > 1 else ""}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a `train` command ended."""

    code: int
    """Exit code."""
    folder: Path | None = None
    """Folder of the run, if this process trained it and it contains a model."""


def start(request: TrainRequest, console: Console) -> Outcome:
    """Train as a single process, or as one of several ranks."""
    with joined() as world:
        if not world.is_rank_zero:
            return Outcome(follow_rank_zero(world))
        rank_zero, outcome = RankZero(world), Outcome(1)
        try:
            outcome = start_or_resume(request, console, rank_zero)
        except CharRNNError as error:
            outcome = Outcome(error.exit_code)
            raise
        finally:
            rank_zero.send_exit(outcome.code)
        return outcome


def start_or_resume(request: TrainRequest, console: Console, rank_zero: RankZero) -> Outcome:
    """Lock the run to resume, if it exists; train it or a new run."""
    if not request.files and not (request.resume and request.run):
        hint = "" if request.init_from else ", or a run to continue: --run NAME --resume"
        raise InputError(f"no FILE: name a text to learn{hint}")
    run = open_existing(request) if request.resume else None
    try:
        is_new = run is None or run.is_empty
        snapshot = None if run is None or is_new else load_newest(request, run, console)
        return train_run(request, run, snapshot, console, rank_zero)
    finally:
        if run is not None:
            run.close()


def open_existing(request: TrainRequest) -> Run | None:
    """Lock the folder of the run to resume; None if it does not exist."""
    check_no_run(request)
    folder = run_folder(request.checkpoints, request.run, request.sources, request.direction)
    return open_run(folder) if folder.is_dir() else None


def check_no_run(request: TrainRequest) -> None:
    """Check that the only FILE is not a run.

    Raises:
        InputError: It is one; the message names --run.
    """
    if len(request.files) == 1 and request.run is None:
        path = Path(request.files[0])
        folder = path if path.exists() else request.checkpoints / path
        if (folder / BEST).is_file():
            raise InputError(
                f"{printable(path)}: a run, not a text; to continue it: "
                f"charrnn train --run {printable(folder.name)} --resume"
            )


def load_newest(request: TrainRequest, run: Run, console: Console) -> Snapshot:
    """Load the newest intact checkpoint; warn about damaged ones and ignored options."""
    snapshot, problems = newest_snapshot(run)
    for problem in problems:
        console.warn(problem)
    if request.init_from:
        console.note(
            "--init-from only applies to a new run; this one continues from its own weights"
        )
    if request.run is None and (others := numbered(run.folder)):
        console.note(f"there are also {', '.join(others)}; to continue one of them, name it: --run")
    return snapshot


def train_run(
    request: TrainRequest,
    run: Run | None,
    snapshot: Snapshot | None,
    console: Console,
    rank_zero: RankZero,
) -> Outcome:
    """Train a new run, or resume a snapshot. A new folder is created after the text is read."""
    init_from = None if snapshot else initial_model(request)
    with spooled(request.files, request.checkpoints) as paths:
        with console.waiting("reading the text"):
            prepared = (
                prepare_resumed(paths, request.given, snapshot, rank_zero.world.size)
                if snapshot
                else prepare(paths, request.given, init_from, num_processes=rank_zero.world.size)
            )
        if prepared is None:
            assert run is not None
            assert snapshot is not None  # a new run always has steps to train
            return show_end(run, snapshot, console, as_json=request.as_json)
        show_plan(prepared, console)
        if console.is_live and rank_zero.world.is_single:
            advise_threads(prepared.config, request.begin, console)
        if request.dry_run:
            print_settings(prepared, as_json=request.as_json)
            return Outcome(0)
        run = run or make_run(request, console)
        try:
            prepared = keep_spooled(prepared, paths, request.sources, run.folder)
            code = launch(run, prepared, console, rank_zero, as_json=request.as_json)
            return Outcome(code, run.folder if run.best.exists() else None)
        finally:
            run.discard_if_empty()
            run.close()


def initial_model(request: TrainRequest) -> Path | None:
    """Return the checkpoint of --init-from; None for random weights.

    Raises:
        InputError: The model does not exist, or the request names no text.
    """
    if not request.files:
        raise InputError(
            f"--run: {printable(request.run)}: no such run; name a text to start it; "
            f"{known_runs(request.checkpoints)}"
        )
    if not request.init_from:
        return None
    use, texts = "charrnn train {texts} --init-from {model}", [str(file) for file in request.files]
    return find_model(request.checkpoints, request.init_from, use, texts)


def make_run(request: TrainRequest, console: Console) -> Run:
    """Create and lock the folder of a new run.

    Raises:
        BusyError: With --resume: another process trained it in the meantime.
    """
    if request.resume:
        run = open_run(
            run_folder(request.checkpoints, request.run, request.sources, request.direction)
        )
        if not run.is_empty:
            run.close()
            raise BusyError(
                f"{printable(run.folder)}: another process has just trained it; try again"
            )
        return run
    run = create_run(request.checkpoints, request.run, request.sources, request.direction)
    if request.run is None and run.folder.name != default_name(request.sources, request.direction):
        console.note(f"the name was taken; this run is {run.folder.name}")
    return run


def show_end(run: Run, snapshot: Snapshot, console: Console, *, as_json: bool) -> Outcome:
    """Print the result of a run that has already ended."""
    state = snapshot.state
    console.note(
        f"{printable(run.folder)}: has ended at step {state.progress.step:,}, after "
        f"{time_text(state.timing.seconds)}; to continue it, give a larger --steps, --epochs or "
        "--max-time, all counted from the start of the run"
    )
    print_end(run, asdict(snapshot.end) if snapshot.end else {}, as_json=as_json)
    return Outcome(0)


def numbered(folder: Path) -> list[str]:
    """Return the names of runs of the same text: the name with a number."""
    names = sorted(path.parent.name for path in folder.parent.glob(f"{folder.name}-*/{BEST}"))
    return [printable(n) for n in names if n.removeprefix(f"{folder.name}-").isdigit()]


def show_plan(prepared: PreparedRun, console: Console) -> None:
    """Show text, network, budget and notes."""
    console.line(plan_text(prepared.config, prepared.corpus))
    for note in prepared.notes:
        console.note(note)


def advise_threads(config: TrainConfig, begin: CpuTime | None, console: Console) -> None:
    """Advise fewer threads where other processes use the cores, and the run keeps its number."""
    if is_open(config) or is_named(config) or pick_device(config.device).type != "cpu":
        return
    threads = default_threads()
    advised = advised_threads(threads, begin, cpu_time())
    if advised < threads:
        console.note(
            f"other processes use the cores, and {threads} threads wait for one another: "
            f"--threads {advised} is probably faster now"
        )


def print_settings(prepared: PreparedRun, *, as_json: bool) -> None:
    """Print all settings and their sources, as TOML or JSON."""
    settings = as_settings(prepared.config)
    if as_json:
        origins = {name: prepared.origins[name] for name in settings}
        line = {"settings": settings, "origins": origins}
        print_result(json.dumps(line, default=str, ensure_ascii=False))
    else:
        print_result(to_toml(settings, prepared.origins).rstrip())


def keep_spooled(
    prepared: PreparedRun, paths: list[Path], sources: list[Path], folder: Path
) -> PreparedRun:
    """Move a text that was spooled from stdin into the run's folder, where a resume finds it."""
    corpus = prepared.corpus
    for path, source in zip(paths, sources, strict=True):
        if path != source:
            kept = path.replace(folder / SPOOLED)
            with suppress(OSError):
                sync_folder(folder)
            new = {str(path): str(kept), str(path.absolute()): str(kept.absolute())}
            files = tuple(new.get(name, name) for name in corpus.files)
            names = tuple(new.get(name, name) for name in corpus.sources)
            corpus = replace(corpus, files=files, sources=names)
    return replace(prepared, corpus=corpus)
