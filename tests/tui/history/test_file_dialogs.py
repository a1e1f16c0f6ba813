"""Export and retention as the screens ask about them."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.tui.conftest import MakeThemedApp, SnapCompare, Synthetic, until
from textual.app import App
from textual.binding import Binding
from textual.pilot import Pilot
from textual.widgets import Button, Input, Static

from pipeloom.export.attempts import ExportPlan
from pipeloom.export.formats import Format
from pipeloom.filters import parse
from pipeloom.status import RunStatus, Status
from pipeloom.store.file.owner import OwnerLock
from pipeloom.store.maintenance import prune as pruning
from pipeloom.store.maintenance.prune import Pruned
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.store.write.ledger import Ledger
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.history.dialogs.export import ExportDialog, export_attempts, export_case, suggested
from pipeloom.tui.history.dialogs.prune import PruneDialog, prune_attempts
from pipeloom.tui.widgets.dialogs import ConfirmDialog

OLD = "2020-01-01T12:00:00.000000+00:00"
SIZES = [(80, 24), (120, 40)]


@pytest.fixture
def db(db_path: Path) -> Path:
    """Three runs of forty tasks each, all of them old."""
    connection = open_writer(db_path)
    ledger = Ledger(connection)
    ledger.begin()
    for run_id in (1, 2, 3):
        ledger.insert_run(RunRow(run_id, "p", RunStatus.DONE, OLD, finished_at=OLD))
    ledger.insert_attempts(
        [
            AttemptRow(n, 1 + (n - 1) // 40, n % 40, 1, f"task-{n}", Status.DONE, message="fine", finished_at=OLD)
            for n in range(1, 121)
        ]
    )
    ledger.commit()
    close_writer(connection)
    return db_path


def ids(path: Path) -> list[int]:
    connection = sqlite3.connect(path)
    try:
        return [row[0] for row in connection.execute("SELECT id FROM task_runs ORDER BY id")]
    finally:
        connection.close()


def contents(path: Path) -> bytes:
    return path.read_bytes()


def can_remove(app: App[None]) -> bool:
    return not app.screen.query_one("#prune-remove", Button).disabled


def note(app: App[None]) -> str:
    return str(app.screen.query_one(".dialog--note", Static).content)


# -- export --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "ending", "format_"),
    [
        ([], ".csv", Format.CSV),
        (["right", "space"], ".jsonl", Format.JSONL),
        (["right", "right", "space"], ".md", Format.MARKDOWN),
        (["right", "space", "left", "space"], ".csv", Format.CSV),
    ],
)
async def test_the_ending_follows_the_format(
    themed_app: MakeThemedApp, tmp_path: Path, keys: list[str], ending: str, format_: Format
) -> None:
    answers: list[ExportPlan | None] = []
    async with themed_app(Static("below")).run_test() as pilot:
        await pilot.app.push_screen(ExportDialog(tmp_path / "etl.db", "Export", tmp_path / "out.csv"), answers.append)
        await pilot.pause()
        await pilot.press(*keys, "tab")
        await pilot.pause()
        assert isinstance(pilot.app.focused, Input)
        assert pilot.app.focused.value == str(tmp_path / f"out{ending}")
        await pilot.press("enter")
        await pilot.pause()
    assert answers == [ExportPlan(format_, tmp_path / f"out{ending}")]


async def test_the_clipboard_takes_no_path(themed_app: MakeThemedApp, tmp_path: Path) -> None:
    answers: list[ExportPlan | None] = []
    async with themed_app(Static("below")).run_test() as pilot:
        await pilot.app.push_screen(ExportDialog(tmp_path / "etl.db", "Export", tmp_path / "out.csv"), answers.append)
        await pilot.pause()
        await pilot.press("right", "right", "right", "space", "tab")
        await pilot.pause()
        assert isinstance(pilot.app.focused, Button)
        assert "kB" in note(pilot.app)
        await pilot.press("tab", "enter")
        await pilot.pause()
    assert answers == [ExportPlan(Format.MARKDOWN)]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("no/out.csv", "There is no folder"),
        ("etl.db", "belongs to the database"),
        (".", "not an ordinary file"),
        ("~no-such-user/out.csv", "Could not determine home directory"),
        ("", "not an ordinary file"),
    ],
)
async def test_a_path_that_cannot_be_written_is_told_and_asked_for_again(
    themed_app: MakeThemedApp, db: Path, monkeypatch: pytest.MonkeyPatch, path: str, words: str
) -> None:
    monkeypatch.chdir(db.parent)
    answers: list[ExportPlan | None] = []
    async with themed_app(Static("below")).run_test() as pilot:
        await pilot.app.push_screen(ExportDialog(db, "Export", Path(path)), answers.append)
        await pilot.pause()
        pilot.app.screen.query_one(Input).value = path
        await pilot.press("tab", "enter")
        await pilot.pause()
        assert words in note(pilot.app)
        assert answers == []
        await pilot.press("escape")
        await pilot.pause()
    assert answers == [None]


@pytest.mark.parametrize(("keys", "replaced"), [(["enter"], False), (["escape"], False), (["right", "enter"], True)])
async def test_a_file_that_is_there_is_only_replaced_after_a_second_question(
    themed_app: MakeThemedApp, tmp_path: Path, keys: list[str], replaced: bool
) -> None:
    target = tmp_path / "out.csv"
    target.write_text("mine")
    answers: list[ExportPlan | None] = []
    async with themed_app(Static("below")).run_test() as pilot:
        await pilot.app.push_screen(ExportDialog(tmp_path / "etl.db", "Export", target), answers.append)
        await pilot.pause()
        await pilot.press("tab", "enter")
        await pilot.pause()
        assert isinstance(pilot.app.screen, ConfirmDialog)
        await pilot.press(*keys)
        await pilot.pause()
        assert isinstance(pilot.app.screen, ExportDialog) is not replaced
    assert answers == ([ExportPlan(Format.CSV, target, overwrite=True)] if replaced else [])


async def test_titles_and_paths_are_text(themed_app: MakeThemedApp, tmp_path: Path, nasty: str) -> None:
    async with themed_app(Static("below")).run_test(notifications=True) as pilot:
        await pilot.app.push_screen(ExportDialog(tmp_path / "etl.db", nasty, Path("out.csv")))
        await pilot.pause()
        pilot.app.screen.query_one(Input).value = nasty.replace("\0", "")[:200]
        await pilot.press("tab", "enter")
        await pilot.pause()
        assert pilot.app.is_running


async def test_what_passes_is_written_and_told(db: Path, synthetic: Synthetic) -> None:
    app = PipeloomApp(db, clock=lambda: synthetic.clock)
    target = suggested(db, synthetic.clock)
    async with app.run_test(notifications=True) as pilot:
        app.run_worker(export_attempts(app, parse("run:2"), 40))
        await until(pilot, lambda: isinstance(app.screen, ExportDialog))
        assert "40 attempts: run:2" in str(app.screen.query_one(".dialog--title", Static).content)
        await pilot.press("tab", "enter")
        await until(pilot, target.exists)
        await until(pilot, lambda: list(app._notifications))
        assert [note.message for note in app._notifications] == [f"40 attempts written to {target}"]
        assert len(target.read_text().splitlines()) == 41
        app.run_worker(export_attempts(app, parse(""), 120))
        await until(pilot, lambda: isinstance(app.screen, ExportDialog))
        await pilot.press("right", "right", "right", "space", "tab", "tab", "enter")
        await until(pilot, lambda: app.clipboard)
        assert app.clipboard.count("\n") == 122


async def test_a_case_file_is_written_beside_the_database(db: Path, synthetic: Synthetic) -> None:
    app = PipeloomApp(db, clock=lambda: synthetic.clock)
    row = AttemptRow(7, 1, 7, 1, "task-7", Status.ERROR)
    target = suggested(db, synthetic.clock, "md", "-case-7")
    async with app.run_test() as pilot:
        app.run_worker(export_case(app, row))
        await until(pilot, lambda: isinstance(app.screen, ExportDialog))
        await pilot.press("tab", "enter")
        await until(pilot, target.exists)
    assert target.read_text().startswith("# task-7: done")


# -- retention -----------------------------------------------------------------------------------------------------


async def test_the_dry_run_follows_the_fields_and_changes_nothing(themed_app: MakeThemedApp, db: Path) -> None:
    before = contents(db)
    async with themed_app(Static("below")).run_test() as pilot:
        await pilot.app.push_screen(PruneDialog(db))
        await pilot.pause()
        assert not can_remove(pilot.app)
        await pilot.press("2")
        await until(pilot, lambda: "40 attempts, 1 run" in note(pilot.app))
        assert can_remove(pilot.app)
        await pilot.press("backspace", "9")
        await until(
            pilot,
            lambda: "Nothing would go: 120 attempts stay, all of the last 9 runs of their task." in note(pilot.app),
        )
        assert not can_remove(pilot.app)
        await pilot.press("backspace", "0")
        await until(pilot, lambda: "--keep-last 1 or more" in note(pilot.app))
        await pilot.press("backspace", "tab", "1", "0")
        await until(pilot, lambda: "120 attempts, 3 runs" in note(pilot.app))
        await pilot.press("backspace", "backspace")
        await until(pilot, lambda: "An attempt goes" in note(pilot.app))
    assert contents(db) == before


@pytest.mark.parametrize("keys", [["enter"], ["escape"], ["right", "left", "enter"]])
async def test_nothing_goes_unless_the_other_button_is_chosen(
    themed_app: MakeThemedApp, db: Path, keys: list[str]
) -> None:
    async with themed_app(Static("below")).run_test() as pilot:
        await pilot.app.push_screen(PruneDialog(db))
        await pilot.press("1")
        await until(pilot, lambda: "80 attempts" in note(pilot.app))
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(pilot.app.screen, ConfirmDialog)
        assert isinstance(pilot.app.focused, Button)
        assert str(pilot.app.focused.label) == "Keep them (n)"
        await pilot.press(*keys)
        await pilot.pause()
        assert isinstance(pilot.app.screen, PruneDialog)
    assert len(ids(db)) == 120


async def test_what_the_policy_lets_go_is_removed_and_told(db: Path) -> None:
    app = PipeloomApp(db)
    async with app.run_test(notifications=True) as pilot:
        app.run_worker(prune_attempts(app, parse("run:1,2")))
        await until(pilot, lambda: isinstance(app.screen, PruneDialog))
        await pilot.press("tab", "3", "0")
        await until(pilot, lambda: "80 attempts, 2 runs" in note(app))
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press("right", "enter")
        await until(pilot, lambda: list(app._notifications))
        assert "80 attempts and 2 runs are gone" in next(iter(app._notifications)).message
    assert ids(db) == list(range(81, 121))


async def test_it_says_how_far_it_is_and_stops_after_a_commit(
    themed_app: MakeThemedApp, db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "AT_ONCE", 10)
    arrived, go = threading.Event(), threading.Event()
    real = pruning._remove

    def gated(*arguments: Any) -> Any:
        if arguments[1] == 10:  # after the first commit
            arrived.set()
            go.wait(10)
        return real(*arguments)

    monkeypatch.setattr(pruning, "_remove", gated)
    answers: list[Pruned | None] = []
    async with themed_app(Static("below")).run_test() as pilot:
        await pilot.app.push_screen(PruneDialog(db), answers.append)
        await pilot.press("1")
        await until(pilot, lambda: "80 attempts" in note(pilot.app))
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press("right", "enter")
        await until(pilot, arrived.is_set)
        await until(pilot, lambda: "10 of 80" in note(pilot.app))  # painted, and keys answer, while it is held up
        assert pilot.app.screen.query_one("#prune-keep", Input).disabled
        await pilot.press("escape")
        await until(pilot, lambda: "Stopping" in note(pilot.app))
        go.set()
        await until(pilot, lambda: answers)
    assert answers[0] is not None
    assert (answers[0].attempts, answers[0].complete) == (20, False)
    assert ids(db) == list(range(21, 121))


async def test_a_file_that_is_in_use_is_told_by_its_owner(themed_app: MakeThemedApp, db: Path) -> None:
    lock = OwnerLock(db)
    lock.acquire(OLD)
    async with themed_app(Static("below")).run_test() as pilot:
        await pilot.app.push_screen(PruneDialog(db))
        await pilot.press("1")
        await until(pilot, lambda: "80 attempts" in note(pilot.app))
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press("right", "enter")
        await until(pilot, lambda: "in use by pipeloom process" in note(pilot.app))
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(pilot.app.screen, PruneDialog)
    lock.release()
    assert len(ids(db)) == 120


def test_every_key_has_a_tooltip_and_a_dotted_id() -> None:
    for dialog in (ExportDialog, PruneDialog):
        for binding in dialog.BINDINGS:
            assert isinstance(binding, Binding)
            assert binding.tooltip.endswith(".")
            assert "." in (binding.id or "")


# -- pictures ------------------------------------------------------------------------------------------------------


def shown(*keys: str, until_note: str = "", dialog: Callable[[], Any]) -> Callable[[Any], Awaitable[None]]:
    async def before(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(dialog())
        await pilot.pause()
        for key in keys:
            await pilot.press(key)
            if until_note and key.isdigit():
                await until(pilot, lambda: until_note in note(pilot.app))
        await pilot.pause()

    return before


EXPORTS: dict[str, tuple[str, ...]] = {
    "csv": (),
    "jsonl": ("right", "space"),
    "clipboard": ("right", "right", "right", "space"),
    "refused": ("tab", "enter"),
}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("state", EXPORTS)
def test_export(snap_compare: SnapCompare, themed_app: MakeThemedApp, state: str, size: tuple[int, int]) -> None:
    def dialog() -> ExportDialog:
        target = Path("/no-such-folder/etl-20260801-120041.csv")
        return ExportDialog(Path("/no-such-folder/etl.db"), "Export 1,234 attempts: status:error", target)

    assert snap_compare(
        themed_app(Static("below")), terminal_size=size, run_before=shown(*EXPORTS[state], dialog=dialog)
    )


PRUNES: dict[str, tuple[tuple[str, ...], str]] = {
    "empty": ((), ""),
    "counted": (("1",), "80 attempts"),
    "nothing": (("9",), "Nothing would go"),
    "confirm": (("1", "enter"), "80 attempts"),
}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("state", PRUNES)
def test_prune(
    snap_compare: SnapCompare, themed_app: MakeThemedApp, db: Path, state: str, size: tuple[int, int]
) -> None:
    keys, words = PRUNES[state]
    before = shown(*keys, until_note=words, dialog=lambda: PruneDialog(db, parse("status:done")))
    assert snap_compare(themed_app(Static("below")), terminal_size=size, run_before=before)


@pytest.mark.parametrize("name", ["export", "prune"])
def test_the_buttons_are_there_in_a_small_terminal(
    snap_compare: SnapCompare, themed_app: MakeThemedApp, db: Path, name: str
) -> None:
    def dialog() -> Any:
        return ExportDialog(db, "Export", Path("/no-such-folder/etl.csv")) if name == "export" else PruneDialog(db)

    keys, words = ((), "") if name == "export" else (("1",), "80 attempts")
    before = shown(*keys, until_note=words, dialog=dialog)
    assert snap_compare(themed_app(Static("below")), terminal_size=(60, 12), run_before=before)
