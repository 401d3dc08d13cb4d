"""Where a network looks: weights, the characters that they belong to, what a page is given."""

import base64
import json
import zlib
from dataclasses import replace

import numpy as np
import pytest

from charrnn.checkpoints.metadata import Metadata
from charrnn.checkpoints.model import Model
from charrnn.core.errors import InputError
from charrnn.data.vocab import CharVocabulary
from charrnn.nn.architecture import ModelConfig, shapes
from charrnn.viz.attention import (
    FAR,
    LEAST,
    START,
    all_heads,
    attention_numbers,
    attention_picture,
    check_attention,
    chosen_heads,
    looks,
    sights,
)
from charrnn.viz.packing import packed_sights
from charrnn.viz.render.plain_text import plain_text
from charrnn.viz.view import View

VOCAB = CharVocabulary(map(ord, "\nabcde"))
TEXT = "abacdabe\nbead\n\nbacabacdeadbe\nca"
NEWLINE = 0
SIZES = {
    "lstm": {"attention": 4, "embedding_size": 2, "hidden_size": 9},
    "transformer": {"context": 4, "embedding_size": 12, "hidden_size": 12, "num_heads": 3},
}
SHAPES = {"lstm": (1, 1), "transformer": (2, 3)}


def model(cell, *, records=False, direction="forward", seed=1):
    config = ModelConfig(cell=cell, vocab_size=6, num_layers=2, **SIZES[cell])
    rng = np.random.default_rng(seed)
    weights = {n: rng.normal(0, 0.7, s).astype(np.float32) for n, s in shapes(config).items()}
    return Model(
        config=config, weights=weights, vocab=VOCAB, records=records, starts={}, memory=None,
        metadata=Metadata(settings={"direction": direction}),
    )  # fmt: skip


def view(model):
    return View(model, VOCAB.encode(TEXT), "text")


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("records", [False, True])
@pytest.mark.parametrize("cell", SIZES)
def test_weights_are_of_the_last_symbols_that_were_read(cell, records, direction):
    """Of four at most, the newest last; never of what comes later, or of another record."""
    ids = VOCAB.encode(TEXT)
    found = list(looks(model(cell, records=records, direction=direction), ids))
    assert sorted(look.index for look in found) == list(range(len(TEXT)))
    read = [START]
    for look in found:
        read.append(look.index)
        count = look.weights.shape[-1]
        assert count == min(4, len(read) if cell == "transformer" else len(read) - 1)
        assert look.seen.tolist() == read[-count:]
        assert look.weights.shape == (*SHAPES[cell], count)
        np.testing.assert_allclose(look.weights.sum(-1), 1, atol=1e-6)
        if records and ids[look.index] == NEWLINE:
            read = [START]
    if direction == "backward" and not records:
        assert [look.index for look in found] == list(range(len(TEXT)))[::-1]


@pytest.mark.parametrize("cell", SIZES)
def test_each_record_is_looked_at_as_if_it_were_alone(cell):
    which = model(cell, records=True)
    together = {look.index: look for look in looks(which, VOCAB.encode(TEXT))}
    begin = TEXT.index("bacab")
    for look in looks(which, VOCAB.encode("bacabacdeadbe\n")):
        other = together[begin + look.index]
        np.testing.assert_array_equal(look.weights, other.weights)
        shifted = np.where(look.seen == START, START, look.seen + begin)
        np.testing.assert_array_equal(other.seen, shifted)


@pytest.mark.parametrize("cell", SIZES)
def test_a_later_symbol_changes_no_weight_before_it(cell):
    which = model(cell)
    first = list(looks(which, VOCAB.encode(TEXT)))
    other = list(looks(which, VOCAB.encode(TEXT[:20] + "e" + TEXT[21:])))
    assert TEXT[20] != "e"
    for before, after in zip(first[:20], other[:20], strict=True):
        np.testing.assert_array_equal(before.weights, after.weights)
    assert (first[20].weights != other[20].weights).any()


