"""Files that are not in the encoding asked for: the encoding that they have, and bad bytes."""

import gzip

import pytest

from charrnn.core.config import TrainConfig
from charrnn.core.errors import InputError
from charrnn.data.corpus import load_corpus
from charrnn.data.reading import Reading, Survey
from charrnn.data.text_files import read_codes

TEXTS = {
    "cp1252": "“Schöne Grüße!” – it’s dripping, and the café is shut. Ça va déjà très bien.\n",
    "cp1250": "Zażółć gęślą jaźń. Litwo! Ojczyzno moja! ty jesteś jak zdrowie, kto cię stracił.\n",
    "iso8859-2": "Zażółć gęślą jaźń. Litwo! Ojczyzno moja! ty jesteś jak zdrowie, kto cię stracił.\n",
    "cp1251": "Однажды в студёную зимнюю пору я из лесу вышел; был сильный мороз.\n",
    "koi8-r": "Однажды в студёную зимнюю пору я из лесу вышел; был сильный мороз.\n",
    "cp866": "Однажды в студёную зимнюю пору я из лесу вышел; был сильный мороз.\n",
    "cp1253": "Μια φορά κι έναν καιρό ήταν ένας βασιλιάς που είχε τρεις κόρες.\n",
    "cp932": "むかしむかし、あるところに、おじいさんとおばあさんが住んでいました。山へしばかりに。\n",
    "euc_jp": "むかしむかし、あるところに、おじいさんとおばあさんが住んでいました。山へしばかりに。\n",
    "gb18030": "春江潮水连海平，海上明月共潮生。滟滟随波千万里，何处春江无月明。江流宛转绕芳甸。\n",
    "big5": "床前明月光，疑是地上霜。舉頭望明月，低頭思故鄉。春眠不覺曉，處處聞啼鳥。\n",
    "cp949": "옛날 옛적에 호랑이와 곶감이 살았습니다. 산골 마을의 할머니는 이야기를 들려주었습니다.\n",
    "utf-16-le": "“Schöne Grüße!” – it’s dripping, and the café is shut.\n",
    "utf-16-be": "“Schöne Grüße!” – it’s dripping, and the café is shut.\n",
}


def read(path, **reading):
    survey = Survey()
    pieces = [piece.tolist() for piece in read_codes(path, Reading(**reading), survey)]
    return "".join(chr(code) for piece in pieces for code in piece), survey


def message_of(path, **reading):
    with pytest.raises(InputError) as caught:
        read(path, **reading)
    assert str(caught.value).isprintable()
    assert "latin-1" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("encoding", TEXTS)
@pytest.mark.parametrize("ascii_before", [0, 3000])
def test_the_encoding_that_is_proposed_decodes_to_letters(tmp_path, encoding, ascii_before):
    text = "plain\n" * ascii_before + TEXTS[encoding] * 9
    path = tmp_path / "text"
    path.write_bytes(text.encode(encoding))
    assert f"use --encoding {encoding}" in message_of(path)
    assert read(path, encoding=encoding)[0] == text


def test_utf8_is_proposed_where_another_encoding_was_asked_for(tmp_path):
    path = tmp_path / "text"
    path.write_text(TEXTS["cp1252"] * 9, encoding="utf-8")
    assert "is not CP1252" in message_of(path, encoding="cp1252")
    assert "it looks like utf-8 (UTF-8); use --encoding utf-8" in message_of(
        path, encoding="cp1252"
    )


def test_a_command_without_the_options_names_none_of_them(tmp_path):
    path = tmp_path / "text"
    path.write_text(TEXTS["cp1252"] * 9, encoding="utf-8")
    message = message_of(path, encoding="cp1252", has_options=False, has_encoding=False)
    assert "iconv -f utf-8 -t CP1252 FILE converts it" in message
    assert "--" not in message


def test_an_encoding_is_found_in_a_file_of_one_word(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"caf\xe9")
    assert "use --encoding cp1252" in message_of(path)


def test_latin_1_that_makes_control_characters_is_noted(tmp_path):
    path = tmp_path / "text"
    path.write_bytes((TEXTS["cp1252"] * 9).encode("cp1252"))
    (note,) = load_corpus([path], TrainConfig(encoding="latin-1")).notes
    assert "control characters (U+0080 to U+009F)" in note
    assert "--encoding cp1252" in note
    path.write_bytes("größer\n".encode("latin-1") * 9)
    assert load_corpus([path], TrainConfig(encoding="latin-1")).notes == ()


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_a_utf_8_text_that_another_encoding_can_read_is_noted(tmp_path, encoding):
    path = tmp_path / "text"
    path.write_text("Öl für größere Mäuse\n" * 9, encoding="utf-8")
    (note,) = load_corpus([path], TrainConfig(encoding=encoding)).notes
    assert note == f"{path} is UTF-8, not {encoding.upper()}: leave --encoding out"
    path.write_text("plain ASCII\n" * 9, encoding="utf-8")
    assert load_corpus([path], TrainConfig(encoding=encoding)).notes == ()


def test_noise_is_no_encoding(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(bytes((i * i * 7 + i * 31) % 255 + 1 for i in range(4000)))
    assert "it looks binary; use --bytes" in message_of(path)


@pytest.fixture(params=[False, True], ids=["plain", "gzip"])
def damaged(tmp_path, request):
    """A text of a megabyte in UTF-8, with one byte on line 12,346 that is not."""
    lines = [
        "Ein Satz, der größer ist als nötig, steht in dieser Zeile, und noch einer.\n"
    ] * 14_000
    data = [line.encode() for line in lines]
    data[12_345] = b"Das Caf\xe9 ist zu.\n"
    path = tmp_path / "text"
    path.write_bytes(gzip.compress(b"".join(data)) if request.param else b"".join(data))
    return path


def test_one_bad_byte_has_a_line_number_and_a_way_out(damaged):
    message = message_of(damaged)
    assert "byte 0xe9 at offset 962,917 is not UTF-8: line 12,346, 1 of 1,091,939 bytes" in message
    assert "the rest is UTF-8; --errors skip leaves such bytes out, --errors replace" in message
    assert "--encoding" not in message


@pytest.mark.parametrize(("errors", "written"), [("skip", "Caf ist"), ("replace", "Caf\ufffd ist")])
def test_bad_bytes_are_left_out_or_replaced_on_request(damaged, errors, written):
    text, survey = read(damaged, errors=errors)
    assert text.splitlines()[12_345] == f"Das {written} zu."
    assert text.count("größer") == 13_999
    assert survey.num_bad == 1


def test_what_is_left_out_is_noted_and_belongs_to_the_digest(damaged):
    skipped = load_corpus([damaged], TrainConfig(errors="skip"))
    replaced = load_corpus([damaged], TrainConfig(errors="replace"))
    assert skipped.notes == ("1 byte is not in this encoding (--errors)",)
    assert skipped.num_train + skipped.num_val + 1 == replaced.num_train + replaced.num_val
    assert skipped.digest != replaced.digest


def test_a_half_character_at_the_end_is_counted(tmp_path):
    path = tmp_path / "text"
    path.write_bytes("größer\n".encode() * 5 + b"\xc3")
    assert "the end, at offset 45" not in message_of(path)
    assert "byte 0xc3 at offset 45 is not UTF-8: line 6, 1 of 46 bytes" in message_of(path)
    assert read(path, errors="skip")[0] == "größer\n" * 5
