"""Bodies of requests: what they mean, and what is refused."""

import json

import pytest
from infill_models import model_of

from charrnn.core.config import SampleConfig
from charrnn.server.completion_request import fitted, parse_request
from charrnn.server.fields import RequestError


def parse(**fields):
    return parse_request(json.dumps(fields).encode(), "tiny")


def refusal(**fields):
    with pytest.raises(RequestError) as found:
        parse(**fields)
    return found.value


def test_without_fields_a_request_is_a_plain_sample_with_a_random_seed():
    request = parse()
    assert (request.prompts, request.config, request.count) == (("",), SampleConfig(), 1)
    assert (request.stops, request.echo, request.alternatives, request.is_streamed) == (
        (), False, None, False
    )  # fmt: skip
    assert 0 <= request.seed < 2**48
    assert request.seed != parse().seed


def test_null_is_a_field_that_is_not_given():
    names = ("model", "prompt", "max_tokens", "stop", "n", "logprobs", "temperature", "top_k")
    assert parse(seed=1, **dict.fromkeys(names)) == parse(seed=1)


def test_fields_are_settings_of_sampling():
    request = parse(
        model="tiny", prompt=["ab", "c"], max_tokens=7, temperature=0, top_p=0.5, top_k=3, min_p=1,
        memory_weight=0.25, n=2, stop="\n", seed=9, echo=True, logprobs=2, stream=True, ban="q",
        stream_options={"include_usage": True}, bias={"e": -2}, logit_bias={"f": 100}, best_of=6,
        no_repeat=12, match="[a-z]*",
        suffix="", presence_penalty=0, frequency_penalty=0.0, user="a person",
    )  # fmt: skip
    assert request.config == SampleConfig(
        length=7, temperature=0.0, top_p=0.5, top_k=3, min_p=1.0, memory_weight=0.25, ban="q",
        bias=(("e", -2.0), ("f", 100.0)), best_of=3, no_repeat=12, match="[a-z]*",
    )  # fmt: skip
    assert (request.prompts, request.stops, request.count, request.seed) == (
        ("ab", "c"), ("\n",), 2, 9
    )  # fmt: skip
    assert (request.echo, request.alternatives, request.is_streamed, request.has_usage) == (
        True, 2, True, True
    )  # fmt: skip
    assert [(job.prompt, job.index) for job in request.jobs] == [
        ("ab", 0), ("ab", 1), ("c", 2), ("c", 3)
    ]  # fmt: skip


