"""Options: numbers in plain digits, help in groups, and files that say the same as flags."""

import dataclasses
import math
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.cli.option_types import Duration, FloatList, Integer, Number
from charrnn.cli.options import (
    GroupedCommand,
    as_one,
    common,
    config_options,
    convert_settings,
    option,
)
from charrnn.core.config import SampleConfig, TrainConfig
from charrnn.core.errors import InputError

NO_NUMBERS = [
    "", " ", "nan", "NaN", "inf", "-inf", "infinity", "1_000", "１２", "٣", "²", "0x10", "1e", "e5",
    ".", "--1", "+", "1 ", " 1", "1\n", "1,5", "1.2.3", "1e5.5", "1e1_0", "1\0", "one", "1\x1b[0m",
]  # fmt: skip
"""What is no number here, though Python takes some of it for one."""


def refused(kind, text):
    """Return the message with which a type refuses a text: one line without controls."""
    with pytest.raises(click.BadParameter) as caught:
        kind.convert(text, None, None)
    assert caught.value.message.isprintable()
    return caught.value.message


def parse(config, arguments, environment=None):
    """Return the settings that a command line and an environment give."""
    given_settings = {}

    @click.command(cls=GroupedCommand, context_settings={"auto_envvar_prefix": "X"})
    @config_options(config)
    def command(**values):
        given_settings.update(values)

    CliRunner().invoke(command, arguments, env=environment, catch_exceptions=False)
    return {name: value for name, value in given_settings.items() if value is not None}


def test_whole_numbers_are_read():
    numbers = {"0": 0, "7": 7, "+7": 7, "-12": -12, "007": 7, "9" * 18: 10**18 - 1}
    for text, number in numbers.items():
        assert Integer().convert(text, None, None) == number


@pytest.mark.parametrize("text", [*NO_NUMBERS, "1.0", "1e3", "9" * 20])
def test_what_is_no_whole_number_is_refused(text):
    assert refused(Integer(), text).endswith(" is not a whole number")


def test_numbers_are_read():
    numbers = {
        "0": 0.0, "-2": -2.0, "+.5": 0.5, "5.": 5.0, "0.25": 0.25, "1e3": 1000.0,
        "2.5E-1": 0.25, "4e+2": 400.0, "1e-400": 0.0,
    }  # fmt: skip
    for text, number in numbers.items():
        assert Number().convert(text, None, None) == number


@pytest.mark.parametrize("text", [*NO_NUMBERS, "1e400", "-1e400", "9" * 400])
def test_what_is_no_finite_number_is_refused(text):
    assert refused(Number(), text).endswith(" is not a finite number")


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(deadline=None, database=None, derandomize=True)
def test_every_finite_number_that_python_writes_is_read(number):
    assert Number().convert(repr(number), None, None) == number


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("1h", 3600), ("1h30m", 5400), ("1h1m1s", 3661), ("2h5s", 7205)],
)
def test_times_are_read(text, seconds):
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize(
    "text",
    [*NO_NUMBERS, "90", "1.5h", "5M", "30m1h", "-5m", "5m ", "5 m", "1_0s", "１s", "1e3s", "5d",
     "infs", "nans", "h", "1" * 10 + "s"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text):
    assert refused(Duration(), text).endswith(" is not a time such as 90s, 5m or 1h30m")


def test_every_setting_is_an_option_and_says_nothing_by_itself():
    assert parse(TrainConfig, []) == {}
    assert parse(SampleConfig, []) == {}


def test_options_give_values_of_the_right_kind():
    arguments = "--hidden-size 7 --lr 1e-3 --max-time 5m --val-file a/b --bytes --cell gru"
    assert parse(TrainConfig, arguments.split()) == {
        "hidden_size": 7, "lr": 0.001, "max_time": 300.0, "val_file": Path("a/b"), "bytes": True,
        "cell": "gru",
    }  # fmt: skip


def test_a_list_of_numbers_has_commas_between_them():
    assert parse(SampleConfig, ["-t", "0.5,1,1e-3"]) == {"temperature": (0.5, 1.0, 0.001)}
    assert parse(SampleConfig, ["-t", "0.5, 1 , 2"]) == {"temperature": (0.5, 1.0, 2.0)}


@pytest.mark.parametrize("value", ["", "0.5,", ",", "0.5,,1", "0.5;1", "0.5,nan", "0.5, ,1"])
def test_a_list_with_something_else_in_it_is_refused(value):
    with pytest.raises(click.BadParameter, match="is not a finite number"):
        FloatList().convert(value, None, None)


@pytest.mark.parametrize("value", ["0,8", "0,75", "1,05", "0,05", "2,10"])
def test_a_decimal_comma_in_a_list_is_refused(value):
    said = f"for a fraction write a point: {value.replace(',', '.')}, for two"
    with pytest.raises(click.BadParameter, match=re.escape(said)):
        FloatList().convert(value, None, None)


@pytest.mark.parametrize("value", ["0,1", "1,2", "0.5,8", "0.0,8", "1,0", "0,8,9"])
def test_lists_that_no_fraction_is_written_as_are_taken(value):
    assert FloatList().convert(value, None, None) == tuple(map(float, value.split(",")))


def test_short_options_mean_the_same():
    assert parse(SampleConfig, ["-l", "7", "-t", "0.5"]) == {"length": 7, "temperature": (0.5,)}


def test_the_environment_gives_settings_too():
    environment = {"X_LR": "0.5", "X_MAX_TIME": "90s", "X_BYTES": "1"}
    assert parse(TrainConfig, [], environment) == {"lr": 0.5, "max_time": 90.0, "bytes": True}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--lr", "1_000"], "'1_000' is not a finite number"),
        (["--lr", "0,01"], "write a point, 0.01: '0,01' is not a finite number"),
        (["--steps", "1e3"], "'1e3' is not a whole number"),
        (["--cell", "lsmt"], "'lsmt' is not one of"),
        (["--lr", "\x1b[31m"], "x1b[31m' is not a finite number"),
    ],
)
def test_a_wrong_value_is_named(arguments, named):
    command = click.command(cls=GroupedCommand)(config_options(TrainConfig)(lambda **_: None))
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert named in result.stderr


