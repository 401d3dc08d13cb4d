"""`train` as a command: new runs, resumed runs, runs that have ended or cannot be resumed."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from forks import python

import charrnn.launch.prepare as prepare_module
import charrnn.launch.start as start_module
from charrnn.checkpoints.format import unpack
from charrnn.checkpoints.model import load_model
from charrnn.checkpoints.names import open_run
from charrnn.checkpoints.run_folder import Run, step_files
from charrnn.checkpoints.state import state_digest
from charrnn.core.seeds import derive_seed
from charrnn.data.corpus import load_corpus
from charrnn.training.learner import Learner

QUICK = ["--steps", "20", "--hidden-size", "16", "--device", "cpu", "--threads", "1"]
ENDLESS = ["--steps", "1000000", *QUICK[2:], "--save-every", "5", "--eval-every", "50"]


def process(*arguments, **options):
    command = [*python(), "-m", "charrnn", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def digest(folder):
    return state_digest(*unpack(step_files(Path(folder))[-1].read_bytes()))


def wait_for(folder, count=1):
    """Wait until a run has saved so often."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if len(step_files(Path(folder))) >= count:
            return
        time.sleep(0.01)
    pytest.fail("nothing was saved")


@pytest.fixture
def call_until(call):
    """Run a command line that saves into a folder; send a signal after so many saves."""

    def run(number, folder, count, *arguments):
        def send():
            try:
                wait_for(folder, count)
            finally:
                os.kill(os.getpid(), number)

        sender = Thread(target=send)
        sender.start()
        try:
            return call(*arguments)
        finally:
            sender.join()

    return run


# Resume.


def test_the_same_command_starts_a_run_and_says_when_it_has_ended(call, text_file):
    command = ["train", text_file, *QUICK, "--resume", "--json"]
    code, first, _ = call(*command)
    assert code == 0
    code, again, err = call(*command)
    assert code == 0
    ours, theirs = json.loads(again), json.loads(first)
    assert ours == theirs
    assert ours["stop_reason"] == "finished"
    assert "has ended at step 20" in err
    assert len(list(Path("checkpoints").iterdir())) == 1


def test_a_run_that_was_killed_goes_on_to_the_same_end(call, text_file):
    call("train", text_file, *QUICK, "--steps", 200, "-q", "--run", "whole")
    command = ["train", text_file, *QUICK, "--steps", 200, "--save-every", 7, "--run", "killed"]
    child = process(*command, "--resume")
    wait_for("checkpoints/killed")
    child.kill()
    child.communicate()
    code, _, err = call(*command, "--resume")
    assert code == 0
    assert "continues from checkpoints/killed/step-0000" in err
    assert digest("checkpoints/killed") == digest("checkpoints/whole")


def test_a_finished_run_goes_on_with_a_larger_budget_and_without_its_file(call, text_file):
    call("train", text_file, *QUICK, "-q")
    code, out, err = call("train", "--run", "text", "--resume", "--steps", 50)
    assert (code, out) == (0, "checkpoints/text/best.safetensors\n")
    assert "step 20" in err
    assert "starts again at half its peak" in err
    assert step_files(Path("checkpoints/text"))[-1].stem == "step-00000050"


def test_a_smaller_budget_is_no_reason_to_train(call, text_file):
    call("train", text_file, *QUICK, "-q")
    code, _, err = call("train", text_file, "--resume", "--steps", 10)
    assert code == 0
    assert "has ended at step 20" in err


def test_resume_from_another_folder_finds_the_text(call, text_file, tmp_path, monkeypatch):
    call("train", text_file.name, *QUICK, "-q")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, out, _ = call(
        "train", "--checkpoints", "../checkpoints", "--run", "text", "--resume", "--steps", 30, "-q"
    )
    assert (code, out) == (0, "../checkpoints/text/best.safetensors\n")
    assert load_model(Path(out.strip())).metadata.corpus.files == ["text.txt"]


