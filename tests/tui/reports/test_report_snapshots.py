"""What the history looks like, and the screens that compare and draw: a made-up file, a clock that stands still."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.tui.conftest import SnapCompare, at_rest, text_of, until
from textual.pilot import Pilot

from pipeloom.status import RunStatus, Status
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.store.write.ledger import Ledger
from pipeloom.times import stamp
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.history.screen import HistoryScreen
from pipeloom.tui.reports.base import ReportScreen
from pipeloom.tui.reports.charts.screen import FileChartScreen, TaskChartScreen
from pipeloom.tui.reports.compare.attempts import CompareAttemptsScreen
from pipeloom.tui.reports.compare.runs import CompareRunsScreen
from pipeloom.tui.reports.timeline.screen import TimelineScreen

SIZES = [(80, 24), (120, 40), (160, 50)]
EPOCH = datetime(2026, 7, 1, 12, tzinfo=UTC)
RUNS = 24
TASKS = 40
WORKERS = 6
_ENDS = [Status.DONE] * 17 + [Status.ERROR, Status.ERROR, Status.CANCELLED, Status.INTERRUPTED]

SCREENS: dict[str, Callable[[Path], ReportScreen[Any, Any]]] = {
    "compare-runs": lambda path: CompareRunsScreen(path, RUNS - 1, RUNS),
    "compare-attempts": lambda path: CompareAttemptsScreen(path, (RUNS - 2) * 100 + 7, (RUNS - 1) * 100 + 7),
    "timeline": lambda path: TimelineScreen(path, RUNS),
    "task-chart": lambda path: TaskChartScreen(path, "seattle-2012-05"),
    "file-chart": FileChartScreen,
}


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times and days are shown in the user's zone: here that is UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def attempts(run: int, began: datetime, chance: random.Random) -> list[AttemptRow]:
    free = [began] * WORKERS
    rows = []
    for task in range(1, TASKS + 1 + run % 2):
        if run == RUNS and task == 9:
            continue
        worker = min(range(WORKERS), key=free.__getitem__)
        took = chance.lognormvariate(0.6, 0.25) * (4 if run == RUNS and task % 13 == 2 else 1)
        start, free[worker] = free[worker], free[worker] + timedelta(seconds=took)
        status = (
            Status.ERROR
            if run == RUNS and task == 7
            else chance.choice(_ENDS)
            if task != 5 or run % 7 == 0
            else Status.DONE
        )
        failed = status is Status.ERROR
        rows.append(
            AttemptRow(
                (run - 1) * 100 + task, run, task, 1, f"seattle-{2012 + (task - 1) // 12}-{(task - 1) % 12 + 1:02}", status, 1.0,
                message="KeyError: 'temp_max'" if failed else "31 rows loaded", started_at=stamp(start), finished_at=stamp(free[worker]),
                duration_s=took, worker=f"worker-{worker + 1}", params=f'{{"month": {task % 12}, "source": "noaa-{run % 2}"}}',
                result=None if failed else '{"rows": 31}', error_type="KeyError" if failed else None,
                error='Traceback (most recent call last):\n  File "weather.py", line 41, in load\nKeyError: \'temp_max\'' if failed else None,
                fingerprint="1a2b3c4d5e6f" if failed else None,
            )
        )  # fmt: skip
    return rows


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A file with a month of runs."""
    path = tmp_path / "etl.db"
    chance = random.Random(5)
    connection = open_writer(path)
    ledger = Ledger(connection)
    ledger.begin()
    for run in range(1, RUNS + 1):
        began = EPOCH + timedelta(hours=26 * run if run % 3 else 25 * run)
        rows = attempts(run, began, chance)
        end = max(row.finished_at or "" for row in rows)
        status = chance.choice([RunStatus.DONE, RunStatus.DONE, RunStatus.ERROR, RunStatus.CANCELLED])
        ledger.insert_run(RunRow(0, "weather", status, stamp(began), finished_at=end))
        ledger.insert_attempts(rows)
        ledger.insert_logs(
            [
                ((run - 1) * 100 + 7, seq, stamp(began), level, text)
                for seq, (level, text) in enumerate(
                    [*[("INFO", f"row {n}") for n in range(9)], ("WARNING", f"row 14 of run {run} is empty")], 1
                )
            ]
        )
    ledger.commit()
    close_writer(connection)
    return path


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A file in which nothing has run."""
    path = tmp_path / "etl.db"
    close_writer(open_writer(path))
    return path


def cockpit(path: Path, look: str) -> PipeloomApp:
    app = PipeloomApp(path, clock=lambda: EPOCH.timestamp() + 30 * 86_400, monotonic=lambda: 1000.0)
    app.ascii_only = look == "ascii"
    if look == "light":
        app.theme = "pipeloom-light"
    return app


def showing(screen: ReportScreen[Any, Any], *keys: str) -> Callable[[Any], Awaitable[None]]:
    async def before(pilot: Pilot[None]) -> None:
        pilot.app.push_screen(screen)
        await at_rest(pilot)
        await pilot.press(*keys)
        await at_rest(pilot)

    return before


LOOKS = [*(("dark", size) for size in SIZES), ("light", (120, 40)), ("ascii", (80, 24))]


@pytest.mark.parametrize(("look", "size"), LOOKS, ids=[f"{look}-{size[0]}x{size[1]}" for look, size in LOOKS])
@pytest.mark.parametrize("name", SCREENS)
def test_full(snap_compare: SnapCompare, full: Path, name: str, look: str, size: tuple[int, int]) -> None:
    shown = showing(SCREENS[name](full))

    async def before(pilot: Pilot[None]) -> None:
        await shown(pilot)
        assert look != "ascii" or text_of(pilot.app).isascii()

    assert snap_compare(cockpit(full, look), terminal_size=size, run_before=before)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", SCREENS)
def test_empty(snap_compare: SnapCompare, empty: Path, name: str, size: tuple[int, int]) -> None:
    assert snap_compare(cockpit(empty, "dark"), terminal_size=size, run_before=showing(SCREENS[name](empty)))


HISTORY: dict[str, tuple[str, ...]] = {
    "attempts": (),
    "tasks": ("g",),
    "failures": ("g", "g"),
    "runs": ("b", "down", "down"),
    "detail": ("down", "down", "d"),
    "slowest": ("f", "down", "down", "down", "down", "enter"),
    "filters": ("f",),
}


def history(*keys: str) -> Callable[[Any], Awaitable[None]]:
    async def before(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: isinstance(pilot.app.screen, HistoryScreen) and pilot.app.screen.lists.is_read)
        await at_rest(pilot)
        for pressed in keys:
            await pilot.press(pressed)
            await list_read(pilot)

    return before


async def list_read(pilot: Pilot[None]) -> None:
    """Wait until nothing is being read any more, whatever else waits."""
    for _ in range(500):
        await pilot.pause()
        if not any(not worker.is_finished and worker.group != "default" for worker in pilot.app.workers):
            await pilot.pause()
            return
        await pilot.pause(0.01)
    raise AssertionError("something is still being read")


@pytest.mark.parametrize(("look", "size"), LOOKS, ids=[f"{look}-{size[0]}x{size[1]}" for look, size in LOOKS])
@pytest.mark.parametrize("state", HISTORY)
def test_history(snap_compare: SnapCompare, full: Path, state: str, look: str, size: tuple[int, int]) -> None:
    assert snap_compare(cockpit(full, look), terminal_size=size, run_before=history(*HISTORY[state]))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("state", ["attempts", "tasks", "failures", "runs"])
def test_empty_history(snap_compare: SnapCompare, empty: Path, state: str, size: tuple[int, int]) -> None:
    assert snap_compare(cockpit(empty, "dark"), terminal_size=size, run_before=history(*HISTORY[state]))


def test_timeline_close_up(snap_compare: SnapCompare, full: Path) -> None:
    before = showing(TimelineScreen(full, RUNS), "home", "right", "plus", "plus", "down")
    assert snap_compare(cockpit(full, "dark"), terminal_size=(120, 40), run_before=before)


def test_compare_runs_with_one_kind(snap_compare: SnapCompare, full: Path) -> None:
    before = showing(CompareRunsScreen(full, RUNS - 1, RUNS), "f", "f", "f")
    assert snap_compare(cockpit(full, "dark"), terminal_size=(80, 24), run_before=before)


@pytest.mark.parametrize("name", SCREENS)
async def test_help_and_palette_list_every_key(full: Path, name: str) -> None:
    app = cockpit(full, "dark")
    async with app.run_test(size=(160, 60)) as pilot:
        await showing(SCREENS[name](full))(pilot)
        screen = pilot.app.screen
        own = [binding for binding in screen.active_bindings.values() if binding.node is screen and binding.binding.id]
        labels = {active.binding.description for active in own}
        assert {"Back", "Copy", "Reload"} <= labels
        assert all(active.binding.tooltip and active.enabled for active in own)
        assert all(" " not in label for label in labels)
        await pilot.press("question_mark")
        await pilot.pause()
        shown = "\n".join("".join(s.text for s in line) for line in app.screen._compositor.render_strips())
        assert str(screen.title) in shown
        assert all(label in shown for label in labels)
        await pilot.press("escape", "ctrl+p")
        await pilot.press(*"Back")
        await at_rest(pilot)
        await pilot.pause(0.3)
        shown = "\n".join("".join(s.text for s in line) for line in app.screen._compositor.render_strips())
        assert "Go back to where you came from." in shown
