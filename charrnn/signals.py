"""SIGINT, SIGTERM, SIGHUP: the first asks for an orderly end, the second leaves at once."""

import os
import signal
import time
from types import FrameType, TracebackType
from typing import Self

REPEAT_SECONDS = 0.5
"""A signal that comes twice within this time was sent once: by a terminal and its shell, say."""

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


class Interrupts:
    """Within its `with` block signals only set a flag. Calling it says whether one has come."""

    def __init__(self) -> None:
        self.received: int | None = None
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

    def __call__(self) -> bool:
        """Say whether a signal has asked for the end."""
        return self.received is not None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.received is None:
            self.received, self._since = number, now
        elif now - self._since > REPEAT_SECONDS:
            os._exit(128 + number)
