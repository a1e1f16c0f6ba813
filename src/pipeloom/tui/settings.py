"""The user's settings, in a TOML file. A mistake in it becomes a warning with its line; the rest holds."""

from __future__ import annotations

import errno
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pipeloom.engine.options import MAX_WORKERS
from pipeloom.filters import FilterError, parse
from pipeloom.settings.file import parsed_settings, settings_path
from pipeloom.settings.notify import Command, notify_command
from pipeloom.tui.attempts.columns import COLUMN_IDS
from pipeloom.user_state import read_small, write_private

_DEEP: Final = 20


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
    on_failure: Command | None = None
    """What is run when a run has failed."""
    warnings: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)
    """File and line of each setting, by its path, as `keys.app.quit`."""

    def said(self, path: str, what: str) -> str:
        """Return a sentence about the setting of this path, with its place."""
        return f"{self.places.get(path, 'settings')}: {what}"


def read_settings(path: Path | None = None) -> Settings:
    """Read the file; one that is missing is empty. Raises `UsageError` when it cannot be read, or is no TOML."""
    path = path or settings_path()
    if path is None:
        return Settings()
    text, given = parsed_settings(path)
    reading = _Reading(path, text)
    places = {".".join(names): reading.place(*names) for names in reading.lines}
    return Settings(
        theme=reading.taken(given, "theme", str),
        workers=reading.number_of(given, "workers"),
        columns=dict(reading.columns(given)),
        keys=dict(reading.keys(given)),
        filters=dict(reading.filters(given)),
        on_failure=reading.on_failure(given),
        warnings=tuple(reading.rest(given)),
        places=places,
    )


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
    if filters is None:
        return True
    lines = text.splitlines()
    return "[filters]" in map(str.strip, lines) and (
        name not in filters or any(line.partition("=")[0].strip(" \t\"'") == name for line in lines)
    )


class _Reading:
    """Takes the known settings out of the parsed file, and notes mistakes with their lines."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self.lines = _lines_of(text)
        self._warnings: list[str] = []

    def taken(self, table: dict[str, Any], name: str, kind: type, *above: str) -> Any:
        """Take the value of `name` if it is a `kind`; `above` are the names of the tables that it is in."""
        value = table.pop(name, None)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            self.warn(f"{name} must be a {_NAMES[kind]}", *above, name)
            return None
        return value

    def number_of(self, table: dict[str, Any], name: str) -> int | None:
        """Take a number of workers."""
        value: int | None = self.taken(table, name, int)
        if value is not None and value < 1:
            self.warn(f"{name} must be at least 1", name)
            return None
        if value is not None and value > MAX_WORKERS:
            self.warn(f"{name} must be at most {MAX_WORKERS:,}", name)
            return None
        return value

    def columns(self, given: dict[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Take the columns of each screen."""
        table: dict[str, Any] = self.taken(given, "columns", dict) or {}
        for screen, known in COLUMN_IDS.items():
            listed: list[Any] = self.taken(table, screen, list, "columns") or []
            if not all(isinstance(name, str) for name in listed):
                self.warn(f"the columns of {screen} must be texts", "columns", screen)
                listed = [name for name in listed if isinstance(name, str)]
            unknown = [name for name in listed if name not in known]
            if unknown:
                said = f"{screen} has no column {unknown[0]!r}; there are {', '.join(known)}"
                self.warn(said, "columns", screen)
            if chosen := tuple(name for name in dict.fromkeys(listed) if name in known):
                yield screen, chosen
        for name in table:
            self.warn(f"unknown screen {name!r} in [columns]", "columns", name)

    def keys(self, given: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Take the keys."""
        table: dict[str, Any] = self.taken(given, "keys", dict) or {}
        for name, value in table.items():
            if isinstance(value, str) and value.strip():
                yield name, value
            else:
                self.warn(f'the keys of {name} must be a text such as "c" or "c,ctrl+k"', "keys", name)

    def filters(self, given: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Take the saved filters."""
        table: dict[str, Any] = self.taken(given, "filters", dict) or {}
        for name, value in table.items():
            try:
                parse(value if isinstance(value, str) else "status:")
            except FilterError as error:
                self.warn(f"the filter {name!r} is wrong: {error}", "filters", name)
            else:
                yield name, value

    def on_failure(self, given: dict[str, Any]) -> Command | None:
        """Take the command of `[notify]`."""
        table: dict[str, Any] = self.taken(given, "notify", dict) or {}
        command, wrong = notify_command(table)
        for name, what in wrong:
            self.warn(what, "notify", name)
        return command

    def rest(self, given: dict[str, Any]) -> Iterator[str]:
        """Yield every warning; settings that were not taken are unknown."""
        for name in given:
            self.warn(f"unknown setting {name!r}", name)
        yield from self._warnings

    def warn(self, what: str, *names: str) -> None:
        """Note a mistake in the setting of this path."""
        self._warnings.append(f"{self.place(*names)}: {what}")

    def place(self, *names: str) -> str:
        """Return the file, and the line of the setting of this path, or of the table that it is in."""
        above = (self.lines.get(names[:depth]) for depth in range(len(names), 0, -1))
        number = next(filter(None, above), None)
        return f"{self._path}, line {number}" if number is not None else str(self._path)


def _lines_of(text: str) -> dict[tuple[str, ...], int]:
    """Return the line of each setting, by its path: the names of the tables that it is in, and its own."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        is_table = line.lstrip().startswith("[")
        names = _names_in(line)
        if is_table:
            table = names or table
        elif names:
            names = (*table, *names)
        for depth in range(1, min(len(names), _DEEP) + 1):
            found.setdefault(names[:depth], number)
    return found


def _names_in(line: str) -> tuple[str, ...]:
    """Return the dotted name that a line gives a value, or opens a table of; empty for any other line."""
    equals = [place for place, char in enumerate(line) if char == "="][:_DEEP]
    for start in [line] if line.lstrip().startswith("[") else [f"{line[:place]}= 0" for place in equals]:
        try:
            inner: Any = tomllib.loads(start)
        except (ValueError, RecursionError):
            continue
        names = []
        while isinstance(inner, dict) and inner:
            ((name, inner),) = inner.items()
            names.append(name)
        return tuple(names)
    return ()


_NAMES: Final = {str: "text", int: "whole number", dict: "table", list: "list"}
