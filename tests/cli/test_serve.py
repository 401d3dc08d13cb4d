"""`charrnn serve` as a process: its address, its page, its end; what cannot be served."""

import json
import re
import signal
import socket
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_line import process
from forks import python

import charrnn.server
from charrnn.__main__ import run_cli

TEXTS = {"prompt": "said ", "max_tokens": 40, "seed": 5}


def get(address, content=None):
    """Return the body of a response."""
    kind = {"Content-Type": "application/json"}
    body = json.dumps(content).encode() if content is not None else None
    request = urllib.request.Request(address, body, kind)
    with urllib.request.urlopen(request, timeout=30) as response:
        return response.read()


@contextmanager
def server(trained, *arguments, model="text"):
    """Start a server; yield the process and the first line of its output."""
    words = ("serve", model, "--checkpoints", trained, "--port", "0", *arguments)
    started = process(*words, interpreter=python())
    try:
        line = started.stdout.readline().decode().strip()
        assert line, started.stderr.read().decode()
        yield started, line
    finally:
        started.kill()
        started.communicate()


def ended(started, number):
    """Send a signal; return exit code, seconds until the end, and stderr."""
    begin = time.monotonic()
    started.send_signal(number)
    _, err = started.communicate(timeout=20)
    return started.returncode, time.monotonic() - begin, err.decode()


def test_a_server_writes_the_texts_of_sample_and_leaves_at_ctrl_c(trained, sample):
    with server(trained, "-v") as (started, address):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address)
        (choice,) = json.loads(get(f"{address}/v1/completions", TEXTS))["choices"]
        code, seconds, err = ended(started, signal.SIGINT)
    options = ["-p", "said ", "-l", "40", "--seed", "5", "--no-echo-prompt"]
    assert choice["text"] == sample("text", *options)[1]
    assert (code, seconds < 5) == (130, True)
    first, second, third, last = err.splitlines()
    assert re.fullmatch(r"model .*best\.safetensors; (loop in NumPy|compiled loop)", first)
    assert second == "serving text; Ctrl-C ends it"
    assert re.fullmatch(r"127\.0\.0\.1 POST /v1/completions 200, 5 \+ 40 characters, .* s", third)
    assert last == "charrnn: stopped by SIGINT (exit code 130)"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_other_signals_end_it_while_a_text_is_written(trained, number, code):
    with server(trained, "-q") as (started, address):
        port = int(address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as line:
            body = json.dumps({"max_tokens": 16_000, "stream": True}).encode()
            head = (
                f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}"
            )
            line.sendall(f"{head}\r\nContent-Type: application/json\r\n\r\n".encode() + body)
            assert line.recv(15) == b"HTTP/1.1 200 OK"
            found, seconds, err = ended(started, number)
        assert (found, seconds < 5) == (code, True)
        name = signal.Signals(number).name
        assert err == f"charrnn: stopped by {name} (exit code {code})\n"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


def test_json_has_the_address_and_the_page_is_that_of_export(trained, call):
    with server(trained, "--json", "-q") as (started, line):
        found = json.loads(line)
        assert found["model"] == "text"
        page = get(found["address"] + "/")
        assert ended(started, signal.SIGINT)[0] == 130
    assert call("export", "text", "--checkpoints", trained, "-o", "page.html", "-q")[0] == 0
    assert page == Path("page.html").read_bytes()


def serve(call, trained, *arguments):
    return call("serve", "--checkpoints", trained, *arguments)


def test_a_port_in_use_is_one_line(call, trained):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, err = serve(call, trained, "text", "--port", port)
    assert (code, out) == (2, "")
    assert err == (
        f"charrnn: error: --port: {port} is in use on 127.0.0.1; take another one, or 0 for any "
        "(exit code 2)\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "65536"], "--port: must be in [0, 65535], got 65536"),
        (["--port", "x"], "Invalid value for '--port': 'x' is not a whole number; see charrnn serve"),
        (["--host", "no.such.name.invalid"],
         "--host: 'no.such.name.invalid' is neither an address nor a known name"),
        (["--host", "192.0.2.1"], "--host: '192.0.2.1' is not an address of this machine"),
        (["--host", ""], "--host: must not be empty; 0.0.0.0 is every address"),
        (["missing"], "missing"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_one_line(call, trained, arguments, message):
    model = [] if arguments == ["missing"] else ["text"]
    code, out, err = serve(call, trained, *model, "--port", "0", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_without_the_extra_the_error_says_how_to_install_it(call, trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "charrnn.server.web_server", raising=False)
    monkeypatch.delattr(charrnn.server, "web_server", raising=False)
    code, _, err = serve(call, trained, "text")
    assert code == 2
    assert err == (
        "charrnn: error: serve: uvicorn is not installed; pip install 'charrnn-text[serve]' "
        "(exit code 2)\n"
    )


def test_a_damaged_model_has_its_exit_code_and_leaves_no_socket(trained, capfd):
    Path("broken.safetensors").write_bytes(b"no model")
    assert run_cli(["serve", "broken.safetensors", "--port", "0"]) == 4
    assert capfd.readouterr().err.count("\n") == 1
