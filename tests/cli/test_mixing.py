"""`charrnn sample --memory-from` and `--with`."""

import json
import os
import threading
from pathlib import Path

import pytest
from command_line import QUICK

FOX = "The quick brown fox jumps over the lazy dog, said Zoë.\n"
OTHER = "See the dog, Joe. Zoë saw the lazy dog jump over the fox.\n"


@pytest.fixture
def other():
    Path("other.txt").write_text(OTHER * 9, "utf-8")
    return "other.txt"


def texts(stdout):
    return [json.loads(line)["text"] for line in stdout.splitlines()]


def test_weight_0_is_the_very_text_of_the_model(sample, other):
    plain = sample("--seed", 1, "-l", 80)
    assert plain[0] == 0
    for option in ("--memory-from", "--with"):
        name = {"--memory-from": other, "--with": "text"}[option]
        assert sample("--seed", 1, "-l", 80, option, f"{name}:0") == plain


def test_weight_1_writes_what_the_other_text_has(sample, other):
    """Of the network nothing is left: hardly a run of three characters is of the first text."""
    code, out, _ = sample(
        "-n", 9, "-l", 60, "-t", 0.1, "--memory-from", f"{other}:1", "--json", "--seed", 1
    )
    assert code == 0
    text, runs = OTHER * 2, [each[i : i + 3] for each in texts(out) for i in range(58)]
    assert sum(run in text for run in runs) > 0.85 * len(runs)
    assert sum(run in FOX * 2 for run in runs) < 0.8 * len(runs)


def test_a_network_without_memory_gets_one(sample, other):
    code, out, _ = sample(
        "--memory-weight", 0, "-t", 0.1, "-l", 60, "--memory-from", f"{other}:1", "--seed", 2
    )
    assert code == 0
    assert "the lazy dog" in out


def test_a_text_from_a_pipe_is_read_once_and_named_in_notes(call, trained):
    os.mkfifo("pipe")
    writer = threading.Thread(target=lambda: Path("pipe").write_text(OTHER * 9 + "Ж", "utf-8"))
    writer.start()
    arguments = ("-t", 0.1, "-l", 60, "--memory-from", "pipe:1", "--seed", 2)
    code, out, err = call("sample", "--checkpoints", trained, *arguments)
    writer.join()
    assert (code, "the lazy dog" in out) == (0, True), err
    assert "note: --memory-from: pipe: " in err
    assert not list(trained.glob(".stdin*"))


def test_two_models_write_characters_of_both(call, trained, tmp_path):
    Path("greek.txt").write_text("αβγδ αβγδ\n" * 90, "utf-8")
    checkpoints = tmp_path / "own"
    assert call("train", "greek.txt", *QUICK, "-q", "--checkpoints", checkpoints)[0] == 0
    code, out, _ = call(
        "sample", trained / "text" / "best.safetensors", "--with", "greek:0.5", "-l", 300, "-q",
        "--seed", 1, "-t", 1, "--checkpoints", checkpoints, "-p", "αThe ",
    )  # fmt: skip
    assert code == 0
    assert out.startswith("αThe ")
    assert set("αβγδ") & set(out[1:])
    assert set("abcdefghijkl") & set(out[5:])


def test_a_second_model_needs_numpy_and_v_says_so(call, trained):
    code, _, err = call(
        "sample", "--checkpoints", trained, "--with", "text:0.5", "-l", 9, "-v", "--seed", 1
    )
    assert (code, "loop in NumPy" in err) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--memory-from", "none.txt:0.5"], "--memory-from: none.txt: No such file"),
        (["--memory-from", "other.txt:2"], "--memory-from: other.txt: weight must be in [0, 1]"),
        (["--memory-from", "blank.txt"], "--memory-from: blank.txt: has no character"),
        (["--with", "nobody:0.5"], "nobody"),
        (["--with", "text:-1"], "--with: text: weight must be in [0, 1], got -1"),
        (["--memory-from", "other.txt", "-o", "other.txt"], "this command reads it"),
    ],
)
def test_what_cannot_be_mixed_is_one_line(sample, other, arguments, message):
    Path("blank.txt").write_text("", "utf-8")
    code, out, err = sample(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert Path(other).read_text("utf-8") == OTHER * 9


@pytest.mark.parametrize(
    "option", ["--memory-from", "--with", "--novel", "--check-copies", "--prompt-file", "-o"]
)
def test_an_empty_name_is_not_the_working_folder(sample, option):
    code, out, err = sample("-l", 9, option, "")
    assert (code, out) == (2, "")
    assert option in err
    assert "the name is empty" in err


def test_the_error_about_another_model_names_the_option(sample):
    assert "--with: nope: no such run or file" in sample("-l", 9, "--with", "nope")[2]


@pytest.mark.parametrize("command", [("sample", ""), ("score", "text", ""), ("train", "")])
def test_an_empty_argument_is_not_the_working_folder(call, trained, command):
    code, out, err = call(*command, "--checkpoints", trained)
    assert (code, out) == (2, "")
    assert "is empty" in err
