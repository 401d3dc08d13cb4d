"""A memory that knows words, against word contexts that are taken apart by hand."""

import re
import tracemalloc
from collections import Counter, defaultdict

import numpy as np
import pytest

from charrnn.core.config import TrainConfig
from charrnn.core.errors import CheckpointError
from charrnn.data.corpus import load_corpus
from charrnn.data.vocab import ByteVocabulary, CharVocabulary
from charrnn.ngram import word_model
from charrnn.ngram.context import BatchMixer, ContextTracker, StreamMixer
from charrnn.ngram.counts import Texts, runs_of
from charrnn.ngram.cuda import DeviceNgrams, DeviceReader
from charrnn.ngram.gate import mix
from charrnn.ngram.model import build
from charrnn.ngram.native import NgramArrays
from charrnn.ngram.online import OnlineNgrams
from charrnn.ngram.stored import parse_memory
from charrnn.ngram.word_model import BASE, DISCOUNTS, POWERS, WordModel, count_corpus, count_words
from charrnn.ngram.words import Words, forms_of

TEXT = (
    "The cat isn't here; the Cat's mat is.\n\nIt's 3_4 cats: the cat, the mat.\n"
    "the mat isn't the Cat's, the cat is here! A cat; a mat, A 3_4 mat.\n"
) * 3
VOCAB = CharVocabulary(map(ord, TEXT + "zqX"))
HELD_OUT = "The cat isn't here, the mat zq the Xat; a cat is\nhere the ca"


def texts_of(*texts):
    ids = np.concatenate([VOCAB.encode(text) for text in texts])
    return Texts(ids, np.concatenate([np.arange(len(text)) for text in texts]))


def make_memory(*texts, order=5):
    counted, words = texts_of(*texts), Words(forms_of(VOCAB))
    orders = build(counted, VOCAB.size, order).orders
    return WordModel(orders, words, count_words(counted, words))


def read(memory, text):
    """Return the contexts after each character of a text, and their lengths."""
    contexts, lengths = ContextTracker(memory, 1).read(VOCAB.encode(text)[None])
    return contexts[0], lengths[0]


def word_contexts(before):
    """Return run so far, with the word before, with two words before, by hand; None without them."""
    runs = re.findall(r"[\w']+|[^\w']+", before.lower())
    words = [run for run in runs[:-1] if re.match(r"[\w']", run)]
    return [
        (runs[-1],) if runs else None,
        (runs[-1], *words[-1:]) if words else None,
        (runs[-1], *words[-2:]) if len(words) > 1 else None,
    ]


class Plain:
    """Counts of word contexts in dictionaries."""

    def __init__(self, *texts):
        self.counts = [defaultdict(Counter) for _ in DISCOUNTS]
        for text in texts:
            for i in range(1, len(text)):
                for counts, context in zip(self.counts, word_contexts(text[:i]), strict=True):
                    if context is not None:
                        counts[context][text[i]] += 1

    def refined(self, p, before):
        """Return a prediction, by character, refined by what follows the word contexts."""
        for (of_one, of_two, of_more), counts, context in zip(
            DISCOUNTS.values(), self.counts, word_contexts(before), strict=True
        ):
            found = counts.get(context)
            if found:
                spare = {c: (of_one, of_two, of_more)[min(n, 3) - 1] for c, n in found.items()}
                total = found.total()
                p = {
                    c: (found[c] - spare.get(c, 0) + sum(spare.values()) * p[c]) / total for c in p
                }
        return p


def expected(memory, plain, before):
    """Return the probabilities after a text, (V,), from characters and dictionaries."""
    contexts, lengths = (each[-1:] for each in read(memory, before))
    characters = memory.characters.predict(contexts, lengths).p[0]
    base = memory.characters.predict(contexts, np.minimum(lengths, BASE)).p[0]
    signs = [VOCAB.decode([i]) for i in range(VOCAB.size)]
    words = plain.refined(dict(zip(signs, base.tolist(), strict=True)), before)
    scores = characters ** POWERS[0] * np.array([words[sign] for sign in signs]) ** POWERS[1]
    return scores / scores.sum()


@pytest.mark.parametrize("texts", [(TEXT,), (TEXT[:150], TEXT[150:190], TEXT[200:])])
def test_predictions_are_those_of_dictionaries(texts):
    memory, plain = make_memory(*texts), Plain(*texts)
    found = memory.predict(*read(memory, HELD_OUT)).p
    for i in range(len(HELD_OUT)):
        np.testing.assert_allclose(
            found[i], expected(memory, plain, HELD_OUT[: i + 1]), rtol=1e-9, err_msg=HELD_OUT[:i]
        )