def test_the_symbols_with_the_most_weight_come_first():
    which, ids = model("transformer"), VOCAB.encode(TEXT)
    heads = [None, (1, 2)]
    found = sights(which, ids, heads)
    for look in looks(which, ids):
        for m, weights in enumerate([look.weights.mean((0, 1)), look.weights[1, 2]]):
            expected = sorted(zip(-weights, look.seen, strict=True), key=lambda pair: pair[0])
            offsets = [FAR if at == START else at - look.index for _, at in expected]
            count = len(expected)
            assert found.offsets[look.index, m, :count].tolist() == offsets
            np.testing.assert_array_equal(
                found.weights[look.index, m, :count], [-weight for weight, _ in expected]
            )
            assert not found.weights[look.index, m, count:].any()


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_numbers_are_in_the_order_of_the_text(direction):
    lines = list(attention_numbers(view(model("lstm", direction=direction)), [(0, 0)]))
    assert [line["index"] for line in lines] == list(range(len(TEXT)))
    assert "".join(line["symbol"] for line in lines) == TEXT
    for line in map(json.loads, map(json.dumps, lines)):
        assert line["seen"][-1] == line["index"]
        assert sum(line["weights"]["0:0"]) == pytest.approx(1, abs=1e-5)
    assert lines[9]["seen"] == ([6, 7, 8, 9] if direction == "forward" else [12, 11, 10, 9])


def test_a_text_lists_what_each_character_looked_at():
    shown = plain_text(attention_picture(view(model("transformer")), [(1, 2)]), colour=False)
    lines = shown.split("\n")
    assert lines[3] == "block 1, head 2"
    assert len(lines) == 4 + len(TEXT)
    for index, look in enumerate(looks(model("transformer"), VOCAB.encode(TEXT))):
        listed = [
            (
                weight,
                "start"
                if at == START
                else f"{VOCAB.decode([VOCAB.encode(TEXT)[at]])} {at - index}",
            )
            for at, weight in zip(look.seen.tolist(), look.weights[1, 2].tolist(), strict=True)
            if weight >= LEAST
        ]
        expected = [f"{name} {weight:.0%}" for weight, name in sorted(listed, reverse=True)]
        assert lines[4 + index].split()[2:] == " ".join(expected).replace("\n", "↵").split()


def test_heads_are_named_by_block_and_number():
    config = model("transformer").config
    assert chosen_heads(["1:2", "0:0", "1:2"], config) == [(1, 2), (0, 0)]
    assert chosen_heads([], config) == [None]
    assert all_heads([(1, 2)], config) == [(1, 2), None, (0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert chosen_heads([], model("lstm").config) == all_heads([(0, 0)], model("lstm").config)
    for name in ("2:0", "0:3", "-1:0", "x"):
        with pytest.raises(InputError, match=r"blocks are 0 to 1, heads 0 to 2; for example 0:2"):
            chosen_heads([name], config)


def test_a_page_has_offsets_of_two_bytes_then_weights_of_one():
    offsets = np.array([[[-3, FAR], [0, 0]]], dtype=np.int16)
    weights = np.array([[[0.6, 0.4], [1.0, 0.0]]], dtype=np.float32)
    found = packed_sights(offsets, weights)
    assert found["per"] == 2
    unpacked = zlib.decompress(base64.b64decode(found["packed"]))
    assert unpacked.hex() == "fdff0000" + "ff7f0000" + "9966ff00"
    few = packed_sights(offsets, weights, most=1)
    assert few["per"] == 1
    assert zlib.decompress(base64.b64decode(few["packed"])).hex() == "fd00" + "ff00" + "99ff"


def test_a_model_without_attention_is_refused_with_what_to_train():
    config = ModelConfig(cell="gru", vocab_size=6, embedding_size=2, hidden_size=3, num_layers=1)
    with pytest.raises(InputError, match=r"^old: .* --attention 512, or --cell transformer$"):
        check_attention(replace(model("lstm"), config=config), "old")
    check_attention(model("lstm"), "new")
