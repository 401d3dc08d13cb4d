"""Plan for a budget; (step, plan) -> learning rate; early stopping."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

DEFAULT_EPOCHS = 40.0
DEFAULT_SECONDS = 600.0

UNKNOWN = 1_000_000_000
"""Total of a plan for a time budget before the first steps were timed."""

Plan = Sequence[tuple[int, int]]
"""(from step, total steps) in order of the first: what was planned, and each correction since."""


def phase(step: int, plan: Plan) -> float:
    """Return how far through its plan a step is, from 0 to 1.

    Each entry goes on from the phase that the one before had reached, and comes to 1 at its own
    total; so a correction bends the line and never breaks it.
    """
    done = 0.0
    for i, (start, total) in enumerate(plan):
        following = plan[i + 1][0] if i + 1 < len(plan) else None
        end = step if following is None else min(step, following)
        done += (1.0 - done) * min(1.0, max(0, end - start) / max(1, total - start))
        if following is None or step < following:
            break
    return done


def learning_rate(step: int, plan: Plan, peak: float, warmup_steps: int) -> float:
    """Return the rate of a step: linear warm-up, then half a cosine to zero at the plan's end.

    The warm-up takes at most a tenth of the plan.
    """
    warmup = min(warmup_steps, plan[-1][1] // 10)
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    return peak * rise * 0.5 * (1.0 + math.cos(math.pi * phase(step, plan)))


def steps_for_budget(
    epochs: float | None, steps: int | None, max_time: float | None, steps_per_epoch: int
) -> tuple[int | None, float | None]:
    """Return the most steps and the most seconds that a run may take; None is no limit."""
    if steps is not None:
        return steps, max_time
    if epochs is None and max_time is None:
        epochs, max_time = DEFAULT_EPOCHS, DEFAULT_SECONDS
    if epochs is None:
        return None, max_time
    return max(1, round(epochs * steps_per_epoch)), max_time


@dataclass(slots=True)
class BestSoFar:
    """The lowest validation loss, and for how many validations nothing was better."""

    loss: float | None = None
    step: int = 0
    num_worse: int = 0

    def update(self, loss: float, step: int) -> bool:
        """Take in a validation; say whether it is the best so far. A NaN never is."""
        if math.isfinite(loss) and (self.loss is None or loss < self.loss):
            self.loss, self.step, self.num_worse = loss, step, 0
            return True
        self.num_worse += 1
        return False
