"""All runs beside each other: what is read from their files, in which order, and what is shown."""

import json
import os
import pty
import shlex
import signal
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest
from forks import python

from charrnn.checkpoints.format import pack
from charrnn.checkpoints.names import open_run
from charrnn.checkpoints.runs import (
    corpus_text,
    filter_by_corpus,
    filter_by_loss,
    groups_of,
    list_runs,
    summarize_run,
)
from charrnn.core.settings import to_toml

QUICK = ["--hidden-size", "16", "--num-layers", "1", "--device", "cpu", "--threads", "1"]

MODEL = {"cell": "rnn", "vocab_size": 3, "embedding_size": 2, "hidden_size": 4, "num_layers": 1}
"""53 parameters: embedding 3×2, matrices 4×2 and 4×4, biases 4 and 4, decoder 3×4 and 3."""

STEP = {
    "event": "step", "step": 1234, "total_steps": 5000, "seconds": 90.0,
    "chars_per_second": 31_200.0,
}  # fmt: skip

ENDED = {
    "event": "ended", "code": 0, "stop_reason": "finished", "error": None, "step": 5000,
    "epoch": 2.0, "val_loss": 1.5, "bits_per_char": 2.16, "chars_per_second": 30_000.0,
    "seconds": 250.0,
}  # fmt: skip

KEYS = [
    "run", "state", "is_alive", "stop_reason", "code", "error", "val_loss", "corpus",
    "corpus_digest", "split", "cell", "num_layers", "hidden_size", "attention", "direction", "num_parameters",
    "step", "total_steps", "seconds", "chars_per_second", "best", "folder",
]  # fmt: skip


def write_log(folder, *lines):
    """Write metrics.jsonl: objects as JSON lines, bytes as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    data = b"".join(x if isinstance(x, bytes) else json.dumps(x).encode() + b"\n" for x in lines)
    (folder / "metrics.jsonl").write_bytes(data)


def make_run(
    checkpoints, name, loss=1.5, *, files=("a.txt",), digest="aaaa11", log=(STEP, ENDED), end=None,
    **train,
):  # fmt: skip
    """Make a run by hand; return its folder."""
    folder = checkpoints / name
    write_log(folder, *log)
    metadata = {
        "config": {"model": MODEL, "train": {"lr": 0.01, "seed": 0} | train},
        "corpus": {
            "digest": digest, "files": list(files), "num_files": len(files), "num_train": 9, "num_val": 1,
        },
        "metrics": {"val_loss": loss},
        "progress": {"step": 20},
        "end": end,
    }  # fmt: skip
    (folder / "best.safetensors").write_bytes(pack({"x": np.zeros(3, np.float32)}, metadata))
    return folder


def table(result):
    """Return the cells of a table that went to no terminal, its head left out."""
    return [line.split("\t") for line in result.stdout.splitlines()[1:]]


def objects(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def on_terminal(*arguments):
    """Return what a terminal of 120 columns is shown."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "charrnn", *map(str, arguments)]
    environment = os.environ | {"COLUMNS": "120", "TERM": "xterm"}
    subprocess.run(command, stdout=theirs, check=True, env=environment)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    return shown


# Which runs there are, and in which order.


def test_the_lowest_loss_comes_first_and_runs_without_one_last_by_name(checkpoints):
    for name, loss in (("d", 2.5), ("c", None), ("b", 1.5), ("a", None)):
        make_run(checkpoints, name, loss)
    assert [info.run for info in list_runs(checkpoints)] == ["b", "d", "a", "c"]


def test_a_folder_that_is_no_run_is_not_listed(checkpoints):
    make_run(checkpoints, "run")
    (checkpoints / "notes").mkdir()
    (checkpoints / "notes" / "config.toml").touch()
    (checkpoints / "README.md").touch()
    for name in (".lock", "step-00000007.safetensors", "metrics.jsonl"):
        (checkpoints / f"with {name}").mkdir()
        (checkpoints / f"with {name}" / name).touch()
    assert [info.run for info in list_runs(checkpoints)] == [
        "run", "with .lock", "with metrics.jsonl", "with step-00000007.safetensors",
    ]  # fmt: skip


