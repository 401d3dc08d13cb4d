"""All commands: help, errors, and the reference page."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from charrnn.core.config import SampleConfig, TrainConfig


def test_every_config_field_is_an_option_with_help(call):
    for command, config in (("train", TrainConfig), ("sample", SampleConfig)):
        text = call(command, "--help")[1]
        for each in fields(config):
            is_shown = each.metadata["kind"] != "hidden"
            assert (f"--{each.name.replace('_', '-')}" in text) == is_shown, each.name
            assert each.metadata["help"]


def test_version_and_help_do_not_import_torch():
    for option in ("--help", "--version"):
        code = (
            "import sys; from charrnn.__main__ import run_cli; "
            f"run_cli([{option!r}]); sys.exit('torch' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        assert done.returncode == 0


def test_a_missing_choice_is_one_plain_line(call):
    code, _, err = call("completion")
    assert (code, err.count("\n"), "\\" in err) == (2, 1, False)
    assert "Choose from: bash, zsh, fish;" in err


def test_stdout_that_is_closed_is_an_error(trained):
    command = f"{sys.executable} -m charrnn sample --checkpoints {trained} -q >&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1


def test_a_bug_is_one_line_and_a_traceback_only_with_debug(call, trained, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("boom")

    # No other module binds this function: one that is imported now would keep a patched name.
    monkeypatch.setattr("charrnn.sampling.generate.generate", fail)
    code, _, err = call("sample", "text", "--checkpoints", trained)
    assert code == 1
    assert err == (
        "charrnn: error: RuntimeError: boom; this is a bug, --debug shows where (exit code 1)\n"
    )
    with pytest.raises(RuntimeError):
        call("sample", "text", "--checkpoints", trained, "--debug")


def test_the_reference_of_all_options_is_up_to_date(call):
    """`make docs` writes it anew."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(root / "docs" / "cli_reference.py"), "--print"],
        capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout.decode() == (root / "docs" / "cli.md").read_text("utf-8")
