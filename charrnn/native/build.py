"""Compile the C files with the local C compiler: `python -m charrnn.native.build`.

Optional: without a compiler everything works, but sampling is slower. The library lies in the cache
folder, under a hash of sources, flags and processor.
"""

import os
import secrets
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from charrnn.core.errors import CharRNNError, InputError, printable, reason_of
from charrnn.native.library import FLAGS, TUNED, library_path, load, sources


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


def find_compiler() -> list[str]:
    """Return the command of the C compiler: that of CC with its options, else cc or gcc.

    Raises:
        InputError: There is none.
    """
    named = os.environ.get("CC", "").strip()
    try:
        command = shlex.split(named)
    except ValueError as error:
        raise InputError(f"CC: {printable(named)}: {error}") from None
    found = command or [each for each in (shutil.which("cc"), shutil.which("gcc")) if each][:1]
    if not found:
        raise InputError("no C compiler: install one, or name it in CC; sampling works without")
    return found


def compile_to(target: Path, compiler: list[str]) -> None:
    """Run a compiler.

    Raises:
        CharRNNError: It fails.
    """
    for tuned in TUNED:
        files = [str(path) for path in sources() if path.suffix == ".c"]
        command = [*compiler, *FLAGS, *tuned, *files, "-lm", "-o", str(target)]
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False
        )
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
    command = [sys.executable, "-m", "charrnn.native.trial", str(path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
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
