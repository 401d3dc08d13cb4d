"""Samples as a stream, as separated texts, and as JSON lines; marks of copies."""

import dataclasses
import io
import json

import numpy as np
import pytest

from charrnn.checkpoints.model import Model
from charrnn.core.config import SampleConfig
from charrnn.core.console import Console
from charrnn.core.output import OutputStream, open_output
from charrnn.data.reading import Reading
from charrnn.data.vocab import ByteVocabulary, CharVocabulary
from charrnn.nn.architecture import ModelConfig, shapes
from charrnn.sampling.corpus.copies import Copies
from charrnn.sampling.corpus.source import Source
from charrnn.sampling.jobs import Sample
from charrnn.sampling.sampler import Sampler
from charrnn.sampling.writer import checked, piece_of, write_json, write_samples, write_stream


def make_sampler(vocab, records=False):
    """A network of zeros: all characters are equally likely."""
    config = ModelConfig(
        cell="rnn", vocab_size=vocab.size, embedding_size=2, hidden_size=3, num_layers=1
    )
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes(config).items()}
    return Sampler(Model(config=config, weights=weights, vocab=vocab, records=records, starts={}))


ABC = CharVocabulary(map(ord, "\nabcé"))


def make_samples(*texts, prompt=""):
    return [
        Sample(
            index=index, seed=100 + index, prompt=prompt, text=text, raw=text.encode(),
            finish="length", temperature=0.8,
        )
        for index, text in enumerate(texts)
    ]  # fmt: skip


def written(samples, sampler, *, echo=False, for_terminal=False):
    stream = io.BytesIO()
    out = OutputStream(stream, for_terminal=for_terminal)
    write_samples(out, ((sample, None) for sample in samples), sampler, echo=echo)
    return stream.getvalue().decode()


def json_lines(samples):
    """Return the lines as they stand, the last newline taken off."""
    stream = io.BytesIO()
    write_json(OutputStream(stream), ((sample, None) for sample in samples))
    text = stream.getvalue().decode()
    assert text.endswith("\n") or not samples
    return text.split("\n")[:-1]


# Several texts.


def test_several_texts_are_separated_by_a_line_of_dashes():
    assert written(make_samples("ab", "c", ""), make_sampler(ABC)) == "ab\n---\nc\n---\n"


def test_a_single_text_in_a_pipe_gets_nothing_added():
    assert written(make_samples("ab"), make_sampler(ABC)) == "ab"


def test_only_a_terminal_gets_a_closing_newline():
    found = written(make_samples("ab", "c"), make_sampler(ABC), for_terminal=True)
    assert found == "ab\n---\nc\n"


def test_each_text_repeats_its_prompt_if_asked():
    samples = make_samples("a", "b", prompt="cé")
    assert written(samples, make_sampler(ABC), echo=True) == "céa\n---\ncéb"
    assert written(samples, make_sampler(ABC), echo=False) == "a\n---\nb"


@pytest.mark.parametrize("for_terminal", [False, True])
def test_records_are_one_a_line(for_terminal):
    samples, sampler = make_samples("ab", "", "c"), make_sampler(ABC, records=True)
    assert written(samples, sampler, for_terminal=for_terminal) == "ab\n\nc\n"


# One text, as it is made.


def streamed(sampler, prompt, *, echo, for_terminal=False, length=6):
    stream = io.BytesIO()
    out = OutputStream(stream, for_terminal=for_terminal)
    write_stream(out, sampler, prompt, SampleConfig(length=length), 5, echo=echo)
    return stream.getvalue()


def test_a_stream_is_the_prompt_and_the_text():
    sampler = make_sampler(ABC)
    raw = sampler.sample("é", SampleConfig(length=6), 5).raw
    assert streamed(sampler, "é", echo=True) == "é".encode() + raw
    assert streamed(sampler, "é", echo=False) == raw
    assert streamed(sampler, "é", echo=False, for_terminal=True) == raw + b"\n"


def test_a_record_ends_with_a_newline_in_a_pipe_too():
    found = streamed(make_sampler(ABC, records=True), "a", echo=True, length=1)
    assert (found[:1], found[-1:]) == (b"a", b"\n")


def test_a_byte_stream_goes_out_verbatim():
    sampler = make_sampler(ByteVocabulary())
    raw = sampler.sample("a", SampleConfig(length=300), 5).raw
    assert len(raw) == 300
    assert streamed(sampler, "a", echo=False, length=300) == raw


def test_a_terminal_gets_a_byte_stream_decoded_and_escaped():
    sampler = make_sampler(ByteVocabulary())
    text = streamed(sampler, "a", echo=False, length=300, for_terminal=True).decode()
    assert "\ufffd" in text
    assert not any(c < " " and c not in "\n\t" for c in text)


def test_half_a_character_at_the_end_is_not_shown():
    sampler = make_sampler(ByteVocabulary())
    sampler.model.weights["decoder.bias"][0xE2] = 1000  # the first byte of three
    found = streamed(sampler, "a", echo=False, length=1, for_terminal=True)
    assert found.decode() == "\n"


