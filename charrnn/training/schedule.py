"""Learning rate from step and plan: warm-up, decay, cycles; the limits of a budget."""

import math

from charrnn.checkpoints.metadata import Plan

DEFAULT_EPOCHS = 40.0
DEFAULT_SECONDS = 600.0

UNKNOWN = 1_000_000_000
"""Total steps of a plan for a time budget, before the first steps were timed."""

LATER_PEAK = 0.5
"""Peak learning rate of the second and all later cycles, as a fraction of the first peak."""


def position(step: int, plan: Plan) -> tuple[int, float]:
    """Return the cycle of a step, from 0, and the progress through that cycle, from 0 to 1.

    Each entry of the plan continues from the progress that the previous one had reached, and
    reaches 1 at its own total. So a correction changes the slope of the progress, never its value.
    """
    cycle, done = 0, 0.0
    for i, (start, total) in enumerate(plan):
        if i and start >= plan[i - 1][1]:
            cycle, done = cycle + 1, 0.0
        following = plan[i + 1][0] if i + 1 < len(plan) else None
        end = step if following is None else min(step, following)
        done += (1.0 - done) * min(1.0, max(0, end - start) / max(1, total - start))
        if following is None or step < following:
            break
    return cycle, done


def learning_rate(step: int, plan: Plan, peak: float, warmup_steps: int, rule: int = 4) -> float:
    """Return the learning rate of a step: linear warm-up, then a straight line to 0.

    Before rule 4 it was half a cosine.

    Args:
        step: From 0.
        plan: (from step, total steps) of the first plan and of each correction.
        peak: Highest rate of the first cycle.
        warmup_steps: Length of the warm-up; at most a tenth of the plan.
        rule: The setting `step_rule` of the run.
    """
    warmup = min(warmup_steps, plan[-1][1] // 10)
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    cycle, done = position(step, plan)
    height = LATER_PEAK if cycle else 1.0
    left = 1.0 - done if rule > 3 else 0.5 * (1.0 + math.cos(math.pi * done))
    return peak * height * rise * left


def steps_for_budget(
    epochs: float | None, steps: int | None, max_time: float | None, steps_per_epoch: int
) -> tuple[int | None, float | None]:
    """Return the largest number of steps and of seconds of a run; None is no limit."""
    if steps is not None:
        return steps, max_time
    if epochs is None and max_time is None:
        epochs, max_time = DEFAULT_EPOCHS, DEFAULT_SECONDS
    if epochs is None:
        return None, max_time
    return max(1, round(epochs * steps_per_epoch)), max_time
