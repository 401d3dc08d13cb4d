"""Signals: the first one stops a run after a save, the second one ends the process at once.

SIGINT, SIGTERM and SIGHUP stop a run; SIGUSR1 is for job queues, which start it again. If one rank
receives a signal, all ranks stop at the same step.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

REPEAT_SECONDS = 0.5
"""A signal repeated within this time counts once: a terminal and its shell may both send it."""

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")

REQUEUE = getattr(signal, "SIGUSR1", None)


def exit_code_of(number: int) -> int:
    """Return the exit code after a signal: 128 + its number; 75 (start again) after SIGUSR1."""
    return 75 if number == REQUEUE else 128 + number


@contextmanager
def without_handlers() -> Iterator[None]:
    """Restore the default handlers: Python handlers do not run during a blocking call in C."""
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
    """In its `with` block signals only set a flag. Calling the object returns the stop reason.

    Args:
        all_reduce_max: Maximum of a number over all ranks, a collective call. With it, all ranks
            must call this object together, and a second signal does not end the process: torchrun
            repeats its signal, and kills the processes if they take too long.
    """

    def __init__(self, all_reduce_max: Callable[[int], int] | None = None) -> None:
        self.received: int | None = None
        self._all_reduce_max = all_reduce_max
        self._since = 0.0
        self._before: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        for number in (getattr(signal, name) for name in NAMES if hasattr(signal, name)):
            # nohup and background jobs of a shell ignore some signals
            if signal.getsignal(number) is not signal.SIG_IGN:
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
        """Return "requeue" after SIGUSR1, "signal" after another signal, "" before any."""
        if self._all_reduce_max is not None:
            self.received = self._all_reduce_max(self.received or 0) or None
        if self.received is None:
            return ""
        return "requeue" if self.received == REQUEUE else "signal"

    @property
    def exit_code(self) -> int:
        """Exit code of the process: 0 if no signal was received."""
        return 0 if self.received is None else exit_code_of(self.received)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.received is None:
            self.received, self._since = number, now
        elif self._all_reduce_max is None and now - self._since > REPEAT_SECONDS:
            os._exit(exit_code_of(number))
