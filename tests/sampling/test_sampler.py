"""Texts of networks that are chains: the next character depends on the last one alone."""

from dataclasses import replace

import numpy as np
import pytest
from architectures import small
from chains import chain, cycle
from hypothesis import given, settings
from hypothesis import strategies as st
from ngrams import distribution

from charrnn.checkpoints.model import Model
from charrnn.core.config import SampleConfig
from charrnn.core.errors import InputError
from charrnn.core.seeds import sample_seed
from charrnn.data.vocab import ByteVocabulary, CharVocabulary
from charrnn.ngram.counts import runs_of
from charrnn.ngram.model import build
from charrnn.nn.architecture import shapes
from charrnn.nn.numpy_engine import make_engine
from charrnn.sampling.api import stream
from charrnn.sampling.filters import apply_filters, draw
from charrnn.sampling.jobs import Jobs, StopFinder
from charrnn.sampling.prefill import prompt_ids
from charrnn.sampling.sampler import Sampler


def random_model(cell="lstm", *, hidden_size=33, records=False):
    vocab = CharVocabulary(map(ord, "\nabcdefghij"))
    config = small(cell, hidden_size=hidden_size)
    rng = np.random.default_rng(41)
    weights = {n: rng.normal(0, 0.4, s).astype(np.float32) for n, s in shapes(config).items()}
    return Model(config=config, weights=weights, vocab=vocab, records=records, starts={})


def write(model, prompt, length=10, stops=(), seed=1, **settings):
    """Return one text, after checking that a batch writes the same."""
    sampler, config = Sampler(model, stops), SampleConfig(length=length, **settings)
    sample = sampler.sample(prompt, config, seed)
    assert list(many(sampler, prompt, config, seed, num_samples=1, batch_size=2)) == [sample]
    return sample


def many(sampler, prompt, config, seed, num_samples, batch_size=None):
    """Return samples of one prompt and config."""
    return sampler.write(Jobs([prompt], [config], num_samples, seed), batch_size)


def texts(samples):
    return [sample.text for sample in samples]


COIN = {"a": {"a": 0.5, "b": 0.5}, "b": {"a": 0.5, "b": 0.5}}


# Length, prompt and the first character.


def test_length_counts_characters_after_the_prompt():
    sample = write(cycle("abc"), "ca", length=4)
    assert (sample.prompt, sample.text, sample.raw) == ("ca", "bcab", b"bcab")
    assert sample.finish == "length"


def test_length_zero_writes_nothing():
    sample = write(cycle("abc"), "a", length=0)
    assert (sample.text, sample.finish) == ("", "length")


def test_without_a_prompt_the_text_starts_behind_an_unprinted_newline():
    assert write(cycle("\nab"), "", length=4).text == "ab\na"


def test_a_vocabulary_without_newline_draws_its_first_character_from_the_starts():
    model = cycle("abc", starts={1: 3, 2: 1})
    config = SampleConfig(length=2, temperature=1.0)
    written = texts(many(Sampler(model), "", config, seed=3, num_samples=400))
    assert set(written) == {"bc", "ca"}
    assert 260 < written.count("bc") < 340  # 300 expected, one standard deviation is 8.7


def test_one_stream_also_draws_from_the_starts():
    assert write(cycle("abc", starts={1: 3, 2: 1}), "", length=4, top_k=1).text == "bcab"


def test_a_text_equals_one_written_character_by_character(cell):
    model, config = random_model(cell), SampleConfig(length=300, temperature=0.9, top_p=0.95)
    engine, rng = make_engine(model.config, model.weights), np.random.default_rng(7)
    state, expected = engine.empty_state(), ""
    for symbol in model.vocab.encode("bad"):
        logits, state = engine.step(int(symbol), state)
    for _ in range(300):
        chosen = int(draw(apply_filters(logits, config), rng.random()))
        expected += model.vocab.decode([chosen])
        logits, state = engine.step(chosen, state)
    assert Sampler(model).sample("bad", config, seed=7).text == expected


