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
    return "".join(escape(c) if is_control(c) or c in "\n\t" else c for c in str(value))


def reason_of(error: OSError) -> str:
    """Return why the system refused, in its own words."""
    return os.strerror(error.errno) if error.errno else str(error)


def is_control(character: str) -> bool:
    """Say whether a terminal could obey this character (newline and tab do not count)."""
    code = ord(character)
    return (
        (code < 0x20 and character not in "\n\t")
        or 0x7F <= code <= 0x9F
        or 0x202A <= code <= 0x202E
        or 0x2066 <= code <= 0x2069
        or code in (0x200E, 0x200F, 0x061C, 0x2028, 0x2029)
        or 0xD800 <= code <= 0xDFFF
    )


def escape(character: str) -> str:
    r"""Return the Python escape of one character: `\n`, `\x1b`, `\u202e`."""
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
