"""Load a corpus and split it into training and held-out text."""

import codecs
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from charrnn.core.config import TrainConfig
from charrnn.core.console import count_text
from charrnn.core.errors import InputError, printable
from charrnn.data import cache
from charrnn.data.columns import named, table_columns
from charrnn.data.file_kinds import head_of, kind_of
from charrnn.data.ids import Encoded, TextPart, _encode
from charrnn.data.reading import Reading
from charrnn.data.records import Records, record_notes, split_records
from charrnn.data.text_files import CARRIAGE_RETURN, MOST_NAMED, find_files, has_nul
from charrnn.data.undecodable import Undecodable, wrong_encoding_notes
from charrnn.data.vocab import CharVocabulary, Ids, Vocabulary, turned_round


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """A text as ids, split into training and held-out text. Arrays may be memory-mapped.

    For a backward model the ids are in the order in which it reads: from the last to the first.
    """

    vocab: Vocabulary
    train: Ids
    """Training text, (N,)."""
    val: Ids
    """Held-out text, (M,); empty without validation."""
    digest: str
    """SHA-256 over the contents of the files and all settings that decide their ids."""
    other_digest: str = ""
    """What earlier versions wrote for --newlines lf, where no line end was converted."""
    files: tuple[str, ...]
    sources: tuple[str, ...] = ()
    """The files and folders that were named, as absolute paths."""
    train_records: Records | None = None
    """With --lines: the records of `train`."""
    val_records: Records | None = None
    starts: dict[int, int] = field(default_factory=dict)
    """How often each id begins a line; only for texts without newlines."""
    notes: tuple[str, ...] = ()
    has_repeated: bool = False
    """True if files with the content of an earlier one were given."""
    train_pieces: tuple[int, ...] = ()
    """With --val-pieces: the start of each piece of `train`; held-out text lies between two."""
    repeats: tuple[tuple[int, int, int], ...] = ()
    """Where texts have weights: begin and end of each in `train`, and how often a pass reads it."""
    is_backward: bool = False
    """True if the ids run from the end of the text to its start."""

    def turned_round(self) -> "Corpus":
        """Return the same training and held-out text in the other direction."""
        train, val = turned_round(self.train), self.val
        records, val_records, pieces = self.train_records, self.val_records, self.train_pieces
        return replace(
            self,
            train=train,
            val=train if val is self.train else turned_round(val),
            train_records=records.turned_round(len(train)) if records else None,
            val_records=None if val_records is None else val_records.turned_round(len(val)),
            train_pieces=pieces[:1] + tuple(len(train) - start for start in pieces[:0:-1]),
            repeats=tuple((len(train) - e, len(train) - b, n) for b, e, n in self.repeats[::-1]),
            is_backward=not self.is_backward,
        )

    def in_reading_order(self) -> "Corpus":
        """Return the text as people read it."""
        return self.turned_round() if self.is_backward else self

    def has_digest(self, digest: str) -> bool:
        """Whether this is the text, and the split, that a checkpoint has this digest of."""
        return digest in (self.digest, self.other_digest or self.digest)

    @property
    def num_train(self) -> int:
        """Number of training characters; records count with their newlines."""
        return _num_chars(self.train, self.train_records)

    @property
    def chars_per_record(self) -> float | None:
        """Mean characters of a record and its newline; None for a text of streams."""
        return self.num_train / len(self.train_records) if self.train_records else None

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
    files: list[Path] = []
    notes: list[str] = []
    weights: list[int] = []
    for path, weight in zip(paths, weights_of(config, len(paths)), strict=True):
        own, own_notes = find_files([path], reading, check_encoding=check_encoding)
        files += own
        notes += own_notes
        weights += [weight] * len(own)
        notes += [f"a pass reads {printable(path)} {weight} times"] * (weight > 1)
    val_paths = [config.val_file] if config.val_file else []
    held_out = find_files(val_paths, reading, check_encoding=check_encoding)[0]
    if any(path.samefile(file) for path in held_out for file in files):
        notes.append("--val-file is trained on too: its loss will look better than it is")
    digests = {path: _digest(path, is_raw=config.bytes) for path in files + held_out}
    repeated = _repeated(files, digests)
    notes += _repeated_notes(files, repeated, are_left_out=config.corpus_rule > 1)
    if config.corpus_rule > 1:
        first = [i for i in range(len(files)) if i not in repeated]
        files, weights = [files[i] for i in first], [weights[i] for i in first]
    keeps_own = bool(held_out) or config.lines
    parts = _parts(files, 1.0 if keeps_own else 1.0 - config.val_frac) + _parts(held_out, 0.0)
    if any(path.stat().st_size == 0 for path in held_out):
        raise InputError(f"--val-file: {printable(config.val_file)}: is empty")
    settings = [[digests[part.path], part.train_frac, part.adds_newline] for part in parts]
    notes += _file_notes(files, reading)
    key = _key(settings, reading, config)
    encoded = _encode(parts, reading, config, key)
    if isinstance(encoded.vocab, CharVocabulary):
        notes += wrong_encoding_notes(files, reading.encoding, encoded.vocab.characters)
    corpus = _split(encoded, config, key, files, notes, weights)
    if not (encoded.has_returns or config.lines or config.column):  # --newlines changes nothing
        kept = _key(settings, replace(reading, newlines="keep"), config)
        corpus = replace(corpus, digest=corpus_digest(kept, config), other_digest=corpus.digest)
    sources = tuple(str(path.absolute()) for path in paths)
    return replace(corpus, sources=sources, has_repeated=bool(repeated))