def test_an_unknown_character_of_the_prompt_is_named():
    sampler, config = Sampler(cycle("abc")), SampleConfig(length=5)
    for use in (
        lambda: prompt_ids(sampler.model, "abé"),
        lambda: sampler.sample("abé", config, 1),
        lambda: list(many(sampler, "abé", config, 1, num_samples=3)),
    ):
        with pytest.raises(InputError, match=r"prompt: .*3 characters.*: U\+00E9 'é'; "):
            use()


# Chance.


def test_frequencies_follow_the_network():
    text = write(chain({c: {"a": 0.75, "b": 0.25} for c in "ab"}), "a", 4000, temperature=1.0).text
    assert 2850 < text.count("a") < 3150  # one standard deviation is 27


def test_the_same_seed_writes_the_same_text_and_another_seed_another():
    model = random_model()
    assert write(model, "a", 40, seed=5).text == write(model, "a", 40, seed=5).text
    assert write(model, "a", 40, seed=5).text != write(model, "a", 40, seed=6).text


def test_temperature_zero_needs_no_seed():
    model = random_model()
    assert (
        write(model, "a", 40, seed=5, temperature=0.0).text
        == write(model, "a", 40, seed=6, temperature=0.0).text
    )


def test_a_sample_can_be_made_again_alone_by_its_seed(cell):
    sampler, config = Sampler(random_model(cell)), SampleConfig(length=30)
    samples = list(many(sampler, "ab", config, seed=11, num_samples=9))
    assert len(set(texts(samples))) == 9
    for sample in samples:
        (again,) = many(sampler, "ab", config, sample.seed, num_samples=1, batch_size=2)
        assert (again.text, again.seed) == (sample.text, sample.seed)


def test_samples_are_numbered_and_carry_their_seeds():
    config = SampleConfig(length=3, temperature=0.625)
    samples = list(many(Sampler(random_model()), "a", config, seed=11, num_samples=5, batch_size=2))
    assert [sample.index for sample in samples] == [0, 1, 2, 3, 4]
    assert [sample.seed for sample in samples] == [11, *(sample_seed(11, i) for i in range(1, 5))]
    assert {sample.temperature for sample in samples} == {0.625}


def test_texts_depend_neither_on_the_number_of_samples_nor_on_the_batch_size(cell):
    sampler, config = Sampler(random_model(cell)), SampleConfig(length=30)
    expected = texts(many(sampler, "ab", config, 13, num_samples=67, batch_size=64))
    for count, size in ((67, 2), (67, 3), (5, 64), (4, 3), (1, 2), (0, 2)):
        assert texts(many(sampler, "ab", config, 13, count, size)) == expected[:count]


def test_a_batch_has_the_size_that_is_asked_for_and_at_least_two_rows():
    sampler = Sampler(random_model())
    assert [sampler.rows(asked) for asked in (None, 1, 2, 9)] == [64, 2, 2, 9]


# Stop strings.


def test_texts_of_many_prompts_and_temperatures_are_those_of_each_by_itself(cell):
    """Prompts of 0 to 5 characters, one of them twice, at two temperatures, some cut by a stop."""
    sampler = Sampler(random_model(cell), ["c"])
    configs = [SampleConfig(length=30, temperature=t) for t in (0.5, 1.5)]
    jobs = Jobs(["ab", "", "abaab", "b", "ab"], configs, 3, seed=5)
    together = list(sampler.write(jobs.since(0), batch_size=4))
    assert [sample.index for sample in together] == list(range(30))
    for sample in together:
        config = configs[sample.temperature == 1.5]
        (alone,) = many(
            Sampler(random_model(cell), ["c"]), sample.prompt, config, sample.seed, 1, 2
        )
        assert (sample.text, sample.finish) == (alone.text, alone.finish)


def test_so_they_are_with_a_memory():
    sampler = Sampler(with_memory(random_model(), "abc\nabd\nhij\n" * 5, order=3))
    config = SampleConfig(length=30)
    for sample in sampler.write(Jobs(["ab", "", "abaabbab"], [config], 2, seed=5).since(0)):
        (alone,) = many(sampler, sample.prompt, config, sample.seed, 1, 2)
        assert sample.text == alone.text


