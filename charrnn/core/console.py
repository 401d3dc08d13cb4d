"""Messages and progress on stderr; number formats."""

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from charrnn.core.errors import escape_controls, printable
from charrnn.core.events import (
    Evaluated,
    Event,
    Figures,
    Finished,
    Planned,
    RolledBack,
    Sampled,
    Saved,
    SaveFailed,
    Started,
    Step,
)

LINE_SECONDS = 10.0
"""Off a terminal a line about progress is written this often."""


def escape_text(text: str) -> str:
    """Return generated text with what a terminal could obey made visible; lines stay lines."""
    return escape_controls(text)


def is_terminal(stream: TextIO | None) -> bool:
    """Say whether a stream is a terminal that can do more than print lines."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def time_text(seconds: float | None) -> str:
    """Return a time for people: 9s, 4m10s, 2h05m."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"


def speed_text(chars_per_second: float | None) -> str:
    """Return a speed for people: 950, 31.2k, 1.8M char/s."""
    if chars_per_second is None:
        return "? char/s"
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if chars_per_second >= limit:
            return f"{chars_per_second / limit:.1f}{unit} char/s"
    return f"{chars_per_second:.0f} char/s"


def loss_text(loss: float | None) -> str:
    """Return a loss with three decimals."""
    return "?" if loss is None else f"{loss:.3f}"


