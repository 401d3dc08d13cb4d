"""The addresses of the server: `/v1/completions`, `/v1/models`, and the page at `/`."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from charrnn.checkpoints.model import Model
from charrnn.core.errors import InputError
from charrnn.server.completion import Piece
from charrnn.server.completion import Response as Answer
from charrnn.server.completion_request import fitted, parse_request, refused
from charrnn.server.fields import RequestError
from charrnn.server.request_queue import QueueFullError, RequestQueue, Ticket

LARGEST_BODY = 1 << 19
"""Bytes of a request: the longest prompts, each character escaped, and as much again."""

BODY_SECONDS = 30
"""Time for the body of a request to arrive."""

RETRY_SECONDS = 1
"""When a client may ask again that found the queue full."""

FAILED = "the server failed; its log says why"

EVENT_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")
]  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """What is served."""

    model: Model
    name: str
    created: int
    """When the model was written, in seconds since 1970."""
    make_page: Callable[[Model], bytes]
    """Returns the page that writes; it raises InputError for a model without one."""
    queue: RequestQueue


class Page:
    """The page at /, made in a thread when it is first asked for: that may take seconds.

    Args:
        make: Returns the page.
    """

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._made: Future[bytes] = Future()
        # A daemon: the program may end before it has finished.
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)

    async def get(self) -> bytes:
        """Return the page.

        Raises:
            InputError: The model has none.
        """
        if not self._thread.ident:
            self._thread.start()
        return await asyncio.shield(asyncio.wrap_future(self._made))

    def _run(self) -> None:
        try:
            self._made.set_result(self._make())
        except BaseException as error:  # noqa: BLE001 - `get` raises it
            self._made.set_exception(error)


def make_app(site: Site) -> Starlette:
    """Return the application."""
    description = {
        "id": site.name, "object": "model", "created": site.created, "owned_by": "charrnn"
    }  # fmt: skip
    page = Page(lambda: site.make_page(site.model))

    async def show_page(request: Request) -> Response:
        try:
            return Response(await page.get(), media_type="text/html")
        except InputError as error:
            raise RequestError(404, str(error).partition(";")[0]) from None

    async def list_models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [description]})

    async def show_model(request: Request) -> Response:
        if request.path_params["name"] != site.name:
            raise RequestError(404, f"there is no such model; this server has {site.name!r}")
        return JSONResponse(description)

    async def complete(request: Request) -> Response:
        wanted = fitted(parse_request(await body_of(request), site.name), site.model)
        answer = Answer(wanted, site.model, site.name)
        try:
            ticket = site.queue.submit(wanted)
        except QueueFullError:
            message = "too many requests are waiting; try again in a second"
            raise RequestError(503, message, code="queue_full") from None
        kind = Events if wanted.is_streamed else Whole
        return kind(answer, ticket, site.queue)

    app = Starlette(
        routes=[
            Route("/", show_page),
            Route("/v1/models", list_models),
            Route("/v1/models/{name:path}", show_model),
            Route("/v1/completions", complete, methods=["POST"]),
        ],
        exception_handlers=HANDLERS,
    )
    app.router.redirect_slashes = False
    return app


async def body_of(request: Request) -> bytes:
    """Return the body of a request.

    Raises:
        RequestError: It is no JSON, too large, or does not arrive.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        message = "the body must be JSON: send the header Content-Type: application/json"
        raise RequestError(415, message)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > LARGEST_BODY:
                    raise RequestError(413, f"the body has more than {LARGEST_BODY:,} bytes")
    except TimeoutError:
        message = f"the body did not arrive within {BODY_SECONDS} seconds"
        raise RequestError(408, message) from None
    return bytes(body)


async def on_refusal(request: Request, error: Exception) -> Response:
    """Return the response to a request that is refused."""
    assert isinstance(error, RequestError)
    headers = {}
    if error.status == 503:
        headers["retry-after"] = str(RETRY_SECONDS)
    if error.status in (408, 413, 415):  # the rest of the body is not read
        headers["connection"] = "close"
    return JSONResponse(error_object(error), error.status, headers)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Return the response for an address or a method that does not exist."""
    assert isinstance(error, HTTPException)
    message = "no such address; there are /, /v1/models and /v1/completions"
    if error.status_code == 405:
        message = f"this address does not take {request.method}"
    refusal = RequestError(error.status_code, message)
    return JSONResponse(error_object(refusal), error.status_code, error.headers)


async def on_failure(request: Request, error: Exception) -> Response:
    """Return the response after an error of the server; `Guard` reports the error."""
    return JSONResponse(error_object(RequestError(500, FAILED)), 500)


HANDLERS = {RequestError: on_refusal, HTTPException: on_http_error, Exception: on_failure}


def error_object(error: RequestError) -> dict[str, Any]:
    """Return an error as clients of the API read it."""
    return {
        "error": {
            "message": error.message,
            "type": "server_error" if error.status >= 500 else "invalid_request_error",
            "param": error.field,
            "code": error.code,
        }
    }


class Delivery(Response):
    """A response that is written while its client waits, and ended when the client leaves.

    Args:
        answer: Builds the objects.
        ticket: The request in the queue.
        queue: The queue.
    """

    def __init__(self, answer: Answer, ticket: Ticket, queue: RequestQueue) -> None:
        super().__init__()
        self._answer, self._ticket, self._queue = answer, ticket, queue

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response; leave a note for the log."""
        try:
            await until_left(receive, self.deliver(scope, receive, send))
        finally:
            self._queue.cancel(self._ticket)
            usage = self._answer.usage()
            read, written = usage["prompt_tokens"], usage["completion_tokens"]
            scope["state"]["note"] = f"{read:,} + {written:,} {self._answer.unit}s"

    async def deliver(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait for the texts and send them."""
        raise NotImplementedError

    async def batches(self) -> AsyncIterator[list[Piece]]:
        """Yield the pieces of the texts as they come.

        Raises:
            RequestError: The model refuses a setting.
        """
        try:
            async for pieces in self._ticket.pieces():
                yield pieces
        except InputError as error:
            raise refused(error) from None


class Whole(Delivery):
    """All texts of a request in one object."""

    async def deliver(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait for the texts and send them."""
        pieces = [piece async for some in self.batches() for piece in some]
        await JSONResponse(self._answer.whole(pieces))(scope, receive, send)


class Events(Delivery):
    """The texts of a request as server-sent events."""

    async def deliver(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send each piece when it comes."""
        batches = self.batches()
        pieces = await anext(batches)  # a request that is refused has no stream
        await send({"type": "http.response.start", "status": 200, "headers": EVENT_HEADERS})
        try:
            await send(event(self._answer.event(pieces)))
            async for pieces in batches:
                await send(event(self._answer.event(pieces)))
            if self._ticket.request.has_usage:
                await send(event(self._answer.last_event()))
        except Exception:
            await send(event(error_object(RequestError(500, FAILED))))
            raise
        finally:
            await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


def event(content: dict[str, Any]) -> dict[str, Any]:
    """Return a server-sent event with a JSON object, as a message of ASGI."""
    data = f"data: {json.dumps(content, ensure_ascii=False)}\n\n".encode()
    return {"type": "http.response.body", "body": data, "more_body": True}


async def until_left(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do some work until it is done or the client leaves."""

    async def listen() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    tasks = asyncio.create_task(work), asyncio.create_task(listen())
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
