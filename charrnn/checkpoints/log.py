"""metrics.jsonl and samples.jsonl of a run: append events, read them back leniently."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charrnn.core.events import Event

METRICS, SAMPLES = "metrics.jsonl", "samples.jsonl"

LONGEST_LINE = 1 << 20
"""Bytes; no line that is written is longer."""

NUM_LOGGED = 1000
"""Lines about steps in metrics.jsonl: about this many per run at most."""

TAIL = 64 << 10
"""Bytes that `read_tail` reads; about 200 lines."""

ENDS = ("ended", "finished")
"""Events that end a log: `train` on the command line writes `ended` last, in Python `finished`."""

WANTED = ("step", "total_steps", "seconds", "chars_per_second")

LARGEST = 2**63


class RunLog:
    """Appends events to the logs in a run's folder.

    A log that cannot be written does not stop training.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in (METRICS, SAMPLES):
            _cut_torn_line(folder / name)
        self._last_logged = 0
        self._log_every = 1

    def record(self, event: Event) -> None:
        """Append an event; of a long run's steps only some."""
        from charrnn.core.events import Planned, RolledBack, Sampled, Step  # slow to import

        if isinstance(event, Planned):
            self._log_every = max(1, event.total_steps // NUM_LOGGED)
        if isinstance(event, Step):
            if event.step - self._last_logged < self._log_every:
                return
            self._last_logged = event.step
        if isinstance(event, RolledBack):
            self._last_logged = event.good_step
        name = SAMPLES if isinstance(event, Sampled) else METRICS
        self.append(name, {"event": type(event).__name__.lower()} | asdict(event))

    def append(self, name: str, line: dict[str, Any]) -> None:
        """Append one flat JSON object to a log; numbers that are not finite become null."""
        values = {key: None if _is_infinite(value) else value for key, value in line.items()}
        text = json.dumps(values, default=lambda value: Path(value).name, ensure_ascii=False)
        data = text.encode("utf-8", "backslashreplace") + b"\n"  # JSON's escapes are the same
        with contextlib.suppress(OSError), (self.folder / name).open("ab") as log:
            log.write(data)


def _cut_torn_line(path: Path) -> None:
    """Remove an unfinished last line: its writer was killed in the middle of it."""
    with contextlib.suppress(OSError), path.open("r+b") as log:
        size = log.seek(0, os.SEEK_END)
        start = max(0, size - LONGEST_LINE)
        log.seek(start)
        log.truncate(start + log.read().rfind(b"\n") + 1)


def _is_infinite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class LogTail:
    """Newest values in a log; None is what it does not contain."""

    is_empty: bool
    """It has no readable line."""
    stop_reason: str | None
    """None while the run is running, and after its process was killed."""
    code: int | None
    """Exit code."""
    error: str | None
    step: int | None
    total_steps: int | None
    seconds: float | None
    chars_per_second: float | None


def read_tail(path: Path) -> LogTail:
    """Read the end of a log; an unreadable log counts as empty."""
    lines = _objects(_last_lines(path))
    last = next(lines, {})
    end = last if last.get("event") in ENDS else {}
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


def read_log(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the objects in a log, oldest first; torn and foreign lines are skipped."""
    with contextlib.suppress(OSError), path.open("rb") as log:
        yield from _objects(log)


def finished_event(path: Path) -> Mapping[str, Any]:
    """Return the `finished` event of a log; empty if the newest session has none."""
    found: Mapping[str, Any] = {}
    for line in read_log(path):
        if line.get("event") in ("started", "finished"):
            found = line if line.get("event") == "finished" else {}
    return found


def score_rows(finished: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the scores of a `finished` event as pairs: protocol; loss and signature."""
    scores, rows = finished.get("scores"), []
    for each in scores if isinstance(scores, list) else []:
        score = each if isinstance(each, dict) else {}
        name, mark = as_text(score.get("protocol")), as_text(score.get("signature"))
        loss = as_number(score.get("loss"))
        if name is not None and loss is not None:
            rows.append((name, f"{loss:.4f} nats, {mark or 'no signature'}"))
    return rows


def _last_lines(path: Path) -> list[bytes]:
    """Return the last lines of a file, newest first; a torn line is not valid JSON."""
    try:
        if not path.is_file():  # to open a pipe would wait forever
            return []
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL))
            return log.read(TAIL).split(b"\n")[::-1]
    except OSError:
        return []


def _newest(lines: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the newest value for each name in WANTED; lines come newest first."""
    found: dict[str, Any] = {}
    for line in lines:
        is_forecast = line.get("event") == "planned"  # its seconds are those of the whole run
        for name in WANTED:
            if line.get(name) is not None and not (is_forecast and name == "seconds"):
                found.setdefault(name, line[name])
        if len(found) == len(WANTED):
            break
    return found


def _objects(lines: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
    """Yield the lines that are non-empty JSON objects."""
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            found = json.loads(line, parse_constant=lambda _: None)
            if found and isinstance(found, dict):
                yield found


def as_number(value: object) -> float | None:
    """Return a finite number below 2**63 in size; None for any other value."""
    if type(value) is int:
        return as_count(value)
    is_number = isinstance(value, float) and math.isfinite(value) and abs(value) < LARGEST
    return value if is_number and isinstance(value, float) else None


def as_count(value: object) -> int | None:
    """Return an integer in [0, 2**63); None for any other value."""
    return value if isinstance(value, int) and type(value) is int and 0 <= value < LARGEST else None


def as_text(value: object) -> str | None:
    """Return a string; None for any other value."""
    return value if isinstance(value, str) else None
