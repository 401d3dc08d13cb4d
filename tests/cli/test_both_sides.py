"""`charrnn fill` and `charrnn proof`: stdout, JSON, pages, partners, bad input."""

import json
from pathlib import Path

import pytest
from command_line import QUICK

SENTENCE = "The quick brown fox jumps over the lazy dog, said Zoë.\n"


@pytest.fixture
def in_runs(made, monkeypatch):
    """A folder with runs of both directions on text.txt."""
    texts = {"text.txt": SENTENCE * 60}
    backward = ["train", "text.txt", "--direction", "backward", *QUICK, "-q"]
    monkeypatch.chdir(made(texts, ["train", "text.txt", *QUICK, "-q"], backward))


@pytest.mark.usefixtures("in_runs")
def test_a_gap_between_two_ends_is_filled(call):
    code, out, err = call(
        "fill", "-m", "text", "--before", "The quick ", "--after", " fox jumps", "--seed", "1"
    )
    assert (code, out) == (0, "The quick brown fox jumps")
    assert "backward model text-backward" in err


@pytest.mark.usefixtures("in_runs")
def test_a_draft_is_filled_and_the_seed_gives_it_again(call):
    Path("draft.txt").write_text(SENTENCE.replace("brown", "[...]"))
    code, out, err = call("fill", "draft.txt", "-m", "text", "--json", "-n", "2")
    first = json.loads(out.splitlines()[0])
    assert code == 0
    assert list(first) == ["index", "seed", "text", "loss", "fills"]
    again = call("fill", "draft.txt", "-m", "text", "--json", "-n", "2", "--seed", first["seed"])
    assert again[1] == out
    assert f"seed {first['seed']}" in err


@pytest.mark.usefixtures("in_runs")
def test_without_a_name_the_newest_run_leads_to_both_models(call):
    """The newest is the backward one; its partner is the forward model."""
    code, out, err = call(
        "fill", "--before", "The quick ", "--after", " fox", "--seed", "1", "--json"
    )
    assert code == 0
    assert json.loads(out)["text"] == "The quick brown fox"
    assert "text" in err


@pytest.mark.usefixtures("in_runs")
def test_proof_prints_what_was_meant_and_leaves_the_file_alone(call):
    wrong = SENTENCE * 2 + SENTENCE.replace("brown", "borwn")
    Path("wrong.txt").write_text(wrong)
    code, out, _ = call("proof", "wrong.txt", "-m", "text")
    assert code == 0
    assert out.splitlines()[-1].split() == ["3", "12", "borwn", "brown", "100%"]
    assert Path("wrong.txt").read_text() == wrong
    code, out, _ = call("proof", "wrong.txt", "-m", "text", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert "".join(line["text"] for line in lines) == wrong
    assert [len(line["suggestions"]) for line in lines] == [0, 0, 1]


@pytest.mark.usefixtures("in_runs")
def test_proof_writes_a_page(call):
    Path("wrong.txt").write_text(SENTENCE * 2 + SENTENCE.replace("brown", "borwn"))
    code, out, _ = call("proof", "wrong.txt", "-m", "text", "-o", "page.html")
    assert (code, out) == (0, "page.html\n")
    page = Path("page.html").read_text()
    assert "<td>borwn</td><td>brown</td>" in page
    assert call("proof", "wrong.txt", "-m", "text", "-o", "wrong.txt")[0] == 2


@pytest.mark.usefixtures("in_runs")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fill"], "either DRAFT, or --before"),
        (["fill", "text.txt", "--after", "x"], "either DRAFT, or --before"),
        (["fill", "text.txt", "--before", "x"], "leave out one"),
        (["fill", "--after", "x", "-m", "text", "--backward", "text"], "is a forward model"),
        (["fill", "none.txt", "-m", "text"], "none.txt"),
        (["proof", "none.txt", "-m", "text"], "none.txt"),
        (["proof", "text.txt", "-m", "text", "--threshold", "2"], "--threshold"),
        (["proof", "text.txt", "-m", "text", "-l", "0"], "--length"),
        (["proof", "text.txt", "-m", "text.txt"], "is a text, not a model"),
    ],
)
def test_bad_input_is_one_line(call, arguments, message):
    code, out, err = call(*arguments)
    assert code in (2, 4)
    assert out == ""
    assert message in err
    assert "Traceback" not in err
