"""Why the tasks in view wait, as the engine has said lately; and the filter that asks for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from pipeloom.filters import Filter
from pipeloom.status import Status
from pipeloom.store.rows import AttemptRow
from pipeloom.times import monotonic
from pipeloom.tui.session.questions import Questions

_EVERY_S: Final = 0.5
"""Seconds between two questions about tasks of which the reason is known."""
_SOON_S: Final = 0.1
"""Seconds between two questions."""
_SHARE: Final = 20
"""Parts of the time of which questions take one: the run has less for its tasks meanwhile."""
_LOAD_EVERY_S: Final = 1.0
"""Seconds between two questions when no task in view waits."""
_KEPT: Final = 5_000
"""Number of reasons above which the next answer takes the place of all."""


class Waits:
    """Keeps the reasons of the tasks that were in view."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._reasons: dict[int, str] = {}
        self._asked_s = float("-inf")
        self._rest_s = 0.0
        self._is_asking = False

    def of(self, row: AttemptRow) -> str:
        """Return why an attempt is queued; "" when it is not, or that is not known."""
        return self._reasons.get(row.id, "") if row.status is Status.QUEUED else ""

    def is_due(self, rows: Sequence[AttemptRow], now_s: float) -> bool:
        """Tell whether to `load` the rows in view: one has no reason yet, or the last question is some time ago.

        When none of them waits, that is the case while it is not known whether the run is paused.
        """
        queued = {row.id for row in rows if row.status is Status.QUEUED}
        passed_s = now_s - self._asked_s
        if self._is_asking or passed_s < max(_SOON_S, self._rest_s):
            return False
        if not queued:
            return passed_s >= _LOAD_EVERY_S and self._questions.is_stale
        return passed_s >= _EVERY_S or not self._reasons.keys() >= queued

    async def load(self, rows: Sequence[AttemptRow], now_s: float) -> bool:
        """Ask why the queued ones of `rows` wait, if that is due; returns whether anything is new."""
        if not self.is_due(rows, now_s):
            return False
        ids = [row.id for row in rows if row.status is Status.QUEUED]
        self._asked_s, self._is_asking, began_s = now_s, True, monotonic()
        try:
            if not ids:
                await self._questions.learn_load()
            answer = await self._questions.why_waiting(ids) if ids else None
        finally:
            self._is_asking, self._rest_s = False, self._questions.work_s(monotonic() - began_s) * _SHARE
        told = {attempt_id: (answer or {}).get(attempt_id, "") for attempt_id in ids}
        is_new = any(self._reasons.get(attempt_id) != why for attempt_id, why in told.items())
        self._reasons = told if len(self._reasons) > _KEPT else self._reasons | told
        return is_new


class WaitsFilter:
    """The filter of the live screen: its terms of `waits:` are decided by the engine, again and again."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._asked = Filter()
        self._found: dict[tuple[str, ...], frozenset[int]] = {}
        self._due_s = float("-inf")

    def choose(self, where: Filter) -> None:
        """Take another filter."""
        self._asked, self._found, self._due_s = where, {}, float("-inf")

    def is_due(self, now_s: float) -> bool:
        """Tell whether to `decide` again: what takes long is done less often."""
        return bool(self._asked.waited_for) and now_s >= self._due_s

    async def decide(self, clock: Callable[[], float]) -> Filter | None:
        """Return the filter for the board as of now; None when it is the same as before, or nothing is known of it."""
        asked, began_s = self._asked, monotonic()
        self._due_s = float("inf")
        answers = {what: await self._questions.waiting_for(what) for what in asked.waited_for}
        if asked is not self._asked:
            return None
        self._due_s = clock() + max(_EVERY_S, self._questions.work_s(monotonic() - began_s) * _SHARE)
        found = {what: frozenset(answer) for what, answer in answers.items() if answer is not None}
        if len(found) < len(answers) or (found == self._found and found):
            return None
        self._found = found
        return asked.with_waiting(found.__getitem__)
