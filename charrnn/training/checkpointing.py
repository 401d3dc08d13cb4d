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
from charrnn.core.config import ModelConfig, TrainConfig
from charrnn.core.errors import CharRNNError, printable, reason_of
from charrnn.core.events import Finished, Saved, SaveFailed
from charrnn.data.corpus import Corpus
from charrnn.ngram.model import NgramModel
from charrnn.nn.distributed import ALONE, World

MOST_FILES, LONGEST_NAME = 100, 500
"""Names that a checkpoint keeps, and their characters; a header of all would be unreadable."""

LONGEST_SOURCES = 50_000
"""Bytes of all names of a run's texts; with more of them a resume has to name them."""


class Checkpointer:
    """Writes checkpoints of one run.

    Args:
        run: Where to; None writes nothing.
        facts: What every checkpoint of the run says, as from `describe`.
        sources: What only full checkpoints say: where the texts are, for a resume that names none.
        memory: A part of every checkpoint.
        world: The processes that train together.
    """

    def __init__(
        self,
        run: Run | None,
        facts: JsonObject,
        sources: JsonObject,
        memory: NgramModel | None = None,
        world: World = ALONE,
    ) -> None:
        self.run, self.sources, self._world = run, sources, world
        self.facts = facts | {"memory": memory.facts() if memory else None}
        self.memory = memory.tensors() if memory else {}
        self.last_saved = 0
        self.is_best_due = False
        self.failed: SaveFailed | None = None

    def save_state(self, state: State, metrics: dict[str, Any]) -> list[Saved | SaveFailed]:
        """Write a full checkpoint; return the result as an event, none without a run."""
        facts = self.facts | self.sources | describe_state(state)
        facts |= {"kind": "full", "metrics": metrics}
        step = state.progress.step
        result = self._write(
            step, lambda run: run.save_step(step, pack(state.tensors | self.memory, facts))
        )
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
        is_better_alone: bool = False,
    ) -> list[Saved | SaveFailed]:
        """Write the model to share; return the result as an event, none without a run.

        Args:
            weights: Named as in shapes(config).
            step: Where they were trained to.
            plan: As it stands now.
            metrics: How good and how fast it is.
            loss: Of the validation that chose them; None if none has.
            end: How the run has ended.
            is_better_alone: The memory goes along, but has no say unless somebody gives it one.
        """
        facts = self.facts | {
            "kind": "model",
            "plan": [list(entry) for entry in plan],
            "progress": {"step": step},
            "shipped": None if loss is None else {"loss": loss, "step": step},
            "metrics": metrics,
            "end": asdict(end) if end else None,
        }
        if is_better_alone:
            facts["memory"] = facts["memory"] | {"weight": 0.0}
        tensors = {f"model/{name}": array for name, array in weights.items()} | self.memory
        result = self._write(step, lambda run: run.save_best(pack(tensors, facts)), is_best=True)
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
        """Write a file, where this process has a run; return how it went, which all agree on."""
        result: Saved | SaveFailed | None = None
        if self.run is not None:
            try:
                result = Saved(step=step, path=write(self.run), is_best=is_best)
            except OSError as error:
                newest, reason = self.run.newest_name(), reason_of(error)
                result = SaveFailed(step=step, path=self.run.folder, reason=reason, newest=newest)
        return self._world.broadcast(result)

    def check(self) -> None:
        """Hold the last save against what was wanted of it.

        Raises:
            CharRNNError: It failed; the newest good checkpoint is named.
        """
        if self.failed is not None:
            newest = self.failed.newest or "none"
            raise CharRNNError(
                f"{printable(self.failed.path)}: not saved at step {self.failed.step}: "
                f"{self.failed.reason}; the newest good checkpoint is {printable(newest)}; "
                "free some space, and go on with --resume"
            )


def describe(
    config: TrainConfig,
    model: ModelConfig,
    corpus: Corpus,
    environment: dict[str, Any],
    parent: str | None,
) -> JsonObject:
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
        "parent": parent,
    }


def describe_sources(config: TrainConfig, corpus: Corpus) -> JsonObject:
    """Return where the texts are, as absolute names; nothing of that is in a file to share."""
    names = list(corpus.sources)
    is_short = len(json.dumps(json.dumps(names))) <= LONGEST_SOURCES
    return {
        "sources": names if is_short else [],
        "val_source": str(config.val_file.absolute()) if config.val_file else None,
    }


def describe_state(state: State) -> JsonObject:
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
