"""A backward model, against a forward model of a file that was turned round by hand.

Both learn the same symbols in the same order, so weights, figures and texts are the same.
"""

import json
import os
import shlex
import shutil
from pathlib import Path

import pytest
from command_line import QUICK

from charrnn.__main__ import run_cli
from charrnn.checkpoints.model import load_model
from charrnn.sampling.prefill import prompt_ids
from charrnn.sampling.sampler import Sampler

TEXT = "The quick brown fox jumps over the lazy dog,\nsaid Zoë ünd Jürgen: 1234.\n\n" * 40
OTHER = "A quick dog jumps over Zoë,\nsaid the lazy fox.\n\n" * 6
NAMES = "".join(f"{a}n{b}\n" for a in "ABCDEFGH" for b in ("a", "ee", "is", "olë"))
NEW_NAMES = "Hana\nBnolë\nGis\n"

TEXTS = {
    "text": (TEXT, OTHER, []),
    "names": (NAMES, NEW_NAMES, ["--lines"]),
    "bytes": (TEXT, OTHER, ["--bytes"]),
}


QUICKER = ["-q", "--memory", "4", "--precision", "fp32", *QUICK]


def turned(text, options):
    """Return the bytes of the file that a forward model learns instead."""
    if "--bytes" in options:
        return text.encode()[::-1]
    if "--lines" in options:
        return "".join(f"{line[::-1]}\n" for line in text.splitlines()).encode()
    return text[::-1].encode()


@pytest.fixture(scope="module", params=TEXTS)
def trained(request, tmp_path_factory):
    """A folder with the runs b, backward, and f, forward on the turned file; and the options."""
    text, other, options = TEXTS[request.param]
    folder = tmp_path_factory.mktemp("directions")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("CHARRNN_CACHE", str(folder / "cache"))
        Path("b.txt").write_text(text, encoding="utf-8")
        Path("b-val.txt").write_text(other, encoding="utf-8")
        Path("f.txt").write_bytes(turned(text, options))
        Path("f-val.txt").write_bytes(turned(other, options))
        for run, direction in (("b", "backward"), ("f", "forward")):
            words = ["train", f"{run}.txt", "--val-file", f"{run}-val.txt", "--run", run]
            assert run_cli([*words, "--direction", direction, *options, *QUICKER]) == 0
    return folder, options


@pytest.fixture
def options(trained, tmp_path):
    """Options of the two runs, which are copied into the folder of the test."""
    folder, options = trained
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return options


@pytest.fixture
def lines(charrnn, options):
    """Return a function that gives the JSON lines of a command."""
    return lambda *words: list(map(json.loads, charrnn(*words, "--json").stdout.splitlines()))


def best(run):
    return load_model(Path("checkpoints", run, "best.safetensors"))


def test_the_weights_and_the_losses_are_the_same(options):
    b, f = best("b"), best("f")
    assert {name: w.tobytes() for name, w in b.weights.items()} == {
        name: w.tobytes() for name, w in f.weights.items()
    }
    assert (b.is_backward, f.is_backward) == (True, False)
    assert b.metadata.metrics.val_loss == f.metadata.metrics.val_loss
    scores = [each.metadata.raw["end"]["scores"] for each in (b, f)]
    assert "direction:backward" in scores[0][0].pop("signature")
    assert "direction" not in scores[1][0].pop("signature")
    assert scores[0][0]["loss"] == scores[1][0]["loss"]
    assert scores[0][0]["bits_per_char"] is not None  # bytes are decoded in reading order


def test_score_finds_the_same_loss_and_names_lines_in_reading_order(lines, options):
    b, f = (lines("score", f"{run}-val.txt", "-m", run) for run in "bf")
    assert [each["loss"] for each in b] == [each["loss"] for each in f]
    if "--lines" in options:
        assert [(each["line"], each["text"]) for each in b] == [
            (1, "Hana"),
            (2, "Bnolë"),
            (3, "Gis"),
        ]


