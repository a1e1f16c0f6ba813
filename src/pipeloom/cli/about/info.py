"""`pipeloom info`: what a report of a mistake needs. Values that may be secret are left out."""

from __future__ import annotations

import locale
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Final

from platformdirs import user_log_path, user_state_path

from pipeloom.cli.about.config import Origin, in_force
from pipeloom.cli.options.shared import Json
from pipeloom.cli.output import output, write, write_json
from pipeloom.cli.shell.variables import OTHERS, PREFIX, variable_of
from pipeloom.cli.spec.json_schema import TEXT, WHOLE, YES_OR_NO, listed, mapped, obj, or_null
from pipeloom.environment.extras import EXTRAS
from pipeloom.errors import UsageError
from pipeloom.settings.file import settings_path
from pipeloom.store.file.layout import sqlite_version
from pipeloom.store.file.layout import version as schema_version
from pipeloom.text import clean
from pipeloom.tui.settings import Settings, read_settings
from pipeloom.user_state import user_folder

_TERMINAL: Final = ("TERM", "COLORTERM", "TERM_PROGRAM", "LANG", "LC_ALL", "NO_COLOR", "FORCE_COLOR", "TEXTUAL_THEME")
"""Variables whose values say how the screen is drawn."""
_AROUND: Final = ("TMUX", "STY", "SSH_CONNECTION", "CI", "WSL_DISTRO_NAME")
"""Variables of which only is told that they are set."""
_HIDDEN: Final = ("filters.", "notify.")
"""Beginnings of the settings of which only is told that they are set."""
_OF_EXTRA: Final = re.compile(rf"extra\s*==\s*['\"]({'|'.join(EXTRAS)})['\"]")

_PATH: Final = obj(path=or_null(TEXT), there=YES_OR_NO)
INFO: Final = obj(
    "info",
    pipeloom=TEXT,
    schema=WHOLE,
    python=TEXT,
    sqlite=TEXT,
    system=TEXT,
    packages=mapped(or_null(TEXT)),
    paths=mapped(_PATH),
    settings=listed(obj(key=TEXT, value={}, origin=TEXT)),
    terminal=mapped(or_null(TEXT)),
    variables=listed(TEXT),
    unknown_variables=listed(TEXT),
    trouble=or_null(TEXT),
)


def info_command(json: Json = False) -> None:
    """Tell versions, paths, changed settings and the terminal, to be pasted into a report of a mistake.

    The home is written as ~, and of variables only the names of pipeloom's own, because values may be secret.

    Exit codes: 0 fine; 4 the output could not be written.
    """
    told = gathered()
    with output():
        if json:
            write_json(told)
        else:
            write(_lines(told))


def gathered() -> dict[str, Any]:
    """Return all that is told."""
    try:
        settings, trouble = read_settings(), None
    except UsageError as error:
        settings, trouble = Settings(), _homeless(str(error))
    own = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in OTHERS)
    known = _variables()
    changed = [one for one in in_force(settings, {}) if one.origin is not Origin.DEFAULT]
    return {
        "pipeloom": version("pipeloom"),
        "schema": schema_version(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite_version(),
        "system": platform.platform(),
        "packages": _packages(),
        "paths": _paths(),
        "settings": [
            # A filter may name customers, a command may hold a token.
            {"key": one.key, "value": "…" if one.key.startswith(_HIDDEN) else one.value, "origin": one.origin}
            for one in changed
        ],
        "terminal": _terminal(),
        "variables": [name for name in own if name in known],
        "unknown_variables": [name for name in own if name not in known],
        "trouble": trouble,
    }


def _packages() -> dict[str, str | None]:
    """Return the versions of what pipeloom needs, and of its extras where they are there."""
    named: dict[str, str | None] = {}
    for line in requires("pipeloom") or ():
        requirement, _, condition = line.partition(";")
        found = re.match(r"[\w.-]+", requirement)
        if found is None or ("extra" in condition and _OF_EXTRA.search(condition) is None):
            continue
        try:
            named[found[0]] = version(found[0])
        except PackageNotFoundError:
            named[found[0]] = None
    return named


def _paths() -> dict[str, dict[str, Any]]:
    def entry(path: Path | None) -> dict[str, Any]:
        return {"path": None if path is None else _homeless(str(path)), "there": path is not None and path.exists()}

    def in_folder(find: Callable[[str], Path], name: str = "") -> Path | None:
        folder = user_folder(find)
        return folder and folder / name

    return {
        "program": entry(Path(sys.argv[0]).absolute()),
        "python": entry(Path(sys.executable)),
        "settings": entry(settings_path()),
        "state": entry(in_folder(user_state_path)),
        "log": entry(in_folder(user_log_path, "tui.log")),
    }


def _homeless(text: str) -> str:
    """Return a text with the home as ~: a report need not have the user's name."""
    try:
        home = str(Path.home())
    except RuntimeError:
        return text
    return text if home == "/" else re.sub(rf"{re.escape(home)}(?=/|$)", "~", text)


def _terminal() -> dict[str, str | None]:
    try:
        size = os.get_terminal_size(sys.__stderr__.fileno() if sys.__stderr__ else 2)
        dimensions: str | None = f"{size.columns} x {size.lines}"
    except OSError:
        dimensions = None
    attached = [
        name for name in ("stdin", "stdout", "stderr") if (stream := getattr(sys, name)) is not None and stream.isatty()
    ]
    told: dict[str, str | None] = {"attached": ", ".join(attached) or None, "size": dimensions}
    told["encoding"] = locale.getpreferredencoding(False)  # noqa: FBT003 - it takes no keywords
    told |= {name: os.environ[name] for name in _TERMINAL if name in os.environ}
    return told | {name: "set" for name in _AROUND if os.environ.get(name)}


def _variables() -> set[str | None]:
    import typer

    from pipeloom.cli.cockpit import program as cockpit
    from pipeloom.cli.main import COMMANDS, command_named

    commands = [*map(command_named, COMMANDS), typer.main.get_command(cockpit)]
    return {variable_of(param) for command in commands for param in command.params}


def _lines(told: dict[str, Any]) -> Iterator[str]:
    for name in ("pipeloom", "schema", "python", "sqlite", "system"):
        yield f"{name:<10} {clean(told[name])}\n"
    yield _listing("packages", (f"{name} {number or '-'}" for name, number in told["packages"].items()))
    yield "paths\n"
    for name, entry in told["paths"].items():
        yield f"  {name:<8} {clean(entry['path'] or 'none')}{'' if entry['there'] else ' (not there)'}\n"
    yield _listing("settings", (f"{one['key']}={one['value']}" for one in told["settings"]))
    yield _listing("terminal", (f"{name}={value}" for name, value in told["terminal"].items()))
    yield _listing("variables", told["variables"])
    if told["unknown_variables"]:
        yield _listing("unknown", (f"{name}: no option has this variable" for name in told["unknown_variables"]))
    if told["trouble"]:
        yield f"trouble    {clean(told['trouble'], 500)}\n"


def _listing(title: str, items: Any) -> str:
    return f"{title:<10} {', '.join(clean(item, 200) for item in items) or '-'}\n"
