"""What the header of the live screen says."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pipeloom.engine.commands import EngineLoad
from pipeloom.parameters.texts import few_of, read_back, without_few, words_of
from pipeloom.status import ACTIVE, RunStatus, Status
from pipeloom.tui.services import AppServices
from pipeloom.tui.session.bridge import Delivery
from pipeloom.tui.widgets.header import SPARK_WIDTH, HeaderState, Spent

_EXECUTORS = {"thread": "threads", "process": "processes", "async": "coroutines"}
_SAMPLES: Final = 10
"""Seconds over which the workers' time is measured."""


class HeaderSource:
    """Makes the header's state from board, engine and clock."""

    def __init__(self, services: AppServices, task_s: Callable[[], float | None]) -> None:
        """`task_s` tells how long a task took in earlier runs, in seconds."""
        self._services = services
        self._task_s = task_s
        self._since = services.monotonic()
        self._messages = self._commits = 0
        self._messages_per_s: float | None = None
        self._commits_per_s: float | None = None
        self._commit_s: float | None = None
        self._samples: deque[Spent] = deque(maxlen=_SAMPLES)

    def count(self, delivery: Delivery) -> None:
        """Count the messages and the transactions of a commit."""
        self._messages += delivery.messages
        self._commits += delivery.commits
        self._commit_s = delivery.took_s if delivery.commits else self._commit_s

    def state(self) -> HeaderState:
        """Return the header's state now."""
        services, run, now = self._services, self._services.board.run, self._services.monotonic()
        engine, change = services.engine, services.code_change
        load = engine.load() if engine is not None and engine.is_started else None
        known = load or services.known_load
        self._measure(now, load)
        counts = {status: count for status, count in services.board.counts.items() if count}
        going = run is not None and run.status is RunStatus.RUNNING
        clock = services.clock()
        texts = read_back(run.params) if run else {}
        ours = going and not services.is_viewer  # a viewer knows only outcomes
        state = HeaderState(
            pipeline=run.pipeline if run else engine.pipeline.name if engine else "",
            file=services.db_path.name,
            run_id=run.id if run else None,
            params=words_of(without_few(texts)),
            few=words_of(few_of(texts)),
            executor=_EXECUTORS.get(run.executor, run.executor) if run else "",
            status=run.status if run else None,
            counts=counts,
            unchanged=(run.unchanged or 0) if run else 0,
            tasks_per_s=services.board.tasks_per_s(clock) if going else None,
            history=services.board.history(clock, SPARK_WIDTH) if going else (),
            messages_per_s=self._messages_per_s if ours else None,
            commits_per_s=self._commits_per_s if ours else None,
            commit_s=self._commit_s if ours else None,
            backlog=load.backlog if load else 0,
            spent=self._spent() if going else None,
            busy=load.busy if load else sum(counts.get(status, 0) for status in ACTIVE),
            workers=known.workers if known else (run.workers or 0) if run else 0,
            lost=load.lost if load else 0,
            paused=known.paused if known else False,
            elapsed_s=run.took_s(clock) if run else None,
            owner_pid=run.pid if run and services.is_viewer and services.owner is not None else None,
            controls=services.controls is not None,
            code="" if change is None or services.is_viewer else change.told,
            notice=services.notice,
            next_start=services.next_start(),
        )
        if not going or state.paused:
            return state
        left = services.board.time_left(clock, self._task_s())
        return replace(state, eta_s=left, grows=services.board.grows)

    def _measure(self, now: float, load: EngineLoad | None) -> None:
        """Update the rates, once a second."""
        elapsed = now - self._since
        if elapsed < 1:
            return
        self._messages_per_s, self._commits_per_s = self._messages / elapsed, self._commits / elapsed
        self._since, self._messages, self._commits = now, 0, 0
        if load is not None and load.workers:
            self._samples.append(_sample(load, self._services.board.counts[Status.RETRYING]))

    def _spent(self) -> Spent | None:
        """Return the shares of the workers' time, over the last samples."""
        taken = len(self._samples)
        if not taken:
            return None
        return Spent(
            *(
                sum(getattr(one, name) for one in self._samples) / taken
                for name in ("working", "writer", "backoff", "idle")
            )
        )


def _sample(load: EngineLoad, retrying: int) -> Spent:
    """Return the workers' present activity; a worker without a task backs off while a retry waits."""
    workers = max(load.workers, load.busy)
    blocked = min(load.blocked, load.busy)
    backoff = min(workers - load.busy, retrying)
    working, idle = load.busy - blocked, workers - load.busy - backoff
    return Spent(working / workers, blocked / workers, backoff / workers, idle / workers)
