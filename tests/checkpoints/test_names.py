"""Names of runs, new ones and those that go on, and the file that MODEL means."""

import gzip
import os
from pathlib import Path

import pytest

from charrnn.checkpoints.names import check_name, create_run, default_name, find_model, is_text
from charrnn.core.errors import CheckpointError, InputError


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def make_best(checkpoints, name, seconds):
    """Put a model into a run's folder, written at a time given."""
    folder = checkpoints / name
    folder.mkdir(parents=True)
    path = folder / "best.safetensors"
    path.write_bytes(b"x")
    os.utime(path, (seconds, seconds))
    return path


# Names.


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("texts/shakespeare.txt", "shakespeare"),
        ("texts/war and peace.txt", "war-and-peace"),
        ("texts/moby.dick.txt", "moby.dick"),
        ("texts/zoë.txt", "zoë"),
        ("texts/.hidden", "hidden"),
        ("texts/---.txt", "run"),
        ("tiny.shakespeare/input.txt", "tiny.shakespeare"),
    ],
)
def test_a_run_is_called_after_its_first_file(tmp_path, file, name):
    path = tmp_path / file
    path.parent.mkdir()
    path.touch()
    assert default_name([path, tmp_path / "other.txt"]) == name


def test_a_folder_of_texts_keeps_its_whole_name(tmp_path):
    (tmp_path / "poems.2020").mkdir()
    assert default_name([tmp_path / "poems.2020"]) == "poems.2020"


def test_stdin_is_called_after_the_folder_one_is_in(tmp_path, monkeypatch):
    (tmp_path / "sonnets").mkdir()
    monkeypatch.chdir(tmp_path / "sonnets")
    assert default_name([type(tmp_path)("-")]) == "sonnets"


def test_a_taken_default_name_gets_the_next_free_number(checkpoints, text_file):
    runs = [create_run(checkpoints, None, [text_file]) for _ in range(3)]
    assert [run.folder.name for run in runs] == ["text", "text-2", "text-3"]
    (checkpoints / "text-4").write_text("a file takes a name too")
    fifth = create_run(checkpoints, None, [text_file])
    assert fifth.folder.name == "text-5"
    for run in (*runs, fifth):
        run.close()


def test_a_gap_in_the_numbers_is_filled(checkpoints, text_file):
    for name in ("text", "text-3"):
        (checkpoints / name).mkdir(parents=True)
    run = create_run(checkpoints, None, [text_file])
    assert run.folder == checkpoints / "text-2"
    run.close()


def test_a_taken_name_that_was_asked_for_is_an_error_and_touches_nothing(checkpoints):
    best = make_best(checkpoints, "king", 1)
    with pytest.raises(InputError, match="king: taken; choose another --run"):
        create_run(checkpoints, "king", [])
    assert names_in(checkpoints) == ["king"]
    assert names_in(checkpoints / "king") == ["best.safetensors"]
    assert best.read_bytes() == b"x"


@pytest.mark.parametrize("name", ["", ".", "..", ".git", "a/b", "a\\b", "a\0b", "a\nb", "a\x1bb"])
def test_what_can_be_no_folders_name_is_refused(checkpoints, name):
    with pytest.raises(InputError, match="--run: .* cannot be the name of a folder"):
        create_run(checkpoints, name, [])
    assert not checkpoints.exists()


@pytest.mark.parametrize("name", ["king", "king 2", "König", "v1.5", "-"])
def test_other_names_are_taken_as_they_are(name):
    assert check_name(name) == name


def test_checkpoints_that_are_a_file_are_named_as_what_is_wrong(checkpoints, text_file):
    checkpoints.write_text("in the way")
    for name in ("king", None):
        with pytest.raises(InputError, match=r"checkpoints: not a folder.*--checkpoints"):
            create_run(checkpoints, name, [text_file])
    assert checkpoints.read_text() == "in the way"


def test_a_folder_that_cannot_be_made_is_an_input_error(checkpoints):
    checkpoints.write_text("in the way")
    with pytest.raises(InputError, match=r"Not a directory.*--checkpoints"):
        create_run(checkpoints / "deeper", "king", [])


def test_a_name_too_long_for_the_disk_is_an_input_error(checkpoints):
    with pytest.raises(InputError, match="too long"):
        create_run(checkpoints, "x" * 300, [])


# Finding.


def test_a_model_is_found_by_its_runs_name(checkpoints):
    best = make_best(checkpoints, "king", 1)
    make_best(checkpoints, "queen", 2)
    assert find_model(checkpoints, "king") == best


def test_a_model_is_found_by_folder_or_file_wherever_it_is(checkpoints, tmp_path):
    best = make_best(tmp_path / "elsewhere", "king", 1)
    assert find_model(checkpoints, str(best.parent)) == best
    assert find_model(checkpoints, str(best)) == best
    assert find_model(checkpoints, "elsewhere/king").resolve() == best


def test_a_step_of_a_run_is_found_by_its_file(run, checkpoints):
    path = run.save_step(12, b"x")
    assert find_model(checkpoints, str(path)) == path
    assert find_model(checkpoints, "king/step-00000012.safetensors") == path


def test_the_folder_one_is_in_is_found(checkpoints, monkeypatch):
    best = make_best(checkpoints, "king", 1)
    monkeypatch.chdir(best.parent)
    assert find_model(checkpoints, ".").resolve() == best


