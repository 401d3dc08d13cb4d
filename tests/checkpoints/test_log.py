"""A run's logs: one line per event, whole after a kill, never in the way of training."""

import json

import pytest

from charrnn.checkpoints.log import METRICS, RunLog, as_count, as_number, finished_event, score_rows
from charrnn.checkpoints.names import create_run, open_run
from charrnn.core.events import Evaluated, Planned, RolledBack, Sampled, Saved, Step


def make_step(step):
    return Step(
        step=step, total_steps=20_000, epoch=0.5, loss=2.0, lr=0.004, grad_norm=0.3, skipped=0,
        chars_per_second=1e5, seconds=9.0, seconds_left=3.0,
    )  # fmt: skip


def make_evaluated(step, loss):
    return Evaluated(
        step=step,
        loss=loss,
        network_loss=loss,
        chars=100,
        protocol="streamed",
        is_best=False,
        is_final=False,
    )


def lines_of(path):
    """Return the objects of a log, by a reader that knows no NaN."""
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    return [json.loads(line, parse_constant=pytest.fail) for line in text.split("\n")[:-1]]


def test_each_event_is_one_line_that_names_it(run):
    run.log.record(make_evaluated(7, 1.5))
    run.log.record(Saved(step=7, path=run.best, is_best=True))
    assert lines_of(run.folder / "metrics.jsonl") == [
        {"event": "evaluated", "step": 7, "loss": 1.5, "network_loss": 1.5, "chars": 100, "protocol": "streamed", "is_best": False,
         "is_final": False},
        {"event": "saved", "step": 7, "path": "best.safetensors", "is_best": True},
    ]  # fmt: skip


def test_numbers_that_are_not_finite_are_null(run):
    for loss in (float("nan"), float("inf"), -float("inf")):
        run.log.record(make_evaluated(7, loss))
    assert [line["loss"] for line in lines_of(run.folder / "metrics.jsonl")] == [None] * 3


def test_previews_have_a_log_of_their_own_and_are_kept_word_for_word(run):
    text = "NaN and Infinity: “ça va?”\n-Infinity\t\x1b \u2028"
    run.log.record(Sampled(step=7, text=text))
    assert lines_of(run.folder / "samples.jsonl") == [{"event": "sampled", "step": 7, "text": text}]
    assert not (run.folder / "metrics.jsonl").exists()


def test_a_name_that_is_no_text_can_be_logged(run):
    run.log.append("metrics.jsonl", {"files": ["\udcff.txt"]})
    assert lines_of(run.folder / "metrics.jsonl") == [{"files": ["\udcff.txt"]}]


def test_of_a_long_run_about_a_thousand_steps_are_logged(run):
    run.log.record(
        Planned(
            step=0, total_steps=20_000, seconds=None, eval_every=1000, save_every=1000,
            sample_every=1000,
        )
    )  # fmt: skip
    for step in range(1, 20_001):
        run.log.record(make_step(step))
    logged = [line["step"] for line in lines_of(run.folder / "metrics.jsonl")[1:]]
    assert logged == list(range(20, 20_001, 20))


def test_after_a_rollback_the_steps_that_are_repeated_are_logged(run):
    run.log.record(
        Planned(
            step=0, total_steps=20_000, seconds=None, eval_every=1000, save_every=1000,
            sample_every=1000,
        )
    )  # fmt: skip
    for step in range(1, 101):
        run.log.record(make_step(step))
    run.log.record(RolledBack(step=100, good_step=40, lr=0.1))
    for step in range(41, 101):
        run.log.record(make_step(step))
    logged = [line["step"] for line in lines_of(run.folder / "metrics.jsonl")[1:]]
    assert logged == [20, 40, 60, 80, 100, 100, 60, 80, 100]


@pytest.mark.parametrize("longest", [4, 9, 10, 1 << 20])
def test_a_torn_line_is_taken_off_a_log_of_any_length(checkpoints, monkeypatch, longest):
    create_run(checkpoints, "king", []).close()
    log = checkpoints / "king" / "metrics.jsonl"
    log.write_bytes(b'{"a": 1}\n' * 5 + b"{")
    monkeypatch.setattr("charrnn.checkpoints.log.LONGEST_LINE", longest)
    open_run(checkpoints / "king").close()
    assert log.read_bytes() == b'{"a": 1}\n' * 5


def test_a_log_that_cannot_be_written_stops_nothing(run):
    (run.folder / "metrics.jsonl").mkdir()
    run.log.record(make_evaluated(7, 1.5))


@pytest.mark.parametrize(
    ("value", "number", "count"),
    [
        (0, 0, 0), (7, 7, 7), (2**63 - 1, 2**63 - 1, 2**63 - 1), (2**63, None, None),
        (-1, None, None), (True, None, None), (False, None, None), (1.5, 1.5, None),
        (-1.5, -1.5, None), (float("nan"), None, None), (1e19, None, None), ("7", None, None),
        (None, None, None), ([7], None, None),
    ],
)  # fmt: skip
def test_numbers_that_anyone_may_have_written_are_sane_or_none(value, number, count):
    assert (as_number(value), as_count(value)) == (number, count)


def test_scores_by_protocol_are_those_of_the_newest_session(tmp_path):
    scores = [{"protocol": "cold-256", "loss": 1.5, "signature": "W:256"}, 7, {"loss": 1.0}]
    log = RunLog(tmp_path)
    log.append(METRICS, {"event": "finished", "scores": scores})
    assert score_rows(finished_event(tmp_path / METRICS)) == [("cold-256", "1.5000 nats, W:256")]
    log.append(METRICS, {"event": "started"})
    assert score_rows(finished_event(tmp_path / METRICS)) == []
