"""Properties of characters, computed from the text alone, that a unit may have learned.

A property has a value at each character of a text, which has just been read: 0 or 1, or a count.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
"""Value of a property at each character, (T,): 0 or 1, or a count."""

QUOTES = {'"': '"', "“": "”", "«": "»", "„": "“"}
LONGEST_QUOTE = 2000
"""Characters; a quotation mark that is not closed within so many is ignored."""

CAPITAL = "A-ZÀ-ÖØ-Þ"
HEADING = re.compile(
    rf"^[^\S\n]*(?:[{CAPITAL}][{CAPITAL} .'’&-]+[:.]|[{CAPITAL}][\w'’-]*(?: [\w'’-]+){{0,3}}:(?=\r?$))",
    re.MULTILINE,
)
"""ROMEO: and FIRST LORD. at the start of a line; Second Murderer: on a line of its own."""

LIKE_C = re.compile(
    r"/\*|^[^\S\n]*#[^\S\n]*(?:include|define|if|ifdef|ifndef|endif)\b", re.MULTILINE
)
STRING = r"""\"(?:\\.|[^\"\\\n])*\"|(?<!\w)'(?:\\.|[^'\\\n])*'"""
COMMENT = re.compile(STRING + r"|(?P<comment>/\*.*?\*/|(?<!:)//[^\n]*)", re.DOTALL)
HASH_COMMENT = re.compile(STRING + r"|(?P<comment>#[^\n]*)")
"""Strings are matched first, so that a string holds no comment, and a comment begins no string."""
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
BEFORE_NEWLINE = re.compile(r"(?:(?!\r\n).|\n)(?=\r?\n)")
"""The last character of each line, before LF or CRLF."""
BLANK_LINE = re.compile(r"\n\r?\n")
CAPITALISED = re.compile(r"\b[^\W\d_]\w*")


@dataclass(frozen=True, slots=True)
class Property:
    """A property, and the function that computes it."""

    name: str
    find: Callable[[str], Values]
    is_count: bool = False


def marked(text: str, spans: Iterable[tuple[int, int]]) -> Values:
    """Return 1 inside the spans and 0 outside."""
    result = np.zeros(len(text))
    for begin, end in spans:
        result[begin:end] = 1
    return result


def matches(pattern: re.Pattern[str]) -> Callable[[str], Values]:
    """Return a function that marks the matches of a pattern."""
    return lambda text: marked(text, (match.span() for match in pattern.finditer(text)))


def in_quotes(text: str) -> Values:
    """Mark the characters in quotation marks, with the opening mark and without the closing one."""
    spans, index = [], 0
    while index < len(text):
        closing = QUOTES.get(text[index])
        end = text.find(closing, index + 1, index + LONGEST_QUOTE) if closing else -1
        if end > 0:
            spans.append((index, end))
            index = end
        index += 1
    return marked(text, spans)


def in_brackets(opening: str, closing: str) -> Callable[[str], Values]:
    """Return a function that marks the inside of brackets; unclosed brackets are ignored."""

    def find(text: str) -> Values:
        spans, stack = [], []
        for index, character in enumerate(text):
            if character == opening:
                stack.append(index)
            elif character == closing and stack:
                spans.append((stack.pop(), index))
        return marked(text, spans)

    return find


def in_comment(text: str) -> Values:
    """Mark comments: // and /* */ if the text looks like C or has no #, else # to the end of a line."""
    is_like_c = LIKE_C.search(text) is not None or "#" not in text
    pattern = COMMENT if is_like_c else HASH_COMMENT
    found = (match.span("comment") for match in pattern.finditer(text))
    return marked(text, ((begin, end) for begin, end in found if begin >= 0))


def line_starts(text: str) -> NDArray[np.int64]:
    """Return the index of the start of each character's line, (T,); a newline ends its own line."""
    is_start = np.array([index == 0 or text[index - 1] == "\n" for index in range(len(text))])
    starts = np.where(is_start, np.arange(len(text)), 0)
    result: NDArray[np.int64] = np.maximum.accumulate(starts)
    return result


def since_newline(text: str) -> Values:
    """Count the characters of the line so far, this one included."""
    return np.asarray(np.arange(len(text)) - line_starts(text) + 1, dtype=np.float64)


def position_in_line(text: str) -> Values:
    """Return the relative position of each character in its line, in (0, 1]."""
    starts = line_starts(text)
    _, lengths = np.unique(starts, return_counts=True)
    return np.asarray(since_newline(text) / np.repeat(lengths, lengths), dtype=np.float64)


def indentation(text: str) -> Values:
    """Count the spaces at the start of each character's line; a tab ends at a multiple of eight."""
    widths = [
        len(line.expandtabs(8)) - len(line.expandtabs(8).lstrip(" "))
        for line in text.split("\n")
        for _ in range(len(line) + 1)
    ]
    return np.array(widths[: len(text)], dtype=float)


def after_capital(text: str) -> Values:
    """Mark the letters of a capitalised word after the capital."""
    spans = (m.span() for m in CAPITALISED.finditer(text) if m[0][0].isupper())
    return marked(text, ((begin + 1, end) for begin, end in spans))


def since_blank_line(text: str) -> Values:
    """Count the characters since the last empty line."""
    is_start = np.zeros(len(text), dtype=bool)
    for match in BLANK_LINE.finditer(text):
        is_start[match.end() - 1] = True
    indices = np.arange(len(text))
    return np.asarray(indices - np.maximum.accumulate(np.where(is_start, indices, 0)), np.float64)


def lowest_quarter(count: Callable[[str], Values]) -> Callable[[str], Values]:
    """Return a function that marks the lowest quarter of a count in the text."""
    return lambda text: (count(text) <= np.quantile(count(text), 0.25)).astype(np.float64)


def highest_quarter(count: Callable[[str], Values]) -> Callable[[str], Values]:
    """Return a function that marks the highest quarter of a count in the text."""
    return lambda text: (count(text) > np.quantile(count(text), 0.75)).astype(np.float64)


PROPERTIES = (
    Property("in quotes", in_quotes),
    Property("in ( )", in_brackets("(", ")")),
    Property("in [ ]", in_brackets("[", "]")),
    Property("in { }", in_brackets("{", "}")),
    Property("in a comment", in_comment),
    Property("in a speaker heading", matches(HEADING)),
    Property("in a number", matches(NUMBER)),
    Property("in a capitalised word", after_capital),
    Property("before a newline", matches(BEFORE_NEWLINE)),
    Property("early in a line", lowest_quarter(since_newline)),
    Property("late in a line", highest_quarter(since_newline)),
    Property("early in a paragraph", lowest_quarter(since_blank_line)),
    Property("place in the line", position_in_line, is_count=True),
    Property("characters since a newline", since_newline, is_count=True),
    Property("characters since an empty line", since_blank_line, is_count=True),
    Property("indentation", indentation, is_count=True),
)
