"""Describe one checkpoint, for `info`."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charrnn.checkpoints.format import Tensors
from charrnn.checkpoints.model import Model, read_model
from charrnn.checkpoints.state import state_digest
from charrnn.core.console import loss_text
from charrnn.core.errors import CheckpointError, printable
from charrnn.data.vocab import CharVocabulary

MOST_SHOWN = 100
"""Characters of a vocabulary that the lines for people show."""


def inspect(path: Path) -> dict[str, Any]:
    """Return what a checkpoint says of itself, and its state digest.

    Raises:
        CheckpointError: It is damaged, foreign or newer.
        InputError: There is no such file, or it cannot be read.
    """
    model, others = read_model(path)
    try:
        return facts_of(model, others) | {"file": str(path), "bytes": path.stat().st_size}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise CheckpointError(f"{printable(path)}: its description lacks something") from None


def facts_of(model: Model, others: Tensors) -> dict[str, Any]:
    """Return what a checkpoint says of itself."""
    facts = model.facts
    tensors = others | {f"model/{name}": array for name, array in model.weights.items()}
    tensors |= model.memory.tensors() if model.memory else {}
    kept = ("kind", "format_version", "version", "records", "parent", "plan", "progress", "end")
    return {
        "sha256": facts["sha256"],
        "state_digest": state_digest(tensors, facts),
        "config": facts["config"],
        "num_parameters": model.config.num_parameters(),
        "vocabulary": model.vocab.to_json(),
        "corpus": facts.get("corpus"),
        "memory": facts.get("memory"),
        "metrics": facts.get("metrics"),
        "environment": facts.get("environment"),
    } | {name: facts.get(name) for name in kept}


def lines_of(found: Mapping[str, Any]) -> list[str]:
    """Return the same for people, a name and a value a line; nothing a terminal could obey."""
    network = found["config"]["model"]
    train = _object(found["config"].get("train"))
    corpus, metrics = _object(found["corpus"]), _object(found["metrics"])
    size = f"{network['cell']} {network['num_layers']}×{network['hidden_size']}"
    counts = f"{corpus.get('num_train')} + {corpus.get('num_val')} held out"
    rows = [
        ("file", f"{found['file']}, {found['bytes']:,} bytes"),
        ("kind", f"{found['kind']}, format {found['format_version']}, charrnn {found['version']}"),
        ("network", f"{size}, {found['num_parameters']:,} parameters"),
        ("memory", _memory_text(found["memory"])),
        ("characters", _vocabulary_text(found["vocabulary"])),
        ("text", f"{_names(corpus)}; {counts}"),
        ("text digest", corpus.get("digest")),
        ("step", _object(found["progress"]).get("step")),
        ("ended", _object(found["end"]).get("stop_reason")),
        ("started from", found["parent"]),
        ("validation loss", _loss(metrics.get("val_loss"))),
        ("training loss", _loss(metrics.get("train_loss"))),
        ("settings", ", ".join(f"{k} {v}" for k, v in sorted(train.items()) if v is not None)),
        ("made on", ", ".join(f"{k} {v}" for k, v in _object(found["environment"]).items())),
        ("file digest", found["sha256"]),
        ("state digest", found["state_digest"]),
    ]
    return [f"{name:<16} {printable(value)}" for name, value in rows if value not in (None, "")]


def _memory_text(memory: Any) -> str:
    if memory is None:
        return "none"
    weight = "by its own judgement" if memory["weight"] is None else memory["weight"]
    entries = sum(memory["entries"])
    return f"contexts of up to {memory['order']}, {entries:,} entries, weight {weight}"


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _names(corpus: Mapping[str, Any]) -> str:
    files = corpus.get("files")
    return ", ".join(map(str, files[:5])) if isinstance(files, list) else "?"


def _loss(loss: object) -> str | None:
    if not isinstance(loss, float):
        return None
    return f"{loss_text(loss)} nats, {loss / math.log(2):.3f} bits per symbol"


def _vocabulary_text(vocabulary: list[int] | str) -> str:
    if isinstance(vocabulary, str):
        return "256 bytes"
    characters = CharVocabulary(vocabulary[:MOST_SHOWN]).decode(range(len(vocabulary[:MOST_SHOWN])))
    more = "..." if len(vocabulary) > MOST_SHOWN else ""
    return f"{len(vocabulary):,}: {characters}{more}"