def test_what_came_from_stdin_is_found_in_the_run(charrnn, text_file):
    charrnn("train", "-", *QUICK, "-q", "--run", "piped", stdin=text_file.read_text("utf-8"))
    charrnn("train", "--run", "piped", "--resume", "--steps", 30, "-q")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (["--hidden-size", "32"], "--hidden-size (was 16, is 32)"),
        (["--cell", "gru", "--seed", "3"], "--cell (was lstm, is gru), --seed (was 0, is 3)"),
        (["--val-frac", "0.2"], "--val-frac (was 0.1, is 0.2)"),
        (["--lr", "0.5"], "--lr (was 0.014, is 0.5)"),
    ],
)
def test_a_resume_with_other_settings_names_them_and_touches_nothing(
    call, text_file, changed, words
):
    call("train", text_file, *QUICK, "-q")
    before = {p: p.read_bytes() for p in Path("checkpoints/text").iterdir() if p.name != ".lock"}
    code, out, err = call("train", text_file, "--resume", *changed, "--steps", 90)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1
    after = {p: p.read_bytes() for p in Path("checkpoints/text").iterdir() if p.name != ".lock"}
    assert after == before


def test_a_resume_with_another_text_is_refused(call, text_file):
    call("train", text_file, *QUICK, "-q")
    text_file.write_text(text_file.read_text("utf-8") + "More.\n", "utf-8")
    code, _, err = call("train", text_file, "--resume", "--steps", 90)
    assert code == 2
    assert "the corpus (text or --val-file) is not the one that text was trained on" in err


def test_step_budget_cadence_and_threads_may_change(call, text_file):
    call("train", text_file, *QUICK, "-q")
    changes = ["--steps", 24, "--eval-every", 3, "--save-every", 3, "--sample-every", 0]
    code, _, _ = call(
        "train", text_file, "--resume", "-q", *changes, "--threads", 2, "--patience", 90
    )
    assert code == 0


def test_a_run_that_is_being_trained_is_left_alone(call, text_file):
    call("train", text_file, *QUICK, "-q")
    before = sorted(Path("checkpoints/text").iterdir())
    holder = Run(Path("checkpoints/text"))
    code, out, err = call("train", text_file, "--resume", "--steps", 90)
    holder.close()
    assert (code, out) == (75, "")
    assert f"checkpoints/text: being trained by process {os.getpid()} on " in err
    assert sorted(Path("checkpoints/text").iterdir()) == before


def test_a_resume_without_file_and_run_says_what_is_missing(call):
    code, _, err = call("train", "--resume")
    assert code == 2
    assert "no FILE" in err
    code, _, err = call("train", "--resume", "--run", "nobody")
    assert code == 2
    assert "--run: nobody: no such run; name a text to start it; no run in checkpoints yet" in err
    assert not Path("checkpoints").exists()


def test_a_bad_text_leaves_no_folder_with_resume_either(call):
    Path("short.txt").write_text("abc\n", "utf-8")
    assert call("train", "short.txt", "--resume")[0] == 2
    assert not Path("checkpoints").exists()


def test_damage_is_told_and_gone_round(call, call_until, text_file):
    call_until(signal.SIGTERM, "checkpoints/text", 3, "train", text_file, *ENDLESS)
    newest = step_files(Path("checkpoints/text"))[-1]
    newest.write_bytes(newest.read_bytes()[:-5])
    steps = int(newest.stem.removeprefix("step-")) + 5
    code, _, err = call("train", text_file, "--resume", "--steps", steps, "-q")
    assert code == 0
    assert err.startswith(f"warning: {newest}: ")
    assert "; continuing from step-" in err


def test_when_all_are_damaged_the_exit_code_is_4(call, text_file):
    call("train", text_file, *QUICK, "-q")
    for path in step_files(Path("checkpoints/text")):
        path.write_bytes(b"x" * 100)
    code, out, err = call("train", text_file, "--resume", "--steps", 90)
    assert (code, out) == (4, "")
    assert "no other full checkpoint can be read; another run can start from its model" in err


def test_a_file_of_settings_and_flags_may_be_requeued(call, text_file):
    Path("c.toml").write_text("epochs = 3\nhidden_size = 48\n", "utf-8")
    command = ["train", text_file, "--config", "c.toml", "--steps", 20, "--size", "tiny", "-q"]
    command += ["--threads", 1, "--resume"]
    assert call(*command)[0] == 0
    assert call(*command)[0] == 0


