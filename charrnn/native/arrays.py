"""The structures of native.h, and the arrays that they point at.

native.h says what the arrays hold. This package knows arrays and addresses, not networks.
"""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDE = 32
"""Columns of a panel, as in native.h."""

CELLS = ("lstm", "gru", "rnn")
"""Cells, as network.c numbers them."""

LINE = 64
"""Bytes of a cache line."""

IMPOSSIBLE = -1e30
"""Logit of the columns after the vocabulary."""

Floats = NDArray[np.float32]


def fields(integers: str = "", pointers: str = "") -> tuple[tuple[str, Any], ...]:
    """Return the fields of a structure: names of integers, then of pointers."""
    return (
        *((name, ctypes.c_int64) for name in integers.split()),
        *((name, ctypes.c_void_p) for name in pointers.split()),
    )


class Network(ctypes.Structure):
    """The struct `network`."""

    _fields_ = fields(
        "layers padded gates vocab symbols cell is_half",
        "tables inputs recurrents biases decoder bias",
    )


class Order(ctypes.Structure):
    """The struct `order`."""

    _fields_ = (
        *fields("size", "keys counts discounted"),
        ("discounts", ctypes.c_double * 4),
    )


class Words(ctypes.Structure):
    """The struct `words`."""

    _fields_ = (
        *fields("count", "orders factors forms"),
        *fields("base", "powers"),
    )


class Ngrams(ctypes.Structure):
    """The struct `ngrams`."""

    _fields_ = (
        *fields("highest bits vocab split", "tables table_statistics orders gate"),
        ("weight", ctypes.c_double),
        *fields("longest parts", "words next"),
    )


class Steered(ctypes.Structure):
    """The struct `steering`."""

    _fields_ = (
        *fields(pointers="bias"),
        *fields("shortest longest window", "penalties runs"),
        *fields("states", "table distances least state"),
    )


class Filters(ctypes.Structure):
    """The struct `filters`."""

    _fields_ = (
        ("temperature", ctypes.c_double), ("top_k", ctypes.c_int64),
        ("top_p", ctypes.c_double), ("lowest", ctypes.c_double),
    )  # fmt: skip


class Stops(ctypes.Structure):
    """The struct `stops`."""

    _fields_ = fields("count", "lengths ids")


class Batch(ctypes.Structure):
    """The struct `batch`."""

    _fields_ = (
        *fields("size open", "h c texts next start contexts lengths written wanted is_stopped"),
        *fields("steps tail", "uniforms ids"),
    )


class NetworkArrays:
    """The weights of a network as network.c reads them, and the structure that points at them.

    P is the hidden size and S the vocabulary size, each rounded up to a multiple of `WIDE`;
    N = gates * P. A panel holds `WIDE` columns of a matrix.

    Args:
        cell: One of `CELLS`.
        vocab: V.
        tables: By layer, (V, N) for the first one, (1, N) for the others.
        inputs: By layer, panels (N / WIDE, P, WIDE); the first is not used.
        recurrents: By layer, panels (N / WIDE, P, WIDE).
        biases: By layer, (1, N): the recurrent bias of a GRU.
        decoder: Panels, (S / WIDE, P, WIDE).
        bias: (1, S).
        is_half: Store panels in 16 bits a number; None: where no number changes.
    """

    def __init__(
        self,
        *,
        cell: str,
        vocab: int,
        tables: Sequence[Floats],
        inputs: Sequence[Floats],
        recurrents: Sequence[Floats],
        biases: Sequence[Floats],
        decoder: Floats,
        bias: Floats,
        is_half: bool | None = None,
    ) -> None:
        if is_half is None:
            is_half = all(map(is_bfloat16, [*inputs, *recurrents, decoder]))
        stored = packed if is_half else as_array
        self.tables, self.biases = list(map(as_array, tables)), list(map(as_array, biases))
        self.inputs, self.recurrents = (
            [aligned(stored(matrix)) for matrix in each] for each in (inputs, recurrents)
        )
        self.decoder, self.bias = aligned(stored(decoder)), as_array(bias.copy())
        self.is_half = is_half
        self.bias[..., vocab:] = IMPOSSIBLE
        self.padded, self.symbols = self.decoder.shape[1], self.bias.shape[1]
        self.gates = self.biases[0].shape[1]
        lists = (self.tables, self.inputs, self.recurrents, self.biases)
        self._addresses = [np.array([a.ctypes.data for a in each], np.uintp) for each in lists]
        self._structure = Network(
            len(self.tables),
            self.padded,
            self.gates // self.padded,
            vocab,
            self.symbols,
            CELLS.index(cell),
            is_half,
            *(addresses.ctypes.data for addresses in self._addresses),
            self.decoder.ctypes.data,
            self.bias.ctypes.data,
        )
        self.address = ctypes.addressof(self._structure)


