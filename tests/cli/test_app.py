"""The command line: stdout, stderr, exit codes, and every kind of bad input."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from forks import python

from charrnn.core.config import SampleConfig, TrainConfig
from charrnn.core.settings import to_toml

QUICK = ["--steps", "20", "--hidden-size", "16", "--num-layers", "1", "--device", "cpu"]


@pytest.fixture(scope="module")
def trained(made_once):
    """A checkpoints folder with one run, named text."""
    text = "The quick brown fox jumps over the lazy dog, said Zoë.\n" * 60
    return made_once({"text.txt": text}, ["train", "text.txt", *QUICK, "-q"]) / "checkpoints"


@pytest.fixture
def sample(call, trained):
    return lambda *arguments: call("sample", "--checkpoints", trained, "-q", *arguments)


def process(*arguments, interpreter=(sys.executable,), **options):
    """Start a command line as a process of its own."""
    command = [*interpreter, "-m", "charrnn", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


# --- train


def test_train_prints_the_path_of_the_best_model_and_nothing_else(call, text_file):
    code, out, err = call("train", text_file, *QUICK)
    assert (code, out) == (0, "checkpoints/text/best.safetensors\n")
    assert Path(out.strip()).is_file()
    assert "lstm 1×16; 20 steps" in err


def test_the_last_line_of_a_plain_log_says_what_happened_and_the_code(call, text_file):
    assert call("train", text_file, *QUICK)[2].endswith("\ncharrnn: text: finished (exit code 0)\n")
    _, _, err = call("train", text_file, *QUICK, "--run", "text")
    assert err.endswith("choose another --run, or go on with it: --resume (exit code 2)\n")


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
        "lr = 0.01  # preset", "encoding = \"utf-8\"  # default",
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
    script = (
        f"model=$({sys.executable} -m charrnn train {text_file} {' '.join(QUICK)} -q) && "
        f'{sys.executable} -m charrnn sample "$model" -n 3 -l 10 --json > out.jsonl'
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


def test_lines_make_a_list_of_names(call):
    Path("names.txt").write_text("\n".join(f"anna{i % 13}" for i in range(300)), "utf-8")
    call("train", "names.txt", "--lines", *QUICK, "-q")
    code, out, _ = call("sample", "names", "-n", 5, "-q")
    assert code == 0
    assert out.count("\n") == 5


def test_bytes_go_out_as_they_came_in(call, tmp_path):
    (tmp_path / "noise.bin").write_bytes(bytes(range(128, 256)) * 40)
    call("train", "noise.bin", "--bytes", *QUICK, "-q")
    assert call("sample", "noise", "-l", 50, "-o", "out.bin", "-q", "-p", "a")[0] == 0
    data = Path("out.bin").read_bytes()
    assert len(data) == 51
    line = call("sample", "noise", "-l", 50, "--json", "-q")[1]
    assert "�" in json.loads(line)["text"]


# --- sample


def test_a_prompt_is_echoed_unless_told_otherwise(sample):
    with_prompt = sample("-p", "The quick", "-l", 20, "--seed", 1)[1]
    without = sample("-p", "The quick", "-l", 20, "--seed", 1, "--no-echo-prompt")[1]
    assert with_prompt == "The quick" + without
    assert len(without) == 20


def test_length_zero_prints_the_prompt(sample):
    assert sample("-p", "The", "-l", 0) == (0, "The", "")


def test_the_prompt_may_come_from_a_file(sample):
    Path("prompt.txt").write_text("Zoë", "utf-8")
    assert sample("--prompt-file", "prompt.txt", "-l", 0)[1] == "Zoë"


def test_the_seed_is_printed_unless_given_and_makes_the_text_again(call, trained):
    _, text, err = call("sample", "--checkpoints", trained, "-l", 30)
    word, seed = err.split()
    assert word == "seed"
    assert call("sample", "--checkpoints", trained, "-l", 30, "--seed", seed) == (0, text, "")


def test_sample_json_has_the_keys_of_the_contract(sample):
    out = sample("-p", "The", "-l", 5, "--seed", 7, "--json")[1]
    line = json.loads(out)
    assert list(line) == ["index", "seed", "prompt", "text", "finish", "temperature"]
    assert (line["index"], line["seed"], line["prompt"]) == (0, 7, "The")
    assert (len(line["text"]), line["finish"], line["temperature"]) == (5, "length", 0.8)


def test_a_sample_of_many_can_be_made_again_alone(sample):
    lines = [
        json.loads(line)
        for line in sample("-n", 5, "-l", 40, "--seed", 7, "--json")[1].splitlines()
    ]
    chosen = lines[3]
    alone = sample("-n", 1, "--batch-size", 2, "-l", 40, "--seed", chosen["seed"], "--json")[1]
    assert json.loads(alone)["text"] == chosen["text"]


def test_texts_are_separated_by_a_line_of_dashes(sample):
    out = sample("-n", 3, "-l", 10, "--seed", 7)[1]
    assert len(out) == 3 * 10 + 2 * len("\n---\n")


def test_a_stop_string_ends_the_text(sample):
    out = sample("-l", 300, "--seed", 7, "-t", 0, "--stop", "o", "--json")[1]
    line = json.loads(out)
    assert "o" not in line["text"]


def test_no_samples_is_no_text(sample):
    assert sample("-n", 0) == (0, "", "")


def test_a_closed_pipe_ends_quietly(trained):
    command = (
        f"set -o pipefail; {sys.executable} -m charrnn sample --checkpoints {trained} "
        "-l 30000 --seed 1 | head -c 10"
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert (done.returncode, len(done.stdout), done.stderr) == (0, 10, b"")


@pytest.mark.parametrize(
    "environment", [{"LANG": "C", "LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}]
)
def test_no_character_is_lost_in_a_narrow_locale(trained, environment):
    child = process(
        "sample", "--checkpoints", trained, "-p", "Zoë", "-l", 0, "-q",
        env=os.environ | environment,
    )  # fmt: skip
    assert child.communicate() == ("Zoë".encode(), b"")


def test_a_full_disk_is_an_error_of_its_own(trained):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "charrnn", "sample", "--checkpoints", str(trained)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert b"No space left" in done.stderr.splitlines()[-1]


def test_a_terminal_sees_escapes_and_a_closing_newline(call, tmp_path):
    text = tmp_path / "esc.txt"
    text.write_text("a\x1b[31mb\x07 \x9b1m\n" * 200, "utf-8")
    assert call("train", text, *QUICK, "-q")[0] == 0
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "charrnn", "sample", "esc", "-q", "-p", "\x1b[31m", "-l", "80"]
    subprocess.run(command, stdout=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 100_000)
    os.close(ours)
    assert shown.startswith(b"\\x1b[31m")
    assert shown.endswith(b"\r\n")
    assert not set(shown.decode()) & {"\x1b", "\x07", "\x9b"}


def test_sampling_never_imports_torch(trained):
    code = (
        "import sys; from charrnn.__main__ import run_cli; "
        f"run_cli(['sample', '--checkpoints', {str(trained)!r}, '-l', '5']); "
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0


# --- settings


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


def test_stop_strings_are_not_read_from_the_environment(sample, monkeypatch):
    plain = sample("-l", 40, "--seed", 3)[1]
    monkeypatch.setenv("CHARRNN_SAMPLE_STOPS", "o")
    monkeypatch.setenv("CHARRNN_SAMPLE_STOP", "o")
    assert sample("-l", 40, "--seed", 3)[1] == plain


def test_every_config_field_is_an_option_with_help(call):
    for command, config in (("train", TrainConfig), ("sample", SampleConfig)):
        text = call(command, "--help")[1]
        for each in fields(config):
            assert f"--{each.name.replace('_', '-')}" in text
            assert each.metadata["help"]


def test_config_toml_holds_every_setting_that_has_a_value():
    text = to_toml({"lr": 0.1, "steps": None, "run": 'a"b'})
    assert text == 'lr = 0.1\nrun = "a\\"b"\n'


def test_version_and_help_do_not_import_torch():
    for option in ("--help", "--version"):
        code = (
            "import sys; from charrnn.__main__ import run_cli; "
            f"run_cli([{option!r}]); sys.exit('torch' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        assert done.returncode == 0


# --- bad input: exit code, one line on stderr, nothing on stdout, nothing left behind


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
    "invalid UTF-8": (["latin.txt"], "byte 0xe9 at offset 3 is not UTF-8; use --encoding latin-1"),
    "binary": (["binary.bin"], "byte 0xff at offset 1 is not UTF-8: it looks binary; use --bytes"),
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
    "run name": (["text.txt", "--run", "../up"], "--run: '../up' is no name"),
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


BAD_SAMPLE = {
    "temperature negative": (["-t", "-1"], 2, "--temperature: must be at least 0, got -1"),
    "temperature nan": (["-t", "nan"], 2, "'nan' is not a finite number"),
    "temperature inf": (["-t", "inf"], 2, "'inf' is not a finite number"),
    "temperature 1e400": (["-t", "1e400"], 2, "'1e400' is not a finite number"),
    "length negative": (["-l", "-5"], 2, "--length: must be at least 0, got -5"),
    "top-p 0": (["--top-p", "0"], 2, "--top-p: must be in (0, 1], got 0"),
    "top-p 1.5": (["--top-p", "1.5"], 2, "--top-p: must be in (0, 1], got 1.5"),
    "top-k negative": (["--top-k", "-1"], 2, "--top-k: must be at least 0, got -1"),
    "min-p 2": (["--min-p", "2"], 2, "--min-p: must be in [0, 1], got 2"),
    "n negative": (["-n", "-1"], 2, "-n: must be at least 0"),
    "batch size 0": (["--batch-size", "0"], 2, "--batch-size: must be at least 1"),
    "unknown characters": (["-p", "aé中\x1b"], 2, "U+00E9 'é', U+4E2D '中', U+001B '\\x1b'"),
    "two prompts": (["-p", "a", "--prompt-file", "b"], 2, "exclude each other"),
    "no prompt file": (["--prompt-file", "b"], 2, "--prompt-file: b: No such file"),
    "no such model": (["nobody"], 2, "nobody: no such run or file; there are: text"),
    "output folder": (["-o", "no/such/folder.txt"], 2, "-o: no/such/folder.txt: No such file"),
    "a pickle": (["old.pt"], 4, "old.pt: a PyTorch pickle"),
    "empty": (["empty.safetensors"], 4, "empty.safetensors: an empty file"),
    "cut": (["cut.safetensors"], 4, "cut.safetensors: "),
    "foreign": (["foreign.safetensors"], 4, "not one of charrnn's"),
    "a text": (["text.txt"], 4, "text.txt: "),
}


@pytest.mark.parametrize("name", BAD_SAMPLE)
def test_bad_input_to_sample_is_one_line(name, sample, trained, tmp_path, text_file):
    from safetensors.numpy import save

    Path("old.pt").write_bytes(b"PK\x03\x04 and so on")
    Path("empty.safetensors").write_bytes(b"")
    whole = (trained / "text" / "best.safetensors").read_bytes()
    Path("cut.safetensors").write_bytes(whole[: len(whole) // 2])
    Path("foreign.safetensors").write_bytes(save({"w": np.zeros(3, np.float32)}))
    arguments, exit_code, expected = BAD_SAMPLE[name]
    if name == "unknown characters":
        expected = expected.replace("U+00E9 'é', ", "U+00E9 'é', ")
    code, out, err = sample(*arguments)
    assert (code, out) == (exit_code, "")
    assert len(err.splitlines()) == 1
    assert err.startswith("charrnn: error: ")
    assert expected in err
    assert "\x1b" not in err


def test_no_model_yet_says_what_to_do(call):
    code, _, err = call("sample")
    assert code == 2
    assert err == (
        "charrnn: error: no model in checkpoints yet; train one first: charrnn train FILE "
        "(exit code 2)\n"
    )


def test_stdout_that_is_closed_is_an_error(trained):
    command = f"{sys.executable} -m charrnn sample --checkpoints {trained} -q >&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1


def test_a_bug_is_one_line_and_a_traceback_only_with_debug(call, trained, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("boom")

    monkeypatch.setattr("charrnn.checkpoints.names.find_model", fail)
    code, _, err = call("sample", "--checkpoints", trained)
    assert code == 1
    assert err == (
        "charrnn: error: RuntimeError: boom; this is a bug, --debug shows where (exit code 1)\n"
    )
    with pytest.raises(RuntimeError):
        call("sample", "--checkpoints", trained, "--debug")


def test_the_reference_of_all_options_is_up_to_date(call):
    """`make docs` writes it anew."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(root / "docs" / "cli_reference.py"), "--print"],
        capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout.decode() == (root / "docs" / "cli.md").read_text("utf-8")


def test_interrupting_before_the_first_save_leaves_no_run(text_file):
    child = process("train", text_file, "--max-time", "1h", *QUICK[2:])
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    assert child.returncode == 130
    left = list(Path("checkpoints").glob("*")) if Path("checkpoints").exists() else []
    assert all((path / "best.safetensors").exists() for path in left)