@pytest.mark.parametrize("count", [1, 3])
def test_texts_are_the_reverse_with_prompts_and_stop_strings(lines, options, count):
    prompt, stop, few = "olë", "i", ["-n", count, "-l", 40, "--seed", 3]
    b = lines("sample", "b", "-p", prompt, "--stop", stop, *few)
    f = lines("sample", "f", "-p", prompt[::-1], "--stop", stop[::-1], *few)
    if "--bytes" not in options:
        assert [each["text"][::-1] for each in b] == [each["text"] for each in f]
    assert [each["finish"] for each in b] == [each["finish"] for each in f]
    assert {(each["direction"], each["prompt"]) for each in b} == {("backward", prompt)}
    assert not any("direction" in each for each in f)


def test_a_stop_string_is_read_from_its_end(options):
    model = best("b")
    assert Sampler(model, ["la"]).stops[0] == model.vocab.encode("al").tolist()


def test_held_out_text_is_in_reading_order(lines, options):
    shown = lines("viz", "surprise", "b", "b.txt", "--held-out", "-l", 9)
    text = NEW_NAMES if "--lines" in options else OTHER
    assert "".join(each["symbol"] for each in shown) == text[:9]
    score = lines("score", "b.txt", "-m", "b", "--held-out")[0]
    if "--lines" not in options:
        assert score["loss"] == best("b").metadata.metrics.val_loss


def test_a_text_of_bytes_begins_with_a_whole_character(charrnn, options):
    def written(run, prompt):
        few = ["-n", 4, "-l", 60, "--seed", 3, "--no-echo-prompt"]
        charrnn("sample", run, "-p", prompt, *few, "-o", f"{run}.out")
        return Path(f"{run}.out").read_bytes()

    if "--bytes" in options:
        texts = written("b", "234.").split(b"\n---\n")
        others = written("f", ".432").split(b"\n---\n")
        for text, other in zip(texts, others, strict=True):
            assert other[::-1].endswith(text)
            assert len(text) > 57
            text.decode()


def test_the_surprise_is_that_of_the_turned_text(lines, options):
    Path("short.txt").write_text("Gis\nHanolë\n", encoding="utf-8")
    Path("short-turned.txt").write_bytes(turned("Gis\nHanolë\n", options))
    b = lines("viz", "surprise", "b", "short.txt")
    f = lines("viz", "surprise", "f", "short-turned.txt")
    f = f[2::-1] + f[3:4] + f[9:3:-1] + f[10:] if "--lines" in options else f[::-1]
    for t, (ours, theirs) in enumerate(zip(b, f, strict=True)):
        assert ours == theirs | {"index": t}


@pytest.mark.parametrize("trained", ["text"], indirect=True)
def test_guesses_for_the_symbol_before_stand_below_each_symbol(charrnn, lines, options):
    Path("short.txt").write_text("lazy dog", encoding="utf-8")
    best_guesses = [each["guesses"][0] for each in lines("viz", "surprise", "b", "short.txt")]
    shown = charrnn("viz", "predictions", "b", "short.txt").stdout.splitlines()
    assert "for the one before: a correct guess is one column to the right" in shown[0]
    text, _, guesses = shown[4:7]
    assert text == "lazy dog"
    shares = [guess if share >= 0.05 else "·" for guess, share in best_guesses]
    assert guesses == " " + "".join(shares[:-1]).replace(" ", "␣")


@pytest.mark.parametrize("trained", ["text"], indirect=True)
def test_a_report_shows_the_held_out_text_in_reading_order(charrnn, options):
    report = charrnn("viz", "report", "b").stdout
    assert "Not shown" not in report
    assert OTHER.split("\n")[0] + "↵" in report
    assert "charrnn sample b" in report
    assert "--direction backward" in report  # the training command to try next


RUNS = {
    "names.txt": NAMES,
    "text.txt": TEXT,
    "mixed.txt": OTHER * 4,
}


@pytest.fixture
def runs(made):
    """Runs of both directions: text and text-backward, names and names-backward; mixed."""
    return made(
        RUNS,
        ["train", "text.txt", *QUICKER],
        ["train", "text.txt", "--direction", "backward", *QUICKER],
        ["train", "names.txt", "--lines", *QUICKER],
        ["train", "names.txt", "--lines", "--direction", "backward", *QUICKER],
        ["train", "mixed.txt", "--val-frac", "0.2", *QUICKER],
    )


