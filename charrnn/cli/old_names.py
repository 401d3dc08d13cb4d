"""Options of char-rnn, torch-rnn and textgenrnn, and what has the same purpose here."""

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
    "train-frac": "--val-frac",
    "grad-clip": "--max-grad-norm",
    "eval-val-every": "--eval-every",
    "savefile": "--run",
    "rnn-layers": "--num-layers",
    "dim-embeddings": "--embedding-size",
    "max-length": "--seq-len",
    "line-delimited": "--lines",
    "is-csv": "--column",
    "prefix": "--prompt",
    "max-gen-length": "--length",
    "gen-epochs": "--sample-every",
    "print-every": "--verbose",
    "dest-path": "--output",
}
"""By the old name, without hyphens before it and with hyphens inside it."""


RATE = "the learning rate falls by itself"
NORMAL = "the layers need no batch normalisation"

NOT_NEEDED = {
    "learning-rate-decay": RATE,
    "learning-rate-decay-after": RATE,
    "decay-rate": RATE,
    "lr-decay-every": RATE,
    "lr-decay-factor": RATE,
    "batchnorm": NORMAL,
    "opencl": "there is CPU, CUDA and mps (--device)",
    "sample": "a character is always drawn; --temperature 0 takes the most likely one",
    "speed-benchmark": "speed and memory are always shown",
    "memory-benchmark": "speed and memory are always shown",
    "accurate-gpu-timing": "speed is always measured so",
    "return-as-list": "--json gives each text as an object",
    "reset-iterations": "--init-from begins a new run",
    "rnn-bidirectional": "the network reads from left to right only",
    "word-level": "the network reads characters only",
}
"""Why an old option has no counterpart."""

SHORTEST = 4
"""Letters of a name after one hyphen; a shorter one may be a short option with its value."""


def check_old_names(words: Sequence[str], params: Collection[click.Parameter]) -> None:
    """Refuse long options after one hyphen, as in char-rnn: -primetext would be -p rimetext.

    Raises:
        NoSuchOption: A word is such an option; the error names the one that is meant.
    """
    flags = {flag for each in params if getattr(each, "is_flag", False) for flag in each.opts}
    for before, word in zip(["", *words], words, strict=False):
        name = word.split("=")[0][1:].replace("_", "-")
        is_value = before.startswith("-") and before not in flags
        if word.startswith("-") and len(name) >= SHORTEST and not is_value:
            own = {flag for param in params for flag in param.opts}
            if f"--{name}" in own or name in OLD_NAMES or name in NOT_NEEDED:
                error = click.NoSuchOption(word.split("=")[0])
                raise with_new_name(error, [word], params)


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
        if reason := NOT_NEEDED.get(name):
            message = f"No such option {flag!r}; leave it out: {reason}"
            return click.NoSuchOption(flag, message, ctx=error.ctx)
    return error