def test_a_runs_name_is_stronger_than_the_texts_it_was_trained_on(checkpoints, tmp_path):
    (tmp_path / "poems").mkdir()
    (tmp_path / "names").write_text("Ada\nGrace\n")
    for name in ("poems", "names"):
        best = make_best(checkpoints, name, 1)
        assert find_model(checkpoints, name) == best


def test_without_a_name_the_best_that_was_written_last_is_taken(checkpoints):
    make_best(checkpoints, "a", 50)
    newest = make_best(checkpoints, "b", 70)
    make_best(checkpoints, "c", 60)
    (checkpoints / "d").mkdir()  # a run that has saved nothing yet
    assert find_model(checkpoints, None) == newest


@pytest.mark.parametrize(("count", "more"), [(8, ""), (9, " and 1 more"), (11, " and 3 more")])
def test_eight_runs_are_named_the_newest_first(checkpoints, count, more):
    for n in range(count):
        make_best(checkpoints, f"run{n}", 10 * n)
    shown = ", ".join(f"run{n}" for n in range(count - 1, count - 9, -1))
    with pytest.raises(InputError, match=f"there are: {shown}{more}$"):
        find_model(checkpoints, "king")


def test_an_unknown_name_is_told_with_those_that_exist(checkpoints):
    make_best(checkpoints, "king", 50)
    make_best(checkpoints, "queen", 70)
    with pytest.raises(InputError, match="^kin: no such run or file; there are: queen, king$"):
        find_model(checkpoints, "kin")


def test_an_unknown_name_without_any_run_says_so(checkpoints):
    with pytest.raises(InputError, match="^kin: no such run or file; no run in .*checkpoints yet$"):
        find_model(checkpoints, "kin")


def test_without_any_run_one_is_told_to_train(checkpoints):
    with pytest.raises(InputError, match="train one first: charrnn train FILE"):
        find_model(checkpoints, None)


def test_a_folder_without_a_model_is_told_as_that(run, checkpoints, tmp_path):
    (tmp_path / "texts").mkdir()
    for name in ("king", "texts"):
        with pytest.raises(InputError, match=rf"{name}: has no best\.safetensors"):
            find_model(checkpoints, name)


@pytest.mark.parametrize("name", ["", "x" * 5000, "a\0b", "\x1b[1m", "\udcff"])
def test_a_strange_name_is_an_input_error_that_can_be_printed(checkpoints, name):
    with pytest.raises(InputError) as caught:
        find_model(checkpoints, name)
    assert str(caught.value).isprintable()


@pytest.mark.skipif(os.name == "nt", reason="no fsync of folders")
def test_a_new_run_is_on_disk_in_every_folder_above_it(checkpoints, monkeypatch):
    synced, fsync = [], os.fsync

    def record(descriptor):
        synced.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    create_run(checkpoints, "king", []).close()
    assert synced[-2:] == [checkpoints.stat().st_ino, checkpoints.parent.stat().st_ino]


# Texts and models.

TEXTS = {
    "plain": b"a text",
    "gzip": gzip.compress(b"a text"),
    "a Word document, which is named when it is read": (
        b"PK\x03\x04" + bytes(26) + b"word/document.xml" + bytes(9)
    ),
    "UTF-16 without a mark": "größer als nötig".encode("utf-16-le"),
    "damaged gzip": gzip.compress(b"a text")[:-9],
}
OTHERS = {
    "a pickle": b"PK\x03\x04" + bytes(26) + b"archive/data.pkl" + bytes(9),
    "a checkpoint": (2).to_bytes(8, "little") + b"{}",
    "noise": b"\0\1\2\0",
}


@pytest.mark.parametrize("name", TEXTS | OTHERS)
def test_a_file_that_is_no_model_is_described_as_a_text(tmp_path, name):
    path = tmp_path / "file"
    path.write_bytes((TEXTS | OTHERS)[name])
    assert is_text(tmp_path / "checkpoints", str(path)) == (name in TEXTS)


def test_a_text_where_a_model_is_wanted_is_named_with_its_run(tmp_path):
    text = tmp_path / "poems.txt"
    text.write_text("roses are red\n")
    with pytest.raises(CheckpointError, match=r"is a text.*charrnn train .*poems\.txt$"):
        find_model(tmp_path / "runs", str(text))
    best = tmp_path / "runs" / "poems" / "best.safetensors"
    best.parent.mkdir(parents=True)
    best.write_bytes(b"\0")
    with pytest.raises(CheckpointError, match=r"its run is poems: charrnn sample poems$"):
        find_model(tmp_path / "runs", str(text))
    use = "charrnn score {texts} -m {model}"
    with pytest.raises(CheckpointError, match=r"is poems: charrnn score 'a b' '{' -m poems$"):
        find_model(tmp_path / "runs", str(text), use, ["a b", "{"])


def test_a_text_and_a_model_in_each_others_place_are_to_be_swapped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my poems").write_text("roses are red\n")
    best = make_best(tmp_path / "runs", "odes", 50)
    use = "charrnn viz surprise {model} {texts}"
    for model in ("odes", "runs/odes", str(best)):
        with pytest.raises(CheckpointError) as caught:
            find_model(tmp_path / "runs", "my poems", use, ["b.txt", model])
        command = f"charrnn viz surprise {model} b.txt 'my poems'"
        assert str(caught.value).endswith(f"not a model; swap it with the model: {command}")
