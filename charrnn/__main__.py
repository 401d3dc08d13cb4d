"""Entry point of `charrnn` and `python -m charrnn`: every error is one line and an exit code."""

import os
import signal
import sys
import time
from contextlib import suppress
from types import FrameType

# Small matrix products are faster on one BLAS thread, and a text must not depend on their number.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Waiting OpenMP threads spin briefly, then sleep. With the default of 300,000 spins, another
# process on one of the cores made an update 20 times slower; on idle cores nothing is gained.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from charrnn.core.errors import CharRNNError, ClosedPipeError
from charrnn.core.rank import rank_from_env

HEAD_START = 1.0
"""Seconds that other ranks wait after an error, so that rank 0 can print the reason."""


def main() -> None:
    """Run the command line, and exit with its code."""
    from charrnn.core.signals import NAMES

    for name in NAMES:  # so that `finally` blocks run
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, leave)
    code = run_cli(sys.argv[1:])
    if code and rank_from_env().rank:
        time.sleep(HEAD_START)  # torchrun kills all ranks as soon as one exits
    if rank_from_env().size > 1:
        leave_at_once(code)
    sys.exit(code)


def leave_at_once(code: int) -> None:
    """End the process without the interpreter's clean-up.

    A thread of gloo that still runs would abort the process there (SIGABRT), after a finished run.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # it is closed, or None
            stream.flush()
    os._exit(code)


def leave(number: int, frame: FrameType | None) -> None:
    """End the process after a signal, through all `finally` blocks."""
    from charrnn.core.signals import exit_code_of

    code = exit_code_of(number)
    text = f"charrnn: stopped by {signal.Signals(number).name} (exit code {code})\n"
    with suppress(OSError):
        os.write(2, b"" if rank_from_env().rank else text.encode())
    sys.exit(code)


def run_cli(arguments: list[str]) -> int:
    """Run a command line; return its exit code. Every error is one line on stderr."""
    import click

    from charrnn.cli.app import cli

    try:
        result = cli.main(arguments, prog_name="charrnn", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except (KeyboardInterrupt, click.exceptions.Abort):
        return 130
    except Exception as error:
        if "--debug" in arguments:
            raise
        return report(error)


def report(error: Exception) -> int:
    """Print an error as one line and return its exit code."""
    import click

    from charrnn.core.console import Console

    if rank_from_env().rank and isinstance(error, click.ClickException | CharRNNError):
        return error.exit_code  # rank 0 prints the same error
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return 2
    if isinstance(error, click.ClickException):
        command = (
            error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
        )
        hint = f"; see {command} --help" if command else ""
        Console().error(error.format_message().rstrip(".").replace("\n\t", " ") + hint, 2)
        return 2
    if isinstance(error, ClosedPipeError):
        return error.exit_code
    if isinstance(error, CharRNNError):
        Console().error(str(error), error.exit_code)
        return error.exit_code
    Console().error(describe_failure(error), 1)
    return 1


def describe_failure(error: Exception) -> str:
    """Return the message of an unexpected error."""
    first_line = (str(error) or type(error).__name__).splitlines()[0]
    if isinstance(error, MemoryError) or "out of memory" in first_line or "alloc" in first_line:
        return f"out of memory: {first_line}; use a smaller --batch-size or --hidden-size"
    if isinstance(error, OSError):
        return f"{error.filename or 'system'}: {error.strerror or first_line}"
    return f"{type(error).__name__}: {first_line}; this is a bug, --debug shows where"


if __name__ == "__main__":
    main()
