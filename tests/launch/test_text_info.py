"""`charrnn info FILE`: what a text is, counted by hand."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from ngrams import distribution

from charrnn.core.config import TrainConfig
from charrnn.data.batches import make_batches
from charrnn.data.corpus import load_corpus
from charrnn.evaluation.protocols import streamed
from charrnn.launch.prepare import SettingSources, prepare
from charrnn.launch.text_info import (
    character_findings,
    memory_loss,
    step_seconds,
    training_findings,
)
from charrnn.ngram.word_model import count_corpus

TEXT = "The fox.\n" * 300 + "é\n"


@pytest.fixture
def info(charrnn):
    """Return the facts and the lines about a text."""

    def run(name, *options):
        lines = charrnn("info", name, *options).stdout.splitlines()
        return json.loads(charrnn("info", name, "--json", *options).stdout), lines

    return run


def test_facts_and_lines_about_a_text(info):
    Path("fox.txt").write_text(TEXT, encoding="utf-8")
    facts, lines = info("fox.txt", "--max-time", "60s")
    assert facts["bytes"] == 9 * 300 + 3
    assert (facts["encoding"], facts["lines"], facts["carriage_returns"]) == ("UTF-8", 301, 0)
    assert facts["num_symbols"] == 10  # T h e f o x . é, space and newline
    assert facts["num_rare"] == 1
    assert (facts["num_train"], facts["num_val"]) == (2431, 271)
    assert facts["memory_loss"] < 0.2
    assert facts["chars_per_second"] > 0
    assert facts["hidden_size"] == 128
    text = "\n".join(lines)
    assert "rare             1 occurs fewer than 10 times: U+00E9 'é' 1" in text
    assert "read as          UTF-8, 301 lines, line ends LF" in text
    assert "for 1m00s" in text
    assert [line.split("  ")[0] for line in lines] == [
        "text", "read as", "characters", "rare", "split", "n-gram memory", "network", "here",
    ]  # fmt: skip


def test_a_text_from_stdin_is_named_so(charrnn):
    done = charrnn("info", "-", "--json", stdin=TEXT)
    assert json.loads(done.stdout)["files"] == ["stdin"]


def test_crlf_and_ascii_are_named(info):
    Path("dos.txt").write_bytes(b"one two\r\nthree\r\n" * 50 + b"end\n")
    facts, lines = info("dos.txt", "--newlines", "keep")
    assert (facts["encoding"], facts["lines"], facts["carriage_returns"]) == ("ASCII", 101, 100)
    assert "ASCII, 101 lines, 101 LF and 100 CR" in lines[1]
    facts, lines = info("dos.txt")
    assert (facts["lines"], facts["carriage_returns"]) == (101, 0)
    assert "line ends LF; 100 Windows line ends (CRLF) read as LF;" in lines[1]


def test_bytes_and_lines(info):
    Path("names.txt").write_text("".join(f"name{i}\n" for i in range(300)))
    facts, lines = info("names.txt", "--lines")
    assert "269 and 31 records" in "\n".join(lines)
    assert facts["num_val"] + facts["num_train"] == sum(len(f"name{i}\n") for i in range(300))
    facts, lines = info("names.txt", "--bytes")
    assert facts["encoding"] == "bytes"
    assert "bits per byte" in "\n".join(lines)


def test_the_memory_alone_is_asked_symbol_by_symbol(tmp_path):
    path = tmp_path / "text.txt"
    rng = np.random.default_rng(0)
    path.write_text("".join("abcde"[i] for i in rng.integers(0, 5, 400)))
    corpus = load_corpus([path], TrainConfig(val_frac=0.2))
    memory = count_corpus(corpus, 3)
    expected = [
        -math.log(distribution(memory, corpus.val[:i].tolist())[corpus.val[i]])
        for i in range(1, 80)
    ]
    assert memory_loss(memory, streamed(corpus.val)) == pytest.approx(np.mean(expected))


def test_a_run_comes_before_a_text_of_its_name(charrnn):
    Path("fox").write_text(TEXT)
    charrnn("train", "fox", "--steps", "5", "--hidden-size", "8", "-q")
    assert "state digest" in charrnn("info", "fox").stdout
    assert "n-gram memory" in charrnn("info", "./fox").stdout


def test_what_cannot_be_read_is_one_line(charrnn):
    Path("empty.txt").write_text("")
    for name, what in (("empty.txt", "the text is empty"), ("none.txt", "no such run or file")):
        result = charrnn("info", name, check=False)
        assert result.exit_code == 2
        assert what in result.stderr
        assert result.stderr.count("\n") == 1


def test_a_text_is_described_before_torch_is_loaded(charrnn):
    """All that needs no network comes at once: torch takes seconds to load."""
    import subprocess
    import sys

    Path("fox.txt").write_text(TEXT)
    code = (
        "import sys\nfrom pathlib import Path\nfrom charrnn.launch.prepare import SettingSources\n"
        "from charrnn.launch.text_info import survey\n"
        "for finding in survey([Path('fox.txt')], SettingSources({}, {}, {})):\n"
        "    if finding.name == 'n-gram memory': sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_checkpoint_is_one_whatever_its_name(charrnn):
    Path("fox.txt").write_text(TEXT)
    charrnn("train", "fox.txt", "--steps", "5", "--hidden-size", "8", "-q")
    Path("checkpoints/fox/best.safetensors").rename("m.bin")
    assert "state digest" in charrnn("info", "m.bin").stdout
    result = charrnn("info", "checkpoints", check=False)
    assert result.exit_code == 2


def test_what_a_terminal_could_obey_is_shown(charrnn):
    Path("odd.txt").write_text("The fox\x1b[31m jumps\x07.\n" * 100)
    text = charrnn("info", "odd.txt").stdout
    assert "\x1b" not in text
    assert "\x07" not in text


def test_a_text_that_is_too_short_to_learn_is_an_error_before_anything_is_said(charrnn):
    Path("short.txt").write_text("The fox jumps.\n")
    result = charrnn("info", "short.txt", "--val-frac", "0.9", check=False)
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.parametrize(("count", "num_rare"), [(9, 1), (10, 0), (11, 0)])
def test_a_character_is_rare_below_ten(text_file, count, num_rare):
    text_file.write_text("ab\n" * 300 + "c" * count, encoding="utf-8")
    corpus = load_corpus([text_file], TrainConfig())
    counts = np.bincount(np.concatenate([corpus.train, corpus.val]))
    found = {each.name: each.values for each in character_findings(corpus, counts)}
    assert found.get("rare", {"num_rare": 0}) == {"num_rare": num_rare}


def test_steps_are_timed_once_they_are_warm(text_file, monkeypatch):
    """The first three take 9 seconds, of the others most take a half, and one takes 70."""
    config = TrainConfig(hidden_size=8, batch_size=2, seq_len=8, device="cpu", threads=1)
    durations = [9.0, 9.0, 9.0, 0.5, 0.5, 70.0, 0.5, 0.5, 0.25, 0.75, 0.5]
    clock = [0.0]

    def update(learner, batch, step, lr):
        clock[0] += durations[step]

    monkeypatch.setattr("charrnn.training.learner.Learner.update", update)
    monkeypatch.setattr("charrnn.launch.text_info.time.monotonic", lambda: clock[0])
    seconds, chars = step_seconds(config, load_corpus([text_file], config))
    assert (seconds, chars) == (0.5, 16)


def test_a_file_with_nul_bytes_is_a_text_where_it_is_read_as_bytes(call):
    Path("wave.dat").write_bytes(bytes(range(256)) * 20)
    code, out, _ = call("info", "wave.dat", "--bytes", "--max-time", "5s")
    assert (code, "256 of 256" in out) == (0, True)
    assert call("info", "wave.dat")[0] == 4  # it would be a checkpoint, and is none


@pytest.mark.parametrize("count", [12, 13, 100, 101])
def test_at_most_a_hundred_characters_are_shown_and_twelve_rare_ones(text_file, count):
    """`count` of them: a newline, which is frequent, and rare ones, the first of them rarest."""
    rare = "".join(map(chr, range(0x4E00, 0x4E00 + count - 1)))
    text_file.write_text("\n" * 50 + rare * 2 + rare[1:] + "\n" * 50, encoding="utf-8")
    corpus = load_corpus([text_file], TrainConfig())
    counts = np.bincount(np.concatenate([corpus.train, corpus.val]))
    characters, few = character_findings(corpus, counts)
    assert characters.text.startswith(f"{count} different: ⏎{rare[:10]}")
    assert characters.text.endswith("...") == (count > 100)
    assert characters.text.count(rare[-1]) == (count <= 100)
    assert few.text.startswith(f"{count - 1} occur fewer than 10 times: U+4E00 '一' 2, U+4E01")
    assert few.text.count("U+") == min(12, count - 1)
    assert few.text.endswith(", ...") == (count - 1 > 12)


def test_a_pass_takes_as_long_as_its_steps(text_file, monkeypatch):
    monkeypatch.setattr("charrnn.launch.text_info.step_seconds", lambda config, corpus: (0.5, 40))
    flags = {"device": "cpu", "steps": 5, "hidden_size": 8, "num_layers": 1}
    corpus = load_corpus([text_file], TrainConfig())
    *_, here = training_findings([text_file], SettingSources(flags, {}, {}), corpus)
    config = prepare([text_file], SettingSources(flags, {}, {})).config
    steps = make_batches(corpus, config).steps_per_epoch
    assert steps > 2
    assert here.values == {"chars_per_second": 80.0, "epoch_seconds": 0.5 * steps}
