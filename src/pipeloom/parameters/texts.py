"""Parameters as texts: what is typed after `-p name=`, what the file keeps, and what is shown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final, TypeGuard

from pipeloom.errors import UsageError
from pipeloom.secrets import masked_json
from pipeloom.text import as_typed, clean

Text = str | list[str] | None
"""A value as text: one, one for each item of a list, or None."""
Texts = dict[str, Text]
"""Name to text."""

ONLY: Final = "--only"
FIRST: Final = "--first"
"""The options that try a few tasks: kept beside the parameters, with a name that no parameter can have."""


def typed(words: Iterable[str]) -> dict[str, str | list[str]]:
    """Return the values of `name=value` words, as a command line gives them; a list where a name comes again."""
    found: dict[str, list[str]] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise UsageError(f"-p takes NAME=VALUE, not {clean(word, 80)!r}.")
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def kept(texts: Texts) -> str | None:
    """Return texts as the JSON of `pipeline_runs.params`; None for none."""
    return masked_json(json.dumps(texts)) if texts else None


def read_back(params: str | None) -> Texts:
    """Return what `kept` was given; nothing for what another program has written."""
    try:
        found = json.loads(params or "{}")
    except (ValueError, RecursionError):
        return {}
    return {name: text for name, text in found.items() if _is_text(text)} if isinstance(found, dict) else {}


def _is_text(value: object) -> TypeGuard[Text]:
    return (
        value is None or isinstance(value, str) or (isinstance(value, list) and all(isinstance(x, str) for x in value))
    )


def words_of(texts: Texts) -> str:
    """Return texts as they are typed, without the `-p`: `start=2026-11-01 region=eu region=us --first 3`."""
    return " ".join(
        f"{name} {one}" if name.startswith("--") else f"{name}={one}"
        for name, text in texts.items()
        for one in items(text)
    )


def options_of(texts: Mapping[str, object]) -> list[str]:
    """Return the options that give texts on a command line, in quotes where a shell needs them: `-p region=eu`."""
    return [f"-p {as_typed(f'{name}={one}')}" for name, text in texts.items() if _is_text(text) for one in items(text)]


def without_few(texts: Texts) -> Texts:
    """Return the parameters alone."""
    return {name: text for name, text in texts.items() if name not in (ONLY, FIRST)}


def few_of(texts: Texts) -> Texts:
    """Return the options that tried a few tasks; none where the run was for all of them."""
    return {name: text for name, text in texts.items() if name in (ONLY, FIRST)}


def items(text: Text) -> list[str]:
    """Return what is typed for a value: a text for each item of a list, "" for None and for an empty list."""
    return (text or [""]) if isinstance(text, list) else [text or ""]
