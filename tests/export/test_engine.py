"""The engine in the page against NumPy: logits, n-grams, mixture, filters, draws, texts."""

import itertools

import numpy as np
import pytest
from exported_pages import TEXT, asked, make_model

from charrnn.checkpoints.metadata import Metadata
from charrnn.core.config import SampleConfig
from charrnn.data.records import find_records
from charrnn.data.vocab import ByteVocabulary, CharVocabulary
from charrnn.export.model import CELLS
from charrnn.ngram.context import StreamMixer
from charrnn.ngram.counts import records_of
from charrnn.ngram.model import build
from charrnn.nn.numpy_engine import make_engine
from charrnn.sampling.filters import apply_filters, draw
from charrnn.sampling.jobs import uniforms
from charrnn.sampling.sampler import Sampler
from charrnn.viz.origins import contexts_before, mixture_shares

FROM_START = 60


@pytest.fixture(params=CELLS)
def cell(request):
    """Each cell that a page runs."""
    return request.param


def arrays(answer):
    return np.array(answer, dtype=np.float64)


def read_by_numpy(model, ids):
    """Return the logits of the network and of the mixture after each symbol, (T, V) each."""
    engine = make_engine(model.config, model.weights)
    state, mixer = engine.empty_state(), StreamMixer([model.memory], [])
    logits, scores = [], []
    for symbol in ids:
        each, state = engine.step(symbol, state)
        mixer.read(symbol)
        logits.append(each)
        scores.append(mixer.mixed(each))
    return np.array(logits), np.array(scores)


def test_logits_and_mixture_are_those_of_numpy(cell):
    """Within 1e-4 with the same rounded weights; the gate's weights come from one place."""
    model = make_model(cell)
    ids = [int(i) for i in model.vocab.encode(TEXT + TEXT[::-1])]
    logits, scores = asked(model, ["logits", ids], ["scores", ids])
    network, mixture = read_by_numpy(model, ids)
    assert np.abs(arrays(logits) - network).max() < 1e-5
    assert np.abs(arrays(scores) - mixture).max() < 1e-4
    assert np.abs(mixture - network).max() > 0.1  # the memory has a say


def test_a_fixed_weight_takes_the_place_of_the_gate():
    model = make_model()
    model.memory.weight = 0.25
    ids = [int(i) for i in model.vocab.encode(TEXT[:50])]
    (scores,) = asked(model, ["scores", ids])
    assert np.abs(arrays(scores) - read_by_numpy(model, ids)[1]).max() < 1e-4


@pytest.mark.parametrize("weight", [None, 0.25])
def test_the_share_of_the_memory_is_that_of_explain(weight):
    model = make_model()
    model.memory.weight = weight
    ids = model.vocab.encode(TEXT[:50])
    (shares,) = asked(model, ["shares", ids.tolist()])
    logits = read_by_numpy(model, ids.tolist())[0][:-1]
    contexts, lengths = contexts_before([model.memory], ids[:1], ids[1:])
    expected = mixture_shares(logits, [model.memory], contexts, lengths, ids[1:])
    assert shares == pytest.approx(expected[1].tolist(), abs=1e-3)
    assert max(shares) - min(shares) > 0.05


def of_lines(order):
    """Return the n-gram memory of the lines of the text, each a text of its own."""
    vocab = make_model().vocab
    ids = vocab.encode(TEXT + "mat\nsad hat\n")
    texts = records_of(ids, find_records(ids, vocab.newline)[0], vocab.newline)
    return build(texts, vocab.size, order)


@pytest.mark.parametrize("order", [1, 2, 5])
@pytest.mark.parametrize("is_of_lines", [False, True])
def test_keys_and_counts_arrive_as_they_are(order, is_of_lines):
    """The tree has the symbols of all keys, in order, and each context's range of followers.

    What begins a line is counted; it is not the number of distinct symbols before it.
    """
    model = make_model(order=order)
    model = make_model(memory=of_lines(order)) if is_of_lines else model
    (levels,) = asked(model, ["levels"])
    assert len(levels) == order + 1
    ones = np.uint64((1 << model.memory.bits) - 1)
    for (firsts, symbols, counts), each in zip(levels, model.memory.orders, strict=True):
        assert symbols == (each.keys & ones).tolist()
        assert counts == each.counts.tolist()
        sizes = np.unique(each.keys >> np.uint64(model.memory.bits), return_counts=True)[1]
        assert [size for size in np.diff(firsts).tolist() if size] == sizes.tolist()


FILTERS = [
    {"temperature": t, "top_k": k, "top_p": p, "min_p": m}
    for t, k, p, m in itertools.product((0.0, 0.7, 1.3), (0, 1, 4), (1.0, 0.6), (0.0, 0.1))
]


def in_page(values):
    return {
        "temperature": values["temperature"], "topK": values["top_k"], "topP": values["top_p"],
        "minP": values["min_p"],
    }  # fmt: skip


def test_filters_and_draws_are_those_of_sample():
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, 12).astype(np.float32)
    logits[3] = logits[7]  # a tie
    model = make_model()
    answers = asked(model, *(["filtered", logits.tolist(), in_page(each)] for each in FILTERS))
    numpy_draws, page_draws = [], []
    for values, answer in zip(FILTERS, answers, strict=True):
        expected = apply_filters(logits, SampleConfig(**values))
        found = [-np.inf if x is None else x for x in answer]
        assert found == pytest.approx(expected.tolist(), abs=1e-6), values
        for uniform in (0.0, 0.3, 0.999999):
            numpy_draws.append(draw(expected, uniform))
            page_draws.append(["draw", answer, uniform])
    assert asked(model, *page_draws) == numpy_draws