def test_help_shows_every_option_once_under_its_heading():
    command = click.command(cls=GroupedCommand)(config_options(TrainConfig)(lambda **_: None))
    text = CliRunner().invoke(command, ["--help"]).output
    for each in dataclasses.fields(TrainConfig):
        is_shown = each.metadata["kind"] != "hidden"
        assert text.count(f"--{each.name.replace('_', '-')} ") == is_shown, each.name
    headings = [line for line in text.splitlines() if line and line[0] != " "]
    assert [h for h in headings if not h.startswith("Usage")] == [
        "Text:", "Size:", "Budget:", "Fine tuning:", "Machine:", "Output:",
    ]  # fmt: skip


def test_help_tells_defaults():
    command = click.command(cls=GroupedCommand)(config_options(TrainConfig)(lambda **_: None))
    text = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    assert "end of each file, or with --lines, lines from everywhere. [default: 0.1]" in text
    assert "Width of the recurrent state, or of a transformer. [default: from --size]" in text
    assert "Passes over the text, in all sessions together. [default: 40, or 10 minutes]" in text
    assert "Optimiser updates, in all sessions together. --" in text  # None and False need no words
    assert "works with any file. --" in text


def test_a_heading_can_be_given_for_all_options_of_a_config():
    decorate = config_options(SampleConfig, group="Text")
    command = click.command(cls=GroupedCommand)(decorate(lambda **_: None))
    lines = CliRunner().invoke(command, ["--help"]).output.splitlines()
    assert [line for line in lines if line.endswith(":") and line[0] != " "] == ["Text:", "Output:"]


def test_a_file_gives_what_the_same_flags_give():
    file = {
        "hidden_size": 7, "lr": 1, "max_time": "1h30m", "val_file": "a/b", "bytes": True,
        "cell": "gru", "encoding": "ascii", "epochs": 2.5,
    }  # fmt: skip
    assert convert_settings(file, "c.toml") == file | {
        "lr": 1.0, "max_time": 5400.0, "val_file": Path("a/b"),
    }  # fmt: skip


def test_a_time_in_a_file_may_be_in_seconds():
    assert convert_settings({"max_time": 90}, "c.toml") == {"max_time": 90.0}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bytes", 1), ("bytes", "true"), ("encoding", 5), ("encoding", ["utf-8"]), ("cell", "tsml"),
        ("cell", 5), ("cell", ["gru"]), ("steps", 3.0), ("steps", True), ("steps", "1_000"),
        ("lr", True), ("lr", math.nan), ("lr", math.inf),
        ("lr", [0.1]), ("lr", {"a": 1}), ("lr", "１"), ("max_time", "90"), ("max_time", True),
        ("max_time", [90]), ("max_time", math.nan), ("max_time", math.inf),
        ("val_file", 5), ("val_file", ["a"]), ("val_file", True), ("val_file", "a\0b"),
        ("device", 7),
    ],
)  # fmt: skip
def test_a_wrong_value_in_a_file_is_refused_with_its_name(name, value):
    with pytest.raises(InputError) as caught:
        convert_settings({name: value}, "c.toml")
    assert str(caught.value).startswith(f"c.toml: {name}: ")
    assert str(caught.value).isprintable()