def _key(settings: list[list[Any]], reading: Reading, config: TrainConfig) -> str:
    """Return the cache key of a text: of its files, and of how they are read."""
    return cache.key_of(
        [settings, reading.bytes, reading.encoding, reading.newlines, config.lines]
        + [reading.errors] * (reading.errors != "strict")
        + [reading.normalize] * (reading.normalize != "keep")
        + [["column", reading.column]] * bool(reading.column)
        + [["val_pieces", config.val_pieces]] * (config.val_pieces > 1)
    )


def reading_of(config: TrainConfig) -> Reading:
    """Return how files become symbols.

    A record is a line, and a line does not end in a carriage return.
    """
    newlines = "lf" if config.lines and not config.bytes else config.newlines
    return Reading(
        bytes=config.bytes,
        encoding=config.encoding,
        newlines=newlines,
        errors=config.errors,
        normalize=config.normalize,
        column=config.column,
        one_line=config.lines,
    )


def _repeated(files: list[Path], digests: dict[Path, str]) -> dict[int, Path]:
    """Return the index of each file with the content of an earlier one, and that one."""
    first: dict[str, int] = {}
    return {
        i: files[first[digests[path]]]
        for i, path in enumerate(files)
        if path.stat().st_size and first.setdefault(digests[path], i) != i
    }


def _repeated_notes(
    files: list[Path], repeated: dict[int, Path], *, are_left_out: bool
) -> list[str]:
    """Return a note about files with the content of an earlier one."""
    pairs = [(printable(files[i]), printable(other)) for i, other in repeated.items()]
    named = ", ".join(f"{path} (as {other})" for path, other in pairs[:MOST_NAMED])
    more = f" and {len(pairs) - MOST_NAMED} more" if len(pairs) > MOST_NAMED else ""
    what = "left out" if are_left_out else "learned a second time"
    told = f"{count_text(len(pairs), 'file')} {what}, with the content of another: {named}{more}"
    return [told] if pairs else []


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
    notes = [f"{printable(path)} holds NULs: {hint}" for path in binary[:1]]
    return notes + _table_notes(files, reading)


def _table_notes(files: list[Path], reading: Reading) -> list[str]:
    """Return a note about a table whose rows would be learned as lines."""
    if not reading.one_line or reading.column:
        return []
    tables = [(path, names) for path in files if (names := table_columns(path, reading.encoding))]
    return [
        f"{printable(path)} looks like a table with the columns {named(names)}; "
        "--column NAME reads one of them"
        for path, names in tables[:1]
    ]


