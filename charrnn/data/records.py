"""Records: the lines of a text that is read with --lines, and which of them are held out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from charrnn.core.console import count_text
from charrnn.core.seeds import derive_seed
from charrnn.data.file_kinds import unfit
from charrnn.data.vocab import CharVocabulary, Ids, Vocabulary

LONGEST = 512
"""Most characters of a record; a longer one is cut."""

KEYED_TOGETHER = 1 << 16
"""Records that are decoded together."""

Keys = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Records:
    """Non-empty lines of a text: record r is ids[starts[r] : starts[r] + lengths[r]]."""

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)

    def texts(self, ids: Ids) -> Iterator[bytes]:
        """Yield the ids of each record as bytes, to compare records."""
        for start, length in zip(self.starts.tolist(), self.lengths.tolist(), strict=True):
            yield ids[start : start + length].tobytes()

    def joined(self, ids: Ids, newline: int) -> Ids:
        """Return the ids of all records, each with its newline."""
        sizes = self.lengths + 1
        ends = np.cumsum(sizes)
        places = np.arange(int(sizes.sum())) + np.repeat(self.starts - (ends - sizes), sizes)
        result: Ids = np.asarray(ids)[np.minimum(places, len(ids) - 1)].copy()
        result[ends - 1] = newline
        return result

    def turned_round(self, num_ids: int) -> "Records":
        """Return the same records, in the same order, in the reversed text of this length."""
        return Records(num_ids - self.starts - self.lengths, self.lengths)

    def take(self, chosen: NDArray[np.int64]) -> "Records":
        """Return the records at these indices."""
        return Records(self.starts[chosen], self.lengths[chosen])


@dataclass(frozen=True, slots=True)
class RecordSplit:
    """The records of a text, split into training and held-out records."""

    train: Records
    val: Records
    num_cut: int = 0
    """Records that were cut."""
    num_lost: int = 0
    """Characters of them that were cut off."""
    num_equal: int = 0
    """Records that are equal to an earlier one, as people read them; 0 where none was counted."""
    num_lines: int = 0
    """Records that were compared."""


def find_records(ids: Ids, newline: int) -> tuple[Records, int]:
    """Return the non-empty lines, cut to LONGEST, and the number of lines that were cut."""
    records, lengths = cut(find_lines(ids, newline))
    return records, int((lengths > 0).sum())


def find_lines(ids: Ids, newline: int) -> Records:
    """Return the non-empty lines of a text."""
    ends = np.append(np.flatnonzero(ids == newline), len(ids))
    starts = np.append(0, ends[:-1] + 1)
    kept = ends > starts
    return Records(starts[kept], (ends - starts)[kept])


def cut(lines: Records) -> tuple[Records, NDArray[np.int64]]:
    """Return records of at most LONGEST characters, and what was cut off of each, (n,)."""
    lengths = np.minimum(lines.lengths, LONGEST)
    return Records(lines.starts, lengths), lines.lengths - lengths


def split_records(
    train: Ids,
    val: Ids,
    vocab: Vocabulary,
    *,
    val_frac: float,
    seed: int,
    rule: int,
    files: Sequence[object],
) -> RecordSplit:
    """Return training and held-out records.

    Held out is about `val_frac` of the distinct records, each once, and none of them occurs in
    training; or all those of `val`, where a file was given for them. By rule 2 the side of a
    record follows from a hash of the record, so that a longer list keeps it; by rule 1 the records
    are drawn by seed. `files` are the names of the text, for a message.

    Raises:
        InputError: There are fewer than two records.
    """
    newline = vocab.newline
    assert newline is not None  # a text of lines always has it
    lines = find_lines(train, newline)
    if len(lines) < 2:
        lines_text = count_text(len(lines), "non-empty line")
        raise unfit(files, f"the text has {lines_text}; --lines needs at least 2")
    records, lost = cut(lines)
    counts = int((lost > 0).sum()), int(lost.sum())
    if len(val):
        return RecordSplit(records, find_records(val, newline)[0], *counts)
    if rule == 1:
        return RecordSplit(*split_by_seed(train, records, val_frac, seed), *counts)
    keys = record_keys(train, lines, vocab)
    distinct, first, group = np.unique(keys, return_index=True, return_inverse=True)
    num = num_held_out(distinct, val_frac)
    held_out = records.take(np.sort(first[:num]))
    return RecordSplit(
        records.take(np.flatnonzero(group >= num)),
        held_out,
        *counts,
        len(lines) - len(distinct),
        len(lines),
    )


def num_held_out(distinct: Keys, val_frac: float) -> int:
    """Return how many of the distinct records, in the order of their keys, are held out.

    Those with a key below `val_frac` of 2^64. If a list that has enough records has none, the
    first; and the last one is always trained on.
    """
    num = int(np.searchsorted(distinct, np.uint64(int(val_frac * 2.0**64))))
    fewest = min(1, int(len(distinct) * val_frac))
    return min(max(num, fewest), len(distinct) - 1)


def record_keys(ids: Ids, lines: Records, vocab: Vocabulary) -> Keys:
    """Return the key of each whole line, (n,): 64 bits of a hash of what people read.

    The same line has the same key in any list, encoding, normal form and vocabulary.
    """
    keys = np.empty(len(lines), dtype=np.uint64)
    for begin in range(0, len(lines), KEYED_TOGETHER):
        some = lines.take(np.arange(begin, min(begin + KEYED_TOGETHER, len(lines))))
        keys[begin : begin + len(some)] = [key_of(line) for line in strings(ids, some, vocab)]
    return keys


def key_of(line: str) -> int:
    """Return the key of a line: the first 64 bits of BLAKE2b of its readable form in UTF-8."""
    data = readable(line).encode("utf-8", "surrogateescape")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


def readable(line: str) -> str:
    """Return a line as people compare it: trimmed, and in Unicode's composed form."""
    return normalize("NFC", line).strip()


