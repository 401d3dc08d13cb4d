"""Writing: the old file or the new one, whole, at any moment."""

import errno
import os
import stat
from pathlib import Path

import pytest

from charrnn.core.files import (
    held,
    is_locked,
    remove_temporary,
    sweep,
    sync_folder,
    try_lock,
    verify,
    write_durably,
)

OPEN = Path("/proc/self/fd")
"""Descriptors of this process."""


def test_a_written_file_replaces_the_old_one_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "best.safetensors"
    write_durably(path, b"old")
    write_durably(path, b"new, and longer")
    assert path.read_bytes() == b"new, and longer"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="no modes")
def test_the_mode_of_a_file_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_durably(tmp_path / "a", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.skipif(os.name == "nt", reason="no fsync of folders")
def test_content_is_on_disk_before_the_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    calls, fsync, replace = [], os.fsync, os.replace

    def record_fsync(descriptor):
        found = os.fstat(descriptor)
        calls.append("fsync folder" if stat.S_ISDIR(found.st_mode) else f"fsync {found.st_size}")
        fsync(descriptor)

    def record_replace(source, target):
        calls.append(f"rename to {target.name}")
        assert source.parent == target.parent
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    write_durably(tmp_path / "a", b"12345")
    assert calls == ["fsync 5", "rename to a", "fsync folder"]


def fail(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupt(*arguments):
    raise KeyboardInterrupt


@pytest.mark.parametrize("failure", [fail, interrupt])
@pytest.mark.parametrize("name", ["write", "fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(
    tmp_path, monkeypatch, name, failure
):
    path = tmp_path / "a"
    write_durably(path, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, name, failure)
        with pytest.raises((OSError, KeyboardInterrupt)):
            write_durably(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_no_obstacle(tmp_path):
    path = tmp_path / "a"
    (tmp_path / f".a.{os.getpid()}.tmp").write_bytes(b"half")  # process ids come again
    write_durably(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_synced_fails_no_save(tmp_path, monkeypatch):
    fsync = os.fsync

    def refuse_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)  # as some network file systems do
    write_durably(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def test_a_system_that_takes_only_a_part_is_given_the_rest(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    write_durably(tmp_path / "a", b"0123456789")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_a_disk_that_fails_under_a_folder_fails_the_save(tmp_path, monkeypatch):
    fsync = os.fsync

    def fail_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_folders)
    with pytest.raises(OSError, match="Input/output error"):
        write_durably(tmp_path / "a", b"new")


@pytest.mark.parametrize("found", [b"0123456789", b"0123456780", b"012345678", b"0123012389"])
def test_a_file_of_several_pieces_is_compared_to_its_end(tmp_path, monkeypatch, found):
    monkeypatch.setattr("charrnn.core.files.READ_SIZE", 4)
    (tmp_path / "a").write_bytes(found)
    if found == b"0123456789":
        verify(tmp_path / "a", found)
        return
    with pytest.raises(OSError, match="Input/output error"):
        verify(tmp_path / "a", b"0123456789")


@pytest.mark.parametrize("found", [b"012345678", b"01234567890", b"0123x56789", b""])
def test_what_is_read_back_otherwise_is_an_error(tmp_path, found):
    (tmp_path / "a").write_bytes(found)
    with pytest.raises(OSError, match="Input/output error"):
        verify(tmp_path / "a", b"0123456789")
    (tmp_path / "a").write_bytes(b"0123456789")
    verify(tmp_path / "a", b"0123456789")


def test_half_written_files_of_the_dead_are_removed(tmp_path):
    for name in (".best.safetensors.123.tmp", "notes.tmp", ".lock", "best.safetensors"):
        (tmp_path / name).write_bytes(b"x")
    remove_temporary(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".lock", "best.safetensors", "notes.tmp"]


@pytest.mark.skipif(os.name == "nt", reason="no locks")
def test_a_temporary_file_is_swept_away_when_nobody_holds_it_and_it_is_old(tmp_path):
    mine, dead, young = (tmp_path / f".{name}.tmp" for name in ("mine", "dead", "young"))
    for path in (mine, dead, young):
        path.write_bytes(b"x")
    for path in (mine, dead):
        os.utime(path, (1, 1))
    with held(mine):
        sweep(tmp_path, ".*.tmp")
    assert sorted(tmp_path.iterdir()) == sorted([mine, young])
    sweep(tmp_path, ".*.tmp")
    assert list(tmp_path.iterdir()) == [young]


@pytest.mark.skipif(os.name == "nt", reason="no locks")
def test_a_file_is_locked_for_as_long_as_somebody_holds_it(tmp_path):
    path = tmp_path / ".lock"
    path.write_text("17 host\n")
    with path.open("rb") as file:
        assert not is_locked(path)
        assert try_lock(file.fileno())  # who asked has let go
        assert is_locked(path)
    assert not is_locked(path)
    assert path.read_text() == "17 host\n"


@pytest.mark.skipif(os.name == "nt", reason="no pipes with names")
def test_what_cannot_be_locked_is_not(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert not is_locked(tmp_path / "pipe")
    assert not is_locked(tmp_path / "nothing")
    assert not is_locked(tmp_path)


@pytest.mark.skipif(not OPEN.is_dir(), reason="no list of descriptors")
def test_nothing_stays_open(tmp_path, monkeypatch):
    path, old = tmp_path / "a", tmp_path / ".old.tmp"
    before = set(OPEN.iterdir())
    write_durably(path, b"0123456789")
    verify(path, b"0123456789")
    with pytest.raises(OSError, match="Input/output error"):
        verify(path, b"01234x")
    assert not is_locked(path)
    with held(path):
        assert is_locked(path)
    old.write_bytes(b"x")
    os.utime(old, (1, 1))
    sweep(tmp_path, ".*.tmp")
    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(OSError, match="No space"):
        write_durably(path, b"new")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        sync_folder(tmp_path)
    assert set(OPEN.iterdir()) == before
