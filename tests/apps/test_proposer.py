"""Proposals from a model: the text that is read, lines, unknown characters, cancelling, memory."""

import numpy as np
import pytest
from exported_pages import TEXT, make_model

from charrnn.apps.proposer import LOOK_BACK, MOST_KNOWN, Proposer, Reader, shortened
from charrnn.apps.writing import Request
from charrnn.core.config import SampleConfig
from charrnn.data.vocab import ByteVocabulary, CharVocabulary
from charrnn.nn.numpy_engine import make_engine
from charrnn.sampling.prefill import prompt_ids
from charrnn.sampling.sampler import Sampler


def asked(before, number=1, temperature=0.8, count=4):
    return Request(before, temperature, number, count)


def proposer_of(model, length=30, **settings):
    return Proposer(model, SampleConfig(length=length, **settings), seed=1)


def proposed(model, before, length=30, **request):
    return proposer_of(model, length).propose(asked(before, **request), lambda: False)


@pytest.mark.parametrize("cell", ["lstm", "gru", "transformer"])
def test_the_coldest_proposal_is_the_text_of_sample(cell):
    changes = {"hidden_size": 12, "embedding_size": 12} if cell == "transformer" else {}
    model = make_model(cell) if not changes else transformer()
    answer = proposed(model, "the cat", temperature=0, count=3)
    (text,) = answer.texts  # one: another would be the same
    config = SampleConfig(length=30, temperature=0)
    whole = Sampler(model).sample("the cat", config, 1).text
    assert whole.startswith(text)
    assert len(text) > 5 or "\n" in whole


def transformer():
    from charrnn.nn.architecture import ModelConfig, shapes

    vocab = CharVocabulary(map(ord, TEXT))
    config = ModelConfig(
        cell="transformer", vocab_size=vocab.size, embedding_size=12, hidden_size=12, num_layers=2,
        num_heads=3, context=9,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    weights = {n: rng.normal(0, 0.6, s).astype(np.float32) for n, s in shapes(config).items()}
    from charrnn.checkpoints.model import Model

    return Model(config=config, weights=weights, vocab=vocab, records=False, starts={})


def test_proposals_are_a_function_of_seed_text_and_number():
    model = make_model()
    first = proposed(model, "the cat")
    assert len(set(first.texts)) == 4
    assert proposed(model, "the cat") == first
    assert proposed(model, "the cat", number=2) != first
    assert proposed(model, "the hat") != first


def test_a_proposal_ends_with_its_line_and_may_begin_with_line_ends():
    proposer = proposer_of(make_model(), memory_weight=1.0)  # it knows the text by heart
    for before, start in (("the cat sat on the mat", "."), ("the cat sat on the mat.", "\nthat")):
        texts = proposer.propose(asked(before), lambda: False).texts
        assert any(text.startswith(start) for text in texts)
        for text in texts:
            assert "\n" not in text.lstrip("\n ")
            assert 0 < len(text) <= 30


def test_a_text_that_is_cut_off_ends_with_a_sentence_or_a_word():
    assert shortened("It was late. He left. And th") == "It was late. He left."
    assert shortened("It was. He left and th") == "It was. He left and"
    assert shortened("“Go!” he said. Wh") == "“Go!” he said."
    assert shortened("abcdefgh") == "abcdefgh"
    assert shortened("\n\nabc def") == "\n\nabc"


def test_a_model_of_lines_reads_its_line_and_proposes_the_rest_of_it():
    model = make_model(records=True)
    proposer = proposer_of(model)
    assert proposer.known_part("the cat\nthe hat") == ("the hat", "")
    answer = proposer.propose(asked("the mat.\nthe "), lambda: False)
    again = proposer_of(model).propose(asked("the "), lambda: False)
    assert answer.texts == again.texts
    for number in range(10):
        for text in proposer.propose(asked("the ", number), lambda: False).texts:
            assert "\n" not in text or text == "\n"  # the line is complete


def test_characters_that_the_model_lacks_are_left_out_and_named():
    model = make_model()
    answer = proposed(model, "the Zürich cat €")
    assert answer.unknown == "Zrü€"
    assert answer.texts == proposed(model, "the ich cat ").texts


def test_a_letter_in_another_normal_form_is_read_in_that_of_the_model():
    text = "caf\u00e9 olé\n" * 9
    answer = proposed(make_model(text=text), "cafe\u0301")
    assert answer.unknown == ""
    assert answer.texts == proposed(make_model(text=text), "caf\u00e9").texts


def test_a_model_of_bytes_proposes_whole_characters_and_keeps_bytes_that_are_no_text():
    model = make_model(text="ab", vocab=ByteVocabulary(), order=0)
    answer = proposed(model, "Zo\u00eb \udcc3")
    assert answer.unknown == ""
    for text in answer.texts:
        raw = text.encode("utf-8", "surrogateescape")
        assert raw.decode("utf-8", "surrogateescape") == text
    cut = proposer_of(model)
    assert cut._text_of([0x61, 0xC3], is_cut=False) == "a"
    assert cut._text_of([0x61, 0xFF, 0x62], is_cut=False) == "a\udcffb"


def test_proposals_are_steered_as_texts_of_sample_are():
    model = make_model()
    free = proposer_of(model).propose(asked("the cat", count=9), lambda: False)
    assert any("t" in text for text in free.texts)
    proposer = proposer_of(model, ban="t", no_repeat=4)
    assert not any("t" in text for text in proposer.propose(asked("the cat"), lambda: False).texts)


def test_line_ends_of_windows_are_line_ends():
    proposer = proposer_of(make_model(text="a b\r\nc d\r\n" * 9))
    vocab = proposer._model.vocab
    assert proposer._text_of(vocab.encode("\r\na b").tolist(), is_cut=False) == "\na b"


def test_a_text_is_read_once_and_its_end_only():
    model = make_model()
    engine = make_engine(model.config, model.weights)
    steps = []

    class Counting:
        def empty_state(self):
            return engine.empty_state()

        def step(self, symbol, state):
            steps.append(symbol)
            return engine.step(symbol, state)

    reader = Reader(model, Counting())
    ids = prompt_ids(model, TEXT)
    logits, _ = reader.after(ids, lambda: False)
    assert len(steps) == len(ids)
    reader.after([*ids, 3], lambda: False)
    assert len(steps) == len(ids) + 1
    back, _ = reader.after(ids, lambda: False)
    assert len(steps) == len(ids) + 1
    assert np.array_equal(back, logits)
    for i in range(30):
        reader.after(ids[:i], lambda: False)
    assert len(reader._known) == MOST_KNOWN

    proposer = proposer_of(model)
    lengths = {len(proposer.known_part("a" * n)[0]) for n in range(1, 30_000, 97)}
    assert max(lengths) < 2 * LOOK_BACK
    parts = [proposer.known_part("a" * n)[0] for n in (9 * LOOK_BACK, 9 * LOOK_BACK + 7)]
    assert parts[1].startswith(parts[0])  # so that what was read need not be read again


def test_reading_and_writing_stop_when_the_text_changes():
    model, calls = make_model(), []

    def after(count):
        def is_cancelled():
            calls.append(1)
            return len(calls) > count

        return is_cancelled

    proposer = proposer_of(model)
    request = asked(TEXT)
    assert proposer.propose(request, after(10)) is None
    assert len(calls) == 11
    calls.clear()
    assert proposer.propose(request, after(len(TEXT))) is None
    assert len(calls) == len(TEXT) + 1  # it continued where it had stopped, and wrote a little
    fresh = proposer_of(model).propose(request, lambda: False)
    assert proposer.propose(request, lambda: False) == fresh
