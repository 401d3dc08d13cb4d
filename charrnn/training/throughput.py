"""Measure time per step, evaluation and save."""

import time
from collections.abc import Callable

from charrnn.checkpoints.state import Timing

NUM_COLD_STEPS = 3
"""The first steps of a session are slow and are not timed."""

NUM_MARKS = 3
"""Recent marks (the plan and each validation) that the wall time per step is taken between."""

UNKNOWN_SPEED = 10_000
"""Assumed characters per second of training before a step was timed."""


class Throughput:
    """Wall seconds and speeds of one run.

    Seconds count from the first step, over all sessions, with validations, previews and saves.

    Args:
        clock: Seconds; only differences count.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._origin = clock, clock()
        self._earlier = 0.0  # seconds of earlier sessions
        self.first_step = 0
        """Where this session began, or training went back to after a divergence."""
        self._num_steps = self._num_chars = 0  # that were timed
        self._seconds = 0.0  # inside those steps
        self._marks: list[tuple[int, float]] = []  # (step, elapsed seconds)
        self.eval_rate: float | None = None
        """Characters scored per second: the slower of the last two validations."""
        self._last_eval_rate: float | None = None
        self.save_seconds = 0.1
        """Time that the last save took."""

    def start(self) -> None:
        """Start the clock: the first step of this session follows."""
        self._origin = self._clock() - self._earlier

    def elapsed(self) -> float:
        """Return the seconds since the first step of the run."""
        return self._clock() - self._origin

    def session_seconds(self) -> float:
        """Return the seconds since the first step of this session."""
        return self.elapsed() - self._earlier

    def trained(self, step: int, num_steps: int, num_chars: int, seconds: float) -> None:
        """Add the time of some steps, the last of which is `step`."""
        if step - self.first_step > NUM_COLD_STEPS:
            self._num_steps += num_steps
            self._num_chars += num_chars
            self._seconds += seconds

    def evaluated(self, step: int, num_chars: int, seconds: float) -> None:
        """Add the time of a validation."""
        rate = num_chars / max(seconds, 1e-6)
        self.eval_rate, self._last_eval_rate = min(rate, self._last_eval_rate or rate), rate
        self.mark(step)

    def saved(self, seconds: float) -> None:
        """Set the time of the last save."""
        self.save_seconds = seconds

    def mark(self, step: int) -> None:
        """Note when a step was reached."""
        self._marks.append((step, self.elapsed()))

    def steps_since_mark(self, step: int) -> int:
        """Return the steps since the last mark, or since this session began."""
        return step - (self._marks[-1][0] if self._marks else self.first_step)

    @property
    def step_seconds(self) -> float | None:
        """Mean seconds inside a step; None before a step was timed."""
        return self._seconds / self._num_steps if self._num_steps else None

    @property
    def chars_per_second(self) -> float | None:
        """Training characters per second inside steps; None before a step was timed."""
        return self._num_chars / self._seconds if self._seconds else None

    @property
    def wall_per_step(self) -> float | None:
        """Recent wall seconds per step, with all that happens in between; None without marks."""
        if len(self._marks) < 2:
            return None
        (begin, before), (end, now) = self._marks[-NUM_MARKS:][0], self._marks[-1]
        return (now - before) / max(1, end - begin)

    @property
    def scored_per_second(self) -> float:
        """Characters that a validation reads per second; before the first one three times the training speed.

        Training passes forwards and backwards, which takes twice as long as forwards.
        """
        return self.eval_rate or 3 * (self.chars_per_second or UNKNOWN_SPEED)

    def timing(self) -> Timing:
        """Return the measurements for a checkpoint."""
        return Timing(
            seconds=self.elapsed(),
            num_timed=self._num_steps,
            chars_timed=self._num_chars,
            seconds_timed=self._seconds,
            scored_per_second=self.eval_rate,
        )

    def resume(self, step: int, timing: Timing) -> None:
        """Continue at a step with the measurements of a checkpoint; call before `start`."""
        self.first_step, self._earlier = step, timing.seconds
        self._num_steps, self._num_chars = timing.num_timed, timing.chars_timed
        self._seconds = timing.seconds_timed
        self.eval_rate = self._last_eval_rate = timing.scored_per_second

    def roll_back(self, step: int) -> None:
        """Forget when later steps were reached: training has gone back to this one."""
        self._marks.clear()
        self.first_step = step
