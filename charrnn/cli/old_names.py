"""Options of char-rnn and torch-rnn, and what has the same purpose here."""

from collections.abc import Collection, Sequence

import click

OLD_NAMES = {
    "gpu": "--device",
    "gpuid": "--device",
    "cuda": "--device",
    "learning-rate": "--lr",
    "gpu-backend": "--device",
    "wordvec-size": "--embedding-size",
    "checkpoint-every": "--save-every",
    "checkpoint-name": "--run",
    "input-h5": "FILE",
    "input-json": "FILE",
    "rnn-size": "--hidden-size",
    "n-layers": "--num-layers",
    "model": "--cell",
    "max-epochs": "--epochs",
    "num-epochs": "--epochs",
    "seq-length": "--seq-len",
    "input-txt": "FILE",
    "input-file": "FILE",
    "data-dir": "FILE",
    "checkpoint": "MODEL",
    "init-dir": "MODEL",
    "save-dir": "--checkpoints",
    "start-text": "--prompt",
    "primetext": "--prompt",
    "prime": "--prompt",
    "num": "-n",
    "n-samples": "-n",
    "n": "--length",
}
"""By the old name, without hyphens before it and with hyphens inside it."""


def with_new_name(
    error: click.NoSuchOption, words: Sequence[str], params: Collection[click.Parameter]
) -> click.NoSuchOption:
    """Return an error with the option that is meant, if that is known.

    Args:
        error: The error about an option; of -num_layers it has only -n.
        words: The command line.
        params: Parameters of the command.
    """
    own = {flag for param in params for flag in param.opts}
    own |= {str(each.metavar or each.name).split(".")[0].upper() for each in params}
    for word in words:
        flag = word.split("=")[0]
        name = flag.lstrip("-").replace("_", "-")
        if not flag.startswith("-") or not flag.startswith(error.option_name):
            continue
        for new in (f"--{name}", OLD_NAMES.get(name)):
            if new in own and new != flag:
                message = f"No such option {flag!r}; use {new}"
                return click.NoSuchOption(flag, message, ctx=error.ctx)
    return error
