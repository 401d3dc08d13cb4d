"""What two runs differ in."""

import json

from charrnn.checkpoints.format import pack
from charrnn.core.settings import to_toml

MODEL = {"cell": "gru", "vocab_size": 11, "embedding_size": 5, "hidden_size": 7, "num_layers": 2}


def make_run(checkpoints, name, model=MODEL, digest="a" * 64, files=("a.txt",), **train):
    """Make a run that has a model, by hand."""
    folder = checkpoints / name
    folder.mkdir(parents=True)
    facts = {
        "config": {"model": model, "train": {"lr": 0.01, "bytes": False, "steps": 20} | train},
        "corpus": {
            "digest": digest, "files": list(files), "num_files": len(files), "num_train": 9, "num_val": 1,
        },
    }  # fmt: skip
    (folder / "best.safetensors").write_bytes(pack({}, facts))
    return folder


def make_settings(folder, **settings):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(to_toml(settings), "utf-8")


def test_settings_that_differ_are_shown_beside_each_other(charrnn, checkpoints):
    make_run(checkpoints, "one", lr=0.02, bytes=True)
    make_run(checkpoints, "two", MODEL | {"hidden_size": 13}, steps=None, patience=3)
    assert charrnn("runs", "diff", "one", "two").stdout.splitlines() == [
        "setting\tone\ttwo",
        "bytes\ttrue\tfalse",
        "hidden_size\t7\t13",
        "lr\t0.02\t0.01",
        "patience\t-\t3",
        "steps\t20\t-",
    ]


def test_differences_as_json_are_one_object_of_pairs(charrnn, checkpoints):
    make_run(checkpoints, "one", lr=0.02)
    make_run(checkpoints, "two", steps=None)
    found = json.loads(charrnn("runs", "diff", "one", "two", "--json").stdout)
    assert found == {"lr": [0.02, 0.01], "steps": [20, None]}


def test_without_a_difference_there_is_only_a_note(charrnn, checkpoints):
    make_run(checkpoints, "one")
    make_run(checkpoints, "two", files=("moved/a.txt",))  # the same text by another name
    result = charrnn("runs", "diff", "one", "two")
    assert (result.stdout, result.stderr) == ("", "note: the settings are the same\n")
    assert charrnn("runs", "diff", "one", "two", "--json").stdout == "{}\n"


def test_another_text_is_a_difference_also_under_the_same_name(charrnn, checkpoints):
    make_run(checkpoints, "one", files=("a.txt", "b.txt"))
    make_run(checkpoints, "two", files=("a.txt", "b.txt"), digest="b" * 64)
    assert charrnn("runs", "diff", "one", "two").stdout.splitlines()[1:] == [
        "corpus\ta.txt and 1 more\ta.txt and 1 more",
        "corpus_digest\taaaaaaaaaaaa\tbbbbbbbbbbbb",
    ]


def test_a_run_may_be_named_by_its_folder_or_its_file(charrnn, checkpoints):
    one, two = make_run(checkpoints, "one"), make_run(checkpoints, "two", seed=5)
    lines = charrnn("runs", "diff", one, two / "best.safetensors").stdout.splitlines()
    assert lines[1:] == ["seed\t-\t5"]


def test_a_run_without_a_model_is_compared_by_its_config_file(charrnn, checkpoints):
    make_run(checkpoints, "one", precision="auto")
    make_settings(checkpoints / "one", hidden_size=7, precision="fp32")
    make_settings(checkpoints / "new", hidden_size=9, precision="fp32")
    lines = charrnn("runs", "diff", "one", "new").stdout.splitlines()
    assert lines[1:] == ["hidden_size\t7\t9"]


def test_a_run_that_does_not_exist_is_named_with_those_that_do(charrnn, checkpoints):
    make_run(checkpoints, "one")
    result = charrnn("runs", "diff", "one", "tow", check=False)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "charrnn: error: tow: no such run or file; there are: one (exit code 2)\n"
    )


def test_a_damaged_model_is_an_error_here(charrnn, checkpoints):
    make_run(checkpoints, "one")
    (make_run(checkpoints, "two") / "best.safetensors").write_bytes(b"damaged!!")
    result = charrnn("runs", "diff", "one", "two", check=False)
    assert result.exit_code == 4
    assert result.stderr.count("\n") == 1
