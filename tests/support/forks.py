"""Interpreter for tests that start processes, with torch and charrnn already imported.

`[*python(), "-m", "charrnn", ...]` behaves like `[sys.executable, "-m", "charrnn", ...]`, but needs
0.05 seconds of processor time instead of 3. CHARRNN_TEST_FORKS=0 selects the real interpreter.
"""

import functools
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

FOLDER = Path(__file__).parent


@functools.cache
def python() -> list[str]:
    """Return the beginning of a command line; start the server at the first call.

    The processes of one test run share a server.
    """
    if not hasattr(os, "pidfd_open") or os.environ.get("CHARRNN_TEST_FORKS") == "0":
        return [sys.executable]
    owner = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    socket = Path(tempfile.gettempdir(), f"charrnn-forks-{owner}", "socket")
    with suppress(FileExistsError):  # another process of this test run has started it
        socket.parent.mkdir(mode=0o700)
        start_server(socket, owner)
    return [sys.executable, "-S", "-E", "-I", os.fspath(FOLDER / "fork_client.py"), str(socket)]


def start_server(socket: Path, owner: int) -> None:
    """Start a server that ends after its owner; a file beside the socket gets its errors."""
    words = [sys.executable, os.fspath(FOLDER / "fork_server.py"), os.fspath(socket), str(owner)]
    log = os.open(socket.parent / "log", os.O_WRONLY | os.O_CREAT)
    streams = [(os.POSIX_SPAWN_DUP2, log, number) for number in (1, 2)]
    os.posix_spawn(sys.executable, words, os.environ, file_actions=streams, setsid=True)
    os.close(log)


def script(path: Path, *arguments: str) -> Path:
    """Write a command that starts this interpreter with arguments before its own."""
    words = " ".join(f"'{word}'" for word in (*python(), *arguments))
    path.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return path
