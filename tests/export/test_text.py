"""What a text gives to a page: passages with file and line, names of units; what it cannot break."""

import json
import random
import re
from pathlib import Path

import pytest
from exported_pages import TEXT, asked, make_model

from charrnn.checkpoints.metadata import Metadata
from charrnn.core.errors import InputError
from charrnn.data.vocab import ByteVocabulary, CharVocabulary
from charrnn.export import text as export_text
from charrnn.export.page import page_bytes
from charrnn.export.text import page_text
from charrnn.sampling.corpus.passages import find_passages
from charrnn.sampling.corpus.source import Source
from charrnn.viz.unit_search import UnitMatch

HOSTILE = "</script><script>alert(1)</script><!-- \u2028\ufeff\U0001f600 e\u0301 &amp; ]]>\n\0\n"


def write(name, text):
    path = Path(name)
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def of_text(model, **files):
    """Return the fields of a page with texts, by name of their file."""
    paths = [write(f"{name}.txt", text) for name, text in files.items()]
    return page_text(paths, model).fields


def test_no_text_breaks_out_of_the_page():
    """It is packed in base64; JavaScript unpacks all of it, whatever its code points."""
    vocab = CharVocabulary(map(ord, HOSTILE))
    model = make_model(text=HOSTILE, vocab=vocab)
    fields = of_text(model, a=TEXT + HOSTILE)
    page = page_bytes(model, "t", fields).decode("utf-8")
    (data,) = re.findall(r'id="data">(.*?)</script>\n<script>"use strict"', page, re.DOTALL)
    assert "<" not in data
    assert page.count("</script>") == 5
    assert json.loads(data)["passages"] == fields["passages"]
    (whole,) = asked(model, ["source"], of_text=fields)
    assert whole == TEXT + HOSTILE


def test_a_hostile_name_of_a_file_is_only_text():
    name = "</script><b>"
    model = make_model()
    Path("a").mkdir()
    folder = Path("a", name.replace("/", "\u2044"))
    folder.write_text(TEXT, encoding="utf-8")
    page = page_bytes(model, "t", page_text([folder], model).fields).decode("utf-8")
    assert page.count("<b>") == 0


def test_without_a_text_the_page_has_none():
    page = page_bytes(make_model(), "t").decode("utf-8")
    data = json.loads(re.findall(r'id="data">(.*?)</script>', page, re.DOTALL)[0])
    assert (data["passages"], data["units"]) == (None, [])
    assert "the cat sat" not in page


def mixed(corpus, rng):
    """Return a text of pieces of a corpus, of 1 to 40 characters, and of other characters."""
    pieces = []
    for _ in range(30):
        begin = rng.randrange(len(corpus))
        pieces += [corpus[begin : begin + rng.randrange(1, 40)], rng.choice("xyz\U0001f600")]
    return "".join(pieces)


def test_passages_are_those_of_explain():
    """Begin, end, file and line; two files, of which the first has no newline at its end."""
    rng = random.Random(5)
    letters = "ab\n \U0001f600"
    first = "".join(rng.choices(letters, k=3000))
    second = TEXT + "".join(rng.choices(letters, k=2000)) + " " * 50
    model = make_model()
    drafts = [mixed(first + "\n" + second, rng) for _ in range(5)] + ["", "short", first + second]
    answers = asked(
        model, *(["passages", each] for each in drafts), of_text=of_text(model, a=first, b=second)
    )
    source = Source([Path("a.txt"), Path("b.txt")], model.reading())
    found = find_passages(source, [source.codes(each, b"") for each in drafts])
    expected = [[[p.begin, p.end, p.file.name, p.line] for p in each] for each in found]
    spans = [[each[:2] for each in answer] for answer in answers]
    assert spans == [[each[:2] for each in answer] for answer in expected]
    assert sum(map(len, spans)) > 40
    same = [
        a == b for x, y in zip(answers, expected, strict=True) for a, b in zip(x, y, strict=True)
    ]
    assert sum(same) / len(same) > 0.9  # of equally long ones, another place may be named


