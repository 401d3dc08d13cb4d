"""Corpora, against a plain way of reading, joining, splitting and numbering."""

import gzip
import hashlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charrnn.core.config import TrainConfig
from charrnn.core.errors import InputError
from charrnn.data import cache
from charrnn.data import ids as ids_module
from charrnn.data import text_files as textfiles
from charrnn.data.corpus import load_corpus, validation_notes
from charrnn.data.ids import TextPart
from charrnn.data.reading import Reading, Survey

PROPERTY = settings(
    deadline=None,
    database=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

CHARACTERS = "ab\r\n\ufeffÿé€🙂"
ENCODINGS = ["utf-8", "latin-1", "utf-16"]


def write(folder, *contents):
    """Write files of these contents, text in UTF-8; return their paths."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.txt" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return paths


def load(paths, **named):
    """Load a corpus."""
    return load_corpus(paths, TrainConfig(**named))


def decoded(loaded):
    """Return training and held-out text of a corpus as strings."""
    return loaded.vocab.decode(loaded.train), loaded.vocab.decode(loaded.val)


def facts(loaded):
    """Return all that a corpus says, in a form that can be compared."""
    records = [
        None if records is None else (records.starts.tolist(), records.lengths.tolist())
        for records in (loaded.train_records, loaded.val_records)
    ]
    parts = [(str(part.dtype), part.tolist()) for part in (loaded.train, loaded.val)]
    others = (loaded.digest, loaded.files, loaded.starts, loaded.notes)
    return (loaded.vocab.to_json(), parts, records, others, loaded.train_pieces)


def outcome(paths, **named):
    """Return the facts of a corpus, or the error's message up to the byte that is wrong.

    UTF-16 without a mark is wrong at its start, or where its first chunk is wrong.
    """
    try:
        return facts(load(paths, **named))
    except InputError as error:
        return str(error).split(" byte 0x")[0]


def refused(paths, **named):
    """Return the message of the error: one line without controls."""
    with pytest.raises(InputError) as caught:
        load(paths, **named)
    assert str(caught.value).isprintable()
    return str(caught.value)


def plainly(texts, newlines):
    """Return training and held-out text as a reader of DESIGN would make them by hand."""
    if newlines == "lf":
        texts = [text.replace("\r\n", "\n").replace("\r", "\n") for text in texts]
    closed = [text if not text or text[-1] == "\n" else text + "\n" for text in texts[:-1]]
    closed.append(texts[-1])
    train = "".join(text[: len(text) * 9 // 10] for text in closed)
    return train, "".join(text[len(text) * 9 // 10 :] for text in closed)


@given(
    texts=st.lists(st.text(st.sampled_from(CHARACTERS)), min_size=1, max_size=3),
    encoding=st.sampled_from(ENCODINGS),
    newlines=st.sampled_from(["keep", "lf"]),
    chunk=st.integers(1, 9),
)
@PROPERTY
def test_a_corpus_is_what_a_plain_reading_gives(tmp_path, texts, encoding, newlines, chunk):
    data = [text.encode(encoding, "ignore") for text in texts]
    once = [each for i, each in enumerate(data) if not each or each not in data[:i]]
    texts = [each.decode(encoding).removeprefix("\ufeff") for each in once]
    train, val = plainly(texts, newlines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(textfiles, "CHUNK", chunk)
        paths = write(tmp_path / "texts", *data)
        if len(symbols := sorted(set(train + val))) < 2:
            refused(paths, encoding=encoding, newlines=newlines)
            return
        loaded = load(paths, encoding=encoding, newlines=newlines)
    assert loaded.vocab.to_json() == [ord(symbol) for symbol in symbols]
    assert loaded.train.tolist() == [symbols.index(symbol) for symbol in train]
    assert loaded.val.tolist() == [symbols.index(symbol) for symbol in val]


@pytest.mark.parametrize("lines", [False, True])
@given(
    data=st.lists(
        st.binary(max_size=9) | st.builds(str.encode, st.text(st.sampled_from(CHARACTERS))),
        min_size=1,
        max_size=3,
    ),
    encoding=st.sampled_from([*ENCODINGS, "bytes"]),
    newlines=st.sampled_from(["keep", "lf"]),
    has_val_file=st.booleans(),
    chunk=st.integers(1, 9),
)
@PROPERTY
def test_small_chunks_and_the_cache_cold_or_warm_change_nothing(
    tmp_path, lines, data, encoding, newlines, has_val_file, chunk
):
    paths = write(tmp_path / "texts", *data)
    how = {"bytes": True} if encoding == "bytes" else {"encoding": encoding, "newlines": newlines}
    val_file = paths[-1] if has_val_file else None
    results = [outcome(paths, lines=lines, val_file=val_file, **how)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(textfiles, "CHUNK", chunk)
        results.append(outcome(paths, lines=lines, val_file=val_file, **how))
        patch.setattr(ids_module, "HELD", -1)
        results.append(outcome(paths, lines=lines, val_file=val_file, **how))
        patch.setattr(ids_module, "CACHED_ABOVE", 0)
        results += [outcome(paths, lines=lines, val_file=val_file, **how) for _ in range(2)]
    assert results == results[:1] * 5


def test_a_warm_cache_is_used_and_its_ids_are_mapped(tmp_path, monkeypatch):
    monkeypatch.setattr(ids_module, "CACHED_ABOVE", 0)
    paths = write(tmp_path / "texts", "hello world")
    cold = facts(load(paths))
    monkeypatch.delattr(ids_module, "_survey")  # what is found needs no second survey
    warm = load(paths)
    assert facts(warm) == cold
    assert isinstance(warm.train, np.memmap)


def test_the_cache_tells_apart_how_files_are_split_and_joined(tmp_path, monkeypatch):
    one, two = write(tmp_path / "texts", "one", "two")
    ways = [
        ([one, two], {}),
        ([two, one], {}),
        ([one, two], {"val_frac": 0.5}),
        ([one, two], {"val_frac": 0.0}),
        ([one, two], {"val_frac": 0.5, "val_pieces": 2}),
        ([one, two], {"val_frac": 0.5, "val_pieces": 3}),
        ([one], {"val_file": two}),
        ([one], {"val_frac": 0.5}),
        ([one, two], {"lines": True}),
        ([one, two], {"lines": True, "val_frac": 0.5}),
        ([one, two], {"bytes": True}),
        ([one, two], {"encoding": "utf-16"}),
    ]
    in_memory = [outcome(paths, **named) for paths, named in ways]
    monkeypatch.setattr(ids_module, "CACHED_ABOVE", 0)
    for _ in ("cold", "warm"):
        assert [outcome(paths, **named) for paths, named in ways] == in_memory


def test_a_small_text_leaves_the_cache_folder_alone(tmp_path):
    load(write(tmp_path / "texts", "hello world"))
    assert not (tmp_path / "cache").exists()


def test_the_published_split_of_tiny_shakespeare():
    part = TextPart(Path("tinyshakespeare.txt"), 1.0 - 0.1, adds_newline=False)
    num_train = ids_module._num_train(part, 1_115_394)
    assert (num_train, 1_115_394 - num_train) == (1_003_854, 111_540)


def test_the_end_of_each_file_is_held_out(tmp_path):
    paths = write(tmp_path / "texts", "abcdefghi\n", "0123456789abcdefghi\n", "x")
    assert decoded(load(paths)) == ("abcdefghi0123456789abcdefgh", "\ni\nx")


def test_the_share_held_out_can_be_chosen(tmp_path):
    paths = write(tmp_path / "texts", "abcd")
    assert decoded(load(paths, val_frac=0.5)) == ("ab", "cd")
    assert decoded(load(paths, val_frac=0.0)) == ("abcd", "")


@pytest.mark.parametrize(
    ("texts", "pieces", "frac", "train", "val", "starts"),
    [
        (["0123456789abcdefghij"], 2, 0.2, "01234567abcdefgh", "89ij", (0, 8)),
        (["0123456789abcdefghij"], 1, 0.2, "0123456789abcdef", "ghij", ()),
        (["abcdefghijk"], 2, 0.5, "abfgh", "cdeijk", (0, 2)),  # sections of 5 and 6
        (["abcdefghi\n", "0123456789"], 4, 0.4, "abcfgh012567", "dei\n3489", (0, 3, 6, 9)),
        (["abcd", "0123456"], 2, 0.5, "abc123", "d\n0456", (0, 3)),  # with a newline between
    ],
)  # fmt: skip
def test_several_pieces_are_the_ends_of_equal_sections_of_the_whole_text(
    tmp_path, texts, pieces, frac, train, val, starts
):
    paths = write(tmp_path / "texts", *texts)
    for how in ({}, {"bytes": True}):
        loaded = load(paths, val_pieces=pieces, val_frac=frac, **how)
        text = [bytes(ids.tolist()).decode() for ids in (loaded.train, loaded.val)]
        assert (text if how else [*decoded(loaded)]) == [train, val]
        assert loaded.train_pieces == starts


@pytest.mark.parametrize("chunk", [1, 3, 7, 1 << 18])
def test_pieces_depend_neither_on_chunks_nor_on_the_cache(tmp_path, monkeypatch, chunk):
    paths = write(tmp_path / "texts", "The quick brown fox", "jumps over the lazy dog", "äöü")
    expected = outcome(paths, val_pieces=5, val_frac=0.3)
    assert isinstance(expected, tuple)
    monkeypatch.setattr(textfiles, "CHUNK", chunk)
    monkeypatch.setattr(ids_module, "CACHED_ABOVE", 0)
    assert [outcome(paths, val_pieces=5, val_frac=0.3) for _ in ("cold", "warm")] == [expected] * 2


def test_held_out_text_of_its_own_leaves_all_else_to_training(tmp_path):
    paths = write(tmp_path / "texts", "abc", "def")
    val_file = write(tmp_path / "val", "fed!")[0]
    loaded = load(paths, val_file=val_file)
    assert decoded(loaded) == ("abc\ndef", "fed!")
    assert loaded.files == tuple(map(str, paths))
    assert loaded.vocab.to_json() == [ord(c) for c in "\n!abcdef"]


def test_held_out_folders_are_joined_like_all_others(tmp_path):
    paths = write(tmp_path / "texts", "abc")
    write(tmp_path / "val", "x", "y\n", "z")
    assert decoded(load(paths, val_file=tmp_path / "val")) == ("abc", "x\ny\nz")


def test_a_join_gets_a_newline_only_where_one_is_missing(tmp_path):
    paths = write(tmp_path / "texts", "one", "", "two\n", "three\r\n", "four")
    assert decoded(load(paths, val_frac=0.0, newlines="keep"))[0] == "one\ntwo\nthree\r\nfour"


def test_a_file_given_twice_is_joined_to_itself_by_the_first_rule(tmp_path):
    path = write(tmp_path / "texts", "one")[0]
    assert decoded(load([path, path], val_frac=0.0, corpus_rule=1))[0] == "one\none"
    assert decoded(load([path, path], val_frac=0.0))[0] == "one"


def test_a_byte_order_mark_is_dropped_and_noted(tmp_path):
    loaded = load(write(tmp_path / "texts", "\ufeffone\n", "\ufefftwo"), val_frac=0.0)
    assert decoded(loaded)[0] == "one\ntwo"
    assert loaded.notes == ("byte order mark dropped (2)",)


def test_line_ends_become_lf_or_are_kept_with_a_note_of_their_number(tmp_path):
    paths = write(tmp_path / "texts", "one\r\ntwo\r\nthree\rfour")
    kept = load(paths, val_frac=0.0, newlines="keep")
    assert decoded(kept)[0] == "one\r\ntwo\r\nthree\rfour"
    assert kept.notes == (
        "2 Windows line ends (CRLF) kept; without --newlines keep they become LF",
    )
    for how in ({}, {"newlines": "lf"}):
        turned = load(paths, val_frac=0.0, **how)
        assert decoded(turned)[0] == "one\ntwo\nthree\nfour"
        assert turned.notes == (
            "2 Windows line ends (CRLF) read as LF; --newlines keep leaves them",
            "1 old Mac line end (CR) read as LF; --newlines keep leaves them",
        )
    assert turned.digest != kept.digest


def test_bytes_and_a_text_in_lf_have_no_note(tmp_path):
    paths = write(tmp_path / "texts", "one\r\ntwo")
    found = load(paths, val_frac=0.0, bytes=True)
    assert (decoded(found)[0], found.notes) == ("one\r\ntwo", ())
    assert load(write(tmp_path / "lf", "one\ntwo\u2028"), val_frac=0.0).notes == ()


def test_records_hold_no_carriage_return_whatever_their_line_ends(tmp_path):
    for text in ("ab\r\ncd\r\n", "ab\rcd", "ab\r\n\ncd\r"):
        found = load(write(tmp_path / "texts", text), lines=True, val_frac=0.0, newlines="keep")
        assert (decoded(found)[0].split(), found.notes) == (["ab", "cd"], ())
        assert len(found.train_records) == 2


MORE_MARKS = (
    "2 more byte order marks stay in the text (U+FEFF, invisible), as where files were joined "
    "by cat; name the files one by one"
)

APART = (
    "accents are characters of their own (Unicode NFD, as in names of files on a Mac); "
    "--normalize nfc joins them with their letters"
)


def test_marks_of_joined_files_are_counted(tmp_path):
    found = load(write(tmp_path / "texts", "\ufeffone\n\ufefftwo\n\ufeff"), val_frac=0.0)
    assert decoded(found)[0] == "one\n\ufefftwo\n\ufeff"
    assert found.notes == (
        "byte order mark dropped (1)",
        MORE_MARKS,
    )


def test_accents_that_are_apart_are_noted_or_composed(tmp_path):
    paths = write(tmp_path / "texts", "E\u0301va\nZoe\u0308\n")
    kept, composed = load(paths, val_frac=0.0), load(paths, val_frac=0.0, normalize="nfc")
    assert (decoded(kept)[0], decoded(composed)[0]) == (
        "E\u0301va\nZoe\u0308\n", "Éva\nZoë\n",
    )  # fmt: skip
    assert kept.notes == (APART,)
    assert composed.notes == ("2 accented characters are composed (NFC)",)
    assert kept.digest != composed.digest
    assert (
        load(write(tmp_path / "nfc", "Éva\nשָׁ"), val_frac=0.0).notes == ()
    )  # points have no letter


def test_files_that_are_no_text_are_passed_over_with_a_note(tmp_path):
    write(tmp_path / "texts", "text", b"\0")
    loaded = load([tmp_path / "texts"])
    assert loaded.files == (f"{tmp_path}/texts/0.txt",)
    assert loaded.notes == (f"{tmp_path}/texts: 1 file passed over: 1.txt (no text)",)


def test_all_that_was_noticed_is_noted(tmp_path):
    write(tmp_path / "texts", "\ufeffone\r\n" + "a" * 600, b"\0")
    assert load([tmp_path / "texts"], lines=True).notes == (
        f"{tmp_path}/texts: 1 file passed over: 1.txt (no text)",
        "1 line cut to 512 characters, 15% of the text is lost; without --lines, nothing is cut",
        "byte order mark dropped (1)",
    )
    assert load([tmp_path / "texts"]).notes[-1] == (
        "1 Windows line end (CRLF) read as LF; --newlines keep leaves them"
    )


@pytest.mark.parametrize(("size", "dtype"), [(256, "u1"), (257, "u2"), (65_535, "u2")])
def test_ids_are_as_narrow_as_the_vocabulary_allows(tmp_path, size, dtype):
    text = "".join(map(chr, range(0x10000, 0x10000 + size)))
    loaded = load(write(tmp_path / "texts", text), val_frac=0.0)
    assert loaded.train.dtype == np.dtype(dtype)
    assert np.array_equal(loaded.train, np.arange(size))


def test_too_many_symbols_are_refused_with_their_number(tmp_path):
    text = "".join(map(chr, range(0x10000, 0x10000 + 65_536)))
    message = refused(write(tmp_path / "texts", text))
    assert ": the text has 65,536 distinct characters, the limit is 65,535" in message


@pytest.mark.parametrize("how", [{}, {"bytes": True}])
def test_one_distinct_character_is_nothing_to_learn(tmp_path, how):
    paths = write(tmp_path / "texts", "aaaa")
    assert "0.txt: the text has only one distinct character" in refused(paths, **how)
    assert "only one distinct character" in refused(paths, val_file=paths[0], **how)


@pytest.mark.parametrize("how", [{}, {"bytes": True}, {"lines": True}, {"newlines": "keep"}])
def test_an_empty_text_is_refused(tmp_path, how):
    assert "0.txt: the text is empty" in refused(write(tmp_path / "texts", ""), **how)
    several = refused(write(tmp_path / "more", "", "", ""), **how)
    assert "0.txt and 2 more files: the texts are empty" in several


@pytest.mark.parametrize("text", ["one line\n", "\n\na\n\n", "aaa"])
def test_lines_need_two_that_are_not_empty(tmp_path, text):
    assert "--lines needs at least 2" in refused(write(tmp_path / "texts", text), lines=True)


def test_lone_surrogates_are_refused(tmp_path):
    paths = write(tmp_path / "texts", b"a+2AA-b")  # U+D800 in UTF-7
    assert "0.txt: the text holds lone surrogates" in refused(paths, encoding="utf-7")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("gone", "No such file or directory"),
        ("gone\x1b[31m", "No such file or directory"),
        ("/dev/zero", "not a regular file"),
        ("folder", "no text in this directory"),
    ],
)
@pytest.mark.parametrize("is_val", [False, True])
def test_what_cannot_be_read_is_named(tmp_path, name, why, is_val):
    (tmp_path / "folder").mkdir()
    good, bad = write(tmp_path / "texts", "hello")[0], tmp_path / name
    message = refused([good], val_file=bad) if is_val else refused([good, bad])
    assert message.startswith(f"{bad}: {why}".replace("\x1b", r"\x1b"))


def test_a_bad_encoding_is_named(tmp_path):
    message = refused(write(tmp_path / "texts", "hello"), encoding="kling\x1bon")
    assert message.startswith(r"--encoding: kling\x1bon is no text encoding")


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path, monkeypatch):
    paths = write(tmp_path / "texts", "hello", "world")
    monkeypatch.setattr(ids_module, "HELD", -1)
    usual = ids_module._table

    def append(vocab):
        with paths[0].open("ab") as file:
            file.write(b"o" * 20)
        return usual(vocab)

    monkeypatch.setattr(ids_module, "_table", append)  # made after counting, before encoding
    for limit in (ids_module.CACHED_ABOVE, 0):
        monkeypatch.setattr(ids_module, "CACHED_ABOVE", limit)
        assert refused(paths).startswith(f"{paths[0]}: changed while it was read")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path, monkeypatch):
    paths = write(tmp_path / "texts", "hello", "world")
    monkeypatch.setattr(ids_module, "HELD", -1)
    usual = ids_module._table
    monkeypatch.setattr(ids_module, "_table", lambda v: (paths[0].write_bytes(b"he"), usual(v))[1])
    assert refused(paths).startswith(f"{paths[0]}: changed while it was read")


@pytest.mark.parametrize(
    ("size", "pack", "times"), [(9, bytes, 1), (10, bytes, 2), (9, gzip.compress, 2)]
)
def test_a_text_is_decoded_once_if_it_is_small(tmp_path, monkeypatch, size, pack, times):
    monkeypatch.setattr(ids_module, "HELD", 9)
    monkeypatch.setattr(ids_module, "PACKED", 0)
    paths = write(tmp_path / "texts", pack("ééé".encode() + b"a" * (size - 6)))
    decoded, usual = [], textfiles._decoded
    monkeypatch.setattr(textfiles, "_decoded", lambda *a: decoded.append(a) or usual(*a))
    assert load(paths).vocab.to_json()[-1] == ord("é")
    assert len(decoded) == times


def test_a_text_that_is_held_is_dropped_while_it_is_encoded(tmp_path):
    (path,) = write(tmp_path / "texts", "hellö")
    text = textfiles.Text(path, Reading(), True, [])
    first = [codes.tolist() for codes in text.first(Survey())]
    assert len(text.held) == 2
    assert [codes.tolist() for codes in text.second()] == first == [[*map(ord, "hellö")], [10]]
    assert text.held == []


def test_ascii_is_read_twice_instead_of_held(tmp_path):
    (path,) = write(tmp_path / "texts", "hello")
    text = textfiles.Text(path, Reading(), True, [])
    first = [codes.tolist() for codes in text.first(Survey())]
    assert text.held is None
    assert [codes.tolist() for codes in text.second()] == first == [[*b"hello"], [10]]


def test_a_single_file_of_bytes_is_not_copied(tmp_path):
    data = bytes(range(256)) * 3
    loaded = load(write(tmp_path / "texts", data), bytes=True)
    assert isinstance(loaded.train, np.memmap)
    assert loaded.train.tobytes() + loaded.val.tobytes() == data
    assert len(loaded.train) == 768 * 9 // 10
    assert loaded.vocab.size == 256


def test_files_of_bytes_are_joined_and_split_like_texts(tmp_path):
    loaded = load(write(tmp_path / "texts", b"\xff" * 9, b"\r\n" * 5), bytes=True)
    assert loaded.train.tobytes() == b"\xff" * 9 + b"\r\n\r\n\r\n\r\n\r"
    assert loaded.val.tobytes() == b"\n\n"


def test_records_are_the_lines_of_all_files_and_held_out_ones_are_not_trained_on(tmp_path):
    names = [f"name {number}" for number in range(20)]
    paths = write(tmp_path / "texts", "\n".join(names[:9]), "\n\n".join(names[9:]))
    loaded = load(paths, lines=True)
    trained = [text.tobytes() for text in taken(loaded.train, loaded.train_records)]
    held_out = [text.tobytes() for text in taken(loaded.val, loaded.val_records)]
    assert (len(trained), len(held_out)) == (18, 2)
    assert {loaded.vocab.decode(list(text)) for text in trained + held_out} == set(names)


def taken(ids, records):
    """Return the ids of each record."""
    pairs = zip(records.starts, records.lengths, strict=True)
    return [ids[start : start + length] for start, length in pairs]


def test_a_held_out_file_of_records_is_held_out_whole(tmp_path):
    paths = write(tmp_path / "texts", "one\ntwo")
    loaded = load(paths, lines=True, val_file=write(tmp_path / "val", "two\nthree\n")[0])
    lines = [loaded.vocab.decode(ids) for ids in taken(loaded.val, loaded.val_records)]
    assert lines == ["two", "three"]
    assert len(loaded.train_records) == 2


@pytest.mark.parametrize(("rule", "num_different"), [(1, 5), (2, 1)])
def test_the_seed_decides_by_rule_1_which_records_are_held_out(tmp_path, rule, num_different):
    paths = write(tmp_path / "texts", "".join(f"{number}\n" for number in range(100)))
    loaded = [load(paths, lines=True, seed=seed, corpus_rule=rule) for seed in range(5)]
    assert len({tuple(each.val_records.starts.tolist()) for each in loaded}) == num_different


def test_the_digest_of_records_has_the_rule_and_that_of_a_stream_has_not(tmp_path):
    paths = write(tmp_path / "texts", "".join(f"{number}\n" for number in range(100)))
    of_lines, of_stream = (
        [load(paths, lines=lines, corpus_rule=rule).digest for rule in (1, 2)]
        for lines in (True, False)
    )
    assert of_lines[0] != of_lines[1]
    assert of_stream[0] == of_stream[1]


def test_a_text_with_newlines_needs_no_counts_of_first_characters(tmp_path):
    assert load(write(tmp_path / "texts", "a\nb")).starts == {}


def test_without_newlines_the_first_characters_of_files_are_counted(tmp_path):
    assert load(write(tmp_path / "texts", "banana")).starts == {1: 1}  # a b n: b is 1


def test_old_line_ends_begin_lines_too(tmp_path):
    loaded = load(write(tmp_path / "texts", "b\ra\rb\ra"), val_frac=0.0, newlines="keep")
    assert loaded.starts == {1: 2, 2: 2}  # \r a b


def changed(tmp_path, **named):
    """Return the digest of a small corpus with some things changed."""
    contents = named.pop("contents", ("hello", "world"))
    return load(write(tmp_path / "texts", *contents), **named).digest


@pytest.mark.parametrize(
    "change",
    [
        {"contents": ("hello", "worlds")},
        {"contents": ("world", "hello")},
        {"contents": ("hellow", "orld")},
        {"contents": ("hello", "world", "")},
        {"encoding": "latin-1"},
        {"normalize": "nfc"},
        {"bytes": True},
        {"lines": True},
        {"val_frac": 0.2},
        {"val_file": Path("texts/0.txt")},
    ],
)
@pytest.mark.parametrize("limit", [ids_module.CACHED_ABOVE, 0])
def test_the_digest_changes_with_content_and_settings(tmp_path, monkeypatch, change, limit):
    monkeypatch.setattr(ids_module, "CACHED_ABOVE", limit)
    assert changed(tmp_path, **change) != changed(tmp_path)


def test_the_digest_changes_with_the_held_out_file(tmp_path):
    write(tmp_path / "val", "hollow", "howl")
    first, second = (changed(tmp_path, val_file=tmp_path / f"val/{n}.txt") for n in (0, 1))
    assert first != second


def test_the_digest_changes_with_the_share_of_records_held_out(tmp_path):
    assert changed(tmp_path, lines=True, val_frac=0.2) != changed(tmp_path, lines=True)


@pytest.mark.parametrize("change", [{"seed": 5}, {"hidden_size": 7}, {"steps": 9}])
def test_the_digest_does_not_change_with_what_is_no_text(tmp_path, change):
    assert changed(tmp_path, **change) == changed(tmp_path)


def test_the_digest_does_not_change_with_a_files_name(tmp_path):
    paths = write(tmp_path / "texts", "hello")
    before = load(paths).digest
    assert load([paths[0].rename(tmp_path / "other")]).digest == before


def test_a_large_text_that_changed_is_encoded_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(ids_module, "CACHED_ABOVE", 0)
    monkeypatch.setattr(cache, "REMEMBERED_ABOVE", 0)
    monkeypatch.setattr(cache, "SETTLED_SECONDS", -1.0)
    for text in ("hello", "world", "hello"):
        assert decoded(load(write(tmp_path / "texts", text), val_frac=0.0))[0] == text


def test_a_large_text_that_did_not_change_is_not_read_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(ids_module, "CACHED_ABOVE", 0)
    monkeypatch.setattr(cache, "REMEMBERED_ABOVE", 0)
    monkeypatch.setattr(cache, "SETTLED_SECONDS", -1.0)
    paths = write(tmp_path / "texts", "hello")
    before = facts(load(paths))
    monkeypatch.delattr(hashlib, "file_digest")
    monkeypatch.delattr(ids_module, "read_codes")
    assert facts(load(paths)) == before


def test_a_held_out_file_that_is_trained_on_too_is_noted(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text("some text\n" * 9, "utf-8")
    (folder / "b.txt").write_text("other text\n" * 9, "utf-8")
    notes = load_corpus([folder], TrainConfig(val_file=folder / "b.txt")).notes
    assert notes == ("--val-file is trained on too: its loss will look better than it is",)


def test_records_have_no_carriage_returns(tmp_path):
    path = tmp_path / "names.txt"
    path.write_bytes(b"anna\r\n\r\nbert\r\ncleo\rdora\n")
    corpus = load_corpus([path], TrainConfig(lines=True, val_frac=0.0))
    texts = [corpus.vocab.decode(list(text)) for text in corpus.train_records.texts(corpus.train)]
    assert texts == ["anna", "bert", "cleo", "dora"]


def test_a_share_of_nine_tenths_held_out_loses_no_character_to_rounding(tmp_path):
    path = tmp_path / "ten.txt"
    path.write_text("abcdefghij", "utf-8")
    corpus = load_corpus([path], TrainConfig(val_frac=0.9))
    assert (len(corpus.train), len(corpus.val)) == (1, 9)


def test_the_bytes_of_a_compressed_file_that_is_cut_short_are_learned_as_they_are(tmp_path):
    path = tmp_path / "story.gz"
    path.write_bytes(b"\x1f\x8b\x08" + bytes(range(40)))
    found = load_corpus([path], TrainConfig(bytes=True, val_frac=0.0))
    assert found.vocab.raw(found.train) == path.read_bytes()


def test_a_folder_from_the_cache_is_not_decoded_for_a_check(tmp_path, monkeypatch):
    folder = tmp_path / "texts"
    write(folder, "hello world", "zoë")
    monkeypatch.setattr(ids_module, "CACHED_ABOVE", 0)
    cold = facts(load([folder]))
    for module in (ids_module, textfiles):
        monkeypatch.delattr(module, "read_codes")
    assert facts(load([folder])) == cold


def test_files_of_the_same_content_are_read_once_and_told(tmp_path):
    paths = write(tmp_path / "texts", "some text\n", "other text\n", "some text\n", "", "")
    first, other, copy = paths[:3]
    told = f"1 file left out, with the content of another: {copy} (as {first})"
    for how in ({}, {"lines": True}, {"bytes": True}):
        loaded = load(paths[:3], **how)
        assert told in loaded.notes
        once = load(paths[:2], **how)
        assert not any("left out" in note for note in once.notes)
        assert (loaded.digest, loaded.files) == (once.digest, (str(first), str(other)))
        assert np.array_equal(loaded.train, once.train)
    told = f"1 file left out, with the content of another: {first} (as {first})"
    assert told in load([first, first]).notes
    link = first.with_name("link.txt")
    link.symlink_to(first)
    assert load([first, link]).files == (str(first),)
    assert len(load(paths).files) == 4  # empty ones are no repetition


def test_by_the_first_rule_files_of_the_same_content_are_all_read(tmp_path):
    first, other, copy = write(tmp_path / "texts", "some text\n", "other text\n", "some text\n")
    loaded = load([first, other, copy], corpus_rule=1, val_frac=0.0)
    assert decoded(loaded)[0] == "some text\nother text\nsome text\n"
    told = f"1 file learned a second time, with the content of another: {copy} (as {first})"
    assert told in loaded.notes


def test_a_text_without_carriage_returns_has_the_digest_of_one_that_is_kept(tmp_path):
    for text, is_same in (("one\ntwo\nthree\n", True), ("one\r\ntwo\n", False)):
        paths = write(tmp_path / f"texts {is_same}", text)
        kept, turned = (load(paths, newlines=newlines) for newlines in ("keep", "lf"))
        assert (kept.digest == turned.digest) == is_same
        assert turned.has_digest(kept.digest) == is_same


@pytest.mark.parametrize("limit", [0, 1 << 20])
def test_a_text_without_carriage_returns_is_known_by_its_digest_of_earlier_versions(
    tmp_path, monkeypatch, limit
):
    monkeypatch.setattr("charrnn.data.ids.CACHED_ABOVE", limit)
    paths = write(tmp_path / "texts", "one\ntwo\nthree\n")
    content = hashlib.sha256(b"one\ntwo\nthree\n").hexdigest()
    for newlines in ("keep", "lf"):
        key = cache.key_of([[[content, 0.9, False]], False, "utf-8", newlines, False])
        old = hashlib.sha256(f"{key}/0.1/False".encode()).hexdigest()
        for _ in range(2):  # the second time from the cache
            assert load(paths, newlines="lf").has_digest(old)
    assert not load(paths).has_digest("")


def test_a_list_of_one_repeated_line_has_too_few_different_lines(tmp_path):
    loaded = load(write(tmp_path / "texts", "one\n" * 300 + "two\n"), lines=True)
    (note,) = validation_notes(loaded, 0.1)
    assert note.endswith("; 2 different lines are too few for --val-frac 0.1")


@pytest.mark.parametrize(
    "options", [{}, {"bytes": True}, {"lines": True}, {"lines": True, "corpus_rule": 1},
                {"val_pieces": 3}, {"val_frac": 0.0}],
)  # fmt: skip
def test_a_backward_corpus_is_the_same_text_from_its_end(text_file, options):
    forward = load_corpus([text_file], TrainConfig(**options))
    backward = load_corpus([text_file], TrainConfig(**options, direction="backward"))
    assert backward.digest == forward.digest
    assert backward.train.tolist() == forward.train.tolist()[::-1]
    assert backward.train.flags.c_contiguous  # code in C reads it
    assert (backward.num_train, backward.num_val) == (forward.num_train, forward.num_val)
    again = backward.in_reading_order()
    assert (again.val.tolist(), again.train_pieces) == (forward.val.tolist(), forward.train_pieces)
    assert (again.val is again.train) == (forward.val is forward.train)
    for turned, records, ids in (
        (backward.train_records, forward.train_records, backward.train),
        (backward.val_records, forward.val_records, backward.val),
    ):
        if records is not None:
            texts = [text[::-1] for text in records.texts(forward.train.astype("u1"))]
            assert list(turned.texts(ids.astype("u1"))) == texts
    if forward.train_pieces:
        starts = [*forward.train_pieces, len(forward.train)]
        pieces = [forward.train[i:j].tolist() for i, j in pairwise(starts)]
        ends = [*backward.train_pieces, len(backward.train)]
        assert [backward.train[i:j].tolist() for i, j in pairwise(ends)] == [
            piece[::-1] for piece in reversed(pieces)
        ]


def test_a_backward_text_without_newlines_begins_with_the_ends_of_its_lines(tmp_path):
    path = tmp_path / "mac.txt"
    path.write_bytes(b"one\rtwo\rsix!" * 9)
    config = TrainConfig(newlines="keep", val_frac=0.0, direction="backward")
    corpus = load_corpus([path], config)
    starts = {corpus.vocab.decode([i]): count for i, count in corpus.starts.items()}
    assert starts == {"e": 9, "o": 9, "!": 1}
