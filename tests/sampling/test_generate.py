"""`sample` by the thousand: files that go on, prompts, temperatures, new records, columns."""

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from charrnn.core.config import SampleConfig
from charrnn.core.console import Console
from charrnn.core.errors import InputError
from charrnn.sampling.generate import Generation, SampleRequest
from charrnn.sampling.jobs import Sample
from charrnn.sampling.output_file import open_resumed
from charrnn.sampling.writer import as_columns

QUICK = ["--steps", "20", "--hidden-size", "16", "--num-layers", "1", "--device", "cpu", "-q"]


@pytest.fixture(scope="module")
def trained(made_once):
    """A checkpoints folder with a run of verse, and one of names."""
    verse = "The quick brown fox jumps over the lazy dog.\n" * 60
    names = "".join(f"{a}n{b}\n" for a in "ABCDEFG" for b in "aeiou")
    folder = made_once(
        {"verse.txt": verse, "names.txt": names},
        ["train", "verse.txt", *QUICK],
        ["train", "names.txt", "--lines", *QUICK],
    )
    return folder / "checkpoints"


@pytest.fixture
def sample(call, trained):
    def sample(*arguments, run="verse"):
        return call("sample", run, "--checkpoints", trained, *arguments)

    return sample


def texts_of(lines):
    return [json.loads(line)["text"] for line in lines.splitlines()]


MANY = ("-n", 300, "-l", 30, "--seed", 7, "--json")


def test_an_interrupted_file_is_resumed_wherever_it_was_cut(sample):
    """Cut at 0, inside the first line, at a line's end, inside the last, and whole."""
    sample(*MANY, "-o", "whole.jsonl")
    whole = Path("whole.jsonl").read_bytes()
    end_of_first = whole.index(b"\n") + 1
    for size in (0, 9, end_of_first, end_of_first + 1, len(whole) // 2, len(whole) - 1, len(whole)):
        Path("cut.jsonl").write_bytes(whole[:size])
        assert sample(*MANY, "-o", "cut.jsonl", "--resume")[0] == 0
        assert Path("cut.jsonl").read_bytes() == whole


def test_a_process_that_is_stopped_loses_and_repeats_nothing(sample, trained):
    long = ("-n", "2500", "-l", "60", "--json", "-o", "out.jsonl", "--resume")
    command = [
        sys.executable, "-m", "charrnn", "sample", "verse", "--checkpoints", str(trained), *long,
    ]  # fmt: skip
    stopped = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGKILL: -9}
    for number, code in stopped.items():
        size = Path("out.jsonl").stat().st_size if Path("out.jsonl").exists() else 0
        child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while not Path("out.jsonl").exists() or Path("out.jsonl").stat().st_size <= size:
            assert child.poll() is None
            time.sleep(0.01)
        child.send_signal(number)
        assert child.wait() == code
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    found = Path("out.jsonl").read_text("utf-8")
    seed = json.loads(found.splitlines()[0])["seed"]
    assert sample("-n", 2500, "-l", 60, "--json", "--seed", seed)[1] == found


def test_a_file_of_another_command_is_not_resumed(sample):
    sample("-n", 5, "-l", 30, "--seed", 7, "--json", "-o", "out.jsonl")
    before = Path("out.jsonl").read_bytes()
    for changed, said in (
        (("-l", 31), "its text 4 is different: other settings or another model"),
        (("--seed", 8), "seed of text 4"),
        (("-t", 0.5), "temperature of text 4"),
        (("--precision", "bf16"), "precision of text 4 was 'fp32', is 'bf16'"),
        (("-n", 4), "it has text 4, but this command writes 4 texts, numbered from 0"),
    ):
        arguments = ("-n", 9, "-l", 30, "--json", "-o", "out.jsonl", "--resume", *changed)
        code, _, err = sample(*arguments)
        assert code == 2
        assert said in err
    assert sample(*MANY, "-o", "out.jsonl", "--resume", run="names")[0] == 2
    assert Path("out.jsonl").read_bytes() == before


