"""Show the events of training: a bar and a table on a terminal, plain lines in a log."""

import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

from charrnn.core.console import (
    LINE_SECONDS,
    Console,
    count_text,
    time_text,
)
from charrnn.core.errors import printable
from charrnn.core.events import (
    PSEUDO,
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
    ThreadsChanged,
)
from charrnn.launch.event_texts import (
    bar_text,
    detail_rows,
    finished_rows,
    last_evaluation_text,
    rolled_back_text,
    save_failed_text,
    started_text,
    step_text,
    threads_text,
    validation_text,
)

USUAL_WIDTH = 80

LONG_WAIT = 1.0
"""Seconds; a longer last evaluation has a line in a log."""


class TrainingProgress:
    """Shows the events of training on a console.

    Args:
        console: The console.
        next_command: Returns the command to try after a run; may be empty.
    """

    def __init__(
        self, console: Console, next_command: Callable[[Finished], str] = lambda _: ""
    ) -> None:
        self._console, self._next_command = console, next_command
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
            case ThreadsChanged() if self._console.verbosity > 0:
                self._console.line(threads_text(event))
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
            if event.step >= event.total_steps:
                bar.set_description_str(last_evaluation_text(event), refresh=False)
            bar.refresh()  # events are already some tenths of a second apart
            return
        if self._console.is_live:
            return
        now = time.monotonic()
        is_timed = event.chars_per_second is not None
        if is_timed and now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            self._console.line(step_text(event, self._validation))
        if event.step >= event.total_steps and (event.seconds_left or 0.0) > LONG_WAIT:
            self._console.line(last_evaluation_text(event))

    def _preview(self, event: Sampled) -> None:
        val = validation_text(self._validation, "with n-gram memory").removeprefix("val ")
        title = f"--- step {event.step}, validation loss {val} "
        self._console.line(f"{title:-<72}\n{event.text}\n{'-' * 72}")

    def _finish(self, event: Finished) -> None:
        self._console.close()
        seen = self._validation
        is_pseudo = seen is not None and seen.protocol == PSEUDO
        rows, command = finished_rows(event, is_pseudo=is_pseudo), self._next_command(event)
        if self._console.verbosity > 0:
            rows += detail_rows(event)
        if self._console.is_live:
            self._table(rows)
        else:
            for name, value in rows:
                self._console.line(f"{name}: {value}")
        if command:  # outside the table, which would break it into lines
            self._console.line(f"try next: {command}")

    def _table(self, rows: list[tuple[str, str]]) -> None:
        """Show rows as a table on a terminal."""
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


def terminal_width(stream: TextIO | None) -> int:
    """Return the number of columns of a terminal; 80 if it is unknown."""
    try:
        return (stream and os.get_terminal_size(stream.fileno()).columns) or USUAL_WIDTH
    except (OSError, ValueError):
        return USUAL_WIDTH
