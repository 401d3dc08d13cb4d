"""A run from its first event to its result: shown, logged, stopped by signals, summed up."""

import json
import os
import shlex
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from charrnn.config import as_settings
from charrnn.configfile import to_toml
from charrnn.console import Console
from charrnn.durable import write_durably
from charrnn.errors import ClosedPipeError, DivergedError
from charrnn.events import Event, Finished, Planned, Started, Step
from charrnn.preparing import Prepared
from charrnn.runs import CONFIG, METRICS, Run
from charrnn.signals import Interrupts
from charrnn.standing import CUT
from charrnn.training import train
from charrnn.writing import print_result

SCHEMA = 1
"""Version of the JSON that commands print."""

RESULT_KEYS = (
    "step", "epoch", "val_loss", "bits_per_char", "chars_per_second", "seconds", "stop_reason",
)  # fmt: skip


def launch(run: Run, prepared: Prepared, console: Console, *, as_json: bool) -> int:
    """Train, show what happens, and print the result; return the exit code.

    The result is printed whenever something was saved, also after an error.
    """
    settings = as_settings(prepared.config)
    result: dict[str, Any] = {"step": 0, "epoch": 0.0, "stop_reason": "error"}
    with Interrupts() as interrupts:
        try:
            for event in train(
                prepared.config,
                prepared.corpus,
                run,
                resume=prepared.resume,
                init=prepared.init,
                should_stop=interrupts,
            ):
                console.show(event)
                result |= result_of(event)
                if isinstance(event, Started | Planned):
                    settings |= {name: v for name, v in asdict(event).items() if name in settings}
                    write_config(run, settings)
        except Exception as error:
            result["stop_reason"] = "diverged" if isinstance(error, DivergedError) else "error"
            run.append(METRICS, {"event": "failed", "error": str(error)} | result)
            raise
        finally:
            console.close()
            print_end(run, result, as_json=as_json)
    is_cut = result["stop_reason"] in CUT
    if is_cut and not run.is_empty:
        console.line(f"go on: {command_of(run, 'train', '--run', run.folder.name, '--resume')}")
    elif console.is_live and run.best.exists():
        console.line(f"try: {command_of(run, 'sample', run.folder.name)}")
    return interrupts.exit_code if is_cut else 0


def result_of(event: Event) -> dict[str, Any]:
    """Return what an event says about the run's result so far."""
    if not isinstance(event, Step | Finished):
        return {}
    return {key: getattr(event, key) for key in RESULT_KEYS if hasattr(event, key)}


def write_config(run: Run, settings: dict[str, Any]) -> None:
    """Write the run's settings as resolved; without size, since the sizes stand there."""
    text = to_toml({name: value for name, value in settings.items() if name != "size"})
    with suppress(OSError):  # the checkpoints hold the settings too
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
    """Return a command line about a run, as a shell takes it."""
    folder = run.folder.parent
    where = [] if folder == Path("checkpoints") else ["--checkpoints", str(folder)]
    return shlex.join(["charrnn", *words, *where])
