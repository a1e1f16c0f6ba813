"""A schedule on the screen: each start is a run of its own, one at a time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest
from tests.schedule.test_schedules import ToldClock
from tests.tui.conftest import text_of, until
from textual.screen import ModalScreen, Screen

from pipeloom import Pipeline, RunSummary, TaskDef
from pipeloom.engine.engine import Engine
from pipeloom.errors import FileBusyError, UsageError
from pipeloom.schedule.schedules import At, Every, Schedule
from pipeloom.status import RunStatus
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.session.scheduled_runs import ScheduledRuns
from pipeloom.tui.widgets.header import HeaderState, render_header


class FakeEngine:
    """A run that is over when it is told so."""

    is_started = False

    def __init__(self) -> None:
        self.over = False

    def wait(self, timeout_s: float) -> bool:
        return self.over

    def another(self) -> FakeEngine:
        return FakeEngine()


class FakeHost:
    def __init__(self, clock: ToldClock) -> None:
        self.clock = lambda: clock.now().timestamp()
        self.is_leaving = False
        self.screen: Screen[Any] = Screen()
        self.told: list[str] = []

    def set_interval(self, interval: float, callback: Callable[[], None]) -> None: ...

    def run_worker(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run(work)

    def tell(self, sentence: str, *, problem: bool = False) -> None:
        self.told.append(sentence)


class FakeRuns:
    def __init__(self) -> None:
        self.engine: Any = None
        self.is_starting = self.is_leaving = False
        self.started: list[FakeEngine] = []
        self.error: Exception | None = None

    async def start_next(self, engine: Any) -> None:
        self.engine = engine
        if self.error is not None:
            raise self.error
        engine.is_started = True
        self.started.append(engine)


class Bench:
    def __init__(self) -> None:
        self.clock = ToldClock()
        self.host, self.runs = FakeHost(self.clock), FakeRuns()
        self.first = FakeEngine()

    def begin(self, schedule: Schedule) -> ScheduledRuns:
        self.scheduled = ScheduledRuns(schedule, self.host, self.runs)
        assert self.scheduled.begin(cast("Engine", self.first))
        return self.scheduled

    def pass_s(self, seconds: float) -> int:
        """Let time pass, and return the number of runs that have been started."""
        self.clock.pass_s(seconds)
        self.scheduled.look()
        return len(self.runs.started)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_without_a_schedule_nothing_is_started_by_it(bench: Bench) -> None:
    scheduled = ScheduledRuns(None, bench.host, bench.runs)
    assert not scheduled.begin(cast("Engine", bench.first))
    assert scheduled.next_start() == ""


def test_the_first_run_is_of_the_engine_and_the_next_of_another(bench: Bench) -> None:
    scheduled = bench.begin(Every(900, bench.clock))
    assert bench.runs.started == [bench.first]
    bench.first.over = True
    assert bench.pass_s(899) == 1
    assert scheduled.next_start() == "next 12:15:00"
    assert bench.pass_s(1) == 2
    assert bench.runs.started[1] is not bench.first


def test_a_run_that_waits_for_its_time_has_not_begun(bench: Bench) -> None:
    bench.begin(At("0 14 * * *", bench.clock))
    assert (bench.runs.started, bench.runs.is_starting) == ([], False)
    assert bench.pass_s(2 * 3600) == 1


def test_starts_that_come_during_a_run_are_left_out(bench: Bench) -> None:
    bench.begin(Every(900, bench.clock))
    assert bench.pass_s(2000) == 1
    bench.first.over = True
    assert bench.pass_s(0) == 1
    assert bench.pass_s(699) == 1
    assert bench.pass_s(1) == 2


def test_a_start_waits_while_a_dialog_is_open(bench: Bench) -> None:
    bench.begin(Every(900, bench.clock))
    bench.first.over = True
    bench.host.screen = ModalScreen()
    assert bench.pass_s(900) == 1
    bench.host.screen = Screen()
    assert bench.pass_s(1) == 2


def test_a_run_that_cannot_be_started_is_told_and_the_next_is_tried(bench: Bench) -> None:
    bench.runs.error = FileBusyError("etl.db is in use.")
    bench.begin(Every(900, bench.clock))
    assert (bench.runs.is_starting, bench.host.told) == (False, ["Not started: etl.db is in use."])
    bench.runs.error = None
    assert bench.pass_s(0) == 0
    assert bench.pass_s(900) == 1


@pytest.mark.parametrize("leaving", ["host", "runs", "stopped"])
def test_nothing_is_started_when_the_program_is_left(bench: Bench, leaving: str) -> None:
    scheduled = bench.begin(Every(900, bench.clock))
    bench.first.over = True
    if leaving == "stopped":
        scheduled.stop()
    else:
        getattr(bench, leaving).is_leaving = True
    assert bench.pass_s(900) == 1


class Gone:
    """A folder that is gone after the first look."""

    looks = 0

    def is_due(self) -> bool:
        self.looks += 1
        if self.looks > 1:
            raise UsageError("in cannot be watched: it is not there any more.")
        return True

    def begin(self) -> None: ...

    def end(self) -> None: ...

    def next_at(self) -> datetime | None: ...

    def close(self) -> None: ...


def test_a_folder_that_is_gone_is_told_once(bench: Bench) -> None:
    bench.begin(Gone())
    bench.first.over = True
    assert [bench.pass_s(1), bench.pass_s(1)] == [1, 1]
    assert bench.host.told == ["Nothing more is started: in cannot be watched: it is not there any more."]


async def test_the_screen_runs_a_pipeline_again_and_shows_when(tmp_path: Path) -> None:
    clock, engines = ToldClock(), []
    pipeline = Pipeline("sales", [TaskDef(1, "load")], lambda task, q: None)

    @pipeline.on_end
    def bad(summary: RunSummary) -> None:
        engines.append(summary.run_id)
        raise ValueError("no network")

    first = Engine(tmp_path / "etl.db", pipeline)
    app = PipeloomApp(first.db_path, first, schedule=Every(900, clock), clock=lambda: clock.now().timestamp())
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: first.has_let_go and "done" in text_of(app))
        assert "run 1" in text_of(app)
        assert "next 12:15" in text_of(app)
        await until(pilot, lambda: "bad: ValueError: no network" in text_of(app))
        clock.pass_s(900)
        app.session.scheduled.look()
        await until(pilot, lambda: app.engine is not None and app.engine is not first and app.engine.has_let_go)
        await until(pilot, lambda: "run 2" in text_of(app) and "next 12:30" in text_of(app))
    with closing(sqlite3.connect(first.db_path)) as connection:
        runs = connection.execute("SELECT id, status, parent_run_id FROM pipeline_runs").fetchall()
    assert (runs, engines) == ([(1, "done", None), (2, "done", None)], [1, 2])


@pytest.mark.parametrize(
    ("width", "end"),
    [
        (120, "done 00:41 · next 02:00"),
        (80, "done 00:41 · next 02:00"),
        (40, "done 00:41 · next 02:00"),
        (24, "done 00:41"),
    ],
)
def test_the_header_says_when_the_next_run_starts(width: int, end: str) -> None:
    state = HeaderState(
        pipeline="sales", file="etl.db", run_id=3, status=RunStatus.DONE, elapsed_s=41, next_start="next 02:00"
    )
    assert render_header(state, width, 1).plain.rstrip().endswith(end)
    waiting = HeaderState(pipeline="sales", file="etl.db", next_start="next 02:00")
    assert "waiting" in render_header(waiting, width, 1).plain
