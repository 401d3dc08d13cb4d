"""Commands of the documentation, run as they stand: blocks of shell, a folder, an environment.

Networks are made small by the environment, which flags beat.
"""

import os
import re
import subprocess
from pathlib import Path

from forks import script

ROOT = Path(__file__).parents[2]
SMALL = {
    "STEPS": "20", "HIDDEN_SIZE": "8", "NUM_LAYERS": "1", "BATCH_SIZE": "4", "SEQ_LEN": "16",
    "EVAL_EVERY": "10", "SAVE_EVERY": "10",
}  # fmt: skip


def page(name: str) -> str:
    """Return the text of a page; its name is a path in the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str, kind: str = "sh", mark: str = "") -> list[str]:
    """Return the code blocks of a language, with a word behind it or without one."""
    found = re.findall(r"^```(\w+)( [a-z]+)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [code for each, name, code in found if (each, name.strip()) == (kind, mark)]


def write_commands(folder: Path) -> None:
    """Write the commands that the pages call into a folder."""
    folder.mkdir()
    script(folder / "charrnn", "-m", "charrnn")
    script(folder / "torchrun", "-m", "torch.distributed.run")
    script(folder / "python")


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a user whose commands are in `home/bin`."""
    small = {f"CHARRNN_TRAIN_{name}": value for name, value in SMALL.items()}
    path = f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"
    ours = {"CHARRNN_CACHE": str(home / "cache"), "PATH": path}
    return {**os.environ, **small, **ours, "PYTHON_EXEC": str(home / "bin" / "python"), **more}


def bash(home: Path, text: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a block in a shell that stops at the first command that fails."""
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", text], cwd=home, env=environment(home, **more),
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def write_texts(folder: Path) -> None:
    """Write the texts that the pages name: prose, letters and a list of names."""
    prose = "HAMLET.\nBut soft, what light is there?\n\nKING:\nSee to it, and QUEEN too.\n\n"
    (folder / "shakespeare.txt").write_text(prose * 60, encoding="utf-8")
    (folder / "letters.txt").write_text("I see what light is there.\n" * 60, encoding="utf-8")
    names = "".join(f"{a}n{b}\n" for a in "ABCDEFG" for b in "aeiou")
    (folder / "names.txt").write_text(names, encoding="utf-8")
