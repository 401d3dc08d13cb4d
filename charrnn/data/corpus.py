"""Load a corpus and split it into training and held-out text; line records."""

import codecs
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from charrnn.core.config import TrainConfig
from charrnn.core.errors import InputError, printable
from charrnn.core.seeds import derive_seed
from charrnn.data import cache
from charrnn.data.file_kinds import head_of, kind_of
from charrnn.data.ids import Encoded, TextPart, _encode
from charrnn.data.text_files import CARRIAGE_RETURN, Reading, find_files, has_nul
from charrnn.data.undecodable import Undecodable
from charrnn.data.vocab import CharVocabulary, Ids, Vocabulary

LONGEST = 512
"""Most characters of a record; a longer one is cut."""


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

    def take(self, chosen: NDArray[np.int64]) -> "Records":
        """Return the records at these indices."""
        return Records(self.starts[chosen], self.lengths[chosen])


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """A text as ids, split into training and held-out text. Arrays may be memory-mapped."""

    vocab: Vocabulary
    train: Ids
    """Training text, (N,)."""
    val: Ids
    """Held-out text, (M,); empty without validation."""
    digest: str
    """SHA-256 over the contents of the files and all settings that decide their ids."""
    files: tuple[str, ...]
    sources: tuple[str, ...] = ()
    """The files and folders that were named, as absolute paths."""
    train_records: Records | None = None
    """With --lines: the records of `train`."""
    val_records: Records | None = None
    starts: dict[int, int] = field(default_factory=dict)
    """How often each id begins a line; only for texts without newlines."""
    notes: tuple[str, ...] = ()

    @property
    def num_train(self) -> int:
        """Number of training characters; records count with their newlines."""
        return _num_chars(self.train, self.train_records)

    @property
    def num_val(self) -> int:
        """Number of held-out characters."""
        return _num_chars(self.val, self.val_records)


def _num_chars(ids: Ids, records: Records | None) -> int:
    return len(ids) if records is None else int((records.lengths + 1).sum())


def load_corpus(paths: list[Path], config: TrainConfig) -> Corpus:
    """Read files and directories as one text and hold out a part of it.

    Raises:
        InputError: A file cannot be read or decoded, or the text has too few or too many symbols.
    """
    try:
        return _load(paths, config, check_encoding=False)
    except Undecodable:  # rare, and a check beforehand would read every file once more
        return _load(paths, config, check_encoding=True)


def _load(paths: list[Path], config: TrainConfig, *, check_encoding: bool) -> Corpus:
    """Load a corpus; with `check_encoding`, skip files of a folder that cannot be decoded."""
    reading = reading_of(config)
    files, notes = find_files(paths, reading, check_encoding=check_encoding)
    val_paths = [config.val_file] if config.val_file else []
    held_out = find_files(val_paths, reading, check_encoding=check_encoding)[0]
    if any(path.samefile(file) for path in held_out for file in files):
        notes.append("--val-file is trained on too: its loss will look better than it is")
    keeps_own = bool(held_out) or config.lines
    parts = _parts(files, 1.0 if keeps_own else 1.0 - config.val_frac) + _parts(held_out, 0.0)
    if any(path.stat().st_size == 0 for path in held_out):
        raise InputError(f"--val-file: {printable(config.val_file)}: is empty")
    settings = [
        [_digest(part.path, is_raw=config.bytes), part.train_frac, part.adds_newline]
        for part in parts
    ]
    notes += _file_notes(files, reading)
    key = cache.key_of(
        [settings, reading.bytes, reading.encoding, reading.newlines, config.lines]
        + [reading.errors] * (reading.errors != "strict")
    )
    encoded = _encode(parts, reading, config, key)
    corpus = _split(encoded, config, key, files, notes)
    return replace(corpus, sources=tuple(str(path.absolute()) for path in paths))


def reading_of(config: TrainConfig) -> Reading:
    """Return how files become symbols.

    A record is a line, and a line does not end in a carriage return.
    """
    newlines = "lf" if config.lines and not config.bytes else config.newlines
    return Reading(
        bytes=config.bytes, encoding=config.encoding, newlines=newlines, errors=config.errors
    )


def _file_notes(files: list[Path], reading: Reading) -> list[str]:
    """Return notes about files that may not be what they are read as."""
    if reading.bytes:
        kinds = [(path, kind) for path in files if (kind := kind_of(head_of(path)))]
        return [
            f"{printable(path)} is {kind.name}: its bytes are learned as they are, not the text in it"
            for path, kind in kinds[:1]
        ]
    if codecs.lookup(reading.encoding).name.startswith(("utf-16", "utf-32")):
        return []
    binary = [path for path in files if has_nul(path)]
    hint = "if it is no UTF-8 text, use --bytes, or --encoding utf-16-le"
    return [f"{printable(path)} holds NULs: {hint}" for path in binary[:1]]


def _parts(files: list[Path], train_frac: float) -> list[TextPart]:
    return [TextPart(path, train_frac, i < len(files) - 1) for i, path in enumerate(files)]


def _digest(path: Path, *, is_raw: bool) -> str:
    try:
        return cache.content_digest(path, is_raw=is_raw)
    except OSError as error:
        raise InputError(f"{printable(path)}: {error.strerror}; name a readable file") from None


def _split(
    encoded: Encoded, config: TrainConfig, key: str, files: list[Path], notes: list[str]
) -> Corpus:
    train, val = encoded.ids[: encoded.num_train], encoded.ids[encoded.num_train :]
    train_records = val_records = None
    if config.lines:
        newline = encoded.vocab.newline
        assert newline is not None  # a text of lines always has it
        train_records, val_records, note = split_records(
            train, val, newline, config.val_frac, config.seed
        )
        val = val if len(val) else train
        notes = notes + note
    return Corpus(
        vocab=encoded.vocab,
        train=train,
        val=val,
        digest=hashlib.sha256(f"{key}/{config.val_frac}/{config.lines}".encode()).hexdigest(),
        files=tuple(str(path) for path in files),
        train_records=train_records,
        val_records=val_records,
        starts=_line_starts(encoded, train),
        notes=tuple(notes + encoded.notes),
    )


def held_out_notes(corpus: Corpus, val_frac: float) -> list[str]:
    """Return a note if a run has no validation loss."""
    if corpus.num_val:
        return []
    lines = corpus.train_records
    few = f"; {len(lines)} lines are too few for --val-frac {val_frac:g}" if lines else ""
    return [f"no text is held out, so there is no validation loss{few * (val_frac > 0)}"]


def _line_starts(encoded: Encoded, train: Ids) -> dict[int, int]:
    if encoded.vocab.newline is not None:
        return {}
    counts = Counter(encoded.first_ids)
    assert isinstance(encoded.vocab, CharVocabulary)
    returns = np.flatnonzero(encoded.vocab.code_points == CARRIAGE_RETURN)
    if len(returns):
        counts.update(train[1:][train[:-1] == returns[0]].tolist())
    return dict(sorted(counts.items()))


def find_records(ids: Ids, newline: int) -> tuple[Records, int]:
    """Return the non-empty lines, cut to LONGEST, and the number of lines that were cut."""
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
