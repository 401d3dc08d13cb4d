"""Properties of each character that follow from the text alone: what a unit may have learned.

Yes or no, or a count, at each place of a text; the character there has just been read.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
"""A value a character, (T,): 0 or 1, or a count."""

QUOTES = {'"': '"', "“": "”", "«": "»", "„": "“"}
LONGEST_QUOTE = 2000
"""Characters; a mark that is not closed within so many opens nothing."""

CAPITAL = "A-ZÀ-ÖØ-Þ"
HEADING = re.compile(
    rf"^[^\S\n]*(?:[{CAPITAL}][{CAPITAL} .'’&-]+[:.]|[{CAPITAL}][\w'’-]*(?: [\w'’-]+){{0,3}}:(?=\r?$))",
    re.MULTILINE,
)
"""ROMEO: and FIRST LORD. at the beginning of a line; Second Murderer: on a line of its own."""

LIKE_C = re.compile(
    r"/\*|^[^\S\n]*#[^\S\n]*(?:include|define|if|ifdef|ifndef|endif)\b", re.MULTILINE
)
STRING = r"""\"(?:\\.|[^\"\\\n])*\"|(?<!\w)'(?:\\.|[^'\\\n])*'"""
COMMENT = re.compile(STRING + r"|(?P<comment>/\*.*?\*/|(?<!:)//[^\n]*)", re.DOTALL)
HASH_COMMENT = re.compile(STRING + r"|(?P<comment>#[^\n]*)")
"""What stands in a string is no comment, and a quotation mark in a comment begins no string."""
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
BEFORE_NEWLINE = re.compile(r"(?:(?!\r\n).|\n)(?=\r?\n)")
BLANK_LINE = re.compile(r"\n\r?\n")
CAPITALISED = re.compile(r"\b[^\W\d_]\w*")


@dataclass(frozen=True, slots=True)
class Property:
    """One property, and how it is found."""

    name: str
    find: Callable[[str], Values]
    is_count: bool = False


def marked(text: str, spans: Iterable[tuple[int, int]]) -> Values:
    """Return 1 inside spans and 0 outside."""
    result = np.zeros(len(text))
    for begin, end in spans:
        result[begin:end] = 1
    return result


def matches(pattern: re.Pattern[str]) -> Callable[[str], Values]:
    """Return a property: inside a match of a pattern."""
    return lambda text: marked(text, (match.span() for match in pattern.finditer(text)))


def in_quotes(text: str) -> Values:
    """Mark what stands between quotation marks, the first one included."""
    spans, place = [], 0
    while place < len(text):
        closing = QUOTES.get(text[place])
        end = text.find(closing, place + 1, place + LONGEST_QUOTE) if closing else -1
        if end > 0:
            spans.append((place, end))
            place = end
        place += 1
    return marked(text, spans)


def in_brackets(opening: str, closing: str) -> Callable[[str], Values]:
    """Return a property: inside brackets of a kind; one that is never closed opens nothing."""

    def find(text: str) -> Values:
        spans, stack = [], []
        for place, character in enumerate(text):
            if character == opening:
                stack.append(place)
            elif character == closing and stack:
                spans.append((stack.pop(), place))
        return marked(text, spans)

    return find


def in_comment(text: str) -> Values:
    """Mark comments of C and its heirs, or those that a # begins, whichever a text is like."""
    is_like_c = LIKE_C.search(text) is not None or "#" not in text
    pattern = COMMENT if is_like_c else HASH_COMMENT
    found = (match.span("comment") for match in pattern.finditer(text))
    return marked(text, ((begin, end) for begin, end in found if begin >= 0))


def line_starts(text: str) -> NDArray[np.int64]:
    """Return where the line of each character begins, (T,); a newline belongs to its line."""
    is_start = np.array([place == 0 or text[place - 1] == "\n" for place in range(len(text))])
    starts = np.where(is_start, np.arange(len(text)), 0)
    result: NDArray[np.int64] = np.maximum.accumulate(starts)
    return result


def since_newline(text: str) -> Values:
    """Count the characters of the line so far."""
    return np.asarray(np.arange(len(text)) - line_starts(text) + 1, dtype=np.float64)


def place_in_line(text: str) -> Values:
    """Return how far through its line each character is, in (0, 1]."""
    starts = line_starts(text)
    _, lengths = np.unique(starts, return_counts=True)
    return np.asarray(since_newline(text) / np.repeat(lengths, lengths), dtype=np.float64)


def indentation(text: str) -> Values:
    """Count the blanks that the line of each character begins with; a tab is eight."""
    widths = [
        len(line.expandtabs(8)) - len(line.expandtabs(8).lstrip(" "))
        for line in text.split("\n")
        for _ in range(len(line) + 1)
    ]
    return np.array(widths[: len(text)], dtype=float)


def after_capital(text: str) -> Values:
    """Mark the letters of a word behind the capital that it begins with."""
    spans = (m.span() for m in CAPITALISED.finditer(text) if m[0][0].isupper())
    return marked(text, ((begin + 1, end) for begin, end in spans))


def before_newline(text: str) -> Values:
    """Mark the last character of each line: the next one ends it; CRLF is one end."""
    return marked(text, (match.span() for match in BEFORE_NEWLINE.finditer(text)))


def since_blank_line(text: str) -> Values:
    """Count the characters since the last empty line."""
    is_start = np.zeros(len(text), dtype=bool)
    for match in BLANK_LINE.finditer(text):
        is_start[match.end() - 1] = True
    places = np.arange(len(text))
    return np.asarray(places - np.maximum.accumulate(np.where(is_start, places, 0)), np.float64)


def lowest_quarter(count: Callable[[str], Values]) -> Callable[[str], Values]:
    """Return a property: where a count is among the lowest quarter of a text's."""
    return lambda text: (count(text) <= np.quantile(count(text), 0.25)).astype(np.float64)


def highest_quarter(count: Callable[[str], Values]) -> Callable[[str], Values]:
    """Return a property: where a count is among the highest quarter of a text's."""
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
    Property("before a newline", before_newline),
    Property("early in a line", lowest_quarter(since_newline)),
    Property("late in a line", highest_quarter(since_newline)),
    Property("early in a paragraph", lowest_quarter(since_blank_line)),
    Property("place in the line", place_in_line, is_count=True),
    Property("characters since a newline", since_newline, is_count=True),
    Property("characters since an empty line", since_blank_line, is_count=True),
    Property("indentation", indentation, is_count=True),
)
