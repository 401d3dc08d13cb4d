"""Fit the number of steps and the cadences to a time budget."""

import math
from dataclasses import replace

from charrnn.checkpoints.metadata import Plan
from charrnn.checkpoints.state import Timing
from charrnn.core.config import TrainConfig
from charrnn.data.batches import Batches
from charrnn.data.corpus import Corpus
from charrnn.evaluation.protocols import num_held_out, num_warm_up
from charrnn.training.schedule import UNKNOWN, steps_for_budget
from charrnn.training.throughput import Throughput

NUM_VALIDATIONS = 20
OVERHEAD = 0.05
"""Largest fraction of a run's time that its validations take together."""

FEWEST_SCORED = 16_384
"""Characters of held-out text; a validation over fewer is too noisy."""

FINAL_SHARE, FEWEST_FINAL, FINAL_EXCESS = 0.1, 200_000, 3
"""The final evaluations score all held-out text, or as much as all protocols together can score in
this fraction of the run's time; each scores at least this many characters, unless that takes more
than this multiple of the time."""

SAVE_SECONDS = 60.0
REPORT_SECONDS = 0.2

NUM_TRIED_STEPS = 8
TRIED_SECONDS = 2.0
TRIED_SHARE = 0.02
"""A plan is made after this many steps and this much time (the smaller of the two)."""

CHECKED_SHARE = 0.1
"""A plan is checked after this fraction of its steps at the latest, also without validations: one
that was made while the machine was slow may have fewer steps than lie before the first of them."""

TOLERANCE = 0.05
"""A plan is corrected if the rest would take more or less than the remaining time by this."""

SLACK_SHARE, SLACK_SECONDS = 0.025, 2.5
"""How far (the larger of both) a run may exceed its time to reach the end of its plan."""

SCORED_PER_TRAINED = 2
"""Assumed characters that can be scored in the time in which one is trained."""

UNKNOWN_STEP_SECONDS = 0.1
"""Assumed seconds per step before one was timed."""


