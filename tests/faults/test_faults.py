"""The fault scripts can fail: each notices when a mechanism is disabled.

`make faults` runs them with all mechanisms in place.
"""

import functools
import os
import time
from pathlib import Path

import crash_states
import damage
import hostile_requests
import io_errors
import malformed
import pytest
import race
import terminal
from harness import Violation, work_folder
from history import make_template

import charrnn.core.files


@pytest.fixture(autouse=True)
def folder():
    with work_folder() as path:
        yield path


def test_the_states_after_a_power_cut_are_those_counted_by_hand():
    disk = crash_states.Disk()
    for op in (("create", "a", 1), ("write", 1, b"x" * 600)):
        disk.do(op)
    states = list(disk.states())
    # Without the name: nothing. With it: empty, whole, zeros, cut at 512, and zeros after 512.
    assert {} in states
    contents = {state["a"] for state in states if state}
    assert contents == {b"", b"x" * 600, bytes(600), b"x" * 512, b"x" * 512 + bytes(88)}
    disk.do(("fsync", 1))
    assert list(disk.states()) == [{}, {"a": b"x" * 600}]
    disk.do(("fsync folder",))
    disk.do(("rename", "a", "b"))
    assert list(disk.states()) == [{"a": b"x" * 600}, {"b": b"x" * 600}]


def test_every_crash_state_of_one_save_is_survived():
    assert crash_states.check_states(1) > 40


@pytest.mark.parametrize("mechanism", crash_states.FORGOTTEN)
def test_a_forgotten_fsync_is_noticed(mechanism):
    with pytest.raises(Violation):
        crash_states.check_states(1, crash_states.FORGOTTEN[mechanism])


def write_in_place(path, data, pause=0):
    """Write as most programs do, with a pause in the middle."""
    system = charrnn.core.files.os
    descriptor = system.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        system.write(descriptor, data[: len(data) // 2])
        time.sleep(pause)
        system.write(descriptor, data[len(data) // 2 :])
        system.fsync(descriptor)
    finally:
        system.close(descriptor)


def test_writing_in_place_is_noticed(monkeypatch):
    monkeypatch.setattr("charrnn.checkpoints.run_folder.write_durably", write_in_place)
    with pytest.raises(Violation):
        io_errors.check(1, 0)


def test_an_error_that_is_swallowed_is_noticed(monkeypatch):
    def swallow(path, data):
        try:
            charrnn.core.files.write_durably(path, data)
        except OSError:
            pass

    monkeypatch.setattr("charrnn.checkpoints.run_folder.write_durably", swallow)
    monkeypatch.setattr("charrnn.checkpoints.run_folder.verify", lambda path, data: None)
    with pytest.raises(Violation):
        io_errors.check(1, 0)


def test_a_hash_that_is_not_looked_at_is_noticed(monkeypatch):
    monkeypatch.setattr("charrnn.checkpoints.format._check_hash", lambda *arguments: None)
    with pytest.raises(Violation, match="accepted"):
        damage.check(0, 0)


def test_shapes_that_are_not_looked_at_are_noticed(monkeypatch):
    monkeypatch.setattr("charrnn.checkpoints.model.check_tensors", lambda *arguments: None)
    malformed.MUTATORS[:] = [malformed.Mutator("model"), malformed.Mutator("full")]
    came = malformed.try_batch((0, 0, 1000))
    assert any(kind.startswith("VIOLATION") for kind in came)


def test_a_thousand_malformed_files_are_refused_or_models():
    malformed.MUTATORS[:] = [malformed.Mutator("model"), malformed.Mutator("full")]
    came = malformed.try_batch((0, 0, 1000))
    assert set(came) == {"refused", "a model", "a full checkpoint"}


def test_a_lock_that_locks_nothing_is_noticed(monkeypatch):
    monkeypatch.setattr("charrnn.checkpoints.run_folder.try_lock", lambda descriptor: True)
    with pytest.raises(Violation, match="race 0"):
        race.check_race(0)


def test_saves_that_readers_can_see_half_done_are_noticed(monkeypatch):
    slowly = functools.partial(write_in_place, pause=0.02)  # long enough for a reader to see a half
    monkeypatch.setattr("charrnn.checkpoints.run_folder.write_durably", slowly)
    with pytest.raises(Violation, match="readers"):
        race.check_readers(make_template(), 20)


def test_controls_that_are_not_escaped_are_noticed(monkeypatch):
    monkeypatch.setattr("charrnn.core.console.escape_controls", lambda text: text)
    with pytest.raises(Violation):
        terminal.check(100, 0)


def test_300_hostile_requests_are_refused_and_the_server_lives():
    assert hostile_requests.check(300, 0)[0] == 300


def test_a_check_of_requests_that_fails_is_noticed(monkeypatch):
    monkeypatch.setattr("charrnn.server.fields.wrong", lambda *arguments: None)
    with pytest.raises(Violation, match="500"):
        hostile_requests.check(300, 0)


def test_work_is_done_in_a_folder_of_its_own(folder):
    assert Path.cwd() == folder.resolve()
