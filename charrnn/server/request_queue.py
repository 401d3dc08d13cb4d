"""Requests wait in a bounded queue; one thread answers them, so that the event loop stays free."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress

from charrnn.server.completion import Piece
from charrnn.server.completion_request import CompletionRequest

MOST_WAITING = 64
"""Requests that may wait while one is answered."""

Write = Callable[[CompletionRequest, Callable[[], None]], Iterator[Piece]]
"""Yields the pieces of a request; it calls its second argument between steps, which may raise."""


class QueueFullError(Exception):
    """As many requests wait as may."""


class Cancelled(BaseException):
    """The client of a request has left, or the server stops."""


class Ticket:
    """A request in the queue, and its pieces as they come. It is used in the event loop.

    Args:
        request: The request.
    """

    def __init__(self, request: CompletionRequest) -> None:
        self.request = request
        self._loop = asyncio.get_running_loop()
        self._results: asyncio.Queue[Piece | BaseException | None] = asyncio.Queue()
        self._is_cancelled = threading.Event()

    def cancel(self) -> None:
        """End the request: its client has left."""
        self._is_cancelled.set()

    def check(self) -> None:
        """In the thread: end the request if its client has left."""
        if self._is_cancelled.is_set():
            raise Cancelled

    def put(self, result: Piece | BaseException | None) -> None:
        """In the thread: pass on a piece, an error, or None at the end."""
        with suppress(RuntimeError):  # the event loop is closed: the server has stopped
            self._loop.call_soon_threadsafe(self._results.put_nowait, result)

    async def pieces(self) -> AsyncIterator[list[Piece]]:
        """Yield the pieces that have come, several at a time if the client is slower.

        Raises:
            Exception: The request failed.
        """
        end: BaseException | None
        is_over = False
        while not is_over:
            pieces, result = [], await self._results.get()
            while isinstance(result, Piece):
                pieces.append(result)
                if self._results.empty():
                    break
                result = self._results.get_nowait()
            else:
                is_over, end = True, result
            if pieces:
                yield pieces
        if end is not None:
            raise end


class RequestQueue:
    """Answers requests in their order, in a thread of its own.

    Args:
        write: Yields the pieces of a request.
        most_waiting: Requests that may wait.
    """

    def __init__(self, write: Write, most_waiting: int = MOST_WAITING) -> None:
        self._write, self._most = write, most_waiting
        self._waiting: deque[Ticket] = deque()
        self._current: Ticket | None = None
        self._changed = threading.Condition()
        self._is_open = True
        # A daemon: the program may end while a long prompt is read.
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def submit(self, request: CompletionRequest) -> Ticket:
        """Append a request.

        Raises:
            QueueFullError: As many requests wait as may.
        """
        ticket = Ticket(request)
        with self._changed:
            if len(self._waiting) >= self._most:
                raise QueueFullError
            self._waiting.append(ticket)
            self._changed.notify()
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """End a request, whether it waits, is being answered or is over."""
        ticket.cancel()
        with self._changed, suppress(ValueError):
            self._waiting.remove(ticket)

    def close(self) -> None:
        """End all requests and the thread, without waiting for it."""
        with self._changed:
            self._is_open = False
            for ticket in (*self._waiting, *([self._current] if self._current else [])):
                ticket.cancel()
            self._waiting.clear()
            self._changed.notify()

    def _run(self) -> None:
        while ticket := self._next():
            self._answer(ticket)

    def _next(self) -> Ticket | None:
        """Return the next request; None after the queue is closed."""
        with self._changed:
            self._current = None
            self._changed.wait_for(lambda: self._waiting or not self._is_open)
            if self._is_open:
                self._current = self._waiting.popleft()
            return self._current

    def _answer(self, ticket: Ticket) -> None:
        """Pass on the pieces of a request, and the error that ends it."""
        try:
            for piece in self._write(ticket.request, ticket.check):
                ticket.check()
                ticket.put(piece)
            ticket.put(None)
        except Cancelled:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised in the event loop
            ticket.put(error)
