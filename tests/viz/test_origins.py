"""`charrnn sample --explain`: what is shown, in JSON, and which passages are found."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import QUICK

from charrnn.checkpoints.metadata import read_metadata
from charrnn.checkpoints.run_folder import step_files

WRITE = ["sample", "fox", "--seed", 1, "-l", 60, "-t", 0.1]

FOX = "The quick brown fox jumps over the lazy dog, said Zoë.\n"


@pytest.fixture
def folder(made):
    """A run of a text that has the same sentence sixty times, with its number."""
    text = "".join(f"{number} {FOX}" for number in range(60))
    return made({"fox.txt": text}, ["train", "fox.txt", *QUICK, "-q"])


def explained(call, *arguments):
    return call(*WRITE, "--explain", *arguments)


def lines(stdout):
    return [json.loads(line) for line in stdout.splitlines()]


def test_a_pipe_gets_marks_a_summary_and_passages(call, folder):
    code, out, err = explained(call, "-p", "The quick", "-q")
    assert (code, err) == (0, "")
    legend, blank, text, marks, *rest = out.splitlines()
    assert legend.startswith("share of n-gram memories below each line:")
    assert blank == ""
    assert text.startswith("The quick brown fox")
    assert marks[:9] == " " * 9  # the prompt has no origin
    assert set(marks[9:].strip()) <= set(" .:-=+*#@")
    assert re.search(r"^shares: network \d+%, memory \d+%$", out, re.MULTILINE)
    copied = r"1-\d+ +brown fox jumps over the lazy dog, said Zoë.* \S*fox.txt:(\d+)$"
    line = int(re.search(copied, out, re.MULTILINE)[1])
    assert 1 <= line <= 60
    assert rest[-2].split() == ["characters", "passage", "from"]


def test_without_the_prompt_only_what_is_written_is_shown(call, folder):
    out = explained(call, "-p", "The quick", "-q", "--no-echo-prompt")[1]
    assert out.splitlines()[2].startswith(" brown fox")


def test_json_has_shares_and_passages(call, folder):
    code, out, _ = explained(call, "-p", "The quick", "-n", 3, "--json", "-q")
    assert code == 0
    plain = lines(call(*WRITE, "-p", "The quick", "-n", 3, "--json", "-q")[1])
    for found, expected in zip(lines(out), plain, strict=True):
        assert {name: found[name] for name in expected} == expected
        assert set(found) - set(expected) == {"shares", "passages"}
        network, memory = found["shares"]["network"], found["shares"]["memory"]
        assert len(network) == len(found["text"]) == 60
        assert [a + b for a, b in zip(network, memory, strict=True)] == pytest.approx(
            [1] * 60, abs=2e-3
        )
        text = Path("fox.txt").read_text("utf-8").splitlines(keepends=True)
        assert found["passages"]
        for passage in found["passages"]:
            span = found["text"][passage["begin"] : passage["end"]]
            assert span == passage["text"]
            assert "".join(text[passage["line"] - 1 :]).find(span) < len(text[passage["line"] - 1])
            assert span in "".join(text[passage["line"] - 1 :])


def test_a_text_that_changed_gives_shares_only_and_one_line_says_so(call, folder):
    trained_on = folder / "fox.txt"
    (source,) = map(Path, read_metadata(step_files(Path("checkpoints/fox"))[-1]).sources)
    before = source.read_text("utf-8")
    try:
        source.write_text(before.replace("lazy", "Lazy"), "utf-8")
        code, out, err = explained(call, "--json")
    finally:
        source.write_text(before, "utf-8")
    assert code == 0
    assert lines(out)[0]["passages"] == []
    assert "the training text is not where it was, or has changed: shares only" in err
    named = lines(explained(call, "--json", "--check-copies", trained_on)[1])[0]
    assert named["passages"][0]["file"] == str(trained_on)
    assert "copied" in named


def test_the_memory_of_another_text_has_its_own_share(call, folder):
    Path("other.txt").write_text("See the dog, Joe.\n" * 9, "utf-8")
    added = ["--memory-from", "other.txt:0.5", "--memory-from", "other.txt:0"]
    shares = lines(explained(call, "--json", "-q", *added)[1])[0]["shares"]
    assert list(shares) == ["network", "memory", "other.txt"]
    alone = lines(explained(call, "--json", "-q", "--memory-weight", 0)[1])[0]["shares"]
    assert list(alone) == ["network"]


def test_a_product_of_models_has_no_shares(call, folder):
    code, out, err = explained(call, "--with", "fox")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "--explain and --with: a product of models has no shares" in err


def test_an_empty_text_is_no_failure(call, folder):
    code, out, _ = call("sample", "fox", "-l", 0, "--explain", "-q")
    assert code == 0
    assert out.startswith("share of n-gram memories")
    assert out.endswith("shares: none, the text is empty\n")


def test_a_note_says_which_text_has_which_temperature(call, folder):
    _, _, err = call("sample", "fox", "-l", 9, "--explain", "-t", "0.5,1", "--seed", 1)
    assert "1 text at temperature 0.5, then 1 text at temperature 1" in err


@pytest.mark.parametrize("has_colour", [True, False])
def test_a_terminal_has_colours_unless_no_color(folder, has_colour):
    main, side = pty.openpty()
    environment = {n: v for n, v in os.environ.items() if n != "NO_COLOR"}
    environment |= {} if has_colour else {"NO_COLOR": "1"}
    command = [sys.executable, "-m", "charrnn", "sample", "fox", "-l", "20", "--explain", "-q"]
    subprocess.run(command, stdout=side, env=environment, check=True, timeout=60)
    os.close(side)
    assert (b"\x1b[" in os.read(main, 1 << 16)) == has_colour
    os.close(main)


def test_bytes_have_a_share_each(call, made):
    made({"b.txt": FOX * 60}, ["train", "b.txt", "--bytes", *QUICK, "-q"])
    code, out, _ = call(
        "sample", "b", "-l", 60, "-t", 0.1, "--explain", "--json", "-q", "--seed", 1
    )
    assert code == 0
    (found,) = lines(out)
    assert len(found["shares"]["network"]) == len(found["text"].encode())
    assert call("sample", "b", "-l", 60, "--explain", "-q", "--seed", 1)[0] == 0
