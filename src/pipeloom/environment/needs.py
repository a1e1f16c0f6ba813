"""What a file needs and this interpreter does not have, by the distributions that are installed."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from pipeloom.environment.script import Script

if TYPE_CHECKING:
    from packaging.requirements import Requirement


@dataclass(frozen=True, slots=True)
class Lack:
    """A requirement that is not fulfilled."""

    requirement: str
    found: str = ""
    """What there is in its place, as "polars 0.20 is installed"; "" for nothing."""

    @property
    def told(self) -> str:
        """The requirement, and what there is."""
        return f"{self.requirement} ({self.found})" if self.found else self.requirement


def lacking(script: Script) -> list[Lack]:
    """Return what a file needs and this interpreter does not have, in the order of the file."""
    lacks = [lack for requirement in script.dependencies for lack in _lacks_of(requirement, set())]
    if not fits(script):
        lacks.insert(0, Lack(f"Python {script.requires_python}", f"this is {platform.python_version()}"))
    return list(dict.fromkeys(lacks))


def fits(script: Script) -> bool:
    """Tell whether this interpreter is one that the file asks for."""
    return script.requires_python.contains(platform.python_version(), prereleases=True)


def in_force(requirements: Iterable[Requirement], extras: Iterable[str] = ("",)) -> Iterator[Requirement]:
    """Yield the requirements whose markers hold here with one of the extras."""
    named = [*extras] or [""]
    for requirement in requirements:
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in named):
            yield requirement


def _lacks_of(requirement: Requirement, seen: set[str]) -> Iterator[Lack]:
    from packaging.requirements import Requirement as Parsed

    if str(requirement) in seen or not [*in_force([requirement])]:
        return
    seen.add(str(requirement))
    told = str(requirement).partition(";")[0].strip()
    try:
        there = metadata.distribution(requirement.name)
    except metadata.PackageNotFoundError:
        yield Lack(told)
        return
    if requirement.url is not None:
        if _url_of(there) != requirement.url:
            yield Lack(told, f"{there.name} {there.version} is installed from elsewhere")
    elif not requirement.specifier.contains(there.version, prereleases=True):
        yield Lack(told, f"{there.name} {there.version} is installed")
    if requirement.extras:
        for further in in_force(map(Parsed, there.requires or ()), requirement.extras):
            further.marker = None
            yield from _lacks_of(further, seen)


def _url_of(there: metadata.Distribution) -> str | None:
    try:
        return str(json.loads(there.read_text("direct_url.json") or "{}").get("url"))
    except ValueError:
        return None
