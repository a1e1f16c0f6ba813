"""The parameters that a function declares by its annotations, and the values that are given for them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_type_hints

from pipeloom.errors import UsageError
from pipeloom.parameters.texts import Text, Texts, items
from pipeloom.parameters.types import NAMES, ParameterType, or_none, type_of
from pipeloom.text import clean
from pipeloom.users_code import called_function, users_error

_NOTHING: Final = inspect.Parameter.empty


class MissingParameterError(UsageError):
    """Parameters without a default were not given."""

    def __init__(self, whose: str, missing: Sequence[str], there: str) -> None:
        self._needs = f"{clean(whose, 60)} needs {' and '.join(missing)}"
        self._typed = " ".join(f"-p {name}=…" for name in missing)
        super().__init__(f"{self._needs}, as -p {missing[0]}=…: {there}.")

    def told_with(self, command: str) -> str:
        """Return the sentence for a place where nothing can be typed after -p, with a command that takes it."""
        return f"{self._needs}. From a shell: {command} {self._typed}"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the function that lists the tasks."""

    name: str
    type: ParameterType
    default: Any = _NOTHING

    @property
    def is_required(self) -> bool:
        """Whether it has no default."""
        return self.default is _NOTHING

    @property
    def told(self) -> str:
        """Its type, and its default if it has one."""
        return self.type.label if self.is_required else f"{self.type.label}; {_told(self.type.write(self.default))}"

    def value(self, given: object) -> Any:
        """Return the value that `given` stands for: a value of the type, or its text; raises `UsageError`."""
        try:
            return self.type.read(given)
        except (ValueError, OverflowError):
            raise UsageError(f"{clean(repr(given), 80)} is not what {self.name} takes: {self.type.label}.") from None


def parameters_of(function: Callable[..., object]) -> dict[str, Parameter]:
    """Return the parameters of a function by name; raises `UsageError` for one that no text could be given for."""
    name = getattr(function, "__name__", type(function).__name__)
    try:
        signature, hints = inspect.signature(function), get_type_hints(called_function(function))
    except Exception as error:
        raise UsageError(f"The parameters of {name} cannot be read: {users_error(error)}.") from error
    return {key: _parameter(name, parameter, hints.get(key)) for key, parameter in signature.parameters.items()}


def _parameter(function: str, parameter: inspect.Parameter, hint: Any) -> Parameter:
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        shown = parameter.replace(annotation=_NOTHING)
        raise UsageError(f"{function} takes {shown}: the parameters of a run are given by name.")
    made = None if hint is None else type_of(hint)
    if made is None:
        wrong = "has no type" if hint is None else f"has the type {clean(inspect.formatannotation(hint), 60)}"
        raise UsageError(f"The parameter {parameter.name} of {function} {wrong}: annotate it with {NAMES}.")
    if parameter.default is None and not made.is_optional:
        made = or_none(made)
    found = Parameter(parameter.name, made)
    if parameter.default is _NOTHING:
        return found
    try:
        return Parameter(parameter.name, made, found.value(parameter.default))
    except UsageError as error:
        raise UsageError(f"The default of {function} is of another type: {error}") from None


def bound(whose: str, parameters: Mapping[str, Parameter], given: Mapping[str, object]) -> dict[str, Any]:
    """Return the value of each parameter; raises `UsageError`, which says what there is, for what does not fit.

    `whose` is the pipeline's name.
    """
    there = ", ".join(f"{name} ({parameter.told})" for name, parameter in parameters.items())
    there = f"it has {there}" if there else "it has none"
    if unknown := [name for name in given if name not in parameters]:
        raise UsageError(f"{clean(whose, 60)} has no parameter {clean(unknown[0], 60)!r}: {there}.")
    missing = [name for name, parameter in parameters.items() if parameter.is_required and name not in given]
    if missing:
        raise MissingParameterError(whose, missing, there)
    return {
        name: parameter.value(given[name]) if name in given else parameter.default
        for name, parameter in parameters.items()
    }


def texts_of(parameters: Mapping[str, Parameter], values: Mapping[str, Any]) -> Texts:
    """Return values as texts."""
    return {name: parameter.type.write(values[name]) for name, parameter in parameters.items()}


def _told(default: Text) -> str:
    shown = ", ".join(items(default))
    return f"{clean(shown, 80)} unless given" if shown else "may be left out"