def test_without_runs_nothing_is_printed_and_a_note_says_so(charrnn, checkpoints):
    result = charrnn("runs")
    assert (result.stdout, result.stderr) == ("", "note: no run in checkpoints yet\n")


def test_a_checkpoints_folder_that_is_a_file_is_refused(charrnn, text_file):
    result = charrnn("runs", "--checkpoints", text_file, check=False)
    assert result.exit_code == 2
    assert result.stderr.endswith("text.txt: Not a directory (exit code 2)\n")


# States.


@pytest.mark.parametrize(
    ("reason", "code", "state"),
    [
        ("finished", 0, "finished"), ("early_stop", 0, "finished"), ("max_time", 0, "finished"),
        ("signal", 130, "stopped"), ("requeue", 75, "stopped"), ("diverged", 3, "diverged"),
        ("error", 1, "failed"), ("something new", 1, "failed"),
    ],
)  # fmt: skip
def test_the_last_line_says_how_a_run_ended(checkpoints, reason, code, state):
    last = ENDED | {"stop_reason": reason, "code": code, "error": "why"}
    info = summarize_run(make_run(checkpoints, "run", log=(STEP, last)))
    assert (info.state, info.stop_reason, info.code) == (state, reason, code)
    assert (info.error, info.is_alive) == ("why", False)


@pytest.mark.parametrize(
    ("reason", "state"), [("max_time", "finished"), ("signal", "stopped"), ("diverged", "diverged")]
)
def test_a_log_that_the_python_api_wrote_ends_with_finished(checkpoints, reason, state):
    last = {"event": "finished", "stop_reason": reason}
    info = summarize_run(make_run(checkpoints, "run", log=(STEP, last)))
    assert (info.state, info.stop_reason, info.code, info.error) == (state, reason, None, None)


@pytest.mark.parametrize("log", [(), (STEP,), (STEP, ENDED, {"event": "started", "step": 5000})])
def test_a_run_without_a_last_word_was_killed(checkpoints, log):
    assert summarize_run(make_run(checkpoints, "run", log=log)).state == "killed"


def test_a_run_whose_lock_is_held_is_running_whatever_its_log_says(checkpoints):
    folder = make_run(checkpoints, "run")
    run = open_run(folder)
    info = summarize_run(folder)
    assert (info.state, info.is_alive, info.stop_reason, info.code) == ("running", True, None, None)
    run.close()
    assert summarize_run(folder).state == "finished"


def test_a_model_without_its_log_says_itself_how_it_ended(checkpoints):
    folder = checkpoints / "shared"
    folder.mkdir(parents=True)
    end = {name: ENDED[name] for name in ("epoch", "val_loss", "bits_per_char", "chars_per_second")}
    metadata = {"end": end | {"stop_reason": "early_stop", "step": 7, "seconds": 2.5}}
    (folder / "best.safetensors").write_bytes(pack({}, metadata))
    info = summarize_run(folder)
    assert (info.state, info.step, info.seconds) == ("finished", 7, 2.5)


def test_the_log_comes_before_what_the_model_says(checkpoints):
    """A finished run with a larger budget has continued, and was interrupted."""
    folder = make_run(checkpoints, "run", log=(STEP, ENDED | {"stop_reason": "signal"}))
    end = {name: ENDED[name] for name in ENDED if name not in ("event", "code", "error")}
    metadata = {"end": end, "metrics": {"chars_per_second": 7.0}, "progress": {"step": 20}}
    (folder / "best.safetensors").write_bytes(pack({}, metadata))
    info = summarize_run(folder)
    assert (info.state, info.step, info.chars_per_second) == ("stopped", 5000, 30_000.0)
    (folder / "metrics.jsonl").unlink()
    info = summarize_run(folder)
    assert (info.state, info.step, info.seconds) == ("finished", 5000, 250.0)
    assert info.chars_per_second == 7.0
    (folder / "best.safetensors").write_bytes(pack({}, metadata | {"end": None}))
    assert (summarize_run(folder).state, summarize_run(folder).step) == ("killed", 20)


# The log.


