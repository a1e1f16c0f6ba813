"""The commands as typer makes them, with two things said plainly: what is wrong with a command line, and the help."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import typer
from typer.core import TyperCommand, TyperGroup

from pipeloom.cli.options.shared import with_common_options
from pipeloom.cli.shell.variables import given_by, variable_of
from pipeloom.errors import UsageError
from pipeloom.home.known import note_opened
from pipeloom.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

_WRONG: Final = cast("type[typer.BadParameter]", typer.BadParameter.__base__)
"""What every mistake in a command line is raised as: click's own class, or that of the copy that typer brings."""
_REWORDED: Final = (
    (r"(?:Input should be|.* is not) a valid int(?:eger)?\b.*", "needs a whole number"),
    (r"(?:Input should be|.* is not) a valid (?:number|float).*", "needs a number"),
    (r"Input should be greater than or equal to (\S+?)\.?", r"must be \1 or more"),
    (r".* is not in the range x>=(\S+?)\.?", r"must be \1 or more"),
    (r"(?:Value error, )?(.* is not one of .*?)\.?", r"has a wrong value: \1"),
    (r"Option '(\S+)' requires an argument\.?", r"\1 needs a value"),
    (r"Option '(\S+)' does not take a value\.?", r"\1 takes no value"),
    (r"(?:Path|File|Directory) (.*) is not readable\.?", r"\1 may not be read by this user"),
    (r"No such option: (\S+)", r"There is no option \1"),
    (r"No such command (.*?)\. Did you mean (.*)\?", r"There is no command \1; there is \2"),
    (r"No such command (.*)\.", r"There is no command \1"),
    (r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", r"There are more arguments than it takes: \1"),
)
"""A message of typer's, and our words for it."""
_RANGE: Final = re.compile(r"; x>=\d+(?=\])|  \[x>=\d+\]")
_NO_ANGLES: Final = str.maketrans("", "", "<>")
_LIMIT: Final = 300
_GIVEN: Final = "pipeloom.given"
"""Key of the arguments as they were typed, when help is asked for."""


class Plain(TyperCommand):
    """A command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments; raises our `UsageError` when they are wrong."""
        with _plain_mistakes(ctx):
            ctx.default_map = given_by(os.environ, self.get_params(ctx))
            if any(option in args for option in ctx.help_option_names):
                ctx.meta[_GIVEN] = self.make_parser(ctx).parse_args(list(args))[0]
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Call the function, and note the file that it has read as one of the user's.

        A `UsageError` also names the variables that have given options.
        """
        try:
            answer = super().invoke(ctx)
        except typer.Exit:
            _note_file(ctx)
            raise
        except UsageError as error:
            set_by = [param for param in self.get_params(ctx) if _is_of_variable(param, ctx)]
            if told := [str(variable_of(param)) for param in set_by if _is_about(str(error), param)]:
                error.args = (f"{error} ({', '.join(told)} {'is' if len(told) == 1 else 'are'} set.)",)
            raise
        _note_file(ctx)
        return answer

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words of the usage line after the name."""
        return _usage(self.get_params(ctx))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and options of the help, and the parameters of a pipeline that is named beside it."""
        _write_parameters(self.get_params(ctx), ctx, formatter)
        named = ctx.meta.get(_GIVEN, {}).get("pipeline")
        if named and any(param.name == "params" for param in self.get_params(ctx)):
            from pipeloom.cli.run import write_parameters

            for spec in [named] if isinstance(named, str) else named:
                write_parameters(spec, formatter)


class PlainGroup(TyperGroup):
    """A program that has commands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments; raises our `UsageError` when they are wrong."""
        with _plain_mistakes(ctx):
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is meant; raises our `UsageError` when there is none."""
        with _plain_mistakes(ctx):
            return super().resolve_command(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words of the usage line after the name."""
        return [*_usage(self.get_params(ctx)), self.subcommand_metavar]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options and the commands of the help."""
        _write_parameters(self.get_params(ctx), ctx, formatter)
        self.format_commands(ctx, formatter)


def new_program(name: str, cls: type[PlainGroup] = PlainGroup, **more: Any) -> typer.Typer:
    """Return a program without commands of its own yet."""
    return typer.Typer(
        name=name,
        cls=cls,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
        **more,
    )


def as_command(name: str, function: Callable[..., None]) -> Plain:
    """Return the command that calls a function."""
    program = new_program(name)
    program.command(name, cls=Plain)(with_common_options(function))
    return cast("Plain", typer.main.get_command(program))


def _note_file(ctx: Any) -> None:
    db = ctx.params.get("db")
    if db is not None and Path(db).is_file():
        note_opened(Path(db), again=False)


@contextmanager
def _plain_mistakes(ctx: Any) -> Iterator[None]:
    try:
        yield
    except _WRONG as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            raise
        raise UsageError(f"{clean(_mistake(error, ctx), _LIMIT)}: see {ctx.command_path} --help") from None


def _mistake(error: Any, ctx: Any) -> str:
    """Return what is wrong, without a full stop."""
    param = getattr(error, "param", None)
    if type(error).__name__ == "MissingParameter" and param is not None:
        return f"{_name(param)} is missing: type {ctx.command_path} {' '.join(_usage(ctx.command.get_params(ctx)))}"
    message = _reworded(" ".join(error.message.split()))
    if param is not None:
        return f"{variable_of(param) if _is_of_variable(param, ctx) else _name(param)} {message}"
    similar = ", ".join(sorted(getattr(error, "possibilities", None) or ()))
    return f"{message}; there is {similar}" if similar else message


def _reworded(message: str) -> str:
    for pattern, words in _REWORDED:
        if found := re.fullmatch(pattern, message):
            return found.expand(words)
    return message.rstrip(".")


def _name(param: Any) -> str:
    return str(param.metavar or param.name.upper()) if is_argument(param) else max(param.opts, key=len)


def _is_of_variable(param: Any, ctx: Any) -> bool:
    """Tell whether a variable of the environment has given the value of an option."""
    source = ctx.get_parameter_source(param.name)
    return source is not None and source.name == "DEFAULT_MAP"


def _is_about(sentence: str, option: Any) -> bool:
    """Tell whether a sentence seems to be about an option: it has its name, its value, or the word for that."""
    words = (max(option.opts, key=len).lstrip("-"), option.metavar or "", os.environ.get(variable_of(option) or "", ""))
    return any(len(word) > 1 and re.search(rf"(?<!\w){re.escape(word)}", sentence, re.IGNORECASE) for word in words)


def is_argument(param: Any) -> bool:
    """Tell whether a parameter of a command is an argument, not an option."""
    return bool(param.param_type_name == "argument")


def _usage(params: list[Any]) -> list[str]:
    arguments = [_name(param) if param.required else f"[{_name(param)}]" for param in params if is_argument(param)]
    return [*arguments, "[OPTIONS]"]


def _write_parameters(params: list[Any], ctx: Any, formatter: Any) -> None:
    """Write what there is to type, without the names of types and ranges."""
    arguments = [(_name(param), param.help or "") for param in params if is_argument(param)]
    records = (param.get_help_record(ctx) for param in params if not is_argument(param))
    options = [(names.translate(_NO_ANGLES), _RANGE.sub("", told)) for names, told in filter(None, records)]
    for title, rows in (("Arguments", arguments), ("Options", options)):
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)
    if any(variable_of(param) for param in params):
        formatter.write("\n  Options are variables of the environment, too: --no-wal is PIPELOOM_NO_WAL=1.\n")
