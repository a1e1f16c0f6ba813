"""Where the user's settings are, and what the file says: TOML."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from platformdirs import user_config_path

from pipeloom.errors import UsageError
from pipeloom.text import first_line
from pipeloom.user_state import read_small, user_folder

_LONG_NUMBER: Final = re.compile(r"[\d_]{4300}")


def settings_path() -> Path | None:
    """Return the path of the file; None where the user has no home."""
    folder = user_folder(user_config_path)
    return folder and folder / "settings.toml"


def parsed_settings(path: Path) -> tuple[str, dict[str, Any]]:
    """Return the text of the file and what it says; a file that is missing says nothing.

    Raises `UsageError` when it cannot be read, or is no TOML.
    """
    try:
        return _parsed(path)
    except FileNotFoundError:
        return "", {}
    except OSError as error:
        if not os.access(path.parent, os.X_OK) or not os.path.lexists(path):  # nor is it in another user's folder
            return "", {}
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise UsageError(first_line(error)) from error


def _parsed(path: Path) -> tuple[str, dict[str, Any]]:
    """Return the text of the file and what it says; raises `ValueError` with a sentence when it is no TOML."""
    raw = read_small(path)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {line}: this is no UTF-8.") from error
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is no TOML: {first_line(error)}") from error
    except RecursionError as error:
        raise ValueError(f"{path}, line {_deepest(text)}: this is nested too deep.") from error
    except ValueError as error:  # of Python's own limit
        line = next((n for n, line in enumerate(text.splitlines(), 1) if _LONG_NUMBER.search(line)), 1)
        raise ValueError(f"{path}, line {line}: a number has too many digits.") from error


def _deepest(text: str) -> int:
    """Return the line with the most brackets and dots, by which TOML is nested."""
    counts = [sum(map(line.count, "[{.")) for line in text.splitlines()]
    return counts.index(max(counts, default=0)) + 1 if counts else 1
