"""What a user can fix: one error class for each exit code.

CharRNNError          1   failure while running (disk, memory)
├── InputError        2   usage, or input that cannot be used; known before the first step
├── DivergedError     3   training no longer gives finite numbers
├── CheckpointError   4   a checkpoint that is damaged, foreign or newer than this program
│   └── NewerFormatError  newer: nothing is wrong with it
├── BusyError        75   try again: somebody else is using it
└── ClosedPipeError   0   whoever read our output has left: no failure, and nothing to say
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
"""What a terminal could obey; newline and tab are not among them."""

CONTROLS_AND_LAYOUT = re.compile(f"[{OBEYED}{LAYOUT}]")


class CharRNNError(Exception):
    """A failure that is told in one line: what, why, what to do. Base of all others."""

    exit_code = 1


class InputError(CharRNNError):
    """Arguments, a text, a prompt, a device or a folder that cannot be used."""

    exit_code = 2


class DivergedError(CharRNNError):
    """Losses or gradients stopped being finite and did not recover."""

    exit_code = 3


class CheckpointError(CharRNNError):
    """A file that is no checkpoint, or no longer the one that was written."""

    exit_code = 4


class NewerFormatError(CheckpointError):
    """A checkpoint of a later charrnn. Nothing is wrong with it, and nothing may replace it."""


class BusyError(CharRNNError):
    """The run is being trained by another process."""

    exit_code = 75


class ClosedPipeError(CharRNNError):
    """The reader of stdout has gone, as `head` does when it has enough."""

    exit_code = 0


def printable(value: object) -> str:
    r"""Return str(value) with every character that a terminal could obey written as an escape.

    C0 and C1 controls, bidirectional controls, line separators and lone surrogates become
    `\x1b`, `\u202e` and so on; newline and tab do too, since an error is one line.
    """
    return escape_controls(str(value), CONTROLS_AND_LAYOUT)


def reason_of(error: OSError) -> str:
    """Return why the system refused, in its own words."""
    return os.strerror(error.errno) if error.errno else str(error)


def escape_controls(text: str, controls: re.Pattern[str] = CONTROLS) -> str:
    """Return a text with every control that a terminal could obey written as an escape."""
    return controls.sub(lambda match: escape(match[0]), text)


def is_control(character: str) -> bool:
    """Say whether a terminal could obey this character (newline and tab do not count)."""
    return CONTROLS.match(character) is not None


def escape(character: str) -> str:
    r"""Return the Python escape of one character: `\n`, `\x1b`, `\u202e`."""
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
