"""Who may ask: Host against names that lead here, Origin against pages of others; the log."""

import io

import pytest
from chains import cycle
from servers import serving

from charrnn.core.console import Console
from charrnn.server.guard import Guard

OURS = [
    "localhost", "localhost:8000", "LOCALHOST:1", "127.0.0.1:8000", "192.168.0.7", "[::1]:8000",
    "[fe80::1]", "box", "box:80", "box.local", "host.docker.internal:8000", "a.localhost",
    "mine.example", "mine.example:443",
]  # fmt: skip
OTHERS = [
    "", "evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example",
    "user@localhost", "localhost:8000/x", "localhost:x", "[::1", "[evil]", "::1", "a b",
    "localhost:123456", "mine.example.", "localhost\u00e9", "[1.2.3.4:]",
]  # fmt: skip


@pytest.mark.parametrize("host", OURS)
def test_addresses_private_names_and_own_names_are_known(host):
    assert Guard(None, {"mine.example"}, Console(0, io.StringIO())).knows(host)


@pytest.mark.parametrize("host", OTHERS)
def test_names_that_a_stranger_can_register_are_not_known(host):
    assert not Guard(None, {"mine.example"}, Console(0, io.StringIO())).knows(host)


@pytest.fixture(scope="module")
def served():
    with serving(cycle("abc", starts={0: 1})) as served:
        yield served


def test_a_page_of_another_site_gets_nothing(served):
    host = served.address.removeprefix("http://")
    ok = [("Origin", served.address)], [("Origin", served.address.upper())], []
    wrong = [
        [("Origin", origin)]
        for origin in ("null", "http://evil.example", f"http://{host}0", f"{served.address}/", "")
    ] + [[("Host", "evil.example")], [("Host", "evil.example"), ("Origin", "http://evil.example")]]
    for path, content in (("/", None), ("/v1/models", None), ("/v1/completions", {"seed": 1})):
        found = [served.ask(path, content, headers=headers)[0] for headers in ok]
        assert found == [200] * 3
        for headers in wrong:
            status, _, answer = served.ask(path, content, headers=headers)
            assert status == 403, headers
            assert answer["error"]["type"] == "invalid_request_error"


def test_every_response_has_headers_that_keep_other_sites_out(served):
    for path in ("/", "/v1/models", "/nothing"):
        headers = served.ask(path)[1]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "frame-ancestors 'none'"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


def test_the_log_has_one_line_for_a_request():
    with serving(cycle("abc")) as served:
        served.complete(prompt="a", max_tokens=3)
        served.ask("/v1/models")
        served.ask("/%1b%5b2J%0anext")
    lines = [line.rpartition(", ")[0] for line in served.log.getvalue().splitlines()]
    assert lines == [
        "127.0.0.1 POST /v1/completions 200, 1 + 3 characters",
        "127.0.0.1 GET /v1/models 200",
        "127.0.0.1 GET /\\x1b[2J\\nnext 404",
    ]