def test_a_text_ends_with_what_was_asked_for(charrnn, runs):
    ending = "over the lazy dog,\n"
    words = ["sample", "text", "--ends-with", ending, "-l", 30, "--seed", 5]
    one, other = charrnn(*words), charrnn(*words[:1], "text-backward", *words[2:])
    assert one.stdout == other.stdout
    assert one.stdout.endswith(ending)
    assert len(one.stdout) == 30 + len(ending)  # the length counts what comes before
    assert "note: --ends-with: the backward model is text-backward" in one.stderr
    assert other.stderr == ""
    assert charrnn("sample", "text", "--backward", "text-backward", *words[2:]).stdout == one.stdout
    assert charrnn("sample", "--backward", "text-backward", *words[2:]).stdout == one.stdout
    prompted = charrnn("sample", "text-backward", "-p", ending, *words[4:])
    assert prompted.stdout == one.stdout
    assert "note: a backward model: a prompt is the end of the text" in prompted.stderr


def test_many_texts_end_so_and_a_stop_string_comes_before_them(charrnn, runs):
    words = ["sample", "text", "--ends-with", "dog,", "-l", 60, "--seed", 5]
    texts = charrnn(*words, "-n", 3, "--stop", "o", "-q").stdout.split("\n---\n")
    assert len(texts) == 3
    assert all(text.endswith("dog,") and "o" not in text[:-4] for text in texts)
    alone = charrnn(*words, "-n", 3, "--no-echo-prompt", "-q").stdout.split("\n---\n")
    assert [len(text) for text in alone] == [60] * 3
    columns = charrnn(*words, "-t", "0.5,1.0", "-q").stdout.split("\n---\n")
    assert all(text.endswith("dog,") for text in columns)


def test_names_with_an_ending_are_new_or_have_a_corpus_to_be_copied_from(charrnn, runs):
    words = ["sample", "names", "--ends-with", "is", "-n", 12, "--seed", 1, "-q"]
    names = charrnn(*words).stdout.splitlines()
    assert len(names) == 12
    assert all(name.endswith("is") for name in names)
    new = charrnn(*words, "--novel", "names.txt", "-t", "1.2").stdout.splitlines()
    assert new
    assert not {*new} & {*NAMES.splitlines()}
    checked = charrnn(
        "sample", "text", "--ends-with", "dog,", "--check-copies", "text.txt", "--json"
    )
    assert json.loads(checked.stdout)["longest_copy"] in TEXT


def test_a_file_of_texts_with_endings_is_resumed(charrnn, runs):
    words = ["sample", "names", "--ends-with", "is", "-n", 6, "--seed", 1, "--json", "--novel"]
    words += ["names.txt", "-t", 1.2, "--resume", "-q", "-o"]
    charrnn(*words, "whole.jsonl")
    whole = Path("whole.jsonl").read_bytes()
    Path("cut.jsonl").write_bytes(whole[: len(whole) // 2])
    charrnn(*words, "cut.jsonl")
    assert Path("cut.jsonl").read_bytes() == whole


def test_without_a_backward_model_the_error_has_a_command_that_trains_one(call, runs):
    code, out, err = call("sample", "mixed", "--ends-with", "dog,", "-q")
    assert (code, out) == (2, "")
    command = shlex.split(err.rpartition("train one: ")[2].partition(" (exit code")[0])
    assert command[:3] == ["charrnn", "train", "mixed.txt"]
    assert call(*command[1:], "-q")[0] == 0
    assert call("sample", "mixed", "--ends-with", "dog,", "-l", 5)[1].endswith("dog,")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--backward", "text-backward"], "--backward: is for --ends-with TEXT"),
        (["--ends-with", "a", "-p", "b"], "--ends-with and --prompt: they exclude each other"),
        (["--ends-with", "a", "--backward", "text"], "--backward: text: is a forward model"),
        (["--ends-with", "€"], "error: --ends-with: not among the 40 characters this model has "),
    ],
)
def test_endings_that_cannot_be_written_are_refused(call, runs, options, message):
    code, out, err = call("sample", "text", *options, "-q")
    assert (code, out) == (2, "")
    assert message in err


