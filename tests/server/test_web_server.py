"""The server on its socket: raw bytes, idle connections, its addresses."""

import http.client
import socket
import time
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from chains import cycle
from servers import serving

import charrnn.server.web_server
from charrnn.core.errors import InputError
from charrnn.server.web_server import ServeRequest, address_of, bind


def answer(served, data, seconds=10):
    """Send bytes; return all that comes before the server closes the connection."""
    address = urlsplit(served.address)
    with socket.create_connection((address.hostname, address.port), timeout=seconds) as line:
        line.sendall(data)
        found = b""
        while chunk := line.recv(1 << 16):
            found += chunk
        return found


@pytest.fixture(scope="module")
def served():
    with serving(cycle("abc", starts={0: 1})) as served:
        yield served


GARBAGE = [
    b"\r\n\r\nnonsense\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00" * 9,
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    + b"Content-Type: application/json\r\n\r\nxyz\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000,
]


@pytest.mark.parametrize("data", GARBAGE, ids=range(len(GARBAGE)))
def test_bytes_that_are_no_request_get_status_400(served, data):
    assert answer(served, data).startswith(b"HTTP/1.1 400 ")
    assert served.texts(prompt="a", max_tokens=2) == ["bc"]
    assert "Traceback" not in served.log.getvalue()


def test_without_a_name_of_this_server_even_an_old_client_is_refused(served):
    assert answer(served, b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 403 ")


def test_a_connection_that_asks_nothing_is_closed(monkeypatch):
    monkeypatch.setattr(charrnn.server.web_server, "IDLE_SECONDS", 0.2)
    with serving(cycle("abc")) as served:
        begin = time.monotonic()
        assert answer(served, b"GET / HT") == b""
        assert 0.2 <= time.monotonic() - begin < 5


def test_a_connection_that_asks_again_stays(monkeypatch):
    """Each request is over before the server looks at its connections again, every 0.1 s."""
    monkeypatch.setattr(charrnn.server.web_server, "IDLE_SECONDS", 0.4)
    with serving(cycle("abc")) as served:
        line = http.client.HTTPConnection(urlsplit(served.address).netloc, timeout=10)
        with closing(line):
            for _ in range(8):
                line.request("GET", "/v1/models")
                assert line.getresponse().read().startswith(b'{"object":"list"')
                time.sleep(0.12)
                assert line.sock is not None


def test_addresses_for_clients():
    with bind("127.0.0.1", 0) as listener:
        assert address_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        listener = bind("::1", 0)
    except InputError:
        pytest.skip("no IPv6 on this machine")
    with listener:
        assert address_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"


def test_small_packets_of_a_connection_do_not_wait():
    with bind("127.0.0.1", 0) as listener:
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_model_has_the_name_of_its_run_or_file(tmp_path):
    def name(path):
        return ServeRequest(model=tmp_path / path, host="localhost", port=0).name

    assert [name("king/best.safetensors"), name("king.safetensors")] == ["king", "king"]
