"""Batches: the formula of streams against a plain loop, records against their lines."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import charrnn.data.batches as batches_module
from charrnn.core.config import TrainConfig
from charrnn.core.errors import InputError
from charrnn.core.files import cache_folder
from charrnn.data.batches import (
    IGNORED,
    RecordBatches,
    Streams,
    fit_batches,
    fit_streams,
    make_batches,
    pad_records,
    weighted_text,
)
from charrnn.data.corpus import load_corpus
from charrnn.data.cuda import maybe_to_gpu, to_gpu
from charrnn.data.records import find_records

N, S, T = 103, 5, 6
"""Streams of 103 // 5 = 20 characters: 20 // 6 = 3 steps an epoch."""


def streams(*, seed=0, restart_prob=0.0):
    """Return streams over a text whose ids are their own positions."""
    return Streams(np.arange(N, dtype=np.uint8), S, T, seed, restart_prob)


def same(first, second):
    """Say whether two batches are equal in everything."""
    return all(
        np.array_equal(getattr(first, name), getattr(second, name))
        for name in ("inputs", "targets", "is_fresh")
    )


def record_batches(text, batch_size, seed=0):
    """Return batches of a text's lines; ids are the bytes of the text."""
    ids = np.frombuffer(text.encode("latin-1"), dtype=np.uint8)
    return RecordBatches(ids, find_records(ids, 10)[0], 10, batch_size, seed)


def lines_of(batch):
    """Return the lines that a batch teaches, read from its targets."""
    rows = [bytes(row[row != IGNORED].tolist()).decode("latin-1") for row in batch.targets]
    assert all(row.endswith("\n") for row in rows)
    return [row[:-1] for row in rows]


def test_an_epoch_has_as_many_steps_as_whole_windows_in_a_stream():
    assert (streams().stream_len, streams().steps_per_epoch) == (20, 3)


@pytest.mark.parametrize("epoch", [0, 1, 7])
def test_position_p_of_stream_s_is_character_o_plus_s_times_length_plus_p(epoch):
    text, offset = streams(seed=4), None
    for step in range(3):
        batch = text.batch(3 * epoch + step)
        offset = batch.inputs[0, 0] if offset is None else offset
        for s in range(5):
            for t in range(6):
                position = step * 6 + t
                assert batch.inputs[s, t] == (offset + s * 20 + position) % 103
                assert batch.targets[s, t] == (offset + s * 20 + position + 1) % 103


def test_each_epoch_and_seed_has_an_offset_of_its_own():
    offsets = [streams(seed=seed).batch(3 * e).inputs[0, 0] for seed in (0, 1) for e in range(6)]
    assert len(set(offsets)) > 9  # two in twelve may meet on a circle of 103


def test_no_character_is_left_out_for_ever():
    seen = np.concatenate([streams().batch(step).inputs.ravel() for step in range(3 * 15)])
    assert set(seen.tolist()) == set(range(103))


def test_all_streams_are_fresh_at_the_start_of_an_epoch_and_only_there():
    fresh = [streams().batch(step).is_fresh.tolist() for step in range(6)]
    assert fresh == [[True] * 5, [False] * 5, [False] * 5] * 2


def test_a_stream_starts_afresh_about_as_often_as_asked():
    text = streams(restart_prob=0.25)
    inside = [text.batch(step).is_fresh for step in range(900) if step % 3]
    assert np.sum(inside) == pytest.approx(0.25 * 600 * 5, abs=100)  # 4 standard deviations
    assert np.all([streams(restart_prob=1.0).batch(step).is_fresh for step in range(6)])


def test_a_batch_depends_on_its_step_alone():
    text = streams(seed=2, restart_prob=0.5)
    forwards = [text.batch(step) for step in range(7)]
    for step in (6, 2, 0, 6, 3):
        assert same(text.batch(step), forwards[step])
        assert same(streams(seed=2, restart_prob=0.5).batch(step), forwards[step])


def test_each_step_draws_its_own_restarts():
    text = streams(restart_prob=0.5)
    drawn = {tuple(text.batch(step).is_fresh) for step in range(40) if step % 3}
    assert len(drawn) > 10
    pairs = [(text.batch(3 * e + 1), text.batch(3 * e + 2)) for e in range(9)]  # of one epoch each
    assert sum(not np.array_equal(a.is_fresh, b.is_fresh) for a, b in pairs) > 4


def test_a_window_that_would_leave_its_piece_is_moved_to_the_side_that_has_more_of_it(monkeypatch):
    """Windows of 8 from 0 on: 16 to 24 has 4 of the first 20, 32 to 40 has 8 of the second."""
    monkeypatch.setattr(batches_module, "derive_seed", lambda *_: 0)
    text = Streams(np.arange(40, dtype=np.uint8), 1, 8, 0, 0.0, pieces=(0, 20))
    batches = [text.batch(step) for step in range(5)]
    assert [batch.inputs[0, 0] for batch in batches] == [0, 8, 20, 24, 31]
    assert [batch.is_fresh[0] for batch in batches] == [True, False, True, True, True]


