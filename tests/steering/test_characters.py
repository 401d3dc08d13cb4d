"""Which ids --ban and --bias name, and how their numbers add up."""

import numpy as np
import pytest
from chains import cycle

from charrnn.core.config import SampleConfig
from charrnn.core.errors import InputError
from charrnn.data.vocab import ByteVocabulary, CharVocabulary
from charrnn.steering.characters import character_bias


def bias_of(model, **settings):
    return character_bias(SampleConfig(**settings), model)


def test_a_bias_adds_up_and_a_ban_wins():
    model = cycle("abcd")
    bias = bias_of(model, ban="d", bias=(("ab", 2.0), ("bd", -0.5)))
    assert bias.tolist() == [2.0, 1.5, 0.0, -np.inf]
    assert bias.dtype == np.float32


def test_a_character_that_is_named_twice_counts_once():
    assert bias_of(cycle("abcd"), bias=(("aab", 1.0),)).tolist() == [1, 1, 0, 0]


def test_without_either_there_is_no_bias():
    assert bias_of(cycle("ab"), temperature=0.5) is None


@pytest.mark.parametrize("given", ["é", "e\u0301"])
def test_an_accented_character_is_found_in_the_form_of_the_model(given):
    composed, apart = cycle("éz"), cycle("ez\u0301")
    assert bias_of(composed, ban=given).tolist() == [0, -np.inf]  # z is U+007A, é U+00E9
    with pytest.raises(InputError, match=r"^--ban: 'e\\u0301' is 2 characters for this model"):
        bias_of(apart, ban=given)


def test_of_a_model_of_bytes_a_character_of_one_byte_can_be_banned():
    model = cycle(list(range(256)), vocab=ByteVocabulary())
    assert np.flatnonzero(bias_of(model, ban="a\n")).tolist() == [10, 97]
    with pytest.raises(InputError, match="^--bias: 'é' is 2 bytes for this model"):
        bias_of(model, bias=(("é", 1.0),))


def test_characters_that_the_model_does_not_know_are_named():
    with pytest.raises(InputError, match=r"^--bias: .*U\+0078 'x', U\+0079 'y'; leave them out"):
        bias_of(cycle("ab"), bias=(("axy", 1.0),))


def test_one_character_must_be_left():
    with pytest.raises(InputError, match="^--ban: all 2 characters of this model are banned"):
        bias_of(cycle("ab"), ban="ab")


@pytest.mark.parametrize("pairs", [(("a", 100.5),), (("", 1.0),), (("a", float("nan")),)])
def test_a_bias_out_of_range_is_refused(pairs):
    with pytest.raises(InputError, match=r"^--bias: must be CHARS=F with F in \[-100, 100\]"):
        SampleConfig(bias=pairs)


@pytest.mark.parametrize("given", [{"ab": 1, "c": -2}, [("ab", 1), ("c", -2)]])
def test_a_bias_may_be_a_dictionary_or_a_list(given):
    config = SampleConfig(bias=given)
    assert config == SampleConfig(bias=(("ab", 1.0), ("c", -2.0)))
    assert hash(config)
    assert bias_of(cycle("abc"), bias=given).tolist() == [1, 1, -2]


def test_settings_that_steer_are_those_of_json():
    assert SampleConfig(temperature=0.3).recorded() == {}
    config = SampleConfig(ban="x", bias=(("a", 2.0),))
    assert config.recorded() == {"ban": "x", "bias": [["a", 2.0]]}


def test_characters_are_read_as_the_text_of_the_model_was():
    model = cycle("\nab")
    assert isinstance(model.vocab, CharVocabulary)
    assert bias_of(model, ban="\n").tolist() == [-np.inf, 0, 0]
