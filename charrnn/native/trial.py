"""Compare a compiled library with reference results: `python -m charrnn.native.trial LIBRARY`.

trial.npz holds the arrays of a small network of each cell and of a small n-gram model, and what the
NumPy path computed from them: logits, predictions, mixtures, matches, texts. tests/golden/make_trial.py wrote
it. Half of the units have weights that saturate their gates.
"""

import ctypes
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.native.arrays import (
    CELLS,
    IMPOSSIBLE,
    Batch,
    Filters,
    Floats,
    NetworkArrays,
    Ngrams,
    NgramTables,
    Order,
    Steered,
    Stops,
    Words,
    predictions,
    word_predictions,
)
from charrnn.native.library import open_library

REFERENCE = Path(__file__).with_name("trial.npz")

TOLERANCE = 1e-5
"""Largest difference of a logit from its reference."""

Reference = Mapping[str, NDArray[Any]]


def passes(library: ctypes.CDLL) -> bool:
    """True if the library computes the reference results of every function."""
    with np.load(REFERENCE) as file:
        reference = dict(file)
    memory, with_words = Counts(reference), Counts(reference, has_words=True)
    networks = [
        (cell, network_of(cell, reference, is_half=is_half))
        for cell in CELLS
        for is_half in (False, True)
    ]
    return (
        all(_steps(library, *pair, reference) for pair in networks)
        and _predicts(library, memory, reference)
        and _predicts_words(library, with_words, reference)
        and _mixes(library, memory, reference)
        and _matches(library, reference)
        and all(_writes(library, *pair, with_words, reference) for pair in networks)
    )


class Counts:
    """The n-gram model of the reference, as ngrams.c reads it; with its words, as words.c does."""

    def __init__(self, reference: Reference, *, has_words: bool = False) -> None:
        self._kept = reference
        highest, bits, vocab, split = (int(i) for i in reference["ngrams/sizes"])
        self._orders = orders_of(reference, "ngrams")
        self._word_orders = orders_of(reference, "words")
        factors, forms, powers = (
            reference[f"words/{name}"].ctypes.data for name in ("factors", "forms", "powers")
        )
        self._words = Words(
            len(self._word_orders), ctypes.addressof(self._word_orders), factors, forms,
            int(reference["words/base"]), powers,
        )  # fmt: skip
        self._structure = Ngrams(
            highest, bits, vocab, split, None, None, ctypes.addressof(self._orders),
            reference["ngrams/gate"].ctypes.data, -1.0, highest,
            reference["words/contexts"].shape[1] if has_words else 1,
            ctypes.addressof(self._words) if has_words else None, None,
        )  # fmt: skip

    def address(self, weight: float) -> int | None:
        """Return the address with a weight of the prediction; below 0: the gate's; NaN: none."""
        self._structure.weight = weight
        return None if np.isnan(weight) else ctypes.addressof(self._structure)

    def predict(self, library: ctypes.CDLL, contexts: Any, lengths: Any) -> tuple[Any, Any]:
        """Return probabilities, (n, V), and statistics, (n, 3)."""
        address = ctypes.addressof(self._structure)
        return predictions(library, address, self._structure.vocab, contexts, lengths)

    def predict_words(self, library: ctypes.CDLL, contexts: Any, lengths: Any) -> Any:
        """Return the predictions of the words, (n, V)."""
        address = ctypes.addressof(self._structure)
        return word_predictions(library, address, self._structure.vocab, contexts, lengths)

    def add_tables(self, library: ctypes.CDLL) -> None:
        """Add the tables of the low orders, as the library itself computes them."""
        tables = []
        for d in range(self._structure.split):
            contexts = np.zeros(1, dtype=np.uint64)
            for i in range(d):  # the newest symbol varies fastest
                symbols = np.arange(self._structure.vocab, dtype=np.uint64)
                contexts = (
                    symbols[:, None] << np.uint64(i * self._structure.bits) | contexts
                ).ravel()
            p, statistics = self.predict(library, contexts, np.full(len(contexts), d))
            tables.append((p, statistics.T))
        self._tables = NgramTables(tables)
        self._structure.tables, self._structure.table_statistics = self._tables.addresses


