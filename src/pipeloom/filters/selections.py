"""Filters that are made of values instead of a text: marked rows, statuses, failures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeloom.filters.conditions import HasFingerprint, HasId, OneOf
from pipeloom.filters.filter import Filter, Term, term
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


def with_attempt(where: Filter, attempt_id: int) -> Filter:
    """Return the filter that lets pass what `where` does, and one attempt in any case."""
    sql, values = where.sql()
    return Filter(
        (
            Term(
                f"{where} or attempt {attempt_id}",
                f"(({sql}) OR id = {attempt_id:d})",
                tuple(values),
                lambda row: row.id == attempt_id or where.matches(row),
            ),
        )
    )


def status_filter(statuses: Sequence[Status]) -> Filter:
    """Return the filter that lets the attempts in one of `statuses` pass."""
    return parse(f"status:{','.join(statuses)}")


def failures_filter() -> Filter:
    """Return the filter that lets every failure with a fingerprint pass."""
    return Filter((term("failures", HasFingerprint()),))
