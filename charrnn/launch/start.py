"""The `train` request: start a new run or resume one."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from charrnn.checkpoints.names import (
    create_run,
    default_name,
    find_model,
    known_runs,
    open_run,
    run_folder,
)
from charrnn.checkpoints.run_folder import BEST, SPOOLED, Run
from charrnn.checkpoints.state import Snapshot
from charrnn.core.config import BUDGETS, as_settings
from charrnn.core.console import Console, time_text
from charrnn.core.errors import BusyError, CharRNNError, InputError, printable
from charrnn.core.files import sync_folder
from charrnn.core.output import print_result
from charrnn.core.settings import to_toml
from charrnn.data.stdin import spooled
from charrnn.launch.prepare import PreparedRun, SettingSources, plan_text, prepare
from charrnn.launch.resume import check_settings, newest_snapshot, prepare_resumed, resumed_config
from charrnn.launch.session import launch, print_end
from charrnn.launch.workers import RankZero, follow_rank_zero
from charrnn.nn.distributed import joined


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRequest:
    """A command line of `train`."""

    files: tuple[str, ...]
    given: SettingSources
    run: str | None
    resume: bool
    init_from: str | None
    checkpoints: Path
    dry_run: bool
    as_json: bool
    report: Callable[[Path], object] | None = None
    """Called with the run's folder at its end, if there is a model."""

    @property
    def sources(self) -> list[Path]:
        """The files as paths; - is stdin."""
        return [Path(name) for name in self.files]


def start(request: TrainRequest, console: Console) -> int:
    """Train, alone or as one of several processes, and return the exit code."""
    with joined() as world:
        if not world.is_rank_zero:
            return follow_rank_zero(world)
        rank_zero, code = RankZero(world), 1
        try:
            code = begin_or_go_on(request, console, rank_zero)
        except CharRNNError as error:
            code = error.exit_code
            raise
        finally:
            rank_zero.send_exit(code)
        return code


def begin_or_go_on(request: TrainRequest, console: Console, rank_zero: RankZero) -> int:
    """Start a run, or go on with one, and return the exit code."""
    if not request.files and not (request.resume and request.run):
        hint = "" if request.init_from else ", or a run to go on with: --run NAME --resume"
        raise InputError(f"no FILE: name a text to learn{hint}")
    if request.resume:
        check_no_run(request)
        folder = run_folder(request.checkpoints, request.run, request.sources)
        if folder.is_dir():
            return go_on(request, folder, console, rank_zero)
    return begin(request, console, rank_zero)


def check_no_run(request: TrainRequest) -> None:
    """Tell somebody who names a run where a text is wanted.

    Raises:
        InputError: The only FILE is a run.
    """
    if len(request.files) == 1 and request.run is None:
        path = Path(request.files[0])
        folder = path if path.exists() else request.checkpoints / path
        if (folder / BEST).is_file():
            raise InputError(
                f"{printable(path)}: a run, no text; to go on with it: "
                f"charrnn train --run {printable(folder.name)} --resume"
            )


def begin(request: TrainRequest, console: Console, rank_zero: RankZero) -> int:
    """Start a new run."""
    if not request.files:
        raise InputError(
            f"--run: {printable(request.run)}: no such run; name a text to start it; "
            f"{known_runs(request.checkpoints)}"
        )
    init_from = find_model(request.checkpoints, request.init_from) if request.init_from else None
    with spooled(request.files, request.checkpoints) as paths:
        prepared = prepare(paths, request.given, init_from, num_processes=rank_zero.world.size)
        show_plan(prepared, console)
        if request.dry_run:
            print_settings(prepared, as_json=request.as_json)
            return 0
        run = make_run(request, console)
        try:
            prepared = keep_spooled(prepared, paths, request.sources, run.folder)
            code = launch(run, prepared, console, rank_zero, as_json=request.as_json)
            make_report(request, run, code, console)
            return code
        finally:
            run.discard_if_empty()
            run.close()


def make_run(request: TrainRequest, console: Console) -> Run:
    """Make the folder of a new run."""
    if not request.resume:
        run = create_run(request.checkpoints, request.run, request.sources)
        if request.run is None and run.folder.name != default_name(request.sources):
            console.note(f"the name was taken; this run is {run.folder.name}")
        return run
    run = open_run(run_folder(request.checkpoints, request.run, request.sources))
    if not run.is_empty:
        run.close()
        raise BusyError(f"{printable(run.folder)}: another process has just trained it; try again")
    return run


