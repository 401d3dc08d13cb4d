"""Settings: shapes and counts by hand, checks at their edges, and which source wins."""

import dataclasses
import math
from pathlib import Path

import pytest

from charrnn.core.config import (
    SampleConfig,
    TrainConfig,
    as_settings,
    at_least,
    one_of,
    positive,
    within,
)
from charrnn.core.errors import InputError
from charrnn.core.settings import check_keys, resolve
from charrnn.nn.architecture import ModelConfig, shapes


def model_config(cell):
    """V = 11, E = 5, H = 7, L = 2."""
    return ModelConfig(cell=cell, vocab_size=11, embedding_size=5, hidden_size=7, num_layers=2)


def refused(config, **values):
    """Return the message of the error that a config raises: one line without controls."""
    with pytest.raises(InputError) as caught:
        config(**values)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize(("cell", "rows"), [("lstm", 28), ("gru", 21), ("rnn", 7)])
def test_a_recurrent_matrix_has_h_rows_for_each_gate(cell, rows):
    assert shapes(model_config(cell)) == {
        "embedding.weight": (11, 5),
        "layers.0.weight_ih_l0": (rows, 5),
        "layers.0.weight_hh_l0": (rows, 7),
        "layers.0.bias_ih_l0": (rows,),
        "layers.0.bias_hh_l0": (rows,),
        "layers.1.weight_ih_l0": (rows, 7),
        "layers.1.weight_hh_l0": (rows, 7),
        "layers.1.bias_ih_l0": (rows,),
        "layers.1.bias_hh_l0": (rows,),
        "decoder.weight": (11, 7),
        "decoder.bias": (11,),
    }


@pytest.mark.parametrize(
    ("cell", "count"),
    [
        ("lstm", 55 + (140 + 196 + 56) + (196 + 196 + 56) + 88),
        ("gru", 55 + (105 + 147 + 42) + (147 + 147 + 42) + 88),
        ("rnn", 55 + (35 + 49 + 14) + (49 + 49 + 14) + 88),
    ],
)
def test_parameters_are_counted(cell, count):
    assert model_config(cell).num_parameters() == count


def test_training_costs_six_operations_a_weight_that_is_multiplied():
    assert model_config("lstm").flops_per_char() == 6 * (140 + 196 + 196 + 196 + 77)


def test_the_model_takes_its_sizes_from_the_settings():
    config = TrainConfig(cell="gru", hidden_size=7, num_layers=2, embedding_size=5)
    assert ModelConfig.from_settings(config, 11) == model_config("gru")


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (at_least(3), [3, 3.5, 1e300], [2, 2.999, -3, math.inf, math.nan]),
        (positive(), [5e-324, 1], [0, -0.0, -1, math.inf, math.nan]),
        (within(0, 1), [0, 0.5, 1], [-0.1, 1.1, math.nan]),
        (within(0, 1, without="low"), [0.1, 1], [0, math.nan]),
        (within(0, 1, without="high"), [0, 0.9], [1, math.nan]),
        (within(0, 1, without="low, high"), [0.5], [0, 1]),
        (one_of("a", "b"), ["a", "b"], ["", "c", "ab", None]),
    ],
)
def test_checks_hold_at_their_edges(check, good, bad):
    assert [check.test(value) for value in good + bad] == [True] * len(good) + [False] * len(bad)


@pytest.mark.parametrize(
    ("check", "wording"),
    [
        (at_least(3), "at least 3"),
        (positive(), "greater than 0"),
        (within(0, 1), "in [0, 1]"),
        (within(0, 1, without="low"), "in (0, 1]"),
        (within(0, 1, without="high"), "in [0, 1)"),
        (one_of("a", "b"), "one of a, b"),
    ],
)
def test_checks_say_what_they_want(check, wording):
    assert check.wording == wording


@pytest.mark.parametrize("config", [TrainConfig, SampleConfig])
def test_every_setting_has_a_default_that_passes_and_a_help_that_is_a_sentence(config):
    config()
    for each in dataclasses.fields(config):
        text = each.metadata["help"].split(" [default: ")[0]
        assert text[-1] == ".", each.name


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("lr", 0.0, "greater than 0"),
        ("lr", math.nan, "greater than 0"),
        ("lr", math.inf, "greater than 0"),
        ("epochs", 0.0, "greater than 0"),
        ("steps", 0, "at least 1"),
        ("max_time", -1.0, "greater than 0"),
        ("sample_every", -1, "at least 0"),
        ("val_frac", 1.0, "in [0, 1)"),
        ("val_pieces", 0, "in [1, 1000]"),
        ("dropout", 1.0, "in [0, 1)"),
        ("restart_prob", 1.5, "in [0, 1]"),
        ("hidden_size", 0, "in [1, 65536]"),
        ("num_layers", 65, "in [1, 64]"),
        ("seed", -1, "in [0, 9.22337e+18]"),
        ("cell", "lstm2", "one of lstm, gru, rnn, transformer"),
        ("newlines", "crlf", "one of keep, lf"),
    ],
)
def test_a_setting_out_of_range_is_named_with_its_value(name, value, wanted):
    message = refused(TrainConfig, **{name: value})
    assert message == f"--{name.replace('_', '-')}: must be {wanted}, got {value}"


@pytest.mark.parametrize(
    ("name", "value"), [("length", -1), ("temperature", math.nan), ("top_p", 0.0), ("min_p", 1.1)]
)
def test_a_way_of_sampling_out_of_range_is_named_with_its_value(name, value):
    message = refused(SampleConfig, **{name: value})
    assert message.startswith(f"--{name.replace('_', '-')}: must be ")
    assert message.endswith(f", got {value}")


