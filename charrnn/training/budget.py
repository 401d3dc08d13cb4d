"""Where the time goes: how many steps fit a budget, how often what happens, when to stop.

Seconds are wall time from the first step on, with validation, previews and saves.
"""

import math
import time
from collections.abc import Callable

from charrnn.checkpoints.state import Plan, Timing
from charrnn.core.config import TrainConfig
from charrnn.training.schedule import UNKNOWN, steps_for_budget

NUM_VALIDATIONS = 20
OVERHEAD = 0.05
"""Most of a run's time that its validations take together."""

FEWEST_SCORED = 16_384
"""Characters of held-out text; a validation over fewer would be too noisy."""

FINAL_SHARE, FEWEST_FINAL, FINAL_EXCESS = 0.1, 200_000, 3
"""The last evaluations are over all held-out text, or what this share of the run's time can score
by all protocols together; each over so many characters at least, unless they take this many times
the share."""

SAVE_SECONDS = 60.0
REPORT_SECONDS = 0.2

NUM_COLD_STEPS = 3
"""First steps, which are slow and are not timed."""

NUM_TRIED_STEPS = 8
TRIED_SECONDS = 2.0
TRIED_SHARE = 0.02
"""A plan is made after so many steps, and so much time (the smaller of the two)."""

TOLERANCE = 0.05
"""A plan is corrected when the rest would take this much more or less than is left."""

SLACK_SHARE, SLACK_SECONDS = 0.025, 2.5
"""How far (the larger of both) a run may go over its time to reach the end of its plan."""


