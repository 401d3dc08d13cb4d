"""`charrnn sample`: prompts, stdout, seeds, a narrow locale, a full disk, and bad input."""

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import QUICK, process

from charrnn.core.errors import InputError
from charrnn.data.reading import Reading
from charrnn.sampling.prefill import PromptOptions


def read_prompts(prompt, file, lines, **reading):
    return PromptOptions(prompt=prompt, file=file, lines=lines).read(Reading(**reading))


def from_stdin(monkeypatch, data):
    class Stdin:
        buffer = io.BytesIO(data)

        def isatty(self):
            return False

    monkeypatch.setattr("sys.stdin", Stdin())
    return read_prompts(None, None, Path("-"))


def test_without_a_prompt_there_is_an_empty_one():
    assert read_prompts(None, None, None) == [""]


def test_every_line_of_a_file_is_a_prompt_an_empty_one_too():
    Path("p.txt").write_bytes("Zoë\n\nThe king\r\n two\n".encode())
    assert read_prompts(None, None, Path("p.txt")) == ["Zoë", "", "The king", " two"]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_is_no_part_of_a_prompt(monkeypatch, mark):
    Path("p.txt").write_bytes(mark + b"The king\n")
    assert read_prompts(None, Path("p.txt"), None) == ["The king\n"]
    assert read_prompts(None, None, Path("p.txt")) == ["The king"]
    assert from_stdin(monkeypatch, mark + b'"The king"\n') == ["The king"]


def test_an_empty_file_has_no_prompts():
    Path("p.txt").write_bytes(b"")
    assert read_prompts(None, None, Path("p.txt")) == []


def test_stdin_has_json_lines_strings_or_what_sample_has_written(monkeypatch):
    data = b'"a\\nb"\n\n{"index": 4, "prompt": "c", "text": "d"}\n'
    assert from_stdin(monkeypatch, data) == ["a\nb", "c"]


def test_a_file_may_have_json_lines_too():
    Path("p.jsonl").write_text('"a\\nb"\n', encoding="utf-8")
    assert read_prompts(None, None, Path("p.jsonl")) == ["a\nb"]


@pytest.mark.parametrize("line", ["a", "7", '{"text": "a"}', '{"prompt": 7}', "[" * 100_000])
def test_a_line_that_is_no_prompt_is_named_with_its_number(monkeypatch, line):
    with pytest.raises(InputError, match=r"stdin: line 2 is neither a JSON string nor an object"):
        from_stdin(monkeypatch, b'"a"\n' + line.encode() + b"\n")


def test_two_kinds_of_prompt_are_refused():
    with pytest.raises(InputError, match="--prompt and --prompts: they exclude each other"):
        read_prompts("a", None, Path("p.txt"))


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
    command = ("sample", "text", "--checkpoints", trained, "-l", 30)
    _, text, err = call(*command)
    word, seed = err.split()
    assert word == "seed"
    assert call(*command, "--seed", seed) == (0, text, "")


@pytest.mark.parametrize("command", [("sample", "-l", 9, "--seed", 1), ("score", "a.txt")])
def test_the_newest_model_is_named_if_none_is(call, trained, command):
    Path("a.txt").write_text("The quick brown fox. " * 20, "utf-8")
    note = "note: no model is named; the newest is used: text\n"
    option = ("--checkpoints", trained)
    assert call(*command, *option)[2].startswith(note)
    assert call(*command, *option, "-q")[2] == ""
    model = ("text",) if command[0] == "sample" else ("-m", "text")
    assert note not in call(*command, *option, *model)[2]


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
        f"set -o pipefail; {sys.executable} -m charrnn sample text --checkpoints {trained} "
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


def test_steered_texts_say_how(sample):
    """The last = separates: the character = itself can be named, if the model knows it."""
    steered = ("--ban", "aeo", "--bias", "u=2", "--bias", " .=-0.5", "--json")
    line = json.loads(sample("-l", 80, "--seed", 7, *steered)[1])
    assert not set(line["text"]) & set("aeo")
    assert (line["ban"], line["bias"]) == ("aeo", [["u", 2.0], [" .", -0.5]])
    assert line["text"].count("u") > sample("-l", 80, "--seed", 7)[1].count("u")


