"""Log-probabilities of chains, known by hand, and of models, against the prediction of the whole."""

from dataclasses import replace

import numpy as np
import pytest
from chains import chain
from infill_models import model_of

from charrnn.checkpoints.metadata import Metadata
from charrnn.data.vocab import ByteVocabulary
from charrnn.nn.numpy_engine import make_engine
from charrnn.sampling.sampler import Sampler
from charrnn.server.log_probabilities import Follower, LogProbabilities
from charrnn.viz.activations import expectations, states


def follower(model, count=2):
    return Follower(
        model, make_engine(model.config, model.weights), model.memory, count, lambda: None
    )


HALVES = {"a": {"b": 0.75, "c": 0.25}, "b": {"a": 1.0}, "c": {"a": 1.0}}


def test_the_first_character_of_a_prompt_has_none_and_the_others_are_known_by_hand():
    reader = follower(chain(HALVES))
    prompt = reader.prompt("ac")
    assert prompt.ids == [0, 2]
    assert prompt.logs == [None, pytest.approx(np.log(0.25), abs=1e-6)]
    assert prompt.tops[0] is None
    assert prompt.tops[1] == {1: pytest.approx(np.log(0.75)), 2: pytest.approx(np.log(0.25))}
    text = reader.text([0, 1])
    assert text.logs == [pytest.approx(0, abs=1e-6), pytest.approx(np.log(0.75))]
    assert [list(top) for top in text.tops] == [[0, 1], [1, 2]]


def test_an_impossible_character_has_a_finite_number_and_is_listed_after_the_likeliest():
    found = follower(chain(HALVES), 1).text([])
    assert found == LogProbabilities()
    reader = follower(chain(HALVES, starts={0: 1}), 1)  # a text begins with a: the others have -inf
    text = reader.text([1])
    assert text.logs == [-700.0]
    assert text.tops == [{0: 0.0, 1: -700.0}]


@pytest.mark.parametrize("records", [False, True])
def test_a_text_from_its_start_has_the_log_probabilities_of_viz(records):
    """A second way: all states at once, then the predictions of `viz`, mixed with the n-grams."""
    model = model_of("the cat sat on the mat\nthe dog ran\n", records=records, scale=0.4)
    reader, ids = follower(model), model.vocab.encode("the rat sat").tolist()
    assert reader.prompt("").ids == []
    expected = expectations(Sampler(model), model.vocab.encode("the rat sat"),
                            states(model, ids)["logits"])  # fmt: skip
    found = reader.text(ids)
    assert found.logs == pytest.approx((-expected.bits * np.log(2)).tolist(), abs=1e-5)
    best = [int(each[0]) for each in expected.guesses]
    assert [next(iter(top)) for top in found.tops] == best


def test_names_and_offsets_of_characters_and_bytes():
    model = model_of("a\u00e9\n")
    logs = LogProbabilities([1, 2], [-1.0, None], [{1: -1.0}, None])
    assert logs.to_json(model, 10, 1) == {
        "tokens": ["a", "\u00e9"], "token_logprobs": [-1.0, None],
        "top_logprobs": [{"a": -1.0}, None], "text_offset": [10, 11],
    }  # fmt: skip
    assert logs.to_json(model, 0, 0)["top_logprobs"] is None
    of_bytes = replace(model_of("a", is_bytes=True), vocab=ByteVocabulary())
    logs = LogProbabilities([97, 0xC3, 0xA9, 98], [None] * 4, [None] * 4)
    found = logs.to_json(of_bytes, 5, 1)
    assert found["tokens"] == ["a", "bytes:\\xc3", "bytes:\\xa9", "b"]
    assert found["text_offset"] == [5, 6, 6, 7]


def test_a_backward_model_reads_a_prompt_from_its_end():
    model = replace(chain(HALVES), metadata=Metadata(settings={"direction": "backward"}))
    prompt = follower(model).prompt("ca")
    assert prompt.ids == [0, 2]
    assert prompt.reversed().ids == [2, 0]
    assert prompt.reversed().logs[1] is None
    assert prompt.logs[1] == pytest.approx(np.log(0.25), abs=1e-6)


def test_the_check_is_called_before_each_symbol():
    model, calls = chain(HALVES), []
    reader = Follower(
        model, make_engine(model.config, model.weights), None, 1, lambda: calls.append(1)
    )
    reader.prompt("ab")
    reader.text([0, 1, 0])
    assert len(calls) == 5