def test_runs_show_the_direction_and_best_compares_one(charrnn, runs):
    rows = {line.split("\t")[0]: line for line in charrnn("runs").stdout.splitlines()}
    assert "lstm 1×16 backward" in rows["text-backward"]
    assert "backward" not in rows["text"].replace("text", "")
    best = "checkpoints/{}/best.safetensors\n".format
    assert charrnn("runs", "best", "--corpus", "text.txt").stdout == best("text")
    words = ["runs", "best", "--corpus", "text.txt", "--direction", "backward"]
    assert charrnn(*words).stdout == best("text-backward")
    missing = charrnn(*words[:3], "mixed.txt", *words[4:], check=False)
    assert "no backward model has a validation loss yet" in missing.stderr
    assert "direction        backward" in charrnn("info", "text-backward").stdout
    assert "direction" not in charrnn("info", "text").stdout


def test_score_says_what_the_loss_of_a_backward_model_is(charrnn, runs):
    said = "note: a backward model predicts each character from those after it"
    assert said in charrnn("score", "text.txt", "-m", "text-backward").stderr
    assert said not in charrnn("score", "text.txt", "-m", "text").stderr


def test_a_backward_run_is_resumed_and_gives_its_weights_to_no_forward_one(charrnn, runs):
    words = ["train", "text.txt", "--direction", "backward"]
    resumed = charrnn(*words, *QUICKER, "--steps", 25, "--resume")
    assert resumed.stdout == "checkpoints/text-backward/best.safetensors\n"
    charrnn(*words, *QUICKER, "--steps", 25, "--run", "at-once")
    failed = charrnn("train", "text.txt", "--run", "text", "--resume", *words[2:], check=False)
    assert "--direction (was forward, is backward)" in failed.stderr
    failed = charrnn(*words, "--init-from", "text", check=False)
    assert "the model has direction forward, not backward; leave out --direction" in failed.stderr
    charrnn("train", "text.txt", "--init-from", "text-backward", "--run", "from", "--steps", 2)
    assert load_model("checkpoints/from/best.safetensors").is_backward


def test_notes_are_about_the_text_in_reading_order(charrnn):
    words = sorted(f"{a}{b}{c}" for a in "abcdefg" for b in "aeiou" for c in "lmnr")
    Path("words.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    noted = charrnn("train", "words.txt", "--direction", "backward", "--dry-run").stderr
    assert "the lines are sorted" in noted


def test_a_model_of_windows_line_ends_knows_them_from_its_memory(charrnn):
    Path("crlf.txt").write_bytes(TEXT.replace("\n", "\r\n").encode())
    charrnn("train", "crlf.txt", "--newlines", "keep", "--direction", "backward", *QUICKER)
    model = best("crlf-backward")
    assert model.line_ends() == "crlf"
    assert prompt_ids(model, "") == model.vocab.encode("\n\r").tolist()
    ends = charrnn("sample", "crlf-backward", "-l", 9, "-n", 5, "--seed", 1, "--json").stdout
    assert not any(json.loads(line)["text"].endswith("\r") for line in ends.splitlines())


def test_an_ending_of_two_lines_is_refused_without_advice_on_prompts(call, runs):
    code, _, err = call("sample", "names", "--ends-with", "a\nb", "-q")
    assert code == 2
    assert "--ends-with: has a line end, but each text of this model is a single line" in err
    assert "--prompts" not in err


def test_without_a_name_a_forward_model_writes_although_another_is_newer(call, runs):
    for age, run in enumerate(("text-backward", "text", "names-backward"), start=1):
        os.utime(Path("checkpoints", run, "best.safetensors"), (2**31 + age, 2**31 + age))
    for command in (["sample", "-l", 3], ["write"], ["fill", "--before", "a", "--after", "b"]):
        err = call(*command)[2]
        assert "no model is named; the newest forward model is used: text\n" in err
        assert "does not read forward" not in err
    assert "the newest is used: names-backward" in call("score", "names.txt")[2]
    for folder in Path("checkpoints").iterdir():
        if not folder.name.endswith("-backward"):
            shutil.rmtree(folder)
    assert "the newest is used: names-backward" in call("sample", "-l", 3)[2]


def test_a_run_from_a_backward_model_has_its_name(call, runs):
    words = ["train", "text.txt", "--init-from", "names-backward", "--steps", 2, "-q"]
    shutil.rmtree("checkpoints/text-backward")
    assert call(*words)[1] == "checkpoints/text-backward/best.safetensors\n"
    assert call(*words, "--direction", "forward")[0] == 2
