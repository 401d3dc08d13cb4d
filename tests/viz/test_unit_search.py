"""Properties of a text, and the units that predict them: counted by hand."""

import numpy as np
import pytest

from charrnn.checkpoints.model import Model
from charrnn.data.vocab import CharVocabulary
from charrnn.nn.architecture import ModelConfig, shapes
from charrnn.nn.model import make_network
from charrnn.nn.network import initialise
from charrnn.viz import properties
from charrnn.viz.activations import activations_of, states, states_in_pieces
from charrnn.viz.unit_search import (
    BestUnit,
    best_units,
    correlations,
    has_enough,
    rank_biserial,
    ranks,
    search_units,
    unit_match,
    untrained,
    untrained_activations,
)

PROPERTIES = {each.name: each for each in properties.PROPERTIES}


def marks(name, text):
    """Return the text with what has the property, and dots."""
    values = PROPERTIES[name].find(text)
    assert len(values) == len(text)
    return "".join(c if v else "." for c, v in zip(text.replace("\n", "|"), values, strict=True))


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("in quotes", 'a "bc" d “ef” "g', '.."bc....“ef....'),
        ("in ( )", "a(b(c)d)e(", ".(b(c)d..."),
        ("in ( )", "(a(b)c", "..(b.."),  # the first is never closed
        ("in [ ]", "a[b]]", ".[b.."),
        ("in { }", "{a\nb}", "{a|b."),
        ("in a comment", "a/*b\nc*/d//e\nf", "./*b|c*/.//e.."),
        ("in a comment", "a # b\nc", "..# b.."),
        ("in a comment", "u = 'http://x' # b\n", "...............# b."),
        ("in a comment", "#include <a>\nb // c", "...............// c"),
        ("in a comment", 'a "/* b" /* "c */ d', '........./* "c */..'),
        ("in a comment", "u = '# a' # it's b", "..........# it's b"),
        ("in a comment", "don't # third it's", "......# third it's"),
        ("in a speaker heading", "Second Lord:\r\nGo", "Second Lord:...."),
        ("in a speaker heading", "Second Murderer:\nGo. So: be", "Second Murderer:..........."),
        ("in a speaker heading", "FIRST LORD. Go.\nROMEO:\nI, go", "FIRST LORD......ROMEO:......"),
        ("in a number", "a 1,200.5. b7", "..1,200.5...7"),
        ("in a capitalised word", "Romeo and I", ".omeo......"),
        ("before a newline", "ab\n\nc", ".b|.."),
        ("before a newline", "ab\r\n\r\nc", ".b.|..."),
        ("early in a line", "abcdefgh\nabcdefg", "ab.......ab....."),
        ("late in a line", "abcdefgh\nabcdefg", "......gh|......g"),
        (
            "early in a paragraph",
            "abcdefgh\n\nabcd\nabcdef\n\nabcdefghijk",
            "abc......|ab..........|ab.........",
        ),
    ],
)
def test_a_property_is_where_one_sees_it(name, text, found):
    assert marks(name, text) == found


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("characters since a newline", "ab\nc\n\nd", [1, 2, 3, 1, 2, 1, 1]),
        ("place in the line", "ab\nc\n", [1 / 3, 2 / 3, 1, 1 / 2, 1]),
        ("characters since an empty line", "a\n\nbc\r\n\r\nd", [0, 1, 0, 1, 2, 3, 4, 5, 0, 1]),
        ("indentation", "a\n  b\n\tc", [0, 0, 2, 2, 2, 2, 8, 8]),
    ],
)
def test_counts_are_counted(name, text, values):
    assert PROPERTIES[name].find(text).tolist() == pytest.approx(values)


def test_equal_activations_share_their_ranks():
    units = np.array([[3.0, 1], [1, 1], [3, 1], [2, 0]], dtype=np.float32)
    assert ranks(units).T.tolist() == [[3.5, 1, 3.5, 2], [3, 3, 3, 1]]


def test_separation_is_the_share_of_pairs_in_order():
    """With: 3 and 1; without: 2 and 0. Of the 4 pairs 3 are in order: AUC 0.75."""
    units = np.array([[3, -3, 1], [1, -1, 1], [2, -2, 1], [0, 0, 1]], dtype=np.float32)
    found = rank_biserial(np.array([1.0, 1, 0, 0]), ranks(units))
    assert ((found + 1) / 2).tolist() == pytest.approx([0.75, 0.25, 0.5])


