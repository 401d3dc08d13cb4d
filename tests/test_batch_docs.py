"""Every block of shell in docs/batch.md is run as it stands, in the page's order, by one user.

Networks are made small by the environment, which flags beat; the queue's commands are stand-ins.
100,000 samples are 1,000 here, but for one slow test.
"""

import json
import re
import shutil
import signal
import subprocess
import time

import pytest
from doc_pages import bash, environment, page, write_commands
from doc_pages import blocks as all_blocks

from charrnn.core.events import (
    Evaluated,
    Finished,
    Planned,
    RolledBack,
    Saved,
    SaveFailed,
    Started,
    Step,
    ThreadsChanged,
)

PAGE = page("docs/batch.md")


def blocks(kind="sh", mark=""):
    return all_blocks(PAGE, kind, mark)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with texts, and the commands that a shell finds."""
    folder = tmp_path_factory.mktemp("batch")
    (folder / "texts").mkdir()
    for name in "abc":
        text = f"Line of text {name}: the quick brown fox, KING and QUEEN.\n" * 60
        (folder / "texts" / f"{name}.txt").write_text(text, encoding="utf-8")
    names = "".join(f"{a}n{b}\n" for a in "ABCDEFG" for b in "aeiou")
    (folder / "texts" / "names.txt").write_text(names, encoding="utf-8")
    write_commands(folder / "bin")
    (folder / "bin" / "scontrol").write_text('#!/bin/sh\necho "$@" >> scontrol.txt\n')
    (folder / "bin" / "scontrol").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def done(home):
    """What each plain block came to, in the page's order."""
    return [bash(home, shortened(text)) for text in blocks()]


def shortened(text):
    """Return a block that writes a hundredth of the samples."""
    return text.replace("-n 100000 ", "-n 1000 ")


def test_every_block_of_shell_passes(done):
    failed = [
        (text, each.stderr) for text, each in zip(blocks(), done, strict=True) if each.returncode
    ]
    assert failed == []
    assert len(done) >= 12


def test_a_folder_of_texts_gives_models_a_table_and_a_file_of_samples(home, done):
    names = ["a", "b", "c", "names"]
    assert all((home / "checkpoints" / n / "best.safetensors").is_file() for n in names)
    lines = (home / "table.tsv").read_text("utf-8").splitlines()
    assert [line.split("\t")[0] for line in lines[:1]] == ["run"]
    assert {line.split("\t")[0] for line in lines[1:]} >= set(names)
    samples = (home / "samples.txt").read_text("utf-8")
    assert [line for line in samples.splitlines() if line.startswith("== ")] == [
        f"== {name}" for name in names
    ]


def check_samples(home, again, count):
    """Check that out.jsonl has so many texts, and that the last one was made again."""
    with (home / "out.jsonl").open(encoding="utf-8") as file:
        last = {}
        for number, line in enumerate(file):
            last = json.loads(line)
            assert last["index"] == number
    assert number == count - 1
    assert json.loads(again.stdout)["text"] == last["text"]


def test_samples_are_numbered_and_one_is_made_again(home, done):
    again = next(
        each for text, each in zip(blocks(), done, strict=True) if "--batch-size 2" in text
    )
    check_samples(home, again, 1000)


@pytest.mark.slow  # 26 s of processor time, for two million characters
def test_a_hundred_thousand_samples_are_numbered_and_one_is_made_again(home, done):
    many, again = (text for text in blocks() if "-n 100000" in text or "--batch-size 2" in text)
    (home / "out.jsonl").unlink()
    assert bash(home, many).returncode == 0
    check_samples(home, bash(home, again), 100_000)


def test_a_grid_has_every_prompt_and_temperature(home, done):
    lines = [json.loads(line) for line in (home / "grid.jsonl").read_text("utf-8").splitlines()]
    assert [line["prompt"] for line in lines] == ["KING"] * 30 + ["QUEEN"] * 30
    assert [line["temperature"] for line in lines[:30]] == [0.5] * 10 + [0.8] * 10 + [1.0] * 10


def test_a_script_reads_torchruns_true_code(done):
    said = next(each.stdout for text, each in zip(blocks(), done, strict=True) if "code=$(" in text)
    assert said.startswith("exit code 0\n")


def test_the_makefile_trains_what_has_changed_and_nothing_else(home, done):
    (text,) = blocks("make")
    (home / "Makefile").write_text(text, encoding="utf-8")

    def make():
        return subprocess.run(
            ["make", "-j", "2", "-k"], cwd=home, env=environment(home), capture_output=True,
            text=True, check=True,
        ).stdout  # fmt: skip

    (home / "table.tsv").unlink()
    assert make().count("charrnn train") == 4
    assert "charrnn train" not in make()


@pytest.mark.skipif(shutil.which("parallel") is None, reason="GNU parallel is not installed")
def test_gnu_parallel_runs_a_sweep(home):
    (text,) = blocks(mark="parallel")
    found = bash(home, text)
    assert found.returncode == 0, found.stderr
    assert len((home / "jobs.tsv").read_text("utf-8").splitlines()) == 5


def run_as_a_job(home, text, *, name, signal_after, **more):
    """Run a job script; send its shell a signal as soon as the run has a checkpoint."""
    job = subprocess.Popen(
        ["bash", "-c", text], cwd=home, env=environment(home, **more), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    if signal_after is not None:
        folder = home / "checkpoints" / name
        while not list(folder.glob("step-*.safetensors")):
            time.sleep(0.01)
            assert job.poll() is None, job.stderr.read()
        job.send_signal(signal_after)
    out, err = job.communicate(timeout=120)
    return job.returncode, out, err


@pytest.mark.parametrize(
    ("mark", "name", "requeued"),
    [("slurm", "big", "requeue 17"), ("array", "array-b", "requeue 16_2")],
)
def test_a_job_puts_itself_back_into_the_queue_until_it_is_done(home, mark, name, requeued):
    (text,) = blocks(mark=mark)
    assert re.search(r"--max-time \w+", text)
    queue = {"SLURM_JOB_ID": "17", "SLURM_GPUS_ON_NODE": "2", "SLURM_ARRAY_JOB_ID": "16",
             "SLURM_ARRAY_TASK_ID": "2"}  # fmt: skip
    said = home / "scontrol.txt"
    said.unlink(missing_ok=True)
    endless = queue | {"CHARRNN_TRAIN_STEPS": "1000000", "CHARRNN_TRAIN_THREADS": "1"}
    code, _, err = run_as_a_job(home, text, name=name, signal_after=signal.SIGUSR1, **endless)
    assert (code, said.read_text()) == (75, f"{requeued}\n"), err
    step = max(int(p.stem[5:]) for p in (home / "checkpoints" / name).glob("step-*.safetensors"))
    rest = queue | {"CHARRNN_TRAIN_STEPS": str(step + 20), "CHARRNN_TRAIN_THREADS": "1"}
    code, out, err = run_as_a_job(home, text, name=name, signal_after=None, **rest)
    assert (code, out) == (0, f"checkpoints/{name}/best.safetensors\n"), err
    assert said.read_text() == f"{requeued}\n"


def test_every_field_of_the_log_is_on_the_page():
    kinds = (
        Started, Planned, Step, Evaluated, Saved, SaveFailed, RolledBack, ThreadsChanged, Finished
    )  # fmt: skip
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)\|$", PAGE, re.MULTILINE))
    for kind in kinds:
        row = rows[kind.__name__.lower()]
        missing = [name for name in kind.__slots__ if not re.search(rf"\b{name}\b", row)]
        assert missing == [], f"{kind.__name__}: {missing}"
