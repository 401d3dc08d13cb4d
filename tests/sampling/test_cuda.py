"""What is written on a device is what NumPy writes; here the device is the CPU, or a GPU."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from architectures import small
from graph_rules import no_waiting

from charrnn.checkpoints.metadata import Metadata
from charrnn.checkpoints.model import Model
from charrnn.core.config import SampleConfig
from charrnn.data.vocab import ByteVocabulary, CharVocabulary
from charrnn.ngram.context import ContextTracker
from charrnn.ngram.counts import runs_of
from charrnn.ngram.cuda import DeviceNgrams, Gate
from charrnn.ngram.gate import mix
from charrnn.ngram.model import build
from charrnn.ngram.word_model import WordModel, count_words
from charrnn.ngram.words import Words
from charrnn.nn.architecture import ModelConfig, shapes
from charrnn.sampling.batch_texts import LEAST_ROWS, rows_for
from charrnn.sampling.cuda import DeviceSampler, draw, filtered
from charrnn.sampling.filters import apply_filters, probabilities
from charrnn.sampling.jobs import Jobs
from charrnn.sampling.sampler import Sampler

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
LETTERS = "\nabcdefghij"


@pytest.fixture(params=DEVICES)
def device(request):
    return torch.device(request.param)


def random_model(cell, *, vocab=None, scale=0.15, **more):
    vocab = vocab or CharVocabulary(map(ord, LETTERS))
    config = small(cell, vocab_size=vocab.size, hidden_size=33)
    rng = np.random.default_rng(41)
    weights = {n: rng.normal(0, scale, s).astype(np.float32) for n, s in shapes(config).items()}
    return Model(
        config=config, weights=weights, vocab=vocab, **{"records": False, "starts": {}} | more,
    )  # fmt: skip


def with_memory(model, order=3):
    rng = np.random.default_rng(5)
    ids = rng.integers(0, 4, 2000) * rng.integers(0, 2, 2000)
    dtype = np.uint8
    return replace(model, memory=build(runs_of(ids.astype(dtype)), model.vocab.size, order))


def with_words(model, order=3):
    """Return a model whose memory knows words; every third symbol is no part of one."""
    memory, each = with_memory(model, order).memory, np.arange(model.vocab.size, dtype=np.int32)
    ids = np.random.default_rng(5).integers(0, 4, 2000).astype(np.uint8)
    words = Words(np.where(each % 3 == 2, -1 - each, each))
    counts = count_words(runs_of(ids), words)
    return replace(model, memory=WordModel(memory.orders, words, counts))


def many(sampler, prompt, config, seed, num_samples):
    """Return samples of one prompt and config."""
    return sampler.write(Jobs([prompt], [config], num_samples, seed))


def texts(samples):
    return [(sample.text, sample.finish, sample.seed) for sample in samples]


def assert_same_texts(model, device, prompt="ab", stops=(), num_samples=7, added=(), **settings):
    config = SampleConfig(**{"length": 70} | settings)
    expected = texts(many(Sampler(model, stops, added=added), prompt, config, 3, num_samples))
    sampler = DeviceSampler(model, stops, device, tf32=False, added=added)
    sampler.batch_size = 4  # so that there are several batches
    assert texts(many(sampler, prompt, config, 3, num_samples)) == expected


def test_texts_are_those_of_numpy(cell, device):
    assert_same_texts(random_model(cell), device)


def test_so_they_are_with_a_memory(cell, device):
    assert_same_texts(with_memory(random_model(cell)), device)
    assert_same_texts(with_memory(random_model(cell)), device, memory_weight=0.3)


def test_so_they_are_with_a_memory_that_knows_words(device):
    ids = np.random.default_rng(9).integers(3, 9, 500).astype(np.uint8)
    added = [build(runs_of(ids), 11, 4).weighted(0.4)]
    for settings in ({}, {"memory_weight": 1.0}, {"added": added}, {"prompt": "cabcab"}):
        assert_same_texts(with_words(random_model("lstm")), device, **settings)


def test_so_they_are_with_the_memories_of_other_texts(device):
    ids = np.random.default_rng(9).integers(3, 9, 500).astype(np.uint8)
    added = [build(runs_of(ids), 11, order).weighted(0.4) for order in (2, 4)]
    for model in (random_model("lstm"), with_memory(random_model("gru"))):
        assert_same_texts(model, device, added=added)
        assert_same_texts(model, device, prompt="", added=added, stops=["ab", "c"])


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.0},
        {"temperature": 1.7, "top_k": 3},
        {"top_p": 0.6, "min_p": 0.0},
        {"top_k": 5, "top_p": 0.9, "min_p": 0.1},
        {"length": 1},
        {"length": 0},
        {"length": 32},
        {"length": 33},
        {"ban": "ab\n", "bias": (("c", 1.0), ("cd", -2.0))},
        {"no_repeat": 2, "temperature": 0.3},
        {"no_repeat": 4, "ban": "a", "top_p": 0.9, "temperature": 0.2},
    ],
)
def test_so_they_are_with_every_filter_and_length(device, settings):
    assert_same_texts(with_memory(random_model("lstm")), device, **settings)


@pytest.mark.parametrize("window", [7, 10_000])
def test_so_they_are_with_repeats_as_far_back_as_the_window(device, window, monkeypatch):
    monkeypatch.setattr("charrnn.steering.repeats.WINDOW", window)
    model = random_model("lstm")
    for prompt in ("", "abcabcabcd" * 3):
        assert_same_texts(model, device, prompt=prompt, no_repeat=3, temperature=0.2)


@pytest.mark.parametrize("pattern", ["[a-f]{3}(g|h)*", "(.{2,5}a)+", "a*", "[^ab]{40,}", ".*"])
@pytest.mark.parametrize("records", [False, True])
def test_so_they_are_where_they_match_a_pattern(device, pattern, records):
    model = random_model("gru", records=records)
    how = {"match": pattern, "ban": "d", "no_repeat": 4, "temperature": 1.5}
    for prompt in ("", "ab"):
        assert_same_texts(model, device, prompt=prompt, num_samples=20, **how)


def test_so_they_are_where_all_starts_are_banned(device):
    model = random_model("gru", vocab=CharVocabulary(map(ord, "abcdefghij")), starts={1: 2, 3: 1})
    assert_same_texts(model, device, prompt="", ban="bd", bias=(("e", 1.0),), num_samples=20)


def test_so_they_are_with_stop_strings_and_records(device):
    assert_same_texts(random_model("gru"), device, stops=["ab", "c"])
    assert_same_texts(random_model("lstm", records=True), device, prompt="")


def test_so_they_are_from_the_end_to_the_start(device):
    backward = random_model("gru", metadata=Metadata(settings={"direction": "backward"}))
    assert_same_texts(with_memory(backward), device, prompt="abj", stops=["ab", "c"])


def test_so_they_are_where_the_first_character_is_drawn_from_the_starts(device):
    vocab = CharVocabulary(map(ord, "abcdefg"))
    model = random_model("lstm", vocab=vocab, starts={1: 3, 2: 1})
    assert_same_texts(model, device, prompt="")
    assert_same_texts(with_memory(model), device, prompt="")


def test_so_they_are_for_bytes_whose_keys_fill_all_64_bits(device):
    model = random_model("lstm", vocab=ByteVocabulary(), scale=0.1)
    ids = np.random.default_rng(7).choice(np.array([1, 128, 254, 255], dtype=np.uint8), 3000)
    model = replace(model, memory=build(runs_of(ids), 256, 7))
    assert model.memory.order == 7
    assert_same_texts(model, device, prompt="\udcff\udcfe\udc80", memory_weight=0.9)


def test_so_they_are_with_a_memory_of_orders_without_keys(device):
    model = random_model("gru")
    model = replace(model, memory=build(runs_of(np.array([1, 2], dtype=np.uint8)), 11, 5))
    assert not len(model.memory.orders[-1].keys)
    assert_same_texts(model, device)


def test_one_sampler_may_write_with_many_settings_and_prompts(device):
    model = with_memory(random_model("lstm"))
    sampler, numpy = DeviceSampler(model, (), device, tf32=False), Sampler(model)
    sampler.batch_size = 4
    tries = (
        ("a", 0.5, None),
        ("bc", 0.5, None),
        ("a", 1.0, 0.9),
        ("a", 0.5, 0.0),
        ("a", 0.5, None),
    )
    for prompt, temperature, weight in tries:
        config = SampleConfig(length=40, temperature=temperature, memory_weight=weight)
        found, expected = (texts(many(each, prompt, config, 1, 3)) for each in (sampler, numpy))
        assert found == expected


@pytest.mark.parametrize("memory", [False, True])
def test_texts_of_many_prompts_are_those_of_numpy(device, memory):
    """Prompts of 0 to 6 characters side by side, at two temperatures, in rows of 4."""
    model = with_memory(random_model("lstm")) if memory else random_model("lstm")
    configs = [SampleConfig(length=40, temperature=t) for t in (0.5, 1.0)]
    jobs = Jobs(["ab", "", "abaabc", "b", "ab"], configs, 2, seed=5)
    sampler = DeviceSampler(model, (), device, tf32=False)
    sampler.batch_size = 4
    found, expected = (texts(each.write(jobs.since(0))) for each in (sampler, Sampler(model)))
    assert found == expected


def test_rows_follow_from_the_vocabulary():
    configs = [small("lstm", vocab_size=V, hidden_size=512) for V in (2, 65, 1024, 5000, 65535)]
    assert [rows_for(config) for config in configs] == [4096, 4096, 4096, 838, 64]
    sizes = {"embedding_size": 192, "hidden_size": 192, "num_heads": 3, "context": 256}
    transformer = ModelConfig(cell="transformer", vocab_size=65, num_layers=4, **sizes)
    rings, before, position = 4 * 2 * 256 * 192, 4 * 192, 1
    assert rows_for(transformer) == (1 << 28) // (rings + before + position)


def test_few_texts_are_written_in_a_small_batch(device, monkeypatch):
    rows, config = [], SampleConfig(length=3)
    sampler = DeviceSampler(random_model("rnn"), (), device, tf32=False)
    make = DeviceSampler._generator
    monkeypatch.setattr(
        DeviceSampler, "_generator", lambda self, c, n, s: rows.append(n) or make(self, c, n, s)
    )
    alone = texts(many(sampler, "ab", config, 3, LEAST_ROWS))
    together = texts(many(sampler, "ab", config, 3, LEAST_ROWS + 1))
    assert rows == [LEAST_ROWS, 4096]
    assert together[:LEAST_ROWS] == alone


def test_a_draw_at_the_very_end_is_the_last_symbol(device):
    """A number below 1 never reaches the sum, by rounding neither; 1 itself or infinity would."""
    weights = torch.tensor([[0.3, 0.7], [1.0, 0.1], [1.0, np.inf]], device=device)
    numbers = torch.tensor([1.0, np.nextafter(1, 0), 0.5], dtype=torch.float64, device=device)
    assert draw(weights, numbers).tolist() == [1, 1, 1]


def test_a_single_text_needs_no_batch(device):
    model, config = random_model("lstm"), SampleConfig(length=50)
    expected = Sampler(model).sample("ab", config, 11)
    assert DeviceSampler(model, (), device, tf32=False).sample("ab", config, 11) == expected
    nothing = SampleConfig(length=0)
    assert DeviceSampler(model, (), device, tf32=False).sample("ab", nothing, 11).text == ""


def test_a_memory_says_what_it_says_in_numpy(device):
    memory = with_memory(random_model("rnn")).memory
    reader = ContextTracker(memory, 6)
    reader.read(np.random.default_rng(3).integers(0, 4, (6, 9)))
    reader.lengths[:3] = [0, 1, 2]
    said = memory.predict(reader.contexts, reader.lengths)
    p, sure = DeviceNgrams(memory, device).predict(
        torch.from_numpy(reader.contexts.astype(np.int64))[:, None].to(device),
        torch.from_numpy(reader.lengths).to(device),
    )
    np.testing.assert_allclose(p.cpu(), said.p, rtol=1e-12)
    np.testing.assert_array_equal(sure.cpu(), [said.order, said.total, said.followers])
    logits = np.random.default_rng(1).normal(size=p.shape).astype(np.float32)
    for weight in (None, 0.25):
        mixed = Gate(weight, device).mixed(torch.from_numpy(logits).to(device), p, sure)
        np.testing.assert_allclose(mixed.cpu(), mix(logits, said, weight), atol=2e-5)


@pytest.mark.parametrize("top_k", [0, 3])
@pytest.mark.parametrize("top_p", [1.0, 0.7])
@pytest.mark.parametrize("min_p", [0.0, 0.1])
@pytest.mark.parametrize("temperature", [0.0, 0.8, 1e-320, 1e300])
def test_filters_leave_what_numpys_leave(device, temperature, top_k, top_p, min_p):
    config = SampleConfig(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    logits = np.random.default_rng(9).normal(0, 3, (20, 12)).astype(np.float32)
    weights = filtered(torch.from_numpy(logits).to(device), config).cpu().numpy()
    expected = probabilities(apply_filters(logits, config))
    np.testing.assert_allclose(weights / weights.sum(1, keepdims=True), expected, atol=1e-6)


@pytest.mark.gpu
def test_a_graph_continues_the_texts_from_before_its_capture():
    """Capturing runs the steps several times; none of them may be seen in the texts."""
    assert_same_texts(with_memory(random_model("lstm")), torch.device("cuda"), length=200)


@pytest.mark.gpu
def test_a_replay_waits_for_nothing():
    sampler = DeviceSampler(with_memory(random_model("lstm")), (), torch.device("cuda"))
    generator = sampler._generator(SampleConfig(), 64)
    generator.start([[1, 2]], np.zeros(11, np.float32))
    numbers = np.full((32, 64), 0.5)
    generator._launch(numbers)
    torch.cuda.synchronize()
    with no_waiting():
        exchange = generator._launch(numbers)
    assert (generator._result(exchange) < 11).all()


@pytest.mark.gpu
def test_tf32_leaves_most_texts_as_they_are_at_first():
    """Logits differ by about 0.001: of 8 characters nearly all are those of a CPU."""
    model, config = random_model("lstm"), SampleConfig(length=8)
    found = texts(many(DeviceSampler(model, (), torch.device("cuda")), "ab", config, 3, 200))
    expected = texts(many(Sampler(model), "ab", config, 3, 200))
    assert sum(a == b for a, b in zip(found, expected, strict=True)) > 180


@pytest.mark.gpu
def test_two_gpus_write_in_one_process():
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    for name in ("cuda:0", "cuda:1", "cuda:0"):
        assert_same_texts(random_model("gru"), torch.device(name))