def go_on(request: TrainRequest, folder: Path, console: Console, rank_zero: RankZero) -> int:
    """Go on with a run, or say that it has ended; start it if it never saved anything."""
    run = open_run(folder)
    try:
        if run.is_empty:
            run.close()
            return begin(request, console, rank_zero)
        snapshot, problems = newest_snapshot(run)
        for problem in problems:
            console.warn(problem)
        if request.init_from:
            console.note("--init-from is only for the start; the run goes on from its own weights")
        if request.run is None and (others := numbered(folder)):
            console.note(f"there are also {', '.join(others)}; to go on with one, name it: --run")
        if not request.files and has_ended(snapshot, request.given):
            check_settings(snapshot, resumed_config(snapshot, request.given.all))
            return show_end(run, snapshot, console, as_json=request.as_json)
        return continue_run(request, run, snapshot, console, rank_zero)
    finally:
        run.close()


def continue_run(
    request: TrainRequest, run: Run, snapshot: Snapshot, console: Console, rank_zero: RankZero
) -> int:
    """Go on from a snapshot, if text and settings are those that it was trained with."""
    with spooled(request.files, request.checkpoints) as paths:
        prepared = prepare_resumed(paths, request.given, snapshot, rank_zero.world.size)
        if prepared.nothing_to_do:
            return show_end(run, snapshot, console, as_json=request.as_json)
        show_plan(prepared, console)
        console.note(resume_text(snapshot, prepared))
        if request.dry_run:
            print_settings(prepared, as_json=request.as_json)
            return 0
        if request.files:
            prepared = keep_spooled(prepared, paths, request.sources, run.folder)
        code = launch(run, prepared, console, rank_zero, as_json=request.as_json)
        make_report(request, run, code, console)
        return code


def make_report(request: TrainRequest, run: Run, code: int, console: Console) -> None:
    """Make a page about a run, if that is wanted; one that cannot be made changes no result.

    A run that a signal has stopped is not kept waiting for it.
    """
    if request.report is None or code != 0 or not run.best.exists():
        return
    try:
        console.line(f"report: {printable(request.report(run.folder))}")
    except (CharRNNError, OSError) as error:
        console.warn(f"no report: {error}")


def has_ended(snapshot: Snapshot, given: SettingSources) -> bool:
    """Say whether a run has ended and nobody wants more of it; its text is not needed then."""
    return snapshot.end is not None and not {*BUDGETS, "patience"} & given.all.keys()


def show_end(run: Run, snapshot: Snapshot, console: Console, *, as_json: bool) -> int:
    """Say how a run has ended, and print its result."""
    state = snapshot.state
    console.note(
        f"{printable(run.folder)}: has ended at step {state.progress.step:,}, after "
        f"{time_text(state.timing.seconds)}; with a larger --steps, --epochs or --max-time, "
        "all counted from its beginning, it goes on"
    )
    print_end(run, asdict(snapshot.end) if snapshot.end else {}, as_json=as_json)
    return 0


def resume_text(snapshot: Snapshot, prepared: PreparedRun) -> str:
    """Return the line about where a run goes on."""
    state = snapshot.state
    text = (
        f"goes on from {printable(snapshot.path)}, "
        f"step {state.progress.step:,}, after {time_text(state.timing.seconds)}"
    )
    config = prepared.config
    if snapshot.is_over and config.budget() != snapshot.config.budget():
        text += "; its plan had ended, so the learning rate begins again at half its peak"
    if (config.device, config.threads) != (snapshot.config.device, snapshot.threads):
        text += "; with another device or number of threads the last bits may differ"
    return text


def numbered(folder: Path) -> list[str]:
    """Return the runs that were given a number because a name was taken."""
    names = sorted(path.parent.name for path in folder.parent.glob(f"{folder.name}-*/{BEST}"))
    return [printable(n) for n in names if n.removeprefix(f"{folder.name}-").isdigit()]


def show_plan(prepared: PreparedRun, console: Console) -> None:
    """Say what will be learned, by what, for how long."""
    console.line(plan_text(prepared.config, prepared.corpus))
    for note in prepared.notes:
        console.note(note)


def print_settings(prepared: PreparedRun, *, as_json: bool) -> None:
    """Print every setting and where it came from."""
    settings = as_settings(prepared.config)
    if as_json:
        line = {"settings": settings, "origins": prepared.origins}
        print_result(json.dumps(line, default=str, ensure_ascii=False))
    else:
        print_result(to_toml(settings, prepared.origins).rstrip())


def keep_spooled(
    prepared: PreparedRun, paths: list[Path], sources: list[Path], folder: Path
) -> PreparedRun:
    """Move what came from stdin into the run, so that it can be read again."""
    for path, source in zip(paths, sources, strict=True):
        if path != source:
            kept = path.replace(folder / SPOOLED)
            with suppress(OSError):
                sync_folder(folder)
            old, new = str(path), str(kept)
            files = tuple(new if name == old else name for name in prepared.corpus.files)
            old, new = str(path.absolute()), str(kept.absolute())
            names = tuple(new if name == old else name for name in prepared.corpus.sources)
            return replace(prepared, corpus=replace(prepared.corpus, files=files, sources=names))
    return prepared
