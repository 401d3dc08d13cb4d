"""The likeliest of several texts, and how likely the characters of a text are."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from chains import chain, cycle
from ngrams import distribution

from charrnn.checkpoints.metadata import Metadata
from charrnn.core.config import SampleConfig
from charrnn.data.vocab import ByteVocabulary
from charrnn.ngram.counts import runs_of
from charrnn.ngram.model import build
from charrnn.sampling.api import stream
from charrnn.sampling.jobs import Job, Jobs
from charrnn.sampling.likelihood import candidates, losses, predictions, written_ids
from charrnn.sampling.sampler import Sampler

COIN = {"a": {"a": 0.8, "b": 0.2}, "b": {"a": 0.8, "b": 0.2}}
"""Whatever came before, a has the probability 0.8."""

CONFIG = SampleConfig(length=6, temperature=1.0, best_of=8)


def read(model, texts, prompt="a", memories=()):
    ids = [model.vocab.encode(text) for text in texts]
    return losses(Sampler(model).prefill, memories, [prompt] * len(texts), ids)


# How likely a text is.


def test_the_loss_of_a_text_is_the_mean_of_its_characters():
    expected = [-np.log(0.8), -(2 * np.log(0.8) + np.log(0.2)) / 3, 0]
    assert read(chain(COIN), ["aaaa", "aba", ""]) == pytest.approx(expected, abs=1e-6)


def test_a_loss_does_not_depend_on_the_texts_beside_it():
    model = chain(COIN)
    together = read(model, ["aab", "b", "bbbba"])
    assert together == [read(model, [text])[0] for text in ("aab", "b", "bbbba")]


def test_the_n_gram_memory_is_mixed_in():
    model = replace(chain(COIN), memory=build(runs_of(np.array([0, 1] * 40)), 2, order=2))
    memory = model.memory.weighted(1.0)
    p = distribution(memory, [0])[1]
    assert read(model, ["b"], memories=[memory]) == pytest.approx([-np.log(p)], abs=1e-5)


def test_predictions_name_the_texts_that_have_a_further_character():
    model = chain(COIN)
    texts = [np.array([0, 1, 1]), np.array([0])]
    rows = [r.tolist() for r, _ in predictions(Sampler(model).prefill, (), ["a", "b"], texts)]
    assert rows == [[0, 1], [0], [0]]


# The choice.


def test_of_the_candidates_the_likeliest_is_written():
    """A text is the likelier the fewer b it has; the candidates can be written alone."""
    sampler = Sampler(chain(COIN))
    for index, best in enumerate(sampler.write(Jobs(["a"], [CONFIG], 5, seed=3))):
        job = Jobs(["a"], [CONFIG], 5, seed=3)[index]
        alone = replace(CONFIG, best_of=1)
        jobs = [replace(each, config=alone) for each in candidates([job])]
        tried = [sample.text for sample in sampler.write(jobs)]
        assert len(set(tried)) > 1
        assert best.text == min(tried, key=lambda text: text.count("b"))
        assert (best.index, best.seed, best.best_of) == (index, job.seed, 8)
        expected = -np.log(0.8) + best.text.count("b") / 6 * np.log(4)
        assert best.loss == pytest.approx(expected, abs=1e-6)


def test_a_text_depends_on_its_seed_alone():
    sampler = Sampler(chain(COIN))
    for sample in sampler.write(Jobs(["a", "b"], [CONFIG], 3, seed=3), batch_size=5):
        assert sampler.sample(sample.prompt, CONFIG, sample.seed) == replace(sample, index=0)


def test_no_two_texts_share_a_candidate():
    """Nor do texts of calls with adjacent seeds."""
    seeds = [job.seed for job in candidates(Job(0, seed, "", CONFIG) for seed in range(1, 51))]
    assert len(set(seeds)) == 50 * 8
    own = {job.seed for job in Jobs([""], [CONFIG], 50, seed=1)}
    assert own & set(seeds) == {1}


def test_an_empty_text_is_chosen_only_if_all_are():
    line = chain(
        {"\n": {"\n": 0.9, "a": 0.1}, "a": {"\n": 0.5, "b": 0.5}, "b": {"\n": 1.0}}, records=True
    )
    config = replace(CONFIG, best_of=30)
    (best,) = Sampler(line).write([Job(0, 5, "", config)])
    assert best.text in ("a", "ab")
    (none,) = Sampler(cycle("\n", records=True)).write([Job(0, 5, "", config)])
    assert (none.text, none.loss) == ("", None)


def test_the_characters_come_when_the_text_is_chosen():
    model = chain(COIN)
    text = "".join(stream(model, "a", seed=4, length=6, temperature=1.0, best_of=8))
    assert text == Sampler(model).sample("a", CONFIG, 4).text


@pytest.mark.parametrize(("direction", "text"), [("forward", "bcabca"), ("backward", "acbacb")])
def test_ids_are_read_in_the_order_in_which_they_were_written(direction, text):
    model = replace(cycle("abc"), metadata=Metadata(settings={"direction": direction}))
    (sample,) = Sampler(model).write([Job(0, 5, "a", CONFIG)])
    assert sample.text == text
    assert written_ids(sample, model).tolist() == [1, 2, 0, 1, 2, 0]
    assert sample.loss == pytest.approx(0, abs=1e-6)


def test_bytes_are_read_as_they_are():
    flip = {255: {0: 0.5, 255: 0.5}, 0: {0: 0.9, 255: 0.1}}
    model = chain(flip, vocab=ByteVocabulary())
    (sample,) = Sampler(model).write([Job(0, 5, "\0", CONFIG)])
    pairs = itertools.pairwise(b"\0" + sample.raw)
    p = {(0, 0): 0.9, (0, 255): 0.1, (255, 0): 0.5, (255, 255): 0.5}
    assert sample.loss == pytest.approx(-np.mean([np.log(p[pair]) for pair in pairs]), abs=1e-5)