def test_every_text_matches_a_pattern(sample):
    """Two words of three letters and what follows a blank; JSON tells the pattern and the end."""
    pattern = "[A-Z][a-z]{2} [a-z]{3}( .*)?"
    options = ("-n", 20, "-l", 12, "-t", 1.5, "--seed", 7, "--match", pattern, "--json")
    lines = [json.loads(line) for line in sample(*options)[1].splitlines()]
    assert all(re.fullmatch(pattern, line["text"]) for line in lines)
    assert {line["match"] for line in lines} == {pattern}
    assert {line["finish"] for line in lines} == {"match", "length"}


def test_the_best_of_several_texts_has_its_loss(sample):
    """Its seed writes it again; the best of 30 is likelier than a text that was not chosen."""
    chosen = ("-l", 20, "-t", 1.5, "--json", "--best-of")
    lines = [json.loads(x) for x in sample("-n", 3, "--seed", 7, *chosen, 30)[1].splitlines()]
    seed = lines[2]["seed"]
    alone = json.loads(sample("--seed", seed, *chosen, 30)[1])
    assert (alone["text"], alone["loss"]) == (lines[2]["text"], lines[2]["loss"])
    few = [json.loads(x) for x in sample("-n", 3, "--seed", 7, *chosen, 2)[1].splitlines()]
    assert max(line["loss"] for line in lines) < min(line["loss"] for line in few)
    shown = sample("--seed", seed, *chosen[:4], "--best-of", 30)[1]
    assert shown.rstrip("\n") == alone["text"].rstrip("\n")


def test_a_file_is_continued_only_with_the_settings_that_steered_it(sample):
    command = ("-n", 2, "-l", 5, "--seed", 7, "--json", "-o", "out.jsonl", "--resume")
    assert sample(*command, "--ban", "Z")[0] == 0
    assert sample(*command, "--ban", "Z")[0] == 0
    code, _, err = sample(*command)
    assert code == 2
    assert "ban of text 1 was 'Z', is None" in err
    code, _, err = sample(*command, "--ban", "Z", "--best-of", 2)
    assert code == 2
    assert "best_of of text 1 was 1, is 2" in err


def test_a_line_has_every_setting_that_made_its_text(sample):
    """None at its default; what was mixed in has its weight, and nothing of weight 0 is there."""
    always = {"index", "seed", "prompt", "text", "finish", "temperature"}
    assert json.loads(sample("--seed", 7, "--json")[1]).keys() == always
    Path("other.txt").write_text("See the dog, Joe.\n" * 9, "utf-8")
    options = {
        "--length": 9, "--top-k": 5, "--top-p": 0.9, "--min-p": 0.01, "--memory-weight": 0.5,
        "--ban": "Z", "--bias": "a=1", "--no-repeat": 12, "--best-of": 2, "--stop": "q",
        "--memory-from": "other.txt:0.25",
    }  # fmt: skip
    words = [str(word) for pair in options.items() for word in pair]
    line = json.loads(sample("--seed", 7, "--json", *words, "--memory-from", "other.txt:0")[1])
    assert {name: line[name] for name in line.keys() - always - {"loss"}} == {
        "top_k": 5, "top_p": 0.9, "min_p": 0.01, "memory_weight": 0.5, "ban": "Z",
        "bias": [["a", 1.0]], "no_repeat": 12, "best_of": 2, "stop": ["q"],
        "memory_from": [["other.txt", 0.25]],
    }  # fmt: skip
    line = json.loads(sample("--seed", 7, "--json", "-l", 9, "--match", "[a-z ]+")[1])
    assert line.keys() - always == {"length", "match"}
    line = json.loads(sample("--seed", 7, "--json", "--with", "text:0.5", "--device", "auto")[1])
    ((name, weight),) = line["with"]
    assert (Path(name).parts[-2:], weight) == (("text", "best.safetensors"), 0.5)
    assert line["device"] == "auto"


