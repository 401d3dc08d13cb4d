"""Prompts: which ids are read, and the logits and state after them."""

import numpy as np
import pytest

from charrnn.checkpoints.model import Model
from charrnn.core.errors import InputError
from charrnn.data.vocab import ByteVocabulary, CharVocabulary
from charrnn.nn.architecture import ModelConfig, shapes
from charrnn.nn.numpy_engine import make_engine
from charrnn.sampling.prefill import Prefill, prompt_ids, start_logits


def make_model(characters="\nab", *, vocab=None, records=False, starts=None):
    vocab = vocab or CharVocabulary(map(ord, characters))
    config = ModelConfig(
        cell="lstm", vocab_size=vocab.size, embedding_size=4, hidden_size=5, num_layers=2
    )
    rng = np.random.default_rng(3)
    weights = {n: rng.normal(0, 0.5, s).astype(np.float32) for n, s in shapes(config).items()}
    return Model(config=config, weights=weights, vocab=vocab, records=records, starts=starts or {})


def prefill(model):
    return Prefill(model, make_engine(model.config, model.weights))


@pytest.mark.parametrize(
    ("prompt", "records", "expected"),
    [("ab", False, [1, 2]), ("", False, [0]), ("ab", True, [0, 1, 2]), ("", True, [0])],
)
def test_a_record_and_a_text_without_a_prompt_start_after_a_newline(prompt, records, expected):
    assert prompt_ids(make_model(records=records), prompt) == expected


def test_without_a_newline_in_the_vocabulary_nothing_is_read_before_a_text():
    assert prompt_ids(make_model("abc"), "") == []


def test_a_prompt_of_bytes_is_read_byte_by_byte():
    assert prompt_ids(make_model(vocab=ByteVocabulary()), "é") == [0xC3, 0xA9]


def test_an_unknown_character_of_a_prompt_is_refused():
    with pytest.raises(InputError, match="'c'"):
        prompt_ids(make_model(), "abc")


def test_start_logits_are_the_logs_of_how_often_a_symbol_starts_a_line():
    logits = start_logits(make_model("abc", starts={0: 1, 2: 8}))
    assert np.exp(logits).tolist() == pytest.approx([1, 0, 8])


def test_where_nothing_is_read_the_state_is_empty_and_the_logits_are_those_of_starts():
    model = make_model("abc", starts={0: 1, 2: 8})
    for logits, state in (prefill(model).one(""), prefill(model).many([""])):
        assert logits.reshape(3).tolist() == start_logits(model).tolist()
        assert all(not part.any() for part in state.arrays().values())


def test_prompts_of_different_lengths_are_read_as_each_alone():
    model, prompts = make_model(records=True), ["ab", "", "abba", "ab", "b"]
    reader = prefill(model)
    logits, state = reader.many(prompts)
    assert logits.shape == (5, 3)
    for row, prompt in enumerate(prompts):
        alone, alone_state = reader.one(prompt)
        np.testing.assert_allclose(logits[row], alone, atol=1e-6)
        for part, alone_part in zip(
            state.arrays().values(), alone_state.arrays().values(), strict=True
        ):
            np.testing.assert_allclose(part[:, row], alone_part, atol=1e-6)


def test_the_same_prompts_are_read_once():
    model = make_model()
    reader = prefill(model)
    logits, _ = reader.many(["ab", "b"])
    reader.engine = None  # a second reading would fail
    again, _ = reader.many(["ab", "b", "ab"])
    assert again.tolist() == [logits[0].tolist(), logits[1].tolist(), logits[0].tolist()]


def test_a_change_of_what_is_returned_does_not_reach_the_cache():
    reader = prefill(make_model())
    logits, state = reader.many(["ab"])
    kept = logits.copy(), state.map(np.copy).arrays()
    logits[:] = 7
    for part in state.arrays().values():
        part[:] = 7
    again, state = reader.many(["ab"])
    assert again.tolist() == kept[0].tolist()
    assert all((part == kept[1][name]).all() for name, part in state.arrays().items())