def test_all_symbols_sum_to_one():
    memory = make_memory(TEXT)
    p = memory.predict(*read(memory, HELD_OUT)).p
    assert p.min() > 0
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize("alphabet", ["ab c\n", "abc", ".,; a", "a.", ".a"])
def test_contexts_of_a_whole_text_are_those_of_reading_it(alphabet):
    vocab, rng = CharVocabulary(map(ord, alphabet)), np.random.default_rng(4)
    ids = rng.integers(0, vocab.size, 200).astype(np.uint8)
    positions = np.concatenate([np.arange(n) for n in (1, 59, 1, 139)])
    words = Words(forms_of(vocab))
    memory = WordModel(build(runs_of(ids), vocab.size, 3).orders, words, ())
    tracker, whole = ContextTracker(memory, 1), words.read(Texts(ids, positions), 3)
    for i, position in enumerate(positions):
        contexts, _ = tracker.read(ids[None, i : i + 1], position == 0)
        assert contexts[0, 0] == whole[i], i


def test_the_start_of_a_text_has_no_words():
    memory = make_memory(TEXT)
    tracker = ContextTracker(memory, 2)
    tracker.read(VOCAB.encode("the cat, ")[None].repeat(2, axis=0))
    contexts, lengths = tracker.read(
        VOCAB.encode("m")[None].repeat(2, axis=0), np.array([0, 1]) > 0
    )
    alone, _ = read(memory, "m")
    assert contexts[1, 0] == alone[0]
    assert contexts[0, 0] != alone[0]
    assert lengths.ravel().tolist() == [5, 1]


def test_a_stream_and_a_batch_read_alike():
    memory, texts = make_memory(TEXT), ["The cat", "", "the mat isn't t", "q"]
    ids, logits = (
        [VOCAB.encode(text).tolist() for text in texts],
        np.zeros((4, VOCAB.size), np.float32),
    )
    batch = BatchMixer([memory], ids)
    singles = [StreamMixer([memory], each) for each in ids]
    for symbol in VOCAB.encode(" here"):
        together = batch.mixed(logits)
        for row, single in enumerate(singles):
            np.testing.assert_allclose(together[row], single.mixed(logits[row]), rtol=1e-5)
            single.read(int(symbol))
        batch.read(np.full(4, symbol))


def test_other_memories_beside_it_see_their_characters():
    memory, added = make_memory(TEXT, order=3), build(texts_of(TEXT[:90]), VOCAB.size, 5)
    mixer = StreamMixer([memory, added.weighted(0.5)], VOCAB.encode("the cat is").tolist())
    logits = np.linspace(0, 1, VOCAB.size, dtype=np.float32)
    own = mix(logits[None], memory.predict(*(each[-1:] for each in read(memory, "the cat is"))))
    alone, lengths = ContextTracker(added, 1).read(VOCAB.encode("the cat is")[None])
    both = mix(own, added.predict(alone[0, -1:], lengths[0, -1:]), 0.5)
    np.testing.assert_allclose(mixer.mixed(logits), both[0], rtol=1e-5)


@pytest.mark.parametrize("has_tables", [False, True])
def test_predictions_in_c_have_the_bits_of_numpy(library, has_tables):
    memory = make_memory(TEXT)
    asked = read(memory, HELD_OUT + TEXT)
    arrays = NgramArrays(memory, has_tables=has_tables, has_words=True)
    found, expected = arrays.predict(library, *asked), memory.predict(*asked)
    assert found.p.tobytes() == expected.p.tobytes()
    assert found.order.tobytes() == expected.order.tobytes()


def test_predictions_in_torch_are_those_of_numpy():
    import torch

    memory, device = make_memory(TEXT), torch.device("cpu")
    contexts, lengths = read(memory, HELD_OUT)
    numbers = torch.from_numpy(contexts.view(np.int64).reshape(len(contexts), -1).copy())
    ngrams = DeviceNgrams(memory, device)
    p, stats = ngrams.predict(numbers, torch.from_numpy(lengths))
    expected = memory.predict(contexts, lengths)
    np.testing.assert_allclose(p.numpy(), expected.p, rtol=1e-9)
    np.testing.assert_array_equal(stats[0].numpy(), expected.order)
    symbols = torch.from_numpy(VOCAB.encode(HELD_OUT)[1:].astype(int))
    after = DeviceReader([ngrams]).after(numbers[:-1], symbols)
    np.testing.assert_array_equal(after.numpy(), numbers[1:].numpy())


