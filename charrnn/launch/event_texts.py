"""Events in words: lines of progress, warnings, and the summary of a run."""

from charrnn.core.console import (
    count_text,
    figures_text,
    loss_text,
    perplexity_text,
    speed_text,
    time_text,
)
from charrnn.core.events import (
    PSEUDO,
    Evaluated,
    Figures,
    Finished,
    RolledBack,
    SaveFailed,
    Started,
    Step,
    ThreadsChanged,
)
from charrnn.evaluation.diagnosis import split_advice
from charrnn.nn.device import precision_text

LEAST_BAR = 18
"""Columns of percentage and bar, beside the text."""

REASONS = {
    "early_stop": "stopped early: no improvement",
    "max_time": "time is up",
    "signal": "stopped by a signal",
    "requeue": "stopped by a signal, to be restarted",
}
"""Reasons to stop before the end of the plan, in words."""


def started_text(event: Started) -> str:
    """Return one line about network and machine."""
    threads = f", {count_text(event.threads, 'thread')}" if event.device == "cpu" else ""
    if event.processes > 1:
        threads += f", {event.processes} processes"
    steps = count_text(event.steps_per_epoch, "step")
    return (
        f"{event.num_parameters:,} parameters, {steps} an epoch, "
        f"on {event.device} in {precision_text(event.device, event.precision)}{threads}"
    )


def step_text(event: Step, validation: Evaluated | None) -> str:
    """Return one line of progress for a log."""
    total = f"/{event.total_steps}" if event.seconds_left is not None else ""
    text = (
        f"step {event.step}{total} epoch {event.epoch:.2f} loss {loss_text(event.loss)} "
        f"{validation_text(validation, 'with n-gram memory')} "
        f"{speed_text(event.chars_per_second)} "
        f"left {time_text(event.seconds_left)}"
    )
    return text + (f" skipped {event.skipped}" if event.skipped else "")


def bar_text(event: Step, validation: Evaluated | None, width: int) -> str:
    """Return the text on the progress bar; on a narrow terminal the passes are left out."""
    parts = [
        f"epoch {event.epoch:.2f}",
        f"loss {loss_text(event.loss)}",
        validation_text(validation, "with memory"),
        speed_text(event.chars_per_second),
        f"{time_text(event.seconds_left)} left",
    ]
    text = ", ".join(parts)
    return text if len(text) + LEAST_BAR <= width else ", ".join(parts[1:])


def validation_text(event: Evaluated | None, with_memory: str) -> str:
    """Return the validation loss of the network alone, and after it that with the n-gram memory."""
    if event is None:
        return f"val {loss_text(None)}"
    name = PSEUDO if event.protocol == PSEUDO else "val"
    text = f"{name} {loss_text(event.network_loss)}"
    has_memory = event.loss != event.network_loss
    return text + (f" {with_memory} {loss_text(event.loss)}" if has_memory else "")


def save_failed_text(event: SaveFailed) -> str:
    """Return the warning about a failed save."""
    return (
        f"{event.path}: not saved at step {event.step}: {event.reason}; training continues "
        f"and tries again; the newest good checkpoint is {event.newest or 'none'}"
    )


def threads_text(event: ThreadsChanged) -> str:
    """Return the line about another number of threads."""
    return (
        f"step {event.step:,}: {count_text(event.threads, 'thread')} from now on, "
        f"{speed_text(event.chars_per_second)} instead of {event.previous:,.0f}"
    )


def rolled_back_text(event: RolledBack) -> str:
    """Return the warning about a divergence."""
    return (
        f"diverged at step {event.step}; continues from step {event.good_step} "
        f"with half the learning rate, {event.lr:g}"
    )


def last_evaluation_text(event: Step) -> str:
    """Return what follows the last step, and about how long it takes."""
    return f"trained; evaluating the held-out text, about {time_text(event.seconds_left)}"


def finished_rows(event: Finished, *, is_pseudo: bool = False) -> list[tuple[str, str]]:
    """Return the summary of a run: verdict, validation loss, n-gram memory, time and speed.

    Args:
        event: The end of the run.
        is_pseudo: Whether its loss is a pseudo-likelihood.
    """
    rows = [("result", REASONS.get(event.stop_reason, event.stop_reason))]
    verdict, memory_is_left_out = split_advice(event.advice)
    if verdict:
        rows.append(("verdict", verdict))
    if event.val_loss is not None:
        words = perplexity_text(event.val_loss, event.unit)
        loss = f"{event.val_loss:.4f} nats per {event.unit}"
        given = ", given both sides of each" * is_pseudo
        rows.append((PSEUDO if is_pseudo else "validation loss", f"{loss}{given}: {words}"))
    if memory_is_left_out:
        rows.append(("n-gram memory", "left out: it makes the validation loss worse"))
    elif event.scores and event.scores[0].memory:
        rows.append(("n-gram memory", memory_text(event.scores[0], event.unit)))
    steps = f"{count_text(event.step, 'step')} ({event.epoch:.2f} passes over the text)"
    time = f"{time_text(event.seconds)}, {speed_text(event.chars_per_second)}"
    return [*rows, ("training", f"{steps} in {time}")]


def memory_text(figures: Figures, unit: str) -> str:
    """Return what the n-gram memory contributes to a loss."""
    alone = perplexity_text(figures.network_loss, unit)
    change = "lowers" if figures.loss < figures.network_loss else "changes"
    return (
        f"{change} the loss from {figures.network_loss:.4f} to {figures.loss:.4f}; the network "
        f"alone is {alone}"
    )


def detail_rows(event: Finished) -> list[tuple[str, str]]:
    """Return training loss, the losses by every protocol, and their signatures."""
    rows = []
    if event.train_loss is not None:
        rows.append(("training loss", f"{loss_text(event.train_loss)} nats per {event.unit}"))
    for each in event.scores:
        rows.append((protocol_text(each.protocol), figures_text(each, event.unit)))
    return rows + [("signature", each.signature) for each in event.scores]


def protocol_text(name: str) -> str:
    """Return the name of a loss on held-out text."""
    return name if name == PSEUDO else f"validation loss, {name}"
