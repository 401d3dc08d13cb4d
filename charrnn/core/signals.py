"""Signals: the first asks for an orderly end, the second leaves at once.

SIGINT, SIGTERM and SIGHUP stop a run; SIGUSR1 is for queues, which start it again. Of several
processes that train together all stop at the same step, whichever of them the signal has reached.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

REPEAT_SECONDS = 0.5
"""A signal that comes twice within this time was sent once: by a terminal and its shell, say."""

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")

REQUEUE = getattr(signal, "SIGUSR1", None)


def exit_code_of(number: int) -> int:
    """Return the exit code of a process that a signal has stopped; 75 asks to be started again."""
    return 75 if number == REQUEUE else 128 + number


@contextmanager
def without_handlers() -> Iterator[None]:
    """Let signals do what they do by default: a call that waits in C hears of no handler."""
    before: dict[int, signal._HANDLER] = {}
    for number in (getattr(signal, name) for name in NAMES if hasattr(signal, name)):
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Interrupts:
    """Within its `with` block signals only set a flag. Calling it says whether one has come.

    Args:
        largest: Of several processes that train together: the largest of all their numbers. Then
            all have to call this together, and a second signal does not make one leave at once: a
            launcher repeats its signal, and ends them itself when they take too long.
    """

    def __init__(self, largest: Callable[[int], int] | None = None) -> None:
        self.received: int | None = None
        self._largest = largest
        self._since = 0.0
        self._before: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        for number in (getattr(signal, name) for name in NAMES if hasattr(signal, name)):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a background job
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> str:
        """Return the stop reason that a signal has given, empty before one has come."""
        if self._largest is not None:
            self.received = self._largest(self.received or 0) or None
        if self.received is None:
            return ""
        return "requeue" if self.received == REQUEUE else "signal"

    @property
    def exit_code(self) -> int:
        """The process's exit code: 0 if no signal has come."""
        return 0 if self.received is None else exit_code_of(self.received)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.received is None:
            self.received, self._since = number, now
        elif self._largest is None and now - self._since > REPEAT_SECONDS:
            os._exit(exit_code_of(number))
