"""The home screen: what it shows, and what its keys do."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.tui.conftest import CLOCK, SnapCompare, at, text_of, until
from textual.pilot import Pilot

from pipeloom import Pipeline, TaskDef, run_pipeline
from pipeloom.home.known import KnownFile, known_files, note_opened
from pipeloom.home.look import FileSummary
from pipeloom.home.rhythm import Rhythm
from pipeloom.status import RunStatus, Status
from pipeloom.store.rows import RunRow
from pipeloom.tui.home.app import HomeApp
from pipeloom.tui.home.columns import interval
from pipeloom.tui.home.screen import HomeScreen
from pipeloom.user_state import UserRecords

FILES = {
    "orders.db": "/home/ana/etl/orders.py",
    "weather.db": "/home/ana/etl/weather.py:hourly",
    "cows.db": "pipeloom.demo:demo",
    "a-very-long-name-of-a-file-of-the-year-2026.db": "",
    "old.db": "",
    "gone.db": "/home/ana/etl/gone.py",
    "[red]x\x1b[31m.db": "",
    "reading.db": "",
}
DAILY = Rhythm(86_400.0, 86_400.0, 30 * 86_400.0)


def made_up(file: KnownFile) -> FileSummary:
    def run(status: RunStatus, second: float, name: str) -> RunRow:
        return RunRow(12, name, status, at(second), finished_at=at(second + 60))

    day = -86_400.0
    match file.path.name:
        case "orders.db":
            return FileSummary(
                file,
                size=4_300_000,
                run=run(RunStatus.DONE, 2 * day, "orders"),
                counts={Status.DONE: 120},
                rhythm=DAILY,
            )
        case "weather.db":
            return FileSummary(
                file,
                size=90_000,
                run=run(RunStatus.RUNNING, 0, "weather"),
                counts={Status.DONE: 3, Status.RUNNING: 4, Status.QUEUED: 40},
                rhythm=DAILY,
            )
        case "cows.db":
            return FileSummary(
                file,
                size=812,
                run=run(RunStatus.ERROR, -7200, "demo"),
                counts={Status.ERROR: 3, Status.DONE: 37, Status.SKIPPED: 2},
                rhythm=Rhythm(900, 900, 1e6),
            )
        case "old.db":
            return FileSummary(
                file,
                remark="newer",
                size=1_200_000_000,
                run=run(RunStatus.DONE, 40 * day, "old"),
                counts={Status.DONE: 1_000_000},
            )
        case "gone.db":
            return FileSummary(file, "gone")
        case "reading.db":
            return FileSummary(file, size=1000)
        case name:
            return FileSummary(file, "no database" if name.startswith("[") else "locked", size=77)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's list of made-up files."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", "/home/ana")
    return tmp_path / "state"


@pytest.fixture
def listed(state: Path) -> Path:
    """The same, of made-up files."""

    def fill(known: dict[str, Any]) -> None:
        for place, (name, pipeline) in enumerate(FILES.items()):
            known[f"/home/ana/etl/{name}"] = {"last": pipeline, "used": at(-place)}

    UserRecords("pipelines").change(fill)
    return state


def app_of(look_at: Callable[[KnownFile], FileSummary] = made_up, **more: Any) -> HomeApp:
    return HomeApp(HomeScreen(look_at=look_at, **more), clock=lambda: CLOCK)


def is_read(app: HomeApp) -> bool:
    return isinstance(app.screen, HomeScreen) and app.screen.left_to_read == 0


def choice_of(app: HomeApp) -> tuple[Path, str | None] | None:
    return None if app.chosen is None else (app.chosen.path, app.chosen.pipeline)


async def filled(pilot: Pilot[None]) -> None:
    app = pilot.app
    assert isinstance(app, HomeApp)
    await until(pilot, lambda: is_read(app))


async def test_a_list_that_cannot_be_read_is_told_and_kept(state: Path) -> None:
    path = state / "pipeloom" / "pipelines.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    app = app_of()
    async with app.run_test(size=(200, 40), notifications=True) as pilot:
        await until(pilot, lambda: "pipelines.json.unreadable" in text_of(app))
    assert path.with_name("pipelines.json.unreadable").read_text() == "{"


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
@pytest.mark.parametrize("ascii_only", [False, True], ids=["", "ascii"])
def test_the_list(snap_compare: SnapCompare, listed: Path, size: tuple[int, int], ascii_only: bool) -> None:
    app = HomeApp(HomeScreen(look_at=made_up), clock=lambda: CLOCK, ascii_only=ascii_only)
    assert snap_compare(app, terminal_size=size, run_before=filled)


def test_an_empty_list_says_how_to_begin(snap_compare: SnapCompare, state: Path) -> None:
    assert snap_compare(app_of(), terminal_size=(80, 24), run_before=filled)


def test_the_question_before_a_run(snap_compare: SnapCompare, listed: Path) -> None:
    async def before(pilot: Pilot[None]) -> None:
        await filled(pilot)
        await pilot.press("n")

    assert snap_compare(app_of(), terminal_size=(80, 24), run_before=before)


async def test_rows_are_there_at_once_and_filled_as_they_are_read(listed: Path) -> None:
    gate = threading.Event()

    def slow(file: KnownFile) -> FileSummary:
        gate.wait(30)
        return made_up(file)

    app = app_of(slow)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "8 files" in text_of(app))
        assert "weather.db" in text_of(app)
        assert "running" not in text_of(app)
        gate.set()
        await until(pilot, lambda: "1 running" in text_of(app))


async def test_enter_opens_and_what_cannot_be_opened_is_told(listed: Path) -> None:
    app = app_of()
    async with app.run_test(notifications=True) as pilot:
        await filled(pilot)
        await pilot.press(*["down"] * 5, "enter")
        await until(pilot, lambda: "gone.db cannot be opened: gone." in text_of(app))
        assert choice_of(app) is None
        await pilot.press("home", "enter")
        await until(pilot, lambda: app.chosen)
    assert choice_of(app) == (Path("/home/ana/etl/orders.db"), None)


async def test_n_asks_and_runs_what_the_users_own_list_names(listed: Path) -> None:
    app = app_of()
    async with app.run_test(notifications=True) as pilot:
        await filled(pilot)
        await pilot.press("n")
        await until(pilot, lambda: "/home/ana/etl/orders.py" in text_of(app))
        await pilot.press("n")  # is no yes
        await until(pilot, lambda: is_read(app))
        assert choice_of(app) is None
        await pilot.press("down", "n")
        await until(pilot, lambda: "A run of weather.db goes on" in text_of(app))
        await pilot.press("down", "down", "n")
        await until(pilot, lambda: "You have run no pipeline on" in text_of(app))
        await pilot.press("home", "n")
        await until(pilot, lambda: "Run it" in text_of(app))
        await pilot.press("y")
        await until(pilot, lambda: app.chosen)
    assert choice_of(app) == (Path("/home/ana/etl/orders.db"), "/home/ana/etl/orders.py")


async def test_nothing_is_run_when_the_screen_is_for_reading_only(listed: Path) -> None:
    app = app_of(read_only=True)
    async with app.run_test() as pilot:
        await filled(pilot)
        await pilot.press("n")
        await pilot.pause()
        assert is_read(app)
        assert "Run again" not in text_of(app)


async def test_delete_asks_and_forgets(listed: Path) -> None:
    app = app_of()
    async with app.run_test() as pilot:
        await filled(pilot)
        await pilot.press("down", "delete")
        await until(pilot, lambda: "Forget weather.db?" in text_of(app))
        await pilot.press("n")
        await until(pilot, lambda: is_read(app))
        assert len(known_files()) == 8
        await pilot.press("delete")
        await until(pilot, lambda: "Forget weather.db?" in text_of(app))
        await pilot.press("delete")
        await until(pilot, lambda: "7 files" in text_of(app))
        assert "weather.db" not in [file.path.name for file in known_files()]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(20, "20s"), (899, "15m"), (3590, "1h"), (86_400, "24h"), (86_000, "24h"), (172_000, "2d"), (604_800, "7d")],
)
def test_an_interval_is_told_in_the_unit_that_suits_it(seconds: float, told: str) -> None:
    assert interval(seconds) == told


@pytest.fixture
def two_hundred(state: Path, tmp_path: Path) -> list[Path]:
    """As many files, each with 12 runs of 100 tasks."""
    pipeline = Pipeline("p", [TaskDef(number, f"t{number}") for number in range(100)], lambda task, q: None)
    first = tmp_path / "0.db"
    for _ in range(12):
        run_pipeline(first, pipeline, ui="none")
    with closing(sqlite3.connect(first)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    paths = [first, *(tmp_path / f"{number}.db" for number in range(1, 200))]
    for path in paths[1:]:
        path.write_bytes(first.read_bytes())
    UserRecords("pipelines").change(
        lambda known: known.update({str(path): {"used": datetime.now(UTC).isoformat()} for path in paths})
    )
    return paths


async def test_two_hundred_files_are_read(two_hundred: list[Path]) -> None:
    screen = HomeScreen()
    app = HomeApp(screen)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: screen.left_to_read == 0)
        await pilot.pause()
        assert text_of(app).count("✓100") > 30


async def test_a_file_that_changes_is_read_again(state: Path, tmp_path: Path) -> None:
    path = tmp_path / "etl.db"
    path.touch()
    note_opened(path)
    screen = HomeScreen()
    app = HomeApp(screen, clock=lambda: CLOCK)
    async with app.run_test() as pilot:
        await until(pilot, lambda: "empty" in text_of(app))
        run_pipeline(path, Pipeline("p", [TaskDef(1, "a")], lambda task, q: None), ui="none")
        screen._watch.look()
        await until(pilot, lambda: "✓ done" in text_of(app))
        path.unlink()
        screen._watch.look()
        await until(pilot, lambda: "1 gone" in text_of(app))
