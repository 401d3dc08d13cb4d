"""Texts that match: where they end, in streams and batches, records, both directions, with all settings."""

import re
from dataclasses import replace

import numpy as np
import pytest
from chains import chain, cycle
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.checkpoints.metadata import Metadata
from charrnn.core.config import SampleConfig
from charrnn.core.errors import InputError
from charrnn.data.vocab import ByteVocabulary
from charrnn.sampling.api import stream
from charrnn.sampling.jobs import Jobs
from charrnn.sampling.sampler import Sampler

EVEN = {last: dict.fromkeys("abc", 1 / 3) for last in "abc"}
"""Every character is as likely as the others."""

LINES = {last: {"\n": 0.25, "a": 0.25, "b": 0.25, "c": 0.25} for last in "\nabc"}


def backward(model):
    return replace(model, metadata=Metadata(settings={"direction": "backward"}))


def write(model, pattern, count=40, **options):
    """Return samples, after checking that each is written alone too."""
    config = SampleConfig(match=pattern, **({"length": 12, "temperature": 1.0} | options))
    sampler = Sampler(model)
    samples = list(sampler.write(Jobs([""], [config], count, seed=5)))
    for sample in samples[:8]:
        assert sampler.sample("", config, sample.seed) == replace(sample, index=0)
    return samples


def ends(samples):
    return {(sample.text, sample.finish) for sample in samples}


# Where a text ends.


def test_a_text_ends_where_the_pattern_does():
    assert ends(write(cycle("abc", starts={0: 1}), "abca|bc")) == {("abca", "match")}
    assert ends(write(chain(EVEN, starts={0: 1, 1: 1}), "abc|bb")) == {
        ("abc", "match"), ("bb", "match"),
    }  # fmt: skip


def test_a_text_that_may_end_does_so_as_often_as_the_model_leaves_the_pattern():
    """After a, a third of all texts continues with b: P(n times b) = 2/3 (1/3)^n."""
    samples = write(chain(EVEN), "ab*", count=900)
    lengths = [sample.text.count("b") for sample in samples]
    assert {sample.finish for sample in samples} == {"match"}
    assert 555 < lengths.count(0) < 645  # 600 expected, one standard deviation is 14
    assert 158 < lengths.count(1) < 242  # 200 expected, one standard deviation is 12.5


def test_at_the_length_every_text_matches():
    samples = write(chain(EVEN), "(abc|b|ca)*", length=7)
    assert {sample.finish for sample in samples} == {"length"}
    assert all(re.fullmatch("(abc|b|ca)*", sample.text) for sample in samples)


def test_a_text_ends_early_where_no_longer_match_has_room():
    assert ends(write(chain(EVEN), "(...)+", length=8)) <= {
        (sample.text, "length") for sample in write(chain(EVEN), "(...)+", length=6)
    }


def test_an_empty_match_is_an_empty_text():
    assert ends(write(cycle("abc", starts={0: 1}), "(bc)?")) == {("", "match")}


def test_a_character_that_starts_no_line_is_drawn_if_the_pattern_asks_for_it():
    assert ends(write(cycle("abc", starts={0: 1}), "ca|cb")) == {("ca", "match")}


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.0}, {"top_k": 1}, {"top_p": 0.1}, {"min_p": 1.0}, {"no_repeat": 2},
        {"bias": (("b", 9.0),)},
    ],
    ids=str,
)  # fmt: skip
def test_filters_leave_a_character_that_matches(options):
    pattern = "c(a|c)[^b]{3}(ab)*"
    samples = write(cycle("abc", starts={0: 1}), pattern, count=10, **options)
    assert all(re.fullmatch(pattern, sample.text) for sample in samples)


def test_banned_characters_are_in_no_match():
    assert ends(write(chain(EVEN), "aa|b.|a+b", ban="b")) == {("aa", "match")}
    with pytest.raises(InputError, match="no text of the model's characters matches"):
        write(chain(EVEN), "ab|.b", ban="b")


# Records, directions, prompts.


