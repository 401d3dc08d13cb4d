"""Texts of requests: those of `charrnn sample`, in pieces and whole, and what is counted."""

import json
from dataclasses import replace

import pytest
from architectures import small
from chains import cycle
from infill_models import model_of

from charrnn.checkpoints.metadata import Metadata
from charrnn.sampling.jobs import Jobs
from charrnn.sampling.sampler import Sampler
from charrnn.server.completion import Piece, Response, Writer, merged
from charrnn.server.completion_request import fitted, parse_request

TEXT = "the cat sat on the mat\nthe dog ran to the den\n"


def parse(**fields):
    return parse_request(json.dumps(fields).encode(), "tiny")


def backward(model):
    return replace(model, metadata=Metadata(settings={"direction": "backward"}))


MODELS = {
    "characters": model_of(TEXT, scale=0.4),
    "lines": model_of(TEXT, scale=0.4, records=True),
    "bytes": model_of(TEXT + "\u00e9\u00e8", scale=0.1, is_bytes=True),
    "backward": backward(model_of(TEXT, scale=0.4)),
    "backward bytes": backward(model_of(TEXT + "\u00e9\u00e8", scale=0.1, is_bytes=True)),
}


def run(model, check=lambda: None, **fields):
    """Return the response and the pieces of a request."""
    request = fitted(parse(**fields), model)
    return Response(request, model, "tiny"), list(Writer(model).pieces(request, check))


def whole(model, **fields):
    response, pieces = run(model, **fields)
    return response.whole(pieces)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("prompt", ["", "the c"])
def test_one_text_is_that_of_sample(kind, prompt):
    model = MODELS[kind]
    for seed in range(4):
        found = whole(model, prompt=prompt, max_tokens=40, seed=seed, stop="d", temperature=1.2)
        request = fitted(parse(prompt=prompt, max_tokens=40, temperature=1.2), model)
        expected = Sampler(model, ["d"]).sample(prompt, request.config, seed)
        (choice,) = found["choices"]
        assert (choice["text"], choice["finish_reason"]) == (expected.text, expected.finish)
        assert (choice["seed"], choice["logprobs"]) == (seed, None)
        num_symbols = len(expected.raw) if "bytes" in kind else len(expected.text)
        num_read = len(prompt)
        assert found["usage"] == {
            "prompt_tokens": num_read, "completion_tokens": num_symbols,
            "total_tokens": num_read + num_symbols,
        }  # fmt: skip


@pytest.mark.parametrize("kind", MODELS)
def test_several_texts_are_those_of_sample_with_seeds_of_their_own(kind):
    model = MODELS[kind]
    found = whole(model, prompt=["t", "the"], n=3, max_tokens=20, seed=5)
    config = parse(max_tokens=20).config
    expected = list(Sampler(model).write(Jobs(["t", "the"], [config], 3, 5)))
    assert [each["text"] for each in found["choices"]] == [each.text for each in expected]
    assert [each["seed"] for each in found["choices"]] == [each.seed for each in expected]
    assert [each["index"] for each in found["choices"]] == list(range(6))
    assert found["usage"]["prompt_tokens"] == 3 * 1 + 3 * 3 - 8  # each prompt is read once: 1 + 3


@pytest.mark.parametrize("kind", MODELS)
def test_the_likeliest_of_several_is_that_of_sample(kind):
    found = whole(MODELS[kind], prompt="the", n=2, best_of=6, max_tokens=12, seed=5)
    config = replace(parse(max_tokens=12).config, best_of=3)
    expected = list(Sampler(MODELS[kind]).write(Jobs(["the"], [config], 2, 5)))
    assert [each["text"] for each in found["choices"]] == [each.text for each in expected]
    (one,) = whole(MODELS[kind], prompt="the", best_of=3, max_tokens=12, seed=5)["choices"]
    assert one["text"] == expected[0].text


@pytest.mark.parametrize("kind", MODELS)
def test_log_probabilities_are_the_same_for_one_text_and_for_several(kind):
    model = MODELS[kind]
    fields = {"prompt": "the ", "max_tokens": 12, "seed": 3, "logprobs": 2, "echo": True}
    one = whole(model, **fields)["choices"][0]
    first = whole(model, n=2, **fields)["choices"][0]
    assert one["text"] == first["text"]
    assert one["logprobs"]["tokens"] == first["logprobs"]["tokens"]
    logs = one["logprobs"]["token_logprobs"]
    assert logs == first["logprobs"]["token_logprobs"]
    assert logs.count(None) == 1
    assert logs.index(None) == (len(logs) - 1 if "backward" in kind else 0)
    assert all(log < 0 for log in logs if log is not None)
    if "bytes" not in kind:
        assert "".join(one["logprobs"]["tokens"]) == one["text"]
        assert one["logprobs"]["text_offset"] == list(range(len(one["text"])))


