"""Prompts, stop strings and texts are read as the text of the model was, wherever they come in."""

import json
import os
import re
from pathlib import Path
from threading import Thread

import pytest

RECIPES = "Sweet Pie\n- an egg\nMix it.\n\nOld Soup\n- salt\n\n" * 20
NAMES = "Éva\nZoë\nAnna\nRené\nÅsa\nJosé\n" * 20
QUICK = ("--size", "tiny", "--threads", "1", "--sample-every", "0", "-q")

NFD = "E\u0301va\nZoe\u0308\nAnna\nRene\u0301\nA\u030asa\nJose\u0301\n" * 20


def command(text, run, *options):
    return ["train", text, "--run", run, "--steps", "60", *options, *QUICK]


@pytest.fixture
def home(made):
    """Models of recipes with LF and with CRLF, and of names whose accents are apart."""
    return made(
        {"lf.txt": RECIPES, "names.txt": NAMES, "nfd.txt": NFD, "copy.txt": RECIPES},
        command("lf.txt", "lf"),
        command("nfd.txt", "nfd", "--lines"),
        command("nfd.txt", "nfc", "--lines", "--normalize", "nfc"),
    )


@pytest.fixture
def windows(home, charrnn):
    """A model that has learned CRLF."""
    Path("crlf.txt").write_bytes(RECIPES.replace("\n", "\r\n").encode())
    charrnn(*command("crlf.txt", "crlf", "--newlines", "keep"))


def finishes(result):
    return [json.loads(line)["finish"] for line in result.stdout.splitlines()]


@pytest.mark.parametrize("stop", ["\n\n", "\r\n\r\n"])
@pytest.mark.parametrize("model", ["lf", "crlf"])
def test_an_empty_line_stops_a_text_with_any_line_ends(windows, charrnn, model, stop):
    options = ("-n", 4, "--seed", 2, "-l", 400, "-t", 0.2, "--stop", stop, "--json")
    result = charrnn("sample", model, *options)
    assert finishes(result) == ["stop"] * 4
    is_converted = ("\r" in stop) != (model == "crlf")
    assert ("read as" in result.stderr) == is_converted


def test_a_prompt_is_read_with_the_line_ends_of_the_model(windows, charrnn):
    for name, text in {"a": "Sweet Pie\n- ", "b": "Sweet Pie\r\n- ", "c": "Sweet Pie\r- "}.items():
        Path(name).write_bytes(text.encode())
        for how in (("--prompt-file", name), ("-p", text)):
            for model, end in (("lf", "\n"), ("crlf", "\r\n")):
                found = charrnn("sample", model, *how, "-l", 3, "--seed", 1, "--json").stdout
                assert json.loads(found)["prompt"] == f"Sweet Pie{end}- "


def test_the_last_line_of_a_list_of_prompts_may_end_like_the_others(home, charrnn):
    Path("two.txt").write_bytes(b"Sweet Pie\r\nOld Soup\r\n")
    found = charrnn("sample", "lf", "--prompts", "two.txt", "-l", 1, "--seed", 1, "--json").stdout
    assert [json.loads(line)["prompt"] for line in found.splitlines()] == ["Sweet Pie", "Old Soup"]


def test_a_prompt_file_of_windows_powershell_is_named_for_what_it_is(home, charrnn):
    Path("p.txt").write_bytes("\ufeffSweet Pie\r\n".encode("utf-16-le"))
    result = charrnn("sample", "lf", "--prompt-file", "p.txt", check=False)
    assert result.exit_code == 2
    assert "it looks like utf-16; iconv -f utf-16 -t UTF-8 FILE converts it" in result.stderr