class Budget:
    """Keeps time for one run, and turns it into a plan.

    Args:
        config: Budget and cadences.
        steps_per_epoch: Steps of one pass over the text.
        num_held_out: Characters of held-out text.
        clock: Seconds; only differences count.
        is_float32: Whether training computes in float32.
        num_scores: How often the end of a run scores the held-out text.
    """

    def __init__(
        self,
        config: TrainConfig,
        steps_per_epoch: int,
        num_held_out: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        is_float32: bool = True,
        num_scores: int = 1,
    ) -> None:
        self._is_float32, self._num_scores = is_float32, num_scores
        self._clock, self._config, self._num_held_out = clock, config, num_held_out
        self.most_steps, self.most_seconds = steps_for_budget(
            config.epochs, config.steps, config.max_time, steps_per_epoch
        )
        self.plan = [(0, self.most_steps or UNKNOWN)]
        self.is_planned = False
        self.eval_every: int | None = config.eval_every
        self.save_every: int | None = config.save_every
        self.sample_every: int | None = config.sample_every
        self.eval_chars = min(num_held_out, FEWEST_SCORED)
        self._is_eval_fixed = False  # validations of one run are over the same characters
        self._first_step, self._earlier = 0, 0.0  # of this session; seconds of those before
        self._origin = clock()
        self._timed = [0, 0, 0.0]  # steps, characters, seconds inside steps
        self._marks: list[tuple[int, float]] = []
        self._eval_rate: float | None = None  # the slower of the last two validations
        self._last_rate: float | None = None
        self._save_seconds = 0.1

    def start(self) -> None:
        """Begin to count: the next step of this session comes."""
        self._origin = self._clock() - self._earlier

    def elapsed(self) -> float:
        """Return the seconds since the first step."""
        return self._clock() - self._origin

    @property
    def total_steps(self) -> int:
        """Steps of the whole run, as planned now."""
        return self.plan[-1][1]

    def trained(self, step: int, num_steps: int, num_chars: int, seconds: float) -> None:
        """Take in the time that some steps took, the last of them being `step`."""
        if step - self._first_step > NUM_COLD_STEPS:
            for i, value in enumerate((num_steps, num_chars, seconds)):
                self._timed[i] += value

    @property
    def step_seconds(self) -> float | None:
        """Mean time inside a step; None before any was timed."""
        return self._timed[2] / self._timed[0] if self._timed[0] else None

    @property
    def chars_per_second(self) -> float | None:
        """Characters trained on by seconds inside steps; None before any was timed."""
        return self._timed[1] / self._timed[2] if self._timed[2] else None

    def evaluated(self, step: int, num_chars: int, seconds: float) -> None:
        """Take in the time that a validation took."""
        rate = num_chars / max(seconds, 1e-6)
        self._eval_rate, self._last_rate = min(rate, self._last_rate or rate), rate
        self._marks.append((step, self.elapsed()))
        self._is_eval_fixed = True

    def saved(self, seconds: float) -> None:
        """Take in the time that a save took."""
        self._save_seconds = seconds

    def window(self) -> int:
        """Return how many steps to make before the next report."""
        if self.step_seconds is None:
            return 1
        return max(1, int(REPORT_SECONDS / max(self.step_seconds, 1e-6)))

    def is_due(self, every: int | None, step: int) -> bool:
        """Say whether something happens after this step; the end has its own order."""
        return bool(every) and step % (every or 1) == 0 and step < self.total_steps

    def is_anything_due(self, step: int) -> bool:
        """Say whether validation, save or preview come after this step, or the end."""
        cadences = (self.eval_every, self.save_every, self.sample_every)
        return step >= self.total_steps or any(self.is_due(every, step) for every in cadences)

    def plan_if_due(self, step: int) -> bool:
        """Make the plan once a few steps were timed; say whether it was made now."""
        tried = TRIED_SECONDS
        if self.most_seconds is not None:
            tried = min(tried, TRIED_SHARE * self.most_seconds)
        few = min(self._first_step + NUM_TRIED_STEPS, self.total_steps)
        seconds = self.elapsed() - self._earlier
        if self.is_planned or step < few or (self.most_seconds and seconds < tried):
            return False
        self.is_planned = True
        self._marks.append((step, self.elapsed()))
        self._fit(step)
        self._set_cadences(step)
        return True

    def correct(self, step: int) -> bool:
        """Move the end of the plan where the time will be over; say whether it was off."""
        if not self.is_planned or self.most_seconds is None or step >= self.total_steps:
            return False
        left = self.total_steps - step
        fitting = min(self._steps_that_fit(), (self.most_steps or UNKNOWN) - step)
        if abs(fitting - left) <= TOLERANCE * left:
            return False
        return self._fit(step)

    def _fit(self, step: int) -> bool:
        if self.most_seconds is None:
            return False
        total = min(step + self._steps_that_fit(), self.most_steps or UNKNOWN)
        if total == self.total_steps:
            return False
        self.plan.append((step, total))
        return True

    def _steps_that_fit(self) -> int:
        assert self.most_seconds is not None  # callers have asked
        left = self.most_seconds - self.elapsed() - self.seconds_to_end()
        return max(1, int(left / self._wall_per_step()))

    def _wall_per_step(self) -> float:
        """Return the seconds a step costs with all that happens between steps, of late."""
        inside = self.step_seconds or 0.1
        if len(self._marks) < 2:
            return inside * (1 + 1.5 * OVERHEAD)
        (begin, before), (end, now) = self._marks[max(-3, -len(self._marks))], self._marks[-1]
        return max(inside * 0.5, (now - before) / max(1, end - begin))

    def _set_cadences(self, step: int) -> None:
        total_seconds = self.forecast(step)
        if not self._is_eval_fixed:
            share = OVERHEAD * total_seconds / NUM_VALIDATIONS
            affordable = int(share * self._scored_per_second())
            self.eval_chars = min(self._num_held_out, max(FEWEST_SCORED, affordable))
            self._is_eval_fixed = True
        steps_apart = self.eval_chars / self._scored_per_second() / OVERHEAD
        steps_apart /= self.step_seconds or 0.1
        apart = max(1, self.total_steps // NUM_VALIDATIONS, math.ceil(steps_apart))
        self.eval_every = self.eval_every or apart
        self.save_every = self.save_every or max(
            1, round(SAVE_SECONDS / (self.step_seconds or 0.1))
        )
        if self.sample_every is None:
            self.sample_every = self.eval_every

    def _scored_per_second(self) -> float:
        """Return the speed of a validation; before the first, twice that of training."""
        return self._eval_rate or 2 * (self.chars_per_second or 10_000)

    def timing(self) -> Timing:
        """Return what a checkpoint keeps of it, beside the plan."""
        num_steps, num_chars, seconds = self._timed
        return Timing(
            seconds=self.elapsed(),
            is_planned=self.is_planned,
            eval_every=self.eval_every,
            save_every=self.save_every,
            sample_every=self.sample_every,
            eval_chars=self.eval_chars if self._is_eval_fixed else None,
            num_timed=int(num_steps),
            chars_timed=int(num_chars),
            seconds_timed=seconds,
            scored_per_second=self._eval_rate,
        )

    def resume(self, step: int, plan: Plan, timing: Timing) -> None:
        """Go on with a plan, and with what time has shown, before `start`."""
        self.plan, self._first_step, self._earlier = list(plan), step, timing.seconds
        self.is_planned = timing.is_planned
        self.eval_every = self._config.eval_every or timing.eval_every
        self.save_every = self._config.save_every or timing.save_every
        if self.sample_every is None:
            self.sample_every = timing.sample_every
        self.eval_chars = min(self._num_held_out, timing.eval_chars or self.eval_chars)
        self._is_eval_fixed = timing.eval_chars is not None
        self._timed = [timing.num_timed, timing.chars_timed, timing.seconds_timed]
        self._eval_rate = self._last_rate = timing.scored_per_second

    def roll_back(self, step: int) -> None:
        """Forget what was planned after a step that training has gone back to."""
        self.plan = [entry for entry in self.plan if entry[0] <= step]
        if self.total_steps >= UNKNOWN:
            self.is_planned = False
        self._marks.clear()
        self._first_step = step

    def replan(self, step: int, *, is_over: bool) -> None:
        """Aim at this budget from `step` on, where another one was planned for.

        Args:
            step: Where training stands.
            is_over: The old plan has had its end, so that a new cycle begins.
        """
        if is_over and self.total_steps > step:
            self.plan.append((step, step))
        self.is_planned = False  # cadences, and a plan for a time, come after a few steps
        self.eval_every, self.sample_every = self._config.eval_every, self._config.sample_every
        self.plan.append((step, max(step, self.most_steps or UNKNOWN)))

    def final_chars(self) -> int:
        """Return how many held-out characters the last evaluation scores, by each protocol."""
        seconds = FINAL_SHARE * max(self.most_seconds or 0.0, self.elapsed())
        affordable = int(seconds * self._scored_per_second() / self._num_scores)
        fewest = max(FEWEST_SCORED, min(FEWEST_FINAL, FINAL_EXCESS * affordable))
        return min(self._num_held_out, max(fewest, affordable))

    def seconds_to_end(self) -> float:
        """Return what the end of a run takes: a last validation, the full ones, and two saves."""
        # The full ones are in float32, which takes twice as long where training is not.
        last = self.final_chars() * self._num_scores * (1 if self._is_float32 else 2)
        return (self.eval_chars + last) / self._scored_per_second() + 2 * self._save_seconds

    def forecast(self, step: int) -> float:
        """Return the seconds that the whole run will have taken."""
        left = max(0, self.total_steps - step)
        return self.elapsed() + left * self._wall_per_step() + self.seconds_to_end()

    def seconds_left(self, step: int) -> float | None:
        """Return the seconds to go; None before there is a plan."""
        return max(0.0, self.forecast(step) - self.elapsed()) if self.is_planned else None

    def is_spent(self, step: int) -> bool:
        """Say whether time is over before the plan is."""
        if self.most_seconds is None or step >= self.total_steps or step == 0:
            return False
        slack = max(SLACK_SHARE * self.most_seconds, SLACK_SECONDS)
        return self.elapsed() + self.seconds_to_end() > self.most_seconds + slack