def strings(ids: Ids, lines: Records, vocab: Vocabulary) -> Iterator[str]:
    """Yield lines as strings; bytes that are not UTF-8 become lone surrogates."""
    if not isinstance(vocab, CharVocabulary):
        for line in lines.texts(ids):
            yield line.decode("utf-8", "surrogateescape")
        return
    codes = vocab.code_points[ids[lines.starts[0] : lines.starts[-1] + lines.lengths[-1]]]
    text = codes.astype("<u4").tobytes().decode("utf-32-le")
    offsets = (lines.starts - lines.starts[0]).tolist()
    for begin, length in zip(offsets, lines.lengths.tolist(), strict=True):
        yield text[begin : begin + length]


def split_by_seed(
    ids: Ids, records: Records, val_frac: float, seed: int
) -> tuple[Records, Records]:
    """Return training and held-out records by rule 1: the distinct ones to hold out are drawn."""
    numbers: dict[bytes, int] = {}  # each distinct record by its first occurrence
    group = np.array([numbers.setdefault(text, len(numbers)) for text in records.texts(ids)])
    order = np.random.default_rng(derive_seed(seed, "held out", 0)).permutation(len(numbers))
    is_held_out = np.zeros(len(numbers), dtype=bool)
    is_held_out[order[: int(len(numbers) * val_frac)]] = True
    first = np.unique(group, return_index=True)[1]
    held_out = records.take(first[is_held_out])
    return records.take(np.flatnonzero(~is_held_out[group])), held_out


def record_notes(split: RecordSplit) -> list[str]:
    """Return notes about records that were cut, and equal ones."""
    notes = []
    if split.num_cut:
        num_chars = int(split.train.lengths.sum() + split.val.lengths.sum()) + split.num_lost
        lines = f"{count_text(split.num_cut, 'line')} cut to {LONGEST} characters"
        lost = f"{split.num_lost / num_chars:.0%} of the text is lost"
        notes.append(f"{lines}, {lost}; without --lines, nothing is cut")
    if split.num_equal:
        share = (
            f"{split.num_equal:,} of {split.num_lines:,} ({split.num_equal / split.num_lines:.0%})"
        )
        notes.append(f"repeated lines: {share}; equal lines are never both trained on and held out")
    return notes
