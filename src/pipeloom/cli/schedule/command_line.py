"""The command line that runs a pipeline as another one, with absolute paths."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any, get_type_hints

from pipeloom.cli.options.run import RunOptions


def own_program() -> list[str]:
    """Return the words that start `pipeloom` in this interpreter's environment."""
    program = Path(sys.executable).parent / "pipeloom"
    return [str(program)] if program.is_file() else [sys.executable, "-m", "pipeloom"]


def words_of(options: RunOptions) -> Iterator[str]:
    """Yield what is typed for options that are not as they are without a word."""
    hints = get_type_hints(RunOptions, include_extras=True)
    for field in fields(RunOptions):
        value = getattr(options, field.name)
        if value != field.default:
            yield from _words(_option(hints[field.name].__metadata__[0], field.name), value)


def _option(declared: Any, name: str) -> str:
    """Return an option as it is declared: typer takes the first of its spellings for a default, at first."""
    spelled = (declared.default, *(declared.param_decls or ()))
    return next(
        (one for one in spelled if isinstance(one, str) and one.startswith("--")), f"--{name.replace('_', '-')}"
    )


def _words(option: str, value: Any) -> Iterator[str]:
    positive, _, negative = option.partition("/")
    if isinstance(value, bool):
        yield positive if value else negative
        return
    for one in value if isinstance(value, list) else [value]:
        yield from (positive, str(one.value if isinstance(one, Enum) else one))
