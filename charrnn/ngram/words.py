"""The words before a symbol, as hashes that are carried along a text.

A run is a stretch of symbols of one kind: those of a word (letters, digits, underscore, apostrophe),
or those between two words. Letters count as their lower case. A context says what was read since a
text began. Its numbers are 0 before the first symbol.
"""

import unicodedata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.data.vocab import CharVocabulary, Vocabulary
from charrnn.ngram.counts import Keys, Texts, bits_of, mask, packed

NAMES = ("chars", "run", "word", "before")
CONTEXT = np.dtype([(name, np.uint64) for name in NAMES])
"""Last symbols, packed; hash of the run so far, of the last word before it, of the word before that."""

FACTOR = 0x9E3779B97F4A7C15
"""Of the hash of a run: h' = (h + form + 1) * FACTOR modulo 2^64."""

SPREAD = 0xBF58476D1CE4E5B9
"""Odd number that spreads the bits of a hash."""

FACTORS = {
    "run": 0xD6E8FEB86659FD93, "word": 0xA0761D6478BD642F, "before": 0xE7037ED1A0B428DB
}  # fmt: skip
"""By part of a context, its factor in a hash. The first word context has the first part, the second
one two parts, the third one all."""

JOINING = "_'\u2019"
"""Symbols of words besides letters and digits."""

FIRST_BEYOND_ASCII = 128


def forms_of(vocab: Vocabulary) -> NDArray[np.int32]:
    """Return for each symbol of words its lower case, as an id, and for others -1 - id; (V,).

    Bytes beyond ASCII are parts of words: letters in UTF-8.
    """
    if isinstance(vocab, CharVocabulary):
        signs = [vocab.decode([i]) for i in range(vocab.size)]
    else:
        signs = [chr(i) if i < FIRST_BEYOND_ASCII else "" for i in range(vocab.size)]
    ids = {sign: i for i, sign in enumerate(signs) if sign}
    is_part = [not sign or is_of_words(sign) for sign in signs]
    return np.array(
        [ids.get(sign.lower(), i) if is_part[i] else -1 - i for i, sign in enumerate(signs)],
        dtype=np.int32,
    )


def is_of_words(sign: str) -> bool:
    """Return whether a character is a letter, a digit, a mark on one, or joins them."""
    return sign.isalnum() or sign in JOINING or unicodedata.category(sign).startswith("M")


class Words:
    """Follows texts and names the word contexts.

    Args:
        forms: As from `forms_of`, (V,).
    """

    def __init__(self, forms: NDArray[np.int32]) -> None:
        self.forms, self._bits = forms, bits_of(len(forms))
        self._is_part, self._added = forms >= 0, (forms + len(forms) + 1).astype(np.uint64)

    def after(self, contexts: NDArray[Any], symbols: NDArray[Any]) -> NDArray[Any]:
        """Return the contexts after one more symbol each, their `chars` unchanged, (n,)."""
        was_part = self._is_part[contexts["chars"] & mask(self._bits)]
        changes, result = was_part != self._is_part[symbols], contexts.copy()
        is_end = changes & was_part
        result["before"] = np.where(is_end, contexts["word"], contexts["before"])
        result["word"] = np.where(is_end, contexts["run"], contexts["word"])
        run = np.where(changes, np.uint64(0), contexts["run"])
        result["run"] = (run + self._added[symbols]) * np.uint64(FACTOR)
        return result

    def read(self, texts: Texts, order: int) -> NDArray[Any]:
        """Return the context after each symbol of texts, (N,): those of `after`, all at once.

        Args:
            texts: What is read.
            order: Symbols in `chars`.
        """
        n, part = len(texts.ids), self._is_part[texts.ids]
        places, contexts = np.arange(n), np.zeros(n, dtype=CONTEXT)
        for keys in packed(texts, order - 1, self._bits):
            contexts["chars"] = keys
        changes = (texts.positions == 0) | np.append(True, part[1:] != part[:-1])[:n]
        starts = np.maximum.accumulate(np.where(changes, places, 0))  # of the run of each symbol
        contexts["run"] = run_hashes(self._added[texts.ids], starts)
        is_end = part & np.append(changes[1:], True)[:n]
        ends = np.maximum.accumulate(np.where(is_end, places, -1))  # of the last word
        begins = places - texts.positions  # of its text
        word = last_before(ends, starts, begins)
        before = np.where(word >= 0, last_before(ends, starts[word], begins), -1)
        for name, end in (("word", word), ("before", before)):
            contexts[name] = np.where(end >= 0, contexts["run"][end], np.uint64(0))
        return contexts

    def keys(self, contexts: NDArray[Any]) -> Keys:
        """Return the hash of each word context, with zeros for a symbol in the low bits, (W, n).

        It is 0 where a part of the context is missing.
        """
        parts = np.stack([contexts[part] for part in FACTORS])
        totals = np.cumsum(parts * np.array([[f] for f in FACTORS.values()], np.uint64), axis=0)
        is_whole = np.logical_and.accumulate(parts != 0, axis=0)
        return np.where(is_whole, spread(totals) << np.uint64(self._bits), np.uint64(0))


def chars_of(contexts: NDArray[Any]) -> Keys:
    """Return the last symbols of contexts, packed, (n,): those of rows of CONTEXT, or all there is."""
    chars: Keys = contexts if contexts.dtype.names is None else contexts["chars"]
    return chars


def run_hashes(added: Keys, starts: NDArray[Any]) -> Keys:
    """Return the hash of each run so far, (N,), from what each symbol adds and where its run starts."""
    powers, inverses = (
        np.cumprod(np.full(len(added), factor, dtype=np.uint64))
        for factor in (FACTOR, pow(FACTOR, -1, 1 << 64))
    )
    sums = np.append(np.uint64(0), np.cumsum(added * inverses))
    result: Keys = (sums[1:] - sums[starts]) * powers * np.uint64(FACTOR)
    return result


def last_before(ends: NDArray[Any], places: NDArray[Any], begins: NDArray[Any]) -> NDArray[Any]:
    """Return where the last word before each place ended, -1 if none did in the same text, (N,).

    Args:
        ends: The last end of a word up to each symbol; -1 if there is none.
        places: Places, (N,).
        begins: Where the text of each began.
    """
    found = np.where(places > 0, ends[places - 1], -1)
    return np.where(found >= begins, found, -1)


def spread(values: Keys) -> Keys:
    """Return numbers all of whose bits depend on all bits of the given ones."""
    values = (values ^ (values >> np.uint64(29))) * np.uint64(SPREAD)
    return values ^ (values >> np.uint64(32))
