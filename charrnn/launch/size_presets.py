"""Presets: network size and hyperparameters by amount of text, time budget and machine speed."""

import math
from dataclasses import dataclass, fields, replace
from typing import Any

from charrnn.core.config import MEMORY_ORDER
from charrnn.core.errors import InputError
from charrnn.nn.architecture import ModelConfig, default_heads

NOMINAL_SPEED = float(1 << 36)
"""FLOP/s that are assumed without a measurement: two CPU cores, float32."""

NAMED = {"tiny": 128, "small": 256, "medium": 512, "large": 1024}
"""Hidden sizes by name. One layer: one wide layer is better than two in the first hours."""

NAMED_TRANSFORMERS = {"tiny": 64, "small": 128, "medium": 192, "large": 384}
"""Widths of transformers by name: small and large have the sizes of nanoGPT's two recipes."""

FEWEST_BATCHES = 16
"""Batches of a list of records: a short list is not filled into fewer by larger ones."""

AVERAGED_PARTS = 16
"""The average of weights spans about 1/16 of the run."""

DECAY_PASSES = 3.0
"""Weight decay forgets an update in 1 / (rate * decay) steps (arXiv:2405.13698): in so many passes
over the text at the peak rate. Best at 10, 40 and 200 passes (docs/experiments.md)."""

LEAST_DECAY, MOST_DECAY = 0.01, 1.0
"""Bounds of weight decay: texts of many megabytes have the smallest, those of a few pages the largest."""

LEAST_OF_WORDS = 24
"""Characters of records that have words before words, as lines of verse and unlike names."""

PRESET_FIELDS = (
    "hidden_size", "num_layers", "embedding_size", "batch_size", "seq_len", "lr",
    "dropout", "embedding_dropout", "weight_drop", "weight_decay", "ema_decay", "memory",
    "memory_words", "context", "num_heads",
)  # fmt: skip
"""Settings that a preset chooses unless another source names them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    hidden_size: int
    least_flops: float
    """Smallest budget, in floating-point operations; below it a smaller network is better."""
    least_chars: int
    """Smallest training text, in characters; a smaller one is overfitted."""
    lr: float
    batch_size: int
    seq_len: int
    num_layers: int = 1
    context: int = 0


TABLE = (
    Row(128, 0, 0, 1.4e-2, 16, 32),
    Row(192, 3e11, 20_000, 9e-3, 16, 32),
    Row(256, 1e12, 50_000, 8e-3, 16, 32),
    Row(384, 1.4e13, 200_000, 5e-3, 16, 32),
    Row(512, 2.4e13, 400_000, 4e-3, 16, 32),
    Row(640, 1e14, 800_000, 3.5e-3, 16, 32),
    Row(768, 5e14, 2_000_000, 3e-3, 32, 64),
    Row(1024, 2e15, 4_000_000, 2.5e-3, 64, 64),
    Row(1536, 1e16, 20_000_000, 1.5e-3, 128, 64),
    Row(2048, 5e16, 100_000_000, 1e-3, 128, 64),
)
"""Short windows give more updates: on a CPU a character costs the same in windows of 32 and 64.

