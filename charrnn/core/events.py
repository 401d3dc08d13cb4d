"""Events that training yields. Losses are nats per character, times are seconds."""

from dataclasses import dataclass
from pathlib import Path

PSEUDO = "pseudo-likelihood"
"""Name of the loss of a model of both directions: it sees all other characters of the text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """Losses of a model on a text, by one protocol."""

    protocol: str
    """How the text is cut and read: streamed, cold-256, records or pseudo-likelihood."""
    chars: int
    """Symbols scored."""
    loss: float
    """Nats per symbol, of network and n-gram memory together."""
    network_loss: float
    """Nats per symbol, of the network alone; equal to `loss` without a memory."""
    bits_per_char: float | None
    """None for bytes that are not UTF-8, and for a pseudo-likelihood."""
    bits_per_byte: float | None
    perplexity: float
    memory: float
    """Mean weight of the n-gram memory in the mixture; 0 without a memory."""
    signature: str
    """Everything that the figures depend on, besides weights and text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """Model and text are ready; the first step follows."""

    step: int
    """Steps made before: 0 in a new run."""
    num_parameters: int
    steps_per_epoch: int
    device: str
    precision: str
    threads: int
    """CPU threads of each process."""
    processes: int = 1
    """World size."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """Number of steps, and intervals of validations, saves and previews; again if corrected."""

    step: int
    total_steps: int
    seconds: float | None
    """Forecast of the duration of the whole run."""
    eval_every: int
    save_every: int
    sample_every: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """Optimiser updates since the last report: the newest step, and means."""

    step: int
    total_steps: int
    epoch: float
    loss: float | None
    """Training loss; None if every update since the last report was skipped."""
    lr: float
    grad_norm: float | None
    skipped: int
    """Updates skipped since the start, because a gradient was not finite."""
    chars_per_second: float | None
    """Training speed over the whole run, without the first three steps."""
    seconds: float
    seconds_left: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluated:
    """Validation: the averaged weights, scored on held-out text."""

    step: int
    loss: float
    """Nats per character, with the n-gram memory if there is one."""
    network_loss: float
    """Nats per character, of the network alone."""
    chars: int
    """Characters scored."""
    protocol: str
    """How the text is cut and read: streamed, cold-256 or records."""
    is_best: bool
    is_final: bool
    """Over all held-out text, in float32: the figure to report."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampled:
    """A preview: text sampled from the current network, with the same prompt and seed each time."""

    step: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Saved:
    """A checkpoint is on disk."""

    step: int
    path: Path
    is_best: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class SaveFailed:
    """A checkpoint could not be written; training continues, and the next save tries again."""

    step: int
    path: Path
    """Folder of the run."""
    reason: str
    newest: str | None
    """File name of the newest full checkpoint; None without one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RolledBack:
    """Training diverged, and continues from its last good state."""

    step: int
    """The step that diverged."""
    good_step: int
    """The step of the good state."""
    lr: float
    """The new peak learning rate, half of the old one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ThreadsChanged:
    """Another number of CPU threads was faster; only in runs with a time budget."""

    step: int
    threads: int
    """CPU threads from now on."""
    chars_per_second: float
    """Training speed with them, in the comparison."""
    previous: float
    """Training speed with the number before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """Training has ended."""

    step: int
    epoch: float
    stop_reason: str
    """finished, early_stop, max_time, signal or requeue."""
    unit: str
    """Unit of a loss: character or byte."""
    val_loss: float | None
    """Validation loss of the best model, streamed."""
    bits_per_char: float | None
    scores: tuple[Figures, ...]
    """Of the best model, one for each protocol; empty without held-out text."""
    advice: str
    """Diagnosis from the losses, in a sentence; may be empty."""
    train_loss: float | None
    chars_per_second: float | None
    seconds: float
    fit: str = ""
    """The diagnosis in one word: underfitting, overfitting, good, known or random; may be empty."""


Event = (
    Started
    | Planned
    | Step
    | Evaluated
    | Sampled
    | Saved
    | SaveFailed
    | RolledBack
    | ThreadsChanged
    | Finished
)
