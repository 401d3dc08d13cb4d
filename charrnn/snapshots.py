"""A full checkpoint <-> all that training goes on from; what a checkpoint says of its run."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn import __version__
from charrnn.checkpoint import Model, check_tensors, is_finite, read_model
from charrnn.config import ModelConfig, TrainConfig, shapes
from charrnn.container import Facts, Tensors, are_counts
from charrnn.corpus import Corpus
from charrnn.errors import CheckpointError, InputError, printable
from charrnn.memory import Memory
from charrnn.progress import MOST_HALVINGS, End, Progress, Timing, from_json
from charrnn.schedule import BestSoFar, Plan

MOST_FILES, LONGEST_NAME = 100, 500
"""Names that a checkpoint keeps, and their characters; a header of all would be unreadable."""

LARGEST_NUMBER = float(np.finfo(np.float32).max)

LONGEST_SOURCES = 50_000
"""Bytes of all names of a run's texts; with more of them a resume has to name them."""

MOST_PLANNED = 100_000
"""Entries of a plan; with a correction at each of 20 validations a run has far fewer."""

MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """All that training goes on from."""

    tensors: Tensors
    """model/, raw/, optim/ and state/, float32, on the CPU."""
    progress: Progress
    plan: Plan
    best: BestSoFar
    timing: Timing


Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shipped:
    """The weights in the file to share."""

    weights: Weights
    loss: float
    """Of the validation that chose them."""
    step: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CorpusFacts:
    """What a checkpoint says of its text."""

    digest: str
    num_train: int
    """Characters of training text."""
    num_val: int
    files: list[str]
    """Names as they were given, the first hundred."""
    num_files: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A full checkpoint, opened to go on from."""

    path: Path
    model: Model
    config: TrainConfig
    state: State
    corpus: CorpusFacts
    threads: int | None
    """CPU threads that it was trained with."""
    precision: str | None
    processes: int = 1
    """How many trained it together."""
    shipped: Shipped | None = None
    """What the run's best file holds; None if no validation has chosen it, or it is lost."""
    end: End | None = None
    """How the run ended; None if it was cut short, or has a new budget since."""

    @property
    def is_over(self) -> bool:
        """Whether its plan has had its end."""
        return self.end is not None or self.state.progress.step >= self.state.plan[-1][1]


def load_snapshot(path: Path) -> Snapshot:
    """Open a full checkpoint to go on from.

    Raises:
        CheckpointError: It is damaged, foreign, newer, or holds only a model.
        InputError: There is no such file, or it cannot be read.
    """
    try:
        return parse_snapshot(path, *read_model(path))
    except CheckpointError as error:
        prefix = "" if str(error).startswith(printable(path)) else f"{printable(path)}: "
        raise type(error)(prefix + str(error)) from None


def parse_snapshot(path: Path, model: Model, others: Tensors) -> Snapshot:
    """Return a checkpoint's content as something to go on from.

    Raises:
        CheckpointError: It holds only a model, or its training state is not whole.
    """
    try:
        return _build(path, model, others)
    except (KeyError, TypeError, ValueError, AttributeError, InputError):
        raise CheckpointError("its description lacks something") from None


def _build(path: Path, model: Model, others: Tensors) -> Snapshot:
    facts = model.facts
    if facts["kind"] != "full":
        raise CheckpointError("it holds a model without its training; use --init-from")
    config = from_json(TrainConfig, facts["config"]["train"], "settings")
    if config.model(model.vocab.size) != model.config:
        raise CheckpointError("its settings are not those of its network")
    check_tensors(others, _training_shapes(model.config, others), largest=LARGEST_NUMBER)
    environment = facts["environment"]
    processes = environment.get("processes", 1)
    if facts.get("val_source") is not None:  # where --val-file was, from any folder
        config = replace(config, val_file=Path(_name(facts["val_source"])))
    return Snapshot(
        path=path,
        model=model,
        config=config,
        state=State(
            tensors=others | {f"model/{name}": array for name, array in model.weights.items()},
            progress=_progress(facts["progress"]),
            plan=_plan(facts["plan"]),
            best=from_json(BestSoFar, facts["validation"], "validation"),
            timing=from_json(Timing, facts["timing"], "timing"),
        ),
        corpus=from_json(CorpusFacts, facts["corpus"], "corpus"),
        threads=environment["threads"] if are_counts([environment["threads"]]) else None,
        precision=str(environment["precision"]),
        processes=processes if are_counts([processes]) else 1,
    )


