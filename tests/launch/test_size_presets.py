"""Which network for which task."""

import dataclasses

import pytest

from charrnn.core.config import TrainConfig
from charrnn.launch.size_presets import (
    NAMED,
    PRESET_FIELDS,
    TABLE,
    TRANSFORMERS,
    Task,
    expected_steps,
    pick_row,
    preset,
)

TINY_SHAKESPEARE = Task(
    num_chars=1_003_854,
    vocab_size=65,
    epochs=None,
    steps=None,
    seconds=300,
    flops_per_second=2.0**36,
)


def with_(**changes):
    return dataclasses.replace(TINY_SHAKESPEARE, **changes)


def test_more_time_never_means_a_smaller_network():
    sizes = [pick_row("auto", with_(seconds=s)).hidden_size for s in (1, 5, 60, 300, 900, 86_400)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2] < sizes[-1]


def test_a_faster_machine_never_means_a_smaller_network():
    sizes = [pick_row("auto", with_(flops_per_second=2.0**n)).hidden_size for n in range(30, 50)]
    assert sizes == sorted(sizes)


def test_on_a_gpu_the_sizes_reach_the_persistent_kernels_of_cudnn():
    """They need multiples of 128 for embedding and state, and of 8 for the batch, up to 128."""
    chosen = [preset(name, with_(on_gpu=True), {}) for name in NAMED]
    assert all(c["embedding_size"] % 128 == c["hidden_size"] % 128 == 0 for c in chosen)
    assert all(c["batch_size"] % 8 == 0 and c["batch_size"] <= 128 for c in chosen)
    assert preset("small", TINY_SHAKESPEARE, {})["embedding_size"] == 64


def test_a_small_text_gets_a_small_network_whatever_the_time():
    assert pick_row("auto", with_(num_chars=5_000, seconds=86_400)).hidden_size == 128


def test_without_a_time_the_text_decides_up_to_medium():
    assert pick_row("auto", with_(seconds=None, steps=10)).hidden_size == 512
    assert pick_row("auto", with_(seconds=None, steps=10, num_chars=60_000)).hidden_size == 256


@pytest.mark.parametrize("row", TABLE[1:])
def test_a_row_is_taken_from_exactly_its_characters_and_operations_on(row):
    enough = with_(num_chars=row.least_chars, seconds=1.0, flops_per_second=row.least_flops)
    assert pick_row("auto", enough) is row
    before = TABLE[TABLE.index(row) - 1]
    fewer = dataclasses.replace(enough, num_chars=row.least_chars - 1)
    assert pick_row("auto", fewer) is before
    slower = dataclasses.replace(enough, flops_per_second=row.least_flops * 0.999)
    assert pick_row("auto", slower) is before


@pytest.mark.parametrize("table", [TABLE, TRANSFORMERS])
def test_the_table_is_in_order(table):
    for field in ("hidden_size", "least_flops", "least_chars", "batch_size"):
        column = [getattr(row, field) for row in table]
        assert column == sorted(column)


def test_a_transformer_grows_with_the_time_in_a_table_of_its_own():
    chosen = [preset("auto", with_(cell="transformer", seconds=s), {}) for s in (1, 60, 1e3, 1e6)]
    rows = [(each["num_layers"], each["hidden_size"]) for each in chosen]
    assert rows == sorted(rows)
    assert rows[0] == (2, 64)
    assert rows[-1] == (4, 256)  # a million characters are too few for more
    for each in chosen:
        TrainConfig(cell="transformer", **each)


def test_a_transformer_of_another_width_has_heads_that_share_it():
    chosen = preset("auto", with_(cell="transformer"), {"hidden_size": 200, "context": 33})
    assert (chosen["num_heads"], chosen["embedding_size"], chosen["context"]) == (2, 200, 33)


@pytest.mark.parametrize(
    ("chars", "num_records", "rows"),
    [(8, 32_000, 64), (7.9, 32_000, 64), (8, 600, 32), (8, 100, 16), (300, 32_000, 16)],
)
def test_a_batch_of_records_has_the_characters_of_a_batch_of_streams(chars, num_records, rows):
    """16 × 32 = 512 characters are 64 names of 8; a short list keeps 16 batches an epoch."""
    task = with_(num_chars=int(chars * num_records), chars_per_record=chars, steps=100)
    chosen = preset("tiny", task, {})
    assert chosen["batch_size"] == rows
    assert preset("tiny", task, {"batch_size": 5})["batch_size"] == 5
    task = dataclasses.replace(task, seconds=None, steps=None, epochs=2)
    assert expected_steps(chosen, task) == pytest.approx(2 * num_records / rows, rel=0.02)


