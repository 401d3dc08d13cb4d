"""Train on rank 0: signals, log, display, result and exit code."""

import json
import os
import shlex
from contextlib import ExitStack, suppress
from dataclasses import asdict, fields
from typing import Any

from charrnn.checkpoints.log import METRICS
from charrnn.checkpoints.metadata import End
from charrnn.checkpoints.run_folder import CONFIG, Run
from charrnn.core.config import as_settings
from charrnn.core.console import Console
from charrnn.core.errors import ClosedPipeError, DivergedError
from charrnn.core.events import Event, Finished, Planned, Started, Step
from charrnn.core.files import write_durably
from charrnn.core.output import print_result
from charrnn.core.settings import to_toml
from charrnn.core.signals import Interrupts
from charrnn.launch.prepare import PreparedRun
from charrnn.launch.progress import TrainingProgress
from charrnn.launch.workers import RankZero, train_prepared
from charrnn.training.trainer import INTERRUPTED
from charrnn.viz.commands import NOTHING_LEFT, Trained, checkpoints_option, training_step

SCHEMA = 1
"""Version of the JSON that `train` prints."""

RESULT_KEYS = tuple(each.name for each in fields(End))
"""Keys of the result in the printed JSON, in this order, and in the last line of the log."""


class ShownRun:
    """Shows the events of a run, collects its result, and writes its resolved settings."""

    def __init__(self, run: Run, prepared: PreparedRun, console: Console) -> None:
        self.result: dict[str, Any] = {"step": 0, "epoch": 0.0, "stop_reason": "error"}
        self._run, self._corpus, self._config = run, prepared.corpus, prepared.config
        self._settings = as_settings(prepared.config)
        self._progress = TrainingProgress(console, self.next_command)

    def show(self, event: Event) -> None:
        """Show an event, and update result and settings."""
        self._progress.show(event)
        if isinstance(event, Step | Finished):
            values = {key: getattr(event, key) for key in RESULT_KEYS if hasattr(event, key)}
            self.result.update(values)
        if isinstance(event, Started | Planned):
            known = {k: v for k, v in asdict(event).items() if k in self._settings}
            self._settings.update(known)
            write_config(self._run, self._settings)

    def next_command(self, event: Finished) -> str:
        """Return the training command to try after the run; empty if no training would help."""
        kind = event.fit if event.val_loss is not None else "unknown"
        if event.stop_reason in INTERRUPTED or kind in ("", *NOTHING_LEFT):
            return ""
        val_file = self._config.val_file
        trained = Trained(
            sources=self._corpus.sources,
            val_source=str(val_file.absolute()) if val_file else None,
            settings=self._settings,
            checkpoints_option=checkpoints_option(self._run.folder),
            seconds=event.seconds,
        )
        return shlex.join(training_step(kind, trained)[1])


def launch(
    run: Run, prepared: PreparedRun, console: Console, rank_zero: RankZero, *, as_json: bool
) -> int:
    """Train, show the events, and print the result; return the exit code.

    The result is printed if anything was saved, also after an error. The last line of the log
    holds the exit code, because torchrun's own exit code is 1 after any error.
    """
    world = rank_zero.world
    shown = ShownRun(run, prepared, console)
    code, reason, result = 1, None, shown.result
    start = ExitStack()
    start.enter_context(console.waiting("counting n-grams"))

    def show(event: Event) -> None:
        start.close()
        shown.show(event)

    with Interrupts(None if world.is_single else world.all_reduce_max) as interrupts:
        try:
            rank_zero.send_run(prepared)
            with world.peer_errors():
                train_prepared(prepared, interrupts, world, run, show)
            code = interrupts.exit_code if result["stop_reason"] in INTERRUPTED else 0
        except Exception as error:
            code, reason = getattr(error, "exit_code", 1), str(error)
            result["stop_reason"] = "diverged" if isinstance(error, DivergedError) else "error"
            raise
        finally:
            start.close()
            console.close()
            run.log.append(METRICS, {"event": "ended", "code": code, "error": reason} | result)
            print_end(run, result, as_json=as_json)
        show_what_next(run, result, code, console)
        return world.broadcast(code)


def show_what_next(run: Run, result: dict[str, Any], code: int, console: Console) -> None:
    """Show the command that continues or samples; in a log also the outcome."""
    if result["stop_reason"] in INTERRUPTED and not run.is_empty:
        console.line(f"continue: {command_of(run, 'train', '--run', run.folder.name, '--resume')}")
    elif console.is_live and run.best.exists():
        console.line(f"try: {command_of(run, 'sample', run.folder.name)}")
    console.last(f"{run.folder.name}: {result['stop_reason']}", code)


def write_config(run: Run, settings: dict[str, Any]) -> None:
    """Write the resolved settings of a run; without `size`, which the network's sizes replace."""
    text = to_toml({name: value for name, value in settings.items() if name != "size"})
    with suppress(OSError):  # checkpoints contain the settings too
        write_durably(run.folder / CONFIG, text.encode("utf-8"))


def print_end(run: Run, result: dict[str, Any], *, as_json: bool) -> None:
    """Print the path of the best model, or the run as JSON, if anything was saved."""
    if not run.best.exists():
        return
    path = os.fspath(run.best)
    line = {"schema": SCHEMA, "run": run.folder.name, "best": path}
    line |= {key: result.get(key) for key in RESULT_KEYS}
    with suppress(ClosedPipeError):
        print_result(json.dumps(line, ensure_ascii=False) if as_json else path)


def command_of(run: Run, *words: str) -> str:
    """Return a command line for a run, quoted for a shell."""
    return shlex.join(["charrnn", *words, *checkpoints_option(run.folder)])