def test_a_text_ends_before_a_stop_string():
    sample = write(cycle("abcd"), "d", stops=["cd"])
    assert (sample.text, sample.raw, sample.finish) == ("ab", b"ab", "stop")


def test_a_stop_string_that_ends_with_the_last_character_counts():
    sample = write(cycle("abcd"), "d", length=4, stops=["cd"])
    assert (sample.text, sample.finish) == ("ab", "stop")


def test_the_beginning_of_a_stop_string_at_the_end_is_text():
    sample = write(cycle("abcd"), "d", length=3, stops=["cd"])
    assert (sample.text, sample.finish) == ("abc", "length")


def test_a_stop_string_longer_than_the_text_never_ends_it():
    sample = write(cycle("abcd"), "d", length=6, stops=["abcdabcd"])
    assert (sample.text, sample.finish) == ("abcdab", "length")


def test_the_stop_string_that_ends_first_counts():
    assert write(cycle("abcd"), "d", stops=["abcd", "bc"]).text == "a"
    assert write(cycle("abcd"), "d", stops=["bcd", "bc"]).text == "a"


def test_of_stop_strings_that_end_together_the_longest_is_left_out():
    assert write(cycle("abcd"), "d", stops=["c", "abc", "bc"]).text == ""


def test_a_stop_string_does_not_begin_in_the_prompt():
    assert write(cycle("abcd"), "ab", stops=["bc"]).text == "cda"


def test_stop_strings_that_can_never_come_are_no_error():
    assert write(cycle("abcd"), "d", length=5, stops=["bé", ""]).text == "abcda"


def test_rows_that_stop_leave_and_the_others_continue_unchanged(cell):
    sampler, config = Sampler(random_model(cell), ["a", "bc"]), SampleConfig(length=12)
    together = list(many(sampler, "ab", config, seed=2, num_samples=40))
    assert {sample.finish for sample in together} == {"stop", "length"}
    for sample in together:
        (alone,) = many(sampler, "ab", config, sample.seed, num_samples=1, batch_size=2)
        assert (alone.text, alone.finish) == (sample.text, sample.finish)


def test_finish_says_why_each_text_ended():
    config = SampleConfig(length=3, temperature=1.0)
    samples = list(many(Sampler(chain(COIN), ["b"]), "a", config, seed=2, num_samples=60))
    assert {(s.text, s.finish) for s in samples} == {
        ("", "stop"), ("a", "stop"), ("aa", "stop"), ("aaa", "length")
    }  # fmt: skip


def feed_all(finder, symbols):
    """Return all that is released of a text, up to a stop string or the end."""
    released = []
    for symbol in symbols:
        released += finder.feed(symbol)
        if finder.is_found:
            break
    return released + finder.finish()


def test_what_cannot_be_a_stop_string_is_released_at_once():
    finder = StopFinder([[1, 2, 1, 3]])
    assert [finder.feed(i) for i in (0, 1, 2, 1, 2, 2)] == [[0], [], [], [], [1, 2], [1, 2, 2]]


symbols = st.integers(0, 2)


@given(st.lists(symbols, max_size=30), st.lists(st.lists(symbols, max_size=5), max_size=4))
@settings(deadline=None)
def test_the_stop_finder_agrees_with_a_search_in_the_whole_text(stream, stops):
    text = "".join(map(str, stream))
    words = ["".join(map(str, stop)) for stop in stops if stop]
    found = [(text.find(w) + len(w), text.find(w)) for w in words if w in text]
    _, cut = min(found, default=(0, len(text)))  # the one that ends first, then begins first
    finder = StopFinder(stops)
    assert feed_all(finder, stream) == stream[:cut]
    assert finder.is_found == bool(found)


# Records.


def test_a_record_stops_at_its_newline():
    sample = write(cycle("\nabc", records=True), "")
    assert (sample.text, sample.finish) == ("abc", "stop")


