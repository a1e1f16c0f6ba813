"""Options from variables of the environment: `--no-wal` is `PIPELOOM_NO_WAL=1`. What is typed comes first."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pipeloom.errors import UsageError
from pipeloom.text import clean, is_on

PREFIX: Final = "PIPELOOM_"
OTHERS: Final = frozenset({"PIPELOOM_MODEL_EXAMPLES"})
"""Variables that are no options: of the tests."""


def variable_of(option: Any) -> str | None:
    """Return the variable of an option; None for one that only tells something and leaves, as `--version` does."""
    if option.param_type_name == "argument" or option.is_eager:
        return None
    longest = max(option.opts, key=len)
    return PREFIX + str(longest).lstrip("-").replace("-", "_").upper()


def given_by(environ: Mapping[str, str], options: Iterable[Any]) -> dict[str, Any]:
    """Return the values of the options that variables give, by the names of the options; empty variables give none.

    Raises `UsageError`, which names the variable, for what is neither yes nor no, or has an open quotation mark.
    """
    given: dict[str, Any] = {}
    for option in options:
        variable = variable_of(option)
        text = "" if variable is None else environ.get(variable, "")
        if not text:
            continue
        if option.is_flag:
            if (on := is_on(text)) is None:
                raise UsageError(f"{variable} needs 1 or 0, and not {clean(text, 60)!r}.")
            given[option.name] = on
        elif option.multiple:
            try:
                given[option.name] = shlex.split(text)
            except ValueError:
                raise UsageError(f"{variable} has a quotation mark that is not closed.") from None
        else:
            given[option.name] = text
    return given
