"""Trained weights for another text: each character keeps its rows, wherever they now lie."""

import numpy as np
import pytest

from charrnn.checkpoints.metadata import Metadata
from charrnn.checkpoints.model import Model
from charrnn.core.errors import InputError
from charrnn.data.vocab import ByteVocabulary, CharVocabulary
from charrnn.nn.architecture import ModelConfig, shapes
from charrnn.nn.model import make_network
from charrnn.nn.network import initialise, weight_arrays
from charrnn.training.learner import load_initial
from charrnn.training.transfer import transfer

OLD = CharVocabulary(map(ord, "abcz"))
NEW = CharVocabulary(map(ord, "Acdz"))
CONFIG = ModelConfig(cell="gru", vocab_size=4, embedding_size=2, hidden_size=3, num_layers=2)


def model_of(vocab, config=CONFIG):
    """A model whose rows say which id they belong to."""
    weights = {n: np.zeros(s, np.float32) for n, s in shapes(config).items()}
    for name in ("embedding.weight", "decoder.weight", "decoder.bias"):
        weights[name] += np.arange(vocab.size).reshape(-1, *[1] * (weights[name].ndim - 1))
    weights["layers.1.weight_hh_l0"] += 7
    return Model(
        config=config,
        weights=weights,
        vocab=vocab,
        records=False,
        starts={},
        metadata=Metadata(sha256="5"),
    )


def test_characters_are_told_as_new_or_dropped():
    init = transfer(model_of(OLD), NEW)
    assert (init.new, init.dropped, init.parent) == ("Ad", "ab", "5")
    assert init.is_new.tolist() == [True, False, True, False]


def test_rows_go_with_their_characters():
    init = transfer(model_of(OLD), NEW)
    # c was id 2 and is now 1, z was and is 3.
    assert init.weights["decoder.bias"][[1, 3]].tolist() == [2, 3]
    assert init.weights["embedding.weight"][[1, 3], 0].tolist() == [2, 3]


def test_rows_of_new_characters_stay_as_they_were_drawn():
    model = make_network(CONFIG)
    initialise(model, seed=3)
    drawn = weight_arrays(dict(model.named_parameters()))
    load_initial(model, transfer(model_of(OLD), NEW))
    found = weight_arrays(dict(model.named_parameters()))
    assert np.array_equal(found["embedding.weight"][[0, 2]], drawn["embedding.weight"][[0, 2]])
    assert found["embedding.weight"][[1, 3], 0].tolist() == [2, 3]
    assert (found["layers.1.weight_hh_l0"] == 7).all()


def test_the_same_characters_give_the_same_weights():
    init = transfer(model_of(OLD), OLD)
    assert (init.new, init.dropped) == ("", "")
    assert all(np.array_equal(init.weights[n], w) for n, w in model_of(OLD).weights.items())


def test_a_text_with_one_more_character_grows_the_network():
    more = CharVocabulary(map(ord, "abcdz"))
    assert transfer(model_of(OLD), more).weights["decoder.weight"].shape == (5, 3)


def test_bytes_and_characters_do_not_mix():
    config = ModelConfig(cell="gru", vocab_size=256, embedding_size=2, hidden_size=3, num_layers=2)
    with pytest.raises(InputError, match="of text and model, one is read as bytes"):
        transfer(model_of(OLD), ByteVocabulary())
    with pytest.raises(InputError, match="of text and model, one is read as bytes"):
        transfer(model_of(ByteVocabulary(), config), OLD)
    assert transfer(model_of(ByteVocabulary(), config), ByteVocabulary()).new == ""
