"""Which texts are new: no line of a corpus, or, where texts are no lines, nowhere in it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from charrnn.checkpoint import Model
from charrnn.copies import Source
from charrnn.corpus import closed
from charrnn.reading import reading_of
from charrnn.sampling import Sample
from charrnn.textfiles import Survey, read_codes
from charrnn.vocab import ByteVocabulary


class Novelty:
    """Says which samples do not stand in a corpus.

    A record is compared, with its prompt, with whole lines: Ann is new beside Anna, and nothing is
    nothing new. Any other text is new unless all of it stands somewhere in the corpus.

    Args:
        corpus: A file or folder.
        model: Whose samples.

    Raises:
        InputError: The corpus is empty, or cannot be read.
    """

    def __init__(self, corpus: Path, model: Model) -> None:
        self._model = model
        self._source = Source([corpus], reading_of(model))
        self._lines = frozenset(lines_of(self._source)) if model.records else None

    def are_new(self, samples: Sequence[Sample]) -> list[bool]:
        """Say of each sample whether it is new."""
        if self._lines is not None:
            records = map(self._record, samples)
            return [bool(record) and record not in self._lines for record in records]
        texts = [self._source.codes(sample.text, sample.raw) for sample in samples]
        found = self._source.search(texts)
        return [copies.longest[1] - copies.longest[0] < copies.num_symbols for copies in found]

    def _record(self, sample: Sample) -> bytes:
        vocab = self._model.vocab
        if isinstance(vocab, ByteVocabulary):
            return vocab.raw(vocab.encode(sample.prompt)) + sample.raw
        return (sample.prompt + sample.text).encode("utf-8", "surrogatepass")


def lines_of(source: Source) -> Iterator[bytes]:
    """Yield the lines of a corpus, as bytes that can be compared."""
    rest = b""
    for i, path in enumerate(source.files):
        chunks = read_codes(path, source.reading, Survey())
        for chunk in closed(chunks, adds_newline=i < len(source.files) - 1):
            *lines, rest = (rest + encoded(chunk, is_bytes=source.reading.bytes)).split(b"\n")
            yield from filter(None, lines)  # an empty line is no record
    if rest:
        yield rest


def encoded(codes: np.ndarray[tuple[int], np.dtype[np.generic]], *, is_bytes: bool) -> bytes:
    """Return code points as UTF-8; bytes stay what they are."""
    if is_bytes:
        return codes.astype(np.uint8).tobytes()
    text = codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
    return text.encode("utf-8", "surrogatepass")
