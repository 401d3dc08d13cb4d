"""Write full checkpoints and the best model; report failed saves."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from charrnn import __version__
from charrnn.checkpoints.format import JsonObject, pack
from charrnn.checkpoints.metadata import Plan
from charrnn.checkpoints.run_folder import Run
from charrnn.checkpoints.state import State, Weights
from charrnn.core.config import TrainConfig, without_neutral
from charrnn.core.errors import CharRNNError, printable, reason_of
from charrnn.core.events import Finished, Saved, SaveFailed
from charrnn.data.corpus import Corpus
from charrnn.ngram.model import NgramModel
from charrnn.nn.architecture import ModelConfig
from charrnn.nn.distributed import ALONE, World
from charrnn.training.transfer import Initial

MOST_FILES, LONGEST_NAME = 100, 500
"""File names in a checkpoint, and characters of each; more would make its header unreadable."""

LONGEST_SOURCES = 50_000
"""Bytes of all paths of the training texts; longer lists are left out, and a resume needs the
paths on its command line."""


class Checkpointer:
    """Writes checkpoints of one run.

    Args:
        run: The run folder; None writes nothing.
        metadata: Metadata of every checkpoint of the run, as from `describe`.
        sources: Paths of the texts, for full checkpoints only, as from `describe_sources`.
        memory: n-gram model, stored in every checkpoint.
        world: The processes that train together.
    """

    def __init__(
        self,
        run: Run | None,
        metadata: JsonObject,
        sources: JsonObject,
        memory: NgramModel | None = None,
        world: World = ALONE,
    ) -> None:
        self.run, self.sources, self._world = run, sources, world
        self.metadata = metadata | {"memory": memory.metadata() if memory else None}
        self.memory = memory.tensors() if memory else {}
        self.last_saved = 0
        """Step of the newest full checkpoint."""
        self.is_best_due = False
        """Whether the best model must be written again, because that failed."""
        self.failed: SaveFailed | None = None
        """The last save, if it failed."""

    def save_state(self, state: State, metrics: dict[str, Any]) -> list[Saved | SaveFailed]:
        """Write a full checkpoint; return the result as an event, none without a run."""
        metadata = self.metadata | self.sources | describe_state(state)
        metadata |= {"kind": "full", "metrics": metrics}
        step, tensors = state.progress.step, state.tensors | self.memory
        result = self._write(step, lambda run: run.save_step(step, pack(tensors, metadata)))
        self.failed = result if isinstance(result, SaveFailed) else None
        if self.failed is None:
            self.last_saved = step
        return [result] if result else []

    def save_best(
        self,
        weights: Weights,
        step: int,
        plan: Plan,
        metrics: dict[str, Any],
        *,
        loss: float | None = None,
        end: Finished | None = None,
        memory_hurts: bool = False,
    ) -> list[Saved | SaveFailed]:
        """Write the best model; return the result as an event, none without a run.

        Args:
            weights: Named as in shapes(config).
            step: Number of updates that they were trained for.
            plan: The current plan.
            metrics: Losses and speed.
            loss: Loss of the validation that chose the weights; None without a validation.
            end: Summary of the run, if it has ended.
            memory_hurts: Store the n-gram model with weight 0; `--memory-weight` can change that.
        """
        metadata = self.metadata | {
            "kind": "model",
            "plan": [list(entry) for entry in plan],
            "progress": {"step": step},
            "shipped": None if loss is None else {"loss": loss, "step": step},
            "metrics": metrics,
            "end": asdict(end) if end else None,
        }
        if memory_hurts:
            metadata["memory"] = metadata["memory"] | {"weight": 0.0}
        tensors = {f"model/{name}": array for name, array in weights.items()} | self.memory
        result = self._write(step, lambda run: run.save_best(pack(tensors, metadata)), is_best=True)
        self.is_best_due = isinstance(result, SaveFailed)
        if isinstance(result, SaveFailed):
            self.failed = result
        return [result] if result else []

    def clear_away(self) -> None:
        """Delete all full checkpoints but the newest, unless the last save failed."""
        if self.run is not None and self.failed is None:
            self.run.keep_newest(1)

    def _write(
        self, step: int, write: Callable[[Run], Path], *, is_best: bool = False
    ) -> Saved | SaveFailed | None:
        """Write a file if this rank has a run; return the result, the same on all ranks."""
        result: Saved | SaveFailed | None = None
        if self.run is not None:
            try:
                result = Saved(step=step, path=write(self.run), is_best=is_best)
            except OSError as error:
                newest, reason = self.run.newest_name(), reason_of(error)
                result = SaveFailed(step=step, path=self.run.folder, reason=reason, newest=newest)
        return self._world.broadcast(result)

    def check(self) -> None:
        """Check that the last save succeeded.

        Raises:
            CharRNNError: It failed; the message names the newest good checkpoint.
        """
        if self.failed is not None:
            newest = self.failed.newest or "none"
            raise CharRNNError(
                f"{printable(self.failed.path)}: not saved at step {self.failed.step}: "
                f"{self.failed.reason}; the newest good checkpoint is {printable(newest)}; "
                "free some disk space and continue with --resume"
            )


def describe(
    config: TrainConfig,
    model: ModelConfig,
    corpus: Corpus,
    environment: dict[str, Any],
    init: Initial | None,
) -> JsonObject:
    """Return the metadata that are constant during a run: settings, text and machine."""
    return {
        "version": __version__,
        "config": {"model": model.to_json(), "train": _plain(config)},
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
        "parent": init.parent if init else None,
    }


def describe_sources(config: TrainConfig, corpus: Corpus) -> JsonObject:
    """Return the absolute paths of the texts; a best model, which may be shared, has none."""
    names = list(corpus.sources)
    is_short = len(json.dumps(json.dumps(names))) <= LONGEST_SOURCES
    return {
        "sources": names if is_short else [],
        "val_source": str(config.val_file.absolute()) if config.val_file else None,
    }


def describe_state(state: State) -> JsonObject:
    """Return the metadata of a full checkpoint's training state."""
    return {
        "plan": [list(entry) for entry in state.plan],
        "progress": asdict(state.progress),
        "validation": asdict(state.best),
        "timing": asdict(state.timing),
    }


def _plain(config: TrainConfig) -> dict[str, Any]:
    """Return the settings as JSON values."""
    values = without_neutral(asdict(config))
    return values | {"val_file": str(config.val_file) if config.val_file else None}
