"""Lines as texts of their own: where they lie in an array of ids, and which are held out."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charrnn.errors import InputError
from charrnn.seeds import derive_seed
from charrnn.vocab import Ids

LONGEST = 512
"""Characters of a record that are kept."""


@dataclass(frozen=True, slots=True)
class Records:
    """Non-empty lines of a text: record r is ids[starts[r] : starts[r] + lengths[r]]."""

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)

    def texts(self, ids: Ids) -> Iterator[bytes]:
        """Yield the content of each record, as bytes that can be compared."""
        for start, length in zip(self.starts.tolist(), self.lengths.tolist(), strict=True):
            yield ids[start : start + length].tobytes()

    def joined(self, ids: Ids, newline: int) -> Ids:
        """Return all records one after the other, each with its end."""
        sizes = self.lengths + 1
        ends = np.cumsum(sizes)
        places = np.arange(int(sizes.sum())) + np.repeat(self.starts - (ends - sizes), sizes)
        result: Ids = np.asarray(ids)[np.minimum(places, len(ids) - 1)].copy()
        result[ends - 1] = newline
        return result

    def take(self, chosen: NDArray[np.int64]) -> "Records":
        """Return some of the records, in the order given."""
        return Records(self.starts[chosen], self.lengths[chosen])


def find_records(ids: Ids, newline: int) -> tuple[Records, int]:
    """Return the non-empty lines, cut to LONGEST, and how many were cut."""
    ends = np.append(np.flatnonzero(ids == newline), len(ids))
    starts = np.append(0, ends[:-1] + 1)
    lengths = ends - starts
    kept = lengths > 0
    starts, lengths = starts[kept], lengths[kept]
    return Records(starts, np.minimum(lengths, LONGEST)), int((lengths > LONGEST).sum())


def split_records(
    train: Ids, val: Ids, newline: int, val_frac: float, seed: int
) -> tuple[Records, Records, list[str]]:
    """Return training and held-out records, and notes.

    Held out are `val_frac` of the distinct records, drawn by seed, and none of them occurs in
    training; or all those of `val`, where a file was given for them.

    Raises:
        InputError: There are fewer than two records.
    """
    records, num_cut = find_records(train, newline)
    if len(records) < 2:
        raise InputError(f"the text has {len(records)} non-empty lines; --lines needs at least 2")
    notes = [f"{num_cut:,} lines cut to {LONGEST} characters"] if num_cut else []
    if len(val):
        return records, find_records(val, newline)[0], notes
    numbers: dict[bytes, int] = {}  # each distinct record by its first occurrence
    group = np.array([numbers.setdefault(text, len(numbers)) for text in records.texts(train)])
    order = np.random.default_rng(derive_seed(seed, "held out", 0)).permutation(len(numbers))
    is_held_out = np.zeros(len(numbers), dtype=bool)
    is_held_out[order[: int(len(numbers) * val_frac)]] = True
    first = np.unique(group, return_index=True)[1]
    held_out = records.take(first[is_held_out])
    return records.take(np.flatnonzero(~is_held_out[group])), held_out, notes
