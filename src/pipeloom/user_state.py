"""Notes about each database file in the user's state directory: the settings of its screens, its last pipeline."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from platformdirs import user_state_path

_FILES: Final = 200
"""Database files with notes at most; older ones are forgotten."""
_log = logging.getLogger(__name__)


def user_folder(find: Callable[[str], Path]) -> Path | None:
    """Return pipeloom's folder that platformdirs `find`s; None where the user has no home, as in a container."""
    try:
        folder = find("pipeloom")
    except RuntimeError as error:  # neither HOME nor an entry in /etc/passwd
        _log.debug("Nothing is kept for this user: %s", error)
        return None
    return folder if folder.is_absolute() else None


class UserState:
    """Texts by name about one database file. A state file that cannot be read counts as empty."""

    def __init__(self, db_path: Path, path: Path | None = None, *, name: str = "screens") -> None:
        folder = user_folder(user_state_path)
        self._path = path or (folder and folder / f"{name}.json")
        self._key = os.path.realpath(db_path)
        self._state: dict[str, Any] = {}
        mine = self._read().get(self._key)
        if isinstance(mine, dict):
            self._state = mine

    def get(self, name: str) -> str:
        """Return the text under `name`; "" for none."""
        value = self._state.get(name)
        return value if isinstance(value, str) else ""

    def put(self, name: str, value: str) -> None:
        """Keep `value` under `name`; "" removes it."""
        if value:
            self._state[name] = value
        else:
            self._state.pop(name, None)

    def save(self) -> None:
        """Write the texts, where that is possible."""
        if self._path is None:
            return
        known = self._read()
        known.pop(self._key, None)
        if self._state:
            known[self._key] = self._state
        kept = dict(list(known.items())[-_FILES:])
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(json.dumps(kept), encoding="utf-8")
            fresh.replace(self._path)
        except OSError as error:
            _log.debug("The notes about the file are not kept: %s", error)

    def _read(self) -> dict[str, Any]:
        if self._path is None:
            return {}
        try:
            known = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return known if isinstance(known, dict) else {}


def remember_pipeline(db_path: Path, spec: str) -> None:
    """Note that this user ran the pipeline `spec` on the file: a database is never trusted to name code."""
    state = UserState(db_path, name="pipelines")
    state.put("last", spec)
    state.save()


def last_pipeline(db_path: Path) -> str:
    """Return the pipeline that this user last ran on the file; "" when none is known."""
    return UserState(db_path, name="pipelines").get("last")
