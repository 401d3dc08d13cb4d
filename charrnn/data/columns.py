"""One column of a table as text: CSV, TSV and JSON lines (--column)."""

import csv
import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

from charrnn.core.errors import InputError, printable
from charrnn.data.file_kinds import open_text

DELIMITERS = ",\t;|"
"""Characters that may separate the fields of a row."""

SUFFIXES = {".csv", ".tsv", ".tab", ".jsonl", ".ndjson"}
"""Endings of the names of tables."""

FEW_COLUMNS, FEW_ROWS = 3, 5
"""A file of another name looks like a table if this many rows have as many fields, or more."""

LARGEST_FIELD = 1 << 30
"""Characters; Python's own limit is 131,072."""

MOST_NAMED = 20
"""Columns that a message names."""

HEAD = 1 << 16
"""Bytes that a guess looks at."""


def column_text(pieces: Iterable[str], path: Path, column: str, *, one_line: bool) -> Iterator[str]:
    """Yield the fields of a column, each with a newline after it.

    Args:
        pieces: The text of the file, in pieces of any size.
        path: The file, for messages.
        column: Name of the column: in the first row, or the key of JSON objects.
        one_line: Whether line ends inside a field become blanks: a record has none.

    Raises:
        InputError: The table has no such column, or a row that cannot be read.
    """
    rows = lines_of(pieces)
    first = next((line for line in rows if line.strip()), "").removeprefix("\ufeff")
    is_json = first.lstrip().startswith("{")
    fields = (_json_fields if is_json else _csv_fields)(first, rows, path, column)
    for field in fields:
        text = field.replace("\r\n", "\n").replace("\r", "\n")
        yield (" ".join(text.split("\n")) if one_line else text) + "\n"


def is_table(path: Path) -> bool:
    """True for a file that has the name of a table, also of a compressed one."""
    return not SUFFIXES.isdisjoint(each.lower() for each in path.suffixes)


def lines_of(pieces: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a text with their line ends: LF, CRLF or CR become LF."""
    rest: list[str] = []
    is_after_return = False
    for piece in pieces:
        text = piece[1:] if is_after_return and piece.startswith("\n") else piece
        is_after_return = piece.endswith("\r")
        *lines, last = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for line in lines:
            yield "".join([*rest, line, "\n"])
            rest = []
        rest.append(last)
    if end := "".join(rest):
        yield end


def _csv_fields(first: str, rows: Iterator[str], path: Path, column: str) -> Iterator[str]:
    csv.field_size_limit(LARGEST_FIELD)
    delimiter = delimiter_of(first, column)
    reader = csv.reader(chain([first], rows), delimiter=delimiter)
    try:
        names = [name.strip() for name in next(reader, [])]
        if column not in names:
            raise missing(path, column, names)
        index = names.index(column)
        for row in reader:
            if index < len(row):
                yield row[index]
    except csv.Error as error:
        raise InputError(
            f"{printable(path)}: line {reader.line_num:,}: cannot be read as CSV ({error})"
        ) from None


def _json_fields(first: str, rows: Iterator[str], path: Path, column: str) -> Iterator[str]:
    names: dict[str, None] = {}
    has_column = False
    for number, line in enumerate(chain([first], rows), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise InputError(
                f"{printable(path)}: JSON line {number:,} is no object: {printable(line[:60])}"
            )
        names |= dict.fromkeys(value) if len(names) < MOST_NAMED else {}
        if (field := value.get(column)) is not None:
            has_column = True
            yield field if isinstance(field, str) else json.dumps(field, ensure_ascii=False)
    if not has_column:
        raise missing(path, column, list(names))


def delimiter_of(header: str, column: str = "") -> str:
    """Return the delimiter of a header: the one that gives the column, else the most columns."""

    def quality(delimiter: str) -> tuple[bool, int]:
        names = next(csv.reader([header], delimiter=delimiter), [])
        return column in map(str.strip, names), len(names)

    return max(DELIMITERS, key=quality)


def missing(path: Path, column: str, names: list[str]) -> InputError:
    """Return the error of a table without a column."""
    return InputError(
        f"--column: {printable(path)}: has no column {printable(column)!r}; "
        f"its columns are: {named(names) or 'none'}"
    )


def named(names: list[str]) -> str:
    """Return the names of columns for a message."""
    more = ", ..." if len(names) > MOST_NAMED else ""
    return ", ".join(printable(name) or "''" for name in names[:MOST_NAMED]) + more


def table_columns(path: Path, encoding: str) -> list[str]:
    """Return the columns of a file that looks like a table; none for other texts."""
    with open_text(path) as file:
        text = file.read(HEAD).decode(encoding, "replace").removeprefix("\ufeff")
    lines = list(islice((line for line in lines_of([text]) if line.strip()), 4 * FEW_ROWS))
    if len(lines) < 2:
        return []
    is_named = is_table(path)
    if lines[0].lstrip().startswith("{"):
        return _json_columns(lines[0])
    rows = list(csv.reader(lines, delimiter=delimiter_of(lines[0])))[:-1]
    num_columns = len(rows[0]) if rows else 0
    is_regular = len(rows) >= FEW_ROWS and {len(row) for row in rows} == {num_columns}
    if num_columns >= (2 if is_named else FEW_COLUMNS) and (is_named or is_regular):
        return [name.strip() for name in rows[0]]
    return []


def _json_columns(line: str) -> list[str]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return []
    return list(value) if isinstance(value, dict) else []
