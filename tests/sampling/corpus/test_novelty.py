"""Which texts are new."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from charrnn.checkpoints.model import Model
from charrnn.core.errors import InputError
from charrnn.data.vocab import ByteVocabulary, CharVocabulary
from charrnn.nn.architecture import ModelConfig, shapes
from charrnn.sampling.corpus.novelty import Novelty
from charrnn.sampling.jobs import Sample


def make_model(vocab, records=True):
    config = ModelConfig(
        cell="rnn", vocab_size=vocab.size, embedding_size=2, hidden_size=3, num_layers=1
    )
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes(config).items()}
    return Model(config=config, weights=weights, vocab=vocab, records=records, starts={})


LETTERS = make_model(CharVocabulary(map(ord, "\nAanësZo ")))


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


def test_records_of_bytes_are_compared_as_bytes():
    of = make_model(ByteVocabulary())
    assert are_new("Zoë\n", sample("Zoë"), sample("Zo"), of=of) == [False, True]


@pytest.mark.parametrize("of", [LETTERS, make_model(ByteVocabulary())])
def test_records_are_compared_as_people_read_them(of):
    corpus = " Anna\nZoë \nSane\t\nZoe\u0308s\n \u3000\n"
    names = ["Anna", "Anna ", " Zoe\u0308", "Sane", "Zoës", " "]
    assert are_new(corpus, *map(sample, names), of=of) == [False] * 6
    assert are_new(corpus, *map(sample, ["An na", "Zoe", "anna"]), of=of) == [True] * 3


LINE = "".join("Aanës"[i] for i in np.random.default_rng(0).integers(0, 5, 900))


def test_the_beginning_of_a_line_is_not_new_where_a_record_was_cut():
    """A line is learned up to its 512th character; -l cuts at any."""
    corpus = f"Anna\n{LINE}\nZoë\n"
    learned, by_length = sample(LINE[:512]), replace(sample(LINE[:40]), finish="length")
    assert are_new(corpus, learned, by_length, sample(LINE)) == [False, False, False]
    others = sample(LINE[:511]), sample("s" + LINE[:511]), sample(LINE[1:513])
    assert are_new(corpus, *others) == [True, True, True]
    short = replace(sample(LINE[:29]), finish="length")
    assert are_new(corpus, short, replace(sample("o" * 40), finish="length")) == [True, True]


def test_of_a_backward_model_the_end_of_a_line_is_not_new_where_a_record_was_cut():
    def cut(text, prompt=""):
        return replace(sample(text, prompt), finish="length", is_backward=True)

    found = are_new(
        f"Anna\n{LINE}\n", cut(LINE[-40:]), cut(LINE[-40:-3], LINE[-3:]), cut(LINE[:40])
    )
    assert found == [False, False, True]
    of, raw = make_model(ByteVocabulary()), ("ë" * 400).encode()
    broken = replace(cut(""), raw=raw[-511:])
    assert are_new("ë" * 400 + "\n", broken, of=of) == [False]


def test_a_record_of_bytes_may_be_cut_inside_a_character():
    of, raw = make_model(ByteVocabulary()), ("ë" * 400).encode()
    cut = replace(sample(""), raw=raw[:511], finish="length")
    assert are_new("ë" * 400 + "\n", cut, of=of) == [False]


def test_any_other_text_is_new_unless_the_corpus_contains_all_of_it():
    of = replace(LETTERS, records=False)
    found = are_new("Anna\nZoë", sample("nna\nZo"), sample("nna\nZoo"), of=of)
    assert found == [False, True]


def test_a_text_across_the_ends_of_blocks_is_not_new(monkeypatch):
    monkeypatch.setattr("charrnn.sampling.corpus.source.BLOCK", 40)
    monkeypatch.setattr("charrnn.sampling.corpus.source.LONGEST", 5)
    monkeypatch.setattr("charrnn.data.text_files.CHUNK", 16)
    rng = np.random.default_rng(0)
    corpus = "".join("Aanës"[i] for i in rng.integers(0, 5, 300))
    of = replace(LETTERS, records=False)
    found = are_new(corpus, *(sample(corpus[i : i + 5]) for i in range(295)), of=of)
    assert not any(found)
    assert are_new(corpus, sample("ZZZZZ"), sample("ZoZ"), of=of) == [True, True]


def test_an_empty_corpus_has_nothing_to_be_new_beside():
    with pytest.raises(InputError, match="empty"):
        are_new("", sample("a"))
