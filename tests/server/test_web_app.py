"""What clients receive: OpenAI's own client, plain requests, errors, streams that are left."""

import http.client
import json
import os
import re
import socket
import threading
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import openai
import pytest
from chains import cycle
from doc_pages import blocks, page
from infill_models import model_of
from servers import PAGE, serving

import charrnn.server.web_app
from charrnn.core.errors import InputError
from charrnn.server.completion import Piece, Writer
from charrnn.server.completion_request import fitted, parse_request

TEXT = "the cat sat on the mat\nthe dog ran to the den\n"


@pytest.fixture(scope="module")
def model():
    return model_of(TEXT, scale=0.4)


@pytest.fixture(scope="module")
def served(model):
    with serving(model) as served:
        yield served


@pytest.fixture(scope="module")
def client(served):
    with openai.OpenAI(base_url=f"{served.address}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_openais_client_completes(client, served):
    found = client.completions.create(
        model="tiny", prompt="the ", max_tokens=9, seed=4, temperature=0.7, top_p=0.9, stop=["\n"],
        extra_body={"min_p": 0.05, "top_k": 5, "memory_weight": 0.5},
    )  # fmt: skip
    (text,) = served.texts(
        prompt="the ", max_tokens=9, seed=4, temperature=0.7, top_p=0.9, stop=["\n"], min_p=0.05,
        top_k=5, memory_weight=0.5,
    )  # fmt: skip
    assert (found.object, found.model, found.choices[0].text) == ("text_completion", "tiny", text)
    assert abs(found.created - time.time()) < 60
    assert found.choices[0].finish_reason == ("length" if len(text) == 9 else "stop")
    assert found.usage.prompt_tokens == 4
    assert found.usage.total_tokens == 4 + found.usage.completion_tokens


def test_openais_client_streams(client, served):
    fields = {"prompt": "the ", "max_tokens": 30, "seed": 4}
    with client.completions.create(
        model="tiny", stream=True, stream_options={"include_usage": True}, **fields
    ) as stream:
        events = list(stream)
    *parts, usage = events
    assert "".join(part.choices[0].text for part in parts) == served.texts(**fields)[0]
    ends = [part.choices[0].finish_reason for part in parts]
    assert ends == [None] * (len(parts) - 1) + ["length"]
    assert (usage.choices, usage.usage.completion_tokens) == ([], 30)
    assert len({event.id for event in events}) == 1


def test_openais_client_gets_log_probabilities(client):
    found = client.completions.create(
        model="tiny", prompt="the ", max_tokens=6, seed=4, logprobs=3, echo=True
    )
    logs = found.choices[0].logprobs
    assert "".join(logs.tokens) == found.choices[0].text
    assert logs.text_offset == list(range(10))
    assert (logs.token_logprobs[0], logs.top_logprobs[0]) == (None, None)
    for token, log, top in zip(
        logs.tokens[1:], logs.token_logprobs[1:], logs.top_logprobs[1:], strict=True
    ):
        assert top[token] == log
        assert 3 <= len(top) <= 4


def test_openais_client_lists_the_model(client):
    assert [(each.id, each.owned_by) for each in client.models.list()] == [("tiny", "charrnn")]
    assert client.models.retrieve("tiny").created == 1700000000
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4")


def test_openais_client_raises_its_own_errors(client):
    def create(**fields):
        return client.completions.create(**{"model": "tiny", "prompt": "the", **fields})

    with pytest.raises(openai.BadRequestError) as found:
        create(prompt="\u20ac")
    assert found.value.param == "prompt"
    assert "U+20AC" in found.value.message
    with pytest.raises(openai.BadRequestError, match="top_k"):
        create(extra_body={"top_k": -1})
    with pytest.raises(openai.BadRequestError, match="ban: not among"):
        create(extra_body={"ban": "\u20ac"}, stream=True)
    with pytest.raises(openai.NotFoundError) as missing:
        create(model="gpt-3.5-turbo-instruct")
    assert missing.value.code == "model_not_found"


def test_characters_that_are_banned_or_preferred(served):
    (text,) = served.texts(prompt="the ", max_tokens=60, seed=1, ban="ae")
    assert set(text).isdisjoint("ae")
    (text,) = served.texts(prompt="the ", max_tokens=20, seed=1, logit_bias={"o": 100})
    assert text == "o" * 20


def test_a_text_that_matches_a_pattern(served):
    for fields in ({}, {"n": 3}, {"best_of": 2}):
        found = served.complete(
            prompt="the ", max_tokens=20, seed=1, match="[a-d]{2}( o[nm])?", **fields
        )
        for choice in found["choices"]:
            assert re.fullmatch("[a-d]{2}( o[nm])?", choice["text"])
            assert choice["finish_reason"] == "stop"
    for fields in (
        {"match": "(", "stream": True},
        {"match": "a", "stop": "d"},
        {"match": "a{9}", "max_tokens": 3},
    ):
        status, _, answer = served.ask("/v1/completions", fields)
        assert (status, answer["error"]["message"][:5]) == (400, "match")


def test_the_example_of_the_guide_prints_the_text(capsys):
    (code,) = blocks(page("docs/guide.md"), "python")
    with serving(model_of("HAMLET. TO BE.\n", scale=0.4), name="shakespeare") as served:
        for _ in range(8):  # a text of a random seed may be empty
            exec(code.replace("http://127.0.0.1:8000", served.address), {})  # noqa: S102
    assert capsys.readouterr().out


def test_several_texts_of_a_stream_come_when_they_are_finished(served):
    fields = {"prompt": ["the ", "a"], "n": 2, "max_tokens": 8, "seed": 3}
    choices = [choice for event in served.events(**fields) for choice in event["choices"]]
    assert [choice["text"] for choice in choices] == served.texts(**fields)
    assert [choice["index"] for choice in choices] == [0, 1, 2, 3]


def test_requests_that_are_refused(served):
    body, json_kind = b'{"prompt": "the"}', [("Content-Type", "application/json; charset=utf-8")]
    assert served.ask("/v1/completions", body=body, headers=json_kind)[0] == 200
    cases = {
        415: served.ask("/v1/completions", body=body, headers=[("Content-Type", "text/plain")]),
        413: served.ask("/v1/completions", body=b" " * 600_000, headers=json_kind),
        405: served.ask("/v1/completions"),
        404: served.ask("/v1/chat/completions", {"messages": []}),
        400: served.ask("/v1/completions", body=b"{", headers=json_kind),
    }
    for status, (found, _, answer) in cases.items():
        assert found == status
        assert sorted(answer["error"]) == ["code", "message", "param", "type"]
    assert served.ask("/v1/completions", method="OPTIONS")[0] == 405
    assert served.ask("/v1/models", method="HEAD")[0] == 200


def test_a_body_that_does_not_come_is_not_waited_for(served, monkeypatch):
    monkeypatch.setattr(charrnn.server.web_app, "BODY_SECONDS", 0.1)
    with closing(http.client.HTTPConnection(urlsplit(served.address).netloc)) as line:
        line.putrequest("POST", "/v1/completions")
        line.putheader("Content-Type", "application/json")
        line.putheader("Content-Length", "100")
        line.endheaders()
        assert line.getresponse().status == 408


def test_the_page_is_made_once_when_it_is_asked_for(model):
    made = []

    def make(model):
        made.append(model)
        return PAGE

    with serving(model, make_page=make) as served:
        assert served.ask("/v1/models")[0] == 200
        assert made == []
        for _ in range(2):
            status, headers, data = served.ask("/")
            assert (status, headers["content-type"], data) == (
                200,
                "text/html; charset=utf-8",
                PAGE,
            )
        assert len(made) == 1


def test_a_model_without_a_page_says_why(model):
    def refuse(model):
        raise InputError("a page cannot run a transformer yet; -o FILE exports the model alone")

    with serving(model, make_page=refuse) as served:
        for _ in range(2):
            status, _, answer = served.ask("/")
            assert status == 404
            assert answer["error"]["message"] == "a page cannot run a transformer yet"


class Slow:
    """Writes a letter each time that it is told to."""

    def __init__(self):
        self.step, self.ended = threading.Semaphore(0), threading.Event()

    def write(self, request, check):
        try:
            for _ in range(request.config.length):
                while not self.step.acquire(timeout=0.01):
                    check()
                yield Piece(index=0, text="a", num_symbols=1)
            yield Piece(index=0, text="", finish="length")
        finally:
            self.ended.set()


@pytest.fixture
def slow():
    return Slow()


def begin(served, **fields):
    """Send a request; return its connection."""
    line = http.client.HTTPConnection(urlsplit(served.address).netloc, timeout=10)
    line.request(
        "POST", "/v1/completions", json.dumps(fields), {"Content-Type": "application/json"}
    )
    return line


def test_a_character_is_sent_when_it_is_written(slow):
    with (
        serving(cycle("abc"), write=slow.write) as served,
        closing(begin(served, stream=True, max_tokens=2)) as line,
    ):
        slow.step.release()
        response = line.getresponse()
        assert b'"text": "a"' in response.readline()
        assert not slow.ended.is_set()
        slow.step.release()
        assert response.read().endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_text_ends_when_its_client_leaves(slow, is_streamed):
    with serving(cycle("abc"), write=slow.write) as served:
        line = begin(served, stream=is_streamed, max_tokens=5)
        slow.step.release()
        if is_streamed:
            line.getresponse().readline()
        else:
            time.sleep(0.05)
        line.sock.shutdown(socket.SHUT_RDWR)
        line.close()
        assert slow.ended.wait(5)
        slow.ended.clear()
        slow.step.release(5)
        assert served.texts(max_tokens=2) == ["aa"]
    assert "client left, 0 + 0 characters" in served.log.getvalue() or is_streamed


def test_a_request_that_finds_the_queue_full_may_come_again(slow):
    with serving(cycle("abc"), write=slow.write, most_waiting=1) as served:
        first = begin(served, stream=True, max_tokens=1)
        while served.queue._current is None:
            time.sleep(0.01)
        second = begin(served, max_tokens=1)
        while not served.queue._waiting:
            time.sleep(0.01)
        status, headers, answer = served.ask("/v1/completions", {"max_tokens": 1})
        assert (status, headers["retry-after"]) == (503, "1")
        assert answer["error"]["code"] == "queue_full"
        slow.step.release(2)
        assert json.loads(second.getresponse().read())["choices"][0]["text"] == "a"
        first.close()
        second.close()


def test_a_bug_is_one_line_in_the_log_and_the_server_lives(model):
    is_broken = threading.Event()
    is_broken.set()

    def write(request, check):
        yield Piece(index=0, text="a")
        if is_broken.is_set():
            raise ValueError("two\nlines")
        yield Piece(index=0, text="", finish="length")

    with serving(model, write=write) as served:
        status, _, answer = served.ask("/v1/completions", {"prompt": "the"})
        assert (status, answer["error"]["type"]) == (500, "server_error")
        *_, last = served.events(prompt="the")
        assert last == {"error": answer["error"]}
        is_broken.clear()
        assert served.texts(prompt="the") == ["a"]
    warnings = [line for line in served.log.getvalue().splitlines() if "warning" in line]
    assert warnings == ["warning: /v1/completions: ValueError: two\\nlines"] * 2


def test_the_event_loop_is_free_while_a_text_is_written(model):
    """A long text in NumPy; the list of models comes before its end."""
    with serving(model) as served, closing(begin(served, max_tokens=16_000, prompt="the ")):
        while served.queue._current is None:
            time.sleep(0.01)
        assert served.ask("/v1/models")[0] == 200
        assert served.queue._current is not None


def sixteen_at_once(served, count, make):
    """Send requests number 0 to `count` with 16 at once; return the texts."""
    found, numbers, lock = {}, iter(range(count)), threading.Lock()

    def work():
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            found[number] = served.texts(**make(number))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[number] for number in range(count)]


