"""Draw docs/session.svg: a real terminal session, training for three minutes and sampling.

    python docs/terminal_session.py data/shakespeare.txt

The commands run in a temporary folder on a pseudo-terminal. Of a progress bar, its last state stays.
"""

import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import termios
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

COMMANDS = (
    "charrnn train shakespeare.txt --max-time 3m --sample-every 4000",
    'charrnn sample -p "HAMLET." -t 0.7 -l 300 --seed 1',
)
WIDTH = 96
"""Columns of the terminal."""

BAR = re.compile(r" *\d+%\|")
"""The beginning of a progress bar."""

FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<title>A terminal session: charrnn trains on a text, then writes</title>
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""rich's picture of a terminal without its web font: a page about a tool that needs no network."""


def main() -> int:
    """Run the commands on the text that is named; write the picture."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(sys.argv[1], folder / "shakespeare.txt")
        lines = [line for command in COMMANDS for line in session(command, folder)]
    picture = Path(__file__).parent / "session.svg"
    picture.write_text(svg(lines), encoding="utf-8")
    return 0


def session(command: str, folder: Path) -> list[str]:
    """Return prompt, command and what the terminal shows, as lines with colour codes."""
    return [
        f"\x1b[1;32m$\x1b[0m \x1b[1m{command}\x1b[0m",
        *screen(on_terminal(command, folder)),
        "",
    ]


def on_terminal(command: str, folder: Path) -> str:
    """Run a command on a pseudo-terminal; return its output."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (50, WIDTH))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    user = {"TERM": "xterm-256color", "PATH": path}
    process = subprocess.Popen(
        ["sh", "-c", command], cwd=folder, env=os.environ | user, stdin=theirs, stdout=theirs,
        stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    parts = []
    try:
        while part := os.read(ours, 65536):
            parts.append(part)
    except OSError:  # Linux reports the end of a terminal as an error
        pass
    os.close(ours)
    if process.wait():
        raise SystemExit(b"".join(parts).decode("utf-8", "replace"))
    return b"".join(parts).decode("utf-8")


def screen(output: str) -> list[str]:
    """Return the lines of an output; of a line written over, the last state, and the last bar."""
    lines: list[str] = []
    bars: dict[int, str] = {}
    for line in output.rstrip().split("\n"):
        states = [state.rstrip() for state in line.split("\r") if plain(state).strip()]
        shown = [state for state in states if not BAR.match(plain(state))]
        if len(shown) < len(states):
            bars = {len(lines): [state for state in states if state not in shown][-1]}
        lines.append(shown[-1] if shown else "")
    for index, bar in bars.items():
        lines.insert(index, bar)
    return lines


def plain(text: str) -> str:
    """Return a text without its colour codes."""
    return re.sub(r"\x1b\[[0-9;?]*\w", "", text)


def svg(lines: list[str]) -> str:
    """Return a picture of lines with colour codes."""
    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True)
    for line in lines:
        console.print(Text.from_ansi(line), soft_wrap=False)
    picture = console.export_svg(title="charrnn", code_format=FORMAT, unique_id="session")
    return re.sub(r"[ \t]+$", "", picture, flags=re.MULTILINE)


if __name__ == "__main__":
    sys.exit(main())
