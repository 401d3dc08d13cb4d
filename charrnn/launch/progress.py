"""Show the events of training: a bar and a table on a terminal, plain lines in a log."""

import math
import os
import time
from contextlib import suppress
from typing import Any, TextIO

from charrnn.core.console import (
    LINE_SECONDS,
    Console,
    count_text,
    figures_text,
    loss_text,
    speed_text,
    time_text,
)
from charrnn.core.errors import printable
from charrnn.core.events import (
    Evaluated,
    Event,
    Finished,
    Planned,
    RolledBack,
    Sampled,
    Saved,
    SaveFailed,
    Started,
    Step,
)

LEAST_BAR = 18
"""Columns of percentage and bar, beside the text."""

USUAL_WIDTH = 80


class TrainingProgress:
    """Shows the events of training on a console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._validation: Evaluated | None = None
        self._has_plan = False
        self._last_line = -math.inf

    def show(self, event: Event) -> None:
        """Show an event."""
        match event:
            case Started():
                self._console.line(started_text(event))
            case Planned():
                self._plan(event)
            case Step():
                self._step(event)
            case Evaluated() if not event.is_final:
                self._validation = event
            case Sampled() if self._console.is_live:
                self._preview(event)
            case Saved() if self._console.verbosity > 0:
                self._console.line(f"saved {printable(event.path)}")
            case SaveFailed():
                self._console.warn(save_failed_text(event))
            case RolledBack():
                self._console.warn(rolled_back_text(event))
            case Finished():
                self._finish(event)
            case _:
                pass

    def _plan(self, event: Planned) -> None:
        console = self._console
        if console.stream is None:
            return
        if console.bar is not None:
            console.bar.total = event.total_steps
        elif console.is_live:
            console.bar = make_bar(event, console.stream)
        if console.verbosity > 0 or (not console.is_live and not self._has_plan):
            steps, time = count_text(event.total_steps, "step"), time_text(event.seconds)
            console.line(f"plan at step {event.step}: {steps}, about {time}")
        self._has_plan = True

    def _step(self, event: Step) -> None:
        bar = self._console.bar
        if bar is not None:
            width = terminal_width(self._console.stream)
            bar.set_description_str(bar_text(event, self._validation, width), refresh=False)
            bar.n = event.step
            bar.refresh()  # events are already some tenths of a second apart
            return
        now = time.monotonic()
        is_timed = event.chars_per_second is not None
        if not self._console.is_live and is_timed and now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            self._console.line(step_text(event, self._validation))

    def _preview(self, event: Sampled) -> None:
        val = validation_text(self._validation, "with n-gram memory").removeprefix("val ")
        title = f"--- step {event.step}, validation loss {val} "
        self._console.line(f"{title:-<72}\n{event.text}\n{'-' * 72}")

    def _finish(self, event: Finished) -> None:
        self._console.close()
        rows = finished_rows(event)
        if not self._console.is_live:
            self._console.line("; ".join(f"{name} {value}" for name, value in rows))
            return
        from rich.console import Console as RichConsole
        from rich.table import Table

        table = Table(show_header=False)
        for name, value in rows:
            table.add_row(name, value)
        with suppress(OSError):
            RichConsole(file=self._console.stream, highlight=False, markup=False).print(table)


def make_bar(event: Planned, stream: TextIO) -> Any:
    """Return a progress bar for a plan."""
    from tqdm import tqdm

    return tqdm(
        total=event.total_steps,
        initial=event.step,
        file=stream,
        ascii=not (stream.encoding or "").lower().startswith("utf"),
        bar_format="{percentage:3.0f}%|{bar}| {desc}",
        leave=False,
        dynamic_ncols=True,
    )


def save_failed_text(event: SaveFailed) -> str:
    """Return the warning about a failed save."""
    return (
        f"{event.path}: not saved at step {event.step}: {event.reason}; training continues "
        f"and tries again; the newest good checkpoint is {event.newest or 'none'}"
    )


def rolled_back_text(event: RolledBack) -> str:
    """Return the warning about a divergence."""
    return (
        f"diverged at step {event.step}; continues from step {event.good_step} "
        f"with half the learning rate, {event.lr:g}"
    )


def started_text(event: Started) -> str:
    """Return one line about network and machine."""
    threads = f", {count_text(event.threads, 'thread')}" if event.device == "cpu" else ""
    if event.processes > 1:
        threads += f", {event.processes} processes"
    steps = count_text(event.steps_per_epoch, "step")
    return (
        f"{event.num_parameters:,} parameters, {steps} an epoch, "
        f"on {event.device} in {event.precision}{threads}"
    )


def validation_text(event: Evaluated | None, with_memory: str) -> str:
    """Return the validation loss of the network alone, and after it that with the n-gram memory."""
    if event is None:
        return f"val {loss_text(None)}"
    text = f"val {loss_text(event.network_loss)}"
    has_memory = event.loss != event.network_loss
    return text + (f" {with_memory} {loss_text(event.loss)}" if has_memory else "")


def bar_text(event: Step, validation: Evaluated | None, width: int) -> str:
    """Return the text on the progress bar; on a narrow terminal the passes are left out."""
    parts = [
        f"epoch {event.epoch:.2f}",
        f"loss {loss_text(event.loss)}",
        validation_text(validation, "with memory"),
        speed_text(event.chars_per_second),
        f"{time_text(event.seconds_left)} left",
    ]
    text = ", ".join(parts)
    return text if len(text) + LEAST_BAR <= width else ", ".join(parts[1:])


def terminal_width(stream: TextIO | None) -> int:
    """Return the number of columns of a terminal; 80 if it is unknown."""
    try:
        return (stream and os.get_terminal_size(stream.fileno()).columns) or USUAL_WIDTH
    except (OSError, ValueError):
        return USUAL_WIDTH


def step_text(event: Step, validation: Evaluated | None) -> str:
    """Return one line of progress for a log."""
    total = f"/{event.total_steps}" if event.seconds_left is not None else ""
    text = (
        f"step {event.step}{total} epoch {event.epoch:.2f} loss {loss_text(event.loss)} "
        f"{validation_text(validation, 'with n-gram memory')} "
        f"{speed_text(event.chars_per_second)} "
        f"left {time_text(event.seconds_left)}"
    )
    return text + (f" skipped {event.skipped}" if event.skipped else "")


def finished_rows(event: Finished) -> list[tuple[str, str]]:
    """Return the summary of a run as pairs of name and value."""
    reasons = {
        "finished": "finished",
        "early_stop": "stopped early: no improvement",
        "max_time": "time is up",
        "signal": "stopped by a signal",
        "requeue": "stopped by a signal, to be restarted",
    }
    rows = [
        ("result", reasons.get(event.stop_reason, event.stop_reason)),
        ("steps", f"{event.step:,} ({event.epoch:.2f} epochs)"),
        ("time", f"{time_text(event.seconds)}, {speed_text(event.chars_per_second)}"),
    ]
    if event.train_loss is not None:
        rows.append(("training loss", f"{loss_text(event.train_loss)} nats per {event.unit}"))
    for each in event.scores:
        rows.append((f"validation loss, {each.protocol}", figures_text(each, event.unit)))
    if event.val_loss is not None and not event.scores:
        rows.append(("validation loss", f"{event.val_loss:.4f} nats per {event.unit}"))
    rows += [("signature", each.signature) for each in event.scores]
    if event.advice:
        rows.append(("advice", event.advice))
    return rows