def test_a_correlation_is_numpys_and_0_for_a_unit_that_never_moves():
    rng = np.random.default_rng(0)
    units, values = rng.normal(size=(50, 3)).astype(np.float32), rng.normal(size=50)
    units[:, 1] = 7
    found = correlations(values, units)
    assert found[0] == pytest.approx(np.corrcoef(values, units[:, 0])[0, 1], abs=1e-6)
    assert found[1] == 0


def test_a_unit_is_scored_where_it_was_not_chosen():
    """Unit 0 is right on the first half and wrong on the second; unit 1 is half right on both."""
    values = np.array([1.0, 1, 0, 0] * 2)
    lucky = np.array([1, 1, 0, 0, 0, 0, 1, 1])
    steady = np.array([2, 1, 1, 0] * 2)
    units = np.stack([lucky, steady], axis=1).astype(np.float32)
    each = PROPERTIES["in quotes"]
    assert best_units({each: values}, units[:, None]) == [BestUnit(0, 1.0, -1.0)]


def test_the_sign_says_that_a_unit_is_low_where_the_property_holds():
    values = np.array([1.0, 1, 0, 0] * 2)
    ours = np.zeros((8, 2, 3), dtype=np.float32)
    ours[:, 1, 2] = 1 - values
    each = PROPERTIES["in quotes"]
    (best,), (lucky,) = (best_units({each: values}, units) for units in (ours, 0 * ours))
    found = unit_match(each, values, best, [lucky], width=3)
    assert (found.layer, found.unit, found.sign) == (1, 2, -1)
    assert (found.score, found.random, found.share) == (1.0, 0.5, 0.5)


def test_what_counts_is_the_luckiest_of_the_untrained_networks():
    values, each = np.array([1.0, 1, 0, 0] * 2), PROPERTIES["in quotes"]
    lucky = [BestUnit(0, 1.0, score) for score in (0.2, 0.6, -0.4)]
    found = unit_match(each, values, BestUnit(1, -0.9, 0.8), lucky, width=3)
    assert (found.score, found.random) == pytest.approx((0.9, 0.8))


@pytest.mark.parametrize(
    ("inside", "outside", "times", "is_enough"),
    [
        (20, 20, 4, True), (19, 41, 4, False), (41, 19, 4, False), (30, 30, 3, True),
        (30, 30, 2, False),
    ],
)  # fmt: skip
def test_a_property_needs_twenty_characters_of_either_kind_and_three_beginnings(
    inside, outside, times, is_enough
):
    half = np.zeros(inside + outside)
    runs = np.array_split(np.arange(inside), times)
    begin = 0
    for run in runs:
        half[begin : begin + len(run)] = 1
        begin += len(run) + 1
    assert half.sum() == inside
    enough = np.concatenate([half, half])
    assert has_enough(enough, PROPERTIES["in quotes"]) == is_enough
    assert not has_enough(np.concatenate([half, np.zeros(len(half))]), PROPERTIES["in quotes"])


@pytest.mark.parametrize(("falls", "is_enough"), [(3, True), (2, False)])
def test_a_count_has_to_fall_three_times_in_each_half(falls, is_enough):
    half = np.concatenate([np.arange(20.0)] * falls + [np.arange(1.0)])
    each = PROPERTIES["characters since a newline"]
    assert each.is_count
    assert has_enough(np.concatenate([half, half]), each) == is_enough


@pytest.mark.parametrize(("between", "is_quote"), [(1998, True), (1999, False)])
def test_a_quotation_ends_within_2000_characters(between, is_quote):
    text = '"' + "x" * between + '" y'
    assert PROPERTIES["in quotes"].find(text).sum() == (between + 1) * is_quote


def newline_counter():
    """An LSTM whose unit 0:1 is high from a quotation mark on, to the next one but a newline.

    A mark writes 1 into the cell, a newline forgets it: gates are driven far by the input alone.
    """
    vocab = CharVocabulary(map(ord, '\n "ab'))
    V, H = vocab.size, 2
    config = ModelConfig(cell="lstm", vocab_size=V, embedding_size=V, hidden_size=H, num_layers=1)
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes(config).items()}
    weights["embedding.weight"] = np.eye(V, dtype=np.float32)
    mark, newline = (int(vocab.encode(c)[0]) for c in '"\n')
    gates = weights["layers.0.weight_ih_l0"].reshape(4, H, V)  # i, f, g, o
    bias = weights["layers.0.bias_ih_l0"].reshape(4, H)
    bias[0, 1], gates[0, 1, mark] = -20, 40
    bias[1, 1], gates[1, 1, newline] = 20, -40
    bias[2, 1] = 20
    return Model(config=config, weights=weights, vocab=vocab, records=False, starts={})


