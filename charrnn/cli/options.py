"""Click options made from config fields; help text in groups."""

from collections.abc import Callable, Collection
from dataclasses import Field, dataclass, fields
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any, get_args, get_type_hints

import click
from click.core import ParameterSource

from charrnn.cli.old_names import check_old_names, with_new_name
from charrnn.cli.option_types import KINDS, FilePath, Integer, Number
from charrnn.core.config import TrainConfig
from charrnn.core.console import Console
from charrnn.core.errors import InputError, printable
from charrnn.launch.size_presets import PRESET_FIELDS

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


SEVERAL = {
    "bias": {
        "multiple": True, "allow_from_autoenv": False,
        "callback": lambda ctx, param, value: value or None,
    },
}  # fmt: skip
"""Attributes, by kind, of options that can be given several times; they have no variable."""


class GroupedCommand(click.Command):
    """A command whose --help shows its options under headings."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line; for an option of char-rnn, the error names the one here."""
        words = list(args)
        try:
            check_old_names(words, self.params)
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            error.ctx = ctx
            raise with_new_name(error, words, self.params) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, group by group."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record and isinstance(param, click.Option):
                groups.setdefault(getattr(param, "group", "Output"), []).append(record)
        for name, records in groups.items():
            with formatter.section(name):
                formatter.write_dl(records)


class GroupedGroup(GroupedCommand, click.Group):
    """A command with subcommands, whose --help shows its options under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, group by group, then the subcommands."""
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


class GroupedOption(click.Option):
    """An option with the heading that --help shows it under."""

    def __init__(self, *args: Any, group: str = "Other", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.group = group


def option(*flags: str, group: str = "Other", **attributes: Any) -> Decorator:
    """Return a decorator that adds an option under a heading."""
    return click.option(*flags, cls=GroupedOption, group=group, **attributes)


def config_options(config: type, group: str = "", only: Collection[str] | None = None) -> Decorator:
    """Return a decorator that adds an option for each field of a config class but the hidden ones.

    Args:
        config: A dataclass whose fields are made with `setting()`.
        group: Heading of all options; without it each field names its own.
        only: Names of the fields to add; all without it.
    """
    hints = get_type_hints(config)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for each in reversed(fields(config)):
            is_hidden = each.metadata["kind"] == "hidden"
            if is_hidden or (only is not None and each.name not in only):
                continue
            kind = type_of(each, hints[each.name])
            flags = each.metadata["flags"] or (f"--{each.name.replace('_', '-')}",)
            attributes: dict[str, Any] = {"is_flag": True} if kind is bool else {"type": kind}
            attributes |= SEVERAL.get(each.metadata["kind"], {})
            if each.metadata["metavar"]:
                attributes["metavar"] = each.metadata["metavar"]
            function = option(
                *flags,
                each.name,
                group=group or each.metadata["group"],
                default=None,
                help=help_of(each),
                **attributes,
            )(function)
        return function

    return decorate


def type_of(each: Field[Any], hint: Any) -> Any:
    """Return the click type of a field, or bool for a flag."""
    base = next((t for t in get_args(hint) if t is not type(None)), hint)
    if each.metadata["choices"]:
        return click.Choice(each.metadata["choices"])
    if each.metadata["kind"] in KINDS:
        return KINDS[each.metadata["kind"]]
    return {int: Integer(), float: Number(), Path: FilePath()}.get(base, base)


def help_of(each: Field[Any]) -> str:
    """Return the help text of a field, with its default."""
    text: str = each.metadata["help"]
    if each.name in PRESET_FIELDS:
        return f"{text} [default: from --size]"
    if each.default in (None, "", ()) or isinstance(each.default, bool) or "[default" in text:
        return text
    return f"{text} [default: {each.default}]"


def convert_settings(settings: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the values of a settings file, converted as the command line converts its options.

    Raises:
        InputError: A value has the wrong type.
    """
    hints, result = get_type_hints(TrainConfig), dict(settings)
    for each in fields(TrainConfig):
        if each.name not in settings:
            continue
        value, kind = settings[each.name], type_of(each, hints[each.name])
        if kind is bool or kind is str:
            if type(value) is not kind:
                expected = "true or false" if kind is bool else "a string"
                raise InputError(f"{where}: {each.name}: {printable(value)!r} is not {expected}")
            continue
        try:
            result[each.name] = kind.convert(value, None, None)
        except click.BadParameter as error:
            raise InputError(f"{where}: {each.name}: {error.message}") from None
        except (TypeError, ValueError) as error:  # TOML can hold a list, or a NUL
            raise InputError(f"{where}: {each.name}: {printable(value)!r}: {error}") from None
    return result


def as_one(name: str, make: Callable[..., Any], *params: Decorator) -> Decorator:
    """Return a decorator that adds parameters and passes them as one object.

    Args:
        name: Name of the argument that receives the object.
        make: Returns the object; its parameters have the names of the click parameters.
        params: Decorators that add the click parameters, in the order of the help.
    """
    taken = tuple(signature(make).parameters)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **values: Any) -> Any:
            made = make(**{each: values.pop(each) for each in taken})
            return function(*args, **{name: made}, **values)

        decorated: Callable[..., Any] = call
        for param in reversed(params):
            decorated = param(decorated)
        return decorated

    return decorate


@dataclass(frozen=True, slots=True)
class Common:
    """Options of every command."""

    checkpoints: Path
    """Folder of all runs."""
    as_json: bool
    console: Console


def make_common(checkpoints: Path, as_json: bool, quiet: bool, verbose: bool) -> Common:
    """Return the options of every command; -q and -v set the verbosity of the console."""
    if quiet and verbose:
        raise InputError("-q and -v: they exclude each other; give one of them")
    return Common(checkpoints, as_json, Console(-1 if quiet else int(verbose)))


force_option = option(
    "--force", is_flag=True, group="Output", allow_from_autoenv=False,
    help="Let -o overwrite a model, or a file that charrnn did not write.",
)  # fmt: skip

common = as_one(
    "common", make_common,
    option(
        "--checkpoints", type=FilePath(), default=Path("checkpoints"),
        metavar="DIR", group="Output", help="Folder of all runs. [default: checkpoints]",
    ),
    option("--json", "as_json", is_flag=True, group="Output", help="Print JSON on stdout."),
    option("-q", "--quiet", is_flag=True, group="Output", help="Print only errors on stderr."),
    option("-v", "--verbose", is_flag=True, group="Output", help="Print more messages on stderr."),
    option("--debug", is_flag=True, group="Output", help="Show the traceback of an error.", expose_value=False),
)  # fmt: skip


def by_source(
    ctx: click.Context, settings: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings from flags, and the settings from the environment."""
    source_of = ctx.get_parameter_source
    flags = {n: v for n, v in settings.items() if source_of(n) is ParameterSource.COMMANDLINE}
    return flags, {n: v for n, v in settings.items() if source_of(n) is ParameterSource.ENVIRONMENT}
