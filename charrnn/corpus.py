"""Files -> ids -> training and held-out text."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from charrnn import cache
from charrnn.config import MAX_SYMBOLS, TrainConfig
from charrnn.errors import InputError, printable
from charrnn.records import Records, split_records
from charrnn.textfiles import (
    CARRIAGE_RETURN,
    CHUNK,
    NEWLINE,
    Codes,
    Reading,
    Survey,
    find_files,
    has_nul,
    read_codes,
)
from charrnn.vocab import ByteVocabulary, CharVocabulary, Ids, Vocabulary, id_dtype

CACHED_ABOVE = 64 << 20
"""Texts of more bytes than this are encoded into the cache folder, smaller ones in memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """A text as ids, split. Both parts may be mapped from a file."""

    vocab: Vocabulary
    train: Ids
    """Training text, (N,)."""
    val: Ids
    """Held-out text, (M,); empty without validation."""
    digest: str
    """SHA-256 over the files' contents and all that decides how they become ids."""
    files: tuple[str, ...]
    sources: tuple[str, ...] = ()
    """Where they were found: files and folders as they were named, made absolute."""
    train_records: Records | None = None
    """With --lines: where each record of `train` lies."""
    val_records: Records | None = None
    starts: dict[int, int] = field(default_factory=dict)
    """How often each id begins a line; only kept for texts without newlines."""
    notes: tuple[str, ...] = ()

    @property
    def num_train(self) -> int:
        """Characters that are trained on; of records, with their ends."""
        return _num_chars(self.train, self.train_records)

    @property
    def num_val(self) -> int:
        """Characters that are held out."""
        return _num_chars(self.val, self.val_records)


def _num_chars(ids: Ids, records: Records | None) -> int:
    return len(ids) if records is None else int((records.lengths + 1).sum())


@dataclass(slots=True)
class Encoded:
    """All files as one array of ids, file after file: training parts first, then held-out."""

    ids: Ids
    vocab: Vocabulary
    num_train: int
    first_ids: list[int]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Part:
    """One file, and how much of it is trained on."""

    path: Path
    train_frac: float
    adds_newline: bool
    """Whether a newline is put after it, should it not end in one."""


def load_corpus(paths: list[Path], config: TrainConfig) -> Corpus:
    """Read files and directories as one text and hold out a part of it.

    Raises:
        InputError: A file cannot be read or decoded, or the text has too few or too many symbols.
    """
    files, notes = find_files(paths)
    held_out = find_files([config.val_file])[0] if config.val_file else []
    if any(path.samefile(file) for path in held_out for file in files):
        notes.append("--val-file is trained on too: its loss will look better than it is")
    # A record is a line, and a line does not end in a carriage return.
    newlines = "lf" if config.lines and not config.bytes else config.newlines
    reading = Reading(bytes=config.bytes, encoding=config.encoding, newlines=newlines)
    keeps_own = bool(held_out) or config.lines
    parts = _parts(files, 1.0 if keeps_own else 1.0 - config.val_frac) + _parts(held_out, 0.0)
    if any(path.stat().st_size == 0 for path in held_out):
        raise InputError(f"--val-file: {printable(config.val_file)}: is empty")
    if not config.bytes and (binary := [path for path in files if has_nul(path)]):
        notes.append(
            f"{printable(binary[0])} holds NULs: if it is no UTF-8 text, use --bytes, "
            "or --encoding utf-16-le"
        )
    digests = [_digest(part.path) for part in parts]
    settings = [
        [digest, part.train_frac, part.adds_newline]
        for digest, part in zip(digests, parts, strict=True)
    ]
    key = cache.key_of([settings, reading.bytes, reading.encoding, reading.newlines, config.lines])
    encoded = _encode(parts, reading, config, key)
    corpus = _split(encoded, config, key, files, notes)
    return replace(corpus, sources=tuple(str(path.absolute()) for path in paths))


def _parts(files: list[Path], train_frac: float) -> list[Part]:
    return [Part(path, train_frac, i < len(files) - 1) for i, path in enumerate(files)]


def _digest(path: Path) -> str:
    try:
        return cache.content_digest(path)
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


def _line_starts(encoded: Encoded, train: Ids) -> dict[int, int]:
    if encoded.vocab.newline is not None:
        return {}
    counts = Counter(encoded.first_ids)
    assert isinstance(encoded.vocab, CharVocabulary)
    returns = np.flatnonzero(encoded.vocab.code_points == CARRIAGE_RETURN)
    if len(returns):
        counts.update(train[1:][train[:-1] == returns[0]].tolist())
    return dict(sorted(counts.items()))


def _encode(parts: list[Part], reading: Reading, config: TrainConfig, key: str) -> Encoded:
    if reading.bytes and len(parts) == 1 and parts[0].path.stat().st_size:
        return _map_bytes(parts[0])
    is_large = sum(part.path.stat().st_size for part in parts) > CACHED_ABOVE
    if is_large and (found := cache.load(key)):
        return _from_facts(*found)
    survey = Survey()
    if config.lines:
        survey.seen[NEWLINE] = True
    counts = [_survey(part, reading, survey) for part in parts]
    if not sum(counts):
        raise InputError("the text is empty; name a file with at least a few hundred characters")
    if np.count_nonzero(survey.seen) < 2:
        raise _too_uniform()
    vocab = ByteVocabulary() if reading.bytes else _vocabulary(survey)
    facts: dict[str, Any] = {
        "vocab": vocab.to_json(),
        "dtype": np.dtype(id_dtype(vocab.size)).str,
        "num_ids": sum(counts),
        "num_train": sum(_num_train(p, n) for p, n in zip(parts, counts, strict=True)),
        "notes": _notes(survey),
    }
    if is_large:
        with cache.filling(key, facts) as ids:
            facts["first_ids"] = _fill(ids, parts, counts, reading, vocab, facts["num_train"])
    else:
        ids = np.empty(sum(counts), facts["dtype"])
        facts["first_ids"] = _fill(ids, parts, counts, reading, vocab, facts["num_train"])
    return _from_facts(facts, ids)