@given(
    st.lists(st.integers(9, 40), min_size=1, max_size=6),
    st.integers(1, 3),
    st.integers(0, 30),
)
@settings(deadline=None)
def test_no_window_and_no_state_crosses_from_one_piece_into_another(sizes, batch_size, seed):
    edges = np.cumsum([0, *sizes])
    batch_size = min(batch_size, int(edges[-1]) // 8)
    text = Streams(np.arange(edges[-1]), batch_size, 8, seed, 0.0, pieces=tuple(edges[:-1]))
    before = None
    for step in range(3 * text.steps_per_epoch):
        batch = text.batch(step)
        assert (batch.targets == batch.inputs + 1).all()
        assert not np.isin(batch.targets, edges).any()  # the first of a piece is never predicted
        carried = batch.inputs[~batch.is_fresh, 0]
        if before is not None:
            assert (carried == before.targets[~batch.is_fresh, -1]).all()
        before = batch


def test_each_character_behind_the_first_of_a_piece_is_trained_on():
    text = Streams(np.arange(60), 1, 8, 0, 0.0, pieces=(0, 25, 41))
    steps = range(40 * text.steps_per_epoch)
    seen = {int(target) for step in steps for target in text.batch(step).targets.flat}
    assert seen == set(range(60)) - {0, 25, 41}


@pytest.mark.parametrize(
    ("num_chars", "pieces", "window"), [(2000, 4, 64), (400, 10, 35), (400, 40, None)]
)
def test_a_window_fits_into_each_piece(tmp_path, num_chars, pieces, window):
    """Sections of 500, 40 and 10 characters, of which 450, 36 and 9 are learned."""
    path = tmp_path / "text.txt"
    path.write_text("ab" * (num_chars // 2))
    config = TrainConfig(batch_size=1, val_pieces=pieces)
    corpus = load_corpus([path], config)
    assert fit_batches(corpus, config)[1] == (window or 8)
    assert make_batches(corpus, config).pieces == corpus.train_pieces
    message = "text.txt: a piece of the training text has 7 characters, more than 8 are"
    with pytest.raises(InputError, match=message):
        fit_batches(load_corpus([path], replace(config, val_pieces=num_chars // 8)), config)


def test_a_batch_of_streams_is_b_times_t_and_counts_them_all():
    batch = streams().batch(4)
    assert batch.inputs.shape == batch.targets.shape == (5, 6)
    assert batch.inputs.dtype == batch.targets.dtype == np.int64
    assert batch.is_fresh.shape == (5,)
    assert batch.num_chars == 30


def test_a_record_goes_in_behind_a_newline_and_comes_out_before_one():
    ids = np.array([1, 2, 0, 3], dtype=np.uint8)  # "ab\nc", the newline being 0
    batch = pad_records(ids, find_records(ids, 0)[0], 0)
    assert batch.inputs[:, :3].tolist() == [[0, 1, 2], [0, 3, 0]]
    assert batch.targets[:, :3].tolist() == [[1, 2, 0], [3, 0, IGNORED]]
    assert (batch.targets[:, 3:] == IGNORED).all()
    assert batch.is_fresh.tolist() == [True, True]
    assert batch.num_chars == 3 + 2


@pytest.mark.parametrize(
    ("longest", "width"),
    [(1, 2), (7, 8), (8, 9), (15, 16), (16, 18), (31, 32), (32, 36), (100, 104), (512, 528)],
)
def test_records_are_padded_to_one_of_eight_widths_between_powers_of_two(longest, width):
    text = record_batches("a" * longest + "\nb\nc", 3)
    assert text.batch(0).inputs.shape == (3, width)


@pytest.mark.parametrize(("longest", "width"), [(1, 16), (15, 16), (16, 32), (31, 32), (100, 112)])
def test_held_out_records_are_padded_to_a_multiple_of_16(longest, width):
    text = record_batches("a" * longest + "\nb\nc", 3)
    assert pad_records(text.ids, text.records, 10).inputs.shape == (3, width)


def test_the_last_batch_of_records_may_be_smaller():
    text = record_batches("a\nb\nc\nd\ne\nf\ng\n", 3)
    assert text.steps_per_epoch == 3
    assert sorted(len(text.batch(step).inputs) for step in range(3)) == [1, 3, 3]


@given(st.lists(st.text("ab", min_size=1, max_size=20), min_size=1), st.integers(1, 7))
@settings(deadline=None, database=None, derandomize=True)
def test_every_record_is_trained_on_once_an_epoch(lines, batch_size):
    text = record_batches("\n".join(lines), batch_size)
    for epoch in range(2):
        steps = range(epoch * text.steps_per_epoch, (epoch + 1) * text.steps_per_epoch)
        assert Counter(line for s in steps for line in lines_of(text.batch(s))) == Counter(lines)


def test_records_are_shuffled_anew_each_epoch():
    text = record_batches("".join(f"{number}\n" for number in range(100, 200)), 10)
    batches = [frozenset(lines_of(text.batch(step))) for step in range(20)]
    assert not set(batches[:10]) & set(batches[10:])  # other records meet in a batch
    assert [min(batch) for batch in batches[:10]] != sorted(min(batch) for batch in batches[:10])


def test_records_of_similar_length_come_together():
    text = record_batches("".join("a" * n + "\n" for n in range(1, 41)), 4)
    batches = sorted(sorted(map(len, lines_of(text.batch(step)))) for step in range(10))
    assert batches == [[4 * i + 1, 4 * i + 2, 4 * i + 3, 4 * i + 4] for i in range(10)]


def test_short_records_do_not_always_come_first():
    text = record_batches("".join("a" * n + "\n" for n in range(1, 41)), 4)
    first = {min(map(len, lines_of(text.batch(10 * epoch)))) for epoch in range(8)}
    assert len(first) > 1


def test_a_batch_of_records_depends_on_its_step_alone():
    lines = "".join(f"{number}\n" for number in range(23))
    text = record_batches(lines, 4, seed=5)
    forwards = [text.batch(step) for step in range(14)]
    for step in (13, 2, 0, 13, 6):
        assert same(text.batch(step), forwards[step])
        assert same(record_batches(lines, 4, seed=5).batch(step), forwards[step])
    assert not same(record_batches(lines, 4, seed=6).batch(0), forwards[0])


@pytest.mark.parametrize(
    ("num_chars", "asked", "given"),
    [
        (100_000, (32, 64), (32, 64)),  # 3,125 characters a stream
        (8_192, (32, 64), (32, 64)),  # 256 = 4 windows
        (8_191, (32, 64), (16, 64)),
        (1_000, (32, 64), (2, 64)),  # 4 streams would have 250 each
        (255, (32, 64), (1, 64)),
        (64, (32, 64), (1, 64)),
        (63, (32, 64), (1, 32)),
        (10, (4, 12), (1, 8)),
        (8, (1, 64), (1, 8)),
        (40, (1, 33), (1, 33)),
        (8, (3, 4), (1, 4)),
    ],
)
def test_a_small_text_gets_fewer_streams_then_a_shorter_window(num_chars, asked, given):
    assert fit_streams(num_chars, *asked) == given


@given(st.integers(8, 5000), st.integers(1, 300), st.integers(1, 300))
@settings(deadline=None, database=None, derandomize=True)
def test_what_was_fitted_has_at_least_one_step_and_is_never_larger(num_chars, batch_size, seq_len):
    size, window = fit_streams(num_chars, batch_size, seq_len)
    assert 1 <= size <= batch_size
    assert min(8, seq_len) <= window <= seq_len
    assert Streams(np.zeros(num_chars, np.uint8), size, window, 0, 0.0).steps_per_epoch >= 1


def test_a_text_shorter_than_the_smallest_window_is_refused_with_its_name_and_length(tmp_path):
    path = tmp_path / "short.txt"
    path.write_text("abcdefgh")
    corpus = load_corpus([path], TrainConfig())
    with pytest.raises(InputError, match=r"short\.txt: .* has 7 characters, at least 8 are needed"):
        fit_batches(corpus, TrainConfig())


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("pieces", [(), (0, 300, 317, 900)])
def test_a_text_on_a_device_is_cut_into_the_same_batches(device, dtype, pieces):
    ids = np.random.default_rng(2).integers(0, 200, 1003).astype(dtype)
    streams = Streams(ids, 4, 16, 7, 0.2, pieces=pieces)
    there = to_gpu(streams, torch.device(device))
    assert (there.steps_per_epoch, there.batch_size) == (streams.steps_per_epoch, 4)
    for step in range(2 * streams.steps_per_epoch + 1):
        expected, found = streams.batch(step), there.batch(step)
        for name in ("inputs", "targets"):
            tensor = getattr(found, name)
            assert (tensor.dtype, tensor.device.type) == (torch.int64, device)
            np.testing.assert_array_equal(tensor.cpu(), getattr(expected, name))
        np.testing.assert_array_equal(found.is_fresh, expected.is_fresh)
        assert found.num_chars == expected.num_chars


def test_on_a_cpu_a_text_stays_where_it_is():
    streams = Streams(np.zeros(100, dtype=np.uint8), 4, 16, 7, 0.2)
    assert maybe_to_gpu(streams, torch.device("cpu")) is streams


# Texts with weights.


def corpus_of(*texts, weights="", **settings):
    """Return the corpus of files with these texts."""
    paths = [Path(f"{number}.txt") for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    return load_corpus(paths, TrainConfig(weights=weights, **settings))


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_pass_reads_a_text_as_often_as_its_weight_says(direction):
    """40 and 20 characters, of which a tenth is held out: 3 * 36 + 2 * 18 = 144."""
    texts = "ab" * 20, "c\n" * 10
    corpus = corpus_of(*texts, weights="3,2", direction=direction)
    text = corpus.vocab.decode(weighted_text(corpus))
    wanted = ("ab" * 18) * 3 + ("c\n" * 9) * 2
    assert text == (wanted if direction == "forward" else wanted[::-1])
    batches = make_batches(corpus, TrainConfig(batch_size=1, seq_len=9, direction=direction))
    assert batches.steps_per_epoch == 144 // 9
    plain = corpus_of(*texts, direction=direction)
    assert plain.vocab.decode(plain.train) == corpus.vocab.decode(corpus.train)
    assert (corpus.digest, corpus.val.tolist()) == (plain.digest, plain.val.tolist())
    assert weighted_text(plain) is plain.train


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_pass_has_each_line_as_often_as_the_weight_of_its_text_says(direction):
    texts = "".join(f"a{i}\n" for i in range(20)), "".join(f"b{i}\n" for i in range(10))
    settings = {"lines": True, "direction": direction}
    corpus = corpus_of(*texts, weights="1,4", **settings)
    batches = make_batches(corpus, TrainConfig(batch_size=4, **settings))
    steps = range(batches.steps_per_epoch)
    counts = Counter(
        corpus.vocab.decode(row[row != IGNORED]) for i in steps for row in batches.batch(i).targets
    )
    turned = slice(None, None, 1 if direction == "forward" else -1)
    learned = [bytes(each) for each in corpus.train_records.texts(corpus.train)]
    names = {corpus.vocab.decode(np.frombuffer(each, np.uint8)) for each in learned}
    assert counts == {f"{name}\n": 4 if "b" in name[turned] else 1 for name in names}
    plain = corpus_of(*texts, **settings)
    assert len(plain.train_records) == len(corpus.train_records) == len(names)


def test_a_folder_gives_its_weight_to_all_its_files_and_a_copy_is_left_out():
    Path("many").mkdir()
    for name, text in {"a.txt": "ab\n", "b.txt": "cd\n", "c.txt": "ab\n"}.items():
        Path("many", name).write_text(text, "utf-8")
    Path("one.txt").write_text("ef\n", "utf-8")
    config = TrainConfig(weights="1,2", val_frac=0)
    corpus = load_corpus([Path("one.txt"), Path("many")], config)
    assert corpus.repeats == ((0, 3, 1), (3, 6, 2), (6, 9, 2))
    assert "a pass reads many 2 times" in corpus.notes


def test_a_held_out_file_has_no_weight():
    Path("val.txt").write_text("abc" * 9, "utf-8")
    corpus = corpus_of("ab" * 9, "c" * 9, weights="1,5", val_file=Path("val.txt"))
    assert corpus.repeats == ((0, 19, 1), (19, 28, 5))  # with the newlines between files


def test_weights_without_their_texts_are_refused():
    with pytest.raises(InputError, match="weights: 3,1: one for each text; 1 text named"):
        corpus_of("ab" * 20, weights="3,1")
    with pytest.raises(InputError, match=r"--val-pieces and weights of texts: .* across texts"):
        TrainConfig(weights="3,1", val_pieces=2)
    for wrong in ("3,", "0,1", "a", "1.5,1", "1000,1"):
        with pytest.raises(InputError, match="--weights: must be whole numbers"):
            TrainConfig(weights=wrong)


def test_a_large_text_in_the_cache_has_weights_too(monkeypatch):
    """An entry of an earlier version, without the sizes of texts, is made anew."""
    monkeypatch.setattr("charrnn.data.ids.CACHED_ABOVE", 10)
    plain = corpus_of("ab" * 20, "c\n" * 10)
    (entry,) = cache_folder().glob("*.json")
    metadata = json.loads(entry.read_text("utf-8"))
    entry.write_text(json.dumps({n: v for n, v in metadata.items() if n != "train_sizes"}), "utf-8")
    assert corpus_of("ab" * 20, "c\n" * 10).digest == plain.digest
    assert "train_sizes" not in json.loads(entry.read_text("utf-8"))
    for _ in range(2):
        assert corpus_of("ab" * 20, "c\n" * 10, weights="3,1").repeats == ((0, 36, 3), (36, 54, 1))
    assert json.loads(entry.read_text("utf-8"))["train_sizes"] == [36, 18]
