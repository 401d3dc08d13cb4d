"""Losses: known models, hand counts, and one single pass as the reference."""

import math

import numpy as np
import pytest
import torch
from ngrams import distribution
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from charrnn import __version__
from charrnn.core.config import TrainConfig
from charrnn.data.corpus import load_corpus
from charrnn.data.records import find_records
from charrnn.data.vocab import CharVocabulary, num_bytes
from charrnn.evaluation import loss as loss_module
from charrnn.evaluation import protocols
from charrnn.evaluation.loss import (
    Score,
    bits_per_char,
    make_figures,
    score,
    signature,
    symbol_losses,
)
from charrnn.evaluation.protocols import COLD, STREAMED, Protocol, by_record, cold, streamed
from charrnn.ngram.context import ContextTracker
from charrnn.ngram.counts import runs_of
from charrnn.ngram.gate import mix
from charrnn.ngram.model import build
from charrnn.nn.architecture import ModelConfig
from charrnn.nn.model import make_network
from charrnn.nn.network import initialise

V = 11


@pytest.fixture
def model():
    network = make_network(
        ModelConfig(cell="lstm", vocab_size=V, embedding_size=5, hidden_size=7, num_layers=1)
    )
    initialise(network, 0)
    with torch.no_grad():
        network.decoder.weight.mul_(40)  # so that what was read before matters
    return network


def text(length):
    return np.random.default_rng(1).integers(0, V, length).astype(np.uint8)


def uniform(model):
    with torch.no_grad():
        model.decoder.weight.zero_()
        model.decoder.bias.zero_()
    return model


def single_pass(model, ids):
    """The reference: the whole text as one stream, one loss a character."""
    with torch.no_grad():
        logits, _ = model(torch.tensor(ids[None, :-1].astype(np.int64)), model.empty_state(1))
    targets = torch.tensor(ids[1:].astype(np.int64))
    return torch.nn.functional.cross_entropy(logits[0], targets).item()


def test_a_uniform_model_costs_log_v(model):
    found = score(uniform(model), streamed(text(1000)))
    assert found.loss == pytest.approx(math.log(V), abs=1e-6)


@pytest.mark.parametrize("length", [2, 3, 255, 512, 513, 1024, 1025, 5003, 40_007])
def test_n_characters_give_n_minus_one_predictions(model, length):
    assert score(model, streamed(text(length))).chars == length - 1


@pytest.mark.parametrize("length", [300, 5003, 40_007])
def test_streamed_is_within_a_thousandth_of_one_single_pass(model, length):
    ids = text(length)
    assert score(model, streamed(ids)).loss == pytest.approx(single_pass(model, ids), abs=1e-3)


def test_a_part_is_the_same_share_of_each_piece(model):
    found = score(model, streamed(text(40_007), 3200))
    assert found.chars == 32 * 100


def test_the_last_row_of_a_short_text_ends_where_the_text_does(model):
    ids = text(512 * 3 + 100)  # three pieces; the last is shorter
    assert score(model, streamed(ids)).chars == 512 * 3 + 99


def test_records_are_scored_from_an_empty_state_with_their_ends(model):
    ids = np.array([3, 4, 0, 5, 0, 6, 7, 8], dtype=np.uint8)  # 0 is the newline
    records, _ = find_records(ids, newline=0)
    total = 0.0
    for record in ([3, 4], [5], [6, 7, 8]):
        line = np.array([0, *record, 0])
        total += single_pass(model, line) * (len(record) + 1)
    found = score(model, by_record(ids, records, newline=0))
    assert found.chars == 3 + 2 + 4
    assert found.loss == pytest.approx(total / 9, abs=1e-5)


@pytest.mark.parametrize(("most", "chars"), [(9, 9), (8, 5), (5, 5), (4, 3), (3, 3), (2, 0)])
def test_the_first_records_are_scored_that_fit_with_their_ends(most, chars):
    ids = np.array([3, 4, 0, 5, 0, 6, 7, 8], dtype=np.uint8)
    records, _ = find_records(ids, newline=0)
    assert sum(b.num_chars for b in by_record(ids, records, 0, most)) == chars


@pytest.mark.parametrize("length", [40, 3000])
def test_a_mix_costs_what_both_probabilities_say(model, length):
    memory = build(runs_of(text(900)), V, 3)
    memory.weight = 0.4
    ids = text(length + 7)[7:]
    found = score(uniform(model), streamed(ids), memory)
    # The network says 1/V of everything; the memory is asked symbol by symbol, with more of what
    # was before than it knows.
    remembered = [distribution(memory, ids[max(0, i - 9) : i])[ids[i]] for i in range(1, len(ids))]
    expected = -np.log(0.6 / V + 0.4 * np.array(remembered)).mean()
    assert found.loss == pytest.approx(expected, abs=1e-6)
    assert found.network == pytest.approx(math.log(V), abs=1e-6)


