"""What a checkpoint says of the run that wrote it, and weights as a model to write with."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn import __version__
from charrnn.checkpoint import Model
from charrnn.config import ModelConfig, TrainConfig
from charrnn.corpus import Corpus
from charrnn.errors import DivergedError

MOST_FILES = 100
"""Names that a checkpoint keeps; a header of all names of a large folder could not be read."""


def describe(
    config: TrainConfig, model: ModelConfig, corpus: Corpus, environment: dict[str, Any]
) -> dict[str, Any]:
    """Return what stays the same over a run: settings, text and machine."""
    return {
        "version": __version__,
        "config": {"model": asdict(model), "train": _plain(config)},
        "vocabulary": corpus.vocab.to_json(),
        "records": corpus.train_records is not None,
        "starts": [[symbol, count] for symbol, count in corpus.starts.items()],
        "corpus": {
            "digest": corpus.digest,
            "files": list(corpus.files[:MOST_FILES]),
            "num_files": len(corpus.files),
            "num_train": len(corpus.train),
            "num_val": len(corpus.val),
        },
        "memory": None,
        "environment": environment,
    }


def _plain(config: TrainConfig) -> dict[str, Any]:
    """Return the settings as JSON can hold them."""
    values = asdict(config)
    return values | {"val_file": str(config.val_file) if config.val_file else None}


def as_model(config: ModelConfig, corpus: Corpus, weights: dict[str, NDArray[np.float32]]) -> Model:
    """Return weights as what a sampler opens."""
    return Model(
        config=config,
        weights=weights,
        vocab=corpus.vocab,
        records=corpus.train_records is not None,
        starts=corpus.starts,
        facts={},
    )


def check_finite(tensors: Mapping[str, NDArray[Any]], step: int) -> None:
    """Let nothing that is not finite reach a file; what was saved before stands.

    Raises:
        DivergedError: A tensor holds inf or NaN.
    """
    if not all(np.isfinite(array).all() for array in tensors.values()):
        raise DivergedError(f"step {step}: diverged: weights are not finite; try a smaller --lr")
