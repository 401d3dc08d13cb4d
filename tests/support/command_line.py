"""Command lines of charrnn in tests: options of a quick run, and a process of its own."""

import subprocess
import sys

QUICK = ["--steps", "20", "--hidden-size", "16", "--num-layers", "1", "--device", "cpu"]


def process(*arguments, interpreter=(sys.executable,), **options):
    """Start a command line as a process of its own."""
    command = [*interpreter, "-m", "charrnn", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