class Float64Devices(TorchDispatchMode):
    """Notes the devices of all float64 results."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        tensors = [each for each in tree_leaves(result) if isinstance(each, torch.Tensor)]
        self.seen |= {each.device.type for each in tensors if each.dtype == torch.float64}
        return result


def test_float64_numbers_are_only_where_the_device_has_them(model, monkeypatch):
    """On mps they must be elsewhere; here "meta", which has no numbers to return, is elsewhere."""
    monkeypatch.setattr(loss_module, "float64_device", lambda device: torch.device("meta"))
    with pytest.raises(NotImplementedError), Float64Devices() as devices:
        score(model, streamed(text(60)))
    assert devices.seen == {"meta"}
    losses = next(symbol_losses(model, streamed(text(60)), build(runs_of(text(900)), V, 3)))
    assert (losses.mix.device.type, losses.weight.device.type) == ("meta", "meta")


def test_without_a_memory_both_losses_are_one(model):
    found = score(model, streamed(text(60)))
    assert found.loss == found.network


def test_each_record_begins_without_context_for_the_memory_too(model):
    ids = np.array([1, 2, 3, 0, 1, 2, 0, 5, 0], dtype=np.uint8)
    records, _ = find_records(ids, 0)
    memory = build(runs_of(text(900)), V, 3)
    memory.weight = 0.4
    found = score(uniform(model), by_record(ids, records, 0), memory)
    texts = [[0, 1, 2, 3, 0], [0, 1, 2, 0], [0, 5, 0]]
    remembered = [distribution(memory, t[:i])[t[i]] for t in texts for i in range(1, len(t))]
    assert found.loss == pytest.approx(-np.log(0.6 / V + 0.4 * np.array(remembered)).mean())


def test_a_mix_by_its_own_judgement_costs_what_the_sampler_would_draw_from(model):
    memory = build(runs_of(text(900)), V, 3)
    ids = text(50)[7:]
    found = score(model, streamed(ids), memory)
    with torch.no_grad():
        logits, _ = model(torch.from_numpy(ids[None].astype(np.int64)), model.empty_state(1))
    costs = []
    for i in range(1, len(ids)):
        reader = ContextTracker(memory, 1)
        reader.read(ids[None, :i])
        scores = mix(logits[:, i - 1].numpy(), memory.predict(reader.contexts, reader.lengths))
        costs.append(-scores[0, ids[i]])
    assert found.loss == pytest.approx(np.mean(costs), abs=1e-5)


@pytest.mark.parametrize("together", [1, 7 * V, 12 * V])
def test_a_memory_that_is_asked_in_chunks_says_the_same(model, monkeypatch, together):
    memory = build(runs_of(text(900)), V, 3)
    whole = score(model, cold(text(60), 10), memory)
    monkeypatch.setattr("charrnn.ngram.model.ASKED_TOGETHER", together)  # 50 places in all
    found = score(model, cold(text(60), 10), memory)
    assert (found.loss, found.weight) == pytest.approx((whole.loss, whole.weight), abs=1e-9)


@pytest.mark.parametrize(("asked", "is_whole"), [(0, False), (2, False), (3, True)])
def test_a_stop_counts_before_each_batch_and_not_behind_the_last(
    model, monkeypatch, asked, is_whole
):
    monkeypatch.setattr(protocols, "TOGETHER", 2 * 8)  # three batches of two windows
    answers = iter([False] * asked + [True])
    stop = loss_module._until(lambda: next(answers), cold(text(49), 8))
    if is_whole:
        assert len(list(stop)) == 3
    else:
        with pytest.raises(loss_module._Stopped):
            list(stop)


# Cold windows.


@pytest.mark.parametrize(("length", "windows"), [(9, 1), (16, 1), (17, 2), (111, 13)])
def test_cold_windows_are_as_many_as_fit(model, length, windows):
    assert score(model, cold(text(length), 8)).chars == 8 * windows
    assert Protocol(8).num_predictions(length) == 8 * windows


def test_each_cold_window_begins_with_an_empty_state_and_no_context(model):
    memory, ids = build(runs_of(text(900)), V, 3), text(60)[7:]
    memory.weight = 0.4
    found = score(model, cold(ids, 8), memory)
    network = mixed = 0.0
    for begin in range(0, 48, 8):  # 53 characters: six windows of 8 predictions
        window = ids[begin : begin + 9]
        network += 8 * single_pass(model, window)
        with torch.no_grad():
            inputs = torch.from_numpy(window[None, :-1].astype(np.int64))
            logits, _ = model(inputs, model.empty_state(1))
        for i in range(8):
            p = torch.softmax(logits[0, i], 0)[window[i + 1]].item()
            q = distribution(memory, window[: i + 1])[window[i + 1]]
            mixed -= math.log(0.6 * p + 0.4 * q)
    assert found.network == pytest.approx(network / 48, abs=1e-5)
    assert found.loss == pytest.approx(mixed / 48, abs=1e-5)
    assert found.weight == pytest.approx(0.4)


def test_windows_of_a_second_batch_begin_with_an_empty_state_too(model, monkeypatch):
    ids = text(6 * 8 + 1)
    together = score(model, cold(ids, 8))
    monkeypatch.setattr(protocols, "TOGETHER", 2 * 8)  # three batches of two windows
    assert len(list(cold(ids, 8))) == 3
    found = score(model, cold(ids, 8))
    assert (found.loss, found.chars) == (pytest.approx(together.loss, abs=1e-6), 48)
    with torch.no_grad():  # a model that keeps its state would say something else
        carried, _ = model(torch.from_numpy(ids[None, :-1].astype(np.int64)), model.empty_state(1))
    kept = torch.nn.functional.cross_entropy(carried[0], torch.from_numpy(ids[1:].astype(np.int64)))
    assert abs(kept.item() - found.loss) > 1e-4


# Units.


def test_a_uniform_model_costs_log2_v_bits_and_a_perplexity_of_v(model):
    ids = text(1000)
    vocab = CharVocabulary(range(97, 97 + V))
    found = score(uniform(model), cold(ids, 8))
    figures = make_figures(found, Protocol(8), vocab, ids, "any")
    assert figures.bits_per_char == pytest.approx(math.log2(11), abs=1e-6)
    assert figures.bits_per_byte == pytest.approx(math.log2(11), abs=1e-6)
    assert figures.perplexity == pytest.approx(11, abs=1e-4)
    assert figures.memory == 0


def test_bits_per_byte_count_a_character_as_long_as_it_is_in_utf8(model):
    vocab = CharVocabulary([0x61, 0xE9, 0x20AC, 0x1F600])  # 1, 2, 3 and 4 bytes
    ids = np.array([0, 1, 2, 3] * 5, dtype=np.uint8)
    assert num_bytes(vocab, ids) == 50
    figures = make_figures(Score(math.log(2), 1.0, 19, 0.0), STREAMED, vocab, ids, "any")
    assert (figures.bits_per_char, figures.bits_per_byte) == pytest.approx((1, 20 / 50))


def test_a_signature_names_all_that_a_figure_depends_on():
    memory = build(runs_of(text(900)), V, 3)
    memory.weight = 0.25
    assert signature(COLD, memory, split="last-0.1", precision="fp32", seed=3) == (
        f"split:last-0.1|state:empty|W:256|precision:fp32|memory:3*0.25|seed:3|charrnn:{__version__}"
    )
    assert signature(STREAMED, None, split="file", precision="bf16", seed=0) == (
        f"split:file|state:carried|W:-|precision:bf16|memory:off|seed:0|charrnn:{__version__}"
    )


def test_bytes_count_their_bits_over_decoded_characters(tmp_path):
    path = tmp_path / "bytes.txt"
    path.write_text("é" * 500 + "a" * 500, encoding="utf-8")
    corpus = load_corpus([path], TrainConfig(bytes=True, val_frac=0.6))
    # held out: 900 bytes, the last 500 of them "a", the first 400 are 200 times é
    assert len(corpus.val) == 900
    assert bits_per_char(math.log(2), corpus.vocab, corpus.val) == pytest.approx(900 / 700)


def test_bytes_that_are_no_text_have_no_bits_per_character(tmp_path):
    path = tmp_path / "noise.bin"
    path.write_bytes(bytes(range(256)) * 10)
    corpus = load_corpus([path], TrainConfig(bytes=True))
    assert bits_per_char(1.0, corpus.vocab, corpus.val) is None


def test_a_memory_goes_along_where_the_last_batch_has_fewer_rows(model, monkeypatch):
    memory = build(runs_of(text(900)), V, 3)
    whole = score(model, cold(text(60), 10), memory)
    monkeypatch.setattr(protocols, "TOGETHER", 2 * 10)  # windows: two, two and one
    found = score(model, cold(text(60), 10), memory)
    assert (found.loss, found.weight) == pytest.approx((whole.loss, whole.weight), abs=1e-6)


@pytest.mark.parametrize("length", [512 * 3 + 100, 300])
def test_as_many_characters_as_there_are_is_all_of_them(length):
    ids = text(length)
    for most in (length - 1, length, None):
        assert sum(batch.num_chars for batch in streamed(ids, most)) == length - 1
    assert sum(batch.num_chars for batch in streamed(ids, length - 2)) < length - 1
