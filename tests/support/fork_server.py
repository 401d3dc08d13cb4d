"""Server that forks Python processes with torch and charrnn already imported.

A process that imports torch needs three seconds before its first step; a process forked from this
server needs 0.05 seconds. `fork_client.py` takes the place of the interpreter: it sends its
arguments, folder, environment, streams, ignored signals and file size limit, forwards signals, and
exits as the forked process does.

Arguments: the path of the socket, and the id of the owner process; the server ends after its owner.
"""

import atexit
import gc
import importlib
import importlib.util
import json
import os
import pkgutil
import resource
import runpy
import select
import shutil
import signal
import socket
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

HEADER = 8
"""Size in bytes of the request's length, which is sent with the three streams."""

EXTRA = ("torch._dynamo", "torch.distributed.run")
"""Modules that training or its launcher imports late."""

SERVER = os.getpid()
"""The process that forks."""


def preload() -> None:
    """Import everything that a command may need; start no thread."""
    import charrnn.__main__

    for name in (*module_names(charrnn), *EXTRA):
        importlib.import_module(name)
    gc.freeze()  # a collection in a fork would copy all of it
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        raise RuntimeError("a thread was started: a fork would not have it")


def module_names(package: ModuleType) -> list[str]:
    """Return the names of all modules in a package."""
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    return [module.name for module in found if not module.name.endswith("__main__")]


def serve(listener: socket.socket, owner: int) -> None:
    """Fork a guardian for every request, as long as the owner lives."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system reaps the guardians
    while True:
        ready, _, _ = select.select([listener, owner], [], [])
        if owner in ready:
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            guard(connection, owner)
        connection.close()


def guard(connection: socket.socket, owner: int) -> NoReturn:
    """Fork the command and report its end; kill it if its client or the test run ends first."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, 0)  # a Ctrl-C in the terminal reaches the client, which forwards it
    request, streams = receive(connection)
    child = os.fork()
    if child == 0:
        connection.close()
        become(request, streams)
    for stream in streams:
        os.close(stream)
    connection.sendall(f"{child}\n".encode())
    ended = os.pidfd_open(child)
    ready, _, _ = select.select([connection, ended, owner], [], [])
    if ended not in ready:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    try:
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    finally:
        os._exit(0)


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Return the request of a client, and its streams."""
    header, streams, _, _ = socket.recv_fds(connection, HEADER, 3)
    with connection.makefile("rb") as file:
        return json.loads(file.read(int(header))), list(streams)


def become(request: dict[str, Any], streams: list[int]) -> NoReturn:
    """Turn this process into the requested one, run it, and exit."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number in request["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, request["file_size"])
    try:
        run(request["arguments"])
    except SystemExit as error:
        leave(error.code)
    leave(0)


def run(arguments: list[str]) -> None:
    """Run `-m MODULE ...` as the interpreter does; -u changes nothing here."""
    _, name, *rest = [word for word in arguments if word != "-u"]
    sys.argv = [name, *rest]
    sys.modules.pop(find_main(name), None)  # it runs again, as `__main__`
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def find_main(name: str) -> str:
    """Return the name of the module that `-m NAME` runs."""
    spec = importlib.util.find_spec(name)
    return f"{name}.__main__" if spec and spec.submodule_search_locations else name


def leave(code: object) -> NoReturn:
    """Clean up as the interpreter does at exit, without freeing memory, which takes a second."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    is_number = code is None or isinstance(code, int)
    if not is_number:
        sys.stderr.write(f"{code}\n")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(code or 0) & 0xFF if is_number else 1)  # type: ignore[call-overload]


def main() -> None:
    """Serve. Signals that nohup or a shell's & ignored have their default again: forks inherit it."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    path, owner = Path(sys.argv[1]), os.pidfd_open(int(sys.argv[2]))
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            preload()
            listener.bind(os.fspath(path))
            listener.listen(64)
            serve(listener, owner)
        finally:
            if os.getpid() == SERVER:
                shutil.rmtree(path.parent, ignore_errors=True)


if __name__ == "__main__":
    main()