On a GPU the embedding is 128 wide: cuDNN's persistent kernels, which keep the weights on the chip,
need fp16, multiples of 128 for E and H <= 1024, and a batch that is a multiple of 8 up to 128.
Rows for GPUs are unmeasured (`benchmarks/gpu_hour.py` will measure them).
"""

TRANSFORMERS = (
    Row(64, 0, 0, 2e-3, 16, 64, 2, 64),
    Row(128, 1e12, 50_000, 1.5e-3, 16, 64, 4, 128),
    Row(192, 1e13, 200_000, 1e-3, 16, 64, 4, 128),
    Row(256, 1e14, 800_000, 8e-4, 16, 128, 4, 256),
    Row(384, 1e15, 2_000_000, 6e-4, 32, 128, 6, 256),
    Row(512, 1e16, 20_000_000, 4e-4, 64, 256, 8, 256),
)
"""Of these only the rate of 192 is measured (docs/experiments.md); the others are extrapolated."""


@dataclass(frozen=True, slots=True)
class Task:
    """Text, budget and machine that a network is chosen for."""

    num_chars: int
    """Characters of training text."""
    vocab_size: int
    epochs: float | None
    steps: int | None
    seconds: float | None
    flops_per_second: float = NOMINAL_SPEED
    cell: str = "lstm"
    attention: int = 0
    on_gpu: bool = False
    chars_per_record: float | None = None
    """Mean characters of a record and its newline; None for a text of streams."""


def probe(cell: str, attention: int, *, on_gpu: bool) -> tuple[ModelConfig, int, int]:
    """Return a network of a cell whose speed is measured, its streams and the length of its window."""
    width, batch_size, seq_len = (1024, 128, 128) if on_gpu else (256, 32, 32)
    sizes: dict[str, int] = {"num_layers": 1, "embedding_size": 128 if on_gpu else 64}
    if cell == "transformer":
        width = NAMED_TRANSFORMERS["large" if on_gpu else "medium"]
        heads = default_heads(width)
        sizes = {"num_layers": 4, "embedding_size": width, "num_heads": heads, "context": 128}
    config = ModelConfig(cell=cell, vocab_size=64, hidden_size=width, attention=attention, **sizes)
    return config, batch_size, seq_len


def preset(size: str, task: Task, given: dict[str, Any]) -> dict[str, Any]:
    """Return a value for each of PRESET_FIELDS.

    Args:
        size: auto, or a name.
        task: Text, budget and speed.
        given: Settings that are already fixed; the others follow from them.

    Raises:
        InputError: A transformer is given another width of its embedding.
    """
    row, is_transformer = pick_row(size, task, given.get("hidden_size")), task.cell == "transformer"
    narrow = 128 if task.on_gpu or row.hidden_size > 1024 else 64
    chosen = {
        "hidden_size": row.hidden_size,
        "num_layers": row.num_layers,
        "embedding_size": row.hidden_size if is_transformer else narrow,
        "context": row.context,
        "num_heads": default_heads(row.hidden_size) if is_transformer else 0,
        "batch_size": num_rows(row, task),
        "seq_len": row.seq_len,
        "lr": row.lr,
        "memory": MEMORY_ORDER,
        "memory_words": "on" if knows_words(task.chars_per_record) else "off",
    } | {name: value for name, value in given.items() if name in PRESET_FIELDS}
    if is_transformer and chosen["embedding_size"] != chosen["hidden_size"]:
        raise InputError(
            "--embedding-size and --cell transformer: its embedding is as wide as its residual "
            "stream; use --hidden-size for both"
        )
    has_no_use = not chosen["memory"] or given.get("direction") == "both"  # that reads characters
    if has_no_use and "memory_words" not in given:
        chosen["memory_words"] = "off"
    return regularisation(chosen, task) | ({"weight_drop": 0.0} if is_transformer else {}) | chosen


def knows_words(chars_per_record: float | None) -> bool:
    """True if the n-gram memory gains by knowing words: not that of a list of names."""
    return chars_per_record is None or chars_per_record >= LEAST_OF_WORDS


def num_rows(row: Row, task: Task) -> int:
    """Return the batch size: of records as many as have the characters of a batch of streams."""
    if task.chars_per_record is None:
        return row.batch_size
    fill = row.batch_size * row.seq_len / task.chars_per_record
    most = task.num_chars / task.chars_per_record / FEWEST_BATCHES
    return max(row.batch_size, int(min(fill, most)) // 8 * 8)


def chars_per_step(chosen: dict[str, Any], task: Task) -> float:
    """Return the mean number of characters of an update."""
    return float(chosen["batch_size"] * (task.chars_per_record or chosen["seq_len"]))


def pick_row(size: str, task: Task, hidden_size: int | None = None) -> Row:
    """Return the row of a size; auto is the largest that text and budget allow."""
    table = TRANSFORMERS if task.cell == "transformer" else TABLE
    hidden_size = hidden_size or names(task).get(size)
    if hidden_size is not None:
        wanted = hidden_size
        nearest = min(table, key=lambda row: abs(row.hidden_size - wanted))
        return replace(nearest, hidden_size=hidden_size)
    return [row for row in table if row.least_chars <= task.num_chars and _affords(row, task)][-1]


def names(task: Task) -> dict[str, int]:
    """Return the hidden sizes that have names."""
    return NAMED_TRANSFORMERS if task.cell == "transformer" else NAMED


def _affords(row: Row, task: Task) -> bool:
    if task.seconds is None:  # a budget in steps or epochs: limited by the text, up to medium
        return row.hidden_size <= names(task)["medium"]
    return row.least_flops <= task.seconds * task.flops_per_second


def regularisation(chosen: dict[str, Any], task: Task) -> dict[str, Any]:
    """Return dropout, weight decay and averaging for the expected number of epochs.

    Dropout: none up to two epochs, then 0.0625 more with each doubling. Weight decay forgets an
    update after DECAY_PASSES.
    """
    steps = expected_steps(chosen, task)
    steps_per_pass = max(1, task.num_chars) / chars_per_step(chosen, task)
    passes = steps / steps_per_pass
    decay = 1 / (chosen["lr"] * DECAY_PASSES * steps_per_pass) if chosen["lr"] else MOST_DECAY
    dropout = round(min(0.5, max(0.0, 0.0625 * math.log2(max(passes, 1e-9) / 2))), 2)
    return {
        "dropout": dropout,
        "embedding_dropout": round(dropout / 5, 2),
        "weight_drop": round(dropout / 2, 2),
        "weight_decay": round(min(MOST_DECAY, max(LEAST_DECAY, decay)), 3),
        "ema_decay": round(min(0.999, max(0.9, 1 - AVERAGED_PARTS / max(1.0, steps))), 4),
    }


def expected_steps(chosen: dict[str, Any], task: Task) -> float:
    """Return an estimate of the number of updates that the budget allows."""
    names = {each.name for each in fields(ModelConfig)}
    sizes = {name: value for name, value in chosen.items() if name in names}
    model = ModelConfig(
        cell=task.cell, vocab_size=task.vocab_size, attention=task.attention, **sizes
    )
    chars = chars_per_step(chosen, task)
    limits = [float(task.steps)] if task.steps is not None else []
    if task.epochs is not None:
        limits.append(task.epochs * task.num_chars / chars)
    if task.seconds is not None:
        flops = task.seconds * task.flops_per_second
        limits.append(flops / (model.flops_per_char() * chars))
    return min(limits)