def as_array(array: Floats) -> Floats:
    """Return an array as C reads it: float32, contiguous."""
    return np.ascontiguousarray(array, dtype=np.float32)


def aligned(array: NDArray[Any]) -> NDArray[Any]:
    """Return a copy that begins at a cache line, so that no vector of it is in two."""
    room = np.empty(array.nbytes + LINE, dtype=np.uint8)
    start = -room.ctypes.data % LINE
    result = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    result[...] = array
    return result


def as_bfloat16(array: Floats) -> Floats:
    """Return an array with each number rounded to the nearest of bfloat16, ties to even.

    A number of bfloat16 is a float32 whose lower 16 bits are zero. Numbers must be finite and not
    among the largest of float32.
    """
    bits = np.array(array, dtype=np.float32, order="C").view(np.uint32)
    bits += np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
    bits &= np.uint32(0xFFFF0000)
    return bits.view(np.float32)


def is_bfloat16(array: Floats) -> bool:
    """True if rounding to bfloat16 changes no number of an array."""
    return not (as_array(array).view(np.uint32) & np.uint32(0xFFFF)).any()


def packed(panels: Floats) -> NDArray[Any]:
    """Return panels of bfloat16 in 16 bits a number, as native.h describes: (N / WIDE, P, WIDE / 2).

    Of two columns that share 32 bits, the first is in the lower half.
    """
    bits = as_array(panels).view(np.uint32)
    low, high = bits[..., : WIDE // 2], bits[..., WIDE // 2 :]
    return np.ascontiguousarray(high & np.uint32(0xFFFF0000) | low >> np.uint32(16))


def round_up(size: int) -> int:
    """Return a size rounded up to whole panels."""
    return -(-size // WIDE) * WIDE


class NgramTables:
    """Predictions after all contexts of 0, 1, ... symbols, as ngrams.c reads them.

    Args:
        tables: By length d of the contexts, p, (V^d, V), and statistics, (3, V^d).
    """

    def __init__(self, tables: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> None:
        self._kept = [
            [np.ascontiguousarray(array, dtype=np.float64) for array in arrays]
            for arrays in zip(*tables, strict=True)
        ]
        self._lists = [np.array([a.ctypes.data for a in each], np.uintp) for each in self._kept]
        self.addresses = tuple(each.ctypes.data for each in self._lists)


def predictions(
    library: ctypes.CDLL, address: int, vocab: int, contexts: NDArray[Any], lengths: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what an n-gram model predicts after n contexts: p, (n, V), and statistics, (n, 3)."""
    n, sizes = len(contexts), np.ascontiguousarray(lengths, dtype=np.int64)
    contexts = np.ascontiguousarray(contexts)
    p, room, statistics = np.empty((n, vocab)), np.empty(vocab), np.empty((n, 3))
    library.ngram_predict(
        address, n, contexts.ctypes.data, sizes.ctypes.data,
        p.ctypes.data, room.ctypes.data, statistics.ctypes.data,
    )  # fmt: skip
    return p, statistics


def word_predictions(
    library: ctypes.CDLL, address: int, vocab: int, contexts: NDArray[Any], lengths: NDArray[Any]
) -> NDArray[np.float64]:
    """Return what the words of an n-gram model predict after n contexts, (n, V)."""
    n, sizes = len(contexts), np.ascontiguousarray(lengths, dtype=np.int64)
    contexts = np.ascontiguousarray(contexts)
    p, room = np.empty((n, vocab)), np.empty(vocab)
    library.word_predict(
        address, n, contexts.ctypes.data, sizes.ctypes.data, p.ctypes.data, room.ctypes.data
    )
    return p
