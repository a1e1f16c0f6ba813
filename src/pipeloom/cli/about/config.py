"""`pipeloom config`: the settings with their origins, and the schema of their file."""

from __future__ import annotations

import json as json_text
import os
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer

from pipeloom.cli.options.shared import Json
from pipeloom.cli.output import output, write, write_json
from pipeloom.cli.spec.json_schema import TEXT, WHOLE, YES_OR_NO, Schema, listed, obj, of_type, or_null
from pipeloom.engine.options import MAX_WORKERS
from pipeloom.settings.file import settings_path
from pipeloom.text import clean
from pipeloom.tui.attempts.columns import COLUMN_IDS
from pipeloom.tui.settings import Settings, read_settings
from pipeloom.tui.style.theme import THEMES

_WORKERS: Final = "PIPELOOM_WORKERS"


class What(StrEnum):
    """What of the settings is written."""

    SHOW = "show"
    SCHEMA = "schema"


class Origin(StrEnum):
    """Where the value of a setting comes from."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"


class Setting(NamedTuple):
    """A setting that is in force."""

    key: str
    value: Any
    origin: Origin
    place: str | None
    """File and line, or the variable."""


SHOWN: Final = obj(
    "settings",
    file=or_null(TEXT),
    there=YES_OR_NO,
    settings=listed(obj(key=TEXT, value={}, origin=of_type(Origin), place=or_null(TEXT))),
    mistakes=listed(TEXT),
)


def config_command(
    what: Annotated[What, typer.Argument(metavar="show|schema", help="The settings, or the schema of their file.")],
    json: Json = False,
) -> None:
    """Show every setting of the cockpit with its value and where that comes from; or the JSON schema of settings.toml.

    Mistakes in the file are told on stderr; the rest of it holds. An editor that knows TOML checks the file by the
    schema while it is written.

    Exit codes: 0 fine; 2 the command line, or the file is no TOML; 4 the output could not be written.
    """
    if what is What.SCHEMA:
        with output():
            if json:
                write_json(settings_schema())
            else:
                write([json_text.dumps(settings_schema(), indent=2) + "\n"])
        return
    path = settings_path()
    settings = read_settings(path)
    there = path is not None and path.is_file()
    found = [*in_force(settings, os.environ)]
    mistakes = [*_mistakes(settings)]
    with output():
        if json:
            rows = [setting._asdict() for setting in found]
            write_json({"file": path and str(path), "there": there, "settings": rows, "mistakes": mistakes})
        else:
            write(_lines(path, found, there=there))
            write(f"# {clean(mistake, 500)}\n" for mistake in mistakes)


def in_force(settings: Settings, environ: Mapping[str, str]) -> Iterator[Setting]:
    """Yield every setting; the keys by the ids of their actions, and the filters of the user's own."""
    from pipeloom.tui.settings_check import default_keys

    yield _setting(settings, "theme", settings.theme, THEMES[0].name)
    if given := environ.get(_WORKERS):
        yield Setting("workers", given, Origin.ENVIRONMENT, _WORKERS)
    else:
        yield _setting(settings, "workers", settings.workers, None)
    for screen, known in COLUMN_IDS.items():
        yield _setting(settings, f"columns.{screen}", settings.columns.get(screen), known)
    for name, keys in sorted(default_keys().items()):
        yield _setting(settings, f"keys.{name}", settings.keys.get(name), keys)
    for name, text in settings.filters.items():
        yield _setting(settings, f"filters.{name}", text, None)
    yield _setting(settings, "notify.on_failure", settings.on_failure, None)


def _setting(settings: Settings, key: str, value: Any, default: Any) -> Setting:
    if value is None:
        return Setting(key, default, Origin.DEFAULT, None)
    return Setting(key, value, Origin.FILE, settings.places.get(key))


def _mistakes(settings: Settings) -> Iterator[str]:
    from pipeloom.tui.app import PipeloomApp
    from pipeloom.tui.settings_check import mistakes

    app = PipeloomApp(Path("none.db"), settings=settings, start=False)
    yield from mistakes(settings, app.available_themes, PipeloomApp)


def _lines(path: Path | None, found: list[Setting], *, there: bool) -> Iterator[str]:
    where = "this user has no home" if path is None else clean(path) if there else f"{clean(path)} (there is none)"
    yield f"# {where}\n"
    values = [clean(json_text.dumps(setting.value, ensure_ascii=False), 200) for setting in found]
    keys = max(len(clean(setting.key)) for setting in found)
    width = min(40, max(map(len, values)))
    for setting, value in zip(found, values, strict=True):
        origin = setting.place or setting.origin
        yield f"{clean(setting.key):<{keys}} = {value:<{width}}  # {clean(origin, 300)}\n"


def settings_schema() -> Schema:
    """Return the JSON schema of settings.toml."""
    columns = {
        screen: {"type": "array", "items": {"enum": [*ids]}, "uniqueItems": True, "description": f"Of the {screen}."}
        for screen, ids in COLUMN_IDS.items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pipeloom's settings.toml",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "theme": {**TEXT, "description": "A theme of the palette."},
            "workers": {
                **WHOLE,
                "minimum": 1,
                "maximum": MAX_WORKERS,
                "description": "Tasks at the same time, unless the command line or the pipeline says otherwise.",
            },
            "columns": {
                "type": "object",
                "additionalProperties": False,
                "properties": columns,
                "description": "Columns of each screen, in their order.",
            },
            "keys": {
                "type": "object",
                "additionalProperties": {**TEXT, "minLength": 1},
                "description": "Keys, separated by commas, by the id of the action.",
            },
            "filters": {
                "type": "object",
                "additionalProperties": {**TEXT, "maxLength": 200},
                "description": "Filters by name, for `f` in the history.",
            },
            "notify": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "on_failure": {
                        "anyOf": [
                            {**TEXT, "pattern": r"\S"},
                            {**listed(TEXT), "minItems": 1, "prefixItems": [{**TEXT, "minLength": 1}]},
                        ],
                        "description": "Run after a failure: a line for the shell, or a program with its arguments.",
                    }
                },
                "description": "What is run for the user.",
            },
        },
    }
