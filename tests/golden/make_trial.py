"""Write charrnn/native/trial.npz: what a compiled library has to compute.

Run by hand when the layout of arrays in native.h changes: `python tests/golden/make_trial.py`.
tests/nn/test_native.py holds the file against the NumPy engine.
"""

import numpy as np

from charrnn.core.config import ModelConfig, shapes
from charrnn.native.arrays import CELLS
from charrnn.native.trial import REFERENCE
from charrnn.nn.native import arrange
from charrnn.nn.numpy_engine import Engine

NUM_STEPS, NUM_STREAMS = 3, 13
"""Streams in groups of 6, 4, 2 and 1: each path of the matrix product."""


def make_config(cell):
    """V = 21, E = 7, H = 27, L = 2: no size is a multiple of 16."""
    return ModelConfig(cell=cell, vocab_size=21, embedding_size=7, hidden_size=27, num_layers=2)


def make_weights(config):
    """Return weights in steps of 1/64; those of odd units are large enough to saturate gates."""
    rng = np.random.default_rng(7)
    weights = {}
    for name, shape in shapes(config).items():
        steps = rng.integers(-8, 9, shape)
        if name.startswith("layers."):
            steps[1::2] *= 16
        weights[name] = (steps / 64).astype(np.float32)
    return weights


def make_ids():
    """Return the ids that are read, (T, B)."""
    return np.random.default_rng(11).integers(0, 21, (NUM_STEPS, NUM_STREAMS)).astype(np.uint8)


def make_reference(cell):
    """Return the arrays of a cell by their names in the file."""
    config = make_config(cell)
    weights = make_weights(config)
    engine = Engine(config, weights)
    logits, state = [], engine.empty_state(NUM_STREAMS)
    for ids in make_ids():
        scores, state = engine.step(ids, state)
        logits.append(scores)
    arrays = arrange(config, weights)
    reference = {f"{cell}/logits": np.stack(logits)}
    for name in ("tables", "inputs", "recurrents", "biases"):
        for layer, array in enumerate(getattr(arrays, name)):
            reference[f"{cell}/{name}/{layer}"] = array
    return reference | {f"{cell}/decoder": arrays.decoder, f"{cell}/bias": arrays.bias}


def make_all():
    """Return everything that the file holds."""
    reference = {"ids": make_ids()}
    for cell in CELLS:
        reference |= make_reference(cell)
    return reference


if __name__ == "__main__":
    np.savez_compressed(REFERENCE, **make_all())
