"""n-gram memories of other texts, against counts of the same ids."""

from pathlib import Path

import numpy as np
import pytest
from unigram_models import unigram

from charrnn.checkpoints.metadata import Metadata
from charrnn.core.config import MEMORY_ORDER
from charrnn.core.errors import InputError
from charrnn.data.records import find_records
from charrnn.data.vocab import ByteVocabulary
from charrnn.mixing.memories import count_file
from charrnn.ngram.counts import records_of, runs_of
from charrnn.ngram.model import build

LETTERS = dict.fromkeys("\nabcdeé", 1 / 7)
BACKWARD = Metadata(settings={"direction": "backward"})


def memory_of(text, model=None, name="other.txt", encoding="utf-8"):
    Path(name).write_bytes(text.encode(encoding))
    return count_file(Path(name), model or unigram(LETTERS))


def assert_same(memory, other):
    assert memory.metadata() == other.metadata()
    for mine, theirs in zip(memory.orders, other.orders, strict=True):
        assert np.array_equal(mine.keys, theirs.keys)
        assert np.array_equal(mine.counts, theirs.counts)


def counted(text, model=None):
    """Return the memory of a text that the model knows."""
    model = model or unigram(LETTERS)
    return build(runs_of(model.vocab.encode(text)), model.vocab.size, MEMORY_ORDER)


def test_it_is_the_memory_of_the_text():
    text = "abcabd\nabce\n" * 20
    memory, notes = memory_of(text)
    assert notes == []
    assert memory.order == 7
    assert_same(memory, counted(text))


def test_no_ngram_reaches_across_a_character_that_the_model_lacks():
    """In "abxcd" b follows a and d follows c, ids 1 to 4."""
    memory, notes = memory_of("abxcd")
    pairs = memory.orders[1].keys
    assert [(int(key) >> memory.bits, int(key) & 7) for key in pairs] == [(1, 2), (3, 4)]
    assert notes == ["other.txt: 1 character that the model lacks is left out: U+0078 'x'"]
    assert_same(memory_of("zabzzcdz")[0], memory)


def test_a_file_is_read_as_the_text_of_the_model():
    """Line ends, normal form and encoding."""
    memory, notes = memory_of("ab\r\ne\u0301c\r\n")
    assert_same(memory, counted("ab\néc\n"))
    assert len(notes) == 2
    latin = unigram(LETTERS, metadata=Metadata(settings={"encoding": "latin-1"}))
    assert_same(memory_of("ab\néc\n", latin, encoding="latin-1")[0], counted("ab\néc\n"))


def test_a_backward_model_counts_from_the_end():
    forward, backward = unigram(LETTERS), unigram(LETTERS, metadata=BACKWARD)
    text = "abcabd\nace"
    assert_same(memory_of(text, backward)[0], counted(text[::-1]))
    assert_same(memory_of("abxxcd", backward)[0], memory_of("dcxba", forward)[0])


@pytest.mark.parametrize("metadata", [Metadata(), BACKWARD], ids=["forward", "backward"])
def test_lines_are_counted_as_texts_of_their_own(metadata):
    text = "abc\nad\n\nabd"
    model = unigram(LETTERS, records=True, metadata=metadata)
    ids = model.vocab.encode(text)
    ids = ids[::-1].copy() if model.is_backward else ids
    texts = records_of(ids, find_records(ids, 0)[0], 0)
    assert_same(memory_of(text, model)[0], build(texts, model.vocab.size, MEMORY_ORDER))


def test_bytes_are_all_known():
    model = unigram(LETTERS, vocab=ByteVocabulary())
    memory, notes = memory_of("é\r\n", model)
    assert memory.orders[0].keys.tolist() == [10, 13, 0xA9, 0xC3]
    assert notes == []


def test_a_folder_is_one_text():
    Path("texts").mkdir()
    for name, text in {"b.txt": "cd\n", "a.txt": "ab"}.items():
        Path("texts", name).write_text(text, "utf-8")
    memory, _ = count_file(Path("texts"), unigram(LETTERS))
    assert_same(memory, counted("ab\ncd\n"))


@pytest.mark.parametrize(
    ("text", "records"), [("", False), ("xyz", False), ("", True), ("xyz", True), ("\n\n", True)]
)
def test_a_text_without_any_known_character_is_refused(text, records):
    with pytest.raises(InputError, match=r"other.txt: has no character that the model knows"):
        memory_of(text, unigram(LETTERS, records=records))
