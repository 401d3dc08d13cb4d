"""Any bytes as a corpus and as a prompt: read as Python decodes them, or refused in one line."""

import codecs
import multiprocessing
from pathlib import Path

import numpy as np
from harness import Violation, expect, run_script, work_folder
from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from charrnn.core.config import TrainConfig
from charrnn.core.errors import CharRNNError, InputError
from charrnn.data.corpus import load_corpus
from charrnn.data.file_kinds import compression_of, kind_of
from charrnn.data.reading import Reading
from charrnn.data.vocab import ByteVocabulary, CharVocabulary
from charrnn.sampling.prefill import PromptOptions

PIECE = 2_500

BYTES = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(
        st.sampled_from([
            b"a", b"b", b"\n", b"\r\n", b"\r", b"\xef\xbb\xbf", b"\xff", b"\x00", b"\xc3", b"\xa9",
            "é€😀".encode(), b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"abcdefgh" * 9,
        ]),
        max_size=20,
    ).map(b"".join),
)  # fmt: skip
ENCODINGS = st.sampled_from(["utf-8", "latin-1", "utf-16", "cp1252", "shift_jis"])


def plain(data: bytes, encoding: str, newlines: str) -> str | None:
    """Return the text that Python's own decoder reads at once; None if it refuses.

    None too for data with the first bytes of a document or a compressed file, which charrnn names.
    """
    if kind_of(data) or compression_of(data):
        return None
    if encoding == "utf-16" and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return None  # without a mark the order of the bytes is unknown
    try:
        text = data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError:
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n") if newlines == "lf" else text


def read(path: Path, config: TrainConfig) -> tuple[str | bytes, int] | None:
    """Return the text of a corpus, joined, and the size of its vocabulary; None if refused."""
    try:
        corpus = load_corpus([path], config)
    except InputError as error:
        expect("\n" not in str(error), f"an error of two lines: {error}")
        return None
    ids = np.concatenate([corpus.train, corpus.val])
    raw = corpus.vocab.raw(ids)
    return (raw if config.bytes else corpus.vocab.decode(ids)), corpus.vocab.size


def compare(data: bytes, encoding: str, newlines: str, as_bytes: bool) -> None:
    """Compare both ways to read a text."""
    path = Path("any.txt")
    path.write_bytes(data)
    if as_bytes:
        found = read(path, TrainConfig(bytes=True))
        expect(found is None or found[0] == data, f"{data!r} as bytes: {found}")
        expect(found is not None or len(set(data)) < 2, f"{data!r} as bytes: refused")
        return
    config = TrainConfig(encoding=encoding, newlines=newlines)
    found, expected = read(path, config), plain(data, encoding, newlines)
    is_text = expected is not None and len(set(expected)) > 1
    what = f"{data!r} in {encoding}, newlines {newlines}: {found}, not {expected!r}"
    expect((found is not None) == is_text, what)
    if found is not None and expected is not None:
        expect(found == (expected, len(set(expected))), what)


def ask(data: bytes) -> None:
    """Encode a prompt with a vocabulary of characters, and with one of bytes."""
    path = Path("prompt.txt")
    path.write_bytes(data)
    prompt = PromptOptions(file=path).read(Reading(bytes=True))[0]
    without_mark = data.removeprefix(b"\xef\xbb\xbf")
    expect(
        ByteVocabulary().raw(ByteVocabulary().encode(prompt)) == without_mark, f"prompt {data!r}"
    )
    vocab = CharVocabulary(map(ord, "ab\n\ré€"))
    try:
        ids = vocab.encode(prompt)
    except CharRNNError as error:
        str(error).encode()
        expect("\n" not in str(error), f"an error of two lines: {error!r}")
    else:
        expect(vocab.decode(ids) == prompt, f"prompt {data!r}")


def try_piece(job: tuple[int, int]) -> str:
    """Try some examples in a separate process; return the violation, if any."""
    seed, count = job
    quiet = settings(
        max_examples=count, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )

    @seeded(seed)
    @quiet
    @given(BYTES, ENCODINGS, st.sampled_from(["keep", "lf"]), st.booleans())
    def examples(data: bytes, encoding: str, newlines: str, as_bytes: bool) -> None:
        compare(data, encoding, newlines, as_bytes)
        ask(data)

    with work_folder():
        try:
            examples()
        except Violation as violation:
            return str(violation)
        except Exception as error:
            return f"seed {seed}: {type(error).__name__}: {error}"
    return ""


def check(count: int, seed: int) -> tuple[int, str]:
    """Try so many examples on all cores."""
    jobs = [
        (seed * 1_000_000 + i, min(PIECE, count - begin))
        for i, begin in enumerate(range(0, count, PIECE))
    ]
    with multiprocessing.get_context("spawn").Pool() as pool:
        for problem in pool.imap_unordered(try_piece, jobs):
            expect(not problem, problem)
    return count, "texts and prompts: read as Python decodes them, or refused in one line"


if __name__ == "__main__":
    run_script("arbitrary bytes as corpus and as prompt", 10_000, 1_000_000, check)
