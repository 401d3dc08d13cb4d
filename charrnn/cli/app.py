"""The group of all commands."""

import click

from charrnn import __version__
from charrnn.cli.completion import completion
from charrnn.cli.info import info
from charrnn.cli.runs import runs
from charrnn.cli.sample import sample
from charrnn.cli.score import score
from charrnn.cli.train import train
from charrnn.cli.viz import viz

EXAMPLE = """Train a small recurrent network on any text, and write more like it.

\b
charrnn train shakespeare.txt
charrnn sample --temperature 0.8
"""

EXIT_CODES = """\b
Exit codes:
  0    success, also after a time budget ended or the reader closed the pipe
  1    failure at run time: disk, memory, or a bug
  2    usage error, or input that cannot be used
  3    training diverged
  4    checkpoint that is damaged, not of charrnn, or of a newer version
  75   try again later: another process trains the run, or SIGUSR1 stopped and saved it
  129, 130, 143   stopped by a signal; the run was saved if it had begun
"""

CONTEXT = {"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "CHARRNN"}


@click.group(context_settings=CONTEXT, help=EXAMPLE, epilog=EXIT_CODES)
@click.version_option(__version__, message="charrnn %(version)s")
def cli() -> None:
    """Group the commands; its help is EXAMPLE."""


for command in (train, sample, score, info, runs, viz, completion):
    cli.add_command(command)