def test_a_record_may_be_cut_by_its_length():
    sample = write(cycle("\nabc", records=True), "a", length=1)
    assert (sample.text, sample.finish) == ("b", "length")


def test_a_records_prompt_is_read_behind_a_newline():
    config = SampleConfig(length=20)
    records = list(many(Sampler(random_model(records=True)), "ab", config, 19, num_samples=9))
    behind_newline = list(many(Sampler(random_model()), "\nab", config, 19, num_samples=9))
    behind_nothing = list(many(Sampler(random_model()), "ab", config, 19, num_samples=9))
    assert texts(records) == [text.split("\n")[0] for text in texts(behind_newline)]
    assert texts(records) != [text.split("\n")[0] for text in texts(behind_nothing)]


def test_records_may_have_stop_strings_besides():
    assert write(cycle("\nabc", records=True), "", stops=["b"]).text == "a"


# Bytes, and characters as they are made.

BYTES = "é€".encode()  # C3 A9, E2 82 AC


def byte_model():
    return cycle([*BYTES, 10], vocab=ByteVocabulary())


def test_a_byte_model_counts_bytes_and_decodes_them():
    sample = write(byte_model(), "\n", length=5)
    assert (sample.text, sample.raw) == ("é€", b"\xc3\xa9\xe2\x82\xac")


@pytest.mark.parametrize("length", [2, 3, 4])
def test_a_text_of_bytes_ends_at_a_whole_character(length):
    sample = write(byte_model(), "\n", length=length)
    assert (sample.text, sample.raw) == ("é", b"\xc3\xa9")


def test_a_text_that_is_not_utf_8_keeps_all_its_bytes():
    model = cycle([0xE9, 10, 0xC3], vocab=ByteVocabulary())
    sample = write(model, "\n", length=4)
    assert (sample.text, sample.raw) == ("\ufffd\ufffd\n\ufffd", b"\xc3\xe9\n\xc3")


def test_a_byte_models_prompt_may_hold_any_byte():
    prompt = b"\xe2\x82".decode("utf-8", "surrogateescape")
    assert write(byte_model(), prompt, length=1).raw == b"\xac"


def test_a_stop_string_of_several_bytes_ends_a_byte_text():
    assert write(byte_model(), "\n", stops=["€"]).raw == b"\xc3\xa9"


def test_a_stream_yields_whole_characters():
    assert list(stream(byte_model(), "\n", seed=1, length=5)) == ["é", "€"]
    assert list(stream(byte_model(), "\n", seed=1, length=4)) == ["é"]


def test_a_stream_yields_each_character_as_it_is_made():
    characters = stream(cycle("abcd"), "d", seed=1, length=1_000_000_000)
    assert [next(characters) for _ in range(5)] == list("abcda")


def test_a_stream_holds_back_only_what_may_be_a_stop_string():
    pieces = list(Sampler(cycle("abcd"), ["cda"]).stream("d", SampleConfig(length=9), seed=1))
    assert pieces == [[0], [1]]


def test_a_stream_and_a_sample_are_the_same_text():
    model = random_model()
    whole = Sampler(model, ["ab"]).sample("cd", SampleConfig(length=70, temperature=0.9), 3).text
    assert "".join(stream(model, "cd", seed=3, stops=["ab"], length=70, temperature=0.9)) == whole


# With a memory.


def with_memory(model, text, order=2):
    ids = model.vocab.encode(text)
    return replace(model, memory=build(runs_of(ids), model.vocab.size, order))


def test_the_memory_alone_follows_its_text():
    model = with_memory(cycle("cba\n"), "abc\n" * 9, order=3)
    assert write(model, "a", 6, memory_weight=1.0, temperature=0).text == "bc\nabc"
    assert write(model, "a", 6, memory_weight=0.0, temperature=0).text == "\ncba\nc"


def test_without_a_weight_of_its_own_a_text_has_the_models():
    model = with_memory(random_model(), "abcdefghij\n" * 3)
    model.memory.weight = 0.0
    assert write(model, "a", 30).text == write(replace(model, memory=None), "a", 30).text


