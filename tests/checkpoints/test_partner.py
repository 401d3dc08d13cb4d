"""The model of the other direction on the same text."""

import os

import pytest
from checkpoint_files import make_metadata, make_tensors

from charrnn.checkpoints.format import pack
from charrnn.checkpoints.model import load_model
from charrnn.checkpoints.partner import find_partner, no_partner
from charrnn.core.errors import CheckpointError, InputError

CORPUS = {"digest": "aaaa", "files": ["a b.txt"], "num_files": 1, "num_train": 9, "num_val": 1}


@pytest.fixture
def make_run(checkpoints):
    """Return a function that writes the best model of a run; each is newer than those before."""

    def make(name, direction=None, *, digest="aaaa", **changes):
        settings = {"direction": direction} if direction else {}
        config = make_metadata()["config"] | {"train": settings}
        content = {"config": config, "corpus": CORPUS | {"digest": digest}} | changes
        path = checkpoints / name / "best.safetensors"
        path.parent.mkdir(parents=True)
        path.write_bytes(pack(make_tensors(), make_metadata(**content)))
        age = len(list(checkpoints.iterdir()))
        os.utime(path, (age, age))
        return path

    return make


def test_the_newest_run_of_the_direction_on_the_same_text_is_found(checkpoints, make_run):
    model = make_run("forward")
    make_run("first", "backward")
    newest = make_run("second", "backward")
    make_run("other-text", "backward", digest="bbbb")
    make_run("other-characters", "backward", vocabulary=[97, 98, 99, 233, 8365])
    make_run("forward-too")
    make_run("damaged", "backward").write_bytes(b"\0" * 100)
    assert find_partner(checkpoints, model, "backward") == newest
    assert find_partner(checkpoints, newest, "backward") == newest
    assert find_partner(checkpoints, newest, "forward").parent.name == "forward-too"


def test_models_that_do_not_know_their_text_are_no_partners(checkpoints, make_run):
    model = make_run("forward", corpus=None)
    make_run("backward", "backward", corpus=None)
    assert find_partner(checkpoints, model, "backward") is None


def test_a_named_model_must_have_the_direction(checkpoints, make_run):
    model, named = make_run("forward"), make_run("named", "backward", digest="bbbb")
    make_run("newest", "backward")
    assert find_partner(checkpoints, model, "backward", "named") == named
    with pytest.raises(InputError, match="--backward: forward: is a forward model"):
        find_partner(checkpoints, model, "backward", "forward")
    with pytest.raises(InputError, match="no such run or file"):
        find_partner(checkpoints, model, "backward", "none")


def test_a_text_that_is_named_as_a_partner_gets_the_option_that_fits(
    checkpoints, make_run, tmp_path
):
    model, text = make_run("king"), tmp_path / "king.txt"
    text.write_text("a text\n" * 10)
    with pytest.raises(CheckpointError, match=r"train .*king\.txt --direction backward$"):
        find_partner(checkpoints, model, "backward", str(text))
    make_run("king-backward", "backward")
    with pytest.raises(CheckpointError, match="its run is king-backward: --backward king-backward"):
        find_partner(checkpoints, model, "backward", str(text))


def test_without_a_partner_a_message_has_the_command_that_trains_one(checkpoints, make_run):
    model = make_run("king")
    assert find_partner(checkpoints, model, "backward") is None
    command = "charrnn train 'a b.txt' --direction backward"
    assert str(no_partner(model, "backward")) == (
        f"there is no backward model of the text of king; train one: {command}"
    )
    config = model.with_name("config.toml")
    config.write_text("lr = 0.01\n", encoding="utf-8")
    assert str(no_partner(model, "backward")).endswith(f"{command} --config {config}")


def test_an_unknown_direction_is_refused(make_run):
    assert not load_model(make_run("forward")).is_backward
    assert load_model(make_run("backward", "backward")).is_backward
    with pytest.raises(CheckpointError, match="its direction is unknown: 'sideways'"):
        load_model(make_run("sideways", "sideways"))
    with pytest.raises(CheckpointError, match="its direction is not that of its network"):
        load_model(make_run("both", "both"))
