"""Config dataclasses: each setting with default, unit, range and help."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from charrnn.core.errors import InputError, printable

CELLS = ("lstm", "gru", "rnn", "transformer")

LONGEST_CONTEXT = 1 << 14
"""Characters that a transformer can look back on: its positions repeat after as many."""

DIRECTIONS = ("forward", "backward", "both")
"""Order in which a model reads a text: from its start, from its end, or each half of it its own way.

A model of both directions predicts a character from both sides, so it writes no text."""

MEMORY_ORDER = 7
"""Symbols in the longest context of an n-gram memory by default; fewer for large vocabularies."""

LONGEST_PAST = 1 << 14
"""Most outputs that attention looks back on."""

LARGEST_WEIGHT = 999
"""Most times that a pass reads one text."""

WEIGHTS = r"([1-9]\d{0,2}(,[1-9]\d{0,2})*)?"

MAX_SYMBOLS = 65_535
"""Largest vocabulary: ids are at most 16 bits wide."""


@dataclass(frozen=True, slots=True)
class Check:
    """A condition on a value, and the words after "must be"."""

    test: Callable[[Any], bool]
    wording: str


def at_least(low: float) -> Check:
    """Accept finite numbers from `low` up."""
    return Check(lambda value: math.isfinite(value) and value >= low, f"at least {low:g}")


def positive() -> Check:
    """Accept finite numbers above 0."""
    return Check(lambda value: math.isfinite(value) and value > 0, "greater than 0")


def within(low: float, high: float, *, without: str = "") -> Check:
    """Accept numbers in an interval; `without` names its open ends: "low", "high" or both."""

    def test(value: float) -> bool:
        return (low < value if "low" in without else low <= value) and (
            value < high if "high" in without else value <= high
        )

    left, right = "(["["low" not in without], ")]"["high" not in without]
    return Check(test, f"in {left}{low:g}, {high:g}{right}")


def one_of(*choices: str) -> Check:
    """Accept the strings given."""
    return Check(lambda value: value in choices, "one of " + ", ".join(choices))


def setting(
    default: Any,
    help: str,
    *,
    check: Check | None = None,
    choices: tuple[str, ...] = (),
    group: str = "",
    flags: tuple[str, ...] = (),
    kind: str = "",
    metavar: str = "",
) -> Any:
    """Return a dataclass field with the metadata that its command-line option needs."""
    metadata = {
        "help": help,
        "check": one_of(*choices) if choices else check,
        "choices": choices,
        "group": group,
        "flags": flags,
        "kind": kind,
        "metavar": metavar,
    }
    return field(default=default, metadata=metadata)


def check_fields(config: Any) -> None:
    """Check every value of a config.

    Raises:
        InputError: A value is out of range.
    """
    for each in fields(config):
        value, check = getattr(config, each.name), each.metadata.get("check")
        if check is not None and value is not None and not check.test(value):
            name = each.name.replace("_", "-")
            raise InputError(f"--{name}: must be {check.wording}, got {printable(value)}")


SIZES = ("auto", "tiny", "small", "medium", "large")
TEXT, SIZE, BUDGET, TUNING, MACHINE = "Text", "Size", "Budget", "Fine tuning", "Machine"


BUDGETS = ("epochs", "steps", "max_time")
"""Settings that limit the length of training."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """Settings of a training run. None: chosen by the plan, the text or the machine."""

    bytes: bool = setting(
        False, "Train on bytes instead of characters: works with any file.", group=TEXT
    )
    encoding: str = setting("utf-8", "Encoding of the text files.", group=TEXT, metavar="E")
    errors: str = setting(
        "strict",
        "Bytes that are not in the encoding: refuse the file, put U+FFFD there, or leave them out.",
        choices=("strict", "replace", "skip"), group=TEXT,
    )  # fmt: skip
    newlines: str = setting(
        None, "Line ends: convert those of Windows (CRLF) and old Macs (CR) to LF, or keep them. "
        "[default: lf; bytes are always kept]",
        choices=("keep", "lf"), group=TEXT,
    )  # fmt: skip
    normalize: str = setting(
        "keep", "Accented characters: keep them as they are, or compose letter and accent where "
        "they are apart, as in names of files on a Mac (Unicode NFC).",
        choices=("keep", "nfc"), group=TEXT,
    )  # fmt: skip
    lines: bool = setting(
        False,
        "Each line is a separate text (names, titles, headlines); CRLF and CR become LF.",
        group=TEXT,
    )
    column: str = setting(
        "", "Read one column of a table: CSV or TSV with a header, or JSON lines.",
        group=TEXT, metavar="NAME",
    )  # fmt: skip
    direction: str = setting(
        "forward", "Order in which the model reads and writes: a backward one starts at the end of "
        "the text, so that a prompt is the ending (sample --ends-with); both makes a scorer for "
        "proof, which sees what is before and after a character, and writes no text.",
        choices=DIRECTIONS, group=TEXT,
    )  # fmt: skip
    val_frac: float = setting(
        0.1, "Fraction of the text that is held out for validation: the end of each file, or with "
        "--lines, lines from everywhere.",
        check=within(0, 1, without="high"), group=TEXT,
    )  # fmt: skip
    val_pieces: int = setting(
        1, "Hold out N pieces from all over the text: the end of each of N equal sections, instead "
        "of the end of each file.",
        check=within(1, 1000), group=TEXT,
    )  # fmt: skip
    corpus_rule: int = setting(
        2, "Number of the rule by which --lines chooses the held-out lines; from 2 on, files with "
        "the content of another are left out.",
        check=within(1, 2), group=TEXT, kind="hidden",
    )  # fmt: skip
    weights: str = setting(
        "", "How often a pass reads each text that is named, where not all are read equally often.",
        check=Check(lambda value: bool(re.fullmatch(WEIGHTS, value)), "whole numbers with commas: 3,1"),
        group=TEXT, kind="hidden",
    )  # fmt: skip
    step_rule: int = setting(
        4, "Number of the rule by which a step draws its masks, pads its records, and learns.",
        check=within(1, 4), group=TEXT, kind="hidden",
    )  # fmt: skip
    val_file: Path | None = setting(
        None, "Separate file with the held-out text.", group=TEXT, metavar="FILE"
    )

    size: str = setting(
        "auto", "Preset; auto chooses by text, budget and machine.", choices=SIZES, group=SIZE
    )
    cell: str = setting(
        "lstm", "Recurrent cell, or transformer; on a CPU, LSTM is the fastest.",
        choices=CELLS, group=SIZE,
    )  # fmt: skip
    hidden_size: int = setting(
        512,
        "Width of the recurrent state, or of a transformer.",
        check=within(1, 65_536),
        group=SIZE,
    )
    num_layers: int = setting(
        1, "Number of recurrent layers, or of blocks.", check=within(1, 64), group=SIZE
    )
    attention: int = setting(
        0, "Let the network look back on the last N outputs of its last layer (attention, one "
        "head); 0 for none.",
        check=within(0, LONGEST_PAST), group=SIZE, metavar="N",
    )  # fmt: skip
    embedding_size: int = setting(
        64, "Width of the embedding of a character.", check=within(1, 65_536), group=SIZE
    )
    context: int = setting(
        0, "Characters that a transformer looks back on.",
        check=within(0, LONGEST_CONTEXT), group=SIZE,
    )  # fmt: skip
    num_heads: int = setting(
        0, "Heads of a transformer; they share its width.", check=within(0, 1024),
        group=SIZE,
    )  # fmt: skip

    epochs: float | None = setting(
        None,
        "Passes over the text, in all sessions together. [default: 40, or 10 minutes]",
        check=positive(),
        group=BUDGET,
    )
    steps: int | None = setting(
        None, "Optimiser updates, in all sessions together.", check=at_least(1), group=BUDGET
    )
    max_time: float | None = setting(
        None, "Time for training, validation and saves, in all sessions together: 90s, 5m, 1h30m.",
        check=positive(), group=BUDGET, kind="time",
    )  # fmt: skip
    patience: int | None = setting(
        None, "Stop after N validations without a better model. [default: never]",
        check=at_least(1), group=BUDGET,
    )  # fmt: skip
    eval_every: int | None = setting(
        None, "Steps between validations. [default: about 20 per run]",
        check=at_least(1), group=BUDGET,
    )  # fmt: skip
    save_every: int | None = setting(
        None, "Steps between saves. [default: about one per minute]",
        check=at_least(1), group=BUDGET,
    )  # fmt: skip
    sample_every: int | None = setting(
        None, "Steps between text previews; 0 for none. [default: with each validation]",
        check=at_least(0), group=BUDGET,
    )  # fmt: skip

    memory: int = setting(
        0, "Longest context of the n-gram memory: an n-gram model of the training text, whose "
        "predictions are mixed with those of the network; or off.",
        check=within(0, 63), group=TUNING, kind="order",
    )  # fmt: skip
    memory_words: str = setting(
        "off", "Whether the n-gram memory also counts what comes after the word so far, and after "
        "one and two words before it. A preset turns it on, but not for records as short as names.",
        choices=("on", "off"), group=TUNING,
    )  # fmt: skip
    lr: float = setting(4e-3, "Peak learning rate.", check=positive(), group=TUNING)
    batch_size: int = setting(
        32,
        "Number of text streams, or lines with --lines, read in parallel.",
        check=within(1, 1 << 20),
        group=TUNING,
    )
    seq_len: int = setting(
        64,
        "Characters of each stream per update (BPTT window).",
        check=within(1, 1 << 20),
        group=TUNING,
    )
    dropout: float = setting(
        0.0, "Fraction of the outputs of each layer set to zero; the same ones within a window.",
        check=within(0, 1, without="high"), group=TUNING,
    )  # fmt: skip
    embedding_dropout: float = setting(
        0.0, "Fraction of each embedding set to zero; the same part within a window.",
        check=within(0, 1, without="high"), group=TUNING,
    )  # fmt: skip
    weight_drop: float = setting(
        0.0, "Fraction of the recurrent weights set to zero; new ones in each step.",
        check=within(0, 1, without="high"), group=TUNING,
    )  # fmt: skip
    weight_decay: float = setting(
        0.01, "Decay of the weight matrices (AdamW).", check=at_least(0), group=TUNING
    )
    warmup_steps: int = setting(
        60, "Steps of linear warm-up, at most a tenth of the run.",
        check=at_least(0), group=TUNING,
    )  # fmt: skip
    max_grad_norm: float = setting(
        1.0, "Maximum global norm of the gradients; larger gradients are scaled down to it.",
        check=positive(), group=TUNING,
    )  # fmt: skip
    ema_decay: float = setting(
        0.995, "Decay of the moving average of the weights, which is evaluated and saved.",
        check=within(0, 1, without="high"), group=TUNING,
    )  # fmt: skip
    restart_prob: float = setting(
        0.01, "Probability that a stream starts a window with an empty state.",
        check=within(0, 1), group=TUNING,
    )  # fmt: skip

    device: str = setting(
        "auto", "auto, cpu, cuda, cuda:N or mps (untested).", group=MACHINE, metavar="D"
    )
    precision: str = setting(
        "auto", "Number format of matrix products.",
        choices=("auto", "fp32", "bf16", "fp16"), group=MACHINE,
    )  # fmt: skip
    threads: int | None = setting(
        None,
        "CPU threads of each process. [default: OMP_NUM_THREADS, or the number of available cores, "
        "at most 8; 1 with a GPU; with --max-time alone the fastest number up to that]",
        check=within(1, 1024), group=MACHINE,
    )  # fmt: skip
    deterministic: bool = setting(
        False, "On CUDA, use only kernels that give the same bits each time, as a CPU always does.",
        group=MACHINE,
    )  # fmt: skip
    seed: int = setting(
        0,
        "The same seed gives the same run on the same machine.",
        check=within(0, 2**63 - 1),
        group=MACHINE,
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if self.epochs is not None and self.steps is not None:
            raise InputError(
                "--epochs and --steps: both limit the length of training; give only one"
            )
        if self.val_pieces > 1:
            self._check_pieces()
        self._check_cell()
        if self.direction == "both":
            self._check_both()
        conversions = (
            self.newlines or "keep",
            self.normalize,
            self.encoding,
            self.errors,
            self.column,
        )
        if self.bytes and conversions != ("keep", "keep", "utf-8", "strict", ""):
            raise InputError(
                "--bytes: bytes are never converted; leave out --encoding, --errors, "
                "--newlines, --normalize and --column"
            )
        if not self.newlines:
            object.__setattr__(self, "newlines", "keep" if self.bytes else "lf")

    def _check_cell(self) -> None:
        if self.cell == "transformer" and self.attention:
            raise InputError(
                "--attention and --cell transformer: its blocks look back already, on --context "
                "characters; leave out --attention"
            )
        if self.cell == "transformer" and self.weight_drop:
            raise InputError(
                "--weight-drop and --cell transformer: it drops recurrent weights, and a "
                "transformer has none; leave out one of the two"
            )
        for name in ("context", "num_heads"):
            if self.cell != "transformer" and getattr(self, name):
                option = f"--{name.replace('_', '-')}"
                raise InputError(f"{option}: only --cell transformer has this setting")

    def _check_both(self) -> None:
        if self.sample_every:
            raise InputError(
                "--sample-every and --direction both: a model of both directions writes no text; "
                "leave out --sample-every"
            )
        object.__setattr__(self, "sample_every", 0)

    def _check_pieces(self) -> None:
        wrong = {
            "--lines": self.lines and "lines are held out from everywhere anyway",
            "weights of texts": self.weights and "sections reach across texts",
            "--val-file": self.val_file and "the held-out text is a file of its own",
            "--val-frac 0": self.val_frac == 0 and "nothing is held out",
        }
        for name, why in wrong.items():
            if why:
                raise InputError(f"--val-pieces and {name}: {why}; leave out one of the two")

    def budget(self) -> tuple[float | None, ...]:
        """Return the values of BUDGETS."""
        return tuple(getattr(self, name) for name in BUDGETS)


MAY_CHANGE = frozenset(
    each.name for each in fields(TrainConfig) if each.metadata["group"] in (BUDGET, MACHINE)
) - {"seed"} | {"val_file"}
"""Settings that may change on resume: budget, intervals, machine, the path of --val-file."""


NEUTRAL = {
    "errors": "strict",
    "val_pieces": 1,
    "corpus_rule": 1,
    "weights": "",
    "memory_words": "off",
    "step_rule": 1,
    "normalize": "keep",
    "column": "",
    "direction": "forward",
    "attention": 0,
    "context": 0,
    "num_heads": 0,
}
"""Settings that came after the first format, and what a file that lacks one means by that.