def test_a_folder_that_is_no_run_is_left_alone(call, text_file):
    Path("docs").mkdir()
    Path("docs/input.txt").write_text(text_file.read_text("utf-8"), "utf-8")
    Path("docs/notes.md").write_text("mine", "utf-8")
    code, _, err = call("train", "docs/input.txt", "--checkpoints", ".", "--resume", *QUICK)
    assert code == 2
    assert "docs: a folder, but not a run" in err
    assert sorted(path.name for path in Path("docs").iterdir()) == ["input.txt", "notes.md"]


def test_a_run_that_saved_nothing_is_started_under_the_lock_that_found_it(
    call, text_file, monkeypatch
):
    Path("checkpoints/text").mkdir(parents=True)
    Path("checkpoints/text/.lock").touch()
    opened = []

    def count(folder):
        opened.append(open_run(folder))
        return opened[-1]

    monkeypatch.setattr("charrnn.launch.start.open_run", count)
    assert call("train", text_file, *QUICK, "--resume", "-q")[0] == 0
    assert len(opened) == 1
    assert step_files(opened[0].folder)


def test_a_run_that_appears_while_the_text_is_read_is_left_alone(call, text_file, monkeypatch):
    best = Path("checkpoints/text/best.safetensors")

    def train_elsewhere(prepared, console):
        best.parent.mkdir(parents=True)
        best.write_bytes(b"theirs")

    monkeypatch.setattr("charrnn.launch.start.show_plan", train_elsewhere)
    code, out, err = call("train", text_file, *QUICK, "--resume")
    assert (code, out) == (75, "")
    assert "another process has just trained it; try again" in err
    assert best.read_bytes() == b"theirs"


def test_an_end_before_the_first_save_removes_only_what_it_made(call, text_file):
    Path("checkpoints/text").mkdir(parents=True)
    Path("checkpoints/text/.lock").touch()
    Path("checkpoints/text/notes.md").write_text("mine", "utf-8")
    code, _, _ = call("train", text_file, *QUICK, "--lr", "1e30", "--resume", "-q")
    assert code == 3
    assert [path.name for path in Path("checkpoints/text").iterdir()] == ["notes.md"]


def test_held_out_text_in_a_file_is_found_from_another_folder(
    call, text_file, tmp_path, monkeypatch
):
    Path("val.txt").write_text(text_file.read_text("utf-8")[:300], "utf-8")
    call("train", text_file, "--val-file", "val.txt", *QUICK, "-q")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    options = ["--checkpoints", "../checkpoints", "--run", "text", "--resume", "--steps", 30]
    assert call("train", *options, "-q")[0] == 0


def test_a_run_from_stdin_may_be_moved(charrnn, text_file):
    charrnn("train", "-", *QUICK, "-q", "--run", "piped", stdin=text_file.read_text("utf-8"))
    Path("moved").mkdir()
    Path("checkpoints/piped").rename("moved/piped")
    charrnn("train", "--checkpoints", "moved", "--run", "piped", "--resume", "--steps", 30, "-q")


def test_a_text_that_was_moved_is_told_with_the_way_on(call, text_file):
    call("train", text_file, *QUICK, "-q")
    text_file.rename("other.txt")
    code, _, err = call("train", "--run", "text", "--resume", "--steps", 30)
    assert code == 2
    assert (
        "text.txt: the text of text does not exist; name it: charrnn train FILE --run text" in err
    )
    assert call("train", "other.txt", "--run", "text", "--resume", "--steps", 30, "-q")[0] == 0


def test_a_run_in_the_place_of_a_text_is_told_as_one(call, text_file):
    call("train", text_file, *QUICK, "-q")
    for name in ("text", "checkpoints/text"):
        code, _, err = call("train", name, "--resume")
        assert code == 2
        assert "a run, not a text; to continue it: charrnn train --run text --resume" in err


def test_other_runs_of_the_same_text_are_named(call, text_file):
    for _ in range(3):
        call("train", text_file, *QUICK, "-q")
    Path("checkpoints/text-old").mkdir()  # named by its user
    shutil.copy("checkpoints/text/best.safetensors", "checkpoints/text-old")
    err = call("train", text_file, "--resume")[2]
    assert "there are also text-2, text-3;" in err


def test_a_start_from_elsewhere_is_not_made_twice(call, text_file):
    call("train", text_file, *QUICK, "-q")
    command = ["train", text_file, "--run", "b", "--init-from", "text", "--resume", "--steps", 20]
    assert call(*command, "-q")[0] == 0
    assert "--init-from only applies to a new run" in call(*command)[2]


