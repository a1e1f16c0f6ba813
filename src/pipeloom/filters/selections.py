"""Filters that are made of values instead of a text: marked rows, statuses, failures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeloom.filters.conditions import HasFingerprint, HasId, OneOf
from pipeloom.filters.filter import Filter, term
from pipeloom.filters.grammar import parse
from pipeloom.status import Status


def attempts_filter(ids: Iterable[int]) -> Filter:
    """Return the filter that lets only these attempts pass."""
    wanted = frozenset(ids)
    return Filter((term(f"{len(wanted)} marked", HasId(wanted)),))


def marked_filter(field: str, values: Iterable[int | str]) -> Filter:
    """Return the filter that lets the attempts of these runs, names or failures pass, however many there are.

    `field` is `run`, `name` or `fail`.
    """
    wanted = tuple(values)
    return Filter((term(f"{len(wanted)} marked", OneOf(field, wanted), field=field),))


def status_filter(statuses: Sequence[Status]) -> Filter:
    """Return the filter that lets the attempts in one of `statuses` pass."""
    return parse(f"status:{','.join(statuses)}")


def failures_filter() -> Filter:
    """Return the filter that lets every failure with a fingerprint pass."""
    return Filter((term("failures", HasFingerprint()),))
