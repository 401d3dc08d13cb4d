"""SIGINT, SIGTERM, SIGHUP: the first asks for an orderly end, the second leaves at once."""

import os
import signal
from types import FrameType, TracebackType
from typing import Self

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


class Interrupts:
    """Within its `with` block signals only set a flag. Calling it says whether one has come."""

    def __init__(self) -> None:
        self.received: int | None = None
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
        if self.received is not None:
            os._exit(128 + number)
        self.received = number
