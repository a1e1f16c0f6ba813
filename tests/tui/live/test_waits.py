"""Why tasks wait, on the live screen: in the message, in the detail and in the filter, of this process and another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from tests.conftest import Own
from tests.engine.schedule.test_limits import Workers
from tests.tui.conftest import Cockpit, SnapCompare, Synthetic, text_of, until
from textual.pilot import Pilot

from pipeloom import Limit, Pipeline, TaskDef
from pipeloom.engine.control.client import ControlClient
from pipeloom.engine.engine import Engine
from pipeloom.status import Status
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.live.screen import LiveScreen

SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
TASKS = [
    *(TaskDef(f"orders-{number}", limits=["api"]) for number in (1, 2, 3)),
    *(TaskDef(f"plain-{number}") for number in (1, 2, 3)),
    TaskDef("join", after=["orders-2", "plain-1"]),
]


@asynccontextmanager
async def run_under_way(folder: Path) -> AsyncIterator[tuple[PipeloomApp, Pilot[None], Workers]]:
    """Two workers are busy, with `orders-1` and `plain-1`, of which the first uses the limit up."""
    workers = Workers()
    engine = Engine(folder / "etl.db", Pipeline("shop", TASKS, workers, workers=2, limits={"api": Limit(1)}))
    app = PipeloomApp(engine.db_path, engine)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: app.board.counts[Status.RUNNING] == 2)
        try:
            yield app, pilot, workers
        finally:
            workers.let_go()
    await asyncio.to_thread(engine.close)


def line(app: PipeloomApp, name: str) -> str:
    """The line of a task."""
    return next((line for line in text_of(app).splitlines() if f" {name} " in line), "")


def says(app: PipeloomApp, **words: str) -> bool:
    """Whether the lines of tasks say these words."""
    return all(why in line(app, name.replace("_", "-")) for name, why in words.items())


async def test_each_waiting_task_says_why_and_keeps_up(tmp_path: Path) -> None:
    async with run_under_way(tmp_path) as (app, pilot, workers):
        why = {
            "orders_2": "limit api: 1 of 1 by orders-1",
            "plain_2": "2 workers busy, 1st in line",
            "plain_3": "2 workers busy, 2nd in line",
            "join": "after orders-2, plain-1",
        }
        await until(pilot, partial(says, app, **why))
        await pilot.press("p")
        await until(pilot, partial(says, app, orders_2="paused", plain_2="paused", join="after orders-2, plain-1"))
        await pilot.press("p")
        await until(pilot, partial(says, app, **why))
        workers.let_go("plain-1")
        await until(pilot, partial(says, app, plain_3="2 workers busy, 1st in line", join="after orders-2"))
        assert "plain-1" not in line(app, "join")


async def test_the_detail_says_why_and_follows_the_cursor(tmp_path: Path) -> None:
    async with run_under_way(tmp_path) as (app, pilot, _workers):
        assert isinstance(app.screen, LiveScreen)
        app.screen.table.move_to_key("join")
        await pilot.press("d")
        await until(pilot, lambda: "waits     after orders-2, plain-1" in text_of(app))
        app.screen.table.move_to_key("orders-3")
        await until(pilot, lambda: "waits     limit api: 1 of 1 by orders-1" in text_of(app))
        app.screen.table.move_to_key("plain-1")
        await until(pilot, lambda: "waits  " not in text_of(app))


async def test_the_filter_finds_what_waits_for_something_as_that_changes(tmp_path: Path) -> None:
    async with run_under_way(tmp_path) as (app, pilot, workers):

        def shown() -> list[object]:
            return [row.task_id for row in app.board.shown()]

        await pilot.press("slash", *"waits:api", "enter")
        await until(pilot, lambda: shown() == ["orders-2", "orders-3"])
        workers.let_go("orders-1")
        await until(pilot, lambda: shown() == ["orders-3"])
        await pilot.press("slash", *",workers", "enter")
        await until(pilot, lambda: shown() == ["orders-3", "plain-2", "plain-3"])
        await pilot.press("slash", "home", "minus", "enter")
        await until(pilot, lambda: "orders-3" not in shown() and "join" in shown())
        await pilot.press("escape")
        await until(pilot, lambda: len(shown()) == len(TASKS))


async def test_the_history_says_that_nothing_in_it_waits(tmp_path: Path) -> None:
    async with run_under_way(tmp_path) as (app, pilot, _workers):
        await pilot.press("2")
        await pilot.press("slash", *"waits:api", "enter")
        await until(pilot, lambda: "waits: is for a run that goes on" in text_of(app))


@pytest.mark.kill
async def test_a_viewer_asks_the_process_that_runs(tmp_path: Path, own: Own) -> None:
    owner = own(5)
    app = PipeloomApp(tmp_path / "etl.db")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, partial(says, app, gated_3="2 workers busy, 1st in line"))
        await pilot.press("slash", *"waits:workers", "enter")
        await until(pilot, lambda: [row.task_id for row in app.board.shown()] == [3, 4, 5])
        client = ControlClient(tmp_path / "etl.db", 1)
        await asyncio.to_thread(client.pause)
        await until(pilot, lambda: "paused 0" in text_of(app).splitlines()[0])
        await until(pilot, lambda: not app.board.shown())
        await asyncio.to_thread(client.resume)
        await until(pilot, lambda: "running 0" in text_of(app).splitlines()[0])
        owner.tell("go-1")
        await until(pilot, partial(says, app, gated_4="2 workers busy, 1st in line"))
        await until(pilot, lambda: [row.task_id for row in app.board.shown()] == [4, 5])
        owner.kill()
        await until(pilot, lambda: "VIEWER" not in text_of(app))


@pytest.mark.parametrize("control", [False, True])
async def test_a_viewer_of_a_paused_run_says_so_when_no_task_in_view_waits(
    tmp_path: Path, own: Own, *, control: bool
) -> None:
    own(2)
    app = PipeloomApp(tmp_path / "etl.db", control=control)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "running 0" in text_of(app).splitlines()[0])
        client = ControlClient(tmp_path / "etl.db", 1)
        await asyncio.to_thread(client.pause)
        await until(pilot, lambda: "paused 0" in text_of(app).splitlines()[0])
        assert "eta" not in text_of(app).splitlines()[0]
        await asyncio.to_thread(client.resume)
        await until(pilot, lambda: "running 0" in text_of(app).splitlines()[0])


class Answers:
    """Questions that are answered as a test says, with words that a task may have chosen."""

    WHY = (
        "after seattle-2012-01, [red]seattle[/]",
        "limit host:[/]: 2 of 2 by seattle-2012-01, seattle-2012-02 and 3 others",
        "4 workers busy, 1,022nd in line",
    )

    is_stale = False

    async def why_waiting(self, attempt_ids: Sequence[int]) -> dict[int, str] | None:
        return dict(zip(sorted(attempt_ids), self.WHY, strict=False))

    async def waiting_for(self, what: Collection[str]) -> Sequence[int]:
        return ()

    def work_s(self, took_s: float) -> float:
        return took_s


@SIZES
@pytest.mark.parametrize("detail", [False, True], ids=["table", "detail"])
def test_reasons(
    snap_compare: SnapCompare, cockpit: Cockpit, synthetic: Synthetic, size: tuple[int, int], *, detail: bool
) -> None:
    cockpit.app.questions = Answers()  # type: ignore[assignment]

    async def before(pilot: Pilot[None]) -> None:
        rows = synthetic.rows(12)
        failed = rows[4]._replace(id=4, task_id=4, name=rows[3].name, message="Refused: 429")
        cockpit.commit([*rows[:3], failed, *rows[4:]], synthetic.run)
        cockpit.commit([rows[3]])
        await cockpit.settle(pilot)
        await until(pilot, lambda: "1,022nd" in text_of(pilot.app) or "4 workers" in text_of(pilot.app))
        if detail:
            queued = next(row for row in rows if row.status is Status.QUEUED)
            cockpit.live.table.move_to_key(queued.task_id)
            await pilot.press("d")
            await until(pilot, lambda: "waits     after" in text_of(pilot.app))

    assert snap_compare(cockpit.app, terminal_size=size, run_before=before)
