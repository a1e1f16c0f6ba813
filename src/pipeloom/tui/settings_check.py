"""What is wrong with the settings: what their reader has found, and themes and keys, which only screens can judge."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from textual.binding import Binding
from textual.dom import DOMNode

import pipeloom.tui
from pipeloom.text import counted
from pipeloom.tui.history.screen import HistoryScreen
from pipeloom.tui.live.screen import LiveScreen
from pipeloom.tui.settings import Settings
from pipeloom.tui.table.virtual_table import VirtualTable

_SCREENS: Final = (LiveScreen, HistoryScreen)


def mistakes(settings: Settings, themes: Collection[str], app: type[DOMNode]) -> Iterator[str]:
    """Yield a sentence, with its line, for each mistake in the settings."""
    yield from settings.warnings
    if settings.theme is not None and settings.theme not in themes:
        yield settings.said("theme", f"there is no theme {settings.theme!r}; ctrl+p lists them")
    unknown = [name for name in settings.keys if name not in _ids()]
    if unknown:
        _import_all()
    for name in unknown:
        if name not in (known := _ids()):
            near = difflib.get_close_matches(name, known, 1)
            yield settings.said(f"keys.{name}", f"no action has the id {name!r}{f': is it {near[0]}?' if near else ''}")
    yield from _clashes(settings, app)


def default_keys() -> dict[str, str]:
    """Return the keys of every action, by its id, as they are without settings."""
    _import_all()
    return {binding.id: binding.key for binding in _all_bindings() if binding.id is not None}


def in_short(told: Sequence[str], *, roomy: bool) -> str:
    """Return the only mistake where a screen has room for it, or how many there are, and the key that lists them."""
    if len(told) == 1 and roomy:
        return told[0]
    return f"{counted(len(told), 'mistake')} in the settings: ? shows {'it' if len(told) == 1 else 'them'}."


def _clashes(settings: Settings, app: type[DOMNode]) -> Iterator[str]:
    """Yield each key that a screen has for two actions, one of them by the settings."""
    told = set()
    for screen in _SCREENS:
        owners: dict[str, list[str]] = {}
        for binding in (binding for part in (app, screen, VirtualTable) for binding in _bindings(part)):
            keys = settings.keys.get(binding.id or "", binding.key)
            for key in dict.fromkeys(key.strip() for key in keys.split(",")):
                names = owners.setdefault(key, [])
                if binding.id is not None and binding.id not in names:
                    names.append(binding.id)
        for key, names in owners.items():
            given = [name for name in names if name in settings.keys]
            if given and len(names) > 1 and (key, *names) not in told:
                told.add((key, *names))
                others = " and ".join(name for name in names if name != given[-1])
                yield settings.said(f"keys.{given[-1]}", f"the key {key!r} of {given[-1]} is that of {others} too")


def _bindings(part: type[DOMNode]) -> Iterator[Binding]:
    """Yield the bindings of a class of ours, those that it inherits from our own included."""
    for each in part.__mro__:
        if each.__module__.startswith(pipeloom.tui.__name__):
            listed: list[Any] = vars(each).get("BINDINGS", [])
            yield from (binding for binding in listed if isinstance(binding, Binding))


def _ids() -> set[str]:
    """Return the ids of the bindings of all classes that are imported."""
    return {binding.id for binding in _all_bindings() if binding.id is not None}


def _all_bindings() -> Iterator[Binding]:
    classes = [DOMNode]
    while classes:
        classes += (each := classes.pop()).__subclasses__()
        yield from _bindings(each)


def _import_all() -> None:
    """Import the screens and dialogs that are imported only when they are opened."""
    for module in pkgutil.walk_packages(pipeloom.tui.__path__, f"{pipeloom.tui.__name__}."):
        importlib.import_module(module.name)
