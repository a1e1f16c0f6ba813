"""The packages of the extra `schedule`, which are imported when a schedule needs them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pipeloom.environment.extras import how_to_get
from pipeloom.errors import UsageError


def needed(module: str, option: str) -> Any:
    """Return a module of the extra; raises `UsageError` with what to install when it is missing."""
    try:
        return import_module(module)
    except ImportError as error:
        raise UsageError(f"{option} needs {module}: {how_to_get('schedule')}") from error
