"""Compile kernel.c with the local C compiler."""

import ctypes
import hashlib
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from charrnn.core.errors import CharRNNError, InputError, printable, reason_of
from charrnn.core.files import cache_folder

SOURCE = Path(__file__).with_name("kernel.c")
FLAGS = ("-O3", "-Wno-psabi", "-shared", "-fPIC")
TUNED: tuple[list[str], ...] = (["-march=native"], ["-mcpu=native"], [])
"""How compilers are told to make use of all this processor can; the first that is understood."""


def path_of() -> Path:
    """Return where the library of this machine lies, or would.

    Raises:
        OSError: Its source cannot be read.
    """
    facts = (SOURCE.read_text(encoding="utf-8"), FLAGS, TUNED, processor())
    name = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
    return cache_folder().absolute() / f"kernel-{name}.so"


def processor() -> str:
    """Return what this processor can do: code for another one might end the process."""
    can = ""
    with suppress(OSError), Path("/proc/cpuinfo").open(encoding="ascii", errors="replace") as file:
        can = next((line for line in file if line.startswith(("flags", "Features"))), "")
    return f"{sys.platform} {os.uname().machine if hasattr(os, 'uname') else ''} {can}"


def load() -> ctypes.CDLL | None:
    """Return the library, if it was built here and nobody else could have written it."""
    try:
        path = path_of()
        return opened(path) if is_own(path) and is_own(path.parent) else None
    except OSError:  # it is not there
        return None


def is_own(path: Path) -> bool:
    """Say whether a file or folder is the user's, no link, and writable by nobody else."""
    found = path.lstat()
    is_mine = hasattr(os, "getuid") and found.st_uid == os.getuid()
    return is_mine and not stat.S_ISLNK(found.st_mode) and not found.st_mode & 0o022


def opened(path: Path) -> ctypes.CDLL | None:
    """Return a library; None if it has no step."""
    library = ctypes.CDLL(str(path))
    if not hasattr(library, "step"):
        return None
    library.step.argtypes = (ctypes.c_void_p, ctypes.c_long, *[ctypes.c_void_p] * 6)
    library.step.restype = None
    return library


def build() -> Path:
    """Compile the library, try it against NumPy, and then put it in its place.

    Raises:
        InputError: There is no compiler.
        CharRNNError: It fails, or what it made computes something else.
    """
    import secrets

    compiler = compiler_here()
    path = path_of()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        compile_to(temporary, compiler)
        temporary.chmod(0o700)
        try_out(temporary)
        temporary.replace(path)
    except OSError as error:
        where = printable(error.filename or path)
        raise CharRNNError(f"{where}: {reason_of(error)}; not built") from None
    finally:
        with suppress(OSError):
            temporary.unlink()
    if load() is None:
        raise CharRNNError(
            f"{printable(path)}: built, but others may write there, so it will not be used"
        )
    return path


def compiler_here() -> list[str]:
    """Return the C compiler, with its options, if CC gives any.

    Raises:
        InputError: There is none.
    """
    import shlex
    import shutil

    named = os.environ.get("CC", "").strip()
    try:
        command = shlex.split(named)
    except ValueError as error:
        raise InputError(f"CC: {printable(named)}: {error}") from None
    found = command or [each for each in (shutil.which("cc"), shutil.which("gcc")) if each][:1]
    if not found:
        raise InputError("no C compiler: install one, or name it in CC; sampling works without")
    return found


def try_out(path: Path) -> None:
    """Let a process of its own compare a library with NumPy: it might not survive it.

    Raises:
        CharRNNError: It does not, or the library computes something else.
    """
    import subprocess

    command = [sys.executable, "-m", "charrnn.nn.native", "--try", str(path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise CharRNNError("what the compiler made does not compute the network; nothing is kept")


def compile_to(target: Path, compiler: list[str]) -> None:
    """Run a compiler.

    Raises:
        CharRNNError: It fails.
    """
    import subprocess

    for tuned in TUNED:
        command = [*compiler, *FLAGS, *tuned, str(SOURCE), "-o", str(target)]
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False
        )
        if not done.returncode:
            return
    said = [line for line in done.stderr.splitlines() if "error" in line]
    shown = said[0] if said else f"exit code {done.returncode}"
    raise CharRNNError(printable(f"{' '.join(compiler)}: failed: {shown}"))
