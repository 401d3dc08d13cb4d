"""The model that a page holds: weights of 16 bits, and as much n-gram memory as fits."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from charrnn.checkpoints.format import pack
from charrnn.checkpoints.model import Model
from charrnn.core.errors import InputError, printable
from charrnn.export.memory import cut
from charrnn.export.page import LARGEST_PAGE

CELLS = ("lstm", "gru", "rnn")
FIELDS = ("cell", "vocab_size", "embedding_size", "hidden_size", "num_layers")
"""Networks that engine.js can run: their cells, and the fields of their architecture."""

LEAST_MEMORY = 1_000_000
"""Bytes of n-gram memory that a page may have although its network alone is too large."""

OF_OTHERS = ("metrics", "shipped", "end", "validation", "timing", "sources", "val_source")
"""Metadata about the weights before rounding, or about a run: an exported model has none of them."""


def check_network(model: Model) -> None:
    """Refuse a network that engine.js cannot run.

    Raises:
        InputError: It is one.
    """
    fields = model.config.to_json()
    others = [name for name in fields if name not in FIELDS]
    kind = (
        fields["cell"]
        if fields["cell"] not in CELLS
        else f"network with {others[0]}"
        if others
        else None
    )
    if model.is_backward:
        kind = "backward model"
    if kind:
        raise InputError(
            f"a page cannot run a {printable(kind)} yet, only a forward LSTM, GRU or RNN; "
            "-o FILE.safetensors exports the model alone"
        )


def rounded(model: Model, *, with_memory: bool = True) -> Model:
    """Return a model with its weights rounded to float16; memory of weight 0 is left out.

    Raises:
        InputError: A weight is too large for float16.
    """
    with np.errstate(over="ignore"):
        weights = {n: w.astype(np.float16).astype(np.float32) for n, w in model.weights.items()}
    if not all(np.isfinite(each).all() for each in weights.values()):
        raise InputError("the model has weights that are too large for 16 bits; it diverged")
    is_used = with_memory and model.memory is not None and model.memory.weight != 0
    return replace(model, weights=weights, memory=model.memory if is_used else None)


def fitted(model: Model, build: Callable[[Model], bytes]) -> tuple[Model, bytes]:
    """Return a model with the longest contexts of its n-gram memory that fit a page, and the page.

    Args:
        model: The model, its weights rounded.
        build: Returns the page of a model.
    """
    page = build(model)
    if model.memory is None or len(page) <= LARGEST_PAGE:
        return model, page
    alone = replace(model, memory=None)
    page_alone = build(alone)
    most = max(LARGEST_PAGE, len(page_alone) + LEAST_MEMORY)
    for order in range(model.memory.order, 0, -1):
        smaller = replace(model, memory=cut(model.memory, order))
        page = build(smaller)
        if len(page) <= most:
            return smaller, page
    return alone, page_alone


def checkpoint_bytes(model: Model) -> bytes:
    """Return a checkpoint of a model for `sample`, `score` and others, without training state."""
    tensors = {f"model/{name}": array for name, array in model.weights.items()}
    tensors |= model.memory.tensors() if model.memory else {}
    raw = {n: v for n, v in model.metadata.raw.items() if n not in OF_OTHERS}
    raw |= {
        "kind": "model",
        "memory": model.memory.metadata() if model.memory else None,
        "parent": model.metadata.sha256,
    }
    return pack(tensors, raw)
