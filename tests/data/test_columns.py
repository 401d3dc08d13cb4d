"""One column of a table: CSV, TSV and JSON lines."""

import pytest

from charrnn.core.config import TrainConfig
from charrnn.core.errors import InputError
from charrnn.data.columns import lines_of
from charrnn.data.corpus import load_corpus
from charrnn.data.reading import Reading, Survey
from charrnn.data.text_files import read_codes


def column(tmp_path, data, name="text", *, file="t.csv", **reading):
    path = tmp_path / file
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    reading = Reading(column=name, **reading)
    return "".join("".join(map(chr, codes)) for codes in read_codes(path, reading, Survey()))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ('id,text\n1,"a, ""b"""\n2,c\n', 'a, "b"\nc\n'),
        ("\ufeffid;text\r\n1;x, y\r\n2;z\r\n", "x, y\nz\n"),
        ("\ufefftext\r\none\r\n", "one\n"),
        ("id\ttext\tn\n1\tx\t2\n2\ty\n3\n", "x\ny\n"),
        ('text,n\n"a\nb",1\n"c\r\nd",2\n', "a\nb\nc\nd\n"),
        (
            '{"text": "caf\\u00e9"}\n\n{"n": 1}\n{"text": "\\ud83d\\ude00 b"}\n',
            "café\n\U0001f600 b\n",
        ),
        ('{"text": 1.5}\n{"text": null}\n{"text": "a\\nb"}', "1.5\na\nb\n"),
    ],
)
def test_a_column_is_the_text(tmp_path, data, expected):
    assert column(tmp_path, data) == expected


def test_line_ends_inside_a_field_become_blanks_where_each_line_is_a_text(tmp_path):
    data = 'text,n\n"a\nb\r\nc",1\nd,2\n'
    assert column(tmp_path, data, one_line=True) == "a b c\nd\n"


def test_a_column_has_the_encoding_and_normal_form_of_other_texts(tmp_path):
    assert column(tmp_path, "n,text\n1,é\n".encode("cp1252"), encoding="cp1252") == "é\n"
    assert column(tmp_path, "n,text\n1,e\u0301\n", normalize="nfc") == "é\n"


@pytest.mark.parametrize(
    ("data", "there"),
    [("id,body\n1,x\n", "id, body"), ('{"id": 1, "body": "x"}\n', "id, body"), ("", "none")],
)
def test_a_missing_column_is_an_error_that_names_the_columns(tmp_path, data, there):
    with pytest.raises(InputError, match=f"no column 'text'; its columns are: {there}$"):
        column(tmp_path, data)


def test_a_row_that_is_not_json_is_named_by_its_line(tmp_path):
    with pytest.raises(InputError, match="JSON line 2 is no object: oh"):
        column(tmp_path, '{"text": "a"}\noh\n')


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_lines_are_the_same_for_pieces_of_any_size(size):
    text = "a\r\nb\rc\n\nd"
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    assert list(lines_of(pieces)) == ["a\n", "b\n", "c\n", "\n", "d"]


def test_a_field_that_is_longer_than_a_chunk_is_read_whole(tmp_path):
    text = "é b" * 300_000
    assert column(tmp_path, f'n,text\n1,"{text}"\n2,c\n') == text + "\nc\n"


def test_each_column_of_a_table_is_a_text_of_its_own(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "".join(f"x{i},y{i}\n" for i in range(30)))
    first, second, plain = (
        load_corpus([path], TrainConfig(lines=True, column=name)) for name in ("a", "b", "")
    )
    assert len({first.digest, second.digest, plain.digest}) == 3
    assert any("columns a, b" in note for note in plain.notes)
    assert not any("columns a, b" in note for note in first.notes)


@pytest.mark.parametrize(("name", "expected"), [("a.CSV", "a\nb\n"), ("a.txt", "text\na\nb\n")])
def test_a_model_of_a_column_also_reads_texts_that_are_no_tables(tmp_path, name, expected):
    assert column(tmp_path, "text\na\nb\n", file=name, has_options=False) == expected


def test_bytes_have_no_columns():
    with pytest.raises(InputError, match="--bytes.*--column"):
        TrainConfig(bytes=True, column="text")
