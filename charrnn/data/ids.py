"""Code points -> ids: build the vocabulary, encode, read a text with a known vocabulary."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from charrnn.core.config import MAX_SYMBOLS, TrainConfig
from charrnn.core.errors import InputError, printable
from charrnn.data import cache
from charrnn.data.file_kinds import is_compressed, unfit
from charrnn.data.reading import Reading, Survey, conversion_notes
from charrnn.data.text_files import CHUNK, NEWLINE, Codes, Text, read_codes
from charrnn.data.vocab import ByteVocabulary, CharVocabulary, Ids, Vocabulary, describe, id_dtype

CACHED_ABOVE = 64 << 20
"""Texts of more bytes are encoded in the cache folder, smaller ones in memory."""

HELD = 64 << 20
"""Texts of at most so many bytes are held as code points, of 1 to 4 bytes, and so decoded once."""

PACKED = 4
"""Bytes of text per byte of a compressed file, roughly."""

TOO_UNIFORM = "the text has only one distinct character; there is nothing to learn"

MOST_SHOWN = 10
"""Most unknown characters that an error lists."""


@dataclass(slots=True)
class Encoded:
    """All files as one array of ids: the training part of each file, then the held-out parts."""

    ids: Ids
    vocab: Vocabulary
    num_train: int
    first_ids: list[int]
    notes: list[str]
    train_pieces: tuple[int, ...] = ()
    """Start of each training piece, with --val-pieces."""
    train_sizes: tuple[int, ...] = ()
    """Symbols of the training part of each file, or of each section; empty where it is one file."""
    has_returns: bool = True
    """Whether the files have carriage returns, which `--newlines` converts or keeps; or may have."""


@dataclass(frozen=True, slots=True)
class TextPart:
    """One file of a corpus, and the fraction of it that is training text."""

    path: Path
    train_frac: float
    adds_newline: bool
    """True if a newline is added after a file that does not end in one."""


def _encode(parts: list[TextPart], reading: Reading, config: TrainConfig, key: str) -> Encoded:
    is_one_file = reading.bytes and len(parts) == 1 and parts[0].path.stat().st_size
    if is_one_file and config.val_pieces == 1:
        return _map_bytes(parts[0])
    size = sum(_size_of(part.path) for part in parts)
    is_large = size > CACHED_ABOVE
    found = cache.load(key) if is_large else None
    if found and not (config.weights and "train_sizes" not in found[0]):  # of an earlier version
        return _from_metadata(*found)
    survey = Survey()
    if config.lines:
        survey.seen[NEWLINE] = True
    is_held = size <= HELD and not any(is_compressed(part.path) for part in parts)
    texts = [Text(part.path, reading, part.adds_newline, [] if is_held else None) for part in parts]
    counts = [_survey(text, survey) for text in texts]
    files = [part.path for part in parts]
    if not sum(counts):
        are = "the text is empty" if len(parts) == 1 else "the texts are empty"
        raise unfit(files, f"{are}; name a file with at least a few hundred characters")
    if np.count_nonzero(survey.seen) < 2:
        raise unfit(files, TOO_UNIFORM)
    vocab = ByteVocabulary() if reading.bytes else _vocabulary(files, survey)
    edges = split_edges(parts, counts, config.val_pieces)
    metadata: dict[str, Any] = {
        "vocab": vocab.to_json(),
        "dtype": np.dtype(id_dtype(vocab.size)).str,
        "num_ids": sum(counts),
        "num_train": sum(train_sizes(edges)),
        "train_sizes": train_sizes(edges),
        "has_returns": survey.num_line_ends["crlf"] + survey.num_line_ends["cr"] > 0,
        "notes": _notes(survey, reading, has_records=config.lines),
    }
    if config.val_pieces > 1:
        metadata["train_pieces"] = [0, *accumulate(train_sizes(edges)[:-1])]
    if is_large:
        with cache.filling(key, metadata) as ids:
            metadata["first_ids"] = _fill(ids, texts, counts, vocab, edges)
    else:
        ids = np.empty(sum(counts), metadata["dtype"])
        metadata["first_ids"] = _fill(ids, texts, counts, vocab, edges)
    return _from_metadata(metadata, ids)


def _size_of(path: Path) -> int:
    """Return the size of a text in bytes; of a compressed one, an estimate."""
    size = path.stat().st_size
    return PACKED * size if is_compressed(path) else size


def _map_bytes(part: TextPart) -> Encoded:
    """Return a file read with --bytes: the memory-mapped file is the array."""
    ids = np.memmap(part.path, dtype=np.uint8, mode="r")
    if all((ids[i : i + CHUNK] == ids[0]).all() for i in range(0, len(ids), CHUNK)):
        raise unfit([part.path], TOO_UNIFORM)
    return Encoded(ids, ByteVocabulary(), _num_train(part, len(ids)), [int(ids[0])], [])


def _from_metadata(metadata: dict[str, Any], ids: Ids) -> Encoded:
    vocab: Vocabulary
    vocab = ByteVocabulary() if metadata["vocab"] == "bytes" else CharVocabulary(metadata["vocab"])
    pieces = tuple(metadata.get("train_pieces", ()))
    has_returns = metadata.get("has_returns", True)  # the cache of an earlier version lacks it
    num_train, first_ids = metadata["num_train"], metadata["first_ids"]
    sizes, notes = tuple(metadata.get("train_sizes", ())), metadata["notes"]
    return Encoded(ids, vocab, num_train, first_ids, notes, pieces, sizes, has_returns)


def _num_train(part: TextPart, count: int) -> int:
    return int(count * part.train_frac + 1e-9)  # 10 * (1 - 0.9) is slightly less than 1


def split_edges(parts: list[TextPart], counts: list[int], num_pieces: int) -> list[int]:
    """Return where the text turns from training text to held-out text and back, from its start on.

    The end of each part is held out; of several pieces, the end of each section of the whole text.
    """
    if num_pieces > 1:
        total = sum(counts)
        edges = [i * total // num_pieces for i in range(num_pieces + 1)]
        parts, counts = parts[:1] * num_pieces, [end - begin for begin, end in pairwise(edges)]
    sizes = []
    for part, count in zip(parts, counts, strict=True):
        num_train = _num_train(part, count)
        sizes += [num_train, count - num_train]
    return list(accumulate(sizes))


def train_sizes(edges: list[int]) -> list[int]:
    """Return the number of symbols of each training piece."""
    return [end - begin for begin, end in list(pairwise([0, *edges]))[::2]]


def sides(block: Ids, begin: int, edges: list[int]) -> Iterator[tuple[bool, Ids]]:
    """Yield the pieces of a block of the text, and whether each is training text.

    Args:
        block: Symbols of the text.
        begin: Position of the first of them in the text.
        edges: As `split_edges` returns them.
    """
    first, last = bisect_right(edges, begin), bisect_left(edges, begin + len(block))
    cuts = [edge - begin for edge in edges[first:last]]
    for i, (start, end) in enumerate(pairwise([0, *cuts, len(block)]), first):
        yield i % 2 == 0, block[start:end]


def _survey(text: Text, survey: Survey) -> int:
    """Return the number of symbols in a file, and mark those that occur."""
    count = 0
    for codes in text.first(survey):
        count += len(codes)
        if codes.dtype == np.uint8:  # bytes that remain when the known ones are deleted are new
            known = np.flatnonzero(survey.seen[:256]).astype(np.uint8).tobytes()
            new = codes.tobytes().translate(None, delete=known)
            survey.seen[list(set(new))] = True
        elif not survey.seen.take(codes, mode="clip").all():  # reading is faster than writing
            survey.seen[codes] = True
    return count


def _vocabulary(files: list[Path], survey: Survey) -> CharVocabulary:
    code_points = np.flatnonzero(survey.seen)
    if len(code_points) > MAX_SYMBOLS:
        raise unfit(
            files,
            f"the text has {len(code_points):,} distinct characters, the limit is {MAX_SYMBOLS:,}; "
            "is this the right --encoding? --bytes takes any file",
        )
    if survey.seen[0xD800:0xE000].any():
        raise unfit(files, "the text holds lone surrogates, which no file can hold; use --bytes")
    return CharVocabulary(code_points.tolist())


def _notes(survey: Survey, reading: Reading, *, has_records: bool) -> list[str]:
    notes = []
    if survey.num_bad:
        are = "byte is" if survey.num_bad == 1 else "bytes are"
        notes.append(f"{survey.num_bad:,} {are} not in this encoding (--errors)")
    if survey.num_boms:
        notes.append(f"byte order mark dropped ({survey.num_boms})")
    if has_records:
        survey.num_line_ends.clear()  # a line of a list has no line end
    return notes + ([] if reading.bytes else conversion_notes(survey, reading))


def _fill(
    ids: Ids,
    texts: list[Text],
    counts: list[int],
    vocab: Vocabulary,
    edges: list[int],
) -> list[int]:
    """Write all files as ids into an array, training parts first; return the first id of each file."""
    table = _table(vocab)
    ends = {True: 0, False: sum(train_sizes(edges))}  # next free index of both sides
    first_ids = []
    for text, count, before in zip(texts, counts, accumulate(counts, initial=0), strict=False):
        done = 0
        for codes in text.second():
            block = _translate(codes, table)
            if done == 0:
                first_ids.append(int(block[0]))
            for is_train, piece in sides(block, before + done, edges):
                begin = ends[is_train]
                ends[is_train] += len(piece)
                if ends[is_train] > len(ids):
                    raise _changed(text.path)
                ids[begin : ends[is_train]] = piece
            done += len(block)
        if done != count:
            raise _changed(text.path)
    return first_ids


def _changed(path: Path) -> InputError:
    return InputError(f"{printable(path)}: changed while it was read; try again when it is still")


def _table(vocab: Vocabulary) -> Ids:
    """Return the id of each code point, (0x110000,); of bytes, (256,)."""
    if not isinstance(vocab, CharVocabulary):
        return np.arange(256, dtype=np.uint8)
    table = np.zeros(0x110000, dtype=id_dtype(vocab.size))
    table[vocab.code_points] = np.arange(vocab.size)
    return table


def _translate(codes: Codes, table: Ids) -> Ids:
    if codes.dtype == np.uint8 and table.dtype == np.uint8:  # faster than indexing
        return np.frombuffer(codes.tobytes().translate(table[:256].tobytes()), dtype=np.uint8)
    return table.take(codes, mode="clip")


def read_ids(
    vocab: Vocabulary,
    reading: Reading,
    path: Path,
    *,
    skips: bool = False,
    most: int | None = None,
    survey: Survey | None = None,
) -> tuple[Ids, int]:
    """Return a file as ids of a known vocabulary, and the number of skipped characters.

    Args:
        vocab: Vocabulary of the model.
        reading: How the file is decoded.
        path: The file.
        skips: Skip unknown characters instead of raising InputError.
        most: Largest number of ids to return.
        survey: Receives the counts of what is converted.

    Raises:
        InputError: The file cannot be read, or has unknown characters.
    """
    pieces, unknown, left = [], [], most
    for codes in read_codes(path, reading, survey or Survey()):
        if isinstance(vocab, CharVocabulary):
            codes, missing = known_ids(vocab, first_known(vocab, codes, left))
            unknown.append(missing)
        pieces.append(codes[:left].astype(id_dtype(vocab.size)))
        left = left if left is None else left - len(pieces[-1])
        if left == 0:
            break
    num_unknown = sum(map(len, unknown))
    if num_unknown and not skips:
        assert isinstance(vocab, CharVocabulary)  # all bytes are known
        raise unknown_characters(path, vocab, np.concatenate(unknown))
    return np.concatenate(pieces) if pieces else np.zeros(0, np.uint8), num_unknown


def first_known(vocab: CharVocabulary, codes: Codes, most: int | None) -> Codes:
    """Return code points up to the `most`-th known one."""
    if most is None:
        return codes
    counts = np.cumsum(np.isin(codes, vocab.code_points))
    return codes[: int(np.searchsorted(counts, most)) + 1]


def known_ids(vocab: CharVocabulary, codes: Codes) -> tuple[Ids, Codes]:
    """Return the ids of known code points, and the unknown code points."""
    places = np.minimum(np.searchsorted(vocab.code_points, codes), vocab.size - 1)
    is_known = vocab.code_points[places] == codes
    return places[is_known].astype(id_dtype(vocab.size)), codes[~is_known]


def unknown_characters(path: Path, vocab: CharVocabulary, codes: Any) -> InputError:
    """Return the error that lists unknown characters."""
    distinct, counts = np.unique(codes, return_counts=True)
    common = distinct[np.argsort(-counts, kind="stable")][:MOST_SHOWN].tolist()
    shown = ", ".join(describe(chr(code)) for code in common)
    more = ", ..." if len(distinct) > MOST_SHOWN else ""
    return InputError(
        f"{printable(path)}: {int(counts.sum()):,} characters are not among the {vocab.size} that "
        f"this model has seen: {shown}{more}; leave them out with --unknown skip"
    )
