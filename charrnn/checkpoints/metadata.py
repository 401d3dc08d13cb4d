"""Metadata of a checkpoint file: its JSON object as typed values.

A part that is missing or malformed is None: a model samples without its history. Training state
is checked strictly, in `state`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from charrnn.checkpoints.format import JsonObject, are_counts, read_json
from charrnn.checkpoints.parsing import parse_part
from charrnn.core.config import CELLS, DIRECTIONS, LONGEST_CONTEXT, LONGEST_PAST
from charrnn.core.errors import CheckpointError, InputError, printable
from charrnn.nn.architecture import ModelConfig

T = TypeVar("T")

MOST_LAYERS = 64

MOST_PLANNED = 100_000
"""Entries of a plan; with a correction at each of 20 validations a run has far fewer."""

STOP_REASONS = ("finished", "early_stop", "max_time")
"""How a run ends if nothing interrupts it."""

Plan = Sequence[tuple[int, int]]
"""(from step, total steps), ascending by the first: the first plan and each correction.

An entry that begins where the one before ends starts a new cycle: a finished run that was given a
larger budget. (s, s) ends a cycle early, at step s.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class CorpusMetadata:
    """The text that a model was trained on."""

    digest: str
    files: list[str]
    """Names as they were given, the first hundred."""
    num_files: int
    num_train: int
    """Characters of training text."""
    num_val: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Metrics:
    """Losses in nats per character, and the speed of training."""

    val_loss: float | None = None
    train_loss: float | None = None
    chars_per_second: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Counts that decide how training continues."""

    step: int = 0
    """Optimiser updates, skipped ones included."""
    skipped: int = 0
    """Updates skipped because their gradients were not finite."""
    skipped_in_a_row: int = 0
    halvings: int = 0
    """Times that the learning rate was halved after training had diverged."""
    loss_scale: float | None = None
    """Of the fp16 scaler; None without one."""
    scale_growth: int | None = None
    """Updates since the scale last changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BestValidation:
    """The validation that chose the best model."""

    loss: float
    step: int


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """How a run has ended: the figures that `train` printed."""

    step: int
    epoch: float
    val_loss: float | None
    bits_per_char: float | None
    chars_per_second: float | None
    seconds: float
    stop_reason: str

    def __post_init__(self) -> None:
        if self.stop_reason not in STOP_REASONS:
            raise InputError("not a reason for which a run ends")


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """What results depend on besides settings and text."""

    device: str
    precision: str
    threads: int | None
    """CPU threads of each process."""
    processes: int | None = None
    """World size; a file without it was written by one process."""
    python: str | None = None
    torch: str | None = None
    numpy: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Metadata:
    """What a checkpoint records besides the model; None or empty where it records nothing."""

    version: str | None = None
    """Of the charrnn that wrote it."""
    kind: str | None = None
    """`full` with training state, `model` without."""
    sha256: str | None = None
    parent: str | None = None
    """SHA-256 of the checkpoint that training started from (--init-from)."""
    network: ModelConfig | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Training settings by name, as written: a later version may know more names."""
    corpus: CorpusMetadata | None = None
    metrics: Metrics = Metrics()
    progress: Progress | None = None
    plan: Plan | None = None
    best: BestValidation | None = None
    """Only in a best model that a validation has chosen."""
    end: End | None = None
    """Only in the best model of a run that has ended."""
    environment: Environment | None = None
    sources: list[str] = field(default_factory=list)
    """Absolute paths of the training texts; only in a full checkpoint."""
    val_source: str | None = None
    """Absolute path of --val-file; only in a full checkpoint."""
    raw: JsonObject = field(default_factory=dict)
    """The JSON object in the file."""

    @property
    def direction(self) -> str:
        """Order in which the model reads, as written: forward, backward or both."""
        return str(self.settings.get("direction", "forward"))


def read_metadata(path: Path) -> Metadata:
    """Read the metadata of a checkpoint file; neither its tensors nor its hash.

    Raises:
        CheckpointError: It is no checkpoint, or its header is damaged.
        InputError: It does not exist, is no regular file, or cannot be read.
    """
    return parse_metadata(read_json(path))


def parse_metadata(raw: JsonObject) -> Metadata:
    """Return the metadata in a checkpoint's JSON object."""
    texts = {name: raw.get(name) for name in ("version", "kind", "sha256", "parent", "val_source")}
    config, sources = _mapping(raw.get("config")), raw.get("sources")
    are_names = isinstance(sources, list) and all(isinstance(name, str) for name in sources)
    return Metadata(
        **{name: text for name, text in texts.items() if isinstance(text, str)},
        network=_or_none(parse_network, config.get("model")),
        settings=_mapping(config.get("train")),
        corpus=parse_part(CorpusMetadata, raw.get("corpus")),
        metrics=parse_part(Metrics, raw.get("metrics")) or Metrics(),
        progress=parse_part(Progress, raw.get("progress")),
        plan=_or_none(parse_plan, raw.get("plan")),
        best=parse_part(BestValidation, raw.get("shipped")),
        end=parse_part(End, raw.get("end")),
        environment=parse_part(Environment, raw.get("environment")),
        sources=sources if are_names and sources else [],
        raw=raw,
    )


def parse_network(values: Mapping[str, Any]) -> ModelConfig:
    """Return the sizes of a checkpoint's network.

    Raises:
        CheckpointError: A size is out of range, or the cell unknown.
        TypeError: A size is missing, or its name unknown.
    """
    config = ModelConfig(**values)
    sizes = {name: value for name, value in config.to_json().items() if name != "cell"}
    if config.cell not in CELLS:
        raise CheckpointError(f"its cell is unknown: {printable(config.cell)[:40]!r}")
    for name, value in sizes.items():
        longest = {"attention": LONGEST_PAST, "context": LONGEST_CONTEXT}
        most = {"num_layers": MOST_LAYERS, "num_directions": 2, **longest}.get(name, 65_536)
        if type(value) is not int or not 1 <= value <= most:
            raise CheckpointError(f"{name} is {printable(value)[:40]}")
    if why := config.mistake():
        raise CheckpointError(why)
    return config


def check_direction(metadata: Metadata) -> None:
    """Check that a model reads in a direction that this version knows, and its network has.

    Raises:
        CheckpointError: It does not.
    """
    if metadata.direction not in DIRECTIONS:
        raise CheckpointError(f"its direction is unknown: {printable(metadata.direction)[:40]!r}")
    num_directions = 2 if metadata.direction == "both" else 1
    if metadata.network and metadata.network.num_directions != num_directions:
        raise CheckpointError("its direction is not that of its network")


def parse_plan(entries: Any) -> list[tuple[int, int]]:
    """Return a plan's entries: (from step, total steps), never going back.

    Raises:
        CheckpointError: They are no such pairs.
    """
    if not isinstance(entries, list) or not 1 <= len(entries) <= MOST_PLANNED:
        raise CheckpointError("its plan is not a list of steps")
    if not all(are_counts(e) and len(e) == 2 and e[0] <= e[1] < 2**63 for e in entries):
        raise CheckpointError("its plan is not a list of steps")
    starts = [start for start, _ in entries]
    if starts[0] != 0 or starts != sorted(starts):
        raise CheckpointError("its plan is not in order")
    return [(start, total) for start, total in entries]


def _or_none(parse: Callable[[Any], T], value: object) -> T | None:
    try:
        return parse(value)
    except (CheckpointError, TypeError, RecursionError):
        return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
