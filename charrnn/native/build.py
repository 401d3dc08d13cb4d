"""Compile the C files with the local C compiler, silently at first use, or by hand.

Without a compiler everything works, but sampling is slower. The library lies in the cache folder,
under a hash of sources, flags and processor; beside it, a note of a compiler that failed, which is
not tried again. `python -m charrnn.native.build` tries it again, and says what fails.
"""

import ctypes
import os
import secrets
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from charrnn.core.errors import CharRNNError, InputError, printable, reason_of
from charrnn.native.library import FLAGS, TUNED, is_on, is_own, library_path, load, sources

COMPILERS = ("cc", "gcc", "clang")

SECONDS = 60
"""A compiler or a trial that takes longer is ended."""

TRIAL = """\
import sys
sys.path.insert(0, sys.argv[1])
import charrnn
del sys.path[0]
from charrnn.native.trial import main
sys.exit(main(sys.argv[2:]))
"""
"""Runs the trial of this package: not of another one that is installed, and no file of the user's
working folder is imported by mistake."""


def load_or_build() -> ctypes.CDLL | None:
    """Return the library, built now if need be; None if it is off or cannot be built. Silent."""
    library = load()
    if library is None and is_on():
        with suppress(CharRNNError, OSError):
            if not has_failed(library_path(), find_compiler()):
                build()
                library = load()
    return library


def build() -> Path:
    """Compile the library, try it, then move it to its path in the cache folder.

    Raises:
        InputError: There is no compiler.
        CharRNNError: The compiler fails, or the library computes something else.
    """
    compiler = find_compiler()
    path = library_path()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not is_own(path.parent):
            raise CharRNNError(f"{printable(path.parent)}: others may write there; not built")
        temporary.touch()  # a folder that cannot be written costs no compiling
        make(temporary, compiler)
        temporary.replace(path)
        failure_path(path).unlink(missing_ok=True)
    except OSError as error:
        where = printable(error.filename or path)
        raise CharRNNError(f"{where}: {reason_of(error)}; not built") from None
    finally:
        with suppress(OSError):
            temporary.unlink()
    return path


def make(temporary: Path, compiler: list[str]) -> None:
    """Compile a library and try it; note a failure of the compiler or of the library.

    Raises:
        CharRNNError: The compiler fails, or the library computes something else.
    """
    try:
        compile_to(temporary, compiler)
        temporary.chmod(0o700)
        try_out(temporary)
    except CharRNNError as error:
        with suppress(OSError):
            failure_path(library_path()).write_text(f"{shlex.join(compiler)}\n{error}\n", "utf-8")
        raise


def failure_path(path: Path) -> Path:
    """Return the path of the note that the library of a path cannot be built."""
    return path.with_suffix(".failed")


def has_failed(path: Path, compiler: list[str]) -> bool:
    """True if there is a note that this compiler has failed."""
    try:
        note = failure_path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return note.startswith(shlex.join(compiler) + "\n")


def find_compiler() -> list[str]:
    """Return the command of the C compiler: that of CC with its options, else one of COMPILERS.

    Raises:
        InputError: There is none.
    """
    named = os.environ.get("CC", "").strip()
    try:
        command = shlex.split(named)
    except ValueError as error:
        raise InputError(f"CC: {printable(named)}: {error}") from None
    found = command or [each for each in map(shutil.which, COMPILERS) if each][:1]
    if not found or not (command or has_tools()):
        raise InputError("no C compiler: install one, or name it in CC; sampling works without")
    return found


def has_tools() -> bool:
    """False on a Mac without developer tools, where `cc` opens a window that offers them."""
    return sys.platform != "darwin" or not run(["xcode-select", "-p"]).returncode


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command without input, and return its output.

    Raises:
        CharRNNError: It takes too long.
    """
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            check=False, timeout=SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise CharRNNError(f"{printable(command[0])}: takes over {SECONDS} s; ended") from None


def compile_to(target: Path, compiler: list[str]) -> None:
    """Run a compiler.

    Raises:
        CharRNNError: It fails.
    """
    for tuned in TUNED:
        files = [str(path) for path in sources() if path.suffix == ".c"]
        command = [*compiler, *FLAGS, *tuned, *files, "-lm", "-o", str(target)]
        done = run(command)
        if not done.returncode:
            return
    errors = [line for line in done.stderr.splitlines() if "error" in line]
    shown = errors[0] if errors else f"exit code {done.returncode}"
    raise CharRNNError(printable(f"{' '.join(compiler)}: failed: {shown}"))


def try_out(path: Path) -> None:
    """Run a library on the reference inputs, in a process of its own: it may crash.

    Raises:
        CharRNNError: It crashes, or its results are not the reference results.
    """
    root = Path(__file__).parents[2]
    if run([sys.executable, "-P", "-c", TRIAL, str(root), str(path)]).returncode:
        raise CharRNNError("what the compiler made computes something else; nothing is kept")


def main(arguments: list[str]) -> int:
    """Build the library, print its path, and return the exit code."""
    if arguments:
        sys.stderr.write(
            "usage: python -m charrnn.native.build (builds the compiled loop; no options)\n"
        )
        return 2
    try:
        sys.stdout.write(f"built: {printable(build())}\n")
    except CharRNNError as error:
        sys.stderr.write(f"charrnn: error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
