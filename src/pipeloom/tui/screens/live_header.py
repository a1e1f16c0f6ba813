"""What the header of the live screen says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeloom.status import ACTIVE, RunStatus
from pipeloom.tui import format as fmt
from pipeloom.tui.bridge import Delivery
from pipeloom.tui.widgets.header import SPARK_WIDTH, HeaderState

if TYPE_CHECKING:
    from pipeloom.tui.app import PipeloomApp

_EXECUTORS = {"thread": "threads", "process": "processes"}


class HeaderSource:
    """Makes the header's state from board, engine and clock."""

    def __init__(self, app: PipeloomApp) -> None:
        self._app = app
        self._since = app.monotonic()
        self._messages = 0
        self._messages_per_s: float | None = None

    def count(self, delivery: Delivery) -> None:
        """Count the messages that were settled."""
        self._messages += delivery.messages

    def state(self) -> HeaderState:
        """Return what there is to say now."""
        app, run, now = self._app, self._app.board.run, self._app.monotonic()
        self._measure(now)
        engine = app.engine
        load = engine.load() if engine is not None and engine.is_started else None
        counts = {status: count for status, count in app.board.counts.items() if count}
        going = run is not None and run.status is RunStatus.RUNNING
        rate = app.board.tasks_per_s(now) if going else None
        state = HeaderState(
            pipeline=run.pipeline if run else engine.pipeline.name if engine else "",
            file=app.db_path.name,
            run_id=run.id if run else None,
            executor=_EXECUTORS.get(run.executor, run.executor) if run else "",
            status=run.status if run else None,
            counts=counts,
            tasks_per_s=rate,
            history=app.board.history(now, SPARK_WIDTH) if going else (),
            messages_per_s=self._messages_per_s if going else None,
            busy=load.busy if load else sum(counts.get(status, 0) for status in ACTIVE),
            workers=load.workers if load else (run.workers or 0) if run else 0,
            leaked=load.leaked if load else 0,
            paused=load.paused if load else False,
            elapsed_s=self._elapsed(),
            notice=app.notice,
        )
        left = state.total - state.settled
        if not going or not rate or not left:
            return state
        return replace(state, eta_s=left / rate)

    def _elapsed(self) -> float | None:
        run = self._app.board.run
        if run is None:
            return None
        finished = fmt.moment(run.finished_at)
        return fmt.seconds_since(run.started_at, self._app.clock() if finished is None else finished.timestamp())

    def _measure(self, now: float) -> None:
        """Bring the message rate up to date, once a second."""
        if now - self._since >= 1:
            self._messages_per_s = self._messages / (now - self._since)
            self._since, self._messages = now, 0
