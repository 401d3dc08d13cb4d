"""A text as ids of a known vocabulary."""

import pytest

from charrnn.core.errors import InputError
from charrnn.data.ids import read_ids
from charrnn.data.reading import Reading
from charrnn.data.vocab import CharVocabulary


@pytest.mark.parametrize("chunk", [2, 3, 1 << 18])
@pytest.mark.parametrize("most", [1, 3, 4, 5, None])
def test_a_text_is_read_up_to_so_many_characters_that_are_known(tmp_path, monkeypatch, chunk, most):
    monkeypatch.setattr("charrnn.data.text_files.CHUNK", chunk)
    (tmp_path / "text").write_text("XaYbcZaX", encoding="utf-8")
    vocab = CharVocabulary(map(ord, "abc"))
    ids, num_unknown = read_ids(vocab, Reading(), tmp_path / "text", skips=True, most=most)
    assert vocab.decode(ids) == "abca"[:most]
    assert num_unknown == {1: 1, 3: 2, 4: 3}.get(most, 4)


@pytest.mark.parametrize(("unknown", "more"), [("0123456789", ""), ("0123456789A", ", ...")])
def test_at_most_ten_unknown_characters_are_listed_the_most_frequent_first(tmp_path, unknown, more):
    (tmp_path / "text").write_text("abc" + unknown + "9", encoding="utf-8")
    vocab = CharVocabulary(map(ord, "abc"))
    with pytest.raises(InputError) as error:
        read_ids(vocab, Reading(), tmp_path / "text")
    shown = ", ".join(f"U+{ord(c):04X} '{c}'" for c in "9012345678")
    assert f"{len(unknown) + 1} characters are not among the 3" in str(error.value)
    assert f"seen: {shown}{more}; leave them out" in str(error.value)
