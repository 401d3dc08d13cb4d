"""Passages of texts in a corpus, against a plain search."""

from pathlib import Path

import numpy as np
import pytest

from charrnn.data.reading import Reading
from charrnn.sampling.corpus import source as source_module
from charrnn.sampling.corpus.passages import Passage, covering, find_passages
from charrnn.sampling.corpus.source import Source

FIRST = "abcdefghijklmnop\nqrstuvwxyz\n"
SECOND = "0123456789abcdefghijklm"


def passages(texts, *contents, **reading):
    paths = [Path(f"{number}.txt") for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content.encode())
    source = Source(paths, Reading(**reading))
    codes = [source.codes(text, text.encode()) for text in texts]
    return find_passages(source, codes)


def test_a_span_has_file_and_line():
    """The second text is 11 symbols too short; lines count from 1 in each file."""
    found = passages(["--nop\nqrstuvwxyz==", "abcdefghijk", "23456789abcd!"], FIRST, SECOND)
    assert found == [
        [Passage(2, 16, Path("0.txt"), 1)], [], [Passage(0, 12, Path("1.txt"), 1)],
    ]  # fmt: skip
    (found,) = passages(["x6789abcdefghijx"], FIRST, "a\n\nbc\n" + SECOND)
    assert found == [Passage(1, 15, Path("1.txt"), 4)]


def test_of_several_places_the_first_is_named_and_the_longest_is_taken():
    (found,) = passages(["abcdefghijklmnop"], "abcdefghijkl\n" + FIRST * 3)
    assert found == [Passage(0, 16, Path("0.txt"), 2)]


def test_spans_do_not_overlap_and_reach_as_far_as_they_can():
    assert covering([(0, 20, 5), (3, 30, 100), (10, 50, 200)]) == [(0, 20, 5), (20, 50, 210)]
    assert covering([(0, 20, 5), (19, 31, 100)]) == [(0, 20, 5)]  # 11 would be left
    assert covering([(4, 16, 5), (16, 40, 9), (18, 60, 1)]) == [
        (4, 16, 5),
        (16, 40, 9),
        (40, 60, 23),
    ]


def test_a_corpus_of_many_blocks_is_one(monkeypatch):
    text = "".join(np.random.default_rng(1).choice(list("abcd\n"), 3000))
    asked = [text[i : i + 40] + "#" for i in range(0, 2900, 170)]
    whole = passages(asked, text)
    monkeypatch.setattr(source_module, "BLOCK", 300)
    monkeypatch.setattr(source_module, "LONGEST", 60)
    monkeypatch.setattr("charrnn.data.text_files.CHUNK", 64)
    assert passages(asked, text) == whole
    lines = [text.count("\n", 0, text.index(each[:40])) + 1 for each in asked]
    assert [each[0].line for each in whole] == lines
    assert all((each[0].begin, each[0].end) == (0, 40) for each in whole)


@pytest.mark.parametrize("is_bytes", [False, True])
def test_positions_count_symbols(is_bytes):
    (found,) = passages(["éé" + FIRST[:14]], "é\n" + FIRST, bytes=is_bytes)
    assert found == [
        Passage(4, 18, Path("0.txt"), 2) if is_bytes else Passage(2, 16, Path("0.txt"), 2)
    ]