@pytest.mark.parametrize("name", NAMED)
def test_a_name_is_a_size(name):
    assert preset(name, TINY_SHAKESPEARE, {})["hidden_size"] == NAMED[name]


@pytest.mark.parametrize(
    ("asked", "nearest"), [(1, 128), (170, 192), (575, 512), (577, 640), (1000, 1024), (9999, 2048)]
)
def test_another_size_is_trained_as_the_nearest_of_the_table(asked, nearest):
    row = pick_row("auto", TINY_SHAKESPEARE, asked)
    (like,) = (each for each in TABLE if each.hidden_size == nearest)
    assert row == dataclasses.replace(like, hidden_size=asked)


@pytest.mark.parametrize(("hidden", "embedding"), [(128, 64), (1024, 64), (1025, 128)])
def test_wide_networks_have_wide_embeddings(hidden, embedding):
    assert preset("auto", TINY_SHAKESPEARE, {"hidden_size": hidden})["embedding_size"] == embedding


def test_what_is_given_stays_and_the_rest_follows_from_it():
    chosen = preset("auto", TINY_SHAKESPEARE, {"hidden_size": 200, "lr": 0.1, "val_frac": 0.2})
    assert (chosen["hidden_size"], chosen["lr"], chosen["batch_size"]) == (200, 0.1, 16)
    assert set(chosen) == set(PRESET_FIELDS)


def test_a_given_dropout_is_not_overruled():
    assert preset("auto", TINY_SHAKESPEARE, {"dropout": 0.33})["dropout"] == 0.33


@pytest.mark.parametrize(
    ("num_chars", "decay"),
    [(5_000, 1.0), (100_000, 0.213), (1_000_000, 0.043), (5_000_000, 0.01)],
)
def test_weight_decay_forgets_an_update_in_three_passes(num_chars, decay):
    """512 characters a step; 1 / (3 · steps of a pass · rate): 8e-3 for 256, 4e-3 for 512."""
    for epochs in (0.5, 40):
        task = with_(seconds=None, epochs=epochs, num_chars=num_chars)
        assert preset("auto", task, {})["weight_decay"] == pytest.approx(decay)


def test_steps_of_a_time_budget_by_hand():
    chosen = {"hidden_size": 7, "num_layers": 1, "embedding_size": 5, "batch_size": 2, "seq_len": 3}
    flops_per_char = 6 * (4 * 7 * (5 + 7) + 11 * 7)
    task = with_(vocab_size=11, seconds=10, flops_per_second=flops_per_char * 60.0)
    assert expected_steps(chosen, task) == pytest.approx(10 * 60 / 6)


def test_steps_of_epochs_by_hand():
    chosen = {"hidden_size": 7, "num_layers": 1, "embedding_size": 5, "batch_size": 2, "seq_len": 3}
    task = with_(num_chars=600, seconds=None, epochs=4)
    assert expected_steps(chosen, task) == 400


def test_of_several_budgets_the_one_that_ends_first_counts():
    chosen = preset("small", TINY_SHAKESPEARE, {})
    by_steps, by_epochs = with_(seconds=None, steps=50), with_(seconds=None, epochs=0.01)
    few, some = expected_steps(chosen, by_epochs), expected_steps(chosen, by_steps)
    assert few < some < expected_steps(chosen, TINY_SHAKESPEARE)
    assert expected_steps(chosen, with_(steps=50)) == some == 50
    assert expected_steps(chosen, with_(steps=50, epochs=0.01)) == few


def test_more_passes_mean_more_dropout_and_every_preset_is_valid():
    rates = []
    for epochs in (0.5, 2, 8, 40, 1000):
        chosen = preset("auto", with_(seconds=None, epochs=epochs), {})
        TrainConfig(**chosen)
        rates.append(chosen["dropout"])
    assert rates == sorted(rates)
    assert rates[0] == 0
    assert rates[-1] == 0.5
    assert rates[2] == 0.12  # 8 passes: two doublings of 2, 0.0625 each


@pytest.mark.parametrize(
    ("size", "given", "expected"),
    [
        (None, {}, "on"), (40.0, {}, "on"), (8.0, {}, "off"), (8.0, {"memory_words": "on"}, "on"),
        (None, {"memory": 0}, "off"), (None, {"direction": "both"}, "off"),
        (None, {"direction": "backward"}, "on"), (None, {"memory_words": "off"}, "off"),
    ],
)  # fmt: skip
def test_the_memory_of_a_text_knows_words_unless_it_is_a_list_of_names(size, given, expected):
    assert preset("auto", with_(chars_per_record=size), given)["memory_words"] == expected