def test_a_record_ends_at_a_newline_alone():
    """After a letter b ends nothing; a newline ends in one of three cases: [^b] has none."""
    samples = write(chain(LINES, records=True), "a[^b]*", count=300)
    assert all(re.fullmatch("a[ac]*", sample.text) for sample in samples)
    assert {sample.finish for sample in samples} == {"stop", "length"}
    assert 74 < sum(sample.text == "a" for sample in samples) < 126  # 100, a deviation is 8.2


def test_a_record_that_is_complete_ends_without_a_newline():
    assert {(len(s.text), s.finish) for s in write(chain(LINES, records=True), "[ab]{6}")} == {
        (6, "match")
    }


def test_a_backward_model_writes_matches_from_their_end():
    model = backward(cycle("abc", starts={0: 1}))
    assert ends(write(model, "cba|c+ba")) == {("cba", "match")}
    config = SampleConfig(match="b?(acb)*", length=7)
    assert Sampler(model).sample("a", config, 1).text == "bacbacb"


def test_the_prompt_is_no_part_of_the_match():
    config = SampleConfig(match="[bc]{2}", length=9)
    assert Sampler(cycle("abc")).sample("bca", config, 1).text == "bc"


def test_a_pattern_is_read_as_the_text_was():
    """A model of composed letters: e with an accent of its own is the letter é."""
    model = replace(cycle("aé"), metadata=Metadata(settings={"normalize": "nfc"}))
    assert Sampler(model).sample("a", SampleConfig(match="e\u0301a", length=9), 1).text == "éa"


def test_the_python_api_streams_a_match():
    assert "".join(stream(cycle("abc"), "a", seed=1, match="b.{3}")) == "bcab"


def test_the_likeliest_match_is_chosen():
    links = {last: {"a": 0.9, "b": 0.1} for last in "ab"}
    samples = write(chain(links, starts={0: 1}), "..b..", count=10, best_of=20)
    assert ends(samples) == {("aabaa", "match")}


def test_a_model_of_bytes_writes_whole_characters_that_match():
    """Any byte may follow any other: nearly all texts of such a model are no UTF-8."""
    model = chain({byte: {0: 1.0} for byte in range(256)}, vocab=ByteVocabulary())
    model.weights["decoder.weight"][:] = 0
    samples = write(model, r"[а-яё]{2}\w+", count=20, length=14)
    assert all(re.fullmatch(r"[а-яё]{2}\w+", sample.text) for sample in samples)
    assert all(sample.raw.decode() == sample.text for sample in samples)


# What is refused.


def test_stop_strings_are_refused_beside_a_pattern():
    config = SampleConfig(match="abc")
    with pytest.raises(InputError, match="--match and --stop"):
        Sampler(cycle("abc"), ["b"]).sample("", config, 1)
    with pytest.raises(InputError, match="--match and --stop"):
        list(Sampler(chain(LINES, records=True), ["b"]).write(Jobs([""], [config], 2, 1)))


def test_a_length_below_the_shortest_match_is_refused():
    with pytest.raises(InputError, match="has 4 characters, but --length is 3"):
        write(cycle("abc"), "abca", length=3)


PARTS = st.sampled_from(["a", "b", "c", ".", "[ab]", "[^c]", "(ab|c)", "(abc|bc)", "(a{2,3})"])
PATTERNS = st.lists(st.tuples(PARTS, st.sampled_from(["", "*", "+", "?", "{2}"])), min_size=1)


@settings(max_examples=40, deadline=None)
@given(pattern=PATTERNS, length=st.integers(1, 9), seed=st.integers(0, 99), top_k=st.integers(0, 2))
def test_whatever_the_pattern_all_texts_match(pattern, length, seed, top_k):
    regex = "".join(part + repeat for part, repeat in pattern)
    config = SampleConfig(match=regex, length=length, top_k=top_k)
    rng = np.random.default_rng(seed)
    links = {a: dict(zip("abc", rng.dirichlet([0.3] * 3) + 1e-6, strict=True)) for a in "abc"}
    sampler = Sampler(chain(links, starts={0: 1}))
    try:
        samples = list(sampler.write(Jobs([""], [config], 8, seed)))
    except InputError as error:
        assert "the shortest text that matches has" in str(error)  # noqa: PT017 - both are right
        return
    assert all(re.fullmatch(regex, sample.text) for sample in samples)
    assert all(len(sample.text) <= length for sample in samples)
