"""Workers whose screen closes while they wait: they end, and touch nothing that is gone."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.tui.conftest import CLOCK, RUN, Cockpit, ThemedApp, make_rows, until
from tests.tui.history.test_history_screen import make
from textual import work as textual_work
from textual.app import App
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, Static
from textual.worker import Worker

from pipeloom.filters import Filter
from pipeloom.home.look import FileSummary
from pipeloom.store.maintenance.prune import Policy, PrunePreview
from pipeloom.store.rows import AttemptRow
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.history import actions, lists, orders, rerun
from pipeloom.tui.history import screen as history
from pipeloom.tui.history.dialogs import prune
from pipeloom.tui.history.screen import HistoryScreen
from pipeloom.tui.home.app import HomeApp
from pipeloom.tui.home.screen import HomeScreen
from pipeloom.tui.live.baselines import DurationBaselines
from pipeloom.tui.live.commands import LiveCommands
from pipeloom.tui.live.shown_task import ShownTask
from pipeloom.tui.live.waits import Waits
from pipeloom.tui.reports import base
from pipeloom.tui.reports.charts.screen import TaskChartScreen
from pipeloom.tui.table import file_table
from pipeloom.tui.textual_compat.work import work
from pipeloom.tui.widgets.workers import LimitStep, WorkersDialog, WorkersSeen
from pipeloom.user_state import UserRecords

SOURCE = Path(__file__).parents[2] / "src" / "pipeloom" / "tui"


class Lingering(Widget):
    """Keeps its screen half closed: all that was beside it is gone, until it may go too."""

    def __init__(self) -> None:
        super().__init__()
        self.display = False
        self.may_go = asyncio.Event()

    async def on_unmount(self) -> None:
        await self.may_go.wait()


class Gates:
    """Lets what is awaited wait until the screen is half closed."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self._open = asyncio.Event()
        self.waiting = 0

    def hold(self, owner: object, name: str, answer: object = None) -> None:
        """Let a function or method of `owner` wait, and then return `answer`."""
        self._patch.setattr(owner, name, self.held(answer))

    def held(self, answer: object = None) -> Callable[..., Awaitable[Any]]:
        async def wait(*_: object, **_more: object) -> object:
            self.waiting += 1
            await self._open.wait()
            return answer

        return wait

    async def close_in_between(
        self, pilot: Pilot[None], screen: Screen[Any], close: Callable[[], object], workers: Sequence[Worker[None]]
    ) -> None:
        """Close the screen while the workers wait, let them go on when it is half closed, and look how they end."""
        lingering = Lingering()
        await screen.mount(lingering)
        await until(pilot, lambda: self.waiting >= len(workers))
        closing = asyncio.ensure_future(_awaited(close()))
        await come_about(lambda: list(screen.children) == [lingering])
        self._open.set()
        await come_about(lambda: all(worker.is_finished for worker in workers))
        lingering.may_go.set()
        await closing
        assert [worker.error for worker in workers if not isinstance(worker.error, asyncio.CancelledError | None)] == []


async def come_about(condition: Callable[[], bool]) -> None:
    """Wait as `until`, which waits for every widget's messages: a screen that is half closed takes none."""
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to that")


async def _awaited(what: Any) -> None:
    await what


@pytest.fixture
def gates(monkeypatch: pytest.MonkeyPatch) -> Gates:
    return Gates(monkeypatch)


@dataclass(frozen=True)
class Case:
    """A worker: what it awaits, its answer, and how it begins."""

    owner: object
    name: str
    answer: object
    begin: Callable[[Any], Worker[None]]


ROW = make_rows()[4]
LIVE = [
    Case(Waits, "load", True, lambda screen: screen._ask_now(0.0)),
    Case(DurationBaselines, "load", None, lambda screen: screen._load_baselines(RUN)),
    Case(ShownTask, "load", None, lambda screen: screen._load_task(ROW)),
    Case(LiveCommands, "retry", True, lambda screen: screen._retry([ROW])),
    Case(LiveCommands, "retry_failed", True, lambda screen: screen.action_retry_failed()),
    Case(LiveCommands, "toggle_pause", None, lambda screen: screen.action_pause()),
    Case(LiveCommands, "change_workers", None, lambda screen: screen.action_workers(1)),
    Case(PipeloomApp, "push_screen_wait", "elapsed", lambda screen: screen.action_sort()),
]
SHOWN: tuple[Any, ...] = AttemptRow(1, 1, 1, 1, "a", ROW.status), [], [], None
HISTORY = [
    Case(history, "read_attempt", SHOWN, lambda screen: screen._show_detail(1)),
    Case(history, "choose_filter", "failed", lambda screen: screen.action_filters()),
    Case(orders, "ask", orders.SLOWEST, lambda screen: screen.action_sort()),
    Case(rerun, "retry", True, lambda screen: screen.action_retry()),
    Case(rerun, "retry_failed", True, lambda screen: screen.action_retry_failed()),
    Case(actions, "show_report", 1, lambda screen: screen.open_report("days")),
    Case(actions, "prune", None, lambda screen: screen.action_prune()),
    Case(lists, "read", 1, lambda screen: screen.lists._count_all(Filter(), 1)),
    Case(file_table, "read", {}, lambda screen: screen.lists.attempts._load(0, [0])),
]


async def test_the_workers_of_the_live_screen_end_with_it(cockpit: Cockpit, gates: Gates) -> None:
    app = cockpit.app
    async with app.run_test(size=(120, 40)) as pilot:
        cockpit.commit(make_rows(), RUN)
        await cockpit.settle(pilot)
        await pilot.press("d")
        await pilot.pause()
        screen = cockpit.live
        workers = begun(LIVE, gates, screen)
        await app.switch_mode("history")
        await gates.close_in_between(pilot, screen, lambda: app.remove_mode("live"), workers)


