"""A filter as a value: its terms, each as SQL and as a test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from pipeloom.filters.conditions import Condition, HasId, WaitsFor
from pipeloom.filters.predicate import Row, Test, test_of
from pipeloom.filters.sql import negation, sql_of
from pipeloom.status import Status


@dataclass(frozen=True, slots=True)
class Term:
    """One condition, as SQL and as a test."""

    text: str
    sql: str
    params: tuple[Any, ...]
    """The values for the question marks of `sql`."""
    test: Test
    condition: Condition | None = None
    negated: bool = False
    field: str = ""
    """The field that it is about; "" for words, and `rows:odd` for that one."""

    def holds(self, row: Row) -> bool:
        """Tell whether the row fulfils the term."""
        return self.test(row) is not self.negated


def term(text: str, condition: Condition, *, negated: bool = False, field: str = "") -> Term:
    """Return the term that asks for `condition`."""
    sql, params = sql_of(condition)
    return Term(text, sql, params, test_of(condition), condition, negated, field)


NOTHING: Final = Term("nothing", "0", (), lambda _row: False)
"""Lets no row pass."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A list of terms. An empty one lets everything pass and is false."""

    terms: tuple[Term, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __str__(self) -> str:
        return " ".join(term.text for term in self.terms)

    def sql(self) -> tuple[str, list[Any]]:
        """Return a WHERE condition over `task_runs` and the values for its question marks."""
        # NULL fails a WHERE by itself; around a plain term, coalesce would only hide the indexes.
        conditions = [negation(term.sql) if term.negated else term.sql for term in self.terms]
        return " AND ".join(conditions) or "1", [value for term in self.terms for value in term.params]

    def matches(self, row: Row) -> bool:
        """Tell whether the row passes."""
        return all(term.holds(row) for term in self.terms)

    def allows_pipeline(self, name: str) -> bool:
        """Tell whether the terms about the pipeline hold for the runs of `name`."""
        return all((name in term.params) is not term.negated for term in self.terms if term.field == "pipeline")

    def of_pipeline(self, name: str) -> Filter:
        """Return the filter for rows of runs of `name`: rows do not say of which pipeline they are."""
        if not self.allows_pipeline(name):
            return Filter((NOTHING,))
        return Filter(tuple(term for term in self.terms if term.field != "pipeline"))

    @property
    def waited_for(self) -> list[tuple[str, ...]]:
        """What its terms of `waits:` name; only the engine of a run can decide those: see `with_waiting`."""
        return [one.condition.what for one in self.terms if isinstance(one.condition, WaitsFor)]

    def with_waiting(self, waiting_for: Callable[[tuple[str, ...]], Iterable[int]]) -> Filter:
        """Return the filter with each `waits:` decided, by the ids that `waiting_for` returns for what it names."""
        return Filter(
            tuple(
                term(one.text, HasId(frozenset(waiting_for(one.condition.what))), negated=one.negated, field=one.field)
                if isinstance(one.condition, WaitsFor)
                else one
                for one in self.terms
            )
        )

    def statuses(self) -> list[Status] | None:
        """Return the statuses that pass; None unless there is a filter, and by status alone."""
        if not self.terms or any(term.field != "status" for term in self.terms):
            return None
        return [status for status in Status if all((status in term.params) is not term.negated for term in self.terms)]
