"""The C compiler of this machine, and the compiled loop that it makes."""

import ctypes
import subprocess

import pytest

from charrnn.core.errors import InputError
from charrnn.native.build import build, find_compiler
from charrnn.native.library import load


def can_compile() -> bool:
    """Return whether there is a compiler that reads a program of one line (CC=false cannot)."""
    try:
        command = [*find_compiler(), "-x", "c", "-fsyntax-only", "-"]
        return not subprocess.run(command, input=b"#include <math.h>\n", check=False).returncode
    except (InputError, OSError):
        return False


def built_library() -> ctypes.CDLL | None:
    """Return the compiled loop, built now; skip the test without a compiler.

    Raises:
        CharRNNError: The compiler refuses the sources, or the library fails its trial.
    """
    if not can_compile():
        pytest.skip("no C compiler that works")
    build()
    return load()
