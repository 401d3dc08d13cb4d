"""What a reader predicts, against reading one symbol after the other."""

import numpy as np
import pytest
from infill_models import model_of, read
from ngrams import distribution

from charrnn.core.errors import InputError
from charrnn.infill.reader import Rows, log_unigrams, readers
from charrnn.ngram.context import StreamMixer
from charrnn.ngram.gate import log_probabilities
from charrnn.nn.numpy_engine import make_engine

TEXT = "The king is dead.\nLong live the king!\nHe is here.\n" * 8


def one_by_one(model, ids):
    """Return the log-probabilities before each symbol and after the last, (T + 1, V)."""
    engine, newline = make_engine(model.config, model.weights), model.vocab.newline
    rows = []
    for end in range(len(ids) + 1):
        given = ids[:end].tolist()
        if model.records and newline in given:
            given = given[len(given) - given[::-1].index(newline) :]
        given = [newline, *given]
        mixer, state = StreamMixer([model.memory], given), engine.empty_state(2)
        for symbol in given:
            logits, state = engine.step(np.array([symbol] * 2), state)
        rows.append(log_probabilities(mixer.mixed(logits[0])))
    return np.array(rows)


@pytest.mark.parametrize("records", [False, True])
def test_it_predicts_what_reading_one_by_one_predicts(records):
    """In pieces of 64, each after 128 symbols: a random network forgets what is before."""
    model = model_of(TEXT, records=records, scale=0.3)
    (reader, _), ids = read(model, TEXT[:150])
    wanted = one_by_one(model, ids)
    assert reader.logs(ids, 0, 151) == pytest.approx(wanted, abs=1e-4)
    assert reader.logs(ids, 140, 151) == pytest.approx(wanted[140:151], abs=1e-4)


@pytest.mark.parametrize("records", [False, True])
def test_continuations_are_predicted_as_the_text_is(records):
    model = model_of(TEXT, records=records, scale=0.3)
    (reader, _), ids = read(model, TEXT[:40])
    wanted, rows = reader.logs(ids, 30, 41), Rows(reader, ids[:30], 3)
    for t in range(10):
        assert rows.logs() == pytest.approx(np.tile(wanted[t], (3, 1)), abs=1e-4)
        rows.read(np.full(3, ids[30 + t]))


def test_the_backward_reader_predicts_the_symbol_before():
    """Before "ing" in "king" comes k; before the end of the text, ".\\n", comes e."""
    model = model_of(TEXT)
    _, reader = readers(model)
    _, ids = read(model, "ing!")
    logs = reader.logs(ids[::-1], 0, 5)
    assert model.vocab.decode([int(logs[4].argmax())]) == "k"


def test_a_context_of_a_line_begins_at_its_newline():
    model = model_of("ab\nb\n", records=True)
    (reader, _), ids = read(model, "ab\nb")
    packed, lengths = reader.contexts(ids)
    assert lengths.tolist() == [1, 2, 3, 1, 2]
    p = reader.predict(packed, lengths).p
    for row, context in zip(p, ["\n", "\na", "\nab", "\n", "\nb"], strict=True):
        assert row == pytest.approx(distribution(model.memory, model.vocab.encode(context)))


def test_unigrams_are_shares_of_the_text():
    """Order 1 of "aab": its keys hold all symbols but the first, a and b once each."""
    model = model_of("aab", order=1)
    shares = np.exp(log_unigrams(model.memory))  # of \\n, a, b; half a count is added to each
    assert shares == pytest.approx(np.array([0.5, 1.5, 1.5]) / 3.5)


def test_a_model_without_n_grams_is_refused():
    model = model_of("aab", order=0)
    with pytest.raises(InputError, match="no n-gram memory"):
        readers(model)
