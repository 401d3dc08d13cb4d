"""Files that are not plain text: named for what they are, or unpacked."""

import bz2
import gzip
import io
import lzma
import zipfile

import pytest

from charrnn.core.errors import InputError
from charrnn.data import cache
from charrnn.data.file_kinds import is_compressed, utf16_of
from charrnn.data.reading import Reading, Survey
from charrnn.data.text_files import find_files, has_nul, read_codes

TEXT = "Eine Zeile.\nUnd noch eine, größer.\n" * 40

COMPRESSED = {
    "gzip": gzip.compress(TEXT.encode()),
    "bzip2": bz2.compress(TEXT.encode()),
    "xz": lzma.compress(TEXT.encode()),
}


def zipped(*names, first=b"<xml/>"):
    """Return a zip file with entries of these names."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name in names:
            file.writestr(name, first)
    return data.getvalue()


def read(path, **reading):
    pieces = [piece.tolist() for piece in read_codes(path, Reading(**reading), Survey())]
    return "".join(chr(code) for piece in pieces for code in piece)


def message_of(path, **reading):
    with pytest.raises(InputError) as caught:
        read(path, **reading)
    assert str(caught.value).isprintable()
    return str(caught.value)


KINDS = {
    "word": (
        zipped("word/document.xml"),
        "is a Word document, not plain text; open it and save it",
    ),
    "word, types first": (zipped("[Content_Types].xml", "word/document.xml"), "a Word document"),
    "excel": (zipped("xl/workbook.xml"), "is an Excel workbook"),
    "slides": (zipped("ppt/presentation.xml"), "is a PowerPoint presentation"),
    "libreoffice": (
        zipped("mimetype", first=b"application/vnd.oasis.opendocument.text"),
        "is a LibreOffice document",
    ),
    "epub": (zipped("mimetype", first=b"application/epub+zip"), "is an e-book (EPUB)"),
    "zip": (zipped("story.txt"), "is a zip archive, not plain text; unpack it"),
    "old word": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "an old Word, Excel or Outlook"),
    "pdf": (b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", "is a PDF, not plain text; open it and save it"),
    "rtf": (b"{\\rtf1\\ansi Hello}", "is an RTF document, not plain text; open it and save it"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(9), "is a PNG picture, not plain text; name a text file"),
    "jpeg": (b"\xff\xd8\xff\xe0JFIF", "is a JPEG picture, not plain text"),
    "zstd": (b"\x28\xb5\x2f\xfd\x04\x00", "is compressed with zstd, not plain text; unpack it"),
    "tar in gzip": (
        gzip.compress(b"story.txt".ljust(257, b"\0") + b"ustar" + bytes(250)),
        "is a tar archive, not plain text; unpack it",
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_file_that_is_no_text_is_named_for_what_it_is(tmp_path, name):
    content, expected = KINDS[name]
    path = tmp_path / "story.txt"  # by content, not by name
    path.write_bytes(content)
    assert expected in message_of(path)
    assert expected in message_of(path, encoding="latin-1")
    assert "latin-1" not in message_of(path)


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_compressed_text_is_read_by_its_content(tmp_path, name):
    path = tmp_path / "story"
    path.write_bytes(COMPRESSED[name])
    assert read(path) == TEXT
    assert not has_nul(path)


@pytest.mark.parametrize("name", COMPRESSED)
def test_bytes_are_those_on_disk(tmp_path, name):
    path = tmp_path / "story.txt"
    path.write_bytes(COMPRESSED[name])
    assert read(path, bytes=True).encode("latin-1") == COMPRESSED[name]


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_damaged_compressed_file_is_said_to_be_damaged(tmp_path, name):
    path = tmp_path / "story.txt"
    path.write_bytes(COMPRESSED[name][:-12])
    assert f"the {name} file is damaged or cut short" in message_of(path)
    with pytest.raises(InputError, match="damaged or cut short"):
        cache.content_digest(path)


@pytest.mark.parametrize("name", COMPRESSED)
def test_the_digest_is_that_of_the_text(tmp_path, name, monkeypatch):
    monkeypatch.setattr(cache, "REMEMBERED_ABOVE", 0)
    monkeypatch.setattr(cache, "SETTLED_SECONDS", -1.0)
    packed, plain = tmp_path / "packed", tmp_path / "plain"
    packed.write_bytes(COMPRESSED[name])
    plain.write_bytes(TEXT.encode())
    for _ in range(2):  # the second time from the cache
        assert cache.content_digest(packed) == cache.content_digest(plain)
        assert cache.content_digest(packed, is_raw=True) != cache.content_digest(plain)


@pytest.mark.parametrize("text", ["BZh", "BZh9 is how a file of bzip2 begins", "PK", "%PDF", "7z"])
def test_a_text_may_begin_like_another_file(tmp_path, text):
    path = tmp_path / "story.txt"
    path.write_text(text)
    assert read(path) == text
    assert not is_compressed(path)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_recognised(encoding):
    assert utf16_of(TEXT.encode(encoding)) == encoding


@pytest.mark.parametrize(
    "data", [b"", b"plain", b"\0\0\0\0", bytes(range(256)), b"\x10" + bytes(7)]
)
def test_other_bytes_are_no_utf16(data):
    assert utf16_of(data) is None


def test_a_folder_passes_over_what_is_no_text_and_names_it(tmp_path):
    folder = tmp_path / "d"
    folder.mkdir()
    files = {
        "a.txt": b"text", "b.txt": TEXT.encode(), "c.txt": b"more", "cover.pdf": KINDS["pdf"][0],
        "d.rtf": KINDS["rtf"][0], "e.gz": COMPRESSED["gzip"], "old.txt": "größer".encode("cp1252"),
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).write_bytes(content)
    found, notes = find_files([folder])
    assert [path.name for path in found] == ["a.txt", "b.txt", "c.txt"]
    (note,) = notes
    assert note == (
        f"{folder}: 4 files passed over: cover.pdf (a PDF), d.rtf (an RTF document), e.gz "
        "(compressed with gzip; it is read if you name it), old.txt (looks like cp1252)"
    )


def test_a_folder_in_another_encoding_is_refused_and_not_emptied(tmp_path):
    for name in "abc":
        (tmp_path / name).write_bytes("größer\n".encode("cp1252"))
    with pytest.raises(InputError, match="a: byte 0xf6 .* use --encoding cp1252"):
        find_files([tmp_path])
    assert len(find_files([tmp_path], Reading(encoding="cp1252"))[0]) == 3


def test_a_folder_of_compressed_texts_says_how_to_read_them(tmp_path):
    (tmp_path / "a.gz").write_bytes(COMPRESSED["gzip"])
    with pytest.raises(InputError, match="no text in this directory; compressed texts are read"):
        find_files([tmp_path])


def test_a_folder_of_bytes_is_read_as_ever(tmp_path):
    for name in ("pdf", "rtf"):
        (tmp_path / name).write_bytes(KINDS[name][0])
    (tmp_path / "photo").write_bytes(KINDS["png"][0])
    found, notes = find_files([tmp_path], Reading(bytes=True))
    assert [path.name for path in found] == ["pdf", "rtf"]
    assert notes == [f"{tmp_path}: 1 file passed over: photo (no text)"]
