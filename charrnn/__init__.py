"""Train a small recurrent network on any text, one character at a time, and write more like it.

From a script:

    corpus = charrnn.load_corpus([Path("shakespeare.txt")], config := charrnn.TrainConfig(steps=500))
    for event in charrnn.train(config, corpus): ...
    model = charrnn.load(Path("checkpoints/shakespeare/best.safetensors"))
    text = "".join(charrnn.sample(model, "ROMEO:", seed=1, length=200))
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "TrainConfig": ("charrnn.core.config", "TrainConfig"),
    "load": ("charrnn.checkpoints.model", "load_model"),
    "load_corpus": ("charrnn.data.corpus", "load_corpus"),
    "sample": ("charrnn.sampling.api", "stream"),
    "train": ("charrnn.training.trainer", "train"),
}
"""Exported names, imported when first used: torch takes seconds, and `sample` never needs it."""

__all__ = ["TrainConfig", "load", "load_corpus", "sample", "train"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _LAZY[name]
    return getattr(import_module(module), attribute)
