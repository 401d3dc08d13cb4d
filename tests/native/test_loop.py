"""The compiled loop against the one in NumPy: texts, stop strings."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from charrnn.checkpoints.metadata import Metadata
from charrnn.checkpoints.model import Model
from charrnn.core.config import SampleConfig
from charrnn.data.vocab import CharVocabulary
from charrnn.native.arrays import as_bfloat16, is_bfloat16, packed
from charrnn.ngram.counts import runs_of
from charrnn.ngram.model import build as build_ngrams
from charrnn.ngram.word_model import WordModel, count_words
from charrnn.ngram.words import Words
from charrnn.nn.architecture import ModelConfig, shapes
from charrnn.nn.native import NativeEngine
from charrnn.sampling.jobs import Jobs
from charrnn.sampling.native import NativeLoop
from charrnn.sampling.sampler import Sampler

V = 27
RNG = np.random.default_rng(5)
IDS = np.cumsum(RNG.integers(0, 4, 3000)).astype(np.uint8) % V


def make_model(cell, *, has_memory=True, records=False):
    config = ModelConfig(cell=cell, vocab_size=V, embedding_size=5, hidden_size=19, num_layers=2)
    rng = np.random.default_rng(3)
    weights = {n: rng.normal(0, 0.7, s).astype(np.float32) for n, s in shapes(config).items()}
    codes = range(97, 97 + V) if not records else [10, *range(97, 96 + V)]
    return Model(
        config=config, weights=weights, vocab=CharVocabulary(codes), records=records,
        starts={2: 3, 5: 1}, memory=build_ngrams(runs_of(IDS), V, 5) if has_memory else None,
    )  # fmt: skip


def samplers(library, model, stops=(), added=()):
    """Return a compiled and a NumPy sampler of a model."""
    pair = Sampler(model, stops, added=added), Sampler(model, stops, added=added)
    engine = NativeEngine(library, model.config, model.weights)
    assert engine.arrays.is_half == (model.precision == "bf16")
    pair[0]._loop = NativeLoop(engine, model, pair[0].stops)
    assert [sampler.engine for sampler in pair] == ["compiled loop", "loop in NumPy"]
    return pair


SETTINGS = [
    {}, {"temperature": 0.0}, {"temperature": 0.4}, {"top_k": 3}, {"top_p": 0.7},
    {"min_p": 0.2}, {"top_k": 9, "top_p": 0.8, "min_p": 0.05}, {"memory_weight": 0.6},
    {"memory_weight": 0.0}, {"ban": "aei", "bias": (("z", 1.5),)},
    {"no_repeat": 3, "temperature": 0.4}, {"no_repeat": 2, "ban": "b", "top_p": 0.8},
]  # fmt: skip


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_texts_of_100_seeds_are_those_of_numpy(library, cell, settings):
    config = SampleConfig(length=25, **settings)
    ours, numpys = samplers(library, make_model(cell), ["cba", "hg"])
    pairs = [
        pair
        for prompts in ([""], ["abcabd", "z"])
        for jobs in [Jobs(prompts, [config], 100 // len(prompts), 1)]
        for pair in zip(ours.write(jobs), numpys.write(jobs), strict=True)
    ]
    assert sum(a == b for a, b in pairs) >= len(pairs) - 1  # one draw may be on a rounding edge
    singles = [
        (ours.sample("ab", config, seed), numpys.sample("ab", config, seed)) for seed in range(8)
    ]
    assert all(a == b for a, b in singles)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_rounded_weights_in_16_bits_write_the_texts_of_numpy(library, cell):
    config, model = SampleConfig(length=25), make_model(cell).rounded("bf16")
    ours, numpys = samplers(library, model, ["cba", "hg"])
    jobs = Jobs(["", "ab"], [config], 50, 1)
    texts, expected = list(ours.write(jobs)), list(numpys.write(jobs))
    assert sum(a == b for a, b in zip(texts, expected, strict=True)) >= len(jobs) - 1
    assert {each.precision for each in texts} == {"bf16"}
    plain = samplers(library, make_model(cell), ["cba", "hg"])[0].write(jobs)
    assert [each.text for each in plain] != [each.text for each in texts]
    assert [ours.sample("ab", config, each.seed).text for each in texts[50:]] == [
        each.text for each in texts[50:]
    ]


@pytest.mark.parametrize("own_order", [None, 2, 5])
def test_added_memories_are_mixed_in_as_in_numpy(library, own_order):
    """Their contexts may be longer or shorter than those of the model's own memory."""
    own = build_ngrams(runs_of(IDS), V, own_order) if own_order else None
    others = [
        build_ngrams(runs_of(IDS[::-1][:900].copy()), V, 4).weighted(0.5),
        build_ngrams(runs_of(IDS[:900] // 2), V, 3).weighted(0.2),
    ]
    model, config = replace(make_model("lstm"), memory=own), SampleConfig(length=25)
    ours, numpys = samplers(library, model, ["cba", "hg"], others)
    jobs = Jobs(["", "abcabd"], [config], 50, 1)
    texts, expected = list(ours.write(jobs)), list(numpys.write(jobs))
    assert sum(a == b for a, b in zip(texts, expected, strict=True)) >= len(jobs) - 1
    plain = samplers(library, model, ["cba", "hg"])[0].write(jobs)
    assert sum(a.text == b.text for a, b in zip(texts, plain, strict=True)) < len(jobs) / 4
    singles = [each.sample("ab", config, seed) for seed in range(8) for each in (ours, numpys)]
    assert singles[::2] == singles[1::2]


@pytest.mark.parametrize("weight", [None, 0.0, 1.0])
def test_texts_of_a_memory_that_knows_words_are_those_of_numpy(library, weight):
    each, texts = np.arange(V, dtype=np.int32), runs_of(IDS)
    words = Words(np.where(each % 6 == 1, -1 - each, np.where(each % 6 == 3, each - 1, each)))
    memory = WordModel(build_ngrams(texts, V, 4).orders, words, count_words(texts, words))
    others = [build_ngrams(runs_of(IDS[:900] // 2), V, 5).weighted(0.2)]
    model = replace(make_model("lstm"), memory=memory)
    config = SampleConfig(length=40, memory_weight=weight)
    for added in ((), others):
        ours, numpys = samplers(library, model, ["cba", "hg"], added)
        jobs = Jobs(["", "abcabdz" * 3], [config], 50, 1)
        texts, expected = list(ours.write(jobs)), list(numpys.write(jobs))
        assert sum(a == b for a, b in zip(texts, expected, strict=True)) >= len(jobs) - 1
        singles = [e.sample("abcbz", config, seed) for seed in range(8) for e in (ours, numpys)]
        assert singles[::2] == singles[1::2]


def test_numbers_are_rounded_to_the_nearest_of_bfloat16_and_ties_to_even():
    """bfloat16 has 8 significant bits: steps of 1/128 from 1 to 2, of 1/64 from 2 to 4."""
    step = 1 / 128
    pairs = [
        (1, 1), (-1.5, -1.5), (0, 0), (1 + step, 1 + step),
        (1 + step / 2, 1), (1 + step * 3 / 2, 1 + 2 * step),
        (1 + step * 0.51, 1 + step), (1 + step * 0.49, 1), (-1 - step * 0.51, -1 - step),
        (2 - step / 2, 2), (2 + step, 2), (2 + 3 * step, 2 + 4 * step),
    ]  # fmt: skip
    numbers, expected = np.array(pairs, dtype=np.float32).T
    assert not is_bfloat16(numbers)
    rounded = as_bfloat16(numbers)
    assert rounded.tolist() == expected.tolist()
    assert is_bfloat16(rounded)
    random = RNG.normal(0, 1, 1000).astype(np.float32)
    torchs = torch.from_numpy(random).bfloat16().float().numpy()
    assert as_bfloat16(random).tobytes() == torchs.tobytes()


def test_two_columns_of_a_panel_share_32_bits():
    """1.0 is 0x3f80 in bfloat16, -2.0 is 0xc000."""
    panel = np.zeros((1, 1, 32), dtype=np.float32)
    panel[0, 0, 3], panel[0, 0, 19] = 1.0, -2.0
    assert packed(panel).tolist() == [[[0, 0, 0, 0xC0003F80, *[0] * 12]]]


@pytest.mark.parametrize("window", [5, 40, 10_000])
def test_repeats_are_found_as_far_back_as_in_numpy(library, monkeypatch, window):
    monkeypatch.setattr("charrnn.steering.repeats.WINDOW", window)
    ours, numpys = samplers(library, make_model("lstm"), ["cbacba"])
    config = SampleConfig(length=90, temperature=0.3, no_repeat=4)
    jobs = Jobs(["abcd" * 9, "z", ""], [config], 5, 1)
    assert list(ours.write(jobs)) == list(numpys.write(jobs))
    plain = ours.write(Jobs(["abcd" * 9], [SampleConfig(length=90, temperature=0.3)], 5, 1))
    assert [each.text for each in plain] != [each.text for each in ours.write(jobs)][:5]


def test_a_start_whose_characters_are_all_banned_is_that_of_numpy(library):
    ours, numpys = samplers(library, make_model("gru"))
    jobs = Jobs([""], [SampleConfig(length=3, ban="cf", bias=(("m", 1.0),))], 100, 1)
    texts = list(ours.write(jobs))
    assert texts == list(numpys.write(jobs))
    assert not set("".join(each.text for each in texts)) & set("cf")
    assert len({each.text[0] for each in texts}) > 9


def test_a_text_depends_on_its_seed_alone(library):
    ours, _ = samplers(library, make_model("lstm"), ["d"])
    config = SampleConfig(length=60)
    together = list(ours.write(Jobs(["a"], [config], 20, 1)))
    alone = [ours.sample("a", config, each.seed) for each in together]
    assert [a.text for a in together] == [a.text for a in alone]
    assert {a.finish for a in together} == {"stop", "length"}


def test_prompts_of_any_length_are_read_side_by_side(library):
    ours, numpys = samplers(library, make_model("gru"))
    prompts = ["a", "abcd" * 40, "fed", "xyzzy" * 26]  # more than one call reads
    jobs = Jobs(prompts, [SampleConfig(length=12)], 3, 1)
    assert list(ours.write(jobs)) == list(numpys.write(jobs))


def test_a_record_ends_at_its_newline(library):
    ours, numpys = samplers(library, make_model("gru", records=True))
    jobs = Jobs([""], [SampleConfig(length=40)], 50, 1)
    texts = list(ours.write(jobs))
    assert texts == list(numpys.write(jobs))
    assert any(each.finish == "stop" and "\n" not in each.text for each in texts)


def test_a_backward_model_writes_the_texts_of_numpy(library):
    model = replace(make_model("lstm"), metadata=Metadata(settings={"direction": "backward"}))
    ours, numpys = samplers(library, model, ["cba", "hg"])
    jobs = Jobs(["", "abcabd"], [SampleConfig(length=25)], 20, 1)
    assert list(ours.write(jobs)) == list(numpys.write(jobs))
    assert ours.sample("ab", SampleConfig(), 3).is_backward


class Enough(Exception):
    """Raised by a check."""


def test_a_variant_has_other_stop_strings_and_is_checked_between_blocks(library):
    ours, numpys = samplers(library, make_model("lstm"), ["cba"])
    config, calls = SampleConfig(length=3000), []
    variant = ours.variant(["b"], lambda: calls.append(1))
    assert variant._loop.network is ours._loop.network
    for prompt in ("", "ab"):
        pair = (variant.sample(prompt, config, 1), numpys.variant(["b"]).sample(prompt, config, 1))
        assert pair[0] == pair[1]
        assert pair[0].finish == "stop"
    assert ours._loop._check is None
    long = ours.variant(["no such text"], lambda: calls.append(1))
    calls.clear()
    assert len(long.sample("ab", SampleConfig(length=100), 1).text) == 100
    assert len(calls) >= 4  # blocks of 8, 16, 32 ... symbols

    def stop():
        raise Enough

    with pytest.raises(Enough):
        list(ours.variant([], stop).write(Jobs(["a", "b"], [config], 1, 1)))


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_the_likeliest_texts_are_those_of_numpy_with_their_losses(library, cell):
    """Texts are read again by the compiled network; a state that is read from does not change."""
    ours, numpys = samplers(library, make_model(cell))
    jobs = Jobs(["", "abca"], [SampleConfig(length=12, best_of=6)], 4, 1)
    pairs = list(zip(ours.write(jobs), numpys.write(jobs), strict=True))
    assert [a.text for a, _ in pairs] == [b.text for _, b in pairs]
    assert [a.loss for a, _ in pairs] == pytest.approx([b.loss for _, b in pairs], abs=1e-5)
    assert ours._rereading is not ours.prefill


PATTERNS = ["[a-f]{3}(g|h)*", "(.{2,5}a)+", "b[^b]*b|c+", ".*"]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("records", [False, True])
def test_texts_that_match_are_those_of_numpy(library, pattern, records):
    """With the same reasons to end: the pattern, the newline of a record, the length."""
    ours, numpys = samplers(library, make_model("gru", records=records))
    config = SampleConfig(length=17, match=pattern, ban="d", no_repeat=4, temperature=1.5)
    jobs = Jobs(["", "ab"], [config], 50, 1)
    pairs = list(zip(ours.write(jobs), numpys.write(jobs), strict=True))
    assert sum(a == b for a, b in pairs) >= len(pairs) - 1  # one draw may be on a rounding edge
    assert all(re.fullmatch(pattern, a.text) and "d" not in a.text for a, _ in pairs)
    for seed in range(8):
        assert ours.sample("ab", config, seed) == numpys.sample("ab", config, seed)