REFUSED = [
    ({"temprature": 1}, "unknown field 'temprature'; did you mean temperature?"),
    ({"length": 5}, "unknown field 'length'"),
    ({"messages": []}, "unknown field 'messages'"),
    ({"prompt": 5}, "prompt: must be a string, got 5"),
    ({"prompt": []}, "prompt: must be 1 to 128 strings, got 0"),
    ({"prompt": [5, 6]}, "prompt: must be text; this server has no numbers of tokens"),
    ({"prompt": [[5, 6]]}, "prompt: must be text; this server has no numbers of tokens"),
    ({"prompt": ["a", None]}, "prompt: must be a string, got None"),
    ({"prompt": "\ud800"}, "prompt: has half of a surrogate pair, which is no character"),
    ({"prompt": "a" * 32_769}, "all prompts together: must be from 0 to 32,768, got 32,769"),
    ({"prompt": ["a"] * 129}, "prompt: must be 1 to 128 strings, got 129"),
    ({"n": 129}, "n: must be from 1 to 128, got 129"),
    ({"n": 0}, "n: must be from 1 to 128, got 0"),
    ({"n": 65, "prompt": ["a", "b"], "max_tokens": 1},
     "n times the number of prompts: must be from 1 to 128, got 130"),
    ({"n": True}, "n: must be a whole number of at most 63 bits, got True"),
    ({"n": 2.0}, "n: must be a whole number of at most 63 bits, got 2.0"),
    ({"max_tokens": -1}, "max_tokens: must be at least 0, got -1"),
    ({"max_tokens": 16_385}, "max_tokens: must be from 0 to 16,384, got 16,385"),
    ({"max_tokens": 1_025, "n": 128},
     "max_tokens times the number of texts: must be from 0 to 131,072, got 131,200"),
    ({"temperature": "1"}, "temperature: must be a number, got '1'"),
    ({"temperature": -1}, "temperature: must be at least 0, got -1.0"),
    ({"top_p": 0}, "top_p: must be in (0, 1], got 0.0"),
    ({"top_k": -1}, "top_k: must be at least 0, got -1"),
    ({"top_k": 1.5}, "top_k: must be a whole number of at most 63 bits, got 1.5"),
    ({"min_p": 2}, "min_p: must be in [0, 1], got 2.0"),
    ({"memory_weight": 2}, "memory_weight: must be in [0, 1], got 2.0"),
    ({"seed": -1}, "seed: must be from 0 to 9,223,372,036,854,775,807, got -1"),
    ({"seed": "7"}, "seed: must be a whole number of at most 63 bits, got '7'"),
    ({"logprobs": 21}, "logprobs: must be from 0 to 20, got 21"),
    ({"logprobs": True}, "logprobs: must be a whole number of at most 63 bits, got True"),
    ({"stop": [""] * 17}, "stop: must be 1 to 16 strings, got 17"),
    ({"stop": "a" * 257}, "stop: a string is longer than 256 characters"),
    ({"stop": {"a": 1}}, "stop: must be a string, got {'a': 1}"),
    ({"echo": 1}, "echo: must be true or false, got 1"),
    ({"stream_options": []}, "stream_options: must be an object, got []"),
    ({"best_of": 3, "n": 2}, "best_of: must be a multiple of n, which is 2"),
    ({"best_of": 0}, "best_of: must be a multiple of n, which is 1"),
    ({"best_of": 300}, "max_tokens times the number of texts: must be from 0 to 131,072, got 150,000"),
    ({"no_repeat": 1}, "no_repeat: must be 0, or in [2, 1000], got 1"),
    ({"suffix": "end"}, "suffix: this server does not support it"),
    ({"presence_penalty": 0.1}, "presence_penalty: this server does not support it"),
    ({"logit_bias": {"50256": -100}}, "logit_bias: its names must be single characters"),
    ({"bias": {"e": "much"}}, "bias: must be a number, got 'much'"),
    ({"bias": {"e": 101}}, "bias: must be numbers from -100 to 100, got {'e': 101}"),
    ({"logit_bias": {"e": -101}}, "logit_bias: must be numbers from -100 to 100, got {'e': -101}"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_cannot_be_used_is_refused_in_one_line(fields, message):
    found = refusal(**fields)
    assert (found.status, found.message) == (400, message)


def test_the_field_that_is_wrong_is_named():
    wrong = [
        {"temperature": -1},
        {"max_tokens": -1},
        {"n": 500},
        {"prompt": "a" * 40_000},
        {"x": 1},
    ]
    assert [refusal(**fields).field for fields in wrong] == [
        "temperature", "max_tokens", "n", "prompt", "x"
    ]  # fmt: skip


def test_another_model_is_not_found():
    found = refusal(model="gpt-3.5-turbo-instruct")
    assert (found.status, found.code) == (404, "model_not_found")
    assert (
        found.message == "model: there is no 'gpt-3.5-turbo-instruct' here; this server has 'tiny'"
    )


BODIES = {
    b"": "the body is not JSON in UTF-8: Expecting value: line 1 column 1 (char 0)",
    b"[]": "the body must be a JSON object",
    b'{"n": NaN}': "the body is not JSON in UTF-8: NaN is no number of JSON",
    b'{"n": 1e999}': "n: must be a whole number of at most 63 bits, got inf",
    b'{"top_k": 1' + b"0" * 400 + b"}": "top_k: must be a whole number of at most 63 bits, got 1"
    + "0" * 79,
    b'{"temperature": 1e999}': "temperature: must be a number, got inf",
    b'{"temperature": 1' + b"0" * 400 + b"}": "temperature: must be a number, got 1" + "0" * 79,
    b"[" * 100_000: "the body is nested too deeply",
    b'{"prompt": "\xff"}': "the body is not JSON in UTF-8: 'utf-8' codec can't decode byte 0xff in "
    "position 12: invalid start byte",
    '{"prompt": "a"}'.encode("utf-16"): "the body is not JSON in UTF-8: 'utf-8' codec can't decode "
    "byte 0xff in position 0: invalid start byte",
}


@pytest.mark.parametrize(("body", "message"), BODIES.items(), ids=range(len(BODIES)))
def test_a_body_that_is_no_object_is_refused(body, message):
    with pytest.raises(RequestError) as found:
        parse_request(body, "tiny")
    assert (found.value.status, found.value.message) == (400, message)


def test_prompts_are_read_as_the_text_of_the_model_was():
    """A Windows line end, and an e with its accent as a character of its own."""
    model = model_of("an \u00e9\n")
    request = fitted(parse(prompt="e\u0301 a\r\n", stop="\r\n"), model)
    assert (request.prompts, request.stops) == (("\u00e9 a\n",), ("\n",))
    lines = model_of("an\n", records=True)
    assert fitted(parse(prompt=["an\n", "a"]), lines).prompts == ("an", "a")


def test_a_prompt_that_the_model_cannot_read_is_refused():
    model = model_of("ab\n", records=True)
    with pytest.raises(
        RequestError, match="prompt: not among the 3 characters this model"
    ) as found:
        fitted(parse(prompt=["a", "ax"]), model)
    assert found.value.field == "prompt"
    with pytest.raises(RequestError, match="prompt: has a line end"):
        fitted(parse(prompt="a\nb"), model)


def test_a_stop_string_with_other_characters_never_comes_and_is_no_error():
    assert fitted(parse(stop="<|end|>"), model_of("ab\n")).stops == ("<|end|>",)


def test_an_empty_list_of_stop_strings_is_none():
    assert parse_request(b'{"stop": []}', "m").stops == ()