def orders_of(reference: Reference, kind: str) -> Any:
    """Return the structures of the orders of characters ("ngrams") or the word contexts ("words")."""
    all_discounts = reference[f"{kind}/discounts"].tolist()
    orders = (Order * len(all_discounts))()
    for k, (order, discounts) in enumerate(zip(orders, all_discounts, strict=True)):
        arrays = [reference[f"{kind}/{name}/{k}"] for name in ("keys", "counts", "discounted")]
        order.size = len(arrays[0])
        order.keys, order.counts, order.discounted = (a.ctypes.data for a in arrays)
        order.discounts[:] = discounts
    return orders


def network_of(cell: str, reference: Reference, *, is_half: bool) -> NetworkArrays:
    """Return the network of a cell. Its weights are numbers of bfloat16: both formats hold them."""
    return NetworkArrays(
        cell=cell,
        vocab=reference[f"{cell}/logits"].shape[-1],
        **{
            name: [reference[f"{cell}/{name}/{layer}"] for layer in range(2)]
            for name in ("tables", "inputs", "recurrents", "biases")
        },
        decoder=reference[f"{cell}/decoder"],
        bias=reference[f"{cell}/bias"],
        is_half=is_half,
    )


def _is_close(found: Floats, expected: Floats) -> bool:
    """True if the first columns of an array are the expected ones; NaN never is."""
    return bool(np.abs(found[..., : expected.shape[-1]] - expected).max() < TOLERANCE)


def _steps(library: ctypes.CDLL, cell: str, network: NetworkArrays, reference: Reference) -> bool:
    return _is_close(run(library, network, reference["ids"]), reference[f"{cell}/logits"])


def run(library: ctypes.CDLL, network: NetworkArrays, ids: Floats) -> Floats:
    """Return the logits after each step of two layers, (T, B, S), for ids (T, B)."""
    num_steps, num_streams = ids.shape
    logits = np.empty((num_steps, num_streams, network.symbols), dtype=np.float32)
    h, c = np.zeros((2, 2, num_streams, network.padded), dtype=np.float32)
    gates = np.empty((2 * num_streams, network.gates), dtype=np.float32)
    for step, symbols in enumerate(np.ascontiguousarray(ids, dtype=np.int64)):
        library.network_step(
            network.address, num_streams, num_streams, symbols.ctypes.data, h.ctypes.data,
            c.ctypes.data, gates.ctypes.data, logits[step].ctypes.data,
        )  # fmt: skip
    return logits


def _predicts(library: ctypes.CDLL, memory: Counts, reference: Reference) -> bool:
    """True if the predictions have the bits of NumPy, without and with tables of the low orders."""
    asked = reference["ngrams/contexts"], reference["ngrams/lengths"]
    computed = memory.predict(library, *asked)
    memory.add_tables(library)
    return all(
        np.array_equal(p, reference["ngrams/p"])
        and np.array_equal(statistics, reference["ngrams/statistics"])
        for p, statistics in (computed, memory.predict(library, *asked))
    )


def _predicts_words(library: ctypes.CDLL, memory: Counts, reference: Reference) -> bool:
    """True if the predictions of the words have the bits of NumPy."""
    asked = reference["words/contexts"], reference["words/lengths"]
    return np.array_equal(memory.predict_words(library, *asked), reference["words/p"])


def _mixes(library: ctypes.CDLL, memory: Counts, reference: Reference) -> bool:
    """True if logits of a network are mixed with the predictions, with each weight."""
    logits, p = reference["mixture/logits"], reference["ngrams/p"]
    room, statistics = np.empty(logits.shape[1], np.float32), reference["ngrams/statistics"]
    for weight, expected in zip((-1, 0.3), reference["mixture/mixed"], strict=True):
        found = logits.copy()
        for row in range(len(found)):
            library.ngram_mix(
                memory.address(weight), found.shape[1], found[row].ctypes.data,
                p[row].ctypes.data, statistics[row].ctypes.data, room.ctypes.data,
            )  # fmt: skip
        if not _is_close(found, expected):
            return False
    return True


