"""Control characters in output to a terminal (a pty): none passes.

Generated text, in pieces that split sequences; errors; lines of progress with names and previews.
"""

import os
import pty
import threading
import tty
from random import Random

from harness import expect, obeyed, rng_of, run_script

from charrnn.core.console import Console
from charrnn.core.events import Sampled
from charrnn.core.output import OutputStream
from charrnn.launch.progress import TrainingProgress

PIECES = (
    "\x1b[2J", "\x1b]0;title\x07", "\x1b]52;c;cHduZWQ=\x07", "\x9b31m", "\x1bP1$r\x1b\\", "\x00", "\x07",
    "\x08", "\x7f", "\x85", "\r", "\x0b", "\x0c", "\x0e", "\u202e", "\u2066", "\u2028", "\u200f",
    "\u061c", "\ud800", "\udc9b", "[", "]", "m", "é", "😀", "a", "\n", "\t", "Zoë", "[bold red]", "\\x1b",
)  # fmt: skip

BATCH = 500


def make_text(rng: Random) -> str:
    """Return a text of these pieces and of random characters."""
    return "".join(
        rng.choice(PIECES) if rng.random() < 0.7 else chr(rng.randrange(0x110000))
        for _ in range(rng.randrange(1, 12))
    )


def write(text: str, rng: Random, stream: object, kind: int) -> None:
    """Write a text to a terminal in one of several ways."""
    if kind == 0:
        out = OutputStream(stream, for_terminal=True)  # type: ignore[arg-type]
        place = 0
        while place < len(text):  # pieces split sequences
            size = rng.randrange(1, 4)
            piece = text[place : place + size]
            out.text(piece, piece.encode("utf-8", "surrogatepass"))
            place += size
        return
    with os.fdopen(os.dup(stream.fileno()), "w", encoding="utf-8") as lines:  # type: ignore[attr-defined]
        console = Console(0, lines)
        console.is_live = True
        if kind == 1:
            console.error(text)
        elif kind == 2:
            console.note(text)
        else:
            TrainingProgress(console).show(Sampled(step=1, text=text))


def through_terminal(texts: list[tuple[str, Random, int]]) -> str:
    """Return the bytes that a terminal receives of some texts."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    got: list[bytes] = []

    def drain() -> None:
        while True:
            try:
                piece = os.read(ours, 1 << 16)
            except OSError:
                return
            got.append(piece)

    reader = threading.Thread(target=drain)
    reader.start()
    with os.fdopen(theirs, "wb") as stream:
        for text, rng, kind in texts:
            write(text, rng, stream, kind)
        stream.flush()
    reader.join()
    os.close(ours)
    return b"".join(got).decode("utf-8")


def check(count: int, seed: int) -> tuple[int, str]:
    """Write so many texts."""
    for first in range(0, count, BATCH):
        texts = []
        for i in range(first, min(count, first + BATCH)):
            rng = rng_of(seed, i)
            texts.append((make_text(rng), rng, i % 4))
        shown = through_terminal(texts)
        bad = obeyed(shown, layout="\n\t")
        expect(not bad, f"texts {first} to {first + BATCH}: {bad[:5]!r}")
        expect(len(shown) >= len(texts), f"texts {first}: nothing was shown")
    return count, "generated text, errors, notes, previews, in split pieces: none gets through"


if __name__ == "__main__":
    run_script("control characters to a terminal", 10_000, 1_000_000, check)