async def test_the_workers_of_the_history_end_with_it(tmp_path: Path, gates: Gates) -> None:
    app = PipeloomApp(make(tmp_path / "etl.db", 5))
    async with app.run_test(size=(140, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen) and app.screen.lists.is_read)
        screen = app.screen
        await until(pilot, lambda: all(worker.is_finished for worker in app.workers))
        workers = begun(HISTORY, gates, screen)
        await app.switch_mode("start")
        await gates.close_in_between(pilot, screen, lambda: app.remove_mode("history"), workers)


async def test_the_workers_of_the_home_screen_end_with_it(
    tmp_path: Path, gates: Gates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    UserRecords("pipelines").change(lambda known: known.update({"/etl.db": {"used": "2026"}}))
    app = HomeApp(HomeScreen(look_at=FileSummary), clock=lambda: CLOCK)

    async def yes(*_: object) -> bool:
        return True

    monkeypatch.setattr(app, "push_screen_wait", yes)
    async with app.run_test() as pilot:
        screen = app.screen
        assert isinstance(screen, HomeScreen)
        await until(pilot, lambda: screen.left_to_read == 0)
        gates.hold(asyncio, "to_thread")
        workers = [screen.action_forget()]
        await gates.close_in_between(pilot, screen, app.pop_screen, workers)


async def test_the_worker_of_a_report_ends_with_it(tmp_path: Path, gates: Gates) -> None:
    app = PipeloomApp(make(tmp_path / "etl.db", 5))
    async with app.run_test(size=(140, 40)) as pilot:
        screen = TaskChartScreen(tmp_path / "etl.db", "task-1")
        gates.hold(base, "read")
        await app.push_screen(screen)
        workers = [worker for worker in app.workers if worker.node is screen]
        await gates.close_in_between(pilot, screen, app.pop_screen, workers)


@pytest.mark.parametrize("removes", [False, True], ids=["count", "remove"])
async def test_the_workers_of_the_prune_dialog_end_with_it(tmp_path: Path, gates: Gates, removes: bool) -> None:
    app = ThemedApp()
    async with app.run_test() as pilot:
        screen = prune.PruneDialog(make(tmp_path / "etl.db", 5))
        await app.push_screen(screen)
        with screen.prevent(Input.Changed):
            screen.query_one("#prune-keep", Input).value = "1"
        gates.hold(prune, "read", PrunePreview())
        gates.hold(asyncio, "to_thread")
        workers = [screen._carry_out(Policy(1)) if removes else screen._count()]
        await gates.close_in_between(pilot, screen, app.pop_screen, workers)


async def test_the_workers_of_the_dialog_of_workers_end_with_it(gates: Gates) -> None:
    app = ThemedApp()
    change: Callable[[LimitStep], Awaitable[None]] = gates.held()
    async with app.run_test() as pilot:
        screen = WorkersDialog(gates.held(WorkersSeen([])), str, change)
        await app.push_screen(screen)
        workers = [worker for worker in app.workers if worker.node is screen]
        assert len(workers) == 1
        await gates.close_in_between(pilot, screen, app.pop_screen, workers)


def begun(cases: Sequence[Case], gates: Gates, screen: Screen[Any]) -> list[Worker[None]]:
    for case in cases:
        gates.hold(case.owner, case.name, case.answer)
    return [case.begin(screen) for case in cases]


# -- the mechanism -------------------------------------------------------------------------------------------------


class Working(Screen[None]):
    """Has workers that say how far they have come."""

    said: ClassVar[list[str]] = []

    def __init__(self, gate: Callable[..., Awaitable[Any]]) -> None:
        super().__init__()
        self._gate = gate

    def compose(self) -> Any:
        yield Static("there")

    @work()
    async def until_closed(self) -> None:
        await self._gate()
        self.query_one(Static)
        self.said.append("went on")

    @textual_work(exit_on_error=False)
    async def as_textual_has_it(self) -> None:
        await self._gate()
        self.query_one(Static)


@asynccontextmanager
async def working(gates: Gates) -> AsyncIterator[tuple[Pilot[None], Working]]:
    app: App[None] = ThemedApp()
    async with app.run_test() as pilot:
        screen = Working(gates.held())
        await app.push_screen(screen)
        yield pilot, screen


async def test_a_worker_goes_on_while_its_screen_is_there(gates: Gates) -> None:
    Working.said.clear()
    async with working(gates) as (pilot, screen):
        worker = screen.until_closed()
        await until(pilot, lambda: gates.waiting)
        gates._open.set()
        await worker.wait()
    assert Working.said == ["went on"]


async def test_a_worker_of_textual_finds_no_widget(gates: Gates) -> None:
    """Why there is one of ours."""
    async with working(gates) as (pilot, screen):
        with pytest.raises(AssertionError, match="NoMatches"):
            await gates.close_in_between(pilot, screen, pilot.app.pop_screen, [screen.as_textual_has_it()])


async def test_a_worker_does_not_go_on_when_its_screen_is_half_closed(gates: Gates) -> None:
    Working.said.clear()
    async with working(gates) as (pilot, screen):
        await gates.close_in_between(pilot, screen, pilot.app.pop_screen, [screen.until_closed()])
    assert Working.said == []


def test_no_screen_uses_the_workers_of_textual() -> None:
    taken = [
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "textual" and "work" in [one.name for one in node.names]
    ]
    assert taken == ["textual_compat/work.py"]
