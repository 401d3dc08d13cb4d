"""Products of models, by hand arithmetic and against single models."""

from dataclasses import replace

import numpy as np
import pytest
from architectures import small
from unigram_models import unigram

from charrnn.checkpoints.metadata import Metadata
from charrnn.checkpoints.model import Model
from charrnn.core.config import SampleConfig
from charrnn.core.errors import InputError
from charrnn.data.vocab import ByteVocabulary, CharVocabulary
from charrnn.mixing.product import multiplied
from charrnn.ngram.counts import runs_of
from charrnn.ngram.model import build
from charrnn.nn.architecture import shapes
from charrnn.sampling.jobs import Jobs
from charrnn.sampling.sampler import Sampler


def p_of(model, engine, text):
    """Return the probabilities by character after a text, of one stream, and of a batch of two."""
    ids = model.vocab.encode(text).tolist()
    single, batch = engine.empty_state(), engine.empty_state(2)
    for i in ids:
        logits, single = engine.step(i, single)
        both, batch = engine.step(np.array([i, i]), batch)
        assert both == pytest.approx(np.stack([logits, logits]), abs=1e-5)
    p = np.exp(logits) / np.exp(logits).sum()
    return dict(zip(model.vocab.decode(range(model.vocab.size)), p.tolist(), strict=True))


def random_model(cell, letters="\nabcdefghij", seed=41, **more):
    config = small(cell, hidden_size=9, vocab_size=len(letters))
    rng = np.random.default_rng(seed)
    weights = {n: rng.normal(0, 0.4, s).astype(np.float32) for n, s in shapes(config).items()}
    own = {"vocab": CharVocabulary(map(ord, letters)), "records": False, "starts": {}} | more
    return Model(config=config, weights=weights, **own)


def with_memory(model, order=3):
    ids = (np.random.default_rng(5).integers(0, 4, 900) ** 2).astype(np.uint8)
    return replace(model, memory=build(runs_of(ids), model.vocab.size, order))


def texts(model, prompt="ab", engine=None, num=6):
    """Return texts written side by side, and one that is written alone."""
    sampler, config = Sampler(model, ["cd"], engine=engine), SampleConfig(length=40)
    several = [each.text for each in sampler.write(Jobs([prompt], [config], num, 3))]
    return [*several, sampler.sample(prompt, config, 9).text]


def test_probabilities_are_multiplied_to_the_power_of_their_weights():
    """sqrt(0.5 0.08) = 0.2, sqrt(0.5 0.72) = 0.6; with 0.2 the others' share: 0.2 + 0.6 = 0.8."""
    first, second = unigram({"a": 0.5, "b": 0.5}), unigram({"a": 0.1, "b": 0.9})
    model, engine = multiplied(first, [(second, 0.5)])
    wanted = {"a": np.sqrt(0.05), "b": np.sqrt(0.45)}  # 1 to 3
    assert p_of(model, engine, "ab") == pytest.approx({"a": 0.25, "b": 0.75}, abs=1e-6)
    assert wanted["b"] / wanted["a"] == pytest.approx(3)


def test_the_weight_is_that_of_the_other_model():
    """0.8^0.75 0.5^0.25 to 0.2^0.75 0.5^0.25 is 4^0.75 = 2.828 to 1."""
    first, second = unigram({"a": 0.8, "b": 0.2}), unigram({"a": 0.5, "b": 0.5}, cell="gru")
    p = p_of(*multiplied(first, [(second, 0.25)]), "a")
    assert p["a"] / p["b"] == pytest.approx(4**0.75, rel=1e-5)


def test_each_model_takes_its_weight_from_all_before_it():
    """Weights 0.25, 0.25 and 0.5: 16^0.25 * 1^0.25 * 9^0.5 = 2 * 3."""
    models = [unigram({"a": n / (n + 1), "b": 1 / (n + 1)}) for n in (16, 1, 9)]
    p = p_of(*multiplied(models[0], [(models[1], 0.5), (models[2], 0.5)]), "b")
    assert p["a"] / p["b"] == pytest.approx(6, rel=1e-5)


def test_characters_that_one_model_lacks_share_the_probability_of_one():
    """The first lacks c and d, the second a: 1/2 / 2 each, and 1/3.

    a: sqrt(1/2 1/3), b: sqrt(1/2 1/2), c and d: sqrt(1/4 1/4); squares 2/12, 3/12, 3/48.
    """
    first = unigram({"a": 0.5, "b": 0.5})
    second = unigram({"b": 0.5, "c": 0.25, "d": 0.25}, cell="lstm", hidden_size=5)
    p = p_of(*multiplied(first, [(second, 0.5)]), "abcda")
    whole = np.sqrt(1 / 6) + 0.5 + 0.25 + 0.25
    wanted = {"a": np.sqrt(1 / 6) / whole, "b": 0.5 / whole, "c": 0.25 / whole, "d": 0.25 / whole}
    assert p == pytest.approx(wanted, abs=1e-6)


def test_a_model_times_itself_is_the_model(cell):
    model = with_memory(random_model(cell))
    for other in (model, replace(model, vocab=model.vocab)):
        product, engine = multiplied(model, [(other, 0.3)])
        assert texts(product, engine=engine) == texts(model)


def test_a_weight_of_one_is_the_other_model(cell):
    first, second = random_model("gru", seed=1), with_memory(random_model(cell))
    product, engine = multiplied(first, [(second, 1.0)])
    assert texts(product, engine=engine) == texts(second)


def test_a_character_that_a_model_lacks_is_not_read(cell):
    first, second = random_model("rnn", "\nabcdefghijxy"), with_memory(random_model(cell))
    product, engine = multiplied(first, [(second, 1.0)])
    known = p_of(product, engine, "abca")
    assert p_of(product, engine, "axbcyaxx") == pytest.approx(known, abs=1e-6)
    batch = engine.empty_state(2)
    for pair in ("ax", "xa", "bb"):  # the rows have read the same
        logits, batch = engine.step(product.vocab.encode(pair), batch)
    assert logits[0] == pytest.approx(logits[1], abs=1e-5)


def test_a_text_without_newline_begins_as_lines_of_all_models_do():
    first, second = unigram({"a": 0.5, "b": 0.5}), unigram({"b": 0.5, "c": 0.5})
    product, engine = multiplied(first, [(replace(second, starts={1: 3}), 0.5)])
    assert product.starts == {0: 1, 2: 3}
    sampler = Sampler(product, engine=engine)
    config = SampleConfig(length=1, temperature=1.0)
    written = [each.text for each in sampler.write(Jobs([""], [config], 400, 1))]
    assert set(written) == {"a", "c"}
    assert 260 < written.count("c") < 340  # 300 expected, one standard deviation is 8.7


def test_the_weight_of_the_memory_is_that_of_the_first_model():
    first, second = with_memory(random_model("gru")), with_memory(random_model("rnn", seed=2))

    def written(model, *weight):
        product, engine = multiplied(model, [(second, 0.5)], *weight)
        return texts(product, engine=engine)

    assert written(first, 0.0) == written(replace(first, memory=None)) != written(first)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"metadata": Metadata(settings={"direction": "backward"})}, "direction"),
        ({"records": True}, "kind"),
        ({"vocab": ByteVocabulary()}, "unit"),
    ],
)
def test_models_of_another_kind_are_refused(change, word):
    model = random_model("rnn")
    with pytest.raises(InputError, match=f"the two models differ in {word}"):
        multiplied(model, [(replace(model, **change), 0.5)])