def test_a_memory_that_keeps_counting_knows_the_words_of_the_text():
    memory = make_memory(TEXT)
    text = "zqX the zqX the zqX"
    ids = VOCAB.encode(text)
    contexts, lengths = read(memory, text[:-1])
    found = OnlineNgrams(memory).follow(contexts, lengths, ids[1:])
    plain, base = Plain(TEXT), OnlineNgrams(memory.characters)
    online, last = base._follow(contexts["chars"], lengths, ids[1:])
    signs = [VOCAB.decode([i]) for i in range(VOCAB.size)]
    for i in range(len(text) - 1):
        words = plain.refined(dict(zip(signs, last[i].tolist(), strict=True)), text[: i + 1])
        scores = online.p[i] ** POWERS[0] * np.array(list(words.values())) ** POWERS[1]
        np.testing.assert_allclose(found.p[i], scores / scores.sum(), rtol=1e-9)
        for counts, context in zip(plain.counts, word_contexts(text[: i + 1]), strict=True):
            if context is not None:
                counts[context][text[i + 1]] += 1


def test_letters_count_as_their_lower_case_and_bytes_beyond_ascii_as_letters():
    forms = forms_of(VOCAB)
    ids = {sign: int(VOCAB.encode(sign)[0]) for sign in "tTX3_' ;\n"}
    assert forms[ids["T"]] == forms[ids["t"]] == ids["t"]
    assert forms[ids["X"]] == ids["X"]  # its lower case is not in the text
    assert all(forms[ids[sign]] >= 0 for sign in "3_'")
    assert [forms[ids[sign]] for sign in " ;\n"] == [-1 - ids[sign] for sign in " ;\n"]
    of_bytes = forms_of(ByteVocabulary())
    assert of_bytes[ord("A")] == ord("a")
    assert of_bytes[0xC3] == 0xC3
    assert of_bytes[10] < 0


def test_a_file_holds_it():
    memory = make_memory(TEXT)
    parsed = parse_memory(memory.tensors(), memory.metadata(), VOCAB.size)
    asked = read(memory, HELD_OUT)
    assert parsed.predict(*asked).p.tobytes() == memory.predict(*asked).p.tobytes()
    assert parsed.weighted(0.25).predict(*asked).p.tobytes() == memory.predict(*asked).p.tobytes()
    assert memory.weighted(0.0) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda tensors, description: tensors.pop("memory/w1/keys"),
        lambda tensors, description: tensors.pop("memory/words/forms"),
        lambda tensors, description: tensors.update({"memory/w3/keys": tensors["memory/w1/keys"]}),
        lambda tensors, description: tensors.update({"memory/w1/keys": tensors["memory/w1/keys"][::-1]}),
        lambda tensors, description: tensors.update(
            {"memory/words/forms": tensors["memory/words/forms"] + np.int32(9)}
        ),
        lambda tensors, description: description["words"].update(rule=2),
        lambda tensors, description: description.update(words=None),
        lambda tensors, description: description.pop("words"),
    ],
)  # fmt: skip
def test_damage_is_found(damage):
    memory = make_memory(TEXT)
    tensors, description = memory.tensors(), memory.metadata()
    damage(tensors, description)
    with pytest.raises(CheckpointError):
        parse_memory(tensors, description, VOCAB.size)


def test_a_corpus_is_counted_with_and_without_words(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT * 4, "utf-8")
    corpus = load_corpus([path], TrainConfig())
    plain, known = (count_corpus(corpus, 3, has_words=flag) for flag in (False, True))
    assert plain.words is None
    assert [order.keys.tobytes() for order in known.orders] == [
        order.keys.tobytes() for order in plain.orders
    ]
    assert known.num_entries > plain.num_entries
    assert known.characters.num_entries == plain.num_entries
    assert count_corpus(corpus, 0, has_words=True) is None


def test_counting_words_needs_little_ram_beside_the_contexts(monkeypatch):
    ids = np.random.default_rng(0).integers(0, 20, 200_000).astype(np.uint8)
    texts, forms = Texts(ids, np.arange(len(ids))), np.arange(20, dtype=np.int32)
    forms[:4] = -1 - forms[:4]
    tracemalloc.start()
    found = count_words(texts, Words(forms))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 150 * len(ids)  # hashed all at once it was 180 bytes a character
    monkeypatch.setattr(word_model, "CHUNK", len(ids))
    for chunked, whole in zip(found, count_words(texts, Words(forms)), strict=True):
        assert np.array_equal(chunked.keys, whole.keys)
        assert np.array_equal(chunked.counts, whole.counts)


def test_marks_on_letters_are_parts_of_words():
    """Vowel signs and the virama of Devanagari, vowel signs of Thai, a combining accent."""
    signs = "नमस्ते สวัสดี e\u0301"
    vocab = CharVocabulary(map(ord, signs))
    others = {vocab.decode([i]) for i, form in enumerate(forms_of(vocab)) if form < 0}
    assert others == {" "}
