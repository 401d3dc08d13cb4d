"""Commands in a pseudo-terminal."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
import time
from contextlib import contextmanager, suppress

TRIES, SECONDS = 3000, 0.01
"""How often, and how long each time, a text on the screen is waited for."""


@contextmanager
def in_terminal(command, folder, **environment):
    """Run a command in a terminal of 24 rows and 80 columns.

    Yields the process, the descriptor that its keys are written to, and a function that reads until
    the screen has got some bytes.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        command, cwd=folder, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm", **environment},
    )  # fmt: skip
    os.close(theirs)
    os.set_blocking(ours, False)
    seen = bytearray()

    def wait_for(text):
        for _ in range(TRIES):
            with suppress(BlockingIOError, OSError):  # OSError: the process has ended
                seen.extend(os.read(ours, 1 << 16))
            if text in seen:
                return
            time.sleep(SECONDS)
        process.kill()
        raise AssertionError((text, bytes(seen), process.stderr.read()))

    try:
        yield process, ours, wait_for
    finally:
        process.kill()
        process.communicate()
        os.close(ours)