def test_a_value_cannot_command_the_terminal():
    assert refused(TrainConfig, cell="\x1b[31m\n").endswith(r"got \x1b[31m\n")


def test_steps_and_epochs_exclude_each_other():
    assert refused(TrainConfig, steps=5, epochs=2.0).startswith("--epochs and --steps: ")


@pytest.mark.parametrize("also", [{"encoding": "latin-1"}, {"newlines": "lf"}])
def test_bytes_are_neither_decoded_nor_changed(also):
    assert refused(TrainConfig, bytes=True, **also).startswith("--bytes: ")


def test_settings_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().lr = 1.0


def test_each_source_beats_the_ones_below_it():
    sources = [
        {"lr": 5.0},
        {"lr": 4.0, "dropout": 0.4},
        {"lr": 3.0, "dropout": 0.3, "seed": 3},
        {"lr": 2.0, "dropout": 0.2, "seed": 2, "seq_len": 22},
    ]
    values, origins = resolve(*sources)
    names = ("lr", "dropout", "seed", "seq_len", "ema_decay")
    assert [values[name] for name in names] == [5.0, 0.4, 3, 22, 0.995]
    assert [origins[name] for name in names] == ["flag", "environment", "file", "preset", "default"]


def test_all_settings_are_resolved_and_make_a_config():
    values, origins = resolve({}, {}, {}, {})
    assert TrainConfig(**values) == TrainConfig()
    assert set(values) == set(origins) == {each.name for each in dataclasses.fields(TrainConfig)}


def test_a_source_may_say_false_zero_or_nothing():
    file = {"bytes": True, "dropout": 0.5, "val_file": Path("v")}
    values, origins = resolve({"bytes": False, "dropout": 0.0, "val_file": None}, {}, file, {})
    assert (values["bytes"], values["dropout"], values["val_file"]) == (False, 0.0, None)
    assert {origins[name] for name in file} == {"flag"}


@pytest.mark.parametrize("source", ["flag", "environment"])
def test_a_size_by_name_beats_the_sizes_in_a_file(source):
    flags = {"size": "small"} if source == "flag" else {}
    environment = {"size": "small"} if source == "environment" else {}
    file = {"hidden_size": 7, "num_layers": 2, "embedding_size": 5, "lr": 0.1}
    values, origins = resolve(flags, environment, file, {"hidden_size": 256, "lr": 0.2})
    assert (values["hidden_size"], origins["hidden_size"]) == (256, "preset")
    assert (values["num_layers"], origins["num_layers"]) == (1, "default")
    assert (values["lr"], origins["lr"]) == (0.1, "file")
    assert file["hidden_size"] == 7  # what was given is not changed


def test_a_size_by_name_yields_to_a_size_in_numbers_beside_it():
    assert resolve({"size": "small", "hidden_size": 9}, {}, {}, {})[0]["hidden_size"] == 9


def test_a_size_in_a_file_does_not_beat_the_sizes_beside_it():
    assert resolve({}, {}, {"size": "small", "hidden_size": 7}, {})[0]["hidden_size"] == 7


@pytest.mark.parametrize(
    ("flags", "environment", "file", "steps", "epochs"),
    [
        ({"steps": 5}, {}, {"epochs": 2.0}, 5, None),
        ({"epochs": 2.0}, {}, {"steps": 5}, None, 2.0),
        ({}, {"steps": 5}, {"epochs": 2.0}, 5, None),
        ({"epochs": 3.0}, {"steps": 5}, {"epochs": 2.0}, None, 3.0),
        ({"lr": 1.0}, {"steps": 5}, {"max_time": 60.0}, 5, None),
    ],
)
def test_steps_and_epochs_are_two_words_for_one_thing(flags, environment, file, steps, epochs):
    values, _ = resolve(flags, environment, file, {})
    assert (values["steps"], values["epochs"]) == (steps, epochs)
    TrainConfig(**values)


def test_what_a_stronger_source_put_aside_comes_from_there():
    values, origins = resolve({"epochs": 2.0}, {}, {"steps": 5}, {})
    assert (values["steps"], origins["steps"]) == (None, "flag")


def test_steps_and_epochs_from_the_same_source_contradict_each_other():
    values, _ = resolve({}, {}, {"steps": 5, "epochs": 2.0}, {})
    assert "--epochs and --steps" in refused(TrainConfig, **values)


def test_time_and_steps_do_not_contradict_each_other():
    values, _ = resolve({"steps": 5}, {}, {"max_time": 60.0}, {})
    assert (values["steps"], values["max_time"]) == (5, 60.0)


def test_an_unknown_setting_is_answered_with_the_nearest():
    with pytest.raises(InputError) as caught:
        check_keys({"lr": 1, "hiden_size": 7}, "c.toml")
    assert str(caught.value) == ("c.toml: unknown setting 'hiden_size'; did you mean hidden_size?")


def test_a_setting_like_no_other_is_only_unknown():
    with pytest.raises(InputError) as caught:
        check_keys({"q\x1b": 1}, "c.toml")
    assert str(caught.value) == r"c.toml: unknown setting 'q\x1b'"


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("--lines", {"lines": True}),
        ("--val-file", {"val_file": Path("other.txt")}),
        ("--val-frac 0", {"val_frac": 0.0}),
    ],
)
def test_several_held_out_pieces_are_refused_where_held_out_text_is_chosen_otherwise(name, others):
    message = refused(TrainConfig, val_pieces=2, **others)
    assert message.startswith(f"--val-pieces and {name}: ")
    TrainConfig(val_pieces=1, **others)


def test_one_held_out_piece_is_left_out_of_a_file():
    assert "val_pieces" not in as_settings(TrainConfig())
    assert as_settings(TrainConfig(val_pieces=2))["val_pieces"] == 2