def first_uniforms(seed, count):
    return list(itertools.islice(uniforms(seed), count))


@pytest.mark.parametrize("prompt", ["", "the hat"])
def test_the_text_for_given_uniforms_is_that_of_sample(cell, prompt):
    model, values = make_model(cell), {"temperature": 0.9, "top_k": 9, "top_p": 0.95, "min_p": 0.01}
    (text,) = asked(model, ["write", prompt, in_page(values), first_uniforms(5, 200)])
    config = SampleConfig(length=200, **values)
    assert text == Sampler(model).sample(prompt, config, 5).text


@pytest.mark.parametrize("prompt", ["", "the cat sat on the mat. the cat s"])
def test_a_text_without_repeats_is_that_of_sample(monkeypatch, prompt):
    """At a temperature at which the model loops; a window of 150 symbols forgets the rest."""
    monkeypatch.setattr("charrnn.steering.repeats.WINDOW", 150)
    monkeypatch.setattr("charrnn.export.page.WINDOW", 150)
    model, values = make_model(), {"temperature": 0.3}
    requests = (["write", prompt, values | {"noRepeat": n}, first_uniforms(5, 400)] for n in (0, 1))
    plain, steered = asked(model, *requests)
    for text, shortest in ((plain, 0), (steered, 12)):
        config = SampleConfig(length=400, no_repeat=shortest, **values)
        assert text == Sampler(model).sample(prompt, config, 5).text
    assert plain != steered


def test_a_text_without_newlines_begins_as_its_lines_begin():
    """Counts of 2 and 1: a uniform of 0.6 draws the first symbol, 0.7 the second, none the third."""
    model = make_model(text="abcab")
    (start,), *texts = [
        asked(model, ["start"]),
        *asked(model, *(["write", "", {"temperature": 1}, [u]] for u in (0.6, 0.7, 0.999))),
    ]
    assert start[:2] == pytest.approx(np.log([2, 1]).tolist())
    assert start[2] is None
    assert texts == ["a", "b", "b"]


def test_each_line_of_a_model_of_lines_begins_anew():
    """After a newline the scores are those of an empty text, whatever was before."""
    model = make_model(records=True)
    once, again = asked(model, ["edited", ["cat\n"]], ["edited", ["a mat said the hat\ncat\n"]])
    assert once[1][1] == again[1][1]
    text = Sampler(model).sample("th", SampleConfig(length=50), 8).text
    (written,) = asked(model, ["write", "th", {"temperature": 0.8}, first_uniforms(8, 50)])
    assert written.split("\n")[0] == text


def test_an_edited_text_is_read_as_if_it_were_new():
    """Kept states, activations and guesses are those of the last version, wherever it changed."""
    versions = [TEXT, TEXT[:70], TEXT[:70] + "hat", "the " + TEXT, "the cat"]
    versions += [TEXT[:33] + TEXT[40:], TEXT[:40] + TEXT[50:]]  # from a kept state on
    for model in (make_model(), make_model("gru", records=True)):
        edited, fresh = asked(model, ["edited", versions])[0]
        assert edited == fresh


def test_guesses_are_the_likeliest_and_the_symbol_that_is_there():
    model = make_model()
    ids = [int(i) for i in model.vocab.encode("the cat")]
    scores = read_by_numpy(model, ids[:3])[1][-1]
    shares = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    guesses = asked(model, ["edited", ["the cat"]])[0][0][3]
    best = np.argsort(-shares)[:5]
    assert [each["id"] for each in guesses["best"]] == best.tolist()
    assert [each["share"] for each in guesses["best"]] == pytest.approx(
        shares[best].tolist(), abs=1e-5
    )
    assert guesses["here"]["name"] == "␣ space"
    assert guesses["here"]["share"] == pytest.approx(shares[ids[3]], abs=1e-5)


# --- characters


def test_what_the_model_lacks_is_read_as_what_it_has():
    vocab = CharVocabulary(map(ord, "abce\u0301'\"-.\n "))
    model = make_model(text="abc\n", vocab=vocab)
    (found,) = asked(model, ["encode", "A\u00e9’“…x\U0001f600b"])
    read = [vocab.decode([i]) for i in found["ids"]]
    assert "".join(read) == "ae\u0301'\"...b"
    assert found["offsets"] == [0, 1, 1, 2, 3, 4, 4, 4, 8]
    assert found["unknown"] == ["x", "\U0001f600"]


def test_bytes_are_shown_as_whole_characters():
    model = make_model(text="plain", vocab=ByteVocabulary())
    found, shown = asked(model, ["encode", "é€"], ["decode", [195, 169, 226, 130, 172, 255, 65]])
    assert found["ids"] == [195, 169, 226, 130, 172]
    assert found["offsets"] == [0, 0, 1, 1, 1]
    assert shown == ["", "é", "", "", "€", "\ufffd", "A"]


@pytest.mark.parametrize(("text", "ids"), [("a\r\nb\r\n", [2, 1, 0, 3]), ("a\rb\r", [1, 0, 2])])
def test_line_ends_are_those_of_the_text_of_the_model(text, ids):
    """The page has LF only; ids follow the order of the characters."""
    model = make_model(text=text * 3, metadata=Metadata(settings={"newlines": "keep"}))
    found, shown = asked(model, ["encode", "a\nb"], ["decode", ids])
    assert found["ids"] == ids
    assert "".join(shown) == "a\nb"
