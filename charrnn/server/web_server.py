"""The server as a process: its socket, its messages, its end by a signal."""

import asyncio
import errno
import logging
import signal
import socket
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from charrnn.checkpoints.model import Model, load_model
from charrnn.checkpoints.run_folder import BEST
from charrnn.core.console import Console
from charrnn.core.errors import InputError, printable, reason_of
from charrnn.core.signals import Interrupts
from charrnn.server.completion import Writer
from charrnn.server.guard import Guard
from charrnn.server.request_queue import RequestQueue
from charrnn.server.web_app import Site, make_app

MOST_CONNECTIONS = 256

IDLE_SECONDS = 30.0
"""A connection that sends no whole request for so long is closed."""

KEPT_SECONDS = 60
"""For uvicorn: longer than IDLE_SECONDS, which alone decides."""

LAST_SECONDS = 0.2
"""Time for requests to end when the server stops."""

LOGGERS = ("uvicorn.error", "asyncio")


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeRequest:
    """The settings of one `serve` command."""

    model: Path
    host: str
    port: int

    def __post_init__(self) -> None:
        if not 0 <= self.port < 1 << 16:
            raise InputError(f"--port: must be in [0, 65535], got {self.port}")
        if not self.host:
            raise InputError("--host: must not be empty; 0.0.0.0 is every address")

    @property
    def name(self) -> str:
        """The name of the run or file, by which clients know the model."""
        path = self.model.resolve()
        return printable(path.parent.name if path.name == BEST else path.stem)


def serve(
    request: ServeRequest, make_page: Callable[[Model], bytes], console: Console,
    announce: Callable[[str], None],
) -> None:  # fmt: skip
    """Serve a model until a signal ends the process.

    Args:
        request: What to serve, and where.
        make_page: Returns the page at /; it raises InputError for a model without one.
        console: Gets messages.
        announce: Receives the address when clients can connect.

    Raises:
        InputError: The address cannot be used, or the model cannot be read.
        CheckpointError: The model file is damaged.
    """
    with bind(request.host, request.port) as listener:
        with console.waiting("loading the model"):
            model = load_model(request.model)
            writer = Writer(model)
            engine = writer.sampler.engine
        if console.verbosity > 0:
            console.line(f"model {printable(request.model)}; {engine}")
        queue = RequestQueue(writer.pieces)
        created = int(request.model.stat().st_mtime)
        site = Site(
            model=model, name=request.name, created=created, make_page=make_page, queue=queue
        )
        app = Guard(make_app(site), names_of(request.host), console)
        announce(address_of(listener))
        interrupts = Interrupts()
        try:
            with interrupts, messages_of_libraries(console):
                run(app, listener, interrupts)
        finally:
            queue.close()
    if interrupts.received is not None:
        signal.raise_signal(interrupts.received)  # to the handler of all commands


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        InputError: The host is not one of this machine, or the port cannot be used.
    """
    shown = printable(host)[:80]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
    except (OSError, UnicodeError, ValueError):  # UnicodeError: a long name; ValueError: a NUL
        raise InputError(f"--host: {shown!r} is neither an address nor a known name") from None
    try:
        listener = socket.create_server(address[:2], family=family, backlog=MOST_CONNECTIONS)
    except OSError as error:
        reason = {
            errno.EADDRINUSE: f"--port: {port} is in use on {shown}; take another one, or 0 for any",
            errno.EACCES: f"--port: {port} is reserved; take one from 1024 up, or 0 for any",
            errno.EADDRNOTAVAIL: f"--host: {shown!r} is not an address of this machine",
        }.get(error.errno or 0, f"--host: {shown!r}: {reason_of(error)}")
        raise InputError(reason) from None
    # Its connections inherit this. A small packet would wait for an acknowledgement, 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the address of a socket for clients."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def names_of(host: str) -> frozenset[str]:
    """Return the names by which clients may call this server: that of --host, and the machine's."""
    return frozenset({host.lower(), socket.gethostname().lower()})


def run(app: ASGIApp, listener: socket.socket, interrupts: Callable[[], str]) -> None:
    """Answer requests until a signal comes."""
    config = uvicorn.Config(
        app, http="h11", ws="none", loop="asyncio", lifespan="off", interface="asgi3",
        log_config=None, access_log=False, server_header=False, proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS, timeout_keep_alive=KEPT_SECONDS,
    )  # fmt: skip
    Server(config, interrupts).run(sockets=[listener])


class Server(uvicorn.Server):
    """Uvicorn's server; it leaves at once after a signal, and closes idle connections.

    Args:
        config: Of uvicorn.
        interrupts: Returns whether a signal came.
    """

    def __init__(self, config: uvicorn.Config, interrupts: Callable[[], str]) -> None:
        super().__init__(config)
        self._interrupts = interrupts
        self._idle: dict[Any, tuple[Any, float]] = {}
        """By connection, its last request and since when it waits for the next one."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals to `interrupts`."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop; called every 0.1 seconds."""
        if self._interrupts():
            self.should_exit = True
        self._close_idle(time.monotonic())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close all connections at once."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        if self.server_state.tasks:  # each ends when its client has left
            await asyncio.wait(self.server_state.tasks, timeout=LAST_SECONDS)

    def _close_idle(self, now: float) -> None:
        """Close connections that wait too long for a request."""
        before, self._idle = self._idle, {}
        for each in list(self.server_state.connections):
            connection: Any = each
            request = connection.cycle  # it is being answered, or is the last one
            if request is None or request.response_complete:
                last, since = before.get(connection, (request, now))
                self._idle[connection] = request, since if last is request else now
                if now - self._idle[connection][1] > IDLE_SECONDS:
                    connection.transport.close()


class Messages(logging.Handler):
    """Passes messages of libraries on to the console, one line each, at -v.

    Args:
        console: Gets the messages.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print a message without its traceback."""
        if self._console.verbosity > 0:
            error = record.exc_info[1] if record.exc_info else None
            cause = f" {type(error).__name__}: {error}" if error else ""
            self._console.line(printable(f"{record.name}: {record.getMessage().strip()}{cause}"))


@contextmanager
def messages_of_libraries(console: Console) -> Iterator[None]:
    """Pass messages of uvicorn and asyncio on to the console instead of stderr."""
    handler = Messages(console)
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.propagate = propagate