def test_a_score_does_not_depend_on_line_ends(windows, charrnn):
    def scored(text, model):
        return [
            json.loads(line)["loss"]
            for line in charrnn("score", text, "-m", model, "--json").stdout.splitlines()
        ]

    assert scored("lf.txt", "crlf") == scored("crlf.txt", "crlf")
    assert scored("crlf.txt", "lf") == scored("lf.txt", "lf")
    note = charrnn("score", "lf.txt", "-m", "crlf").stderr
    assert f"{RECIPES.count(chr(10))} line ends (LF) read as CRLF" in note


def test_copies_are_found_whatever_the_line_ends(windows, charrnn):
    for model in ("lf", "crlf"):
        for corpus in ("lf.txt", "crlf.txt"):
            options = ("-p", "Sweet Pie\n", "-l", 30, "-t", 0, "--seed", 1, "--json")
            found = charrnn("sample", model, *options, "--check-copies", corpus).stdout
            assert json.loads(found)["copied"] == 1.0, (model, corpus)


def test_accents_match_however_they_are_coded(home, charrnn):
    for model, prompt, learned in (("nfd", "É", "E\u0301"), ("nfc", "E\u0301", "É")):
        result = charrnn("sample", model, "-p", prompt, "-l", 9, "--seed", 1, "--json")
        assert json.loads(result.stdout)["prompt"] == learned
        read = "1 accented character is read in the form that the model knows"
        assert f"note: prompt: {read}" in result.stderr
        assert "--stop" not in result.stderr
    for model, text in (("nfd", "names.txt"), ("nfc", "nfd.txt")):
        own = "nfd.txt" if model == "nfd" else "names.txt"
        losses = [charrnn("score", each, "-m", model, "--json").stdout for each in (text, own)]
        assert len({re.search('"loss": [0-9.]+', each)[0] for each in losses}) == 1
    kept = charrnn(
        "sample", "nfd", "-n", 3, "--seed", 1, "--novel", "names.txt", check=False
    ).stdout
    assert not {*kept.splitlines()} & {*NFD.splitlines()}


def test_a_stop_that_can_never_occur_is_refused_in_any_form(windows, charrnn):
    for model, stop in (("lf", "é\r\n"), ("nfd", "ü"), ("crlf", "É")):
        result = charrnn("sample", model, "--stop", stop, check=False)
        assert result.exit_code == 2
        assert "--stop: not among the" in result.stderr


def test_a_terminal_shows_no_carriage_return_of_a_line_end():
    from io import BytesIO

    from charrnn.core.output import OutputStream
    from charrnn.sampling.jobs import Sample
    from charrnn.sampling.writer import as_columns

    stream = BytesIO()
    out = OutputStream(stream, for_terminal=True)
    for piece in ("one\r", "\ntwo\r\n", "a\rb\r"):
        out.text(piece, piece.encode())
    out.put(b"\n---\n")
    out.text("x", b"x")
    assert stream.getvalue() == b"one\ntwo\na\\rb\n---\nx"
    sample = Sample(
        index=0, seed=1, prompt="", text="a\r\nb\r", raw=b"", finish="length", temperature=1.0
    )
    assert "\\r" not in as_columns([sample], echo=True)


def test_a_pipe_by_name_is_a_text_and_a_corpus(home, charrnn):
    def piped():
        Path("pipe").unlink(missing_ok=True)
        os.mkfifo("pipe")
        Thread(target=Path("pipe").write_text, args=(RECIPES,), daemon=True).start()
        return "pipe"

    by_name = charrnn("score", "lf.txt", "-m", "lf").stdout
    assert charrnn("score", piped(), "-m", "lf").stdout == by_name.replace("lf.txt", "pipe")
    options = ("sample", "lf", "-l", 40, "-t", 0, "--seed", 1, "--json", "--check-copies")
    assert charrnn(*options, piped()).stdout == charrnn(*options, "lf.txt").stdout
    assert charrnn(*options, "-", stdin=RECIPES).stdout == charrnn(*options, "lf.txt").stdout
    assert f"{RECIPES.count(chr(10))} lines" in charrnn("info", piped()).stdout
