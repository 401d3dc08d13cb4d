"""A corpus in which generated texts are searched, read block by block."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from charrnn.core.errors import InputError, printable
from charrnn.data.reading import Reading, Survey
from charrnn.data.text_files import Codes, closed, find_files, read_codes
from charrnn.sampling.corpus.copies import Copies, Symbols, Windows, joined

BLOCK = 4_000_000
"""Symbols of the corpus that are searched together."""

LONGEST = 10_000
"""Symbols that a block shares with the block before: the longest span across its end."""

TOGETHER = 64
"""Texts that are searched in one pass over a corpus."""


class Source:
    """A corpus in which generated texts are searched.

    Args:
        paths: Files and folders.
        reading: How the model read its training text: encoding, newlines, or bytes.

    Raises:
        InputError: The corpus is empty or cannot be read.
    """

    def __init__(self, paths: list[Path], reading: Reading) -> None:
        self.reading = reading
        self.files, self.notes = find_files(paths, reading)
        if next(self.blocks(), None) is None:
            raise InputError(f"{printable(paths[0])}: is empty; name a text to compare with")

    def codes(self, text: str, raw: bytes) -> Symbols:
        """Return the symbols of a text: bytes if the model reads bytes, else code points."""
        if self.reading.bytes:
            return np.frombuffer(raw, np.uint8).astype(np.uint32)
        return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)

    def chunks_of(self, number: int) -> Iterable[Codes]:
        """Return a file in pieces, as training reads it."""
        chunks = read_codes(self.files[number], self.reading, Survey())
        return closed(chunks, adds_newline=number < len(self.files) - 1)

    def chunks(self) -> Iterator[Codes]:
        """Yield the corpus in pieces, as training reads it."""
        for number in range(len(self.files)):
            yield from self.chunks_of(number)

    def blocks(self) -> Iterator[Symbols]:
        """Yield the corpus in blocks; each begins with the end of the block before."""
        yield from (block for _, block in self.placed_blocks())

    def placed_blocks(self) -> Iterator[tuple[int, Symbols]]:
        """Yield the blocks, and the position of each in the corpus."""
        held: list[Codes] = []
        position = 0
        for chunk in self.chunks():
            held.append(chunk)
            if sum(map(len, held)) >= BLOCK:
                block = np.concatenate(held).astype(np.uint32)
                yield position, block
                held = [block[-LONGEST:]]
                position += len(block) - len(held[0])
        if held:
            yield position, np.concatenate(held).astype(np.uint32)

    def search(self, texts: Sequence[Symbols]) -> list[Copies]:
        """Return the spans of each text that occur in the corpus."""
        found = [Copies(len(text)) for text in texts]
        windows = Windows.of(texts)
        for block in self.blocks() if len(windows.hashes) else ():
            for number, begin, end in windows.matches(block):
                found[number].add(begin, end)
        for copies in found:
            copies.spans = joined(copies.spans)
        return found

    def contains(self, texts: Sequence[Symbols]) -> list[bool]:
        """Return for each text whether the whole of it occurs in the corpus."""
        strings = [string_of(text) for text in texts]
        found = [not string for string in strings]
        for block in self.blocks():
            whole = string_of(block)
            found = [known or string in whole for known, string in zip(found, strings, strict=True)]
        return found


def string_of(codes: Symbols) -> str:
    """Return symbols as a string, one character for each."""
    return codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
