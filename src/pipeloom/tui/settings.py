"""The user's settings, in a TOML file. A mistake in it becomes a warning with its line; the rest holds."""

from __future__ import annotations

import errno
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from platformdirs import user_config_path

from pipeloom.engine.options import MAX_WORKERS
from pipeloom.errors import UsageError
from pipeloom.filters import FilterError, parse
from pipeloom.text import first_line
from pipeloom.tui.attempts.columns import COLUMN_IDS
from pipeloom.user_state import read_small, user_folder, write_private

_LONG_NUMBER: Final = re.compile(r"[\d_]{4300}")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings, and the mistakes in their file."""

    theme: str | None = None
    workers: int | None = None
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Column ids by screen."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Keys, separated by commas, by binding id."""
    filters: Mapping[str, str] = field(default_factory=dict)
    """Texts of filters by name."""
    warnings: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)
    """File and line of the theme and of each key, by name."""

    def said(self, name: str, what: str) -> str:
        """Return a sentence about the setting `name`, with its place."""
        return f"{self.places.get(name, 'settings')}: {what}"


def settings_path() -> Path | None:
    """Return the path of the file; None where the user has no home."""
    folder = user_folder(user_config_path)
    return folder and folder / "settings.toml"


def read_settings(path: Path | None = None) -> Settings:
    """Read the file; one that is missing is empty. Raises `UsageError` when it cannot be read, or is no TOML."""
    path = path or settings_path()
    if path is None:
        return Settings()
    try:
        text, given = _parsed(path)
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        if not os.access(path.parent, os.X_OK) or not os.path.lexists(path):  # nor is it in another user's folder
            return Settings()
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise UsageError(first_line(error)) from error
    reading = _Reading(path, text)
    places = {name: reading.place(name) for name in ("theme", *_keys_of(given))}
    return Settings(
        theme=reading.taken(given, "theme", str),
        workers=reading.number_of(given, "workers"),
        columns=dict(reading.columns(given)),
        keys=dict(reading.keys(given)),
        filters=dict(reading.filters(given)),
        warnings=tuple(reading.rest(given)),
        places=places,
    )


def _keys_of(given: dict[str, Any]) -> list[str]:
    keys = given.get("keys")
    return [*keys] if isinstance(keys, dict) else []


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


def save_filter(name: str, text: str, path: Path | None = None) -> None:
    """Add a filter to the settings file, or replace the one of that name; all else in the file stays as it is.

    Raises `OSError` when the file cannot be written, and `ValueError` when it is no TOML, or when its filters are not
    written line by line below `[filters]`.
    """
    import tomlkit

    path = path or settings_path()
    if path is None:
        raise FileNotFoundError(errno.ENOENT, "this user has no home")
    before = read_small(path).decode() if path.exists() else ""
    try:
        document = tomlkit.parse(before)
        if not _is_plain(before, document.get("filters"), name):
            raise ValueError(f"the filter {name!r} would be lost")
        document.setdefault("filters", tomlkit.table())[name] = text
    except (tomlkit.exceptions.TOMLKitError, TypeError, RecursionError) as error:
        raise ValueError(f"the file cannot be added to: {error}") from error
    after = tomlkit.dumps(document)
    if tomllib.loads(after).get("filters", {}).get(name) != text:
        raise ValueError(f"the filter {name!r} would be lost")
    write_private(path, after)  # the file may be a link into a collection of such files


def _is_plain(text: str, filters: Mapping[str, Any] | None, name: str) -> bool:
    """Tell whether the file has no filters, or has them line by line, with `name` spelled as it is."""
    lines = text.splitlines()
    if filters is None:
        return True
    return any(line.strip() == "[filters]" for line in lines) and (
        name not in filters or any(_names(line, name) for line in lines)
    )


class _Reading:
    """Takes the known settings out of the parsed file, and notes mistakes with their lines."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._lines = text.splitlines()
        self._warnings: list[str] = []

    def taken(self, table: dict[str, Any], name: str, kind: type) -> Any:
        """Take the value of `name` if it is a `kind`."""
        value = table.pop(name, None)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            self.warn(name, f"{name} must be a {_NAMES[kind]}")
            return None
        return value

    def number_of(self, table: dict[str, Any], name: str) -> int | None:
        """Take a number of workers."""
        value: int | None = self.taken(table, name, int)
        if value is not None and value < 1:
            self.warn(name, f"{name} must be at least 1")
            return None
        if value is not None and value > MAX_WORKERS:
            self.warn(name, f"{name} must be at most {MAX_WORKERS:,}")
            return None
        return value

    def columns(self, given: dict[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Take the columns of each screen."""
        table: dict[str, Any] = self.taken(given, "columns", dict) or {}
        for screen, known in COLUMN_IDS.items():
            listed: list[Any] = self.taken(table, screen, list) or []
            if not all(isinstance(name, str) for name in listed):
                self.warn(screen, f"the columns of {screen} must be texts")
                listed = [name for name in listed if isinstance(name, str)]
            unknown = [name for name in listed if name not in known]
            if unknown:
                self.warn(screen, f"{screen} has no column {unknown[0]!r}; there are {', '.join(known)}")
            if chosen := tuple(name for name in dict.fromkeys(listed) if name in known):
                yield screen, chosen
        for name in table:
            self.warn(name, f"unknown screen {name!r} in [columns]")

    def keys(self, given: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Take the keys."""
        table: dict[str, Any] = self.taken(given, "keys", dict) or {}
        for name, value in table.items():
            if isinstance(value, str) and value.strip():
                yield name, value
            else:
                self.warn(name, f'the keys of {name} must be a text such as "c" or "c,ctrl+k"')

    def filters(self, given: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Take the saved filters."""
        table: dict[str, Any] = self.taken(given, "filters", dict) or {}
        for name, value in table.items():
            try:
                parse(value if isinstance(value, str) else "status:")
            except FilterError as error:
                self.warn(name, f"the filter {name!r} is wrong: {error}")
            else:
                yield name, value

    def rest(self, given: dict[str, Any]) -> Iterator[str]:
        """Yield every warning; settings that were not taken are unknown."""
        for name in given:
            self.warn(name, f"unknown setting {name!r}")
        yield from self._warnings

    def warn(self, name: str, what: str) -> None:
        """Note a mistake."""
        self._warnings.append(f"{self.place(name)}: {what}")

    def place(self, name: str) -> str:
        """Return the file, and the line that begins with the name, quoted or not."""
        number = next((number for number, line in enumerate(self._lines, 1) if _names(line, name)), None)
        return f"{self._path}, line {number}" if number is not None else str(self._path)


def _names(line: str, name: str) -> bool:
    """Tell whether a line of the file gives `name` a value, or opens the table of that name."""
    word, _, rest = line.partition("=")
    return word.strip(" \t[]\"'") == name and (bool(rest) or line.lstrip().startswith("["))


_NAMES: Final = {str: "text", int: "whole number", dict: "table", list: "list"}
