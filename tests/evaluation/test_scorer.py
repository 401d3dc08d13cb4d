"""`charrnn score`: known models, held-out parts, unknown characters, lines."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from charrnn.checkpoints.model import load_model
from charrnn.core.config import ScoreConfig
from charrnn.evaluation.protocols import streamed
from charrnn.evaluation.scorer import Scorer, with_progress

WORDS = "the quick brown fox jumps over the lazy dog\n"


@pytest.fixture
def trained(charrnn, made):
    """Return the command, beside a little model of a text."""
    made(
        {"fox.txt": WORDS * 40}, ["train", "fox.txt", "--steps", "20", "-q", "--hidden-size", "24"]
    )
    return charrnn


def uniform(path, **settings):
    """Return a scorer whose network finds every character equally likely."""
    model = load_model(path)
    for name in ("decoder.weight", "decoder.bias"):
        model.weights[name] = np.zeros_like(model.weights[name])
    return Scorer(model, ScoreConfig(memory_weight=0.0, **settings))


def test_a_uniform_network_costs_log2_v_bits_by_both_protocols(trained):
    scorer = uniform(Path("checkpoints/fox/best.safetensors"))
    (text,) = scorer.texts([Path("fox.txt")], {})
    streamed, cold = scorer.score(text, each=False)
    V = scorer.model.vocab.size
    assert V == 28  # 26 letters, space and newline
    for found, chars in ((streamed, 44 * 40 - 1), (cold, 1759 // 256 * 256)):
        assert found.bits_per_char == pytest.approx(math.log2(28), abs=1e-6)
        assert found.perplexity == pytest.approx(28, abs=1e-4)
        assert found.chars == chars
        assert found.memory == 0


def test_json_has_one_object_a_file_and_protocol(trained):
    Path("other.txt").write_text(WORDS * 10)
    result = trained("score", "fox.txt", "other.txt", "--json", "--protocol", "cold-16")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["file"] for line in lines] == ["fox.txt", "other.txt"]
    assert [line["protocol"] for line in lines] == ["cold-16", "cold-16"]
    assert [line["chars"] for line in lines] == [109 * 16, 27 * 16]
    for line in lines:
        assert line["bits_per_char"] == pytest.approx(line["loss"] / math.log(2))
        assert line["perplexity"] == pytest.approx(math.exp(line["loss"]))
        assert 0 < line["memory"] < 1
        assert line["signature"].startswith(
            "split:all|state:empty|W:16|precision:fp32|memory:7+words|"
        )


def test_held_out_gives_what_training_reported(trained):
    result = trained("score", "fox.txt", "--held-out", "--json", "--protocol", "streamed")
    said = load_model(Path("checkpoints/fox/best.safetensors")).metadata.metrics.val_loss
    line = json.loads(result.stdout)
    assert line["loss"] == pytest.approx(said, abs=1e-7)
    assert line["chars"] == 176 - 1  # a tenth of 1760
    assert "split:last-0.1|" in line["signature"]


def test_held_out_of_another_text_is_refused(trained):
    Path("other.txt").write_text(WORDS * 30)
    result = trained("score", "other.txt", "--held-out", check=False)
    assert result.exit_code == 2
    assert "other.txt: not the text that the model was trained on" in result.stderr


def test_unknown_characters_are_named_or_left_out(trained):
    Path("odd.txt").write_text(WORDS * 10 + "ÄÄ!", encoding="utf-8")
    result = trained("score", "odd.txt", check=False)
    assert result.exit_code == 2
    assert "odd.txt: 3 characters are not among the 28" in result.stderr
    assert "U+00C4 'Ä', U+0021 '!'" in result.stderr
    line = json.loads(
        trained("score", "odd.txt", "--unknown", "skip", "--json", "--protocol", "streamed").stdout
    )
    assert (line["chars"], line["skipped"]) == (439, 3)


def test_the_memory_alone_and_the_network_alone(trained):
    def loss(*options):
        line = json.loads(
            trained("score", "fox.txt", "--protocol", "streamed", "--json", *options).stdout
        )
        return line["loss"], line["network_loss"], line["memory"]

    network = loss("--memory-weight", "0")
    alone = loss("--memory-weight", "1")
    assert network[0] == network[1] == pytest.approx(alone[1])
    assert alone[0] < network[0]
    assert (network[2], alone[2]) == (0, 1)


def test_adapting_is_its_own_protocol(trained):
    lines = trained("score", "fox.txt", "--adapt", "--json").stdout.splitlines()
    (line,) = map(json.loads, lines)
    assert line["protocol"] == "streamed-adapted"
    assert line["chars"] == 1759


def test_a_model_of_lines_scores_line_by_line(charrnn):
    Path("names.txt").write_text("".join(f"{a}{b}\n" for a in "abcdef" for b in "aeiou") * 2)
    charrnn("train", "names.txt", "--lines", "--steps", "20", "-q", "--hidden-size", "16")
    Path("two.txt").write_text("ab\n\nfoo\n")
    lines = [
        json.loads(line)
        for line in charrnn("score", "two.txt", "--json", "--unknown", "skip").stdout.splitlines()
    ]
    assert [(line["record"], line["chars"]) for line in lines] == [(1, 3), (2, 4)]
    assert [(line["line"], line["text"]) for line in lines] == [(1, "ab"), (3, "foo")]
    held_out = charrnn("score", "names.txt", "--json", "--held-out").stdout.splitlines()
    all_lines = Path("names.txt").read_text().splitlines()
    assert len(held_out) == 4  # of 30 lines, those of a hash in the first tenth
    for line in map(json.loads, held_out):
        assert all_lines[line["line"] - 1] == line["text"]
    total = charrnn("score", "two.txt").stdout
    mean = (lines[0]["loss"] * 3 + lines[1]["loss"] * 4) / 7
    assert f"{mean:.4f} nats per character" in total
    result = charrnn("score", "two.txt", "--adapt", check=False)
    assert result.exit_code == 2


def test_the_worst_lines_are_those_that_cost_most_in_json(charrnn):
    Path("names.txt").write_text("".join(f"{a}{b}\n" for a in "abcdef" for b in "aeiou") * 2)
    charrnn("train", "names.txt", "--lines", "--steps", "5", "-q", "--hidden-size", "16")
    Path("some.txt").write_text("ab\n\nfefafi\nuuuuuuuu\nc\nab\nbo\n")
    lines = [json.loads(x) for x in charrnn("score", "some.txt", "--json").stdout.splitlines()]
    lines.sort(key=lambda each: -each["loss"])  # of equal ones, the first in the file is first
    assert len({each["loss"] for each in lines}) == 5  # of six lines, two are equal
    means = charrnn("score", "some.txt").stdout
    for count in (1, 4, 100):
        shown = charrnn("score", "some.txt", "--worst", str(count)).stdout
        assert shown.startswith(means)
        head, *rows = map(str.split, shown.removeprefix(means).splitlines())
        assert head == ["loss", "line", "text"]
        assert rows == [
            [f"{each['loss']:.3f}", str(each["line"]), each["text"]] for each in lines[:count]
        ]


def test_worst_lines_are_for_models_of_lines_and_for_people(trained):
    Path("names.txt").write_text("ab\nba\n" * 10)
    trained("train", "names.txt", "--lines", "--steps", "2", "-q", "--hidden-size", "8")
    for command in (
        ("fox.txt", "-m", "fox", "--worst", "1"),
        ("names.txt", "-m", "names", "--worst", "1", "--json"),
        ("names.txt", "-m", "names", "--worst", "-1"),
    ):
        result = trained("score", *command, check=False)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
        assert "--worst: " in result.stderr
    assert "text" not in trained("score", "names.txt", "-m", "names", "--worst", "0").stdout


def test_a_worst_line_is_shown_as_one_line(charrnn):
    Path("odd.txt").write_bytes(b"\x1b[2J a\tb\xff\nab\n" * 10)
    charrnn("train", "odd.txt", "--lines", "--bytes", "--steps", "2", "-q", "--hidden-size", "8")
    shown = charrnn("score", "odd.txt", "--worst", "20").stdout.splitlines()
    assert len(shown) == 3 + 1 + 20
    assert sum(row.endswith(r"  \x1b[2J a\tb" "\N{REPLACEMENT CHARACTER}") for row in shown) == 10


def test_lines_of_several_held_out_files_have_the_number_of_the_record(charrnn):
    names = [f"{a}{b}" for a in "abcdef" for b in "aeiou"]
    Path("a.txt").write_text("\n".join(names[:15]) + "\n")
    Path("b.txt").write_text("\n".join(names[15:]) + "\n")
    files = ("a.txt", "b.txt")
    charrnn("train", *files, "--lines", "--steps", "2", "-q", "--hidden-size", "8", "--run", "n")
    lines = charrnn("score", *files, "--held-out", "--json").stdout.splitlines()
    records = {each["text"]: each["record"] for each in map(json.loads, lines)}
    shown = charrnn("score", *files, "--held-out", "--worst", "9").stdout.splitlines()
    head, *rows = [row.split() for row in shown[3:]]
    assert head == ["loss", "record", "text"]
    assert {text: int(number) for _, number, text in rows} == records


def test_each_line_is_given_its_own_costs_whatever_their_lengths(charrnn):
    Path("names.txt").write_text("".join(f"{a}{b}\n" for a in "abcdef" for b in "aeiou") * 2)
    charrnn("train", "names.txt", "--lines", "--steps", "5", "-q", "--hidden-size", "16")
    lines = ["abecadu", "bo", "fefafi", "c", "edo"]  # no order of lengths

    def losses(text):
        Path("some.txt").write_text(text)
        result = charrnn("score", "some.txt", "--json").stdout.splitlines()
        found = [json.loads(line) for line in result]
        return [(each["chars"], each["loss"], each["network_loss"]) for each in found]

    together = losses("\n".join(lines))
    for line, (chars, *costs) in zip(lines, together, strict=True):
        ((alone, *alone_costs),) = losses(line)
        assert alone == chars == len(line) + 1
        assert alone_costs == pytest.approx(costs, abs=1e-6)
        assert 0.1 < costs[1] < 5  # nats each, of the network alone


def test_bytes_cost_as_much_a_byte_and_more_a_character(charrnn):
    Path("e.txt").write_text("é è ê\n" * 200, encoding="utf-8")
    charrnn("train", "e.txt", "--bytes", "--steps", "20", "-q", "--hidden-size", "16")
    line = json.loads(charrnn("score", "e.txt", "--json", "--protocol", "streamed").stdout)
    assert line["bits_per_byte"] == pytest.approx(line["loss"] / math.log(2))
    assert line["bits_per_char"] == pytest.approx(line["bits_per_byte"] * 9 / 6)


def test_a_text_that_is_too_short_is_an_error_only_where_it_was_asked_for(trained):
    Path("short.txt").write_text("the fox\n")
    assert len(trained("score", "short.txt", "--json").stdout.splitlines()) == 1
    result = trained("score", "short.txt", "--protocol", "cold-8", check=False)
    assert result.exit_code == 2
    assert "8 characters; cold-8 needs at least 9" in result.stderr
    Path("one.txt").write_text("t")
    assert trained("score", "one.txt", check=False).exit_code == 2


def test_a_text_in_another_encoding_is_refused_with_the_option_that_reads_it(trained):
    Path("latin.txt").write_bytes(b"the caf\xe9 the fox\n" * 20)
    error = trained("score", "latin.txt", check=False).stderr
    assert "it looks like cp1252 (Windows-1252); use --encoding cp1252 (exit" in error
    options = ("--encoding", "cp1252", "--unknown", "skip", "--protocol", "streamed")
    assert "20 unknown characters left out" in trained("score", "latin.txt", *options).stdout


def test_text_from_stdin(trained):
    result = trained("score", "-", "--json", "--protocol", "streamed", stdin=WORDS)
    assert json.loads(result.stdout)["file"] == "stdin"


def test_a_long_line_is_cut_and_that_is_said(charrnn):
    Path("names.txt").write_text("".join(f"{a}{b}\n" for a in "abcdef" for b in "aeiou") * 2)
    charrnn("train", "names.txt", "--lines", "--steps", "5", "-q", "--hidden-size", "8")
    Path("long.txt").write_text("a" * 600 + "\nab\n")
    assert "long.txt, 1 line cut to 512 characters" in charrnn("score", "long.txt").stdout
    lines = [json.loads(x) for x in charrnn("score", "long.txt", "--json").stdout.splitlines()]
    assert [(line["chars"], line["cut"]) for line in lines] == [(513, 1), (3, 1)]


def test_bits_per_byte_of_lines_are_those_of_what_was_held_out(charrnn):
    names = [f"{a}{b}" for a in "abcdef" for b in "aeiou"] + [f"{a}é" for a in "abcdefghij"]
    Path("names.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    charrnn("train", "names.txt", "--lines", "--steps", "5", "-q", "--hidden-size", "8")
    metrics = Path("checkpoints/names/metrics.jsonl").read_text().splitlines()
    (said,) = json.loads(metrics[-2])["scores"]
    lines = charrnn("score", "names.txt", "--held-out", "--json").stdout.splitlines()
    found = [json.loads(line) for line in lines]
    assert len(found) == 4  # a tenth of 40
    chars = sum(each["chars"] for each in found)
    assert said["chars"] == chars
    bits = sum(each["bits_per_char"] * each["chars"] for each in found)
    sizes = sum(each["bits_per_char"] * each["chars"] / each["bits_per_byte"] for each in found)
    assert said["bits_per_char"] == pytest.approx(bits / chars)
    assert said["bits_per_byte"] == pytest.approx(bits / sizes)


def test_held_out_from_stdin_has_a_name(trained):
    text = Path("fox.txt").read_text()
    result = trained("score", "-", "--held-out", "--json", "--protocol", "streamed", stdin=text)
    assert json.loads(result.stdout)["file"] == "stdin"


def test_the_signature_of_an_adapted_score_says_so(trained):
    line = json.loads(trained("score", "fox.txt", "--adapt", "--json").stdout)
    assert "|state:carried, adapted|" in line["signature"]


def test_held_out_keeps_the_encoding_of_training(trained):
    result = trained(
        "score", "fox.txt", "-m", "fox", "--held-out", "--encoding", "latin-1", check=False
    )
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


def test_files_of_a_folder_that_are_no_text_are_named(trained):
    Path("folder").mkdir()
    Path("folder/a.txt").write_text(Path("fox.txt").read_text())
    Path("folder/cover.pdf").write_bytes(b"%PDF-1.4")
    result = trained("score", "folder", "-m", "fox", "--json", "--protocol", "streamed")
    assert result.stderr == "note: folder: 1 file passed over: cover.pdf (a PDF)\n"
    assert json.loads(result.stdout)["file"] == "folder/a.txt"


def test_the_model_is_named_where_more_is_to_be_said(call, trained):
    command = ("score", "fox.txt", "--protocol", "cold-16")
    model = "model checkpoints/fox/best.safetensors"
    assert model not in call(*command)[2]
    code, out, err = call(*command, "-v")
    assert (code, model in err, model in out) == (0, True, False)


def test_progress_is_the_number_of_symbols_that_are_scored():
    done, ids = [], np.zeros(5003, dtype=np.uint8)
    batches = list(with_progress(streamed(ids), done.append))
    assert len(done) == len(batches) > 2
    assert done == np.cumsum([batch.num_chars for batch in batches]).tolist()
    assert done[-1] == 5002