def test_the_newest_line_gives_steps_time_and_speed(checkpoints):
    plan = {"event": "planned", "step": 1300, "total_steps": 4000, "seconds": 999.0}
    older = STEP | {"step": 1000, "seconds": 60.0}
    info = summarize_run(make_run(checkpoints, "run", log=(older, STEP, plan)))
    assert (info.step, info.total_steps) == (1300, 4000)
    assert (info.seconds, info.chars_per_second) == (90.0, 31_200.0)  # of a plan it is a forecast


def test_a_torn_last_line_is_left_out(checkpoints):
    info = summarize_run(
        make_run(checkpoints, "run", log=(STEP, b'{"event": "step", "step": 1300'))
    )
    assert (info.step, info.state) == (1234, "killed")


def test_of_a_long_log_only_the_end_is_read(checkpoints):
    folder = make_run(checkpoints, "run", log=(b"x" * (8 << 20), b"\n", STEP))
    tracemalloc.start()
    assert summarize_run(folder).step == 1234
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "foreign",
    [
        b"\xff\xfe\x00\n", b"[1, 2]\n", b"null\n", b"[" * 60_000 + b"\n", b"\n\n",
        b'{"event": ["step"], "step": "7", "seconds": NaN, "total_steps": -1}\n',
        b'{"event": {}, "step": 1e999, "chars_per_second": ' + b"9" * 400 + b"}\n",
        b'{"event": "ended", "stop_reason": 5, "code": "x", "error": []}\n', b"x" * 200_000,
    ],
)  # fmt: skip
def test_a_foreign_log_does_no_harm(charrnn, checkpoints, foreign):
    make_run(checkpoints, "run", log=(STEP, foreign))
    (line,) = objects(charrnn("runs", "--json"))
    assert (line["val_loss"], line["state"], line["stop_reason"]) == (1.5, "killed", None)
    assert table(charrnn("runs"))[0][1:3] == ["1.5000", "killed"]


# The model.


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"", lambda data: data[:40], lambda data: data[:8] + b"x" + data[9:],
        lambda data: b"PK\x03\x04" + data, lambda data: b"\xff" * 8 + data[8:],
        lambda data: data.replace(b"charrnn", b"foreign"),
    ],
)  # fmt: skip
def test_a_damaged_model_is_shown_as_unknown(charrnn, checkpoints, damage):
    path = make_run(checkpoints, "run") / "best.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    make_run(checkpoints, "good", 2.0)
    good, damaged = objects(charrnn("runs", "--json"))
    assert good["run"] == "good"
    assert [damaged[key] for key in ("best", "val_loss", "corpus", "cell")] == [None] * 4
    assert table(charrnn("runs"))[1] == [
        "run", "?", "finished", "?", "?", "5,000", "4m10s", "30.0k"
    ]  # fmt: skip
    assert charrnn("runs", "best").stdout == "checkpoints/good/best.safetensors\n"


@pytest.mark.parametrize(
    "metadata",
    [
        {}, {"config": 5, "corpus": [], "metrics": "x", "end": None, "progress": 3},
        {"config": {"model": MODEL | {"num_layers": 10**12}}, "corpus": {"files": [5]}},
        {"config": {"model": MODEL | {"cell": []}}, "metrics": {"val_loss": "1.5"}},
        {"config": {"model": {"cell": "rnn"}}, "corpus": {"files": [], "digest": 5}},
    ],
)  # fmt: skip
def test_a_model_that_says_something_else_is_shown_as_unknown(charrnn, checkpoints, metadata):
    folder = make_run(checkpoints, "run", log=())
    (folder / "best.safetensors").write_bytes(pack({}, metadata))
    assert table(charrnn("runs")) == [["run", "?", "killed", "?", "?", "?", "?", "?"]]
    (line,) = objects(charrnn("runs", "--json"))
    assert (line["num_parameters"], line["corpus_digest"]) == (None, None)


def test_a_run_that_has_no_model_yet_has_the_sizes_of_its_settings(checkpoints):
    folder = checkpoints / "new"
    write_log(folder, STEP)
    settings = {"cell": "gru", "hidden_size": 5, "num_layers": 3}
    (folder / "config.toml").write_text(to_toml(settings), "utf-8")
    info = summarize_run(folder)
    assert info.row() == ["new", "?", "killed", "?", "gru 3×5", "1,234/5,000", "1m30s", "31.2k"]
    assert (info.best, info.corpus, info.num_parameters) == (None, None, None)