def test_a_file_with_other_columns_is_not_resumed(sample, trained):
    sample("-n", 5, "-l", 30, "--seed", 7, "--json", "-o", "out.jsonl")
    corpus = trained.parent / "verse.txt"
    arguments = ("-n", 9, "-l", 30, "--json", "-o", "out.jsonl", "--resume")
    code, _, err = sample(*arguments, "--check-copies", corpus)
    assert (code, "it is without --check-copies" in err) == (2, True)
    code, _, err = sample(*arguments, "--explain")
    assert (code, "it is without --explain" in err) == (2, True)
    assert sample(*arguments)[0] == 0
    sample("-n", 5, "-l", 30, "--seed", 7, "--json", "-o", "explained.jsonl", "--explain")
    arguments = ("-n", 9, "-l", 30, "--json", "-o", "explained.jsonl", "--resume")
    code, _, err = sample(*arguments)
    assert (code, "it is with --explain" in err) == (2, True)
    assert sample(*arguments, "--explain")[0] == 0


def test_a_file_that_another_process_resumes_is_not_emptied(sample):
    sample(*MANY, "-o", "out.jsonl")
    before = Path("out.jsonl").read_bytes()
    with open_resumed(Path("out.jsonl")):
        code, _, err = sample("-n", 2, "-o", "out.jsonl")
    assert (code, "another process writes to it" in err) == (75, True)
    assert Path("out.jsonl").read_bytes() == before


def test_a_file_that_is_overwritten_has_no_old_content(sample):
    Path("out.txt").write_text("x" * 10_000)
    sample("-l", 20, "--seed", 1, "-o", "out.txt", "--force")
    assert len(Path("out.txt").read_text()) == 20


def test_no_file_of_a_user_is_emptied(sample, trained):
    names = trained.parent / "names.txt"
    Path("mine.txt").write_bytes(names.read_bytes())
    Path("p.txt").write_text("a\n")
    refused = {
        "mine.txt": (["-o", "mine.txt"], "did not write it; name another file"),
        "novel": (["--novel", "mine.txt", "-o", "mine.txt", "--force"], "this command reads it"),
        "copies": (["--check-copies", "mine.txt", "-o", "mine.txt"], "this command reads it"),
        "prompts": (["--prompts", "p.txt", "-o", "p.txt", "--force"], "this command reads it"),
        "prompt": (["--prompt-file", "p.txt", "-o", "p.txt"], "this command reads it"),
    }
    for arguments, expected in refused.values():
        code, out, err = sample("-l", 5, *arguments)
        assert (code, out, expected in err) == (2, "", True)
    assert Path("mine.txt").read_bytes() == names.read_bytes()
    assert Path("p.txt").read_text() == "a\n"


def test_no_model_is_emptied(sample, trained):
    best = next(trained.glob("*/best.safetensors"))
    before = best.read_bytes()
    copy = Path("copy")
    copy.write_bytes(before)
    for path in (best, copy):
        assert sample("-l", 5, "-o", path)[0] == 2
        assert path.read_bytes() == before


def test_the_same_command_may_be_run_again(sample):
    for _ in range(2):
        assert sample("-l", 20, "--seed", 1, "-o", "again.txt")[0] == 0
        assert sample("-l", 20, "--seed", 1, "--json", "-o", "again.jsonl")[0] == 0


def test_a_resumed_file_of_new_records_needs_a_seed(sample, trained):
    novel = ("--novel", trained.parent / "names.txt", "--json", "-o", "o.jsonl", "--resume")
    code, _, err = sample("-n", 5, *novel, run="names")
    assert (code, "add --seed N" in err) == (2, True)


def test_a_temperature_that_is_given_twice_is_refused(sample):
    code, _, err = sample("-t", "0.5,1,0.50")
    assert (code, "--temperature: the same value is given twice" in err) == (2, True)


def test_resume_without_json_lines_is_refused(sample):
    code, _, err = sample("-n", 5, "-o", "out.txt", "--resume")
    assert (code, "add --json -o FILE" in err) == (2, True)