def test_frequencies_are_those_of_the_mix():
    # The network says a or b, half each; the memory knows only a.
    model = chain({"a": {"a": 0.5, "b": 0.5}, "b": {"a": 0.5, "b": 0.5}})
    model = with_memory(replace(model, starts={0: 1}), "aaaaaaaaa", order=1)
    expected = 0.5 * 0.5 + 0.5 * distribution(model.memory, [0])[0]
    sampler = Sampler(model)
    config = SampleConfig(length=1, temperature=1.0, memory_weight=0.5)
    found = [s.text for s in many(sampler, "a", config, 3, 4000)].count("a") / 4000
    assert found == pytest.approx(expected, abs=0.03)


def test_texts_with_a_memory_depend_on_their_seeds_alone(cell):
    sampler = Sampler(with_memory(random_model(cell), "abc\nabd\nhij\n" * 5, order=3), ["j"])
    config = SampleConfig(length=40)
    expected = texts(many(sampler, "ab", config, 7, 20, batch_size=16))
    assert texts(many(sampler, "ab", config, 7, 9, batch_size=4)) == expected[:9]


def test_a_first_character_that_is_drawn_from_the_starts_is_no_matter_of_memory():
    model = cycle("abcd", starts={2: 5})
    model = with_memory(model, "abcdabcd")
    assert write(model, "", 4, memory_weight=0.5, temperature=0).text == "cdab"


def test_more_records_than_texts_are_written_side_by_side():
    plain, records = Sampler(random_model()), Sampler(random_model(records=True))
    assert [sampler.rows(None) for sampler in (plain, records)] == [64, 256]
    assert [sampler.rows(each) for sampler in (plain, records) for each in (1, 100)] == [2, 100] * 2
    large = Sampler(cycle("\nab", vocab=CharVocabulary([10, *range(97, 2145)]), records=True))
    assert large.rows(None) == 127  # 2^18 logits
    texts = list(many(records, "", SampleConfig(length=9), seed=3, num_samples=300))
    assert texts == list(many(records, "", SampleConfig(length=9), 3, 300, batch_size=7))


class Enough(Exception):
    """Raised by a check."""


def raise_after(count):
    """Return a check that raises at its call number `count`, counted from 0."""
    left = iter(range(count))

    def check():
        if next(left, None) is None:
            raise Enough

    return check


def test_a_variant_has_other_stop_strings_and_shares_the_network():
    sampler = Sampler(cycle("abcd"), ["d"])
    other = sampler.variant(["c"])
    config = SampleConfig(length=9)
    assert [each.sample("a", config, 1).text for each in (sampler, other, sampler)] == [
        "bc", "b", "bc"
    ]  # fmt: skip
    assert other.prefill is sampler.prefill is sampler.variant([]).prefill
    lines = Sampler(cycle("ab\n", records=True))
    assert lines.variant([]).sample("", config, 1).text == "ab"


def test_a_check_ends_a_text_between_its_steps():
    sampler, config = Sampler(cycle("abcd")), SampleConfig(length=5)
    stream = sampler.variant([], raise_after(3)).stream("a", config, 1)
    assert [next(stream) for _ in range(3)] == [[1], [2], [3]]
    with pytest.raises(Enough):
        next(stream)
    jobs = Jobs(["a", "b"], [config], 1, 1)
    with pytest.raises(Enough):
        list(sampler.variant([], raise_after(4)).write(jobs))
    assert [each.text for each in sampler.variant([], raise_after(5)).write(jobs)] == [
        "bcdab", "cdabc"
    ]  # fmt: skip


def test_few_memory_weights_are_remembered():
    model = random_model()
    model = replace(model, memory=build(runs_of(np.arange(200, dtype=np.uint8) % 11), 11, 3))
    sampler = Sampler(model)
    for weight in range(1, 40):
        sampler.memory(SampleConfig(memory_weight=weight / 40))
    assert len(sampler._memories) <= 4
