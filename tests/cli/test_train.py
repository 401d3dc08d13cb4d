"""`charrnn train`: stdout, stderr, settings, signals, and bad input."""

import json
import shlex
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import QUICK, process
from forks import python


def test_train_prints_the_path_of_the_best_model_and_nothing_else(call, text_file):
    code, out, err = call("train", text_file, *QUICK)
    assert (code, out) == (0, "checkpoints/text/best.safetensors\n")
    assert Path(out.strip()).is_file()
    assert "lstm 1×16; 20 steps" in err


def test_the_last_line_of_a_plain_log_says_what_happened_and_the_code(call, text_file):
    assert call("train", text_file, *QUICK)[2].endswith("\ncharrnn: text: finished (exit code 0)\n")
    _, _, err = call("train", text_file, *QUICK, "--run", "text")
    assert err.endswith("choose another --run, or continue it: --resume (exit code 2)\n")


def test_the_last_line_of_metrics_says_how_a_run_ended(call, text_file):
    call("train", text_file, *QUICK, "-q")
    last = json.loads(Path("checkpoints/text/metrics.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["code"], last["error"]) == ("ended", 0, None)
    assert (last["step"], last["stop_reason"]) == (20, "finished")


def test_quiet_says_nothing_on_stderr(call, text_file):
    assert call("train", text_file, *QUICK, "-q")[2] == ""


def test_train_json_is_one_object_with_the_keys_of_the_contract(call, text_file):
    code, out, _ = call("train", text_file, *QUICK, "--json")
    result = json.loads(out)
    assert code == 0
    assert list(result) == [
        "schema", "run", "best", "step", "epoch", "val_loss", "bits_per_char",
        "chars_per_second", "seconds", "stop_reason",
    ]  # fmt: skip
    assert result["run"] == "text"
    assert result["step"] == 20
    assert result["stop_reason"] == "finished"


def test_a_taken_name_gets_the_next_number(call, text_file):
    paths = [call("train", text_file, *QUICK, "-q")[1].strip() for _ in range(2)]
    assert [Path(path).parent.name for path in paths] == ["text", "text-2"]


def test_a_named_run_that_exists_is_refused_and_left_alone(call, text_file):
    call("train", text_file, *QUICK, "-q", "--run", "mine")
    before = {path: path.stat().st_mtime_ns for path in Path("checkpoints/mine").iterdir()}
    code, out, err = call("train", text_file, *QUICK, "--run", "mine", "-q")
    assert (code, out) == (2, "")
    assert "checkpoints/mine: taken" in err
    assert {path: path.stat().st_mtime_ns for path in Path("checkpoints/mine").iterdir()} == before


def test_dry_run_shows_every_setting_with_its_origin_and_makes_nothing(
    call, text_file, monkeypatch
):
    monkeypatch.setenv("CHARRNN_TRAIN_WEIGHT_DECAY", "0.5")
    Path("my.toml").write_text("seed = 3\nmax_time = '90s'\n", "utf-8")
    code, out, _ = call("train", text_file, *QUICK, "--dry-run", "--config", "my.toml")
    assert code == 0
    for line in (
        "steps = 20  # flag", "weight_decay = 0.5  # environment", "seed = 3  # file",
        "lr = 0.014  # preset", "encoding = \"utf-8\"  # default",
    ):  # fmt: skip
        assert line in out.splitlines()
    assert not Path("checkpoints").exists()


def test_a_run_can_be_repeated_from_its_config(call, text_file):
    first = call("train", text_file, *QUICK, "-q")[1].strip()
    again = call("train", text_file, "-q", "--config", "checkpoints/text/config.toml")[1].strip()
    assert again == "checkpoints/text-2/best.safetensors"
    from charrnn.checkpoints.model import read_model

    # How often they validate may differ, and so may which step was the best; the end may not.
    name = "step-00000020.safetensors"
    ours, theirs = (read_model(Path(path).with_name(name))[1] for path in (first, again))
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_stdin_is_a_text_and_is_kept_in_the_run(text_file):
    command = ["train", "-", *QUICK, "-q", "--run", "piped"]
    child = process(*command, interpreter=python(), stdin=subprocess.PIPE)
    out, err = child.communicate(text_file.read_bytes())
    assert (child.returncode, err) == (0, b"")
    assert out == b"checkpoints/piped/best.safetensors\n"
    assert Path("checkpoints/piped/input.txt").read_bytes() == text_file.read_bytes()
    assert [path.name for path in Path("checkpoints").iterdir()] == ["piped"]


def test_a_model_goes_straight_from_train_to_sample(text_file):
    charrnn = shlex.join([*python(), "-m", "charrnn"])
    script = (
        f"model=$({charrnn} train {text_file} {' '.join(QUICK)} -q) && "
        f'{charrnn} sample "$model" -n 3 -l 10 --json > out.jsonl'
    )
    subprocess.run(["bash", "-c", script], check=True, stderr=subprocess.DEVNULL)
    lines = [json.loads(line) for line in Path("out.jsonl").read_text("utf-8").splitlines()]
    assert [line["index"] for line in lines] == [0, 1, 2]


def test_ctrl_c_saves_and_leaves_with_130(text_file):
    command = ["train", text_file, "--steps", 100_000, *QUICK[2:], "--json"]
    child = process(*command, interpreter=python())
    assert any(line.startswith(b"step ") for line in child.stderr)  # it is training
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 130
    result = json.loads(out)
    assert result["stop_reason"] == "signal"
    assert Path(result["best"]).is_file()


def test_interrupting_before_the_first_save_leaves_no_run(text_file):
    child = process("train", text_file, "--max-time", "1h", *QUICK[2:])
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    assert child.returncode == 130
    left = list(Path("checkpoints").glob("*")) if Path("checkpoints").exists() else []
    assert all((path / "best.safetensors").exists() for path in left)


def test_flags_beat_environment_beats_file(call, text_file, monkeypatch):
    Path("my.toml").write_text("lr = 0.1\nseed = 5\ndropout = 0.3\n", "utf-8")
    monkeypatch.setenv("CHARRNN_TRAIN_LR", "0.2")
    monkeypatch.setenv("CHARRNN_TRAIN_SEED", "6")
    out = call("train", text_file, *QUICK, "--dry-run", "--config", "my.toml", "--lr", "0.4")[1]
    assert "lr = 0.4  # flag" in out
    assert "seed = 6  # environment" in out
    assert "dropout = 0.3  # file" in out


def test_an_unknown_setting_names_the_nearest(call, text_file):
    Path("my.toml").write_text("droput = 0.3\n", "utf-8")
    code, _, err = call("train", text_file, "--config", "my.toml")
    assert code == 2
    assert "unknown setting 'droput'; did you mean dropout?" in err


def make_bad_files(folder: Path) -> None:
    (folder / "empty.txt").write_bytes(b"")
    (folder / "same.txt").write_bytes(b"a" * 5000)
    (folder / "short.txt").write_bytes(b"abc\n")
    (folder / "latin.txt").write_bytes(b"caf\xe9 " * 500)
    (folder / "binary.bin").write_bytes(b"\x00\xff\x01" * 500)
    (folder / "wide.txt").write_text("".join(map(chr, range(0x10000, 0x10000 + 66_000))), "utf-8")
    (folder / "no-text").mkdir()
    (folder / "no-text" / "x.bin").write_bytes(b"\0\0")
    (folder / "a-file").write_bytes(b"x")


BAD_TRAIN = {
    "missing file": (["nowhere.txt"], "nowhere.txt: No such file"),
    "missing with an escape": (["now\x1b[2Jhere"], "now\\x1b[2Jhere: No such file"),
    "directory without text": (["no-text"], "no-text: no text in this directory"),
    "empty file": (["empty.txt"], "empty"),
    "one distinct character": (["same.txt"], "only one distinct character"),
    "too small": (["short.txt"], "3 characters, at least 8 are needed"),
    "invalid UTF-8": (["latin.txt"], "byte 0xe9 at offset 3 is not UTF-8: line 1"),
    "binary": (["binary.bin"], "byte 0xff at offset 1 is not UTF-8: line 1, 500 of 1,500 bytes; it looks binary; use --bytes"),
    "a device": (["/dev/zero"], "/dev/zero: not a regular file"),
    "too many symbols": (["wide.txt"], "66,000 distinct characters, the limit is 65,535"),
    "encoding": (["text.txt", "--encoding", "klingon"], "--encoding: klingon"),
    "no such device": (["text.txt", "--device", "cuda:77"], "--device: cuda:77"),
    "hidden size 0": (["text.txt", "--hidden-size", "0"], "--hidden-size: must be in [1, 65536]"),
    "batch size 0": (["text.txt", "--batch-size", "0"], "--batch-size: must be in"),
    "window 0": (["text.txt", "--seq-len", "0"], "--seq-len: must be in"),
    "layers 0": (["text.txt", "--num-layers", "0"], "--num-layers: must be in"),
    "dropout 1": (["text.txt", "--dropout", "1"], "--dropout: must be in [0, 1), got 1"),
    "rate nan": (["text.txt", "--lr", "nan"], "'nan' is not a finite number"),
    "rate 0": (["text.txt", "--lr", "0"], "--lr: must be greater than 0"),
    "steps of another script": (["text.txt", "--steps", "１２"], "is not a whole number"),
    "a time": (["text.txt", "--max-time", "soon"], "'soon' is not a time"),
    "no time": (["text.txt", "--max-time", "0s"], "--max-time: must be greater than 0"),
    "two budgets": (["text.txt", "--steps", "3", "--epochs", "3"], "--epochs and --steps"),
    "run name": (["text.txt", "--run", "../up"], "--run: '../up' cannot be the name"),
    "folder is a file": (["text.txt", "--checkpoints", "a-file", *QUICK], "a-file"),
    "config missing": (["text.txt", "--config", "no.toml"], "--config: no.toml: No such file"),
    "quiet and verbose": (["text.txt", "-q", "-v"], "-q and -v"),
    "unknown option": (["text.txt", "--hiden-size", "3"], "No such option"),
    "no file": ([], "no FILE: name a text"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_TRAIN)
def test_bad_input_to_train_is_one_line_and_leaves_nothing(name, call, text_file, tmp_path):
    make_bad_files(tmp_path)
    before = {path for path in tmp_path.rglob("*") if "cache" not in path.parts}
    arguments, expected = BAD_TRAIN[name]
    code, out, err = call("train", *arguments)
    assert (code, out) == (2, "")
    last = err.splitlines()[-1]
    assert last.startswith("charrnn: error: ")
    assert expected in last
    assert "\x1b" not in err
    assert {path for path in tmp_path.rglob("*") if "cache" not in path.parts} == before
