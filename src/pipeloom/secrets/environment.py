"""The secrets that a pipeline takes from environment variables."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Final

from pipeloom.errors import UsageError
from pipeloom.secrets.masks import SHORTEST
from pipeloom.secrets.secret import Secret

_NAME: Final = re.compile("[A-Z_][A-Z0-9_]*")
"""A name that may be told: what was given in its place by mistake may be the value."""


def from_environment(names: Sequence[str]) -> tuple[Secret, ...]:
    """Return the values of environment variables; raises `UsageError` for one that is not set, or too short."""
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise UsageError('secrets must be a list of names of environment variables, such as ["API_TOKEN"].')
    return tuple(_secret(place, name) for place, name in enumerate(names, 1))


def _secret(place: int, name: str) -> Secret:
    told = name if _NAME.fullmatch(name) else f"that secrets names in place {place}"
    value = os.environ.get(name, "") if name and "=" not in name and "\0" not in name else ""
    if not value.strip():
        raise UsageError(
            f"The environment variable {told} is not set, and the pipeline names it among its secrets: set it, or take "
            "it out of Pipeline(secrets=…)."
        )
    if len(value.strip()) < SHORTEST:
        raise UsageError(
            f"The environment variable {told} is one of the pipeline's secrets, and has fewer than {SHORTEST} "
            "characters: every text that holds them would be masked."
        )
    return Secret(value)