def test_with_echo_a_text_has_its_prompt_at_the_side_where_the_model_read_it():
    fields = {"prompt": "the ", "max_tokens": 5, "seed": 1}
    for kind in ("characters", "backward"):
        texts = [
            whole(MODELS[kind], echo=echo, **fields)["choices"][0]["text"] for echo in (False, True)
        ]
        assert texts[1] == (texts[0] + "the " if kind == "backward" else "the " + texts[0])


def test_nothing_written_with_echo_scores_a_prompt():
    """As programs that measure models do; ln 1 = 0 for the only character that follows."""
    found = whole(cycle("abc"), prompt="abc", max_tokens=0, echo=True, logprobs=1)
    (choice,) = found["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("abc", "length")
    assert choice["logprobs"]["token_logprobs"] == [None, 0.0, 0.0]
    assert found["usage"] == {"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3}


def test_a_stop_string_is_neither_in_the_text_nor_in_its_log_probabilities():
    (choice,) = whole(cycle("abc"), prompt="a", stop="ab", logprobs=0, max_tokens=9)["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("bc", "stop")
    assert choice["logprobs"]["tokens"] == ["b", "c"]
    assert choice["logprobs"]["top_logprobs"] is None


@pytest.mark.parametrize("kind", ["characters", "bytes"])
def test_the_events_of_a_stream_together_are_the_whole(kind):
    model = MODELS[kind]
    fields = {"prompt": "the ", "max_tokens": 30, "seed": 2, "logprobs": 1, "echo": True}
    response, pieces = run(model, **fields)
    assert len(pieces) > 20
    choices = [response.event([piece])["choices"][0] for piece in pieces]
    (expected,) = whole(model, **fields)["choices"]
    assert "".join(each["text"] for each in choices) == expected["text"]
    if kind == "bytes":
        del expected["logprobs"]["text_offset"]  # of bytes that are no UTF-8: it has no meaning
    for name, values in expected["logprobs"].items():
        parts = [each["logprobs"][name] for each in choices if each["logprobs"]]
        assert [value for part in parts for value in part] == values
    assert [each["finish_reason"] for each in choices] == [None] * (len(pieces) - 1) + ["length"]


def test_a_character_of_several_bytes_comes_whole():
    model = replace(MODELS["bytes"])
    for seed in range(6):
        _, pieces = run(model, prompt="t", max_tokens=60, seed=seed, temperature=1.5)
        text = "".join(piece.text for piece in pieces)
        expected = Sampler(model).sample("t", parse(max_tokens=60, temperature=1.5).config, seed)
        assert text == expected.text


def test_pieces_of_the_same_text_are_merged_and_stay_in_order():
    pieces = [Piece(index=1, text="c"), Piece(index=0, text="a", num_symbols=1),
              Piece(index=0, text="b", num_symbols=2, finish="stop")]  # fmt: skip
    assert merged(pieces) == [
        Piece(index=0, text="ab", num_symbols=3, finish="stop"), Piece(index=1, text="c"),
    ]  # fmt: skip


class Enough(Exception):
    """Raised by a check."""


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("count", [1, 3])
def test_a_request_ends_between_two_symbols(kind, count):
    left = iter(range(4))

    def check():
        if next(left, None) is None:
            raise Enough

    with pytest.raises(Enough):
        run(MODELS[kind], check, prompt="t", n=count, max_tokens=10_000, seed=1)


def test_every_cell_writes_and_is_scored(cell):
    model = MODELS["characters"]
    config = small(cell, hidden_size=7, vocab_size=model.vocab.size)
    from numpy.random import default_rng

    from charrnn.nn.architecture import shapes

    rng = default_rng(3)
    weights = {n: rng.normal(0, 0.4, s).astype("float32") for n, s in shapes(config).items()}
    model = replace(model, config=config, weights=weights)
    (choice,) = whole(model, prompt="the", max_tokens=20, seed=1, logprobs=1)["choices"]
    assert len(choice["text"]) == len(choice["logprobs"]["tokens"]) == 20