class Console:
    """Renders events. Everything is escaped before it is printed.

    Args:
        verbosity: -1 errors only, 0 normal, 1 every event.
        stream: Where to write; stderr.
    """

    def __init__(self, verbosity: int = 0, stream: TextIO | None = None) -> None:
        self.stream: TextIO | None = stream if stream is not None else sys.stderr
        self.verbosity = verbosity
        self.is_live = is_terminal(self.stream) and verbosity >= 0
        self._bar: Any = None
        self._val_loss: float | None = None
        self._has_plan = False
        self._last_line = -math.inf

    def line(self, text: str) -> None:
        """Write a line, above the bar if there is one."""
        if self.stream is None or self.verbosity < 0:
            return
        encoding = self.stream.encoding or "utf-8"
        text = escape_text(text).encode(encoding, "backslashreplace").decode(encoding)
        try:
            if self._bar is not None:
                self._bar.write(text, file=self.stream)
            else:
                self.stream.write(text + "\n")
                self.stream.flush()
        except OSError:  # nobody can read us; what is being done is worth more than that
            self._bar, self.stream, self.is_live = None, None, False

    def note(self, text: str) -> None:
        """Write a remark."""
        self.line(f"note: {printable(text)}")

    def warn(self, text: str) -> None:
        """Write what went wrong without stopping anything; also when quiet."""
        verbosity, self.verbosity = self.verbosity, max(0, self.verbosity)
        self.line(f"warning: {printable(text)}")
        self.verbosity = verbosity

    def error(self, text: str, code: int | None = None) -> None:
        """Write why a command ends, and off a terminal its exit code; also when quiet."""
        self.close()
        self.verbosity = max(0, self.verbosity)
        self.line(f"charrnn: error: {printable(text)}{self._code(code)}")

    def last(self, text: str, code: int) -> None:
        """Write what has happened as the last line of a log; a terminal needs none."""
        if not self.is_live:
            self.line(f"charrnn: {printable(text)}{self._code(code)}")

    def _code(self, code: int | None) -> str:
        return "" if code is None or self.is_live else f" (exit code {code})"

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    @contextmanager
    def counting(
        self, total: int, unit: str = "char", done: int = 0
    ) -> Iterator[Callable[[int], None]]:
        """Show how much of something is done; what is yielded is told the number.

        Args:
            total: Of what is counted.
            unit: Its name, in the singular.
            done: How many there were before.
        """
        if not self.is_live:
            yield self._count_in_lines(total, unit, done)
            return
        from tqdm import tqdm

        with tqdm(
            total=total, initial=done, file=self.stream, leave=False, delay=1.0, unit=unit
        ) as bar:

            def show(done: int) -> None:
                bar.update(done - bar.n)

            yield show

    def _count_in_lines(self, total: int, unit: str, before: int) -> Callable[[int], None]:
        begin = last = time.monotonic()

        def show(done: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= LINE_SECONDS and done > before:
                last, rate = now, (done - before) / (now - begin)
                left = time_text((total - done) / rate)
                self.line(f"{done:,} of {total:,} {unit}s, {rate:,.0f} a second, left {left}")

        return show

    def show(self, event: Event) -> None:
        """Render what training reports."""
        match event:
            case Started():
                self.line(started_text(event))
            case Planned():
                self._plan(event)
            case Step():
                self._step(event)
            case Evaluated() if not event.is_final:
                self._val_loss = event.loss
            case Sampled() if self.is_live:
                self._preview(event)
            case Saved() if self.verbosity > 0:
                self.line(f"saved {printable(event.path)}")
            case SaveFailed():
                self.warn(save_failed_text(event))
            case RolledBack():
                self.warn(rolled_back_text(event))
            case Finished():
                self._finish(event)
            case _:
                pass

    def _plan(self, event: Planned) -> None:
        if self.stream is None:
            return
        if self._bar is not None:
            self._bar.total = event.total_steps
        elif self.is_live:
            from tqdm import tqdm

            self._bar = tqdm(
                total=event.total_steps,
                initial=event.step,
                file=self.stream,
                ascii=not (self.stream.encoding or "").lower().startswith("utf"),
                bar_format="{percentage:3.0f}%|{bar}| {desc}",
                leave=False,
                dynamic_ncols=True,
            )
        if self.verbosity > 0 or (not self.is_live and not self._has_plan):
            seconds = time_text(event.seconds)
            self.line(f"plan at step {event.step}: {event.total_steps} steps, about {seconds}")
        self._has_plan = True

    def _step(self, event: Step) -> None:
        if self._bar is not None:
            self._bar.set_description_str(
                f"epoch {event.epoch:.2f}, loss {loss_text(event.loss)}, "
                f"val {loss_text(self._val_loss)}, {speed_text(event.chars_per_second)}, "
                f"{time_text(event.seconds_left)} left",
                refresh=False,
            )
            self._bar.n = event.step
            self._bar.refresh()  # reports are some tenths of a second apart already
            return
        now = time.monotonic()
        is_timed = event.chars_per_second is not None
        if not self.is_live and is_timed and now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            self.line(step_text(event, self._val_loss))

    def _preview(self, event: Sampled) -> None:
        title = f"--- step {event.step}, validation loss {loss_text(self._val_loss)} "
        self.line(f"{title:-<72}\n{event.text}\n{'-' * 72}")

    def _finish(self, event: Finished) -> None:
        self.close()
        rows = finished_rows(event)
        if not self.is_live:
            self.line("; ".join(f"{name} {value}" for name, value in rows))
            return
        from rich.console import Console as RichConsole
        from rich.table import Table

        table = Table(show_header=False)
        for name, value in rows:
            table.add_row(name, value)
        with suppress(OSError):
            RichConsole(file=self.stream, highlight=False, markup=False).print(table)


def save_failed_text(event: SaveFailed) -> str:
    """Return the line about a save that could not be made."""
    return (
        f"{event.path}: not saved at step {event.step}: {event.reason}; training goes on and "
        f"tries again; the newest good checkpoint is {event.newest or 'none'}"
    )


def rolled_back_text(event: RolledBack) -> str:
    """Return the line about a divergence."""
    return (
        f"diverged at step {event.step}; back to step {event.good_step}, "
        f"the learning rate halved to {event.lr:g}"
    )


def started_text(event: Started) -> str:
    """Return the line about the network and the machine."""
    count = f"{event.threads} thread{'s' * (event.threads != 1)}"
    threads = f", {count}" if event.device == "cpu" else ""
    if event.processes > 1:
        threads += f", {event.processes} processes"
    return (
        f"{event.num_parameters:,} parameters, {event.steps_per_epoch:,} steps an epoch, "
        f"on {event.device} in {event.precision}{threads}"
    )


def step_text(event: Step, val_loss: float | None) -> str:
    """Return a line about progress."""
    total = f"/{event.total_steps}" if event.seconds_left is not None else ""
    text = (
        f"step {event.step}{total} epoch {event.epoch:.2f} loss {loss_text(event.loss)} "
        f"val {loss_text(val_loss)} {speed_text(event.chars_per_second)} "
        f"left {time_text(event.seconds_left)}"
    )
    return text + (f" skipped {event.skipped}" if event.skipped else "")


def finished_rows(event: Finished) -> list[tuple[str, str]]:
    """Return the summary of a run as name and value."""
    reasons = {
        "finished": "finished",
        "early_stop": "stopped early: no better any more",
        "max_time": "time is up",
        "signal": "stopped by a signal",
        "requeue": "stopped by a signal, to be started again",
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


def figures_text(figures: Figures, unit: str) -> str:
    """Return a score for people."""
    text = f"{figures.loss:.4f} nats per {unit}"
    if figures.bits_per_char is not None:
        text += f", {figures.bits_per_char:.3f} bits per character"
    if figures.network_loss != figures.loss:
        text += f" (network alone {figures.network_loss:.4f})"
    return text
