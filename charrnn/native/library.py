"""The compiled loop on this machine: where its library lies, and whether it is trusted."""

import ctypes
import hashlib
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from charrnn.core.files import cache_folder

FOLDER = Path(__file__).parent
FLAGS = ("-O3", "-Wno-psabi", "-shared", "-fPIC", "-fno-math-errno")
TUNED: tuple[list[str], ...] = (["-march=native"], ["-mcpu=native"], [])
"""Options that tune for this processor; the first one that the compiler knows is used."""

POINTER, INTEGER = ctypes.c_void_p, ctypes.c_int64
FUNCTIONS = {
    "network_step": (None, [POINTER, INTEGER, INTEGER, *[POINTER] * 5]),
    "ngram_predict": (None, [POINTER, INTEGER, *[POINTER] * 5]),
    "word_predict": (None, [POINTER, INTEGER, *[POINTER] * 4]),
    "ngram_mix": (None, [POINTER, INTEGER, *[POINTER] * 4]),
    "steer": (None, [POINTER, *[INTEGER] * 4, *[POINTER] * 3]),
    "steer_read": (INTEGER, [POINTER, *[INTEGER] * 3, POINTER]),
    "write_texts": (INTEGER, [POINTER] * 6),
    "read_texts": (INTEGER, [POINTER, INTEGER, INTEGER, *[POINTER] * 4]),
}
"""Result and arguments of the functions, as in native.h and loop.c."""


def sources() -> list[Path]:
    """Return the C files, the header last."""
    return [*sorted(FOLDER.glob("*.c")), FOLDER / "native.h"]


def library_path() -> Path:
    """Return the path of the library for this machine, built or not.

    Raises:
        OSError: A source cannot be read.
    """
    parts = ([path.read_text(encoding="utf-8") for path in sources()], FLAGS, TUNED, processor())
    name = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
    return cache_folder().absolute() / "native" / f"{name}.so"


def processor() -> str:
    """Return the instruction sets of this processor: code for another one could crash."""
    flags = ""
    with suppress(OSError), Path("/proc/cpuinfo").open(encoding="ascii", errors="replace") as file:
        flags = next((line for line in file if line.startswith(("flags", "Features"))), "")
    return f"{sys.platform} {os.uname().machine if hasattr(os, 'uname') else ''} {flags}"


def is_on() -> bool:
    """False if CHARRNN_NATIVE=0 turns it off, or the system has no users to trust."""
    return os.environ.get("CHARRNN_NATIVE") != "0" and hasattr(os, "getuid")


def load() -> ctypes.CDLL | None:
    """Return the library if it was built and only this user can write it, else None."""
    if not is_on():
        return None
    try:
        path = library_path()
        return open_library(path) if is_own(path) and is_own(path.parent) else None
    except OSError:  # it is not there
        return None


def is_own(path: Path) -> bool:
    """True if a file or folder belongs to this user, is no link, and only they can write it."""
    found = path.lstat()
    return (
        found.st_uid == os.getuid()
        and not stat.S_ISLNK(found.st_mode)
        and not found.st_mode & 0o022
    )


def open_library(path: Path) -> ctypes.CDLL | None:
    """Return a library with the types of its functions; None if it lacks one."""
    library = ctypes.CDLL(str(path))
    for name, (result, arguments) in FUNCTIONS.items():
        if not hasattr(library, name):
            return None
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