def test_a_file_without_the_settings_of_its_texts_is_continued(sample):
    """Versions before did not record them: the text that is written again decides."""
    command = ("-n", 2, "-l", 5, "--seed", 7, "--json", "-o", "out.jsonl", "--resume")
    sample(*command, "--top-k", 5)
    code, _, err = sample(*command, "--top-k", 1)
    assert (code, "top_k of text 1 was 5, is 1" in err) == (2, True)
    lines = [json.loads(line) for line in Path("out.jsonl").read_text("utf-8").splitlines()]
    before = [{name: line[name] for name in line if name != "top_k"} for line in lines]
    Path("out.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in before[:1]), "utf-8")
    assert sample(*command, "--top-k", 5)[0] == 0
    after = [json.loads(line) for line in Path("out.jsonl").read_text("utf-8").splitlines()]
    assert after == [before[0], lines[1]]


def test_stop_strings_are_not_read_from_the_environment(sample, monkeypatch):
    plain = sample("-l", 40, "--seed", 3)[1]
    monkeypatch.setenv("CHARRNN_SAMPLE_STOPS", "o")
    monkeypatch.setenv("CHARRNN_SAMPLE_STOP", "o")
    assert sample("-l", 40, "--seed", 3)[1] == plain


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
    "best of 0": (["--best-of", "0"], 2, "--best-of: must be in [1, 1000], got 0"),
    "match open": (["--match", "(ab"], 2, "--match: missing ), unterminated subpattern at"),
    "match unknown": (["--match", "中"], 2, "no text of the model's characters matches"),
    "match too long": (["--match", ".{501}"], 2, "has 501 characters, but --length is 500"),
    "match hostile": (["--match", "((a{99}){99}){99}"], 2, "more than 10,000 characters"),
    "match and stop": (["--match", "a+", "--stop", "b"], 2, "--match and --stop: a text ends"),
    "bias without a number": (["--bias", "abc"], 2, "'abc' is not CHARS=F, such as aeiou=-2"),
    "bias of nothing": (["--bias", "=2"], 2, "'=2' is not CHARS=F, such as aeiou=-2"),
    "bias too large": (["--bias", "a=101"], 2, "--bias: must be CHARS=F with F in [-100, 100]"),
    "bias of x": (["--bias", "é=1"], 2, "--bias: not among the 33 characters"),
    "unknown ban": (["--ban", "é中"], 2, "--ban: not among the 33 characters this model has seen"),
    "unknown characters": (["-p", "aé中\x1b"], 2, "U+00E9 'é', U+4E2D '中', U+001B '\\x1b'"),
    "two prompts": (["-p", "a", "--prompt-file", "b"], 2, "exclude each other"),
    "no prompt file": (["--prompt-file", "b"], 2, "--prompt-file: b: No such file"),
    "no such model": (["nobody"], 2, "nobody: no such run or file; there are: text"),
    "output folder": (["-o", "no/such/folder.txt"], 2, "-o: no/such/folder.txt: No such file"),
    "a pickle": (["old.pt"], 4, "old.pt: a PyTorch pickle"),
    "empty": (["empty.safetensors"], 4, "empty.safetensors: an empty file"),
    "cut": (["cut.safetensors"], 4, "cut.safetensors: "),
    "foreign": (["foreign.safetensors"], 4, "not written by charrnn"),
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


def test_stdin_may_have_a_limited_size(monkeypatch):
    monkeypatch.setattr("charrnn.sampling.prefill.LONGEST", 4)
    assert from_stdin(monkeypatch, b'"a"\n') == ["a"]
    with pytest.raises(InputError, match="--prompts: -: more than 4 bytes"):
        from_stdin(monkeypatch, b'"ab"\n')


def test_a_terminal_is_not_read_for_prompts(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InputError, match="pipe JSON lines into it"):
        read_prompts(None, None, Path("-"))


def test_a_tilde_at_the_beginning_of_a_path_is_the_home_folder(charrnn, monkeypatch, text_file):
    """A shell leaves it in `--checkpoints=~/runs`, and in the environment."""
    Path("home").mkdir()
    monkeypatch.setenv("HOME", str(Path("home").absolute()))
    charrnn("train", text_file, *QUICK, "--checkpoints=~/runs", "--run", "a")
    assert Path("home/runs/a/best.safetensors").exists()
    monkeypatch.setenv("CHARRNN_SAMPLE_CHECKPOINTS", "~/runs")
    by_name = charrnn("sample", "a", "-l", 9, "--seed", 1).stdout
    monkeypatch.delenv("CHARRNN_SAMPLE_CHECKPOINTS")
    charrnn("sample", "~/runs/a", "-l", 9, "--seed", 1, "--output=~/x.txt")
    assert Path("home/x.txt").read_text("utf-8") == by_name
    assert not Path("~").exists()
