"""`y` and `Y`: the clipboards, and the command that returns to what is on the screen."""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Own, WaitFor
from tests.tui.conftest import text_of
from tests.tui.conftest import until as until_true
from tests.tui.history.test_history_screen import make, until
from textual.pilot import Pilot
from textual.screen import Screen

from pipeloom import Pipeline, TaskDef, run_pipeline
from pipeloom.errors import UsageError
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.history.screen import HistoryScreen
from pipeloom.tui.live.screen import LiveScreen
from pipeloom.tui.sharing import clipboard
from pipeloom.tui.sharing.place import Place
from pipeloom.user_state import UserState

pytest.importorskip("pyperclip")

SLOW = """#!{python}
import sys, time
text = sys.stdin.read()
open({started!r}, "w").write(text)
while True:
    time.sleep(60)
"""
FAST = """#!{python}
import sys
open({taken!r}, "w").write(sys.stdin.read())
"""


@pytest.fixture
def xclip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a function that puts a program `xclip` on the path, the only one that keeps a clipboard."""

    def put(script: str) -> Path:
        folder, note = tmp_path / "bin", tmp_path / "note"
        folder.mkdir(exist_ok=True)
        (folder / "xclip").write_text(script.format(python=sys.executable, started=str(note), taken=str(note)))
        (folder / "xclip").chmod(0o755)
        which = shutil.which("which")
        assert which is not None
        if not (folder / "which").exists():
            (folder / "which").symlink_to(which)
        monkeypatch.setenv("PATH", f"{folder}:{Path(which).parent}:/bin")
        monkeypatch.setenv("DISPLAY", ":99")
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        return note

    return put


def test_the_systems_clipboard_gets_the_text(xclip: Callable[[str], Path]) -> None:
    note = xclip(FAST)
    assert clipboard.copy_to_system("größe\n× 2", 60.0)
    assert note.read_text(encoding="utf-8") == "größe\n× 2"


def test_a_clipboard_that_hangs_is_ended_and_holds_nothing_up(xclip: Callable[[str], Path], wait_for: WaitFor) -> None:
    note = xclip(SLOW)
    copied: list[str] = []

    class Services:
        def copy_to_clipboard(self, text: str) -> None:
            copied.append(text)

    clipboard.copy(Services(), "one")  # returns at once
    assert copied == ["one"]
    wait_for(note.exists)
    clipboard.copy(Services(), "two")  # one at a time: the terminal has it
    assert copied == ["one", "two"]
    assert not clipboard.copy_to_system("three")
    wait_for(lambda: not clipboard._busy.locked())
    assert note.read_text() == "one"
    assert not running("xclip")


def running(name: str) -> list[int]:
    import psutil

    folder = os.environ["PATH"].partition(":")[0]
    found = []
    for process in psutil.process_iter(["cmdline", "pid"]):
        if any(word == f"{folder}/{name}" for word in process.info["cmdline"] or ()):
            found.append(process.info["pid"])
    return found


def test_without_a_system_clipboard_the_terminals_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    assert not clipboard.copy_to_system("text", 60.0)


# -- the command ---------------------------------------------------------------------------------------------------


def test_the_command_is_quoted_for_a_shell() -> None:
    place = Place(history=True, where="status:error 'it''s' $x", order="-duration_s", run=3)
    command = place.command(Path("/data/my file.db"), "--ascii")
    assert shlex.split(command) == [
        "pipeloom-tui",
        "/data/my file.db",
        "--ascii",
        "--history",
        "--filter=status:error 'it''s' $x",
        "--order=-duration_s",
        "--run=3",
    ]
    with pytest.raises(ValueError, match="control characters"):
        Place(where="a\x1b[201~rm").command(Path("etl.db"))


def test_a_place_that_is_lent_is_not_kept(tmp_path: Path) -> None:
    memory = UserState(tmp_path / "etl.db", tmp_path / "state.json")
    memory.put("history.filter", "status:done")
    Place(history=True, run=2).lend_to(memory)
    assert [memory.get("history.filter"), memory.get("history.run")] == ["", "2"]
    assert [memory.get("history.filter"), memory.get("history.run")] == ["status:done", ""]


def copied(app: PipeloomApp) -> list[str]:
    """Return the arguments of the command that was copied."""
    command = app._clipboard
    assert command.startswith("pipeloom-tui ")
    return shlex.split(command)[1:]


def opened(arguments: list[str]) -> PipeloomApp:
    """Return the app that the program makes of its arguments."""
    import typer

    from pipeloom.cli import cockpit

    made: list[tuple[Path, Place | None]] = []

    def show(path: Path, _engine: object, _hangup: object, place: Place | None = None, **_look: bool) -> None:
        made.append((path, place))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cockpit, "_show", show)
        patch.setattr(cockpit, "has_terminal", lambda: True)
        typer.main.get_command(cockpit.program).main(arguments, standalone_mode=False)
    ((path, place),) = made
    memory = UserState(path, path.with_name("state.json"))
    assert place is not None
    place.lend_to(memory)
    return PipeloomApp(path, memory=memory)


async def test_the_command_returns_to_the_history(tmp_path: Path) -> None:
    app = PipeloomApp(with_runs(tmp_path / "my etl.db"))
    async with app.run_test(size=(140, 40), notifications=True) as pilot:
        await until(app, pilot, "2,500 attempts")
        screen = app.screen
        assert isinstance(screen, HistoryScreen)
        await pilot.press("right_square_bracket", "left_square_bracket", "left_square_bracket")
        await until(app, pilot, "run 2")
        screen.filter_bar.set("status:error task-1")
        await until(app, pilot, "status:error task-1")
        await pilot.press("down", "down", "d")
        await pilot.pause()
        screen.detail.show_tab("log")
        await pilot.pause()
        wanted = screen.detail.plain, screen.place()
        await pilot.press("Y")
        await pilot.pause()
        assert "Copied: pipeloom-tui" in text_of(app)
        arguments = copied(app)
    assert wanted[1].run == 2
    assert wanted[1].attempt is not None
    again = opened(arguments)
    async with again.run_test(size=(140, 40)) as pilot:
        screen = again.screen
        assert isinstance(screen, HistoryScreen)
        for _ in range(400):
            if (screen.detail.plain, screen.place()) == wanted:
                break
            await pilot.pause(0.02)
        assert (screen.detail.plain, screen.place()) == wanted


@pytest.mark.parametrize("keys", [("g",), ("g", "g"), ("S",), ("b", "down", "enter", "S")])
async def test_views_and_orders_come_back(tmp_path: Path, keys: tuple[str, ...]) -> None:
    app = PipeloomApp(with_runs(tmp_path / "etl.db"))
    async with app.run_test(size=(140, 40)) as pilot:
        await until(app, pilot, "2,500 attempts")
        await pilot.press(*keys)
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, HistoryScreen)
        wanted = screen.place()
        await pilot.press("Y")
        arguments = copied(app)
    assert wanted != Place(history=True)
    again = opened(arguments)
    async with again.run_test(size=(140, 40)) as pilot:
        screen = again.screen
        assert isinstance(screen, HistoryScreen)
        await at(pilot, screen, wanted)


REPORTS = {"t": "timeline:3", "h": "task:task-2500", "D": "days", "c": "attempts:2499,2500", "b c": "runs:2,3"}


@pytest.mark.parametrize(("keys", "report"), REPORTS.items(), ids=REPORTS.values())
async def test_the_command_returns_to_a_report(tmp_path: Path, keys: str, report: str) -> None:
    from pipeloom.tui.reports.base import ReportScreen

    path = with_runs(tmp_path / "etl.db")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE task_runs SET name = 'task-2500' WHERE id = 2499")
    app = PipeloomApp(path)
    async with app.run_test(size=(140, 40), notifications=True) as pilot:
        await until(app, pilot, "2,500 attempts")
        if keys.startswith("b"):
            await pilot.press("b", "down")
        await pilot.press(keys[-1])
        await shown(pilot)
        await pilot.press("Y")
        await until(app, pilot, "Copied: pipeloom-tui")
        arguments, seen = copied(app), text_of(app).splitlines()[:20]
    assert arguments == [str(path), "--history", f"--report={report}"]
    again = opened(arguments)
    async with again.run_test(size=(140, 40)) as pilot:
        screen = await shown(pilot)
        assert isinstance(screen, ReportScreen)
        assert text_of(again).splitlines()[:20] == seen
        await pilot.press("escape")
        assert isinstance(again.screen, HistoryScreen)


async def test_an_attempt_is_chosen_on_a_timeline_that_a_command_has_opened(tmp_path: Path) -> None:
    pipeline = Pipeline("p", [TaskDef(1, "a")], lambda task, q: None)
    run_pipeline(tmp_path / "etl.db", pipeline, ui="none")
    app = opened([str(tmp_path / "etl.db"), "--report=timeline:1"])
    async with app.run_test(size=(140, 40)) as pilot:
        await shown(pilot)
        await pilot.press("enter")
        screen = app.screen
        assert isinstance(screen, HistoryScreen)
        await at(pilot, screen, Place(history=True, attempt=1, tab="overview"))


@pytest.mark.parametrize("text", ["", "weeks", "timeline", "timeline:x", "runs:1", "runs:1,2,3", "attempts:-1,2"])
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="--report is days, timeline:RUN"):
        opened([str(make(tmp_path / "etl.db", 1)), f"--report={text}"])


async def shown(pilot: Pilot[None]) -> Screen[Any]:
    """Return the report on the screen, once it was read."""
    from pipeloom.tui.reports.base import ReportScreen

    await until_true(pilot, lambda: isinstance(pilot.app.screen, ReportScreen) and pilot.app.screen.found is not None)
    await pilot.pause()
    return pilot.app.screen


async def at(pilot: Pilot[None], screen: LiveScreen | HistoryScreen, wanted: Place) -> None:
    """Wait until a screen shows a place."""
    for _ in range(400):
        if screen.place() == wanted:
            return
        await pilot.pause(0.02)
    assert screen.place() == wanted


async def test_the_command_of_the_live_screen_returns_to_the_run_or_to_what_is_left_of_it(
    tmp_path: Path, own: Own
) -> None:
    owner = own(3)
    app = PipeloomApp(tmp_path / "etl.db")
    async with app.run_test(size=(140, 40)) as pilot:
        await until(app, pilot, "of 3")
        screen = app.screen
        assert isinstance(screen, LiveScreen)
        screen.filter_bar.set("-status:done")
        await pilot.pause()
        await pilot.press("down", "l", "Y")
        arguments = copied(app)
        wanted = screen.place()
    assert arguments == [str(tmp_path / "etl.db"), "--filter=-status:done", "--run=1", "--task=2", "--tab=log"]
    again = opened(arguments)
    async with again.run_test(size=(140, 40)) as pilot:
        await until(again, pilot, "of 3")
        screen = again.screen
        assert isinstance(screen, LiveScreen)
        await at(pilot, screen, wanted)
    forced = opened([*arguments, "--history"])
    async with forced.run_test(size=(140, 40)) as pilot:
        await until(forced, pilot, "run 1")
        assert isinstance(forced.screen, HistoryScreen)
    owner.close()
    after = opened(arguments)
    async with after.run_test(size=(140, 40)) as pilot:
        await until(after, pilot, "run 1")
        screen = after.screen
        assert isinstance(screen, HistoryScreen)
        await at(pilot, screen, Place(history=True, where="-status:done", run=1, attempt=2, tab="log"))


async def test_y_is_in_the_help_and_the_palette(tmp_path: Path) -> None:
    app = PipeloomApp(make(tmp_path / "etl.db", 5))
    async with app.run_test(size=(140, 60)) as pilot:
        await until(app, pilot, "5 attempts")
        tooltips = [active.binding.tooltip for active in app.screen.active_bindings.values()]
        assert "Copy the command that returns to this." in tooltips
        await pilot.press("question_mark")
        await until(app, pilot, "Copy the command that returns to this.")


def with_runs(path: Path) -> Path:
    """Make a file with 2,500 attempts of three runs."""
    from pipeloom.status import RunStatus
    from pipeloom.store.rows import RunRow
    from pipeloom.store.write.connect import close_writer, open_writer
    from pipeloom.store.write.ledger import Ledger

    make(path, 2_500)
    connection = open_writer(path, durability="normal")
    ledger = Ledger(connection)
    ledger.begin()
    for number in (1, 2, 3):
        at = f"2026-08-0{number}T10:00:00.000000+00:00"
        ledger.insert_run(RunRow(number, "p", RunStatus.ERROR, at, heartbeat_at=at, finished_at=at))
    ledger.insert_logs((number, 1, at, "INFO", f"log of {number}") for number in range(1, 2_501))
    ledger.commit()
    close_writer(connection)
    return path