@pytest.mark.parametrize("text", ["= no toml", "hidden_size = 'x'", "unknown = 3", "cell = 5"])
def test_settings_that_are_none_do_no_harm(checkpoints, text):
    folder = checkpoints / "new"
    write_log(folder, STEP)
    (folder / "config.toml").write_text(text, "utf-8")
    assert summarize_run(folder).row()[4] == "?"


# What is shown.


def test_columns_are_separated_by_tabs_off_a_terminal(charrnn, checkpoints):
    make_run(checkpoints, "king", 1.23456, files=("texts/a.txt", "b.txt", "c.txt"))
    make_run(checkpoints, "queen", None, log=(STEP,))
    assert charrnn("runs").stdout.splitlines() == [
        "run\tval loss\tstate\tcorpus\tsize\tsteps\ttime\tchar/s",
        "king\t1.2346\tfinished\ta.txt and 2 more\trnn 1×4\t5,000\t4m10s\t30.0k",
        "queen\t?\tkilled\ta.txt\trnn 1×4\t1,234/5,000\t1m30s\t31.2k",
    ]


def test_files_that_the_model_does_not_name_are_counted():
    assert corpus_text(["a.txt"], 1) == "a.txt"
    assert corpus_text(["texts/a.txt", "b.txt"], 250) == "a.txt and 249 more"
    assert corpus_text(None) == "?"


def test_json_has_the_keys_of_the_contract(charrnn, checkpoints):
    make_run(checkpoints, "king")
    write_log(checkpoints / "new")
    king, new = objects(charrnn("runs", "--json"))
    assert list(king) == list(new) == KEYS
    assert king == {
        "run": "king", "state": "finished", "is_alive": False, "stop_reason": "finished",
        "code": 0, "error": None, "val_loss": 1.5, "corpus": ["a.txt"], "corpus_digest": "aaaa11",
        "split": "unfinished",
        "cell": "rnn", "num_layers": 1, "hidden_size": 4, "attention": 0, "direction": "forward",
        "num_parameters": 53, "step": 5000,
        "total_steps": 5000, "seconds": 250.0, "chars_per_second": 30_000.0,
        "best": "checkpoints/king/best.safetensors", "folder": "checkpoints/king",
    }  # fmt: skip
    known = {"run": "new", "state": "killed", "is_alive": False, "folder": "checkpoints/new"}
    assert new == dict.fromkeys(KEYS) | known


def test_a_terminal_is_shown_names_as_they_are_and_obeys_none(checkpoints):
    make_run(checkpoints, "[red]king", files=("[bold]\x1b[31m\t:smile:.txt",))
    shown = on_terminal("runs")
    assert "[red]king" in shown
    assert "[bold]\\x1b[31m\\t:smile:.txt" in shown
    assert not set(shown) & {"\x1b", "\t"}


def test_a_terminal_is_shown_aligned_columns(checkpoints):
    make_run(checkpoints, "a", 1.5)
    make_run(checkpoints, "a-long-name", 10.25)
    head, rule, *rows = on_terminal("runs").splitlines()
    ends = [line.index(word) + len(word) for line, word in zip(rows, ("1.5000", "10.2500"))]  # noqa: B905
    assert ends == [head.index("val loss") + len("val loss")] * 2
    assert set(rule.strip()) == {"─"}


# --corpus.


@pytest.mark.parametrize(
    ("corpus", "runs"),
    [
        ("a.txt", ["one"]), ("texts/a.txt", ["one"]), ("a", ["one"]), ("b.txt", ["one", "two"]),
        ("abc123", ["one"]), ("ABC123", ["one"]), ("abc12", []), ("abc", []), ("abc124", []),
        ("other/a.txt", []), ("./b.txt", ["one", "two"]), ("text", []), ("", []),
    ],
)  # fmt: skip
def test_runs_of_a_text_are_kept(checkpoints, corpus, runs):
    make_run(checkpoints, "one", 1.0, files=("texts/a.txt", "b.txt"), digest="abc123ff")
    make_run(checkpoints, "two", 2.0, files=("b.txt",), digest="dddddddd")
    write_log(checkpoints / "without")
    assert [info.run for info in filter_by_corpus(list_runs(checkpoints), corpus)] == runs


