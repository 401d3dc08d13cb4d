"""A server in a thread, and requests to it."""

import http.client
import io
import json
import threading
from contextlib import closing, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from charrnn.core.console import Console
from charrnn.server.completion import Writer
from charrnn.server.guard import Guard
from charrnn.server.request_queue import RequestQueue
from charrnn.server.web_app import Site, make_app
from charrnn.server.web_server import address_of, bind, messages_of_libraries, run

PAGE = b"<!doctype html>\n<title>a page</title>\n"


@dataclass
class Served:
    """A server that runs."""

    address: str
    queue: RequestQueue
    log: io.StringIO

    def ask(self, path, content=None, *, method=None, body=None, headers=()):
        """Send a request; return status, headers and body, parsed if it is JSON."""
        body = json.dumps(content).encode() if content is not None else body
        method = method or ("GET" if body is None else "POST")
        given = {"Content-Type": "application/json"} if content is not None else {}
        with closing(http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=30)) as line:
            line.request(method, path, body, {**given, **dict(headers)})
            response = line.getresponse()
            data = response.read()
        kind = response.headers.get("content-type", "")
        return (
            response.status,
            response.headers,
            json.loads(data) if data and "json" in kind else data,
        )

    def complete(self, **fields):
        """Return the object of a completion."""
        status, _, found = self.ask("/v1/completions", fields)
        assert status == 200, found
        return found

    def texts(self, **fields):
        """Return the texts of a completion."""
        return [choice["text"] for choice in self.complete(**fields)["choices"]]

    def events(self, **fields):
        """Return the objects of a stream, after checking its form."""
        status, headers, data = self.ask("/v1/completions", {**fields, "stream": True})
        assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8"), data
        *events, done, end = data.decode().split("\n\n")
        assert (done, end) == ("data: [DONE]", "")
        return [json.loads(event.removeprefix("data: ")) for event in events]


@contextmanager
def serving(model, *, name="tiny", make_page=lambda model: PAGE, write=None, most_waiting=64):
    """Serve a model in a thread."""
    log = io.StringIO()
    console = Console(1, log)
    queue = RequestQueue(write or Writer(model).pieces, most_waiting)
    site = Site(model=model, name=name, created=1700000000, make_page=make_page, queue=queue)
    app, ended = Guard(make_app(site), {"tiny.example"}, console), threading.Event()
    with bind("127.0.0.1", 0) as listener, messages_of_libraries(console):
        arguments = (app, listener, lambda: "signal" * ended.is_set())
        thread = threading.Thread(target=run, args=arguments)
        thread.start()
        try:
            yield Served(address_of(listener), queue, log)
        finally:
            ended.set()
            thread.join()
            queue.close()