def test_bf16_is_named_in_json_and_with_v_and_fp32_only_by_its_absence(sample):
    arguments = ("-n", 3, "-l", 40, "--seed", 7, "--json")
    _, plain, _ = sample(*arguments)
    code, rounded, err = sample(*arguments, "--precision", "bf16", "-v")
    assert code == 0
    assert {json.loads(line)["precision"] for line in rounded.splitlines()} == {"bf16"}
    assert not any("precision" in json.loads(line) for line in plain.splitlines())
    assert re.search("; loop in NumPy, weights in bf16$", err, re.MULTILINE)
    assert sample(*arguments, "--precision", "fp32")[1] == plain
    assert sample(*arguments, "--precision", "fp16")[0] == 2
    Path("out.jsonl").write_bytes(rounded.encode()[:-9])
    assert sample(*arguments, "--precision", "bf16", "-o", "out.jsonl", "--resume")[0] == 0
    assert Path("out.jsonl").read_text() == rounded


def test_each_sample_can_be_made_again_alone(sample):
    Path("p.txt").write_text("The\nfox\n", "utf-8")
    many = ("--prompts", "p.txt", "-t", "1.5,2.5", "-n", 3, "-l", 30, "--seed", 7, "--json")
    lines = [json.loads(line) for line in sample(*many)[1].splitlines()]
    assert len({line["text"] for line in lines}) == 12
    for line in lines:
        alone = sample(
            "-p", line["prompt"], "-t", line["temperature"], "-n", 1, "--batch-size", 2, "-l", 30,
            "--seed", line["seed"], "--json",
        )  # fmt: skip
        assert texts_of(alone[1]) == [line["text"]]


def test_no_prompts_are_no_texts(sample):
    Path("p.txt").write_bytes(b"")
    assert sample("--prompts", "p.txt", "-n", 5)[:2] == (0, "")


def test_a_prompt_that_the_model_cannot_read_is_known_before_anything_is_written(sample):
    Path("p.txt").write_text("The\nföx\n", "utf-8")
    code, out, err = sample("--prompts", "p.txt", "-o", "out.txt")
    assert (code, out) == (2, "")
    assert "prompt 2: " in err
    assert "'ö'" in err
    code, _, err = sample("-p", "föx")
    assert (code, "prompt 1" in err) == (2, False)
    assert not Path("out.txt").exists()


def test_files_of_a_corpus_that_are_no_text_are_named_once(sample, trained):
    Path("corpus").mkdir()
    Path("corpus/names.txt").write_bytes((trained.parent / "names.txt").read_bytes())
    Path("corpus/cover.pdf").write_bytes(b"%PDF-1.4")
    _, _, err = sample("-l", 9, "--novel", "corpus", "--check-copies", "corpus", "--seed", 1)
    assert err.count("note: corpus: 1 file passed over: cover.pdf (a PDF)\n") == 1


def test_novel_leaves_out_lines_of_the_corpus(sample, trained):
    many = ("-n", 200, "-t", 0.5, "--seed", 3, "--json")
    lines = set((trained.parent / "names.txt").read_text("utf-8").splitlines())
    all_texts = texts_of(sample(*many, run="names")[1])
    code, out, err = sample(*many, "--novel", trained.parent / "names.txt", run="names")
    assert code == 0
    expected = dict.fromkeys(text for text in all_texts if text not in lines and text)
    assert 0 < len(expected) < 200
    assert texts_of(out)[: len(expected)] == [*expected]
    assert not lines & {*texts_of(out), ""}
    kept, tried = re.search(
        r"kept (.+) of (.+) texts; the others are empty, repeated or", err
    ).groups()
    assert (int(kept), int(tried.replace(",", "")) > 200) == (len(texts_of(out)), True)


def test_n_counts_new_texts_and_none_comes_twice(sample, trained):
    names = trained.parent / "names.txt"
    many = ("-p", "A", "-t", "0.8,1.2", "-n", 30, "--seed", 3, "--novel", names)
    code, out, _ = sample(*many, "--json", run="names")
    texts = [(line["prompt"] + line["text"]) for line in map(json.loads, out.splitlines())]
    assert (code, len(texts), len({*texts})) == (0, 60, 60)
    assert not {*texts} & {*names.read_text("utf-8").split()}
    indices = [json.loads(line)["index"] for line in out.splitlines()]
    assert indices == sorted(indices)
    assert indices[-1] >= 60
    lines = sample(*many, run="names")[1].splitlines()
    cold = [line for line in texts if line in lines[:30]]
    assert (sorted(lines), len(cold)) == (sorted(texts), 30)


