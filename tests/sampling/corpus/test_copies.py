"""Verbatim spans, against Python's own search; which texts are new."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.core.errors import InputError
from charrnn.data.reading import Reading
from charrnn.sampling.corpus.copies import Copies, joined
from charrnn.sampling.corpus.source import Source


def search(tmp_path, corpus, *texts):
    path = tmp_path / "corpus.txt"
    path.write_text(corpus, encoding="utf-8")
    source = Source([path], Reading())
    return source.search([source.codes(text, b"") for text in texts])


def plain_longest(text, corpus):
    """The reference: the size of the longest span, with `in`; 0 if it is under 16."""
    sizes = (
        b - a for a in range(len(text)) for b in range(a + 16, len(text) + 1) if text[a:b] in corpus
    )
    return max(sizes, default=0)


def plain_copied(text, corpus, long):
    """Which characters lie in a copied span of `long` or more."""
    copied = np.zeros(len(text), dtype=bool)
    for a in range(len(text) - long + 1):
        if text[a : a + long] in corpus:
            copied[a : a + long] = True
    return int(copied.sum())


@st.composite
def corpus_and_text(draw):
    """A corpus, and a text of pieces of it and of others."""
    corpus = draw(st.text("abc", min_size=1, max_size=300))
    pieces = []
    for _ in range(draw(st.integers(0, 3))):
        begin = draw(st.integers(0, len(corpus) - 1))
        pieces += [
            corpus[begin : begin + draw(st.integers(0, 50))],
            draw(st.text("abc", max_size=20)),
        ]
    return corpus, "".join(pieces)[:120]


@given(corpus_and_text())
@settings(max_examples=100, deadline=None)
def test_it_finds_what_a_plain_search_finds(tmp_path_factory, corpus_and_text):
    corpus, text = corpus_and_text
    (found,) = search(tmp_path_factory.mktemp("copies"), corpus, text)
    assert found.longest[1] - found.longest[0] == plain_longest(text, corpus)
    assert round(found.share * max(1, len(text))) == plain_copied(text, corpus, 30)


def test_a_span_is_named_by_its_place(tmp_path):
    corpus = "It was the best of times, it was the worst of times, said the author."
    (found,) = search(tmp_path, corpus, "He wrote: it was the worst of times, said she.")
    begin, end = found.longest
    assert (
        "He wrote: it was the worst of times, said she."[begin:end]
        == " it was the worst of times, said "
    )
    assert found.spans == [(9, 42)]
    assert found.share == pytest.approx(33 / 46)


@pytest.mark.parametrize(("size", "longest"), [(15, (0, 0)), (16, (1, 17)), (17, (1, 18))])
def test_a_span_is_found_from_sixteen_symbols_on(tmp_path, size, longest):
    (found,) = search(
        tmp_path, "the quick brown fox jumps", "!" + "the quick brown fox"[:size] + "!"
    )
    assert found.longest == longest
    assert found.share == 0


def test_a_span_at_the_beginning_of_the_corpus_is_found_behind_its_last_symbol(tmp_path):
    (found,) = search(tmp_path, "the quick brown fox jumps!", "!the quick brown fox")
    assert found.longest == (1, 20)


def test_of_copied_spans_of_one_size_the_first_of_the_corpus_is_the_longest(tmp_path):
    one, two = "".join(map(chr, range(0x4E00, 0x4E20))), "".join(map(chr, range(0x4F00, 0x4F20)))
    (found,) = search(tmp_path, f"{one}|{two}", f"{two}!{one}")
    assert found.longest == (33, 65)
    assert found.spans == [(0, 32), (33, 65)]


def test_nothing_in_common(tmp_path):
    first, second = search(tmp_path, "abc", "xyz", "")
    assert (first.longest, first.share) == ((0, 0), 0)
    assert (second.longest, second.share) == ((0, 0), 0)


def test_spans_cross_the_ends_of_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("charrnn.sampling.corpus.source.BLOCK", 500)
    monkeypatch.setattr("charrnn.sampling.corpus.source.LONGEST", 100)
    monkeypatch.setattr("charrnn.data.text_files.CHUNK", 64)
    rng = np.random.default_rng(0)
    corpus = "".join(chr(97 + i) for i in rng.integers(0, 26, 5000))
    for begin in range(0, 4900, 37):
        (found,) = search(tmp_path, corpus, "AAA" + corpus[begin : begin + 80] + "BBB")
        assert found.longest == (3, 83)
        assert found.spans == [(3, 83)]


def test_many_texts_keep_their_own_spans(tmp_path):
    corpus = "one two three four five six seven eight nine ten eleven twelve"
    texts = ["three four five six seven eight ", "seven eight nine ten", "zzz ten eleven twelve"]
    found = search(tmp_path, corpus, *texts)
    assert [copies.longest for copies in found] == [(0, 32), (0, 20), (3, 21)]
    assert [copies.spans for copies in found] == [[(0, 32)], [], []]


def test_a_text_of_one_symbol_costs_no_memory(tmp_path):
    (found,) = search(tmp_path, " " * 20_000, " " * 500)
    assert found.longest == (0, 500)


def test_bytes_are_compared_as_bytes(tmp_path):
    path = tmp_path / "noise.bin"
    path.write_bytes(bytes(range(256)) * 3)
    source = Source([path], Reading(bytes=True))
    (found,) = source.search([source.codes("?", bytes(range(100, 200)))])
    assert found.longest == (0, 100)


def test_a_corpus_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        Source([tmp_path / "none.txt"], Reading())


def test_spans_that_touch_are_one():
    assert joined([(5, 9), (0, 4), (3, 5), (20, 30)]) == [(0, 9), (20, 30)]
    assert Copies(40, spans=[(0, 9), (20, 30)]).share == pytest.approx(19 / 40)


def test_files_are_joined_as_training_joins_them(tmp_path):
    (tmp_path / "a.txt").write_text("it all ends here")
    (tmp_path / "b.txt").write_text("and goes on here")
    source = Source([tmp_path / "a.txt", tmp_path / "b.txt"], Reading())
    joined_text, other = source.search(
        [source.codes(text, b"") for text in ("ends here\nand goes ", "ends hereand goes ")]
    )
    assert (joined_text.longest, other.longest) == ((0, 19), (0, 0))


def test_a_corpus_is_read_as_the_model_has_read_its_own(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes("été\r\nhiver\r\nautomne".encode("latin-1"))
    source = Source([path], Reading(encoding="latin-1", newlines="lf"))
    (found,) = source.search([source.codes("l'été\nhiver\nautomne", b"")])
    assert found.longest == (2, 19)


def test_an_empty_corpus_is_refused(tmp_path):
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(InputError, match="is empty"):
        Source([tmp_path / "empty.txt"], Reading())


def test_many_short_texts_take_no_longer_than_one(tmp_path):
    names = [f"a name of {i} letters" for i in range(300)]
    found = search(tmp_path, "\n".join(names[:200]) * 50, *names)
    assert all(copies.longest == (0, len(n)) for copies, n in zip(found[:200], names, strict=False))
    assert all(copies.longest == (0, 0) for copies in found[200:])


@pytest.mark.parametrize(("length", "share"), [(29, 0.0), (30, 1.0), (31, 1.0)])
def test_a_span_counts_as_copied_from_thirty_symbols_on(tmp_path, length, share):
    corpus = "".join(map(chr, range(0x4E00, 0x4E00 + 60)))  # no character twice
    (found,) = search(tmp_path, corpus, corpus[7 : 7 + length])
    assert found.longest == (0, length)
    assert found.share == share


@pytest.mark.parametrize(
    ("spans", "found"),
    [
        ([(0, 10), (2, 5)], [(0, 10)]), ([(2, 5), (0, 10), (9, 12)], [(0, 12)]),
        ([(0, 3), (3, 5), (6, 8)], [(0, 5), (6, 8)]), ([], []),
    ],
)  # fmt: skip
def test_spans_inside_others_change_nothing(spans, found):
    assert joined(spans) == found
