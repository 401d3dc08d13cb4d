"""Messages and progress on stderr; number formats."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from charrnn.core.errors import escape_controls, printable

if TYPE_CHECKING:
    from charrnn.core.events import Figures

WAIT_SECONDS = 1.0
"""A longer wait is shown on a terminal."""

LINE_SECONDS = 10.0
"""Interval of progress lines in a log (stderr is not a terminal)."""


def is_terminal(stream: TextIO | None) -> bool:
    """True if a stream is a terminal that can move its cursor (TERM is not dumb)."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def time_text(seconds: float | None) -> str:
    """Return a duration: 9s, 4m10s, 2h05m."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"


def speed_text(chars_per_second: float | None) -> str:
    """Return a speed: 950 char/s, 31.2k char/s, 1.8M char/s."""
    if chars_per_second is None:
        return "? char/s"
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if chars_per_second >= limit:
            return f"{chars_per_second / limit:.1f}{unit} char/s"
    return f"{chars_per_second:.0f} char/s"


def loss_text(loss: float | None) -> str:
    """Return a loss with three decimals."""
    return "?" if loss is None else f"{loss:.3f}"


def perplexity_text(loss: float, unit: str) -> str:
    """Return the perplexity of a loss in words, for readers who do not know the term."""
    return f"as unsure as between {math.exp(loss):.1f} equally likely {unit}s"


def count_text(count: float, noun: str) -> str:
    """Return a number and its noun: 1 file, 2,000 files, 2.5 epochs."""
    digits = f"{count:,}" if isinstance(count, int) else f"{count:g}"
    return f"{digits} {noun}{'' if count == 1 else 's'}"


def figures_text(figures: Figures, unit: str) -> str:
    """Return the losses of a score: nats per character or byte, bits, and the network alone."""
    from charrnn.core.events import PSEUDO

    text = f"{figures.loss:.4f} nats per {unit}"
    if figures.protocol == PSEUDO:
        return f"{text}, given both sides of each"
    if figures.bits_per_char is not None:
        text += f", {figures.bits_per_char:.3f} bits per character"
    if figures.network_loss != figures.loss:
        text += f" (network alone {figures.network_loss:.4f})"
    return text


class Console:
    """Writes messages to stderr, with control characters escaped.

    Args:
        verbosity: -1 warnings and errors only, 0 normal, 1 every event.
        stream: The stream to write to; stderr by default.
    """

    def __init__(self, verbosity: int = 0, stream: TextIO | None = None) -> None:
        self.stream: TextIO | None = stream if stream is not None else sys.stderr
        self.verbosity = verbosity
        self.is_live = is_terminal(self.stream) and verbosity >= 0
        self.bar: Any = None
        """A tqdm progress bar; messages are printed above it."""

    def line(self, text: str) -> None:
        """Write a line, above the progress bar if there is one."""
        if self.stream is None or self.verbosity < 0:
            return
        encoding = self.stream.encoding or "utf-8"
        text = escape_controls(text).encode(encoding, "backslashreplace").decode(encoding)
        try:
            if self.bar is not None:
                self.bar.write(text, file=self.stream)
            else:
                self.stream.write(text + "\n")
                self.stream.flush()
        except OSError:  # stderr is closed; the command continues without output
            self.bar, self.stream, self.is_live = None, None, False

    def note(self, text: str) -> None:
        """Write a note."""
        self.line(f"note: {printable(text)}")

    def warn(self, text: str) -> None:
        """Write a warning: a failure that stops nothing. Also with --quiet."""
        verbosity, self.verbosity = self.verbosity, max(0, self.verbosity)
        self.line(f"warning: {printable(text)}")
        self.verbosity = verbosity

    def error(self, text: str, code: int | None = None) -> None:
        """Write the error that ends a command; in a log with its exit code. Also with --quiet."""
        self.close()
        self.verbosity = max(0, self.verbosity)
        self.line(f"charrnn: error: {printable(text)}{self._code(code)}")

    def last(self, text: str, code: int) -> None:
        """Write the last line of a log: the outcome and exit code. A terminal gets none."""
        if not self.is_live:
            self.line(f"charrnn: {printable(text)}{self._code(code)}")

    def _code(self, code: int | None) -> str:
        return "" if code is None or self.is_live else f" (exit code {code})"

    def close(self) -> None:
        """Remove the progress bar."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Show what is done while it takes more than a second; a log gets nothing."""
        if not self.is_live:
            yield
            return
        from rich.console import Console as Terminal
        from rich.markup import escape

        status = Terminal(file=self.stream).status(escape(printable(text)))
        timer = threading.Timer(WAIT_SECONDS, status.start)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()  # it may be about to start the display
            status.stop()

    @contextmanager
    def counting(
        self, total: int, unit: str = "char", done: int = 0
    ) -> Iterator[Callable[[int], None]]:
        """Show progress; yield a function that takes the number of units done.

        Args:
            total: Number of units.
            unit: Name of a unit, in the singular.
            done: Number of units done at the start.
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
