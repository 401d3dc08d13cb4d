"""`charrnn export`: the page, the checkpoint in it, what may be overwritten."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
from exported_pages import ask

from charrnn.checkpoints.model import load_model
from charrnn.sampling.jobs import uniforms


@pytest.fixture
def export(call, trained):
    return lambda *arguments: call("export", "--checkpoints", trained, *arguments)


def test_the_page_writes_what_sample_writes(export, sample):
    """Of the checkpoint with the same weights of 16 bits, for the same uniforms; é and ë are read."""
    assert export("text", "-o", "page.html", "-q")[:2] == (0, "page.html\n")
    assert export("text", "-o", "x.safetensors", "-q")[:2] == (0, "x.safetensors\n")
    options = ["-t", "0.9", "--min-p", "0.02", "-l", "80", "--seed", "4", "--no-echo-prompt"]
    settings = {"temperature": 0.9, "minP": 0.02}
    drawn = list(itertools.islice(uniforms(4), 80))
    (text,) = ask(Path("page.html"), ["write", "said Zo\u00eb", settings, drawn])
    assert text == sample("x.safetensors", "-p", "said Zo\u00eb", *options)[1]


def test_the_checkpoint_has_the_weights_of_the_page_and_no_figures_of_others(export, call, trained):
    export("text", "-o", "x.safetensors", "-q")
    found = json.loads(call("info", "x.safetensors", "--json")[1])
    whole = json.loads(call("info", "--checkpoints", trained, "text", "--json")[1])
    assert (found["kind"], found["metrics"], found["end"]) == ("model", None, None)
    assert (found["parent"], found["corpus"]) == (whole["sha256"], whole["corpus"])
    before = load_model(whole["file"]).weights["decoder.weight"]
    after = load_model("x.safetensors").weights["decoder.weight"]
    assert after.tolist() == before.astype("float16").tolist()
    assert after.tolist() != before.tolist()


def test_json_has_what_is_in_the_file(export):
    code, out, _ = export("text", "-o", "page.html", "--json")
    size = Path("page.html").stat().st_size
    assert code == 0
    assert json.loads(out) == {
        "output": "page.html", "bytes": size, "weights": "fp16", "order": 7
    }  # fmt: skip
    out = export("text", "-o", "page.html", "--no-memory", "--json")[1]
    assert json.loads(out)["order"] == 0
    assert json.loads(out)["bytes"] < size


def test_a_page_has_the_name_of_its_run_unless_it_has_a_title(export):
    export("text", "-o", "page.html")
    assert "<title>text</title>" in Path("page.html").read_text("utf-8")
    export("text", "-o", "page.html", "--title", "A & B")
    assert "<h1>A &amp; B</h1>" in Path("page.html").read_text("utf-8")


def test_a_shorter_memory_is_said_on_stderr(export, monkeypatch):
    export("text", "-o", "page.html", "-q")
    size = Path("page.html").stat().st_size
    monkeypatch.setattr("charrnn.export.model.LARGEST_PAGE", size - 1)
    monkeypatch.setattr("charrnn.export.model.LEAST_MEMORY", 0)
    err = export("text", "-o", "page.html")[2]
    assert err.startswith("note: n-gram memory with contexts of up to 6 characters instead of 7")
    assert err.count("\n") == 1


def test_a_page_has_a_text_only_with_the_option(export):
    """Any text, read as the model reads its own."""
    export("text", "-o", "page.html", "-q")
    assert json.loads(data_of("page.html"))["passages"] is None
    Path("dogs.txt").write_text("A dog.\r\nTwo lazy dogs, said Zoë.\r\n", encoding="utf-8")
    assert export("text", "-o", "page.html", "--with-text", "dogs.txt", "-q")[0] == 0
    (found,) = ask(Path("page.html"), ["passages", "The lazy dogs, said Zo\u00eb"])
    assert found == [[3, 23, "dogs.txt", 2]]


def data_of(name):
    return Path(name).read_text("utf-8").partition('id="data">')[2].partition("</script>")[0]


def test_a_text_in_a_page_leaves_less_room_for_the_memory(export, monkeypatch):
    Path("text.txt").write_text("A lazy dog.\n", encoding="utf-8")
    export("text", "-o", "page.html", "-q")
    monkeypatch.setattr("charrnn.export.model.LARGEST_PAGE", Path("page.html").stat().st_size)
    monkeypatch.setattr("charrnn.export.model.LEAST_MEMORY", 0)
    err = export("text", "-o", "page.html", "--with-text", "text.txt")[2]
    assert err.startswith("note: n-gram memory with contexts of up to")
    monkeypatch.setattr("charrnn.export.command.LARGEST_PAGE", 1000)
    err = export("text", "-o", "page.html", "--with-text", "text.txt")[2]
    assert " MB: network and text are large for a page\n" in err
    assert "to keep the page under" not in err  # it is not


@pytest.mark.parametrize(
    ("output", "text", "message"),
    [
        ("x.safetensors", "text.txt", "--with-text: only a page shows passages"),
        ("page.html", "none.txt", "--with-text: none.txt: "),
        ("page.html", "page.html", "-o: page.html: this command reads it"),
    ],
)
def test_a_text_that_cannot_be_used_is_one_line(export, output, text, message):
    for name in ("page.html", "text.txt"):
        Path(name).write_text("x", encoding="utf-8")
    code, out, err = export("text", "-o", output, "--with-text", text, "--force")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert Path("page.html").read_text("utf-8") == "x"


@pytest.mark.parametrize(
    ("output", "title", "message"),
    [
        ("x.safetensors", "A", "--title: only a page has a title"),
        ("page.html", " ", "--title: the title is empty"),
    ],
)
def test_a_title_that_would_not_be_seen_is_one_line(export, output, title, message):
    code, out, err = export("text", "-o", output, "--title", title)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not Path(output).exists()


def test_a_foreign_file_is_not_overwritten(export):
    Path("page.html").write_text("mine", encoding="utf-8")
    code, out, err = export("text", "-o", "page.html")
    assert (code, out) == (2, "")
    assert "charrnn did not write it" in err
    assert Path("page.html").read_text("utf-8") == "mine"
    assert export("text", "-o", "page.html", "--force")[0] == 0
    assert export("text", "-o", "page.html", "--title", "again")[0] == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("page", "name a page (.html) or a model (.safetensors)"),
        ("page.pdf", "name a page (.html) or a model (.safetensors)"),
        ("folder.html", "not a file; name another one"),
        ("none/page.html", "No such file or directory"),
    ],
)
def test_an_output_that_cannot_be_written_is_one_line(export, name, message):
    Path("folder.html").mkdir()
    code, out, err = export("text", "-o", name)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_its_own_model_is_never_overwritten(export):
    export("text", "-o", "x.safetensors", "-q")
    code, _, err = export("x.safetensors", "-o", "x.safetensors", "--force")
    assert code == 2
    assert "this command reads it" in err


def test_export_does_not_import_torch(export, trained):
    code = (
        "import sys; from charrnn.__main__ import run_cli; "
        f"assert run_cli(['export', '--checkpoints', {str(trained)!r}, 'text', '-o', 'p.html']) == 0; "
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
