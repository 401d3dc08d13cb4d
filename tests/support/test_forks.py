"""A forked process behaves for its caller like a process of the interpreter."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forks import python, script

pytestmark = pytest.mark.skipif(len(python()) == 1, reason="the true interpreter is used")

ENDLESS = [
    "train", "-", "--steps", "1000000", "--hidden-size", "8", "--save-every", "5", "--threads", "1",
    "--run", "endless", "-q",
]  # fmt: skip


def outcome(interpreter, *arguments, **options):
    """Return exit code, stdout and stderr of a command line."""
    command = [*interpreter, "-m", "charrnn", *arguments]
    done = subprocess.run(command, capture_output=True, check=False, **options)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "arguments", [["info", "absent"], ["runs", "best"], ["--version"], ["nothing"]]
)
def test_code_and_streams_are_the_interpreters(arguments):
    Path("folder").mkdir()
    more = {
        "cwd": "folder", "input": b"A king.\n" * 9,
        "env": {**os.environ, "CHARRNN_CHECKPOINTS": "mine", "COLUMNS": "60"},
    }  # fmt: skip
    assert outcome(python(), *arguments, **more) == outcome([sys.executable], *arguments, **more)


def test_a_command_is_found_by_a_shell():
    script(Path("charrnn"), "-m", "charrnn")
    line = ["sh", "-c", "./charrnn runs 'a b'; echo $?"]
    found = subprocess.run(line, capture_output=True, check=False)
    assert found.stdout == b"2\n"
    assert b"No such command 'a b'" in found.stderr


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGUSR1, 75), (signal.SIGKILL, -9)]
)
def test_a_signal_ends_both_processes(text_file, number, code):
    with text_file.open("rb") as text:
        child = subprocess.Popen([*python(), "-m", "charrnn", *ENDLESS], stdin=text,
                                 stdout=subprocess.PIPE)  # fmt: skip
    while not list(Path("checkpoints").glob("endless/*.safetensors")):
        time.sleep(0.01)
        assert child.poll() is None
    child.send_signal(number)
    child.communicate(timeout=60)  # until both have closed stdout
    assert child.returncode == code