def _writes(
    library: ctypes.CDLL, cell: str, network: NetworkArrays, memory: Counts, reference: Reference
) -> bool:
    """True if texts are those of NumPy, with each setting of memory, steering and filters."""
    expected, all_stopped = reference[f"{cell}/texts"], reference[f"{cell}/stopped"]
    for row, (texts, stopped) in enumerate(zip(expected, all_stopped, strict=True)):
        ids, is_stopped = write(library, network, memory, reference, row)
        is_told = texts >= 0
        if not (ids[is_told] == texts[is_told]).all() or not (is_stopped == stopped).all():
            return False
    return True


def write(
    library: ctypes.CDLL, network: NetworkArrays, memory: Counts, reference: Reference, row: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return ids, (B, T), and what ended each text, (B,), with the settings of a row."""
    uniforms, first = reference["texts/uniforms"], reference["texts/first"].copy()
    weight, temperature, top_k, top_p, lowest, shortest = reference["texts/settings"][row].tolist()
    B, T = uniforms.shape
    lengths, ends = reference["texts/stop_lengths"], reference["texts/stops"]
    tail = max(int(lengths.max()) - 1, T + 1)
    h, c = np.zeros((2, 2, B, network.padded), dtype=np.float32)
    start = np.full(network.symbols, IMPOSSIBLE, dtype=np.float32)
    start[: len(reference["texts/start"])] = reference["texts/start"]
    texts, wanted = np.arange(B), np.full(B, T)
    written, stopped = np.zeros((2, B), dtype=np.int64)
    contexts = reference["texts/contexts"].copy()
    known = (first >= 0).astype(np.int64)
    ids = np.full((B, tail + T), -1, dtype=np.int32)
    ids[:, tail - 1] = first
    parts = (h, c, texts, first, start, contexts, known, written, wanted, stopped)
    batch = Batch(
        B, B, *(part.ctypes.data for part in parts), T, tail, uniforms.ctypes.data, ids.ctypes.data
    )
    bias, penalties = reference["texts/bias"][row], reference["texts/penalties"][row]
    runs = np.zeros((B, tail), dtype=np.int32)
    steered = Steered(
        bias.ctypes.data, int(shortest), len(penalties) - 2, tail, penalties.ctypes.data,
        runs.ctypes.data,
    )  # fmt: skip
    is_steered = shortest > 0 or bias[: len(reference["texts/start"])].any()
    how = Filters(temperature, int(top_k), top_p, lowest)
    stops = Stops(len(lengths), lengths.ctypes.data, ends.ctypes.data)
    library.write_texts(
        network.address, memory.address(weight), ctypes.addressof(steered) if is_steered else None,
        *(ctypes.addressof(each) for each in (how, stops, batch)),
    )  # fmt: skip
    return ids[:, tail:], stopped


def _matches(library: ctypes.CDLL, reference: Reference) -> bool:
    """True if an automaton lets through the symbols that it lets through in NumPy."""
    all_logits, table = reference["matches/logits"], reference["matches/table"]
    T, B, S = all_logits.shape
    bias, state = np.zeros(S, dtype=np.float32), np.zeros(B, dtype=np.int64)
    distances, least = reference["matches/distances"], reference["matches/least"]
    pointers = (each.ctypes.data for each in (table, distances, least, state))
    steered = Steered(bias.ctypes.data, 0, 0, 0, None, bias.ctypes.data, len(table), *pointers)
    symbols, ends = np.full((T, B), -1, dtype=np.int32), np.zeros(B, dtype=np.int64)
    address, room = ctypes.addressof(steered), np.empty(S, dtype=np.int32)
    for t, logits in enumerate(all_logits.copy()):
        for text in np.flatnonzero(ends == 0).tolist():
            at = symbols[t, text : text + 1]
            library.steer(
                address, table.shape[1], S, text, T - t, at.ctypes.data, logits[text].ctypes.data,
                room.ctypes.data,
            )  # fmt: skip
            at[0] = logits[text].argmax()
            ends[text] = library.steer_read(
                address, table.shape[1], text, T - t - 1, at.ctypes.data
            )
    return np.array_equal(symbols, reference["matches/symbols"]) and np.array_equal(
        ends, reference["matches/ends"]
    )


def main(arguments: list[str]) -> int:
    """Return 0 if the library at a path passes, else 1."""
    library = open_library(Path(arguments[0]))
    return 0 if library is not None and passes(library) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