def _map_bytes(part: Part) -> Encoded:
    """With --bytes the file itself is the array."""
    ids = np.memmap(part.path, dtype=np.uint8, mode="r")
    if all((ids[i : i + CHUNK] == ids[0]).all() for i in range(0, len(ids), CHUNK)):
        raise _too_uniform()
    return Encoded(ids, ByteVocabulary(), _num_train(part, len(ids)), [int(ids[0])], [])


def _from_facts(facts: dict[str, Any], ids: Ids) -> Encoded:
    vocab: Vocabulary
    vocab = ByteVocabulary() if facts["vocab"] == "bytes" else CharVocabulary(facts["vocab"])
    return Encoded(ids, vocab, facts["num_train"], facts["first_ids"], facts["notes"])


def _num_train(part: Part, count: int) -> int:
    return int(count * part.train_frac + 1e-9)  # 10 * (1 - 0.9) is a little less than 1


def closed(chunks: Iterable[Codes], *, adds_newline: bool) -> Iterable[Codes]:
    """Yield the chunks of a file, and the newline that it lacks before the next one begins."""
    last = NEWLINE
    for chunk in chunks:
        last = int(chunk[-1])
        yield chunk
    if adds_newline and last != NEWLINE:
        yield np.array([NEWLINE], dtype=np.uint8)


def _survey(part: Part, reading: Reading, survey: Survey) -> int:
    """Count the symbols of a file, and mark those that occur."""
    count = 0
    for codes in closed(read_codes(part.path, reading, survey), adds_newline=part.adds_newline):
        count += len(codes)
        if codes.dtype == np.uint8:  # what is left when all known bytes are deleted is new
            known = np.flatnonzero(survey.seen[:256]).astype(np.uint8).tobytes()
            new = codes.tobytes().translate(None, delete=known)
            survey.seen[list(set(new))] = True
        elif not survey.seen.take(codes, mode="clip").all():  # looking is faster than marking
            survey.seen[codes] = True
    return count


def _vocabulary(survey: Survey) -> CharVocabulary:
    code_points = np.flatnonzero(survey.seen)
    if len(code_points) > MAX_SYMBOLS:
        raise InputError(
            f"the text has {len(code_points):,} distinct characters, the limit is {MAX_SYMBOLS:,}; "
            "is this the right --encoding? --bytes takes any file"
        )
    if survey.seen[0xD800:0xE000].any():
        raise InputError("the text holds lone surrogates, which no file can hold; use --bytes")
    return CharVocabulary(code_points.tolist())


def _too_uniform() -> InputError:
    return InputError("the text has only one distinct character; there is nothing to learn")


def _notes(survey: Survey) -> list[str]:
    notes = []
    if survey.num_boms:
        notes.append(f"byte order mark dropped ({survey.num_boms})")
    if survey.num_crlf:
        notes.append(
            f"{survey.num_crlf:,} lines end in CRLF and stay so; --newlines lf makes them LF"
        )
    return notes


def _fill(
    ids: Ids,
    parts: list[Part],
    counts: list[int],
    reading: Reading,
    vocab: Vocabulary,
    num_train: int,
) -> list[int]:
    """Write all files as ids into an array, training parts first; return each file's first id."""
    table = _table(vocab)
    ends = {True: 0, False: num_train}  # next free place of training and held-out text
    first_ids = []
    for part, count in zip(parts, counts, strict=True):
        left, done = _num_train(part, count), 0
        for codes in closed(
            read_codes(part.path, reading, Survey()), adds_newline=part.adds_newline
        ):
            block = _translate(codes, table)
            if done == 0:
                first_ids.append(int(block[0]))
            for is_train, piece in ((True, block[:left]), (False, block[left:])):
                _put(ids, ends[is_train], piece, part.path)
                ends[is_train] += len(piece)
            left, done = max(0, left - len(block)), done + len(block)
        if done != count:
            raise _changed(part.path)
    return first_ids


def _put(ids: Ids, start: int, piece: Ids, path: Path) -> None:
    if start + len(piece) > len(ids):
        raise _changed(path)
    ids[start : start + len(piece)] = piece


def _changed(path: Path) -> InputError:
    return InputError(f"{printable(path)}: changed while it was read; try again when it is still")


def _table(vocab: Vocabulary) -> Ids:
    """Return the id of every code point, (0x110000,)."""
    if not isinstance(vocab, CharVocabulary):
        return np.arange(256, dtype=np.uint8)
    table = np.zeros(0x110000, dtype=id_dtype(vocab.size))
    table[vocab.code_points] = np.arange(vocab.size)
    return table


def _translate(codes: Codes, table: Ids) -> Ids:
    if codes.dtype == np.uint8 and table.dtype == np.uint8:  # several times faster than indexing
        return np.frombuffer(codes.tobytes().translate(table[:256].tobytes()), dtype=np.uint8)
    return table.take(codes, mode="clip")
