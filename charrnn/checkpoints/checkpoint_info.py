"""Describe one checkpoint, for `info`."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from charrnn.checkpoints.format import Tensors
from charrnn.checkpoints.log import METRICS, finished_event, score_rows
from charrnn.checkpoints.model import Model, read_model
from charrnn.checkpoints.run_folder import BEST
from charrnn.checkpoints.state import state_digest
from charrnn.core.console import loss_text
from charrnn.core.errors import CheckpointError, printable
from charrnn.core.events import PSEUDO
from charrnn.data.vocab import CharVocabulary, visible
from charrnn.ngram.model import NgramModel
from charrnn.nn.architecture import size_text

DIRECTIONS = {
    "backward": "backward: reads and writes from the end of a text, so that a prompt is the ending",
    "both": "both: predicts a character from those on both sides, and writes no text",
}

MOST_SHOWN = 100
"""Characters of a vocabulary that the table shows."""

FIELDS = (
    "sha256", "state_digest", "config", "num_parameters", "vocabulary", "corpus", "memory",
    "metrics", "environment", "kind", "format_version", "version", "records", "parent", "plan",
    "progress", "end", "file", "bytes",
)  # fmt: skip
"""Keys of `info --json`; most values are those of the JSON object in the file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointInfo:
    """One checkpoint file, with its state digest."""

    path: Path
    num_bytes: int
    model: Model
    state_digest: str

    def as_json(self) -> dict[str, Any]:
        """Return what --json prints."""
        found = self.model.metadata.raw | {
            "state_digest": self.state_digest,
            "num_parameters": self.model.config.num_parameters(),
            "file": str(self.path),
            "bytes": self.num_bytes,
        }
        return {name: found.get(name) for name in FIELDS}


def inspect(path: Path) -> CheckpointInfo:
    """Open a checkpoint and compute its state digest.

    Raises:
        CheckpointError: It is damaged, foreign or of a newer format.
        InputError: There is no such file, or it cannot be read.
    """
    model, others = read_model(path)
    return describe(path, path.stat().st_size, model, others)


def describe(path: Path, num_bytes: int, model: Model, others: Tensors) -> CheckpointInfo:
    """Return the same for a checkpoint that is loaded."""
    tensors = others | {f"model/{name}": array for name, array in model.weights.items()}
    tensors |= model.memory.tensors() if model.memory else {}
    try:
        digest = state_digest(tensors, model.metadata.raw)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise CheckpointError(f"{printable(path)}: its metadata is incomplete") from None
    return CheckpointInfo(path=path, num_bytes=num_bytes, model=model, state_digest=digest)


def format_checkpoint(info: CheckpointInfo) -> list[str]:
    """Return a name and a value per line; control characters are escaped."""
    model, metadata = info.model, info.model.metadata
    network, corpus = model.config, metadata.corpus
    files = ", ".join(corpus.files[:5]) if corpus else "?"
    counts = f"{corpus.num_train} + {corpus.num_val} held out" if corpus else "?"
    sizes = network.cell, network.num_layers, network.hidden_size, network.attention
    kind = f"{metadata.kind}, format {metadata.raw['format_version']}, charrnn {metadata.version}"
    rows = [
        ("file", f"{info.path}, {info.num_bytes:,} bytes"),
        ("kind", kind),
        ("network", f"{size_text(*sizes)}, {network.num_parameters():,} parameters"),
        ("direction", DIRECTIONS.get(metadata.direction)),
        ("n-gram memory", _memory_text(model.memory)),
        ("characters", _vocabulary_text(model.vocab.to_json())),
        ("text", f"{files}; {counts}"),
        ("text digest", corpus and corpus.digest),
        ("step", metadata.progress and metadata.progress.step),
        ("ended", metadata.end and metadata.end.stop_reason),
        ("started from", metadata.parent),
        (
            PSEUDO if model.is_both else "validation loss",
            _loss_text(model, metadata.metrics.val_loss),
        ),
        *(score_rows(_finished(info)) if metadata.end else ()),
        ("training loss", _loss_text(model, metadata.metrics.train_loss)),
        ("settings", _pairs_text(metadata.settings)),
        ("made on", metadata.environment and _pairs_text(asdict(metadata.environment))),
        ("file digest", metadata.sha256),
        ("state digest", info.state_digest),
    ]
    return [f"{name:<16} {printable(value)}" for name, value in rows if value not in (None, "")]


def _finished(info: CheckpointInfo) -> Mapping[str, Any]:
    """Return the `finished` event of the run whose best model this is; else an empty one."""
    return finished_event(info.path.parent / METRICS) if info.path.name == BEST else {}


def _memory_text(memory: NgramModel | None) -> str:
    if memory is None:
        return "none"
    weight = "chosen at each character" if memory.weight is None else memory.weight
    words = ", words" if memory.words else ""
    return (
        f"contexts of up to {memory.order}{words}, {memory.num_entries:,} entries, weight {weight}"
    )


def _pairs_text(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {v}" for name, v in sorted(values.items()) if v is not None)


def _loss_text(model: Model, loss: float | None) -> str | None:
    if loss is None:
        return None
    unit = model.vocab.unit
    if model.is_both:
        return f"{loss_text(loss)} nats per {unit}, given both sides of each"
    return f"{loss_text(loss)} nats, {loss / math.log(2):.3f} bits per {unit}"


def _vocabulary_text(vocabulary: list[int] | str) -> str:
    if isinstance(vocabulary, str):
        return "256 bytes"
    characters = CharVocabulary(vocabulary[:MOST_SHOWN]).decode(range(len(vocabulary[:MOST_SHOWN])))
    more = "..." if len(vocabulary) > MOST_SHOWN else ""
    return f"{len(vocabulary):,}: {visible(characters)}{more}"