def _name(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise CheckpointError("a name in it is none")
    return value


def _training_shapes(config: ModelConfig, others: Tensors) -> dict[str, tuple[int, ...]]:
    """Return the tensors that a full checkpoint has beside its model, for its own number of streams."""
    rows = others["state/h"].shape[1] if "state/h" in others and others["state/h"].ndim == 3 else 1
    result = {f"raw/{name}": shape for name, shape in shapes(config).items()}
    for name, shape in shapes(config).items():
        result |= {f"optim/{name}/{moment}": shape for moment in MOMENTS}
    for part in "hc" if config.cell == "lstm" else "h":
        result[f"state/{part}"] = (config.num_layers, rows, config.hidden_size)
    return result


def _progress(values: Any) -> Progress:
    progress = from_json(Progress, values, "progress")
    if progress.skipped > progress.step:
        raise CheckpointError("its progress says that more steps were skipped than made")
    if progress.halvings > MOST_HALVINGS:
        raise CheckpointError("its progress says that the rate was halved too often")
    return progress


def _plan(entries: Any) -> list[tuple[int, int]]:
    """Return a plan's entries: (from step, total steps), never going back."""
    if not isinstance(entries, list) or not 1 <= len(entries) <= MOST_PLANNED:
        raise CheckpointError("its plan is no list of steps")
    if not all(are_counts(e) and len(e) == 2 and e[0] <= e[1] < 2**63 for e in entries):
        raise CheckpointError("its plan is no list of steps")
    starts = [start for start, _ in entries]
    if starts[0] != 0 or starts != sorted(starts):
        raise CheckpointError("its plan is not in order")
    return [(start, total) for start, total in entries]


def describe(
    config: TrainConfig, model: ModelConfig, corpus: Corpus, environment: dict[str, Any]
) -> Facts:
    """Return what stays the same over a run: settings, text and machine."""
    return {
        "version": __version__,
        "config": {"model": asdict(model), "train": _plain(config)},
        "vocabulary": corpus.vocab.to_json(),
        "records": corpus.train_records is not None,
        "starts": [[symbol, count] for symbol, count in corpus.starts.items()],
        "corpus": {
            "digest": corpus.digest,
            "files": [name[-LONGEST_NAME:] for name in corpus.files[:MOST_FILES]],
            "num_files": len(corpus.files),
            "num_train": corpus.num_train,
            "num_val": corpus.num_val,
        },
        "environment": environment,
    }


def describe_sources(config: TrainConfig, corpus: Corpus) -> Facts:
    """Return where the texts are, as absolute names; nothing of that is in a file to share."""
    names = list(corpus.sources)
    is_short = len(json.dumps(json.dumps(names))) <= LONGEST_SOURCES
    return {
        "sources": names if is_short else [],
        "val_source": str(config.val_file.absolute()) if config.val_file else None,
    }


def describe_state(state: State) -> Facts:
    """Return what a full checkpoint says beside its tensors."""
    return {
        "plan": [list(entry) for entry in state.plan],
        "progress": asdict(state.progress),
        "validation": asdict(state.best),
        "timing": asdict(state.timing),
    }


def _plain(config: TrainConfig) -> dict[str, Any]:
    """Return the settings as JSON can hold them."""
    values = asdict(config)
    return values | {"val_file": str(config.val_file) if config.val_file else None}


def as_model(
    config: ModelConfig, corpus: Corpus, weights: Weights, memory: Memory | None = None
) -> Model:
    """Return weights as what a sampler opens."""
    return Model(
        config=config,
        weights=weights,
        vocab=corpus.vocab,
        records=corpus.train_records is not None,
        starts=corpus.starts,
        memory=memory,
        facts={},
    )


def are_finite(tensors: Mapping[str, NDArray[Any]]) -> bool:
    """Say whether every number of every tensor is finite."""
    return all(is_finite(array) for array in tensors.values())