def test_a_wrong_value_in_a_file_names_what_is_expected():
    for name, value, expected in (("bytes", 1, "true or false"), ("encoding", 5, "a string")):
        with pytest.raises(InputError, match=f"{name}: '{value}' is not {expected}$"):
            convert_settings({name: value}, "c.toml")


@pytest.mark.parametrize("name", ["steps", "lr", "max_time", "seed"])
def test_a_number_in_a_file_that_is_too_large_is_refused(name):
    with pytest.raises(InputError, match=f"^c.toml: {name}: '1000"):
        convert_settings({name: 10**400}, "c.toml")


def run_with(arguments, *decorators):
    """Return the result of a command line, and the arguments that the command received."""
    received = {}

    def function(**values):
        received.update(values)

    for decorate in reversed(decorators):
        function = decorate(function)
    command = click.command(cls=GroupedCommand, name="command")(function)
    return CliRunner().invoke(command, arguments), received


def test_parameters_are_passed_as_one_object_and_keep_their_order_in_the_help():
    decorators = (
        as_one("point", lambda x, y: (x, y), option("-x", type=Integer()), option("-y")),
        option("-z"),
    )
    _, received = run_with(["-y", "1", "-x", "2"], *decorators)
    assert received == {"point": (2, "1"), "z": None}
    text = run_with(["--help"], *decorators)[0].output
    assert text.index("-x N") < text.index("-y TEXT") < text.index("-z TEXT")


@pytest.mark.parametrize(("arguments", "verbosity"), [([], 0), (["-q"], -1), (["-v"], 1)])
def test_common_options_are_one_object(arguments, verbosity):
    _, received = run_with([*arguments, "--json", "--checkpoints", "runs", "--debug"], common)
    (options,) = received.values()
    assert (options.checkpoints, options.as_json) == (Path("runs"), True)
    assert options.console.verbosity == verbosity
    assert not run_with(arguments, common)[1]["common"].as_json


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train", "--gpu", "0"], "'--gpu'; use --device"),
        (["train", "--learning-rate=0.1"], "'--learning-rate'; use --lr"),
        (["train", "-num_layers", "2"], "'-num_layers'; use --num-layers"),
        (["train", "-rnn_size", "2"], "'-rnn_size'; use --hidden-size"),
        (["train", "-input_txt", "a"], "'-input_txt'; use FILE"),
        (["sample", "--start_text", "x"], "'--start_text'; use --prompt"),
        (["sample", "-gpu", "0"], "'-gpu'; use --device"),
        (["sample", "--checkpoint", "x"], "'--checkpoint'; use MODEL"),
        (["sample", "--num", "3"], "'--num'; use -n"),
        (["sample", "--gpuu", "3"], "No such option"),
        (["sample", "-primetext", "x"], "'-primetext'; use --prompt"),
        (["sample", "--json", "-length", "3"], "'-length'; use --length"),
        (["sample", "-sample", "0"], "leave it out: a character is always drawn"),
        (["train", "x", "-learning_rate_decay", "1"], "the learning rate falls by itself"),
        (["train", "x", "-grad_clip=5"], "'-grad_clip'; use --max-grad-norm"),
        (["sample", "no-run", "-p", "-primetext"], "no such run or file"),
        (["sample", "no-run", "-prize"], "no such run or file"),
    ],
)
def test_an_option_of_char_rnn_is_answered_with_the_name_here(call, arguments, expected):
    code, _, err = call(*arguments)
    assert (code, expected in err) == (2, True), err


@pytest.mark.parametrize("name", ["my.txt", "old text.txt"])
def test_a_text_in_the_place_of_a_command_is_answered_with_train(call, name):
    code, _, err = call(name)
    quoted = f"'{name}'" if " " in name else name
    assert (code, f"charrnn train {quoted}" in err) == (2, True), err


def test_quiet_and_verbose_exclude_each_other():
    result, received = run_with(["-q", "-v"], common)
    assert isinstance(result.exception, InputError)
    assert received == {}
