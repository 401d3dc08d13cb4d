"""Requests to `charrnn serve` with mutated fields, headers and bytes: 4xx, and nothing breaks."""

import json
import os
import random
import socket
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from harness import TEXT, expect, run_script

import charrnn.server.web_app
import charrnn.server.web_server

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from infill_models import model_of
from servers import serving

AT_ONCE = 16

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""What a client gets that asks whether to send the body."""

BODY_SECONDS, IDLE_SECONDS = 0.2, 0.5
"""How long the server waits for what does not come; in true life, half a minute."""

GROWTH = 48 << 20
"""Bytes that the process may grow by while it refuses requests."""

FIELDS = {
    "prompt": "Who", "max_tokens": 3, "temperature": 0.8, "top_p": 0.9, "top_k": 5, "min_p": 0.1,
    "n": 1, "stop": ["\n"], "seed": 1, "echo": False, "logprobs": 2, "stream": False,
    "model": "tiny", "memory_weight": 0.5, "ban": "W", "bias": {"e": 1}, "logit_bias": {"e": 1},
    "no_repeat": 5, "match": "[a-z ]{1,3}", "best_of": 1, "suffix": "", "presence_penalty": 0, "stream_options": {"include_usage": True},
    "user": "a",
}  # fmt: skip

NUMBERS = (
    -1, 0, 1, 2, 0.5, -0.5, 1e-320, 1e300, -1e308, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63),
    10**30, 10**400,
)  # fmt: skip

STRINGS = (
    "", "\x00", "\n" * 50, "e\u0301", "\u20ac", "\ud800", "\udcff", "\U0001f600", "\u202e", "a" * 300,
    "$(id)", "../../etc/passwd", "{}", "null", "Who's there?", "\r\n", "(a+)+", "\\", "\x1b[2J",
)  # fmt: skip

RAW = (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 5000, b"[" * 3000, b'{"a":' * 3000, b"")
"""Values that are no JSON, or only Python's."""

HEADERS = (
    b"Host: evil.example", b"Host: ", b"Host: localhost", b"Host: [::1", b"Origin: null",
    b"Origin: http://evil.example", b"Content-Type: text/plain", b"Content-Type: multipart/form-data",
    b"Content-Length: 0", b"Content-Length: 99999999999999999999", b"Content-Length: -1",
    b"Content-Length: 5\r\nContent-Length: 6", b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked", b"Expect: 100-continue", b"Upgrade: websocket",
    b"Connection: Upgrade\r\nUpgrade: h2c", b"X: " + b"a" * 70_000, b"\x00: \xff", b"No colon",
    b" folded: line", b"Accept-Encoding: \xe9", b"X-Forwarded-Host: evil.example",
    b"Cookie: " + b"a=b; " * 500, b"Range: bytes=0-",
)  # fmt: skip

TARGETS = (
    b"/v1/completions", b"/v1/models", b"/v1/models/tiny", b"/", b"/v1/models/%00", b"/../etc/passwd",
    b"//evil.example/", b"/%ff", b"/v1/completions/", b"*", b"http://evil.example/v1/models", b"/?" + b"a" * 5000,
    b"/v1/models/" + b"%2e%2e%2f" * 50,
)  # fmt: skip

METHODS = (
    b"GET",
    b"HEAD",
    b"PUT",
    b"DELETE",
    b"OPTIONS",
    b"PATCH",
    b"TRACE",
    b"CONNECT",
    b"\xff",
    b"",
)


def value(rng: random.Random, depth: int = 0) -> object:
    """Return a value that a field may not expect."""
    kind = rng.randrange(8 if depth < 3 else 5)
    if kind < 2:
        return rng.choice(NUMBERS)
    if kind < 4:
        return rng.choice(STRINGS)
    if kind == 4:
        return rng.choice((None, True, False))
    if kind == 5:
        return {rng.choice(STRINGS): value(rng, depth + 1) for _ in range(rng.randrange(4))}
    return [value(rng, depth + 1) for _ in range(rng.randrange(4))]


