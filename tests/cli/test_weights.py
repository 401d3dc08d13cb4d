"""`charrnn train a.txt:3 b.txt:1`: what is read, recorded and resumed."""

import json
from pathlib import Path

import pytest
from command_line import QUICK

from charrnn.checkpoints.format import unpack
from charrnn.checkpoints.metadata import read_metadata
from charrnn.checkpoints.run_folder import step_files
from charrnn.checkpoints.state import state_digest

TEXTS = {"a.txt": "Who's there?\n" * 30, "b.txt": "Nay, answer me.\n" * 20}


@pytest.fixture(autouse=True)
def texts():
    for name, text in TEXTS.items():
        Path(name).write_text(text, "utf-8")


def digest(run):
    return state_digest(*unpack(step_files(Path("checkpoints", run))[-1].read_bytes()))


def train(charrnn, *arguments):
    return charrnn("train", *arguments, *QUICK, "-q")


def test_equal_weights_leave_files_and_digests_as_they_are(charrnn):
    for run, names in {
        "plain": ["a.txt", "b.txt"],
        "ones": ["a.txt:1", "b.txt"],
        "twos": ["a.txt:2", "b.txt:2"],
    }.items():
        train(charrnn, *names, "--run", run)
        assert "weights" not in read_metadata(Path("checkpoints", run, "best.safetensors")).settings
        assert digest(run) == digest("plain")


def test_weights_are_recorded_and_resumed_exactly(charrnn):
    names = ["a.txt:6", "b.txt:2"]
    train(charrnn, *names, "--run", "whole")
    assert Path("checkpoints/whole").is_dir()
    found = read_metadata(Path("checkpoints/whole/best.safetensors"))
    assert found.settings["weights"] == "3,1"
    cut = [*QUICK, "--steps", 8, "-q"]
    charrnn("train", *names, "--run", "parts", *cut)
    shorter = read_metadata(step_files(Path("checkpoints/parts"))[-1])
    assert shorter.sources == [str(Path(name).absolute()) for name in ("a.txt", "b.txt")]
    for run in ("whole", "parts"):
        charrnn("train", "--run", run, "--resume", "--steps", 40, "-q")
    train(charrnn, "a.txt", "b.txt", "--run", "plain")
    assert digest("plain") != digest("whole")


def test_the_commands_to_try_next_and_to_repeat_a_run_keep_the_weights(charrnn):
    err = charrnn("train", "a.txt:6", "b.txt:2", "--run", "whole", *QUICK).stderr
    assert "try next: charrnn train a.txt:3 b.txt --" in err
    report = charrnn("viz", "report", "whole").stdout
    assert report.count("charrnn train a.txt:3 b.txt --") == 2


def test_an_interrupted_run_with_weights_ends_as_one_that_never_was(charrnn, monkeypatch):
    names = ["a.txt:3", "b.txt:1"]
    train(charrnn, *names, "--run", "whole", "--save-every", 5)
    whole = digest("whole")
    for path in step_files(Path("checkpoints/whole"))[1:]:
        path.unlink()
    Path("checkpoints/whole/best.safetensors").unlink()
    charrnn("train", *names, "--run", "whole", "--resume", "-q")
    assert digest("whole") == whole


def test_the_run_has_the_name_of_the_text_without_its_weight(charrnn):
    assert "checkpoints/a/best" in train(charrnn, "a.txt:3", "b.txt").stdout


def test_other_weights_are_other_settings(charrnn):
    train(charrnn, "a.txt:3", "b.txt", "--run", "r")
    for names in (["a.txt:2", "b.txt:1"], ["a.txt:1", "b.txt:1"]):
        result = charrnn("train", *names, "--run", "r", "--resume", "--steps", 40, check=False)
        assert result.exit_code == 2
        assert "FILE:WEIGHT (was 3,1, is " in result.stderr  # there is no option --weights


@pytest.mark.parametrize("name", ["a.txt:0", "a.txt:1.5", "a.txt:-1", "a.txt:1000"])
def test_a_weight_is_a_whole_number(charrnn, name):
    result = charrnn("train", name, "b.txt", check=False)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert f"{name}: the weight of a text is a whole number from 1 to 999" in result.stderr
    assert not Path("checkpoints").exists()


def test_a_text_with_a_colon_in_its_name_is_itself(charrnn):
    Path("a.txt:3").write_text("another text\n" * 30, "utf-8")
    shown = charrnn("train", "a.txt:3", "b.txt", *QUICK, "--dry-run", "--json")
    assert "weights" not in json.loads(shown.stdout)["settings"]


def test_stdin_is_a_text_of_weight_1(charrnn):
    stdin = "Long live the king!\n" * 20
    charrnn("train", "a.txt:3", "-", *QUICK, "--run", "piped", "-q", stdin=stdin)
    assert read_metadata(Path("checkpoints/piped/best.safetensors")).settings["weights"] == "3,1"
