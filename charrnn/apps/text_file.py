"""The file of an edited text: opened and saved whole, with the line ends and bytes that it has."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from charrnn.core.errors import CharRNNError, InputError, printable, reason_of
from charrnn.core.files import expanded, write_durably
from charrnn.core.overwriting import (
    has_content,
    identity_of,
    is_model,
    is_part_of,
    is_remembered,
    remember_output,
)
from charrnn.core.settings import read_small_file

LARGEST = 4 << 20
"""Most bytes of a text that is edited: a larger one makes each key slow."""

RESCUED, MOST_RESCUED = "charrnn-write.txt", 1000
"""Name of a text without a file in which an interrupted editor leaves it, and of how many."""


class TextFile:
    """Where a text is saved.

    Args:
        path: The file; None until a name is given.
        models: Files that must not be overwritten.
        force: Whether a file that charrnn did not write may be opened, and saved again.
    """

    def __init__(self, path: Path | None, models: tuple[Path, ...], *, force: bool) -> None:
        self.path, self._models, self._force = path, models, force
        self._line_end = "\n"
        self._seen: str | None = None  # identity of the file as it was read or saved

    def open(self) -> str:
        """Return the text of the file, which is continued; empty if there is none yet.

        Raises:
            InputError: It cannot be read, or is not to be overwritten.
        """
        path = self.path
        if path is None:
            return ""
        self._check(path)
        if not has_content(path):
            return ""
        if not (self._force or is_remembered(path)):
            raise InputError(
                f"-o: {printable(path)}: exists, and charrnn did not write it as it is now; name "
                "another file, or edit this one: --force"
            )
        text = read_small_file(path, "-o", LARGEST).decode("utf-8", "surrogateescape")
        self._seen = identity_of(path)
        if "\r\n" in text and text.count("\r\n") == text.count("\n"):
            self._line_end = "\r\n"
        return text.replace("\r\n", "\n") if self._line_end == "\r\n" else text

    def name(self, name: str) -> None:
        """Take another file, in which nothing is yet; on an error keep the one before.

        Raises:
            InputError: The name cannot be used, or the file has content.
        """
        if not name:
            raise InputError("an empty name is no name of a file")
        path = Path(expanded(name))
        self._check(path)
        if has_content(path) and path != self.path:
            raise InputError(f"{printable(path)}: exists; give another name")
        if path != self.path:
            self.path, self._seen = path, None

    def _check(self, path: Path) -> None:
        name = printable(path)
        try:
            found = path.stat() if path.resolve().exists() else None
            if found is None and not path.absolute().parent.is_dir():
                raise InputError(f"-o: {name}: there is no folder {printable(path.parent)}")
        except (OSError, ValueError, RuntimeError) as error:  # a NUL in the name; a link to itself
            reason = reason_of(error) if isinstance(error, OSError) else printable(error)
            raise InputError(f"-o: {name}: {reason}") from None
        if found is not None and not stat.S_ISREG(found.st_mode):
            raise InputError(f"-o: {name}: is not a file")
        is_used = any(is_part_of(path, model) for model in self._models)
        if is_used or (found is not None and found.st_size and is_model(path)):
            raise InputError(f"-o: {name}: is a model; name another file")

    def save(self, text: str) -> None:
        """Write the text so that a power cut leaves either the old or the new one.

        Raises:
            InputError: The file was changed by another program, or is not to be overwritten.
            CharRNNError: It cannot be written.
        """
        assert self.path is not None
        name, path = printable(self.path), self.path
        self._check(path)
        if has_content(path) and identity_of(path) != self._seen:
            raise InputError(f"{name}: another program changed it; save under another name")
        path = path.resolve()  # a link stays a link
        data = text.replace("\n", self._line_end).encode("utf-8", "surrogateescape")
        try:
            mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
            write_durably(path, data)
            if mode is not None:
                with suppress(OSError):  # of a file system without modes
                    path.chmod(mode)
            self._seen = identity_of(path)
        except OSError as error:
            raise CharRNNError(f"{name}: not saved: {reason_of(error)}") from None
        remember_output(path)

    def rescue(self, text: str) -> Path | None:
        """Write a text that would be lost into a new file beside its own; return its path.

        None if no folder takes it.
        """
        path = (self.path or Path(RESCUED)).absolute()
        data = text.encode("utf-8", "surrogateescape")
        for folder in (path.parent, Path(tempfile.gettempdir())):
            for other in rescue_paths(folder / path.name):
                with suppress(OSError):
                    if not os.path.lexists(other):
                        write_durably(other, data)
                        remember_output(other)  # so that it is opened without --force
                        return other
        return None

    def later_rescue(self) -> Path | None:
        """Return the newest text that an interrupted editor left beside the file; None if older."""
        if self.path is None:
            return None
        path, found = self.path.absolute(), {}
        for other in rescue_paths(path):
            if not has_content(other):
                break
            found[other.stat().st_mtime_ns] = other
        newest = max(found, default=0)
        saved_at = path.stat().st_mtime_ns if has_content(path) else 0
        return found[newest] if newest > saved_at else None


def rescue_paths(path: Path) -> Iterator[Path]:
    """Yield the files in which an interrupted editor may leave the text of a file, in order."""
    for number in range(MOST_RESCUED):
        yield path.with_name(f"{path.name}.save{number or ''}")
