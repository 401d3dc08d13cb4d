"""Which samples are new: they are not in a corpus, and were not written before."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from charrnn.checkpoints.model import Model
from charrnn.data.records import LONGEST, readable
from charrnn.data.text_files import Codes
from charrnn.data.vocab import ByteVocabulary
from charrnn.sampling.corpus.copies import LONG
from charrnn.sampling.corpus.source import Source, string_of
from charrnn.sampling.jobs import Sample, joined

BROKEN_END = re.compile("[\udc80-\udcff]+$")
"""Bytes of a character that was cut off."""


class Novelty:
    """Finds samples that do not occur in a corpus, and that were not found before.

    A record with its prompt is compared with whole lines, as people read them: without blanks at
    both ends, and é is é however it is coded. Ann is new if the corpus has only Anna; an empty record
    is never new, and neither is the part of a line that a record has where it was cut. Any other text is
    new unless the whole of it occurs in the corpus.

    Args:
        corpus: A file or folder.
        model: Model that generates the samples.

    Raises:
        InputError: The corpus is empty or cannot be read.
    """

    def __init__(self, corpus: Path, model: Model) -> None:
        self._model = model
        self._source = Source([corpus], model.reading())
        self.notes = self._source.notes
        lines = map(readable_bytes, corpus_lines(self._source) if model.records else ())
        self._lines = frozenset(lines) if model.records else None
        self._in_order: list[str] = []
        self._found: set[str] = set()

    def are_new(self, samples: Sequence[Sample]) -> list[bool]:
        """Return for each sample whether it is new."""
        if self._lines is not None:
            return [self._is_new_line(sample, self._lines) for sample in samples]
        texts = [self._source.codes(sample.text, sample.raw) for sample in samples]
        return [not is_copy for is_copy in self._source.contains(texts)]

    def add(self, text: str) -> bool:
        """Add a new text with its prompt; return False if it was added before."""
        compared = readable(text)
        is_first = compared not in self._found
        self._found.add(compared)
        return is_first

    def _is_new_line(self, sample: Sample, lines: frozenset[str]) -> bool:
        """True if a record is not empty, no line, and not the part of a line up to where it was cut."""
        record = self._record(sample)
        line = readable_bytes(record)
        is_bytes = self._source.reading.bytes
        size = len(record) if is_bytes else len(sample.whole)
        least = LONG if sample.finish == "length" else LONGEST
        if not line or line in lines or size < least:
            return bool(line) and line not in lines
        end_to_start = -1 if sample.is_backward else 1  # it is cut at its start, not at its end
        self._in_order = self._in_order or sorted(each[::end_to_start] for each in lines)
        begin = BROKEN_END.sub("", line[::end_to_start])
        i = bisect_left(self._in_order, begin)
        return not any(each.startswith(begin) for each in self._in_order[i : i + 1])

    def _record(self, sample: Sample) -> bytes:
        vocab = self._model.vocab
        if isinstance(vocab, ByteVocabulary):
            prompt = vocab.raw(vocab.encode(sample.prompt))
            return joined(prompt, sample.raw, sample.is_backward)
        return sample.whole.encode("utf-8", "surrogatepass")


def readable_bytes(record: bytes) -> str:
    """Return a record as it is compared."""
    return readable(record.decode("utf-8", "surrogateescape"))


def corpus_lines(source: Source) -> Iterator[bytes]:
    """Yield the lines of a corpus that are not empty, as UTF-8, or as bytes of a byte model."""
    rest = b""
    for chunk in source.chunks():
        *lines, rest = (rest + encoded(chunk, is_bytes=source.reading.bytes)).split(b"\n")
        yield from filter(None, lines)
    if rest:
        yield rest


def encoded(codes: Codes, *, is_bytes: bool) -> bytes:
    """Return code points as UTF-8, or bytes unchanged."""
    if is_bytes:
        return codes.astype(np.uint8).tobytes()
    return string_of(codes).encode("utf-8", "surrogatepass")
