"""Load and validate full training state; the state digest."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.checkpoints.format import JsonObject, Tensors
from charrnn.checkpoints.metadata import (
    CorpusMetadata,
    End,
    Environment,
    Plan,
    Progress,
    parse_plan,
)
from charrnn.checkpoints.model import Model, check_tensors, is_finite, read_model
from charrnn.checkpoints.parsing import parse_dataclass
from charrnn.core.config import HISTORICAL, MAY_CHANGE, TrainConfig
from charrnn.core.errors import CheckpointError, InputError, printable
from charrnn.nn.architecture import ModelConfig, shapes
from charrnn.nn.state import part_shapes

MOST_HALVINGS = 3
"""Times that a diverged run returns to its last good state with half the learning rate."""

LARGEST_NUMBER = float(np.finfo(np.float32).max)

MOMENTS = ("exp_avg", "exp_avg_sq")

Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """Measured times and the cadences that follow from them; they do not affect what is learned."""

    seconds: float = 0.0
    """Since the first step, over all sessions."""
    is_planned: bool = False
    eval_every: int | None = None
    save_every: int | None = None
    sample_every: int | None = None
    eval_chars: int | None = None
    num_timed: int = 0
    """Steps that were timed."""
    chars_timed: int = 0
    seconds_timed: float = 0.0
    scored_per_second: float | None = None
    """Characters per second of validation."""


@dataclass(slots=True)
class BestSoFar:
    """The lowest validation loss, and the number of validations since that were not better."""

    loss: float | None = None
    step: int = 0
    num_worse: int = 0
    evaluated: int = 0
    """Step of the last validation."""

    def update(self, loss: float, step: int) -> bool:
        """Record a validation; return whether it is the best so far. A NaN never is."""
        self.evaluated = step
        if math.isfinite(loss) and (self.loss is None or loss < self.loss):
            self.loss, self.step, self.num_worse = loss, step, 0
            return True
        self.num_worse += 1
        return False


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """All that training continues from."""

    tensors: Tensors
    """model/, raw/, optim/ and state/, float32, on the CPU."""
    progress: Progress
    plan: Plan
    best: BestSoFar
    timing: Timing


@dataclass(frozen=True, kw_only=True, slots=True)
class BestModel:
    """The weights in a run's best.safetensors."""

    weights: Weights
    loss: float
    """Validation loss that chose them."""
    step: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A full checkpoint, loaded to continue training."""

    path: Path
    model: Model
    config: TrainConfig
    state: State
    corpus: CorpusMetadata
    environment: Environment
    best_model: BestModel | None = None
    """None if no validation has chosen it, or its file is lost."""
    end: End | None = None
    """None if the run was interrupted, or was given a larger budget since."""

    @property
    def plan_is_complete(self) -> bool:
        """Whether training has reached the end of its plan."""
        return self.end is not None or self.state.progress.step >= self.state.plan[-1][1]


def load_snapshot(path: Path) -> Snapshot:
    """Load a full checkpoint to continue training.

    Raises:
        CheckpointError: It is damaged, foreign, of a newer format, or has no training state.
        InputError: There is no such file, or it cannot be read.
    """
    try:
        return parse_snapshot(path, *read_model(path))
    except CheckpointError as error:
        prefix = "" if str(error).startswith(printable(path)) else f"{printable(path)}: "
        raise type(error)(prefix + str(error)) from None


def parse_snapshot(path: Path, model: Model, others: Tensors) -> Snapshot:
    """Return the training state of a checkpoint that is loaded.

    Raises:
        CheckpointError: Its training state is missing or malformed.
    """
    try:
        return _build(path, model, others)
    except (KeyError, TypeError, ValueError, AttributeError, InputError):
        raise CheckpointError("its metadata is incomplete") from None


def _build(path: Path, model: Model, others: Tensors) -> Snapshot:
    metadata, raw = model.metadata, model.metadata.raw
    if metadata.kind != "full":
        raise CheckpointError(
            "it has no training state; start a new run from its weights: --init-from"
        )
    config, corpus, environment = model.train_config(), metadata.corpus, metadata.environment
    if corpus is None or environment is None:
        raise CheckpointError("its metadata is incomplete")
    if ModelConfig.from_settings(config, model.vocab.size) != model.config:
        raise CheckpointError("its settings do not match its network")
    check_tensors(others, _training_shapes(model.config, others), largest=LARGEST_NUMBER)
    if raw.get("val_source") is not None:  # absolute, so that a resume may start in any folder
        config = replace(config, val_file=Path(_name(raw["val_source"])))
    return Snapshot(
        path=path,
        model=model,
        config=config,
        state=State(
            tensors=others | {f"model/{name}": array for name, array in model.weights.items()},
            progress=_progress(raw["progress"]),
            plan=parse_plan(raw["plan"]),
            best=parse_dataclass(BestSoFar, raw["validation"], "validation"),
            timing=parse_dataclass(Timing, raw["timing"], "timing"),
        ),
        corpus=corpus,
        environment=environment,
    )


def _name(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise CheckpointError("a path in it is not valid")
    return value


def _training_shapes(config: ModelConfig, others: Tensors) -> dict[str, tuple[int, ...]]:
    """Return name and shape of each tensor of training state, for the number of streams in it."""
    result = {f"raw/{name}": shape for name, shape in shapes(config).items()}
    for name, shape in shapes(config).items():
        result |= {f"optim/{name}/{moment}": shape for moment in MOMENTS}
    return result | {
        f"state/{n}": shape for n, shape in part_shapes(config, num_streams(others)).items()
    }


def num_streams(tensors: Tensors) -> int:
    """Return the number of streams whose state is among the tensors; 1 if that is malformed."""
    parts = [array for name, array in tensors.items() if name.startswith("state/")]
    return parts[0].shape[1] if parts and parts[0].ndim > 1 else 1


def _progress(values: Any) -> Progress:
    progress = parse_dataclass(Progress, values, "progress")
    if progress.skipped > progress.step:
        raise CheckpointError("its progress: more steps are skipped than made")
    if progress.halvings > MOST_HALVINGS:
        raise CheckpointError("its progress: the learning rate was halved too often")
    return progress


def are_finite(tensors: Mapping[str, NDArray[Any]]) -> bool:
    """Return whether all values of all tensors are finite."""
    return all(is_finite(array) for array in tensors.values())


def state_digest(tensors: Mapping[str, NDArray[Any]], raw: JsonObject) -> str:
    """Return the SHA-256 over all that decides how training continues, in hex.

    Two checkpoints with the same digest continue identically, bit for bit. It leaves out times,
    metrics, machine, file names and validation results, and each setting or count that has its
    default, so that a setting that is added later changes no earlier digest.
    """
    train = _without_defaults(raw["config"].get("train", {}), TrainConfig, HISTORICAL)
    corpus = {key: raw["corpus"].get(key) for key in ("digest", "num_train", "num_val")}
    content = {key: raw.get(key) for key in ("vocabulary", "memory", "plan")} | {
        "model": raw["config"]["model"],
        "train": {name: value for name, value in train.items() if name not in MAY_CHANGE},
        "corpus": corpus,
        "progress": _without_defaults(raw["progress"], Progress),
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name, array in sorted(tensors.items()):
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()


def _without_defaults(
    values: Mapping[str, Any], kind: Any, historical: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return values without those at their default, or at the one that a file without it means."""
    defaults = {field.name: field.default for field in fields(kind)} | dict(historical or {})
    return {name: v for name, v in values.items() if name not in defaults or defaults[name] != v}
