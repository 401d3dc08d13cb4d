"""Settings as TOML, read back by Python's own parser."""

import dataclasses
import math
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.core.config import TrainConfig
from charrnn.core.errors import InputError
from charrnn.core.settings import read_settings, read_small_file, to_toml


def refused(path):
    """Return the message of the error that a file raises: one line without controls."""
    with pytest.raises(InputError) as caught:
        read_settings(path)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_settings_are_written_a_line_each():
    text = to_toml(
        {"lr": 0.004, "steps": 7, "bytes": False, "cell": "gru", "val_file": Path("a/b")}
    )
    assert text == 'lr = 0.004\nsteps = 7\nbytes = false\ncell = "gru"\nval_file = "a/b"\n'


def test_what_is_not_set_is_left_out():
    assert to_toml({"steps": None, "epochs": 2.0}) == "epochs = 2.0\n"


def test_where_a_setting_came_from_stands_behind_it():
    text = to_toml({"lr": 0.5, "steps": None}, {"lr": "flag", "steps": "default"})
    assert text == "lr = 0.5  # flag\n"


@given(st.text() | st.text(st.sampled_from("\0\x01\x1f\x7f\x80\x85\u2028\"'\\\n\r\t#=[]é🙂")))
@settings(deadline=None, database=None, derandomize=True)
def test_any_string_comes_back(value):
    text = to_toml({"encoding": value}, {"encoding": "file"})
    assert tomllib.loads(text) == {"encoding": value}
    assert text.count("\n") == 1


@given(st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False))
@settings(deadline=None, database=None, derandomize=True)
def test_any_number_comes_back_of_the_same_kind(value):
    again = tomllib.loads(to_toml({"lr": value}))["lr"]
    assert again == value
    assert type(again) is type(value)
    assert math.copysign(1, again) == math.copysign(1, value)


def test_a_file_name_that_is_no_text_does_not_stop_a_run():
    text = to_toml({"val_file": Path("v\udcff.txt")})
    assert text.encode("utf-8") == b'val_file = "v?.txt"\n'


def test_all_settings_come_back_from_a_file(tmp_path):
    config = TrainConfig(steps=7, lr=1e-5, val_file=Path('Zoë "\\\n'), lines=True, max_time=90.0)
    values = {each.name: getattr(config, each.name) for each in dataclasses.fields(config)}
    (tmp_path / "c.toml").write_text(to_toml(values), encoding="utf-8")
    again = read_settings(tmp_path / "c.toml")
    assert TrainConfig(**again | {"val_file": Path(again["val_file"])}) == config


def test_a_missing_file_is_named(tmp_path):
    message = refused(tmp_path / "go\x1bne")
    assert message == f"--config: {tmp_path}/go\\x1bne: No such file or directory"


def test_a_folder_is_no_file(tmp_path):
    assert refused(tmp_path) == f"--config: {tmp_path}: Is a directory"


@pytest.mark.parametrize(
    "content",
    [
        b"lr 0.1", b"lr = 0.1\nlr = 0.2", b"lr = \x1b", b"\xff", b"lr = ", b'cell = "\x00"',
        b"steps = " + b"1" * 5000, b"lr = " + b"[" * 5000,
    ],
    ids=["syntax", "twice", "escape", "latin-1", "half", "nul", "digits", "depth"],
)  # fmt: skip
def test_what_is_no_toml_is_refused(tmp_path, content):
    (tmp_path / "c.toml").write_bytes(content)
    assert refused(tmp_path / "c.toml").startswith(f"--config: {tmp_path}/c.toml: not TOML: ")


@pytest.mark.parametrize("content", ["hidden = 5", "[model]\nlr = 0.1", "model.lr = 0.1"])
def test_a_setting_that_does_not_exist_is_refused(tmp_path, content):
    (tmp_path / "c.toml").write_text(content, encoding="utf-8")
    assert f"{tmp_path}/c.toml: unknown setting" in refused(tmp_path / "c.toml")


def test_config_toml_holds_every_setting_that_has_a_value():
    text = to_toml({"lr": 0.1, "steps": None, "run": 'a"b'})
    assert text == 'lr = 0.1\nrun = "a\\"b"\n'


def test_a_small_file_may_have_exactly_its_most_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_small_file(tmp_path / "a", "--config", 5) == b"12345"
    with pytest.raises(InputError, match="more than 4 bytes"):
        read_small_file(tmp_path / "a", "--config", 4)
