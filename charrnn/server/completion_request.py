"""The body of a request to `/v1/completions`: parsed and checked."""

import re
from dataclasses import dataclass, fields, replace
from typing import Any, get_args, get_type_hints

from charrnn.checkpoints.model import Model
from charrnn.core.config import SampleConfig
from charrnn.core.errors import InputError, printable
from charrnn.core.seeds import random_seed
from charrnn.sampling.jobs import Jobs
from charrnn.sampling.prefill import prompt_ids
from charrnn.server.fields import (
    CHECKS,
    Fields,
    RequestError,
    biases,
    check_range,
    flag,
    integer,
    mapping,
    parse_object,
    text,
    texts,
)

LONGEST_PROMPTS, LONGEST_TEXT, MOST_WRITTEN = 32_768, 16_384, 131_072
"""Most characters of all prompts of a request, of one text, and of all its texts together."""

MOST_TEXTS = 128
"""Most texts of a request."""

MOST_STOPS, LONGEST_STOP = 16, 256

MOST_ALTERNATIVES = 20
"""Most likely characters that are listed for each position of a text."""

NAMES = {"length": "max_tokens"}
"""Settings of sampling that have another name in the API."""

OPTION = re.compile("--([a-z]+(?:-[a-z]+)*)")


@dataclass(frozen=True, kw_only=True, slots=True)
class CompletionRequest:
    """What to write, and how to send it."""

    prompts: tuple[str, ...]
    config: SampleConfig
    count: int
    """Number of texts for each prompt."""
    stops: tuple[str, ...]
    seed: int
    echo: bool
    """Whether a text is sent with its prompt."""
    alternatives: int | None
    """Number of likely characters to list at each position; None for no log-probabilities."""
    is_streamed: bool
    has_usage: bool
    """Whether the last event of a stream counts characters."""

    @property
    def jobs(self) -> Jobs:
        """The texts to write, as `charrnn sample -n COUNT` would write them."""
        return Jobs(self.prompts, [self.config], self.count, self.seed)


def parse_request(body: bytes, name: str) -> CompletionRequest:
    """Return a request.

    Args:
        body: A JSON object in UTF-8.
        name: Name of the model.

    Raises:
        RequestError: It is something else, or has settings that cannot be used.
    """
    given = Fields(parse_object(body))
    check_model(given.take("model", text, None), name)
    options = given.take("stream_options", mapping, {})
    count, best_of = numbers_of_texts(given)
    request = CompletionRequest(
        prompts=given.take("prompt", prompts_of, ("",)),
        config=sample_config(given, best_of),
        count=count,
        stops=given.take("stop", stops_of, ()),
        seed=given.take("seed", integer, random_seed()),
        echo=given.take("echo", flag, False),
        alternatives=given.take("logprobs", integer, None),
        is_streamed=given.take("stream", flag, False),
        has_usage=options.get("include_usage") is True,
    )
    given.check_others()
    check_limits(request)
    return request


def check_model(asked: str | None, name: str) -> None:
    """Refuse a request for another model than that of this server."""
    if asked not in (None, name):
        message = f"model: there is no {printable(asked)[:80]!r} here; this server has {name!r}"
        raise RequestError(404, message, "model", "model_not_found")


def numbers_of_texts(given: Fields) -> tuple[int, int]:
    """Return the number of texts for each prompt, and how many are written for each of them.

    Raises:
        RequestError: They are out of range.
    """
    count = given.take("n", integer, 1)
    check_range("n", count, 1, MOST_TEXTS)
    best_of = given.take("best_of", integer, count)
    if best_of < count or best_of % count:
        raise RequestError(400, f"best_of: must be a multiple of n, which is {count}", "best_of")
    return count, best_of // count


def sample_config(given: Fields, best_of: int) -> SampleConfig:
    """Return the settings of sampling in a request.

    Args:
        given: The request.
        best_of: Number of texts of which the likeliest is kept.

    Raises:
        RequestError: A value has the wrong type, or is out of range.
    """
    hints = get_type_hints(SampleConfig)
    values: dict[str, Any] = {"best_of": best_of}
    for each in fields(SampleConfig):
        if each.metadata["kind"] != "hidden" and each.name not in values:
            name = NAMES.get(each.name, each.name)
            hint = hints[each.name]
            kind = next(kind for kind in (hint, *get_args(hint)) if kind in CHECKS)
            values[each.name] = given.take(name, CHECKS[kind], each.default)
    values["bias"] += given.take("logit_bias", biases, ())
    try:
        return SampleConfig(**values)
    except InputError as error:
        raise refused(error) from None


def refused(error: InputError) -> RequestError:
    """Return the error of a library as that of a request: fields instead of options."""
    message = OPTION.sub(lambda option: field_of(option[1]), str(error))
    words = re.match("([a-z_]+): ", message)
    return RequestError(400, message, words[1] if words else None)


def field_of(option: str) -> str:
    """Return the name of the field for an option."""
    return NAMES.get(option, option.replace("-", "_"))


def prompts_of(value: Any, name: str) -> tuple[str, ...]:
    """Return the prompts: text, not the numbers of tokens."""
    if type(value) is list and value and type(value[0]) in (int, list):
        raise RequestError(400, f"{name}: must be text; this server has no numbers of tokens", name)
    return texts(value, name, MOST_TEXTS)


def stops_of(value: Any, name: str) -> tuple[str, ...]:
    """Return the stop strings; clients send an empty list for none."""
    if value == []:
        return ()
    found = texts(value, name, MOST_STOPS)
    if max(map(len, found)) > LONGEST_STOP:
        raise RequestError(400, f"{name}: a string is longer than {LONGEST_STOP} characters", name)
    return found


def check_limits(request: CompletionRequest) -> None:
    """Refuse a request that asks for too much.

    Raises:
        RequestError: It does.
    """
    check_range("max_tokens", request.config.length, 0, LONGEST_TEXT)
    check_range("seed", request.seed, 0, 2**63 - 1)
    check_range("logprobs", request.alternatives or 0, 0, MOST_ALTERNATIVES)
    check_range(
        "all prompts together", sum(map(len, request.prompts)), 0, LONGEST_PROMPTS, "prompt"
    )
    check_range("n times the number of prompts", len(request.jobs), 1, MOST_TEXTS, "n")
    total = request.jobs.num_symbols
    check_range("max_tokens times the number of texts", total, 0, MOST_WRITTEN, "max_tokens")


def fitted(request: CompletionRequest, model: Model) -> CompletionRequest:
    """Return a request with prompts and stop strings as the text of a model was read.

    Raises:
        RequestError: A prompt has characters that the model does not know.
    """
    reading = model.reading()
    prompts = [reading.convert(prompt) for prompt in request.prompts]
    if model.records:
        prompts = [prompt.removesuffix("\n") for prompt in prompts]
    for prompt in dict.fromkeys(prompts):
        try:
            prompt_ids(model, prompt)
        except InputError as error:
            raise refused(error) from None
    stops = tuple(map(reading.convert, request.stops))
    return replace(request, prompts=tuple(prompts), stops=stops)
