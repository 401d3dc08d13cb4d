"""Files and their symbols, against what Python itself reads."""

import errno
import io
import os
import re
import unicodedata
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charrnn.core.errors import InputError
from charrnn.data import text_files as textfiles
from charrnn.data.file_kinds import compression_of, kind_of
from charrnn.data.reading import Reading, Survey
from charrnn.data.text_files import find_files, has_nul, read_codes

PROPERTY = settings(
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

TEXTS = st.text(st.sampled_from("ab\r\n\ufeffÿé€🙂\0"))
ENCODINGS = st.sampled_from(["utf-8", "latin-1", "utf-16", "shift_jis"])
PLAIN = st.binary(max_size=20).filter(lambda data: not (kind_of(data) or compression_of(data)))
DATA = PLAIN | st.builds(lambda text, encoding: text.encode(encoding, "ignore"), TEXTS, ENCODINGS)


def write(folder, files):
    """Write files, contents by name, making their folders."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@contextmanager
def chunks_of(size):
    """Read files in chunks of so many bytes: hypothesis allows no fixture that does it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(textfiles, "CHUNK", size)
        yield


def read(path, **reading):
    """Return a file's text, and what the reading found."""
    survey = Survey()
    pieces = [piece.tolist() for piece in read_codes(path, Reading(**reading), survey)]
    return "".join(chr(code) for piece in pieces for code in piece), survey


def read_by_python(data, encoding, newlines):
    """Return what `open` reads, without a mark at its start."""
    text = io.TextIOWrapper(io.BytesIO(data), encoding=encoding, newline="").read()
    text = text.removeprefix("\ufeff")
    if newlines == "keep":
        return text
    end = {"lf": "\n", "crlf": "\r\n", "cr": "\r"}[newlines]
    return re.sub("\r\n|\r|\n", end, text)


def message_of(function, *arguments, **named):
    """Return the message of the InputError that a call raises: one line without controls."""
    with pytest.raises(InputError) as caught:
        function(*arguments, **named)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize("newlines", ["keep", "lf", "crlf", "cr"])
@given(data=DATA, encoding=ENCODINGS, chunk=st.integers(1, 9))
@PROPERTY
def test_a_file_read_in_chunks_is_what_python_reads(tmp_path, data, encoding, newlines, chunk):
    path = tmp_path / "text"
    path.write_bytes(data)
    try:
        expected = read_by_python(data, encoding, newlines)
    except UnicodeError:
        expected = None
    with chunks_of(chunk):
        if expected is None:
            message_of(read, path, encoding=encoding, newlines=newlines)
        else:
            assert read(path, encoding=encoding, newlines=newlines)[0] == expected


@given(data=PLAIN | st.builds(str.encode, TEXTS), chunk=st.integers(1, 9))
@PROPERTY
def test_a_byte_that_is_not_utf8_is_named_with_its_offset(tmp_path, data, chunk):
    path = tmp_path / "text"
    path.write_bytes(data)
    with chunks_of(chunk):
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            where = f"byte 0x{data[error.start]:02x} at offset {error.start} is not UTF-8"
            assert where in message_of(read, path)


@given(text=TEXTS, encoding=st.sampled_from(["utf-8", "utf-16"]), chunk=st.integers(1, 9))
@PROPERTY
def test_line_ends_are_counted_also_where_chunks_split_them(tmp_path, text, encoding, chunk):
    path = tmp_path / "text"
    path.write_bytes(text.encode(encoding))
    with chunks_of(chunk):
        for newlines in ("keep", "lf", "crlf"):
            counts = read(path, encoding=encoding, newlines=newlines)[1].num_line_ends
            assert (counts["crlf"], counts["cr"]) == (
                text.count("\r\n"), len(re.findall("\r(?!\n)", text)),
            )  # fmt: skip


@given(
    text=st.text("aeE\u0301\u0308\u0323\u0ddd\u0dcf\u1100\u1161\u11a8é\n"), chunk=st.integers(1, 9)
)
@PROPERTY
def test_a_text_is_composed_also_where_chunks_split_letters_and_accents(tmp_path, text, chunk):
    path = tmp_path / "text"
    path.write_text(text)
    with chunks_of(chunk):
        assert read(path, normalize="nfc")[0] == unicodedata.normalize("NFC", text)
        known = frozenset(unicodedata.normalize("NFD", text))
        assert set(read(path, known=known)[0]) <= known


@given(data=st.binary(), chunk=st.integers(1, 9))
@PROPERTY
def test_bytes_are_read_as_they_are(tmp_path, data, chunk):
    path = tmp_path / "text"
    path.write_bytes(data)
    with chunks_of(chunk):
        assert read(path, bytes=True)[0] == data.decode("latin-1")


def test_an_offset_beyond_a_thousand_has_commas(tmp_path):
    path = tmp_path / "text"
    path.write_bytes("é".encode() * 617 + b"\xff" + b"a" * 100)
    assert "byte 0xff at offset 1,234 is not UTF-8: line 1" in message_of(read, path)


def test_a_byte_order_mark_is_dropped_and_counted(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"\xef\xbb\xbfa\xef\xbb\xbf")
    text, survey = read(path)
    assert text == "a\ufeff"  # only the first is a mark
    assert survey.num_boms == 1


def test_plain_ascii_stays_one_byte_a_character(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"plain")
    (codes,) = read_codes(path, Reading(), Survey())
    assert codes.dtype == np.uint8


@pytest.mark.parametrize(
    ("text", "encoding", "dtype"),
    [
        ("aé\uffff", "utf-8", np.uint16),
        ("aé\U00010000", "utf-8", np.uint32),
        ("\U0010ffff\ud800a", "utf-7", np.uint32),
        ("\ud800a\udfff", "utf-7", np.uint16),  # lone ones; a pair would be one character
    ],
)
def test_code_points_are_16_bits_wide_unless_one_is_above(tmp_path, text, encoding, dtype):
    path = tmp_path / "text"
    path.write_bytes(text.encode(encoding))
    (codes,) = read_codes(path, Reading(encoding=encoding), Survey())
    assert codes.dtype == dtype
    assert codes.tolist() == [ord(character) for character in text]


@pytest.mark.parametrize("character", "é€🙂")
def test_the_width_may_change_from_chunk_to_chunk(tmp_path, monkeypatch, character):
    monkeypatch.setattr(textfiles, "CHUNK", 4)
    text = f"abcd{character}abcdefgh€🙂"
    (tmp_path / "text").write_bytes(text.encode())
    assert read(tmp_path / "text")[0] == text


@pytest.mark.parametrize(
    ("data", "encoding", "hint"),
    [
        ("ab".encode("utf-16"), "utf-8", "it looks like utf-16; use --encoding utf-16"),
        ("ab".encode("utf-32"), "utf-8", "it looks like utf-32; use --encoding utf-32"),
        (b"\0\1\xff", "utf-8", "it looks binary; use --bytes"),
        (b"caf\xe9", "utf-8", "use --encoding cp1252; or --errors skip leaves such bytes out"),
        (b"caf\xe9", "ascii", "byte 0xe9 at offset 3 is not ASCII"),
    ],
)
def test_a_wrong_encoding_is_answered_with_a_better_one(tmp_path, data, encoding, hint):
    path = tmp_path / "text"
    path.write_bytes(data)
    assert hint in message_of(read, path, encoding=encoding)


def test_an_encoding_is_not_recommended_to_who_uses_it(tmp_path):
    path = tmp_path / "text"
    path.write_bytes("ab".encode("utf-16") + b"\0")
    assert "--encoding utf-16" not in message_of(read, path, encoding="UTF16")


@pytest.mark.parametrize("name", ["klingon", "rot13", "hex", "", "a\0b", "\x1b[31m", "\udcff", "é"])
def test_an_encoding_that_python_does_not_know_is_refused(name):
    message = message_of(Reading, encoding=name)
    assert message.startswith("--encoding: ")
    assert "try utf-8 or cp1252" in message


def test_an_encoding_named_oddly_is_not_printed_as_it_is(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"\xff")
    message_of(read, path, encoding="utf\x1b8")  # which Python takes for utf-8


def test_files_come_in_the_order_given_and_folders_in_sorted_order(tmp_path):
    write(tmp_path, {"z.txt": b"z", "d/b": b"b", "d/B": b"B", "d/a/z": b"az", "d/a.txt": b"a"})
    files, notes = find_files([tmp_path / "z.txt", tmp_path / "d"])
    assert [str(path.relative_to(tmp_path)) for path in files] == [
        "z.txt", "d/B", "d/a/z", "d/a.txt", "d/b",
    ]  # fmt: skip
    assert notes == []


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    write(tmp_path, {"d/.hidden": b"h", "d/.git/config": b"c", "d/a/.b/c": b"c", "d/seen": b"s"})
    assert find_files([tmp_path / "d"]) == ([tmp_path / "d/seen"], [])


def test_a_folder_may_itself_be_hidden(tmp_path):
    write(tmp_path, {".d/seen": b"s"})
    assert find_files([tmp_path / ".d"]) == ([tmp_path / ".d/seen"], [])


def test_files_with_a_nul_are_passed_over_and_counted(tmp_path):
    write(tmp_path, {"d/a": b"a", "d/photo": b"\xff\0", "d/sound": b"\0"})
    files, notes = find_files([tmp_path / "d"])
    assert files == [tmp_path / "d/a"]
    assert notes == [f"{tmp_path}/d: 2 files passed over: photo (no text), sound (no text)"]


def test_a_nul_counts_only_near_the_start(tmp_path):
    write(tmp_path, {"near": b"a" * 65_535 + b"\0", "far": b"a" * 65_536 + b"\0"})
    assert has_nul(tmp_path / "near")
    assert not has_nul(tmp_path / "far")


def test_a_file_that_is_named_is_read_even_with_a_nul(tmp_path):
    write(tmp_path, {"odd": b"a\0b"})
    assert find_files([tmp_path / "odd"]) == ([tmp_path / "odd"], [])


def test_what_is_no_regular_file_in_a_folder_is_passed_over(tmp_path):
    write(tmp_path, {"d/a": b"a"})
    os.mkfifo(tmp_path / "d/pipe")
    (tmp_path / "d/dangling").symlink_to("nowhere")
    (tmp_path / "d/loop").symlink_to("loop")
    assert find_files([tmp_path / "d"]) == ([tmp_path / "d/a"], [])


def test_a_folder_without_text_is_refused(tmp_path):
    write(tmp_path, {"d/.hidden": b"h", "d/photo": b"\0"})
    message = message_of(find_files, [tmp_path / "d"])
    assert message == f"{tmp_path}/d: no text in this directory; name a text file"


def test_a_missing_file_is_named(tmp_path):
    message = message_of(find_files, [tmp_path / "gone"])
    assert message == (
        f"{tmp_path}/gone: No such file or directory; name a text file that can be read"
    )


@pytest.mark.parametrize("name", ["/dev/zero", "pipe"])
def test_what_never_ends_is_refused_before_it_is_opened(tmp_path, name):
    os.mkfifo(tmp_path / "pipe")
    message = message_of(find_files, [tmp_path / name])
    assert message.startswith(f"{tmp_path / name}: not a regular file")


def test_a_file_name_cannot_command_the_terminal(tmp_path):
    message = message_of(find_files, [tmp_path / "\x1b[31mred\n\u202e"])
    assert r"\x1b[31mred\n\u202e: No such file" in message


def test_a_file_that_may_not_be_read_is_named_and_not_only_its_folder(tmp_path, monkeypatch):
    write(tmp_path, {"d/a": b"a", "d/secret": b"s"})
    usual = Path.open

    def refuse(path, *arguments, **named):
        if path.name == "secret":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return usual(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", refuse)
    message = message_of(find_files, [tmp_path / "d"])
    assert message.startswith(f"{tmp_path}/d/secret: Permission denied")


def test_a_file_that_goes_away_before_it_is_read_is_named(tmp_path):
    assert f"{tmp_path}/gone: No such file" in message_of(read, tmp_path / "gone")


def test_a_linked_folder_in_a_folder_is_named_and_not_followed(tmp_path):
    for name in ("shelf", "tales"):
        (tmp_path / name).mkdir()
    (tmp_path / "tales/a.txt").write_text("a")
    link = tmp_path / "shelf/tales"
    link.symlink_to(tmp_path / "tales")
    with pytest.raises(InputError) as error:
        find_files([tmp_path / "shelf"])
    hint = f"linked folders are read if you name them, such as {link}"
    assert str(error.value) == f"{tmp_path}/shelf: no text in this directory; {hint}"
    (tmp_path / "shelf/b.txt").write_text("b")
    (tmp_path / "shelf/loop").symlink_to(tmp_path / "shelf")
    (tmp_path / "shelf/broken").symlink_to(tmp_path / "gone")
    files, notes = find_files([tmp_path / "shelf", link])
    assert files == [tmp_path / "shelf/b.txt", link / "a.txt"]
    linked = "a linked folder; it is read if you name it"
    said = f"{tmp_path}/shelf: 2 links passed over: loop ({linked}), tales ({linked})"
    assert notes == [said]
