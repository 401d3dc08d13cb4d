"""The first signal sets a flag, the second ends the process."""

import signal
import subprocess
import sys

import pytest

from charrnn.core.signals import Interrupts, without_handlers

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs POSIX signals")

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


def handlers():
    return [signal.getsignal(getattr(signal, name)) for name in NAMES]


@pytest.fixture(autouse=True)
def same_handlers_after_as_before():
    before = handlers()
    yield
    for name, handler in zip(NAMES, before, strict=True):
        signal.signal(getattr(signal, name), handler)


def run_python(code):
    """Return exit status and stdout of a program that imports what it needs."""
    program = (
        "import signal, time\nfrom charrnn.core.signals import REPEAT_SECONDS, Interrupts\n" + code
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    return ended.returncode, ended.stdout


def test_without_a_signal_nothing_is_asked_for():
    with Interrupts() as interrupts:
        assert not interrupts()
        assert interrupts.received is None


@pytest.mark.parametrize("name", NAMES)
def test_the_first_signal_only_sets_the_flag(name):
    number = getattr(signal, name)
    with Interrupts() as interrupts:
        signal.raise_signal(number)
        assert interrupts()
        assert interrupts.received == number


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("SIGHUP", 129, "signal"), ("SIGINT", 130, "signal"), ("SIGTERM", 143, "signal"),
        ("SIGUSR1", 75, "requeue"),
    ],
)  # fmt: skip
def test_the_exit_code_says_which_signal_it_was(name, code, reason):
    with Interrupts() as interrupts:
        assert interrupts.exit_code == 0
        signal.raise_signal(getattr(signal, name))
        assert (interrupts(), interrupts.exit_code) == (reason, code)


def test_the_handlers_from_before_are_put_back():
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    before = handlers()
    with Interrupts():
        assert handlers() != before
    assert handlers() == before


def test_the_handlers_are_put_back_after_an_error_too():
    before = handlers()
    with pytest.raises(ZeroDivisionError), Interrupts():
        raise ZeroDivisionError
    assert handlers() == before


def test_an_ignored_signal_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGHUP)
        assert not interrupts()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [("SIGINT", "SIGINT", 130), ("SIGTERM", "SIGTERM", 143), ("SIGINT", "SIGHUP", 129)],
)
def test_the_second_signal_ends_the_process_at_once(first, second, status):
    code = f"""
with Interrupts():
    try:
        signal.raise_signal(signal.{first})
        print("still here", flush=True)
        time.sleep(REPEAT_SECONDS + 0.1)
        signal.raise_signal(signal.{second})
        print("never", flush=True)
    finally:
        print("nor this", flush=True)
"""
    assert run_python(code) == (status, "still here\n")


def test_a_signal_that_comes_twice_at_once_was_sent_once():
    code = """
with Interrupts() as interrupts:
    signal.raise_signal(signal.SIGHUP)
    signal.raise_signal(signal.SIGHUP)
    print(interrupts.received)
"""
    assert run_python(code) == (0, "1\n")


def test_after_the_block_a_signal_does_what_it_did_before():
    code = """
with Interrupts():
    pass
signal.raise_signal(signal.SIGTERM)
"""
    assert run_python(code) == (-signal.SIGTERM, "")


def test_without_handlers_a_signal_does_what_it_does_by_default():
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with without_handlers():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