@pytest.mark.parametrize(
    ("text", "newlines", "shown"),
    [
        ("one\r\ntwo\r\n", "keep", "one\ntwo\n"),
        ("one\rtwo\r", "keep", "one\ntwo\n"),
        ("a\r\nb", "lf", "a\nb"),
    ],
)
def test_line_ends_are_as_the_page_shows_them(text, newlines, shown):
    model = make_model(text=text * 3, metadata=Metadata(settings={"newlines": newlines}))
    (whole,) = asked(model, ["source"], of_text=of_text(model, a=text))
    assert whole == shown


def test_bytes_become_characters():
    model = make_model(text="plain", vocab=ByteVocabulary())
    (whole,) = asked(model, ["source"], of_text=of_text(model, a="é€\n".encode() + b"\xff"))
    assert whole == "é€\n\ufffd"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\xff\xfe\x00", "is not UTF-8"),
        (TEXT.encode(), "more than 100 characters"),
    ],
)
def test_a_text_that_cannot_be_used_is_one_line(monkeypatch, data, message):
    monkeypatch.setattr(export_text, "MOST_CHARACTERS", 100)
    with pytest.raises(InputError, match=r"^--with-text: [^\n]*" + message):
        page_text([write("a.txt", data)], make_model())


def test_a_note_names_the_share_of_characters_that_the_model_can_write():
    """3 of 10 characters; 5 of 10 are enough; a model of bytes can write every text."""
    (note,) = page_text([write("a.txt", "cat" + "\u0436" * 7)], make_model()).notes
    assert note == "--with-text: the model can write only 30% of the characters of this text"
    assert not page_text([write("a.txt", "the c" + "\u0436" * 5)], make_model()).notes
    model = make_model(text="plain", vocab=ByteVocabulary())
    assert not page_text([write("a.txt", "\u0436" * 7)], model).notes


# --- units


def match(name, unit, score, random=0.45, *, sign=1, measure="AUC"):
    return UnitMatch(
        name=name, measure=measure, layer=1, unit=unit, sign=sign, chosen=0.9, score=score,
        random=random, share=0.1,
    )  # fmt: skip


def test_a_handful_of_units_have_names(monkeypatch):
    """Good ones that beat untrained networks, each once; the index counts all units of 11 a layer."""
    found = [
        match("in quotes", 4, 0.9), match("in a comment", 4, 0.9),
        match("in a number", 2, 0.8, sign=-1), match("indentation", 5, 0.49, measure="|r|"),
        match("place in the line", 0, 0.5, sign=-1, measure="|r|"),
        match("in { }", 9, 0.79), match("in [ ]", 9, 0.9, 0.9),
    ]  # fmt: skip
    monkeypatch.setattr(export_text, "search_units", lambda *_: found)
    model = make_model()
    assert of_text(model, a=TEXT)["units"] == [
        [15, "1:4 in quotes"], [13, "1:2 low in a number"], [11, "1:0 place in the line, falling"],
    ]  # fmt: skip
    monkeypatch.setattr(export_text, "MOST_UNITS", 2)
    assert len(of_text(model, a=TEXT)["units"]) == 2


def test_units_are_chosen_by_the_end_of_the_text_as_the_model_knows_it(monkeypatch):
    seen = []
    monkeypatch.setattr(export_text, "SEARCHED", 40)
    monkeypatch.setattr(
        export_text, "search_units",
        lambda ours, random, text, widths: seen.append((ours.shape, text)) or [],
    )  # fmt: skip
    of_text(make_model(), a="X" * 100 + TEXT + "é")
    end = (TEXT + "é")[-40:].removesuffix("é")
    assert seen == [((39, 2, 11), end)]
    of_text(make_model(), a="X" * 100)  # nothing that the model knows
    assert len(seen) == 1
