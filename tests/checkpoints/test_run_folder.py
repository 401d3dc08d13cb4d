"""A run's folder: its name, its lock, what is kept, and how it is found again."""

import os
import re
import subprocess
import sys
import threading

import pytest

from charrnn.checkpoints.names import create_run, open_run, run_folder
from charrnn.checkpoints.run_folder import Run, step_files
from charrnn.core.errors import BusyError


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


# Locks.


def test_a_run_cannot_be_opened_twice(run):
    with pytest.raises(BusyError, match="king: being trained by process"):
        Run(run.folder)


def test_another_process_cannot_open_the_run(run):
    program = (
        "import sys, pathlib\nfrom charrnn.checkpoints.run_folder import Run\nfrom charrnn.core.errors import BusyError\n"
        "try:\n    Run(pathlib.Path(sys.argv[1]))\nexcept BusyError:\n    print('busy')\n"
    )
    arguments = [sys.executable, "-c", program, str(run.folder)]
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "busy\n"


def test_a_closed_run_can_be_opened_again(checkpoints):
    first = create_run(checkpoints, "king", [])
    first.close()
    Run(first.folder).close()


@pytest.mark.skipif(os.name == "nt", reason="no locks")
def test_who_looks_whether_a_run_lives_stops_no_trainer(checkpoints):
    import fcntl

    folder = checkpoints / "king"
    folder.mkdir(parents=True)
    (folder / ".lock").touch()
    looker = (folder / ".lock").open("rb")
    fcntl.flock(looker, fcntl.LOCK_SH)
    threading.Timer(0.1, looker.close).start()
    run = Run(folder)
    assert looker.closed
    run.close()


def test_the_lock_says_who_holds_it(run):
    assert re.fullmatch(rf"{os.getpid()} \S+\n", (run.folder / ".lock").read_text())


def test_the_lock_says_nothing_of_who_held_it_before(checkpoints):
    folder = checkpoints / "king"
    folder.mkdir(parents=True)
    (folder / ".lock").write_text("1234567 a-host-with-a-long-name.example.org\n" * 9)
    run = Run(folder)
    assert (folder / ".lock").read_text().count("\n") == 1
    run.close()


def test_what_a_killed_trainer_left_is_cleared_away(checkpoints):
    folder = checkpoints / "king"
    folder.mkdir(parents=True)
    (folder / ".best.safetensors.17.tmp").write_bytes(b"half")
    (folder / "metrics.jsonl").write_bytes(b'{"step": 1}\n{"step": 2')
    (folder / "samples.jsonl").write_bytes(b'{"st')
    run = Run(folder)
    assert names_in(folder) == [".lock", "metrics.jsonl", "samples.jsonl"]
    assert (folder / "metrics.jsonl").read_bytes() == b'{"step": 1}\n'
    assert (folder / "samples.jsonl").read_bytes() == b""
    run.close()


def test_a_resumed_runs_name_is_never_numbered(checkpoints, text_file):
    folder = run_folder(checkpoints, None, [text_file])
    assert folder == checkpoints / "text"
    for _ in range(2):
        run = open_run(folder)
        assert run.folder == folder
        run.close()


def test_a_second_trainer_leaves_before_it_touches_anything(run):
    (run.folder / ".best.safetensors.17.tmp").write_bytes(b"being written")
    with pytest.raises(BusyError, match=f"king: being trained by process {os.getpid()} on "):
        open_run(run.folder)
    assert names_in(run.folder) == [".best.safetensors.17.tmp", ".lock"]


def test_a_folder_that_was_taken_away_is_made_again(run, monkeypatch):
    folder = run.folder
    run.close()
    opened = []

    def lose_it_once(path):
        found = Run(path)
        if not opened:
            found.discard_if_empty()  # by the one who had it before us
        opened.append(found)
        return found

    monkeypatch.setattr("charrnn.checkpoints.names._lock_folder", lose_it_once)
    found = open_run(folder)
    assert (len(opened), found.still_exists) == (2, True)
    found.close()