def test_an_activation_is_that_of_a_unit_set_by_hand():
    model = newline_counter()
    text = 'a"b\na'
    found = activations_of(states(model, model.vocab.encode(text).tolist()), "cell")
    assert found.shape == (5, 1, 2)
    # c is 1 after the mark, and the picture shows tanh(c).
    assert found[:, 0, 1] == pytest.approx([0, np.tanh(1), np.tanh(1), 0, 0], abs=1e-6)
    hidden = activations_of(states(model, model.vocab.encode(text).tolist()), "hidden")
    assert hidden[1, 0, 1] == pytest.approx(
        np.tanh(1) / 2, abs=1e-6
    )  # its output gate is half open


@pytest.mark.parametrize("records", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_an_untrained_network_reads_pieces_as_it_reads_the_whole(cell, records):
    """1,003 characters are pieces of 63, the last of 58; lines of about ten, then of 600."""
    config = ModelConfig(cell=cell, vocab_size=6, embedding_size=5, hidden_size=24, num_layers=2)
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes(config).items()}
    model = untrained(
        Model(
            config=config, weights=weights, vocab=CharVocabulary(map(ord, "\nabcde")),
            records=records, starts={} ,
        )
    )  # fmt: skip
    ids = np.random.default_rng(0).choice(6, 1003, p=[0.1, 0.1, 0.2, 0.2, 0.2, 0.2])
    ids[400:] = np.maximum(ids[400:], 1)
    whole = activations_of(states(model, ids), "cell")
    pieces = activations_of(states_in_pieces(model, ids), "cell")
    assert np.abs(whole - pieces).max() < 0.01  # a plain RNN forgets most slowly
    assert np.abs(whole[0] - pieces[0]).max() < 1e-6  # nothing before the text is read


def test_a_search_finds_the_unit_that_knows():
    """Of 29 characters 14 are in quotes; both closing marks, among the 15 others, are higher."""
    model = newline_counter()
    text = 'a b "ab ba"\nb a\nab "b a a b"\n' * 30
    ids = model.vocab.encode(text).tolist()
    random = untrained_activations(model, ids, "cell")
    found = {
        each.name: each
        for each in search_units(activations_of(states(model, ids), "cell"), random, text)
    }
    quotes = found["in quotes"]
    assert (quotes.layer, quotes.unit, quotes.sign) == (0, 1, 1)
    assert quotes.score == pytest.approx(13 / 15, abs=0.01)  # the halves are cut inside a line
    assert quotes.random < quotes.score
    assert "in a number" not in found  # the text has none
    assert "characters since a newline" in found
    assert "characters since an empty line" not in found  # only grows


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_an_untrained_network_is_like_one_that_training_begins_with(cell):
    """Other random numbers of the same distributions: the same sizes, right angles and biases."""
    config = ModelConfig(cell=cell, vocab_size=40, embedding_size=60, hidden_size=50, num_layers=2)
    begun = make_network(config)
    initialise(begun, 0)
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes(config).items()}
    model = Model(
        config=config, weights=weights, vocab=CharVocabulary(range(97, 137)), records=False,
        starts={} ,
    )  # fmt: skip
    ours = untrained(model).weights
    for name, theirs in begun.state_dict().items():
        if theirs.ndim == 2 and name != "decoder.weight":  # the decoder moves no unit
            assert ours[name].std() == pytest.approx(theirs.std().item(), rel=0.1), name
        if "weight_hh" in name:
            for gate in ours[name].reshape(-1, 50, 50):
                assert gate @ gate.T == pytest.approx(np.eye(50), abs=1e-5)
        if "bias_ih" in name:  # only the sum of a layer's two does anything
            other = name.replace("_ih", "_hh")
            total = theirs + begun.state_dict()[other]
            assert (ours[name] + ours[other]).tolist() == total.tolist()


def test_an_untrained_network_has_the_same_shape_and_starts_as_training_does():
    model = untrained(newline_counter())
    assert {n: w.shape for n, w in model.weights.items()} == shapes(model.config)
    hh = model.weights["layers.0.weight_hh_l0"][:2]
    assert hh @ hh.T == pytest.approx(np.eye(2), abs=1e-6)
    assert model.weights["layers.0.bias_ih_l0"].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    assert model.config == newline_counter().config
