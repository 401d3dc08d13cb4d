"""Compare a compiled library with reference results: `python -m charrnn.native.trial LIBRARY`.

trial.npz holds, for each cell, the arrays of a small network, the ids that it reads, and the logits
that the NumPy engine computed from them. tests/golden/make_trial.py wrote it. Half of the units
have weights that saturate their gates.
"""

import ctypes
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from charrnn.native.arrays import CELLS, Floats, NetworkArrays
from charrnn.native.library import open_library

REFERENCE = Path(__file__).with_name("trial.npz")

TOLERANCE = 1e-5
"""Largest difference of a logit from its reference."""


def passes(library: ctypes.CDLL) -> bool:
    """True if the library computes the reference logits of every cell."""
    with np.load(REFERENCE) as reference:
        return all(_agrees(library, cell, reference) for cell in CELLS)


def _agrees(library: ctypes.CDLL, cell: str, reference: Mapping[str, Floats]) -> bool:
    arrays = NetworkArrays(
        cell=cell,
        vocab=reference[f"{cell}/logits"].shape[-1],
        **{
            name: [reference[f"{cell}/{name}/{layer}"] for layer in range(2)]
            for name in ("tables", "inputs", "recurrents", "biases")
        },
        decoder=reference[f"{cell}/decoder"],
        bias=reference[f"{cell}/bias"],
    )
    logits = run(library, arrays, reference["ids"])
    expected = reference[f"{cell}/logits"]
    return bool(np.abs(logits[..., : expected.shape[-1]] - expected).max() < TOLERANCE)


def run(library: ctypes.CDLL, arrays: NetworkArrays, ids: Floats) -> Floats:
    """Return the logits after each step of two layers, (T, B, S), for ids (T, B)."""
    num_steps, num_streams = ids.shape
    logits = np.empty((num_steps, num_streams, arrays.symbols), dtype=np.float32)
    h, c = np.zeros((2, 2, num_streams, arrays.padded), dtype=np.float32)
    gates = np.empty((2 * num_streams, arrays.gates), dtype=np.float32)
    for step, symbols in enumerate(np.ascontiguousarray(ids, dtype=np.int64)):
        library.network_step(
            arrays.address, num_streams, num_streams, symbols.ctypes.data, h.ctypes.data,
            c.ctypes.data, gates.ctypes.data, logits[step].ctypes.data,
        )  # fmt: skip
    return logits


def main(arguments: list[str]) -> int:
    """Return 0 if the library at a path passes, else 1."""
    library = open_library(Path(arguments[0]))
    return 0 if library is not None and passes(library) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