def test_a_dry_resume_says_where_it_would_go_on(call, text_file):
    call("train", text_file, *QUICK, "-q")
    code, out, err = call("train", text_file, "--resume", "--steps", 50, "--dry-run")
    assert code == 0
    assert "continues from" in err
    assert "steps = 50  # flag" in out
    assert "hidden_size = 16  # checkpoint" in out


def test_lines_that_are_held_out_are_counted_once(call):
    Path("names.txt").write_text("\n".join(f"name{i}" for i in range(100)), "utf-8")
    call("train", "names.txt", "--lines", *QUICK, "-q")
    found = json.loads(call("info", "names", "--json")[1])["corpus"]
    # 10 names of 5 and 90 of 6 letters, each with its end.
    assert found["num_train"] + found["num_val"] == 10 * 6 + 90 * 7
    assert found["num_val"] == 83  # 12 names, by their hashes


def test_more_texts_than_a_checkpoint_can_name_can_be_trained_and_resumed(call, tmp_path):
    (tmp_path / "many").mkdir()
    names = []
    for i in range(700):
        path = tmp_path / "many" / f"{'имя' * 15}{i}.txt"
        path.write_text(f"The king number {i} is here.\n", "utf-8")
        names.append(path)
    assert call("train", *names, *QUICK, "-q", "--run", "many")[0] == 0
    code, _, err = call("train", "--run", "many", "--resume", "--steps", 30)
    assert code == 2
    assert "name it: charrnn train FILE --run many --resume" in err
    assert call("train", *names, "--run", "many", "--resume", "--steps", 30, "-q")[0] == 0


# Signals.


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [("SIGINT", 130, "signal"), ("SIGTERM", 143, "signal"), ("SIGHUP", 129, "signal"),
     ("SIGUSR1", 75, "requeue")],
)  # fmt: skip
def test_a_signal_saves_and_says_why(call, call_until, text_file, name, code, reason):
    command = ["train", text_file, *ENDLESS, "--json"]
    ended, out, err = call_until(getattr(signal, name), "checkpoints/text", 1, *command)
    assert ended == code
    result = json.loads(out)
    assert result["stop_reason"] == reason
    assert "Traceback" not in err
    newest = step_files(Path("checkpoints/text"))[-1]
    assert newest.stem == f"step-{result['step']:08d}"
    last = json.loads(Path("checkpoints/text/metrics.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["stop_reason"], last["code"]) == ("ended", reason, code)
    resumed = call("train", "--run", "text", "--resume", "--steps", result["step"] + 5, "-q")
    assert resumed[0] == 0


def test_a_run_that_a_signal_stopped_makes_no_report(call, call_until, text_file):
    command = ["train", text_file, *ENDLESS, "--report"]
    code, _, err = call_until(signal.SIGTERM, "checkpoints/text", 1, *command)
    assert code == 143
    assert "report" not in err
    assert not Path("checkpoints/text/report.html").exists()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (IndexError("index -1\nof 0"), "IndexError: index -1\\nof 0"),
    ],
)
def test_a_report_that_cannot_be_made_changes_no_result(call, text_file, monkeypatch, error, said):
    def fail(folder):
        raise error

    monkeypatch.setattr("charrnn.viz.report.write_report", fail)
    code, out, err = call("train", text_file, *QUICK, "--report")
    assert (code, out) == (0, "checkpoints/text/best.safetensors\n")
    assert f"warning: no report: {said}\n" in err


EIGHT = "Ada\nBea\nCleo\nDora\nKim\nFay\nGil\nHal"


@pytest.mark.parametrize(
    ("frac", "why"),
    [([], "; 8 different lines are too few for --val-frac 0.1"), (["--val-frac", "0"], "")],
)
def test_lines_of_which_none_is_held_out_train_and_have_a_report(call, tmp_path, frac, why):
    (tmp_path / "eight.txt").write_text(EIGHT, encoding="utf-8")
    code, out, err = call("train", "eight.txt", "--lines", *QUICK, *frac, "--report")
    assert (code, out) == (0, "checkpoints/eight/best.safetensors\n")
    assert f"note: no text is held out, so there is no validation loss{why}\n" in err
    assert "no text was held out" in Path("checkpoints/eight/report.html").read_text("utf-8")
    for command in (["score", "-m", "eight"], ["viz", "surprise", "eight"]):
        code, _, err = call(*command, "eight.txt", "--held-out")
        assert (code, "held out no text" in err) == (2, True), err


