"""`charrnn write`: loads a model, opens a text, and leaves no text behind unsaved."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from charrnn.apps.draft import Draft
from charrnn.apps.proposer import Proposer
from charrnn.apps.text_file import TextFile
from charrnn.apps.writing import Writing
from charrnn.checkpoints.model import load_model
from charrnn.core.config import SampleConfig
from charrnn.core.console import Console, count_text, is_terminal
from charrnn.core.errors import InputError, printable
from charrnn.core.seeds import random_seed
from charrnn.core.signals import NAMES, exit_code_of

MOST_PROPOSALS = 20
"""More would leave no room for the text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WriteRequest:
    """What `charrnn write` was asked for."""

    model: Path
    name: str
    """Of the model, for the screen."""
    prompt: str | None
    """Text at the start."""
    output: Path | None
    force: bool
    count: int
    """Number of proposals."""
    config: SampleConfig
    seed: int = field(default_factory=random_seed)

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST_PROPOSALS:
            raise InputError(f"-n: must be in [1, {MOST_PROPOSALS}], got {self.count:,}")
        if self.config.length < 1:
            raise InputError(f"--length: must be at least 1, got {self.config.length:,}")
        if not 0 <= self.seed < 2**63:
            raise InputError(f"--seed: must be in [0, {2**63 - 1:,}], got {self.seed:,}")


@dataclass(frozen=True, slots=True)
class Written:
    """What came of it."""

    path: Path | None
    text: str
    is_saved: bool

    def numbers(self) -> dict[str, object]:
        """Return what --json prints."""
        path = str(self.path) if self.path and self.is_saved else None
        return {"output": path, "characters": len(self.text), "saved": self.is_saved}

    def line(self) -> str:
        """Return the last line for the user."""
        count = count_text(len(self.text), "character")
        if self.path is None:
            return f"{count} not saved" if self.text else "no text"
        if not self.is_saved:
            return f"{printable(self.path)}: the last changes are not saved"
        return f"{printable(self.path)}: {count}"


def check_terminal(name: str) -> None:
    """Refuse to start where there are no keys or no screen.

    Raises:
        InputError: stdin or stdout is no terminal, or it cannot move its cursor.
    """
    if not (sys.stdin is not None and sys.stdin.isatty() and is_terminal(sys.stdout)):
        is_dumb = os.environ.get("TERM") == "dumb"
        why = " that can move its cursor (TERM is dumb)" if is_dumb else ""
        raise InputError(
            f"write needs a terminal{why}; without one: charrnn sample {printable(name)} -p TEXT"
        )


def run_write(request: WriteRequest, console: Console) -> Written:
    """Edit a text until the user leaves.

    Raises:
        CheckpointError: The model is damaged.
        InputError: There is no terminal, or the text cannot be opened.
    """
    check_terminal(request.name)
    file = TextFile(request.output, (request.model,), force=request.force)
    text = file.open()
    if text and request.prompt:
        raise InputError(
            f"-p: {printable(request.output)} has a text, which is continued; leave out -p, or "
            "name another file"
        )
    from charrnn.apps.keys import bind
    from charrnn.apps.screen import Screen

    draft = Draft(text or request.prompt or "")
    with console.waiting("loading the model"):
        proposer = Proposer(load_model(request.model), request.config, request.seed)
    writing = Writing(draft, request.config.temperature, request.count)
    if later := file.later_rescue():
        writing.message = f"An interrupted editor left a later text in {printable(later.name)}."
    screen = Screen(writing, proposer.propose, file, request.name)
    bind(screen)

    def rescue() -> None:
        if not draft.is_saved and (path := file.rescue(draft.text)):
            draft.mark_saved()  # once is enough
            console.warn(f"interrupted; the text that was not saved is in {path}")

    with rescuing(rescue):
        screen.run()
    return Written(file.path, draft.text, draft.is_saved)


@contextmanager
def rescuing(rescue: Callable[[], None]) -> Iterator[None]:
    """Call `rescue` before a signal or an error ends the block; a signal that follows waits."""
    before: dict[int, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        for each in before:  # a terminal that closes sends its signal more than once
            signal.signal(each, signal.SIG_IGN)
        rescue()
        if callable(before[number]):
            before[number](number, frame)
        sys.exit(exit_code_of(number))

    for number in (getattr(signal, name) for name in NAMES if hasattr(signal, name)):
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, handle)
    try:
        yield
    except BaseException:
        rescue()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