At this value a setting is left out of files and digests, which are then those of earlier versions.
The default of a new run may be another value.
"""

HISTORICAL = NEUTRAL | {"newlines": "keep"}
"""What a file means that lacks a setting: the default of the version that wrote it.

At this value a setting is left out of the state digest.
"""


def without_neutral(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without those at their neutral value."""
    return {n: value for n, value in settings.items() if n not in NEUTRAL or value != NEUTRAL[n]}


def as_settings(config: TrainConfig) -> dict[str, Any]:
    """Return the settings by name, without those at their neutral value."""
    return without_neutral({each.name: getattr(config, each.name) for each in fields(TrainConfig)})


MEMORY_WEIGHT = "Weight of the n-gram memory: 0 is the network alone, 1 the memory alone. [default: the model's]"
"""Help of --memory-weight, an option of several commands."""


STEERING = "Steering"

STEERED = ("ban", "bias", "no_repeat", "match")
"""Settings that steer texts: what may come, and what should."""

MOST_BIAS = 100
"""Largest bias of a character: e^100 beats any probability in float32."""


LONGEST_SPAN = 1000
"""Largest number of characters of --no-repeat."""


def are_biases(pairs: tuple[tuple[str, float], ...]) -> bool:
    """True for pairs of characters and a number in [-MOST_BIAS, MOST_BIAS]."""
    return all(characters and abs(number) <= MOST_BIAS for characters, number in pairs)


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleConfig:
    """Settings of sampling."""

    length: int = setting(
        500, "Number of characters after the prompt.", check=at_least(0), group=TEXT,
        flags=("-l", "--length"),
    )  # fmt: skip
    temperature: float = setting(
        0.8, "Lower is safer, higher is wilder; 0 always takes the most likely character. With "
        "several values (0.5,0.8,1.0), texts of each, side by side on a terminal.",
        check=at_least(0), group=TEXT, flags=("-t", "--temperature"), kind="list",
        metavar="F[,F]...",
    )  # fmt: skip
    top_k: int = setting(
        0, "Draw only from the K most likely characters; 0 for all.", check=at_least(0), group=TEXT
    )
    top_p: float = setting(
        1.0, "Draw only from the most likely characters that together reach this probability.",
        check=within(0, 1, without="low"), group=TEXT,
    )  # fmt: skip
    min_p: float = setting(
        0.0, "Leave out characters less likely than this fraction of the most likely one; 0 for none.",
        check=within(0, 1), group=TEXT,
    )  # fmt: skip
    memory_weight: float | None = setting(None, MEMORY_WEIGHT, check=within(0, 1), group=TEXT)
    ban: str = setting(
        "", "Never write these characters.", group=STEERING, metavar="CHARS",
    )  # fmt: skip
    bias: tuple[tuple[str, float], ...] = setting(
        (), "Write each of these characters more often (F above 0) or less often (below): its odds "
        "are multiplied by e^F, before --temperature. Can be given several times; F adds up.",
        check=Check(are_biases, f"CHARS=F with F in [-{MOST_BIAS}, {MOST_BIAS}]"),
        group=STEERING, kind="bias", metavar="CHARS=F",
    )  # fmt: skip
    no_repeat: int = setting(
        0, "Avoid repeating N or more characters in a row from the last 10,000, prompt included: the "
        "longer the repeated span, the less likely its next character. 0 for off; 12 ends loops.",
        check=Check(lambda value: value == 0 or 2 <= value <= LONGEST_SPAN, f"0, or in [2, {LONGEST_SPAN}]"),
        group=STEERING,
    )  # fmt: skip
    match: str = setting(
        "", "Write texts that match this regular expression as a whole, without their prompt, as "
        "re.fullmatch of Python does; without look-around and back-references. A text ends where "
        "the pattern must end, or where it may end and the model chooses a character that does not "
        "continue it. A text that ends at --length matches too.",
        group=STEERING, metavar="REGEX",
    )  # fmt: skip
    best_of: int = setting(
        1, "Write N texts for each one that is wanted, and keep the likeliest: that with the lowest "
        "loss per character at temperature 1.",
        check=within(1, 1000), group=STEERING,
    )  # fmt: skip

    def __post_init__(self) -> None:
        pairs = self.bias.items() if isinstance(self.bias, Mapping) else self.bias
        object.__setattr__(self, "bias", tuple((each, float(number)) for each, number in pairs))
        check_fields(self)

    def recorded(self) -> dict[str, Any]:
        """Return the settings that are not at their default, as in JSON, but for the temperature.

        The length is shown by the text; only a match depends on it otherwise.
        """
        defaults = {each.name: each.default for each in fields(self)}
        given = {name: getattr(self, name) for name in defaults if name != "temperature"}
        found = {
            n: v for n, v in given.items() if v != defaults[n] and (n != "length" or self.match)
        }
        return found | ({"bias": [list(pair) for pair in self.bias]} if self.bias else {})


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreConfig:
    """Settings of scoring a text."""

    worst: int = setting(
        0, "With a model of lines, also print the N lines with the highest loss per character, "
        "the highest first.",
        check=at_least(0), metavar="N",
    )  # fmt: skip
    memory_weight: float | None = setting(None, MEMORY_WEIGHT, check=within(0, 1))
    unknown: str = setting(
        "error", "What to do with characters that are not in the model's vocabulary.",
        choices=("error", "skip"),
    )  # fmt: skip
    encoding: str | None = setting(
        None, "Encoding of the files. [default: that of the training text]"
    )
    device: str = setting("auto", "auto, cpu, cuda, cuda:N or mps (untested).", metavar="D")

    def __post_init__(self) -> None:
        check_fields(self)
