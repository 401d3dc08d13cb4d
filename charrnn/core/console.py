"""Messages and progress on stderr; number formats."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from charrnn.core.errors import escape_controls, printable
from charrnn.core.events import Figures

LINE_SECONDS = 10.0
"""Off a terminal a line about progress is written this often."""


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


def figures_text(figures: Figures, unit: str) -> str:
    """Return a score for people."""
    text = f"{figures.loss:.4f} nats per {unit}"
    if figures.bits_per_char is not None:
        text += f", {figures.bits_per_char:.3f} bits per character"
    if figures.network_loss != figures.loss:
        text += f" (network alone {figures.network_loss:.4f})"
    return text


class Console:
    """Writes messages to stderr. Escapes all text before it is printed.

    Args:
        verbosity: -1 errors only, 0 normal, 1 every event.
        stream: Where to write; stderr.
    """

    def __init__(self, verbosity: int = 0, stream: TextIO | None = None) -> None:
        self.stream: TextIO | None = stream if stream is not None else sys.stderr
        self.verbosity = verbosity
        self.is_live = is_terminal(self.stream) and verbosity >= 0
        self.bar: Any = None
        """A tqdm bar, below the lines."""

    def line(self, text: str) -> None:
        """Write a line, above the bar if there is one."""
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
        except OSError:  # nobody can read us; what is being done is worth more than that
            self.bar, self.stream, self.is_live = None, None, False

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
        if self.bar is not None:
            self.bar.close()
            self.bar = None

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
