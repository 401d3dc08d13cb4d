"""The file of an edited text: whose it is, line ends and bytes, other programs, rescue."""

import os
import stat
from pathlib import Path

import pytest

from charrnn.apps.text_file import TextFile
from charrnn.core.errors import CharRNNError, InputError

MODEL = Path("model.safetensors")


def opened(name="novel.txt", *, force=False):
    file = TextFile(Path(name), (MODEL,), force=force)
    return file, file.open()


def test_a_text_that_was_saved_is_continued():
    file, text = opened()
    assert text == ""
    file.save("One line.")
    assert opened()[1] == "One line."
    file.save("One line. And another.")
    assert Path("novel.txt").read_text() == "One line. And another."


def test_a_foreign_file_is_opened_with_force_only():
    Path("novel.txt").write_text("not ours")
    with pytest.raises(InputError, match="charrnn did not write it.*--force"):
        opened()
    file, text = opened(force=True)
    assert text == "not ours"
    file.save("not ours, edited")
    assert Path("novel.txt").read_text() == "not ours, edited"


@pytest.mark.parametrize("force", [False, True])
def test_a_file_that_another_program_changed_meanwhile_is_not_overwritten(force):
    file, _ = opened(force=force)
    file.save("mine")
    Path("novel.txt").write_text("theirs")
    with pytest.raises(InputError, match="another program changed it"):
        file.save("mine too")
    assert Path("novel.txt").read_text() == "theirs"
    file, _ = opened("new.txt", force=force)
    Path("new.txt").write_text("theirs")
    with pytest.raises(InputError, match="another program changed it"):
        file.save("mine")


@pytest.mark.parametrize(
    "name", ["model.safetensors", "folder", "none/novel.txt", "other", "nul\0", "loop"]
)
def test_what_cannot_be_a_text_is_refused_before_a_word_is_written(name):
    MODEL.write_bytes((9).to_bytes(8, "little") + b'{"a": 1} and more')
    Path("other").write_bytes(MODEL.read_bytes())
    Path("folder").mkdir()
    Path("loop").symlink_to("loop")
    before = MODEL.read_bytes()
    with pytest.raises(InputError, match="^-o: "):
        opened(name, force=True)
    assert MODEL.read_bytes() == before


def test_a_name_that_is_typed_never_overwrites():
    Path("taken.txt").write_text("theirs")
    file = TextFile(None, (MODEL,), force=False)
    assert file.open() == ""
    with pytest.raises(InputError, match="exists; give another name"):
        file.name("taken.txt")
    with pytest.raises(InputError, match="is no name of a file"):
        file.name("")
    assert file.path is None
    file.name("free.txt")
    file.save("text")
    assert Path("free.txt").read_text() == "text"


@pytest.mark.parametrize(
    "data", [b"a\r\nb\r\n", b"a\r\nb\n", b"\xef\xbb\xbfa\n", b"caf\xe9\n", b""]
)
def test_line_ends_marks_and_bytes_stay_as_they_are(data):
    Path("novel.txt").write_bytes(data)
    file, text = opened(force=True)
    assert "\r" not in text or data == b"a\r\nb\n"
    file.save(text + "z\n")
    assert Path("novel.txt").read_bytes() == data + (b"z\r\n" if data[:3] == b"a\r\n" and b"b\r" in data else b"z\n")  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="modes and links of POSIX")
def test_a_file_keeps_its_mode_and_a_link_stays_a_link():
    file, _ = opened()
    file.save("text")
    Path("novel.txt").chmod(0o640)
    Path("link.txt").symlink_to("novel.txt")
    file, text = opened("link.txt", force=True)
    assert text == "text"
    file.save("more")
    assert Path("link.txt").is_symlink()
    assert stat.S_IMODE(Path("novel.txt").stat().st_mode) == 0o640
    assert Path("novel.txt").read_text() == "more"


def test_a_disk_that_is_full_leaves_the_old_text(monkeypatch):
    file, _ = opened()
    file.save("old")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CharRNNError, match="novel.txt: not saved: No space left on device"):
        file.save("new")
    assert Path("novel.txt").read_text() == "old"


def test_a_text_is_rescued_into_a_new_file():
    file, _ = opened()
    assert file.rescue("one") == Path("novel.txt.save").absolute()
    assert file.rescue("two") == Path("novel.txt.save1").absolute()
    assert Path("novel.txt.save").read_text() == "one"
    assert TextFile(None, (), force=False).rescue("x") == Path("charrnn-write.txt.save").absolute()


def test_a_rescued_text_is_named_until_a_later_one_is_saved():
    file, _ = opened()
    assert file.later_rescue() is None
    file.save("old")
    rescued = [file.rescue("one"), file.rescue("two")]
    for seconds, path in enumerate(rescued, start=1):
        after = Path("novel.txt").stat().st_mtime + seconds
        os.utime(path, (after, after))
    assert opened()[0].later_rescue() == rescued[1]
    os.utime("novel.txt", (after + 1, after + 1))
    assert file.later_rescue() is None
    assert TextFile(None, (), force=False).later_rescue() is None


def test_a_rescued_text_is_opened_without_force():
    file, _ = opened()
    file.rescue("saved from the fire")
    assert opened("novel.txt.save")[1] == "saved from the fire"