def test_a_text_that_no_run_has_learned_is_answered_with_those_that_there_are(charrnn, checkpoints):
    make_run(checkpoints, "king", files=("a.txt", "b.txt"))
    result = charrnn("runs", "--corpus", "c.txt")
    assert result.stdout == ""
    assert result.stderr == "note: no run on c.txt; there are runs on: a.txt and 1 more\n"


# runs best.


def test_best_prints_one_path_that_a_shell_can_use(charrnn, checkpoints):
    make_run(checkpoints, "king", 1.75)
    folder = make_run(checkpoints, "the queen", 1.25)
    assert charrnn("runs", "best").stdout == "checkpoints/the queen/best.safetensors\n"
    program = f'wc -c < "$({shlex.quote(sys.executable)} -m charrnn runs best)"'
    done = subprocess.run(["sh", "-c", program], capture_output=True, check=True)
    assert int(done.stdout) == (folder / "best.safetensors").stat().st_size


def test_best_as_json(charrnn, checkpoints):
    make_run(checkpoints, "king", 1.75)
    assert objects(charrnn("runs", "best", "--json")) == [
        {"run": "king", "best": "checkpoints/king/best.safetensors", "val_loss": 1.75}
    ]


def test_best_refuses_to_compare_losses_on_different_texts(charrnn, checkpoints):
    make_run(checkpoints, "king", 1.75)
    make_run(checkpoints, "queen", 1.5)
    assert charrnn("runs", "best").stderr == ""
    make_run(checkpoints, "names", 0.5, files=("names.txt",), digest="bbbb22")
    result = charrnn("runs", "best", check=False)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "charrnn: error: losses on different texts, or on different held-out parts, cannot be "
        "compared: queen, king (a.txt, aaaa11, unfinished); names (names.txt, bbbb22, unfinished); "
        "select one: --corpus NAME, or the first characters of its digest (exit code 2)\n"
    )
    for corpus, name in (("a.txt", "queen"), ("aaaa11", "queen"), ("names", "names")):
        result = charrnn("runs", "best", "--corpus", corpus)
        assert (result.stdout, result.stderr) == (f"checkpoints/{name}/best.safetensors\n", "")


def make_scored(checkpoints, name, loss, split="last-0.1", state="carried", **train):
    """Make a run that has ended, with the signature of its score."""
    end = {"scores": [{"signature": f"split:{split}|state:{state}|W:-|seed:7|charrnn:0.1.0"}]}
    return make_run(checkpoints, name, loss, end=end, **train)


@pytest.mark.parametrize(
    "other",
    [
        {"split": "last-0.2"}, {"split": "last-0.1*0.48"}, {"state": "empty"},
        {"digest": "bbbb22"}, {"split": "lines-0.1/2", "lines": True, "corpus_rule": 2},
    ],
)  # fmt: skip
def test_best_compares_only_the_same_text_scored_in_the_same_way(charrnn, checkpoints, other):
    make_scored(checkpoints, "one", 1.5)
    make_scored(checkpoints, "two", 1.25)
    assert charrnn("runs", "best").stdout == "checkpoints/two/best.safetensors\n"
    make_scored(checkpoints, "other", 0.5, **other)
    result = charrnn("runs", "best", check=False)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "two, one (a.txt, aaaa11, split:last-0.1)" in result.stderr


def test_lines_drawn_by_seed_are_comparable_for_one_seed_and_hashed_ones_for_all(checkpoints):
    for name, seed, rule in (("a", 1, {}), ("b", 2, {}), ("c", 2, {}), ("d", 1, {"corpus_rule": 2}),
                             ("e", 2, {"corpus_rule": 2})):  # fmt: skip
        split = "lines-0.1/2" if rule else "last-0.1"
        make_scored(checkpoints, name, 1.5, split, "empty", lines=True, seed=seed, **rule)
    groups = [[info.run for info in group] for group in groups_of(list_runs(checkpoints))]
    assert groups == [["a"], ["b", "c"], ["d", "e"]]