def test_there_is_an_end_to_the_tries(sample, trained):
    """At temperature 0 all tries give one text."""
    Path("other.txt").write_text("something else\n", "utf-8")
    note = "note: {} fewer than asked for: no more new ones in {} tries"
    code, out, err = sample("-n", 3, "-t", 0, "--novel", "other.txt", run="names")
    assert (code, len(out.splitlines())) == (0, 1)
    assert note.format("2 texts", 3) in err
    empty = ("-n", 2, "-l", 0, "--novel", "other.txt")
    code, out, err = sample(*empty, run="names")
    assert (code, out, note.format("2 texts", 100) in err) == (0, "", True)
    assert sample("-n", 0, "--novel", "other.txt", run="names")[:2] == (0, "")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_end_after_the_prompt_of_a_record_is_no_part_of_it(sample, end):
    Path("start.txt").write_bytes(b"An" + end.encode())
    options = ("-n", 5, "--seed", 3)
    expected = sample("-p", "An", *options, run="names")
    assert sample("--prompt-file", "start.txt", *options, run="names") == expected
    assert expected[0] == 0
    assert len(expected[1].splitlines()) == 5


def test_a_prompt_of_two_lines_is_refused_by_a_model_of_lines(sample):
    for option in ("-p", "--prompts"):
        Path("p.jsonl").write_text('"A\\nB"\n', encoding="utf-8")
        given = "A\nB" if option == "-p" else "p.jsonl"
        code, out, err = sample(option, given, run="names")
        assert (code, out) == (2, "")
        assert "prompt: has a line end, but each text of this model is a single line" in err
    assert sample("-p", "fox\n", "-l", 5)[0] == 0


def test_a_stop_that_can_never_occur_is_refused(sample):
    code, out, err = sample("-l", 5, "--stop", "fox", "--stop", "###")
    assert (code, out) == (2, "")
    assert "--stop: not among the 30 characters this model has seen: U+0023 '#'; leave" in err


@pytest.mark.parametrize(("option", "what"), [("-p", "prompt"), ("--stop", "--stop")])
def test_a_line_end_that_the_shell_left_as_two_characters_is_explained(sample, option, what):
    err = sample("-l", 5, option, r"fox\n\n")[2]
    assert f"{what}: not among the 30 characters this model has seen: U+005C" in err
    other = " or use --prompt-file" if option == "-p" else ""
    assert rf"; for a line end write $'\n' (bash, zsh){other}; leave" in err
    assert r"for a tab write $'\t' (bash" in sample("-l", 5, option, r"fox\t")[2]
    assert "bash" not in sample("-l", 5, option, r"\dog")[2]


def test_where_all_texts_are_new_none_is_said_to_be_left_out(sample, trained):
    Path("other.txt").write_text("something else\n", "utf-8")
    many = ("-n", 3, "-l", 20, "--seed", 3, "--novel", "other.txt")
    assert sample(*many)[2] == "kept 3 of 3 texts\n"


def test_a_file_of_new_records_is_resumed_with_its_seed(sample, trained):
    novel = ("-n", 200, "-t", 0.5, "--novel", trained.parent / "names.txt", "--json", "-o")
    sample(*novel, "whole.jsonl", "--seed", 3, run="names")
    whole = Path("whole.jsonl").read_bytes()
    assert json.loads(whole.splitlines()[-1])["index"] >= 200
    for share in (0.0, 0.5, 0.97, 1.0):
        Path("cut.jsonl").write_bytes(whole[: int(len(whole) * share)])
        assert sample(*novel, "cut.jsonl", "--seed", 3, "--resume", run="names")[0] == 0
        assert Path("cut.jsonl").read_bytes() == whole


def test_off_a_terminal_temperatures_follow_each_other(sample):
    one = ("-l", 20, "--seed", 7, "-q")
    both = sample("-t", "0.5,1.5", *one)[1]
    assert both.split("\n---\n")[0] == sample("-t", "0.5", *one, "--batch-size", 2)[1]
    assert len(both.split("\n---\n")) == 2


