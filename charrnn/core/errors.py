"""Errors that a user can fix: one class for each exit code.

CharRNNError          1   failure while running (disk, memory)
├── InputError        2   wrong usage or unusable input, found before the first step
├── DivergedError     3   losses or gradients are no longer finite
├── CheckpointError   4   a checkpoint that is damaged, foreign or of a newer version
│   └── NewerFormatError  of a newer version, and intact
├── BusyError        75   try again: another process uses the run or the file
└── ClosedPipeError   0   stdout was closed by its reader (as `head` does); not an error
"""

import os
import re

LAYOUT = "\n\t"
OBEYED = (
    "\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f"  # C0, DEL and C1
    "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069"  # bidirectional controls
    "\\u2028\\u2029\\ud800-\\udfff"  # separators of lines, lone surrogates
)
CONTROLS = re.compile(f"[{OBEYED}]")
"""Characters that a terminal may interpret as commands; newline and tab are not among them."""

DIRECTION_MARKS = "\u061c\u200e\u200f"
"""ALM, LRM and RLM: ordinary in Hebrew, Arabic and chats; they reorder no text beyond their place."""

SHOWN_ESCAPED = re.compile(f"(?![{DIRECTION_MARKS}])[{OBEYED}]")
"""Controls of a text that a terminal shows escaped; direction marks are sent as they are."""

CONTROLS_AND_LAYOUT = re.compile(f"[{OBEYED}{LAYOUT}]")


class CharRNNError(Exception):
    """Base class. The message is one line: what failed, why, and what to do."""

    exit_code = 1


class InputError(CharRNNError):
    """An argument, text, prompt, device or folder cannot be used."""

    exit_code = 2


class DivergedError(CharRNNError):
    """Losses or gradients were not finite, at smaller learning rates too."""

    exit_code = 3


class CheckpointError(CharRNNError):
    """A file is not a checkpoint, or it changed after it was written."""

    exit_code = 4


class NewerFormatError(CheckpointError):
    """A checkpoint was written by a newer charrnn. It is intact and must not be replaced."""


class BusyError(CharRNNError):
    """Another process trains the run, or writes the file."""

    exit_code = 75


class ClosedPipeError(CharRNNError):
    """The reader of stdout closed it, as `head` does."""

    exit_code = 0


def printable(value: object) -> str:
    r"""Return str(value) with all control characters escaped, newline and tab included.

    C0 and C1 controls, bidirectional controls, line separators and lone surrogates become
    `\x1b`, `\u202e` and so on: the result is one line that a terminal shows as it is.
    """
    return escape_controls(str(value), CONTROLS_AND_LAYOUT)


def reason_of(error: OSError) -> str:
    """Return the operating system's message for an error."""
    return os.strerror(error.errno) if error.errno else str(error)


def escape_controls(text: str, controls: re.Pattern[str] = SHOWN_ESCAPED) -> str:
    """Return a text with its control characters escaped; newline and tab stay by default.

    The carriage return of a line end (CRLF) stays neither as it is nor escaped.
    """
    if controls is SHOWN_ESCAPED:
        text = text.replace("\r\n", "\n")
    return controls.sub(lambda match: escape(match[0]), text)


def is_control(character: str) -> bool:
    """True for a control character; newline and tab do not count."""
    return CONTROLS.match(character) is not None


def escape(character: str) -> str:
    r"""Return the Python escape of one character: `\n`, `\x1b`, `\u202e`."""
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