def test_a_prompt_that_is_no_text_is_echoed_byte_for_byte():
    sampler = make_sampler(ByteVocabulary())
    prompt = b"\xff\xfe".decode("utf-8", "surrogateescape")
    assert streamed(sampler, prompt, echo=True, length=0) == b"\xff\xfe"
    found = streamed(sampler, prompt, echo=True, length=0, for_terminal=True)
    assert found == b"\\udcff\\udcfe\n"


# JSON.


def test_json_is_one_object_a_line_with_these_keys():
    lines = json_lines(make_samples("ab\n\tc", "é", prompt="c"))
    assert [json.loads(line) for line in lines] == [
        {"index": 0, "seed": 100, "prompt": "c", "text": "ab\n\tc", "finish": "length",
         "temperature": 0.8},
        {"index": 1, "seed": 101, "prompt": "c", "text": "é", "finish": "length",
         "temperature": 0.8},
    ]  # fmt: skip


def test_json_keeps_its_keys_in_order():
    keys = list(json.loads(json_lines(make_samples("a"))[0]))
    assert keys == ["index", "seed", "prompt", "text", "finish", "temperature"]


def test_json_shows_letters_as_letters():
    assert '"text": "Zoë €"' in json_lines(make_samples("Zoë €"))[0]


def test_json_holds_no_character_that_a_terminal_could_obey():
    text = "\x1b\x7f\x9b\u202e\u2028\x00\r"
    (line,) = json_lines(make_samples(text))
    assert line.isprintable()
    assert json.loads(line)["text"] == text


def test_json_of_a_prompt_that_is_no_text_gives_it_back():
    (line,) = json_lines(make_samples("a", prompt="b\udcff"))
    assert json.loads(line)["prompt"].encode("utf-8", "surrogateescape") == b"b\xff"


def test_an_error_while_writing_still_closes_the_file(tmp_path):
    def samples():
        yield from make_samples("so far")
        raise ZeroDivisionError

    with (
        pytest.raises(ZeroDivisionError),
        open_output(tmp_path / "out.txt", raw=False) as out,
    ):
        write_samples(out, ((s, None) for s in samples()), make_sampler(ABC), echo=False)
    assert (tmp_path / "out.txt").read_bytes() == b"so far"


# Copies.


def test_a_terminal_shows_copied_spans_in_reverse():
    (sample,) = make_samples("abc" * 20)
    stream = io.BytesIO()
    out = OutputStream(stream, for_terminal=True)
    copies = Copies(60, longest=(3, 34), spans=[(3, 34), (40, 60)])
    write_samples(out, [(sample, copies)], make_sampler(ABC), echo=False)
    text = stream.getvalue().decode()
    marked = text.replace("\x1b[7m", "<").replace("\x1b[27m", ">")
    assert marked == f"abc<{'abc' * 10}a>bcabca<{'bca' * 6}bc>\n"


def test_a_pipe_gets_the_text_as_it_is():
    (sample,) = make_samples("abc" * 20)
    stream = io.BytesIO()
    copies = Copies(60, longest=(0, 60), spans=[(0, 60)])
    write_samples(OutputStream(stream), [(sample, copies)], make_sampler(ABC), echo=False)
    assert stream.getvalue() == b"abc" * 20


def test_samples_are_compared_with_a_corpus_and_the_longest_span_is_named(tmp_path):
    path, log = tmp_path / "corpus.txt", io.StringIO()
    path.write_text("xx" + "abc" * 12 + "yy")
    samples = make_samples("abc" * 12 + "zzzz", "éabcé")
    found = list(checked(samples, Source([path], Reading()), Console(0, log)))
    assert [copies.share for _, copies in found] == [36 / 40, 0]
    assert log.getvalue() == (
        f"copies: the longest span has 36 characters, {'abc' * 12!r}; "
        "80.0% of the text is in spans of 30 or more\n"  # 36 of 45
    )
    stream = io.BytesIO()
    write_json(OutputStream(stream), found)
    lines = [json.loads(line) for line in stream.getvalue().decode().splitlines()]
    assert [line["longest_copy"] for line in lines] == ["abc" * 12, ""]
    assert [line["copied"] for line in lines] == [0.9, 0]


@pytest.mark.parametrize(("is_bytes", "unit"), [(False, "characters"), (True, "bytes")])
def test_a_span_of_under_sixteen_symbols_is_not_shown(tmp_path, is_bytes, unit):
    path, log = tmp_path / "corpus.txt", io.StringIO()
    path.write_text("abcdefghijklmno")
    source = Source([path], Reading(bytes=is_bytes))
    ((_, copies),) = checked(make_samples("abcdefghijklmno"), source, Console(0, log))
    assert copies.longest == (0, 0)
    assert log.getvalue() == (
        f"copies: the longest span has under 16 {unit}; "
        "0.0% of the text is in spans of 30 or more\n"
    )


def test_copies_of_bytes_are_counted_in_bytes():
    sample = dataclasses.replace(make_samples("éé")[0], raw="éé".encode())
    copies = Copies(4, longest=(2, 4))
    assert piece_of(sample, copies, *copies.longest) == "é"


def test_half_a_character_of_a_copied_span_is_a_replacement_character():
    sample = dataclasses.replace(make_samples("éé")[0], raw="éé".encode())
    assert piece_of(sample, Copies(4), 1, 4) == "\ufffdé"