def test_off_a_terminal_a_note_says_which_temperature_comes_when(sample):
    many = ("-t", "0.5,1", "-l", 9, "--seed", 7)
    note = "note: 2 texts at temperature 0.5, then 2 texts at temperature 1\n"
    assert sample(*many, "-n", 2)[2] == note
    Path("p.txt").write_text("The\nfox\n", "utf-8")
    each = "note: 1 text at temperature 0.5, then 1 text at temperature 1, for each prompt\n"
    assert sample(*many, "--prompts", "p.txt")[2] == each
    assert sample(*many, "-n", 2, "--json")[2] == ""
    assert sample("-l", 9, "-n", 2, "--seed", 7)[2] == ""


def in_a_terminal(trained, *arguments):
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "charrnn", "sample", "verse", "--checkpoints", str(trained)]
    child = subprocess.Popen(
        [*command, *arguments], stdout=follower, stderr=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": "72"},
    )  # fmt: skip
    os.close(follower)
    shown = b""
    while True:
        try:
            piece = os.read(leader, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    assert child.wait() == 0
    return shown.decode()


def test_on_a_terminal_temperatures_stand_side_by_side(trained):
    lines = in_a_terminal(trained, "-t", "0.5,1.5", "-l", "40", "--seed", "7").splitlines()
    assert lines[0].split() == ["0.5", "1.5"]
    assert all(len(line) <= 72 for line in lines)


def test_columns_show_markup_and_controls_as_they_are_spelt():
    samples = [
        Sample(index=i, seed=i, prompt="p", text=text, raw=b"", finish="length", temperature=t)
        for i, (t, text) in enumerate([(0.5, "[red]a"), (1.0, "\x1b[31m")])
    ]
    shown = as_columns(samples, echo=True)
    assert "p[red]a" in shown
    assert "p\\x1b[31m" in shown


def test_off_a_terminal_progress_is_a_line_now_and_then(monkeypatch):
    now = iter([0.0, 5.0, 10.0, 12.0, 25.0])
    monkeypatch.setattr("charrnn.core.console.time.monotonic", lambda: next(now))
    stream = io.StringIO()
    with Console(0, stream).counting(1000, "text", 100) as report:
        for done in (200, 300, 350, 600):
            report(done)
    assert stream.getvalue().splitlines() == [
        "300 of 1,000 texts, 20 a second, left 35s",
        "600 of 1,000 texts, 20 a second, left 20s",
    ]


def test_the_last_line_of_a_log_says_how_many_were_written(sample):
    assert sample("-l", 9, "--json", "-o", "one.jsonl", "-q", "--seed", 1)[2] == ""
    assert (
        "charrnn: one.jsonl: 1 text written (exit code 0)\n"
        in sample("-l", 9, "--json", "-o", "one.jsonl", "--seed", 1)[2]
    )
    assert sample(*MANY, "-o", "out.jsonl")[2] == (
        "charrnn: out.jsonl: 300 texts written (exit code 0)\n"
    )


def test_without_a_corpus_each_text_is_passed_on_before_the_next_is_taken():
    texts = [
        Sample(index=i, seed=i, prompt="", text="a", raw=b"a", finish="length", temperature=1.0)
        for i in range(3)
    ]
    rest = iter(texts)
    generation = Generation(request=None, sampler=None, console=None)
    assert next(generation.counted(rest)) is texts[0]
    assert list(rest) == texts[1:]


@pytest.mark.parametrize(
    ("changes", "is_taken"),
    [
        ({"seed": 0}, True), ({"seed": 2**63 - 1}, True), ({"seed": 2**63}, False),
        ({"seed": -1}, False), ({"num_samples": 0}, True), ({"num_samples": -1}, False),
        ({"batch_size": 1}, True), ({"batch_size": 0}, False),
    ],
)  # fmt: skip
def test_a_request_has_bounds(changes, is_taken):
    usual = {
        "model": Path("m"), "prompts": [""], "configs": [SampleConfig()], "num_samples": 1, "stops": (), "seed": 1,
        "batch_size": None, "device": "cpu", "precision": "fp32", "output": None, "resume": False, "check_copies": None, "novel": None,
        "echo": True, "raw": False, "as_json": False,
    }  # fmt: skip
    if is_taken:
        SampleRequest(**usual | changes)
        return
    with pytest.raises(InputError, match="must be"):
        SampleRequest(**usual | changes)
