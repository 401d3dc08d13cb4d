"""What a person sees of training."""

import dataclasses
import io

from charrnn.core.console import Console
from charrnn.core.events import Evaluated, Figures, Finished, Planned, Sampled, Started, Step
from charrnn.evaluation.diagnosis import MEMORY_LEFT_OUT
from charrnn.launch.event_texts import bar_text
from charrnn.launch.progress import TrainingProgress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


def step(number, **changes):
    values = {
        "step": number, "total_steps": 50, "epoch": number / 20, "loss": 2.5, "lr": 0.01,
        "grad_norm": 0.5, "skipped": 0, "chars_per_second": 12_345.0, "seconds": 1.0,
        "seconds_left": 65.0,
    }  # fmt: skip
    return Step(**(values | changes))


PLANNED = Planned(step=1, total_steps=50, seconds=70.0, eval_every=5, save_every=20, sample_every=5)
STREAMED = Figures(
    protocol="streamed", chars=99, loss=1.5, network_loss=1.75, bits_per_char=2.164, bits_per_byte=2.164,
    perplexity=4.48, memory=0.5, signature="split:last-0.1|state:carried",
)  # fmt: skip
COLD = dataclasses.replace(STREAMED, protocol="cold-256", loss=1.625, network_loss=1.625)
FINISHED = Finished(
    step=50, epoch=2.5, stop_reason="finished", unit="character", val_loss=1.5, bits_per_char=2.164, train_loss=1.4,
    chars_per_second=12_345.0, seconds=70.0, scores=(STREAMED, COLD), advice="more text",
)  # fmt: skip


def show(events, stream, verbosity=0):
    console = Console(verbosity, stream)
    progress = TrainingProgress(console)
    for event in events:
        progress.show(event)
    console.close()
    return stream.getvalue()


def test_off_a_terminal_there_are_plain_lines_ten_seconds_apart():
    output = show([step(n) for n in range(1, 20)], io.StringIO())
    assert output == "step 1/50 epoch 0.05 loss 2.500 val ? 12.3k char/s left 1m05s\n"


def evaluated(network_loss, loss):
    return Evaluated(
        step=5, loss=loss, network_loss=network_loss, chars=99, protocol="streamed", is_best=True,
        is_final=False,
    )  # fmt: skip


def test_a_log_line_names_the_loss_of_the_network_and_then_that_with_the_memory():
    assert show([evaluated(1.75, 1.5), step(5)], io.StringIO()) == (
        "step 5/50 epoch 0.25 loss 2.500 val 1.750 with n-gram memory 1.500 12.3k char/s "
        "left 1m05s\n"
    )
    plain = show([evaluated(1.75, 1.75), step(5)], io.StringIO())
    assert plain == "step 5/50 epoch 0.25 loss 2.500 val 1.750 12.3k char/s left 1m05s\n"


def test_a_bar_names_both_losses_and_fits_in_eighty_columns():
    output = show([PLANNED, evaluated(1.75, 1.5), step(49)], Terminal())
    assert "| loss 2.500, val 1.750 with memory 1.500, 12.3k char/s, 1m05s left" in output


def test_a_wide_terminal_shows_the_passes_too():
    wide = bar_text(step(50), evaluated(1.75, 1.5), 100)
    assert wide == "epoch 2.50, loss 2.500, val 1.750 with memory 1.500, 12.3k char/s, 1m05s left"


def test_a_preview_is_below_both_losses():
    output = show([PLANNED, evaluated(1.75, 1.5), Sampled(step=5, text="a")], Terminal())
    assert "--- step 5, validation loss 1.750 with n-gram memory 1.500 -" in output


