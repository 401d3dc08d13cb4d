"""One visible sign for each symbol of a text: blanks, controls and lone bytes too."""

from charrnn.errors import escape
from charrnn.vocab import ByteVocabulary, Vocabulary

SIGNS = {" ": "␣", "\n": "↵", "\t": "→", "\r": "␍"}
UNSEEN = ("Cc", "Cf", "Co", "Cs", "Cn", "Zs", "Zl", "Zp", "Mn", "Me")
"""Unicode's classes of what has no shape of its own."""


def glyphs(vocab: Vocabulary) -> list[str]:
    """Return a sign for each symbol of a vocabulary, (V,)."""
    if isinstance(vocab, ByteVocabulary):
        return [glyph(chr(i)) if i < 0x7F else f"{i:02X}" for i in range(256)]
    return [glyph(vocab.decode([i])) for i in range(vocab.size)]


def glyph(character: str) -> str:
    """Return a sign for one character."""
    import unicodedata

    if character in SIGNS:
        return SIGNS[character]
    is_unseen = any(unicodedata.category(c) in UNSEEN for c in character)
    return "".join(map(escape, character)) if is_unseen else character