def kinds(number):
    """Return a request; those that follow each other are of different kinds."""
    more = [{}, {"n": 2}, {"stop": "t"}, {"ban": "e"}, {"memory_weight": number % 7 / 7}]
    return {
        "prompt": ["the ", "", "a cat"][number % 3], "max_tokens": 10 + number % 5, "seed": number,
        **more[number % len(more)],
    }  # fmt: skip


def expected_texts(model, count):
    """Return the texts of requests, written one after the other without a server."""
    writer = Writer(model)
    for number in range(count):
        request = fitted(parse_request(json.dumps(kinds(number)).encode(), "tiny"), model)
        pieces = list(writer.pieces(request, lambda: None))
        yield [
            "".join(piece.text for piece in pieces if piece.index == index)
            for index in range(len(request.jobs))
        ]


def test_of_120_requests_16_at_once_none_is_lost_or_mixed_up(model):
    with serving(model) as served:
        found = sixteen_at_once(served, 120, kinds)
    assert found == list(expected_texts(model, 120))


@pytest.mark.slow  # twice a thousand requests
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_of_1000_requests_16_at_once_none_is_lost_and_memory_stays_flat(model):
    with serving(model) as served:
        sixteen_at_once(served, 1000, kinds)
        before = resident()
        found = sixteen_at_once(served, 1000, kinds)
        grown = resident() - before
    assert found == list(expected_texts(model, 1000))
    assert grown < 8 << 20
    assert served.log.getvalue().count(" 200, ") == 2000


def resident():
    """Return the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
