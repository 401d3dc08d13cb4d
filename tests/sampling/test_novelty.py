"""Which texts are new beside a corpus."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from charrnn.checkpoints.model import Model
from charrnn.core.config import ModelConfig, shapes
from charrnn.core.errors import InputError
from charrnn.data.vocab import ByteVocabulary, CharVocabulary
from charrnn.sampling.copies import Novelty
from charrnn.sampling.jobs import Sample


def model(vocab, records=True):
    config = ModelConfig(
        cell="rnn", vocab_size=vocab.size, embedding_size=2, hidden_size=3, num_layers=1
    )
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes(config).items()}
    return Model(config=config, weights=weights, vocab=vocab, records=records, starts={}, facts={})


LETTERS = model(CharVocabulary(map(ord, "\nAanësZo ")))


def sample(text, prompt=""):
    return Sample(
        index=0, seed=1, prompt=prompt, text=text, raw=text.encode(), finish="stop", temperature=1.0
    )


def are_new(corpus, *samples, of=LETTERS):
    Path("corpus.txt").write_text(corpus, encoding="utf-8", newline="")
    return Novelty(Path("corpus.txt"), of).are_new(samples)


def test_a_record_is_new_unless_it_is_a_whole_line():
    found = are_new("Anna\nZoë", sample("Anna"), sample("Ann"), sample("Zoë"), sample("Annas"))
    assert found == [False, True, False, True]


def test_nothing_is_nothing_new():
    assert are_new("Anna\nZoë\n", sample("")) == [False]


def test_its_prompt_is_part_of_it():
    assert are_new("Anna\n", sample("na", "An"), sample("na")) == [False, True]


def test_lines_end_as_the_model_has_read_them():
    assert are_new("Anna\r\nZoë\r\n", sample("Anna"), sample("Zoë")) == [False, False]


def test_lines_are_found_across_files_and_blocks(monkeypatch):
    Path("two").mkdir()
    Path("two/1.txt").write_text("An\nnas", encoding="utf-8")
    Path("two/2.txt").write_text("Zoë\n", encoding="utf-8")
    novelty = Novelty(Path("two"), LETTERS)
    assert novelty.are_new([sample("nas"), sample("Zoë"), sample("nasZoë")]) == [False, False, True]


def test_bytes_are_compared_as_bytes():
    of = model(ByteVocabulary())
    assert are_new("Zoë\n", sample("Zoë"), sample("Zo"), of=of) == [False, True]


def test_any_other_text_is_new_unless_all_of_it_stands_in_the_corpus():
    of = replace(LETTERS, records=False)
    found = are_new("Anna\nZoë", sample("nna\nZo"), sample("nna\nZoo"), of=of)
    assert found == [False, True]


def test_an_empty_corpus_is_refused():
    with pytest.raises(InputError, match="empty"):
        are_new("", sample("a"))
