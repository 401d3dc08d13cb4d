"""Client of `fork_server.py`, used as a Python interpreter: SOCKET -m MODULE ...

It imports little, because every command starts it.
"""

import json
import os
import resource
import signal
import socket
import sys
import time

PASSED_ON = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip

PATIENCE = 120.0
"""Seconds that the server may take to start."""


def main() -> None:
    """Request a process from the server, forward signals to it, and exit as it does."""
    # Blocked until there is a process to forward them to.
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    connection = connect(sys.argv[1])
    ignored = [number for number in PASSED_ON if signal.getsignal(number) == signal.SIG_IGN]
    ask(connection, sys.argv[2:], ignored)
    with connection.makefile() as answers:
        child = int(answers.readline())
        for number in set(PASSED_ON) - set(ignored):
            signal.signal(number, lambda number, _: os.kill(child, number))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        code = int(answers.readline())
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    sys.exit(code)


def connect(path: str) -> socket.socket:
    """Return a connection to the server, which may still be starting."""
    end = time.monotonic() + PATIENCE
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return connection


def ask(connection: socket.socket, arguments: list[str], ignored: list[int]) -> None:
    """Send a request, and the three streams."""
    request = {
        "arguments": arguments,
        "folder": os.getcwd(),  # noqa: PTH109  pathlib costs more than all else here
        "environment": dict(os.environ),
        "ignored": ignored,
        "file_size": resource.getrlimit(resource.RLIMIT_FSIZE),
    }
    data = json.dumps(request).encode()
    socket.send_fds(connection, [f"{len(data):8}".encode()], [0, 1, 2])
    connection.sendall(data)


if __name__ == "__main__":
    main()