def _parts(files: list[Path], train_frac: float) -> list[TextPart]:
    return [TextPart(path, train_frac, i < len(files) - 1) for i, path in enumerate(files)]


def _digest(path: Path, *, is_raw: bool) -> str:
    try:
        return cache.content_digest(path, is_raw=is_raw)
    except OSError as error:
        raise InputError(f"{printable(path)}: {error.strerror}; name a readable file") from None


def _split(
    encoded: Encoded, config: TrainConfig, key: str, files: list[Path], notes: list[str],
    weights: list[int],
) -> Corpus:  # fmt: skip
    train, val = encoded.ids[: encoded.num_train], encoded.ids[encoded.num_train :]
    train_records = val_records = None
    if config.lines:
        split = split_records(
            train,
            val,
            encoded.vocab,
            val_frac=config.val_frac,
            seed=config.seed,
            rule=config.corpus_rule,
            files=files,
        )
        train_records, val_records = split.train, split.val
        val = val if len(val) else train
        notes = notes + record_notes(split)
    corpus = Corpus(
        vocab=encoded.vocab,
        train=train,
        val=val,
        digest=corpus_digest(key, config),
        files=tuple(str(path) for path in files),
        train_records=train_records,
        val_records=val_records,
        notes=tuple(notes + encoded.notes),
        train_pieces=encoded.train_pieces,
        repeats=repeats_of(encoded.train_sizes, weights),
    )
    if config.direction == "backward":
        corpus = corpus.turned_round()
    return replace(corpus, starts=_line_starts(corpus, encoded.first_ids))


def weights_of(config: TrainConfig, num_texts: int) -> list[int]:
    """Return how often a pass reads each of the texts that are named.

    Raises:
        InputError: The settings have weights for another number of texts.
    """
    weights = [int(weight) for weight in config.weights.split(",") if weight] or [1] * num_texts
    if len(weights) != num_texts:
        texts = count_text(num_texts, "text")
        raise InputError(f"weights: {config.weights}: one for each text; {texts} named")
    return weights


def repeats_of(sizes: Sequence[int], weights: list[int]) -> tuple[tuple[int, int, int], ...]:
    """Return `Corpus.repeats`, given the symbols of training text of each file."""
    if len(set(weights)) == 1:
        return ()
    parts = zip(sizes, accumulate(sizes), weights, strict=False)
    return tuple((end - size, end, weight) for size, end, weight in parts)


def corpus_digest(key: str, config: TrainConfig) -> str:
    """Return the SHA-256 over the texts and all that decides their ids and what is held out."""
    rule = f"/rule {config.corpus_rule}" if config.lines and config.corpus_rule > 1 else ""
    return hashlib.sha256(f"{key}/{config.val_frac}/{config.lines}{rule}".encode()).hexdigest()


def validation_notes(corpus: Corpus, val_frac: float) -> list[str]:
    """Return a note if a run has no validation loss."""
    if corpus.num_val:
        return []
    lines = corpus.train_records
    num = len(set(lines.texts(corpus.train))) if lines else 0
    few = f"; {num} different lines are too few for --val-frac {val_frac:g}" if lines else ""
    return [f"no text is held out, so there is no validation loss{few * (val_frac > 0)}"]


def _line_starts(corpus: Corpus, first_ids: list[int]) -> dict[int, int]:
    """Return `Corpus.starts`; a backward model begins with the end of a line."""
    if corpus.vocab.newline is not None:
        return {}
    train = corpus.train
    counts = Counter(train[:1].tolist() if corpus.is_backward else first_ids)
    assert isinstance(corpus.vocab, CharVocabulary)
    returns = np.flatnonzero(corpus.vocab.code_points == CARRIAGE_RETURN)
    if len(returns):
        counts.update(train[1:][train[:-1] == returns[0]].tolist())
    return dict(sorted(counts.items()))