def test_a_damaged_checkpoint_is_no_reason_to_delete_a_good_one(run):
    for step in (1, 2, 3):
        run.save_step(step, b"x")
    run.damaged.add(step_files(run.folder)[-1])
    run.save_step(4, b"x")
    assert [path.stem[-1] for path in step_files(run.folder)] == ["1", "2", "3", "4"]
    run.save_step(5, b"x")
    assert [path.stem[-1] for path in step_files(run.folder)] == ["2", "3", "4", "5"]


def test_a_save_that_reads_back_otherwise_lets_go_of_no_older_one(run, monkeypatch):
    for step in (1, 2, 3):
        run.save_step(step, b"x")
    monkeypatch.setattr("charrnn.core.files.os.read", lambda descriptor, size: b"")
    with pytest.raises(OSError, match="Input/output error"):
        run.save_step(4, b"x")
    assert [path.stem[-1] for path in step_files(run.folder)] == ["1", "2", "3"]


def test_when_training_has_gone_back_the_later_ones_go_once_the_new_one_is_there(run, monkeypatch):
    for step in (62, 63, 64):
        run.save_step(step, b"x")
    there = []
    monkeypatch.setattr(
        "charrnn.checkpoints.run_folder.remove",
        lambda path: (there.append(names_in(run.folder)), path.unlink()),
    )
    run.save_step(40, b"x")
    assert all("step-00000040.safetensors" in names for names in there)
    assert [path.stem[-2:] for path in step_files(run.folder)] == ["40"]


# Checkpoints.


def test_the_newest_three_are_kept_in_the_order_of_their_numbers(run):
    for step in (8, 9, 10, 99, 100):
        run.save_step(step, b"%d" % step)
    expected = [f"step-{step:08d}.safetensors" for step in (10, 99, 100)]
    assert [path.name for path in step_files(run.folder)] == expected
    assert [path.read_bytes() for path in step_files(run.folder)] == [b"10", b"99", b"100"]


def test_numbers_are_compared_as_numbers_not_as_names(run):
    for name in ("step-9.safetensors", "step-10.safetensors", "step-99999999.safetensors"):
        (run.folder / name).touch()
    run.save_step(100_000_000, b"x")
    expected = ["step-10", "step-99999999", "step-100000000"]
    assert [path.stem for path in step_files(run.folder)] == expected


def test_what_is_no_checkpoint_of_a_step_is_left_alone(run):
    others = ["step-a.safetensors", "step-1.safetensors.bak", "mystep-1.safetensors", "notes.txt"]
    for name in others:
        (run.folder / name).touch()
    run.save_best(b"best")
    for step in range(1, 6):
        run.save_step(step, b"x")
    assert len(step_files(run.folder)) == 3
    assert {*others, "best.safetensors"} <= set(names_in(run.folder))


def test_one_is_kept_at_the_end(run):
    for step in (1, 2, 3):
        run.save_step(step, b"x")
    run.keep_newest(1)
    assert [path.stem for path in step_files(run.folder)] == ["step-00000003"]


def test_a_failed_save_lets_go_of_no_older_one(run, monkeypatch):
    for step in (1, 2, 3):
        run.save_step(step, b"x")

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        run.save_step(4, b"x")
    assert [path.stem[-1] for path in step_files(run.folder)] == ["1", "2", "3"]


def test_the_best_is_replaced(run):
    assert run.save_best(b"first") == run.best
    run.save_best(b"second")
    assert run.best.read_bytes() == b"second"


def test_a_run_that_saved_nothing_leaves_no_folder(run):
    run.log.append("metrics.jsonl", {"event": "step"})
    run.discard_if_empty()
    assert not run.folder.exists()


@pytest.mark.parametrize("save", ["save_best", "save_step"])
def test_a_run_that_saved_something_keeps_its_folder(run, save):
    run.save_best(b"x") if save == "save_best" else run.save_step(1, b"x")
    run.discard_if_empty()
    assert run.folder.exists()
