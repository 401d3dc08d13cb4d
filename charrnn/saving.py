"""What training writes into its run: full checkpoints and the model to share.

A save that fails stops no training: it is reported, and tried again when the next one is due. Of
several processes the first one writes, and all of them learn how it went.
"""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from charrnn.container import Facts, pack
from charrnn.distributed import ALONE, World
from charrnn.errors import CharRNNError, printable, reason_of
from charrnn.events import Finished, Saved, SaveFailed
from charrnn.memory import Memory
from charrnn.runs import Run
from charrnn.schedule import Plan
from charrnn.snapshots import State, Weights, describe_state


class Saver:
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
        facts: Facts,
        sources: Facts,
        memory: Memory | None = None,
        world: World = ALONE,
    ) -> None:
        self.run, self.sources, self._world = run, sources, world
        self.facts = facts | {"memory": memory.facts() if memory else None}
        self.memory = memory.tensors() if memory else {}
        self.is_best_due = False
        self.failed: SaveFailed | None = None

    def save_state(self, state: State, metrics: dict[str, Any]) -> Saved | SaveFailed | None:
        """Write a full checkpoint; say how it went, None without a run."""
        facts = self.facts | self.sources | describe_state(state)
        facts |= {"kind": "full", "metrics": metrics}
        step = state.progress.step
        result = self._write(
            step, lambda run: run.save_step(step, pack(state.tensors | self.memory, facts))
        )
        self.failed = result if isinstance(result, SaveFailed) else None
        return result

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
    ) -> Saved | SaveFailed | None:
        """Write the model to share.

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
        return result

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
        return self._world.agree(result)

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
