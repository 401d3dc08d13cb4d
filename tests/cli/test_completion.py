"""What a shell offers for a word that was begun."""

import os
import shutil
import subprocess
import sys

import pytest


@pytest.fixture
def offered(checkpoints):
    """Return what is offered for the last word of a line, by the program that bash asks."""
    for name, file in (("shakespeare", "best.safetensors"), ("shorts", ".lock")):
        (checkpoints / name).mkdir(parents=True)
        (checkpoints / name / file).touch()
    (checkpoints / "shadows").mkdir()  # no run

    def ask(line, **environment):
        words = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        done = subprocess.run(
            [sys.executable, "-c", "from charrnn.__main__ import main; main()"],
            env=os.environ | words | {"_CHARRNN_COMPLETE": "bash_complete"} | environment,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stderr == ""
        return done.stdout.split()

    return ask


@pytest.mark.parametrize(
    "line",
    ["charrnn sample sh", "charrnn score a.txt -m sh", "charrnn info sh",
     "charrnn train a.txt --init-from sh"],
)  # fmt: skip
def test_a_model_is_a_run_or_a_file(offered, line):
    assert offered(line) == ["file,sh", "plain,shakespeare", "plain,shorts"]


@pytest.mark.parametrize(
    "line",
    ["charrnn runs diff sh", "charrnn runs diff shorts sh"],
)
def test_what_is_compared_is_a_run_or_a_file(offered, line):
    assert offered(line) == ["file,sh", "plain,shakespeare", "plain,shorts"]


def test_a_run_is_a_run(offered):
    assert offered("charrnn train --run sh") == ["plain,shakespeare", "plain,shorts"]


def test_only_runs_that_begin_alike_are_offered(offered):
    assert offered("charrnn train --run sho") == ["plain,shorts"]
    assert offered("charrnn train --run x") == []


@pytest.mark.skipif(os.name == "nt", reason="no such names")
def test_a_run_whose_name_would_be_two_lines_is_not_offered(offered, checkpoints):
    (checkpoints / "sho\nplain,evil").mkdir()
    (checkpoints / "sho\nplain,evil" / ".lock").touch()
    assert offered("charrnn train --run sho") == ["plain,shorts"]


@pytest.mark.parametrize("line", ["charrnn train sh", "charrnn score a.txt sh"])
def test_a_text_is_a_file_or_folder(offered, line):
    assert offered(line) == ["file,sh"]


def test_runs_come_from_the_checkpoints_folder_that_was_typed(offered, tmp_path):
    (tmp_path / "other" / "sonnets").mkdir(parents=True)
    (tmp_path / "other" / "sonnets" / "metrics.jsonl").touch()
    sonnets = ["plain,sonnets"]
    assert offered("charrnn train --checkpoints other --run ") == sonnets
    assert offered("charrnn train --run ", CHARRNN_TRAIN_CHECKPOINTS="other") == sonnets
    assert offered("charrnn runs --checkpoints other diff ") == ["file,", *sonnets]
    assert offered("charrnn runs diff --checkpoints other ") == ["file,", *sonnets]
    assert offered("charrnn train --checkpoints ~/other --run ", HOME=str(tmp_path)) == sonnets


def test_a_folder_that_cannot_be_read_offers_nothing(offered):
    assert offered("charrnn train --checkpoints nowhere --run ") == []
    assert offered("charrnn train --checkpoints ~nobody-of-this-name --run ") == []


def test_commands_options_and_choices_are_offered(offered):
    assert offered("charrnn runs b") == ["plain,best"]
    assert offered("charrnn sample --temp") == ["plain,--temperature"]
    assert offered("charrnn train --cell g") == ["plain,gru"]
    assert offered("charrnn completion f") == ["plain,fish"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script_that_asks_the_program(charrnn, shell):
    result = charrnn("completion", shell)
    assert f"_CHARRNN_COMPLETE={shell}_complete" in result.stdout
    assert result.stderr == ""


def test_bash_takes_its_script_and_completes_by_it(offered, charrnn, tmp_path):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    script = charrnn("completion", "bash").stdout
    subprocess.run([bash, "-n"], input=script, text=True, check=True)
    program = tmp_path / "charrnn"
    program.write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "from charrnn.__main__ import main; main()"\n',
        "utf-8",
    )
    program.chmod(0o755)
    press_tab = (
        f"PATH={tmp_path}:$PATH; complete() {{ :; }}; compopt() {{ :; }}\n{script}\n"
        "COMP_WORDS=(charrnn sample sh); COMP_CWORD=2\n"
        '_charrnn_completion charrnn\necho "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run([bash], input=press_tab, capture_output=True, text=True, check=True)
    assert done.stdout == "shakespeare shorts\n"


def test_an_unknown_shell_is_refused_with_those_that_are_known(charrnn):
    result = charrnn("completion", "tcsh", check=False)
    assert result.exit_code == 2
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in result.stderr


def test_completing_never_imports_torch():
    code = (
        "import os, sys; os.environ |= {'_CHARRNN_COMPLETE': 'bash_complete', "
        "'COMP_WORDS': 'charrnn sample x', 'COMP_CWORD': '2'}\n"
        "from charrnn.__main__ import run_cli\n"
        "try:\n    run_cli([])\nexcept SystemExit:\n    sys.exit('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "file,x\n")
