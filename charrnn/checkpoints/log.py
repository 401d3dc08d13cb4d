"""metrics.jsonl and samples.jsonl of a run: read their end."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from charrnn.checkpoints.parsing import as_count, as_number, as_text, objects

TAIL = 64 << 10
"""Bytes that are read; about 200 lines."""

LAST_WORDS = ("ended", "finished", "failed")
"""Events of which one stands in the last line of a run that has ended; `ended` in new runs."""

WANTED = ("step", "total_steps", "seconds", "chars_per_second")


@dataclass(frozen=True, kw_only=True, slots=True)
class LogTail:
    """What the end of a log says; None is what it does not say."""

    is_empty: bool
    """No line of it can be read."""
    stop_reason: str | None
    """None as long as the run goes on, and for ever if its process was killed."""
    code: int | None
    """The exit code; older runs do not say it."""
    error: str | None
    step: int | None
    total_steps: int | None
    seconds: float | None
    chars_per_second: float | None


def read_tail(path: Path) -> LogTail:
    """Return what the end of a log says; of a log that cannot be read, nothing."""
    lines = objects(_tail(path))
    last = next(lines, {})
    end = last if last.get("event") in LAST_WORDS else {}
    newest = _newest(chain([last], lines))
    return LogTail(
        is_empty=not last,
        stop_reason=as_text(end.get("stop_reason")),
        code=as_count(end.get("code")),
        error=as_text(end.get("error")),
        step=as_count(newest.get("step")),
        total_steps=as_count(newest.get("total_steps")),
        seconds=as_number(newest.get("seconds")),
        chars_per_second=as_number(newest.get("chars_per_second")),
    )


def _tail(path: Path) -> list[bytes]:
    """Return the last lines of a file, the newest first; one that is torn is no JSON."""
    try:
        if not path.is_file():  # to open a pipe would wait for ever
            return []
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL))
            return log.read(TAIL).split(b"\n")[::-1]
    except OSError:
        return []


def _newest(lines: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the newest value of each that is wanted; lines come newest first."""
    found: dict[str, Any] = {}
    for line in lines:
        is_forecast = line.get("event") == "planned"  # its seconds are those of the whole run
        for name in WANTED:
            if line.get(name) is not None and not (is_forecast and name == "seconds"):
                found.setdefault(name, line[name])
        if len(found) == len(WANTED):
            break
    return found