def test_a_run_that_has_not_ended_is_compared_only_where_none_has(charrnn, checkpoints):
    make_run(checkpoints, "early", 0.5)
    assert charrnn("runs", "best").stdout == "checkpoints/early/best.safetensors\n"
    make_scored(checkpoints, "done", 1.5)
    assert charrnn("runs", "best").stdout == "checkpoints/done/best.safetensors\n"


def test_runs_lists_comparable_losses_together_and_says_so(charrnn, checkpoints):
    make_scored(checkpoints, "a2", 1.5)
    make_scored(checkpoints, "b1", 0.5, digest="bbbb22", files=("b.txt",))
    make_scored(checkpoints, "a1", 1.25)
    result = charrnn("runs")
    assert [row[0] for row in table(result)] == ["a1", "a2", "b1"]
    assert result.stderr == (
        "note: losses are comparable only within these groups: "
        "a1, a2 (a.txt, aaaa11, split:last-0.1); b1 (b.txt, bbbb22, split:last-0.1)\n"
    )
    assert charrnn("runs", "--corpus", "a.txt").stderr == ""


def test_options_may_stand_before_the_subcommand_and_those_behind_it_win(charrnn, tmp_path):
    make_run(tmp_path / "mine", "king", 1.75)
    make_run(tmp_path / "mine", "names", 0.5, files=("names.txt",))
    words = ("--checkpoints", "mine", "--corpus", "a.txt", "--json")
    assert objects(charrnn("runs", *words, "best"))[0]["run"] == "king"
    assert objects(charrnn("runs", "best", *words))[0]["run"] == "king"
    assert objects(charrnn("runs", *words, "best", "--corpus", "names"))[0]["run"] == "names"


def test_best_of_nothing_is_an_error_of_one_line_that_says_what_there_is(charrnn, checkpoints):
    def error(*arguments):
        result = charrnn("runs", "best", *arguments, check=False)
        assert (result.exit_code, result.stdout) == (2, "")
        return result.stderr.removeprefix("charrnn: error: ").replace(" (exit code 2)", "")

    none_yet = "no run in checkpoints yet; train one first: charrnn train FILE\n"
    assert error() == none_yet
    make_run(checkpoints, "king", None)
    assert error() == "no run has a validation loss yet: king; train one with --val-frac\n"
    assert error("--corpus", "b") == (
        "--corpus: b: no run was trained on it; there are runs on: a.txt\n"
    )


# Runs as they really are.


@pytest.mark.skipif(os.name == "nt", reason="no locks to tell by")
def test_a_run_is_running_while_it_is_trained_then_stopped_then_finished(
    charrnn, checkpoints, text_file
):
    train = ["train", str(text_file), *QUICK, "-q", "--save-every", "5", "--eval-every", "5"]
    command = [*python(), "-m", "charrnn", *train, "--steps", "100000"]
    training = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not filter_by_loss(list_runs(checkpoints)) and training.poll() is None:
            time.sleep(0.05)
        (line,) = objects(charrnn("runs", "--json"))
        assert (line["run"], line["state"], line["is_alive"]) == ("text", "running", True)
        assert (line["cell"], line["hidden_size"], line["total_steps"]) == ("lstm", 16, 100_000)
        assert line["corpus"] == [str(text_file)]
        assert line["val_loss"] > 0
    finally:
        training.send_signal(signal.SIGTERM)
        assert training.wait() == 143
    assert objects(charrnn("runs", "--json"))[0]["state"] == "stopped"
    total = objects(charrnn("runs", "--json"))[0]["step"] + 5
    charrnn(*train, "--resume", "--steps", total)
    (line,) = objects(charrnn("runs", "--json"))
    assert (line["state"], line["step"]) == ("finished", total)
    assert charrnn("sample", line["best"], "-q", "-l", "5").stdout


def test_runs_never_import_torch(checkpoints):
    make_run(checkpoints, "king")
    make_run(checkpoints, "queen", seed=1)
    for words in (["runs"], ["runs", "best"], ["runs", "diff", "king", "queen"]):
        code = (
            "import sys; from charrnn.__main__ import run_cli; "
            f"code = run_cli({words!r}); sys.exit(code or 'torch' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