def test_under_nohup_a_hangup_does_not_stop(text_file):
    child = process("train", text_file, *ENDLESS, "-q", preexec_fn=ignore_hangups)
    wait_for("checkpoints/text")
    child.send_signal(signal.SIGHUP)
    before = step_files(Path("checkpoints/text"))[-1]
    end = time.monotonic() + 30
    while step_files(Path("checkpoints/text"))[-1] == before and time.monotonic() < end:
        time.sleep(0.01)
    assert step_files(Path("checkpoints/text"))[-1] != before
    child.terminate()
    child.communicate(timeout=60)
    assert child.returncode == 143


def ignore_hangups():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


# Disks.


def limit_files(size):
    def limit():
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def test_a_disk_that_is_full_stops_only_what_must_be_saved(text_file):
    # The model is 15 kB, a full checkpoint 44 kB.
    child = process(
        "train", text_file, *QUICK, "--steps", 60, "--save-every", 20, "--json",
        "--embedding-size", 5, "--memory", "off", preexec_fn=limit_files(20_000),
    )  # fmt: skip
    out, err = child.communicate(timeout=60)
    lines = err.decode().splitlines()
    warnings = [line for line in lines if line.startswith("warning: ")]
    assert child.returncode == 1
    assert all("checkpoints/text: not saved at step " in line for line in warnings)
    assert "at step 20: File too large; training continues and tries again" in err.decode()
    assert lines[-1].startswith("charrnn: error: checkpoints/text: not saved at step 60: File too")
    assert "the newest good checkpoint is none" in lines[-1]
    assert json.loads(out)["stop_reason"] == "error"
    names = sorted(path.name for path in Path("checkpoints/text").iterdir())
    assert [n for n in names if "step" in n or "tmp" in n] == []
    load_model(Path("checkpoints/text/best.safetensors"))


def test_a_disk_that_was_full_for_a_while_costs_nothing(call, text_file, monkeypatch):
    saved, write = [], os.write

    def full_at_first(descriptor, data):
        if len(data) > 20_000 and len(saved) < 2:
            saved.append(len(data))
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr("charrnn.core.files.os.write", full_at_first)
    code, _, err = call("train", text_file, *QUICK, "--steps", 60, "--save-every", 20)
    assert code == 0
    assert err.count("warning: ") == 2
    assert step_files(Path("checkpoints/text"))[-1].stem == "step-00000060"


def test_a_log_that_fails_is_no_reason_to_stop(call, text_file):
    call("train", text_file, *QUICK, "-q")
    Path("checkpoints/text/metrics.jsonl").unlink()
    Path("checkpoints/text/metrics.jsonl").mkdir()
    assert call("train", text_file, "--resume", "--steps", 40, "-q")[0] == 0


# Trained weights for another text.


def test_a_new_run_starts_from_trained_weights(call, text_file):
    call("train", text_file, *QUICK, "--steps", 200, "-q", "--run", "old")
    Path("new.txt").write_text("The king is here; Quebec zone.\n" * 60, "utf-8")
    code, _, err = call("train", "new.txt", "--init-from", "old", "--steps", 1, "--lr", "1e-12")
    assert code == 0
    assert "lstm 1×16" in err
    assert "trained weights know " in err
    new = sorted(set(Path("new.txt").read_text("utf-8")) - set(text_file.read_text("utf-8")))
    assert "Q" in new
    assert f"{len(new)} characters that the model does not know: {' '.join(new)}" in err
    assert "of the model that are not in this text, removed" in err
    ours, theirs = (load_model(Path(f"checkpoints/{n}/best.safetensors")) for n in ("new", "old"))
    assert ours.metadata.parent == theirs.metadata.sha256
    for character in "king":
        i, j = (m.vocab.encode(character)[0] for m in (ours, theirs))
        for name in ("embedding.weight", "decoder.weight", "decoder.bias"):
            np.testing.assert_allclose(ours.weights[name][i], theirs.weights[name][j], atol=1e-6)
    np.testing.assert_allclose(
        ours.weights["layers.0.weight_hh_l0"], theirs.weights["layers.0.weight_hh_l0"], atol=1e-6
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--hidden-size", "32"], "--init-from: the model has hidden_size 16, not 32"),
        (["--cell", "gru"], "--init-from: the model has cell lstm, not gru"),
        (["--bytes"], "of text and model, one is read as bytes"),
    ],
)
def test_weights_that_do_not_fit_are_refused(call, text_file, options, words):
    call("train", text_file, *QUICK, "-q", "--run", "old")
    code, _, err = call("train", text_file, "--init-from", "old", *options)
    assert code == 2
    assert words in err
    assert [path.name for path in Path("checkpoints").iterdir()] == ["old"]


