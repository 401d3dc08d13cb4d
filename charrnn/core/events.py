"""Events that training yields. Losses are nats per character, times are seconds."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """What a text costs a model, as it is reported."""

    protocol: str
    """How the text was read: streamed, cold-256, records."""
    chars: int
    """Symbols scored."""
    loss: float
    """Nats per symbol, of network and memory."""
    network_loss: float
    """Of the network alone; equal without a memory."""
    bits_per_char: float | None
    """None for bytes that are no UTF-8."""
    bits_per_byte: float | None
    perplexity: float
    memory: float
    """Mean share of the memory in the mix; 0 without."""
    signature: str
    """All that the figures depend on beside weights and text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """Everything is ready; the next step comes."""

    step: int
    """Steps that were made before: 0, or where a resumed run goes on."""
    num_parameters: int
    steps_per_epoch: int
    device: str
    precision: str
    threads: int
    """Of each process."""
    processes: int = 1
    """That train together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """How many steps there will be, and how often what happens; again when a plan is corrected."""

    step: int
    total_steps: int
    seconds: float | None
    """Forecast of the whole run."""
    eval_every: int
    save_every: int
    sample_every: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """Some optimiser updates were made: the newest one, and means since the last report."""

    step: int
    total_steps: int
    epoch: float
    loss: float | None
    """None if every update since the last report was left out."""
    lr: float
    grad_norm: float | None
    skipped: int
    """Updates left out since the start, because a gradient was not finite."""
    chars_per_second: float | None
    """Over the whole run, inside steps, without the first three."""
    seconds: float
    seconds_left: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluated:
    """The averaged weights were tried on held-out text."""

    step: int
    loss: float
    """Of what is shipped: with the memory, if there is one."""
    network_loss: float
    """Of the network alone."""
    chars: int
    """Characters scored."""
    protocol: str
    """How they were read: streamed, cold-256 or records."""
    is_best: bool
    is_final: bool
    """Over all of the held-out text, in float32: the figure to report."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampled:
    """A preview: what the network writes now. Same prompt and seed each time."""

    step: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Saved:
    """A file is safely on disk."""

    step: int
    path: Path
    is_best: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class SaveFailed:
    """A file could not be written; training goes on, and the next save tries again."""

    step: int
    path: Path
    """The run's folder."""
    reason: str
    newest: str | None
    """Name of the newest full checkpoint that is there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RolledBack:
    """Training had diverged, and goes on from its last good state."""

    step: int
    """Where it was noticed."""
    good_step: int
    lr: float
    """The new peak of the learning rate, half of the one before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """Training is over."""

    step: int
    epoch: float
    stop_reason: str
    """finished, early_stop, max_time, signal or requeue."""
    unit: str
    """What a loss is counted over: character or byte."""
    val_loss: float | None
    """Of the model that is shipped, streamed."""
    bits_per_char: float | None
    scores: tuple[Figures, ...]
    """Of the shipped model, by every protocol; none where nothing is held out."""
    advice: str
    """What the losses say of how well the network fits the text; empty without."""
    train_loss: float | None
    chars_per_second: float | None
    seconds: float


Event = Started | Planned | Step | Evaluated | Sampled | Saved | SaveFailed | RolledBack | Finished