class Budget:
    """Decides the plan of one run: steps, cadences, and characters to score.

    Without a time budget, what is scored and when follows from text and settings alone, so that
    the same command gives the same figures.

    Args:
        config: Budget and cadences.
        steps_per_epoch: Steps of one pass over the text.
        num_held_out: Characters of held-out text.
        throughput: Measured times.
        chars_per_step: Mean number of training characters of a step.
        is_float32: Whether training computes in float32.
        num_scores: How many times the final evaluations score the held-out text.
        num_warm_up: Characters that a validation reads before those it scores: a validation of few
            takes twice as long a character as the final evaluations.
    """

    def __init__(
        self,
        config: TrainConfig,
        steps_per_epoch: int,
        num_held_out: int,
        throughput: Throughput,
        *,
        chars_per_step: float,
        is_float32: bool = True,
        num_scores: int = 1,
        num_warm_up: int = 0,
    ) -> None:
        self._config, self._num_held_out = config, num_held_out
        self.steps_per_epoch, self.throughput = steps_per_epoch, throughput
        self._chars_per_step = chars_per_step
        self._is_float32, self._num_scores = is_float32, num_scores
        self._num_warm_up = num_warm_up
        self.most_steps, self.most_seconds = steps_for_budget(
            config.epochs, config.steps, config.max_time, steps_per_epoch
        )
        self.plan = [(0, self.most_steps or UNKNOWN)]
        self.is_planned = False
        self.eval_every: int | None = config.eval_every
        self.save_every: int | None = config.save_every
        self.sample_every: int | None = config.sample_every
        self.eval_chars = min(num_held_out, FEWEST_SCORED)
        self._has_set_eval_chars = False
        if self.most_seconds is None:
            self._set_validations(0)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run under the current plan."""
        return self.plan[-1][1]

    def epoch(self, step: int) -> float:
        """Return the passes over the text up to a step."""
        return step / self.steps_per_epoch

    @property
    def step_seconds(self) -> float:
        """Seconds inside a step, measured or assumed."""
        return self.throughput.step_seconds or UNKNOWN_STEP_SECONDS

    @property
    def _is_eval_fixed(self) -> bool:
        """Whether `eval_chars` is final: all validations of a run score the same characters."""
        return self._has_set_eval_chars or self.throughput.eval_rate is not None

    def window(self) -> int:
        """Return the number of steps up to the next report."""
        seconds = self.throughput.step_seconds
        return 1 if seconds is None else max(1, int(REPORT_SECONDS / max(seconds, 1e-6)))

    def is_due(self, every: int | None, step: int) -> bool:
        """Return whether a cadence is due after this step; never at the end of the plan."""
        return bool(every) and step % (every or 1) == 0 and step < self.total_steps

    def is_anything_due(self, step: int) -> bool:
        """Return whether a validation, a save, a preview or the end follows this step."""
        cadences = (self.eval_every, self.save_every, self.sample_every)
        return step >= self.total_steps or any(self.is_due(every, step) for every in cadences)

    def plan_if_due(self, step: int) -> bool:
        """Make the plan once a few steps were timed; return whether it was made now."""
        tried = TRIED_SECONDS
        if self.most_seconds is not None:
            tried = min(tried, TRIED_SHARE * self.most_seconds)
        few = min(self.throughput.first_step + NUM_TRIED_STEPS, self.total_steps)
        seconds = self.throughput.session_seconds()
        if self.is_planned or step < few or (self.most_seconds and seconds < tried):
            return False
        self.is_planned = True
        self.throughput.mark(step)
        self._fit(step)
        self._set_cadences(step)
        return True

    def correct_if_due(self, step: int) -> bool:
        """Correct the plan after a part of its steps without a mark; return whether it moved."""
        if not self.is_planned or self.most_seconds is None:
            return False
        if self.throughput.steps_since_mark(step) < CHECKED_SHARE * self.total_steps:
            return False
        self.throughput.mark(step)
        return self.correct(step)

    def correct(self, step: int) -> bool:
        """Move the end of the plan to where the time will be used up; return whether it moved."""
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
        assert self.most_seconds is not None  # the callers have checked
        left = self.most_seconds - self.throughput.elapsed() - self.seconds_to_end()
        return max(1, int(left / self._wall_per_step()))

    def _wall_per_step(self) -> float:
        """Return recent wall seconds per step, validations and saves included."""
        measured = self.throughput.wall_per_step
        if measured is None:
            return self.step_seconds * (1 + 1.5 * OVERHEAD)
        return max(self.step_seconds * 0.5, measured)

    def _set_cadences(self, step: int) -> None:
        self._set_validations(step)
        self.save_every = self.save_every or max(1, round(SAVE_SECONDS / self.step_seconds))

    def _set_validations(self, step: int) -> None:
        run_cost, step_cost, scored_per_cost = self._costs(step)
        warm_up = self._num_warm_up if self.most_seconds is not None else 0
        if not self._is_eval_fixed:
            affordable = int(OVERHEAD * run_cost / NUM_VALIDATIONS * scored_per_cost) - warm_up
            self.eval_chars = min(self._num_held_out, max(FEWEST_SCORED, affordable))
            self._has_set_eval_chars = True
        steps_apart = (self.eval_chars + warm_up) / scored_per_cost / OVERHEAD / step_cost
        apart = max(1, self.total_steps // NUM_VALIDATIONS, math.ceil(steps_apart))
        self.eval_every = self.eval_every or apart
        if self.sample_every is None:
            self.sample_every = self.eval_every

    def _costs(self, step: int) -> tuple[float, float, float]:
        """Return the costs of the run and of a step, and the characters scored at a cost of 1.

        Costs are seconds with a time budget, else training characters.
        """
        if self.most_seconds is None:
            run_cost = self.total_steps * self._chars_per_step
            return run_cost, self._chars_per_step, SCORED_PER_TRAINED
        return self.forecast(step), self.step_seconds, self.throughput.scored_per_second

    def timing(self) -> Timing:
        """Return measurements and cadences for a checkpoint; the plan is stored beside them."""
        return replace(
            self.throughput.timing(),
            is_planned=self.is_planned,
            eval_every=self.eval_every,
            save_every=self.save_every,
            sample_every=self.sample_every,
            eval_chars=self.eval_chars if self._is_eval_fixed else None,
        )

    def resume(self, plan: Plan, timing: Timing) -> None:
        """Continue with the plan and the cadences of a checkpoint."""
        self.plan, self.is_planned = list(plan), timing.is_planned
        self.eval_every = self._config.eval_every or timing.eval_every or self.eval_every
        self.save_every = self._config.save_every or timing.save_every
        if self._config.sample_every is None and timing.sample_every is not None:
            self.sample_every = timing.sample_every
        self.eval_chars = min(self._num_held_out, timing.eval_chars or self.eval_chars)
        self._has_set_eval_chars = timing.eval_chars is not None

    def roll_back(self, step: int) -> None:
        """Drop the entries of the plan after a step that training has gone back to."""
        self.plan = [entry for entry in self.plan if entry[0] <= step]
        if self.total_steps >= UNKNOWN:
            self.is_planned = False

    def replan(self, step: int, *, plan_is_complete: bool) -> None:
        """Replace the plan of another budget, from `step` on.

        Args:
            step: Steps made so far.
            plan_is_complete: The old plan is complete, so that a new cycle begins.
        """
        if plan_is_complete and self.total_steps > step:
            self.plan.append((step, step))
        self.is_planned = False  # a few steps are timed before cadences and a time are planned
        self.eval_every, self.sample_every = self._config.eval_every, self._config.sample_every
        self.plan.append((step, max(step, self.most_steps or UNKNOWN)))
        if self.most_seconds is None:
            self._set_validations(step)

    def final_chars(self) -> int:
        """Return how many held-out characters the final evaluation scores, by each protocol."""
        if self.most_seconds is None:
            run_cost, _, scored_per_cost = self._costs(0)
        else:
            run_cost = max(self.most_seconds, self.throughput.elapsed())
            scored_per_cost = self.throughput.scored_per_second / self._slower_at_end
        affordable = int(FINAL_SHARE * run_cost * scored_per_cost / self._num_scores)
        fewest = max(FEWEST_SCORED, min(FEWEST_FINAL, FINAL_EXCESS * affordable))
        return min(self._num_held_out, max(fewest, affordable))

    def seconds_to_end(self) -> float:
        """Return the seconds after the last step: validation, final evaluations, two saves."""
        final = self.final_chars() * self._num_scores + self._num_warm_up
        read = self.num_read(self.eval_chars) + final * self._slower_at_end
        return read / self.throughput.scored_per_second + 2 * self.throughput.save_seconds

    @property
    def _slower_at_end(self) -> int:
        """How many times slower the final evaluations are: they are in float32."""
        return 1 if self._is_float32 else 2

    def num_read(self, num_scored: int) -> int:
        """Return the characters that a validation reads to score so many."""
        return num_scored + self._num_warm_up

    def forecast(self, step: int) -> float:
        """Return the seconds that the whole run will take."""
        left = max(0, self.total_steps - step)
        return self.throughput.elapsed() + left * self._wall_per_step() + self.seconds_to_end()

    def seconds_left(self, step: int) -> float | None:
        """Return the remaining seconds; None without a plan."""
        if not self.is_planned:
            return None
        left = max(0.0, self.forecast(step) - self.throughput.elapsed())
        if self.most_seconds is None:
            return left
        until = self._latest_end() - self.throughput.elapsed()
        return min(left, max(until, self.seconds_to_end()))

    def is_spent(self, step: int) -> bool:
        """Return whether the time is used up before the end of the plan."""
        if self.most_seconds is None or step >= self.total_steps or step == 0:
            return False
        return self.throughput.elapsed() + self.seconds_to_end() > self._latest_end()

    def _latest_end(self) -> float:
        """Return the seconds, since the start of the run, at which a time budget ends it."""
        assert self.most_seconds is not None
        return self.most_seconds + max(SLACK_SHARE * self.most_seconds, SLACK_SECONDS)


def make_budget(
    config: TrainConfig,
    corpus: Corpus,
    batches: Batches,
    throughput: Throughput,
    num_scores: int,
    is_float32: bool,
) -> Budget:
    """Return the budget of a run on a text."""
    return Budget(
        config,
        batches.steps_per_epoch,
        num_held_out(corpus),
        throughput,
        chars_per_step=corpus.num_train / batches.steps_per_epoch,
        is_float32=is_float32,
        num_scores=num_scores,
        num_warm_up=num_warm_up(corpus),
    )