def test_a_model_that_does_not_exist_is_told_with_those_that_do(call, text_file):
    call("train", text_file, *QUICK, "-q", "--run", "old")
    code, _, err = call("train", text_file, "--init-from", "odl")
    assert code == 2
    assert "odl: no such run or file; there are: old" in err


LISTED = [f"{first}{second}" for first in ("An", "Bel", "Cor", "Dav", "El") for second in
          ("a", "ena", "in", "io", "mund", "ora", "tis", "us", "wina", "yx")]  # fmt: skip
LEARNED = "the trained weights may have learned some of the held-out text"


def train_list(call, name, lines, *options):
    """Train on a list; return the held-out lines in order, and what stderr says."""
    Path(f"{name}.txt").write_text("\n".join(lines), "utf-8")
    command = ["train", f"{name}.txt", "--lines", *QUICK, "--steps", 3, "--run", name]
    err = call(*command, *options)[2]
    return held_out_lines(call, name, f"{name}.txt"), err


def held_out_lines(call, name, file):
    out = call("score", file, "-m", name, "--held-out", "--json", "-q")[1]
    return [json.loads(line)["text"] for line in out.splitlines()]


def position(line):
    """Return where a line stands in [0, 1) by its hash."""
    return int(hashlib.blake2b(line.encode(), digest_size=8).hexdigest(), 16) / 2**64


def test_names_that_a_run_learned_are_not_held_out_when_the_list_grows(call):
    first, _ = train_list(call, "first", LISTED)
    grown = [*LISTED[:20], "Zoe", "Yann", *LISTED[20:], *(f"New{n}" for n in range(30))]
    held_out, err = train_list(call, "grown", grown, "--init-from", "first", "--seed", 5)
    assert first == [name for name in LISTED if position(name) < 0.1]
    assert held_out == [name for name in grown if position(name) < 0.1]
    assert [name for name in held_out if name in LISTED] == first
    assert len(held_out) > len(first) > 0
    assert LEARNED not in err


def test_a_note_says_that_trained_weights_may_have_learned_what_is_held_out(call):
    Path("old.toml").write_text("corpus_rule = 1\n", "utf-8")
    train_list(call, "old", LISTED, "--config", "old.toml")
    train_list(call, "tenth", LISTED)
    for source, options, is_told in (
        ("old", [], True), ("old", ["--config", "old.toml"], False),
        ("old", ["--config", "old.toml", "--seed", 1], True), ("tenth", [], False),
        ("tenth", ["--seed", 1], False), ("tenth", ["--val-frac", 0.05], False),
        ("tenth", ["--val-frac", 0.2], True), ("tenth", ["--val-frac", 0], False),
    ):  # fmt: skip
        options = ["--init-from", source, *options, "--dry-run"]
        err = call("train", "old.txt", "--lines", "--steps", 1, *options)[2]
        assert (LEARNED in err) == is_told, (source, options)


def test_the_note_on_a_stream_is_for_a_text_of_the_same_name_that_changed(call, text_file):
    call("train", text_file, *QUICK, "-q", "--run", "old")
    command = ["train", text_file, "--init-from", "old", "--steps", 1, "--dry-run"]
    assert LEARNED not in call(*command, "--seed", 1)[2]
    assert LEARNED in call(*command, "--val-frac", 0.2)[2]
    text_file.write_text(text_file.read_text("utf-8") + "More of it.\n", "utf-8")
    assert LEARNED in call(*command)[2]
    Path("another.txt").write_text(text_file.read_text("utf-8"), "utf-8")
    assert LEARNED not in call("train", "another.txt", *command[2:])[2]


