"""The cache folder: what is remembered, and what is never believed."""

import errno
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from charrnn.core.errors import CharRNNError
from charrnn.data import cache

FACTS = {"dtype": "<u2", "num_ids": 5, "vocab": [10, 97]}


@pytest.fixture
def num_reads(monkeypatch):
    """A list that grows by one each time a file is digested."""
    reads, usual = [], hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *a: reads.append(a) or usual(*a))
    return reads


@pytest.fixture
def large_file(tmp_path, monkeypatch):
    """A file of 9 bytes, which is large here, and old enough."""
    monkeypatch.setattr(cache, "REMEMBERED_ABOVE", 8)
    monkeypatch.setattr(cache, "SETTLED_SECONDS", -1.0)
    path = tmp_path / "large.txt"
    path.write_bytes(b"123456789")
    return path


def sha256(content):
    """Return the digest of bytes in hex."""
    return hashlib.sha256(content).hexdigest()


def fill(key="key", values=(3, 1, 4, 1, 5)):
    """Put an encoded text into the cache."""
    with cache.filling(key, FACTS.copy()) as ids:
        ids[:] = values


def left_over(tmp_path):
    """Return the names of all files in the cache folder."""
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


def test_the_folder_is_the_one_named_or_the_users_own(monkeypatch):
    monkeypatch.setenv("CHARRNN_CACHE", "/a/b")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert cache.cache_folder() == Path("/a/b")
    monkeypatch.delenv("CHARRNN_CACHE")
    assert cache.cache_folder() == Path("/c/charrnn")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.cache_folder() == Path.home() / ".cache/charrnn"


def test_a_digest_is_the_sha256_of_the_content(large_file):
    expected = "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"  # by sha256sum
    assert cache.content_digest(large_file) == expected
    assert cache.content_digest(large_file) == expected


def test_a_file_that_did_not_change_is_read_once(large_file, num_reads):
    assert cache.content_digest(large_file) == cache.content_digest(large_file)
    assert len(num_reads) == 1


def test_a_small_file_is_read_each_time(large_file, num_reads, tmp_path):
    large_file.write_bytes(b"12345678")  # 8 bytes are not above the limit
    assert cache.content_digest(large_file) == cache.content_digest(large_file)
    assert len(num_reads) == 2
    assert left_over(tmp_path) == []


def test_a_file_that_just_changed_is_read_again(large_file, num_reads, monkeypatch):
    monkeypatch.setattr(cache, "SETTLED_SECONDS", 3600.0)
    cache.content_digest(large_file)
    cache.content_digest(large_file)
    assert len(num_reads) == 2


def test_a_file_that_was_just_put_in_place_is_read_again_whatever_its_date(
    large_file, num_reads, monkeypatch
):
    monkeypatch.setattr(cache, "SETTLED_SECONDS", 3600.0)
    os.utime(large_file, (0, 0))  # as an archive leaves it
    cache.content_digest(large_file)
    cache.content_digest(large_file)
    assert len(num_reads) == 2


def test_a_change_is_noticed_even_if_size_and_date_stay(large_file):
    before = large_file.stat()
    cache.content_digest(large_file)
    while large_file.stat().st_ctime_ns == before.st_ctime_ns:  # clocks of files are coarse
        large_file.write_bytes(b"987654321")
    os.utime(large_file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert cache.content_digest(large_file) == sha256(b"987654321")


def test_another_file_in_its_place_is_noticed(large_file, tmp_path):
    cache.content_digest(large_file)
    (tmp_path / "new").write_bytes(b"987654321")
    (tmp_path / "new").replace(large_file)
    assert cache.content_digest(large_file) == sha256(b"987654321")


@pytest.mark.parametrize("damage", [b"", b"abc", b"\xff" * 64, b"0" * 65])
def test_a_damaged_note_of_a_digest_is_not_believed(large_file, tmp_path, damage):
    cache.content_digest(large_file)
    (note,) = (tmp_path / "cache/digests").iterdir()
    note.write_bytes(damage)
    assert cache.content_digest(large_file) == sha256(b"123456789")


def test_a_cache_that_cannot_be_written_only_makes_digests_slower(
    large_file, num_reads, tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CHARRNN_CACHE", str(tmp_path / "file/cache"))
    assert cache.content_digest(large_file) == cache.content_digest(large_file)
    assert len(num_reads) == 2


def test_keys_differ_where_settings_do():
    settings = (["a", 0.9, "utf-8"], ["b", 0.9, "utf-8"], ["a", 0.8, "utf-8"], ["a", 0.9, "ascii"])
    assert len({cache.key_of(each) for each in settings}) == 4
    assert cache.key_of({"a": 1, "b": 2}) == cache.key_of({"b": 2, "a": 1})


def test_a_new_layout_makes_old_texts_unknown(monkeypatch):
    before = cache.key_of(["a"])
    monkeypatch.setattr(cache, "LAYOUT", cache.LAYOUT + 1)
    assert cache.key_of(["a"]) != before


def test_ids_and_facts_come_back(tmp_path):
    fill()
    facts, ids = cache.load("key")
    assert facts == FACTS
    assert ids.tolist() == [3, 1, 4, 1, 5]
    assert ids.dtype == np.uint16
    assert left_over(tmp_path) == ["key.ids", "key.json"]


def test_facts_added_while_filling_are_kept():
    facts = FACTS.copy()
    with cache.filling("key", facts) as ids:
        ids[:] = 0
        facts["first_ids"] = [7]
    assert cache.load("key")[0]["first_ids"] == [7]


def test_a_cached_text_cannot_be_written_to():
    fill()
    with pytest.raises(ValueError, match="read-only"):
        cache.load("key")[1][0] = 9


def test_a_text_that_was_never_encoded_is_not_there():
    fill("key")
    assert cache.load("other") is None


def test_a_text_that_is_too_short_or_too_long_is_not_there(tmp_path):
    for size in (0, 8, 9, 12):
        fill()
        os.truncate(tmp_path / "cache/key.ids", size)
        assert cache.load("key") is None


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", "{}", '{"dtype": "<u2"}', '{"dtype": "no"}', "\0"]
)
def test_a_text_with_damaged_facts_is_not_there(tmp_path, damage):
    fill()
    (tmp_path / "cache/key.json").write_text(damage, encoding="utf-8")
    assert cache.load("key") is None


def test_an_encoding_that_was_cut_off_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), cache.filling("key", FACTS.copy()):
        raise KeyboardInterrupt
    assert left_over(tmp_path) == []


def test_a_text_may_be_encoded_twice_at_once(tmp_path):
    with cache.filling("key", FACTS.copy()) as first:
        first[:] = 1
        fill(values=(2, 2, 2, 2, 2))
        assert first.tolist() == [1, 1, 1, 1, 1]
    assert cache.load("key")[1].tolist() == [1, 1, 1, 1, 1]
    assert left_over(tmp_path) == ["key.ids", "key.json"]


def test_a_full_disk_is_met_before_the_first_id_is_written(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(CharRNNError) as caught:
        fill()
    assert caught.value.exit_code == 1
    assert str(caught.value) == (
        f"{tmp_path}/cache: No space left on device; 10 bytes are needed there for the encoded "
        "text, or in another folder: set CHARRNN_CACHE"
    )
    assert left_over(tmp_path) == []


def test_a_cache_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CHARRNN_CACHE", str(tmp_path / "file/c\x1bache"))
    with pytest.raises(CharRNNError, match="Not a directory.*CHARRNN_CACHE") as caught:
        fill()
    assert str(caught.value).isprintable()
