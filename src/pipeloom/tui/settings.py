"""What the user has settled for good, in a TOML file; a mistake in it is told with its line, and stops nobody."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from platformdirs import user_config_path

from pipeloom.text import first_line
from pipeloom.tui.task_columns import COLUMN_IDS


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings, and what was wrong with them."""

    theme: str | None = None
    workers: int | None = None
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Screen name to column ids."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Binding id to keys, parted by commas."""
    warnings: tuple[str, ...] = ()


def settings_path() -> Path:
    """Return where the file is looked for."""
    return user_config_path("pipeloom") / "settings.toml"


def read_settings(path: Path | None = None) -> Settings:
    """Read the file; one that is missing is an empty one, of one that cannot be read only the reason is known."""
    path = path or settings_path()
    try:
        text = path.read_text(encoding="utf-8")
        given = tomllib.loads(text)
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return Settings(warnings=(f"{path} is not used: {first_line(error)}",))
    reading = _Reading(path, text)
    return Settings(
        theme=reading.taken(given, "theme", str),
        workers=reading.positive(given, "workers"),
        columns=dict(reading.columns(given)),
        keys=dict(reading.keys(given)),
        warnings=tuple(reading.rest(given)),
    )


class _Reading:
    """Takes what is known out of the parsed file, and notes what is wrong with its line."""

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

    def positive(self, table: dict[str, Any], name: str) -> int | None:
        """Take a number of at least 1."""
        value: int | None = self.taken(table, name, int)
        if value is not None and value < 1:
            self.warn(name, f"{name} must be at least 1")
            return None
        return value

    def columns(self, given: dict[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Take the columns of each screen."""
        table: dict[str, Any] = self.taken(given, "columns", dict) or {}
        for screen, known in COLUMN_IDS.items():
            listed: list[Any] = self.taken(table, screen, list) or []
            unknown = [name for name in listed if name not in known]
            if unknown:
                self.warn(screen, f"{screen} has no column {unknown[0]!r}; there are {', '.join(known)}")
            if chosen := tuple(name for name in dict.fromkeys(map(str, listed)) if name in known):
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

    def rest(self, given: dict[str, Any]) -> Iterator[str]:
        """Yield every warning; what nobody has taken is unknown."""
        for name in given:
            self.warn(name, f"unknown setting {name!r}")
        yield from self._warnings

    def warn(self, name: str, what: str) -> None:
        """Note what is wrong, and where: at the line that begins with the name, quoted or not."""
        number = next((number for number, line in enumerate(self._lines, 1) if _names(line, name)), None)
        place = f"{self._path}, line {number}" if number is not None else str(self._path)
        self._warnings.append(f"{place}: {what}")


def _names(line: str, name: str) -> bool:
    """Tell whether a line of the file gives `name` a value, or opens the table of that name."""
    word, _, rest = line.partition("=")
    return word.strip(" \t[]\"'") == name and (bool(rest) or line.lstrip().startswith("["))


_NAMES: Final = {str: "text", int: "whole number", dict: "table", list: "list"}