def body_of(rng: random.Random) -> bytes:
    """Return a body: fields with values of the wrong kind, unknown names, broken JSON."""
    fields = {n: v for n, v in FIELDS.items() if rng.random() < 0.3} | {"max_tokens": 3}
    for _ in range(rng.randrange(3)):
        name = rng.choice([*FIELDS, *STRINGS])
        fields[name] = value(rng)
    body = json.dumps(fields, ensure_ascii=rng.random() < 0.9).encode("utf-8", "surrogatepass")
    if rng.random() < 0.1:
        body = body.replace(b": ", b": " + rng.choice(RAW), 1)
    if rng.random() < 0.1:
        body = damaged(body, rng)
    if rng.random() < 0.05:
        body = b" " * rng.choice((1, 100_000, 600_000)) + body
    return body


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return bytes with some changed, removed, repeated, or cut off."""
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(changed) + 1)
        size = rng.randrange(1, 9)
        part = rng.choice((b"", rng.randbytes(size), bytes(changed[at : at + size]) * 2))
        changed[at : at + rng.randrange(size)] = part
    return bytes(changed[: rng.randrange(len(changed) + 1)] if rng.random() < 0.2 else changed)


def request_of(rng: random.Random) -> bytes:
    """Return the bytes of a request."""
    body = body_of(rng)
    method = b"POST" if rng.random() < 0.85 else rng.choice(METHODS)
    target = TARGETS[0] if rng.random() < 0.85 else rng.choice(TARGETS)
    version = (
        b"HTTP/1.1" if rng.random() < 0.97 else rng.choice((b"HTTP/1.0", b"HTTP/2.0", b"HTTP/x"))
    )
    headers = [
        b"Host: localhost", b"Content-Type: application/json", b"Connection: close",
        b"Content-Length: %d" % len(body),
    ]  # fmt: skip
    for _ in range(rng.randrange(3) if rng.random() < 0.3 else 0):
        at = rng.randrange(len(headers))
        headers[at : at + rng.randrange(2)] = [rng.choice(HEADERS)]
    data = b"\r\n".join([b" ".join((method, target, version)), *headers, b"", body])
    return damaged(data, rng) if rng.random() < 0.1 else data


def ask(address: tuple[str, int], data: bytes) -> str:
    """Send bytes, and no more; return the status of the answer, or "closed"."""
    with socket.create_connection(address, timeout=60) as line:
        found = b""
        try:
            line.sendall(data)
            while chunk := line.recv(1 << 16):
                found += chunk
        except ConnectionError:  # it was refused before all of it was sent
            pass
    found = found.removeprefix(CONTINUE)
    if not found:
        return "closed"
    status = found[9:12].decode("ascii", "replace")
    expect(found.startswith(b"HTTP/1.1 "), f"the answer is no HTTP: {found[:80]!r}")
    expect(b"Traceback" not in found, f"a traceback: {found[-500:]!r}")
    return status


def size_of_process() -> int:
    """Return the resident memory in bytes."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def check(count: int, seed: int) -> tuple[int, str]:
    """Send requests, several at once; check each answer, then the server."""
    charrnn.server.web_app.BODY_SECONDS = BODY_SECONDS
    charrnn.server.web_server.IDLE_SECONDS = IDLE_SECONDS
    model = model_of(TEXT[:700], scale=0.4)
    with serving(model) as served:
        address = urlsplit(served.address)
        where, came = (str(address.hostname), int(address.port or 0)), Counter[str]()
        expected = served.texts(prompt="Who", max_tokens=20, seed=1)
        threads, size = 0, 0
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for begin in range(0, count, 1000):
                some = range(begin, min(count, begin + 1000))
                made = [request_of(random.Random(f"{seed}/{number}")) for number in some]
                for number, kind in zip(some, pool.map(partial(ask, where), made), strict=True):
                    fine = kind in ("200", "closed") or kind.startswith("4")
                    expect(fine, f"request {number}: {kind}: {made[number - begin][:300]!r}")
                    came[kind] += 1
                if not size:
                    threads, size = threading.active_count(), size_of_process()
        log = served.log.getvalue()
        expect("Traceback" not in log and "warning" not in log, f"in the log: {log[-500:]}")
        expect(served.texts(prompt="Who", max_tokens=20, seed=1) == expected, "another text")
        grown = size_of_process() - size
        expect(grown < GROWTH, f"the process has grown by {grown:,} bytes")
        expect(threading.active_count() <= threads, "threads are left")
        expect(not served.queue._waiting, "requests are left in the queue")
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in sorted(came.items()))
    return count, f"{kinds}; no traceback, the server lives"


if __name__ == "__main__":
    run_script("hostile HTTP requests", 2_000, 10_000, check)
