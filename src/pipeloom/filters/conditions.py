"""What a term of a filter asks of an attempt, before it becomes SQL or a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Contains:
    """One of the columns contains the text, in any case of ASCII letters."""

    columns: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """The value of the field is one of `values`."""

    field: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Within:
    """The value of the field keeps all bounds: sign and value of each."""

    field: str
    bounds: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class HasId:
    """The attempt has one of these ids, however many there are."""

    ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class HasFingerprint:
    """The attempt failed, and its failure has a fingerprint."""


@dataclass(frozen=True, slots=True)
class HasOddRows:
    """The attempt has written more rows than are usual for its task, or is done with fewer."""


@dataclass(frozen=True, slots=True)
class WaitsFor:
    """The attempt waits for one of these: a limit or a task by its name, or any of a kind.

    The kinds are `after` (another task), `limit`, `retry` (the time of its retry), `paused` and `workers`. No row has
    it: the engine of a run knows. See `Filter.with_waiting`; until then no row passes.
    """

    what: tuple[str, ...]


Condition = Contains | OneOf | Within | HasId | HasFingerprint | HasOddRows | WaitsFor