def test_off_a_terminal_nothing_moves_and_nothing_is_coloured(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    events = [PLANNED, step(1), Sampled(step=5, text="\x1b[31mred"), FINISHED]
    output = show(events, io.StringIO())
    assert "\r" not in output
    assert "\x1b" not in output
    assert output.count("\n") == 7


def test_off_a_terminal_the_summary_is_a_few_short_lines():
    """e^1.5 = 4.5 and e^1.75 = 5.8."""
    assert show([FINISHED], io.StringIO()) == (
        "result: finished\n"
        "verdict: more text\n"
        "validation loss: 1.5000 nats per character: as unsure as between 4.5 equally likely "
        "characters\n"
        "n-gram memory: lowers the loss from 1.7500 to 1.5000; the network alone is as unsure as "
        "between 5.8 equally likely characters\n"
        "training: 50 steps (2.50 passes over the text) in 1m10s, 12.3k char/s\n"
    )


def test_protocols_and_signatures_are_for_the_verbose():
    lines = show([FINISHED], io.StringIO(), verbosity=1).splitlines()[5:]
    assert lines == [
        "training loss: 1.400 nats per character",
        (
            "validation loss, streamed: 1.5000 nats per character, 2.164 bits per character "
            "(network alone 1.7500)"
        ),
        "validation loss, cold-256: 1.6250 nats per character, 2.164 bits per character",
        "signature: split:last-0.1|state:carried",
        "signature: split:last-0.1|state:carried",
    ]


def test_a_memory_that_is_left_out_has_a_line_and_is_no_part_of_the_verdict():
    event = dataclasses.replace(FINISHED, advice=f"more text; {MEMORY_LEFT_OUT}")
    lines = show([event], io.StringIO()).splitlines()
    assert lines[1] == "verdict: more text"
    assert lines[3] == "n-gram memory: left out: it makes the validation loss worse"
    alone = show([dataclasses.replace(event, advice=MEMORY_LEFT_OUT)], io.StringIO())
    assert "verdict" not in alone
    without = dataclasses.replace(FINISHED, scores=(dataclasses.replace(STREAMED, memory=0.0),))
    assert "n-gram memory" not in show([without], io.StringIO())


def test_the_next_command_is_whole_on_one_line():
    command = "charrnn train " + 40 * "long " + "--max-time 5m"
    for stream in (io.StringIO(), Terminal()):
        console = Console(0, stream)
        TrainingProgress(console, lambda event: command).show(FINISHED)
        assert f"\ntry next: {command}\n" in stream.getvalue()


def test_a_run_that_ended_early_says_why():
    for reason, words in (("max_time", "time is up"), ("signal", "stopped by a signal")):
        event = dataclasses.replace(FINISHED, stop_reason=reason)
        assert show([event], io.StringIO()).startswith(f"result: {words}\n")


def test_a_terminal_gets_a_bar_with_everything_on_it():
    output = show([PLANNED, evaluated(1.75, 1.75), step(49, epoch=2.5)], Terminal())
    assert "epoch 2.50, loss 2.500, val 1.750, 12.3k char/s, 1m05s left" in output


def test_a_terminal_gets_a_table_at_the_end():
    output = show([PLANNED, FINISHED], Terminal())
    assert "validation loss" in output
    assert "as unsure as between 4.5" in output
    assert "│" in output


def test_previews_on_a_terminal_are_escaped_and_are_no_markup():
    text = "[bold]a[/bold] [/b] \x1b]0;title\x07 \u202e \x9b tab\t:smile:\nline"
    output = show([PLANNED, Sampled(step=5, text=text)], Terminal())
    assert "[bold]a[/bold] [/b] \\x1b]0;title\\x07 \\u202e \\x9b tab\t:smile:\nline" in output


def test_quiet_shows_no_event():
    assert show([PLANNED, step(1), FINISHED], io.StringIO(), verbosity=-1) == ""


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert "\r" not in show([PLANNED, step(1)], Terminal())


def test_the_start_names_network_and_machine():
    started = Started(
        step=0, num_parameters=1_234, steps_per_epoch=20, device="cpu", precision="fp32", threads=2
    )
    assert show([started], io.StringIO()) == (
        "1,234 parameters, 20 steps an epoch, on cpu in fp32, 2 threads\n"
    )


class Deaf(io.StringIO):
    """A stream that nobody reads any more."""

    encoding = "utf-8"

    def write(self, text):
        raise BrokenPipeError


def test_a_log_that_nobody_reads_stops_nothing():
    console = Console(1, Deaf())
    progress = TrainingProgress(console)
    for event in (PLANNED, step(1), FINISHED):
        progress.show(event)
    console.note("more")


def test_a_byte_model_counts_its_loss_per_byte():
    line = show(
        [dataclasses.replace(FINISHED, unit="byte", bits_per_char=None, scores=(), advice="")],
        io.StringIO(),
    )
    assert (
        "validation loss: 1.5000 nats per byte: as unsure as between 4.5 equally likely bytes\n"
    ) in line


def test_the_first_plan_is_a_line_in_a_log():
    output = show([PLANNED, PLANNED], io.StringIO())
    assert output == "plan at step 1: 50 steps, about 1m10s\n"


def test_the_last_evaluation_is_named_with_its_time():
    """In a log only if it takes more than a second."""
    text = "trained; evaluating the held-out text, about 12s"
    assert text in show([PLANNED, step(50, seconds_left=12.0)], Terminal())
    assert text not in show([PLANNED, step(49, seconds_left=12.0)], Terminal())
    log = show([step(49), step(50, seconds_left=12.0)], io.StringIO())
    assert log.endswith(f"left 1m05s\n{text}\n")
    assert "evaluating" not in show([step(50, seconds_left=1.0)], io.StringIO())
    assert "evaluating" not in show([step(49, seconds_left=12.0)], io.StringIO())
