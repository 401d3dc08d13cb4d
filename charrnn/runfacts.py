"""What is known of a run: its files, its log, its model, its text."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charrnn.checkpoint import Model
from charrnn.history import ALONE_CURVE, History
from charrnn.lenient import as_count, as_mapping, as_number, as_text
from charrnn.overview import RunInfo


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What a report is made of. None is what nobody knows."""

    info: RunInfo
    history: History
    model: Model
    sources: tuple[str, ...] = ()
    """Absolute names of what the run was started on, files and folders."""
    val_source: str | None = None
    """That of its --val-file."""
    shown: float | None = None
    """Nats per symbol of the held-out text that a report shows."""
    frequencies: float | None = None
    """Nats per symbol for one that knows how frequent each is, and nothing else."""

    @property
    def unit(self) -> str:
        """What a loss is counted over."""
        return self.model.vocab.unit

    @property
    def loss(self) -> float | None:
        """Validation loss of the model that is kept, nats."""
        return self.info.val_loss

    @property
    def has_memory(self) -> bool:
        """Whether what it writes is mixed with a memory."""
        return self.model.memory is not None and self.model.memory.weight != 0

    @property
    def network_loss(self) -> float | None:
        """The same without the memory: of all held-out text, or as the run had it at that step."""
        if not self.has_memory:
            return self.loss
        scores = self.history.last.get("scores")
        first = as_mapping(scores[0]) if isinstance(scores, list) and scores else {}
        found = as_number(first.get("network_loss"))
        return found or dict(self.history.curves[ALONE_CURVE]).get(self.best_step)

    @property
    def train_loss(self) -> float | None:
        """Of the network alone, on what it trained on last."""
        points = self.history.curves["training loss"]
        newest = points[-1][1] if points else None
        return as_number(self.history.last.get("train_loss")) or newest

    @property
    def epochs(self) -> float | None:
        """Passes over the text."""
        return self.history.epoch

    @property
    def best_step(self) -> int:
        """The step of the model that is kept."""
        return as_count(as_mapping(self.model.facts.get("progress")).get("step")) or 0

    @property
    def advice(self) -> str:
        """What training said at its end, how the network fits first."""
        return as_text(self.history.last.get("advice")) or ""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Those of the run."""
        return as_mapping(as_mapping(self.model.facts.get("config")).get("train"))

    @property
    def text(self) -> list[str]:
        """Names of the text's files and folders, as a command takes them."""
        return [nearby(name) for name in self.sources] or ["FILE..."]

    @property
    def place(self) -> list[str]:
        """The option for the folder of all runs, if it is not the usual one."""
        folder = self.info.folder.parent
        return [] if folder == Path("checkpoints") else ["--checkpoints", str(folder)]


def nearby(name: str) -> str:
    """Return an absolute name as it is from here, if it lies below."""
    with suppress(ValueError, OSError):
        return str(Path(name).relative_to(Path.cwd()))
    return name