def test_a_run_of_the_first_rule_is_resumed_and_scored_on_the_lines_that_it_held_out(call):
    """The golden file was written before rules had a number."""
    golden = Path(__file__).parent.parent / "golden"
    folder = Path("checkpoints/old")
    folder.mkdir(parents=True)
    shutil.copy(golden / "golden-v1-lines.safetensors", folder / "step-00000010.safetensors")
    code, _, err = call("train", golden / "golden.txt", "--run", "old", "--resume")
    assert (code, "continues from" in err) == (0, True)
    distinct = dict.fromkeys(filter(None, (golden / "golden.txt").read_text("utf-8").split("\n")))
    order = np.random.default_rng(derive_seed(0, "held out", 0)).permutation(len(distinct))
    expected = [list(distinct)[i] for i in sorted(order[: len(distinct) // 10])]
    assert held_out_lines(call, "old", golden / "golden.txt") == expected
    model = load_model(folder / "best.safetensors")
    assert "corpus_rule" not in model.metadata.settings
    signature = model.metadata.raw["end"]["scores"][0]["signature"]
    assert signature.startswith("split:last-0.1|")


def test_a_run_of_lines_has_the_rule_in_its_file_and_in_its_signature(call, text_file):
    train_list(call, "names", LISTED)
    metadata = load_model("checkpoints/names/best.safetensors").metadata
    assert metadata.settings["corpus_rule"] == 2
    assert metadata.raw["end"]["scores"][0]["signature"].startswith("split:lines-0.1/2|")
    call("train", text_file, *QUICK, "-q")
    metadata = load_model("checkpoints/text/best.safetensors").metadata
    assert "corpus_rule" not in metadata.settings
    assert metadata.raw["end"]["scores"][0]["signature"].startswith("split:last-0.1|")


def test_several_held_out_pieces_are_scored_named_and_resumed(call, text_file):
    """The text repeats one sentence; numbers make its pieces different."""
    text_file.write_text("".join(f"{i} the king and the queen\n" for i in range(100)), "utf-8")
    call("train", text_file, *QUICK, "-q", "--val-pieces", 3)
    model = load_model("checkpoints/text/best.safetensors")
    assert model.metadata.settings["val_pieces"] == 3
    (line,) = score_held_out(call, text_file)
    assert "split:pieces-0.1/3|" in line["signature"]
    assert line["loss"] == pytest.approx(model.metadata.metrics.val_loss, abs=1e-7)
    # 10 lines of 25 and 90 of 26 characters are 2,590; of sections of 863, 863 and 864 characters
    # 776, 776 and 777 are learned.
    assert line["chars"] == 87 + 87 + 87 - 1
    code, out, err = call("train", text_file, "--resume", "--val-pieces", 2, "--steps", 30)
    assert (code, out) == (2, "")
    assert "--val-pieces (was 3, is 2)" in err
    code, _, err = call("train", text_file, "--resume", "--steps", 30, "-q")
    assert (code, err) == (0, "")
    (line,) = score_held_out(call, text_file)
    assert line["chars"] == 260
    assert load_model("checkpoints/text/best.safetensors").metadata.settings["val_pieces"] == 3


@pytest.mark.parametrize("has_rule", [True, False])
def test_a_run_on_files_given_twice_is_resumed_with_the_files_that_it_learned(
    call, text_file, monkeypatch, has_rule
):
    """A run without a rule in its file began before files were left out."""
    copy = text_file.with_name("copy.txt")
    shutil.copy(text_file, copy)

    def read_by_first_rule(paths, config):
        corpus = load_corpus(paths, replace(config, corpus_rule=1))
        return replace(corpus, has_repeated=False)

    with monkeypatch.context() as patch:
        if not has_rule:
            patch.setattr(prepare_module, "load_corpus", read_by_first_rule)
        call("train", text_file, copy, *QUICK, "-q", "--run", "two")
    model = load_model("checkpoints/two/best.safetensors")
    assert model.metadata.settings.get("corpus_rule") == (2 if has_rule else None)
    assert len(model.metadata.corpus.files) == (1 if has_rule else 2)
    code, _, err = call("train", text_file, copy, "--run", "two", "--resume", "--steps", 30, "-q")
    assert (code, err) == (0, "")
    assert call("score", text_file, copy, "-m", "two", "--held-out")[0] == 0


def score_held_out(call, text_file):
    """Return the lines of `score --held-out --json`, streamed."""
    command = ["score", text_file, "--held-out", "--json", "--protocol", "streamed"]
    return [json.loads(line) for line in call(*command)[1].splitlines()]


@pytest.mark.parametrize(
    "arguments", [["--lines"], ["--val-file", "text.txt"], ["--val-frac", "0"]]
)
def test_several_pieces_of_chosen_held_out_text_are_refused_in_one_line(call, text_file, arguments):
    code, out, err = call("train", text_file, *QUICK, "--val-pieces", 3, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"--val-pieces and {' '.join(arguments)}".split(" text")[0] in err
    assert not Path("checkpoints").exists()


def test_help_of_resume_and_init_from_name_each_other(call):
    text = " ".join(call("train", "--help")[1].split())
    resume, init = text.index("--resume Continue"), text.index("--init-from MODEL Start")
    assert "--init-from" in text[resume : resume + 220]
    assert "--resume" in text[init : init + 220]


# Info.


def test_info_prints_the_digest_of_the_state_and_what_it_knows(call, text_file):
    call("train", text_file, *QUICK, "-q")
    path = step_files(Path("checkpoints/text"))[-1]
    code, out, _ = call("info", path)
    assert code == 0
    assert f"state digest     {digest('checkpoints/text')}\n" in out
    assert "lstm 1×16" in out
    found = json.loads(call("info", path, "--json")[1])
    assert found["state_digest"] == digest("checkpoints/text")
    assert found["config"]["train"]["steps"] == 20
    assert found["vocabulary"] == sorted({ord(c) for c in text_file.read_text("utf-8")})
    assert found["metrics"]["train_loss"] > 0


def test_info_of_a_run_is_that_of_its_best(call, text_file):
    call("train", text_file, *QUICK, "-q")
    assert "best.safetensors" in call("info", "text")[1]
    assert call("info")[1] == call("info", "text")[1]


def test_info_never_imports_torch(call, text_file):
    call("train", text_file, *QUICK, "-q")
    code = (
        "import sys; from charrnn.__main__ import run_cli; "
        "run_cli(['info', 'text']); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0


def test_a_signal_behind_the_end_changes_no_result_and_one_before_it_makes_no_report(
    call, text_file, monkeypatch
):
    keep, update = Run.keep_newest, Learner.update

    def keep_and_signal(run, count):
        keep(run, count)
        if count == 1:  # all is done but what is said of it
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "keep_newest", keep_and_signal)
        code, out, err = call("train", text_file, *QUICK, "--report", "--json", "--run", "whole")
    assert (code, json.loads(out)["stop_reason"]) == (0, "finished")
    assert Path("checkpoints/whole/report.html").is_file()
    assert "report: checkpoints/whole/report.html" in err

    def update_and_signal(learner, batch, step, lr):
        update(learner, batch, step, lr)
        if step == 12:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Learner, "update", update_and_signal)
    code, out, err = call("train", text_file, *QUICK, "--report", "--json", "--run", "cut")
    assert (code, json.loads(out)["stop_reason"]) == (143, "signal")
    assert not Path("checkpoints/cut/report.html").exists()
    assert "report" not in err


@pytest.mark.parametrize(
    ("is_live", "arguments", "is_advised"),
    [
        (True, ["--steps", "3"], True),
        (True, ["--epochs", "1"], True),
        (True, ["--steps", "3", "--threads", "4"], False),  # the user has chosen
        (True, ["--max-time", "60s"], False),  # the run chooses
        (False, ["--steps", "3"], False),
    ],
)
def test_one_line_advises_fewer_threads_where_others_use_the_cores(
    is_live, arguments, is_advised, charrnn, text_file, monkeypatch
):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("charrnn.core.console.is_terminal", lambda stream: is_live)
    monkeypatch.setattr(start_module, "default_threads", lambda: 4)
    monkeypatch.setattr(start_module, "advised_threads", lambda *_: 2)
    done = charrnn("train", text_file, "--dry-run", "--hidden-size", "16", *arguments)
    lines = [line for line in done.stderr.splitlines() if "--threads 2 is probably faster" in line]
    assert len(lines) == is_advised
