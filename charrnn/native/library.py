"""The compiled step on this machine: where its library lies, whether it is trusted, how it is called.

kernel.c says what the arrays hold. This package knows arrays and addresses, not networks.
"""

import ctypes
import hashlib
import os
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from charrnn.core.files import cache_folder

SOURCE = Path(__file__).with_name("kernel.c")
FLAGS = ("-O3", "-Wno-psabi", "-shared", "-fPIC")
TUNED: tuple[list[str], ...] = (["-march=native"], ["-mcpu=native"], [])
"""Options that tune for this processor; the first one that the compiler knows is used."""

WIDE = 16
"""Columns of a panel, as in kernel.c."""

CELLS = ("lstm", "gru", "rnn")
"""Cells, as kernel.c numbers them."""

Floats = NDArray[np.float32]


class _Structure(ctypes.Structure):
    """The struct `network` of kernel.c."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("layers", "padded", "gates", "symbols", "cell")),
        *((n, ctypes.c_void_p) for n in ("tables", "inputs", "recurrents", "biases")),
        *((n, ctypes.c_void_p) for n in ("decoder", "bias")),
    )


class NetworkArrays:
    """The weights of a network as kernel.c reads them, and the structure that points at them.

    P is the hidden size and S the vocabulary size, each rounded up to a multiple of `WIDE`;
    N = gates * P. A panel holds `WIDE` columns of a matrix.

    Args:
        cell: One of `CELLS`.
        tables: By layer, (V, N) for the first one, (1, N) for the others.
        inputs: By layer, panels (N / WIDE, P, WIDE); the first is not used.
        recurrents: By layer, panels (N / WIDE, P, WIDE).
        biases: By layer, (1, N): the recurrent bias of a GRU.
        decoder: Panels, (S / WIDE, P, WIDE).
        bias: (1, S).
    """

    def __init__(
        self,
        *,
        cell: str,
        tables: Sequence[Floats],
        inputs: Sequence[Floats],
        recurrents: Sequence[Floats],
        biases: Sequence[Floats],
        decoder: Floats,
        bias: Floats,
    ) -> None:
        self.tables, self.inputs = as_arrays(tables), as_arrays(inputs)
        self.recurrents, self.biases = as_arrays(recurrents), as_arrays(biases)
        self.decoder, self.bias = as_arrays([decoder, bias])
        self.padded, self.symbols = self.decoder.shape[1], self.bias.shape[1]
        self.gates = self.biases[0].shape[1]
        lists = (self.tables, self.inputs, self.recurrents, self.biases)
        self._addresses = [np.array([a.ctypes.data for a in each], np.uintp) for each in lists]
        self._structure = _Structure(
            len(self.tables),
            self.padded,
            self.gates // self.padded,
            self.symbols,
            CELLS.index(cell),
            *(addresses.ctypes.data for addresses in self._addresses),
            self.decoder.ctypes.data,
            self.bias.ctypes.data,
        )
        self.address = ctypes.addressof(self._structure)


def as_arrays(arrays: Sequence[Floats]) -> list[Floats]:
    """Return arrays as C reads them: float32, contiguous."""
    return [np.ascontiguousarray(array, dtype=np.float32) for array in arrays]


def round_up(size: int) -> int:
    """Return a size rounded up to whole panels."""
    return -(-size // WIDE) * WIDE


def library_path() -> Path:
    """Return the path of the library for this machine, built or not.

    Raises:
        OSError: Its source cannot be read.
    """
    parts = (SOURCE.read_text(encoding="utf-8"), FLAGS, TUNED, processor())
    name = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
    return cache_folder().absolute() / f"kernel-{name}.so"


def processor() -> str:
    """Return the instruction sets of this processor: code for another one could crash."""
    flags = ""
    with suppress(OSError), Path("/proc/cpuinfo").open(encoding="ascii", errors="replace") as file:
        flags = next((line for line in file if line.startswith(("flags", "Features"))), "")
    return f"{sys.platform} {os.uname().machine if hasattr(os, 'uname') else ''} {flags}"


def load() -> ctypes.CDLL | None:
    """Return the library if it was built and only this user can write it, else None."""
    try:
        path = library_path()
        return open_library(path) if is_own(path) and is_own(path.parent) else None
    except OSError:  # it is not there
        return None


def is_own(path: Path) -> bool:
    """True if a file or folder belongs to this user, is no link, and only they can write it."""
    found = path.lstat()
    is_mine = hasattr(os, "getuid") and found.st_uid == os.getuid()
    return is_mine and not stat.S_ISLNK(found.st_mode) and not found.st_mode & 0o022


def open_library(path: Path) -> ctypes.CDLL | None:
    """Return a library with the types of its function `step`; None if it has none."""
    library = ctypes.CDLL(str(path))
    if not hasattr(library, "step"):
        return None
    library.step.argtypes = (ctypes.c_void_p, ctypes.c_long, *[ctypes.c_void_p] * 6)
    library.step.restype = None
    return library
