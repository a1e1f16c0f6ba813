"""The history by run, task and failure, and running what it shows again."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from platformdirs import user_state_path
from tests.store.conftest import NEWER
from tests.tui.conftest import text_of
from textual.pilot import Pilot

from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.messages import TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.protocols import Channel
from pipeloom.settings.file import settings_path
from pipeloom.status import Status
from pipeloom.store.read.history import History
from pipeloom.store.read.paging import NEWEST, Sort
from pipeloom.store.read.run_queries import task_counts
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.history.screen import HistoryScreen
from pipeloom.tui.settings import read_settings
from pipeloom.tui.widgets.dialogs import ChoiceDialog
from pipeloom.user_state import remember_pipeline

TASKS = [TaskDef(number, f"page-{number}") for number in range(6)]


def run(path: Path, failing: Callable[[int], bool], name: str = "pages") -> None:
    """Run six tasks, of which some fail in one of two ways."""

    def work(task: TaskDef, _q: Channel) -> None:
        if failing(int(task.task_id)):
            raise KeyError(f"temp_{task.task_id}") if int(task.task_id) < 4 else ValueError("too hot")

    engine = Engine(path, Pipeline(name, TASKS, work), EngineOptions(workers=1))
    engine.start()
    engine.wait()
    engine.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three runs: the first and the second with failures, the third all done."""
    path = tmp_path / "etl.db"
    run(path, lambda number: number in (1, 2, 4))
    run(path, lambda number: number in (2, 4))
    run(path, lambda number: False, "other")
    return path


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own directories, empty."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return user_state_path("pipeloom")


async def until(app: PipeloomApp, pilot: Pilot[None], *words: str, gone: str | None = None) -> None:
    for _ in range(400):
        text = text_of(app)
        if all(word in text for word in words) and (gone is None or gone not in text):
            return
        await pilot.pause(0.01)
    raise AssertionError(f"{words!r} did not appear in\n{text_of(app)}")


async def told(app: PipeloomApp, pilot: Pilot[None], words: str) -> None:
    for _ in range(400):
        if any(words in toast.message for toast in app._notifications):
            return
        await pilot.pause(0.01)
    raise AssertionError(f"{words!r} was not told: {[toast.message for toast in app._notifications]}")


async def at_rest(app: PipeloomApp, pilot: Pilot[None]) -> None:
    """Wait until what the history shows has been read."""
    for _ in range(400):
        await pilot.pause()
        if not isinstance(app.screen, HistoryScreen):
            return
        names = {worker.group for worker in app.workers if not worker.is_finished}
        if not names & {"reload", "missing", "all"}:
            return
        await pilot.pause(0.01)
    raise AssertionError("the history is still being read")


def history(app: PipeloomApp) -> HistoryScreen:
    assert isinstance(app.screen, HistoryScreen)
    return app.screen


async def test_runs_stand_beside_their_attempts_and_a_key_goes_from_one_to_the_next(file: Path) -> None:
    app = PipeloomApp(file)
    async with app.run_test(size=(160, 40)) as pilot:
        await until(app, pilot, "18 attempts", "all runs", "× 1", "✓ 3", "×3 ✓3", "×2 ✓4")
        await pilot.press("left_square_bracket")
        await until(app, pilot, "run 3 other", "6 attempts")
        await pilot.press("left_square_bracket", "left_square_bracket")
        await until(app, pilot, "run 1 pages", "6 attempts")
        await pilot.press("right_square_bracket")
        await until(app, pilot, "run 2 pages")
        await pilot.press("escape")
        await until(app, pilot, "18 attempts", gone="run 2 pages")


async def test_on_a_narrow_screen_the_runs_take_the_place_of_the_list(file: Path) -> None:
    app = PipeloomApp(file)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(app, pilot, "18 attempts", "page-5", gone="all runs")
        await pilot.press("b")
        await until(app, pilot, "all runs", gone="page-5")
        await pilot.press("down", "enter")
        await until(app, pilot, "run 3 other", "page-5", gone="all runs")


async def test_a_task_is_shown_by_all_that_ran_under_its_name(file: Path) -> None:
    app = PipeloomApp(file)
    async with app.run_test(size=(160, 40)) as pilot:
        await until(app, pilot, "18 attempts")
        await pilot.press("g")
        await until(app, pilot, "6 tasks", "page-0", "100%", "33%", "66%")
        stats = history(app).lists.tasks.pages.window(2, 3)[0]
        assert stats is not None
        assert (stats.name, stats.attempts, stats.done, stats.status) == ("page-2", 3, 1, Status.DONE)
        assert [status for _, status in stats.recent] == [Status.ERROR, Status.ERROR, Status.DONE]
        await pilot.press("down", "down", "enter")
        await until(app, pilot, "3 of 18 attempts", 'name:"page-2"')


async def test_failures_that_are_the_same_one_are_one_line(file: Path) -> None:
    app = PipeloomApp(file)
    async with app.run_test(size=(160, 40)) as pilot:
        await until(app, pilot, "18 attempts", gone=" of 18")
        await pilot.press("g", "g")
        await until(app, pilot, "2 kinds of failure", "KeyError", "ws.py:", "ValueError", "too hot")
        groups = {group.error_type: group for group in history(app).lists.failures.pages.window(0, 2) if group}
        assert (groups["KeyError"].attempts, groups["KeyError"].tasks, groups["KeyError"].runs) == (3, 2, 2)
        assert not groups["KeyError"].is_new
        await pilot.press("enter")
        await until(app, pilot, "2 of 18 attempts", "fail:")
        await pilot.press("escape")
        await until(app, pilot, "18 attempts", gone=" of 18")


async def test_a_failure_that_no_run_before_had_is_called_new(tmp_path: Path) -> None:
    path = tmp_path / "etl.db"
    run(path, lambda number: number == 4)
    run(path, lambda number: number in (1, 4))
    app = PipeloomApp(path)
    async with app.run_test(size=(160, 40)) as pilot:
        await until(app, pilot, "12 attempts")
        await pilot.press("g", "g")
        await until(app, pilot, "new  'temp_1'")
        assert [group.is_new for group in history(app).lists.failures.pages.window(0, 2) if group] == [False, True]


async def test_attempts_are_sorted_by_a_click_on_a_label_and_by_a_key(file: Path) -> None:
    app = PipeloomApp(file)
    async with app.run_test(size=(160, 40)) as pilot:
        await until(app, pilot, "18 attempts")
        screen = history(app)
        screen._sort_by_header(screen.lists.attempts.HeaderClicked(screen.lists.attempts, "task"))
        await until(app, pilot, "Task ↑")
        assert screen.sort == Sort("name", descending=False)
        await pilot.press("S")
        await until(app, pilot, "Task ↓")
        await pilot.press("s", "enter")
        await until(app, pilot, gone="Task ↓")
        assert screen.sort == NEWEST


async def test_filters_are_held_ready_and_can_be_kept_under_a_name(file: Path, state: Path) -> None:
    app = PipeloomApp(file)
    async with app.run_test(size=(160, 40), notifications=True) as pilot:
        await until(app, pilot, "18 attempts")
        history(app).action_quick(2)
        await until(app, pilot, "5 of 18 attempts", "status:error,interrupted")
        assert "failed" in history(app).quick_filters().active
        await pilot.press("f", "end", "enter")
        await until(app, pilot, "under which name")
        await pilot.press(*"bad ones", "enter")
        await until(app, pilot, "Kept as bad ones")
        history(app).action_quick(2)
        await until(app, pilot, "18 attempts", gone=" of 18")
        history(app).action_quick(4)
        await until(app, pilot, "5 of 18 attempts")
    assert read_settings().filters == {"bad ones": "status:error,interrupted"}


async def test_a_filter_is_not_kept_under_the_name_of_a_usual_one_nor_in_a_file_that_it_would_spoil(
    file: Path, state: Path
) -> None:
    app = PipeloomApp(file)
    async with app.run_test(size=(160, 40)) as pilot:
        await until(app, pilot, "18 attempts")
        history(app).filter_bar.set("page")
        await pilot.press("f", "end", "enter")
        await until(app, pilot, "under which name")
        await pilot.press(*"today", "enter")
        await told(app, pilot, "choose another name")
        kept = settings_path()
        assert kept is not None
        kept.parent.mkdir(parents=True)
        kept.write_text("[filters] # mine\n", encoding="utf-8")
        await pilot.press("f", "end", "enter")
        await until(app, pilot, "under which name")
        await pilot.press(*"mine", "enter")
        await told(app, pilot, "by hand")
    assert kept.read_text(encoding="utf-8") == "[filters] # mine\n"


def opened(file: Path, *, fails: bool = False) -> PipeloomApp:
    """The app with the pipeline that made the file loaded, and nothing started."""

    def work(_task: TaskDef, _q: Channel) -> None:
        if fails:
            raise KeyError("again")

    return PipeloomApp(file, Engine(file, Pipeline("pages", TASKS, work)), start=False)


@pytest.mark.parametrize(
    ("keys", "title", "ids"),
    [
        (("slash", *"run:1 status:error", "enter", "asterisk", "r"), "Run 3 tasks of run 1 again?", {1, 2, 4}),
        (("slash", *"run:1 page-1", "enter", "r"), "Run 1 task of run 1 again?", {1}),
        (("slash", *"pipe", "backspace", "enter", "escape", "R"), "Run 2 tasks of run 2 again?", {2, 4}),
        (("g", "g", "end", "r"), "Run 1 task of run 2 again?", {2}),
        (("b", "end", "r"), "Run the rest of run 1 (3 tasks)?", {1, 2, 4}),
    ],
    ids=["marked", "one", "all that failed", "a kind of failure", "the rest of a run"],
)
async def test_what_is_chosen_is_run_again_as_a_new_run(
    file: Path, keys: tuple[str, ...], title: str, ids: set[int]
) -> None:
    app = opened(file)
    async with app.run_test(size=(160, 40)) as pilot:
        await pilot.press("2")
        await until(app, pilot, "18 attempts")
        for pressed in keys:
            await pilot.press(pressed)
            await at_rest(app, pilot)
        await until(app, pilot, title)
        assert isinstance(app.screen, ChoiceDialog)
        assert app.screen.focused is not None
        assert app.screen.focused.id == "choice-0"
        await pilot.press("right", "enter")
        await until(app, pilot, f"{len(ids)}/{len(ids)}")
        assert app.engine is not None
        app.engine.close()
    with History(file) as read:
        assert {row.task_id for row in read.page(where=None) if row.run_id == 4} == ids
        assert task_counts(read, 4) == {Status.DONE: len(ids)}


PIPELINE = """
from pathlib import Path
from pipeloom import Pipeline, TaskDef
Path(__file__).with_suffix(".imported").touch()
pipeline = Pipeline("pages", [TaskDef(number, f"page-{number}") for number in range(6)], lambda task, q: None)
"""


async def test_without_a_pipeline_the_users_own_last_one_is_offered_and_loaded_only_after_a_yes(
    file: Path, state: Path, tmp_path: Path
) -> None:
    code = tmp_path / "pages.py"
    code.write_text(PIPELINE, encoding="utf-8")
    remember_pipeline(file, str(code))
    app = PipeloomApp(file)
    async with app.run_test(size=(160, 40), notifications=True) as pilot:
        await until(app, pilot, "18 attempts")
        await pilot.press("slash", *"run:1 page-1", "enter")
        await until(app, pilot, " 1 of 18 attempts")
        await pilot.press("r")
        await until(app, pilot, "No pipeline is loaded", "pages.py")
        await pilot.press("enter")
        await until(app, pilot, gone="No pipeline is loaded")
        assert not code.with_suffix(".imported").exists()
        await pilot.press("r")
        await until(app, pilot, "No pipeline is loaded")
        await pilot.press("right", "enter")
        await until(app, pilot, "Run 1 task of run 1 again?")
        assert code.with_suffix(".imported").exists()
        await pilot.press("right", "enter")
        await until(app, pilot, "1/1", "1 done")
        assert app.engine is not None
        app.engine.close()


async def test_nothing_is_offered_that_only_the_file_names(file: Path, state: Path) -> None:
    app = PipeloomApp(file)
    async with app.run_test(size=(160, 40), notifications=True) as pilot:
        await until(app, pilot, "18 attempts")
        await pilot.press("r")
        await until(app, pilot, "No pipeline is loaded: open the file with it")


async def test_a_read_only_history_calls_no_run_running_whose_process_died(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE pipeline_runs SET status = 'running', finished_at = NULL WHERE id = 3")
        connection.execute("UPDATE task_runs SET status = 'running' WHERE id = (SELECT max(id) FROM task_runs)")
        connection.commit()
    app = PipeloomApp(file, read_only=True)
    async with app.run_test(size=(140, 20)) as pilot:
        await until(app, pilot, "! 3 ", gone="● 3 ")


async def test_a_read_only_history_offers_nothing_that_runs(file: Path) -> None:
    app = PipeloomApp(file, read_only=True)
    async with app.run_test(size=(160, 40)) as pilot:
        await until(app, pilot, "18 attempts", gone="Retry")
        await pilot.press("r", "R")
        await pilot.pause()
        assert isinstance(app.screen, HistoryScreen)


async def test_a_file_of_0_0_7_is_browsed_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "old.db"

    def contents() -> dict[str, bytes]:
        return {found.name: found.read_bytes() for found in tmp_path.glob("old*")}

    columns = "id INTEGER PRIMARY KEY, name TEXT, status TEXT, progress REAL, message TEXT, started_at TEXT"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode=wal")
        connection.execute(f"CREATE TABLE task_runs ({columns}, finished_at TEXT, result TEXT)")
        connection.execute("INSERT INTO task_runs VALUES (1, 'etl-1', 'done', 1, 'ok', '2025-03-01', NULL, 'x')")
    before = contents()
    app = PipeloomApp(path, read_only=True)
    async with app.run_test(size=(160, 40), notifications=True) as pilot:
        await until(app, pilot, "1 attempt")
        await until(app, pilot, "etl-1")
        await until(app, pilot, "old.db was written by pipeloom 0.0.x")
        await pilot.press("g")
        await until(app, pilot, "1 task")
    assert contents() == before


async def test_view_order_and_filter_are_remembered_for_the_file(file: Path, state: Path) -> None:
    app = PipeloomApp.of_user(file, None)
    async with app.run_test(size=(160, 40)) as pilot:
        await until(app, pilot, "18 attempts")
        history(app).choose_order(Sort("duration_s"))
        await pilot.press("g")
        await until(app, pilot, "6 tasks")
    again = PipeloomApp.of_user(file, None)
    async with again.run_test(size=(160, 40)) as pilot:
        await until(again, pilot, "6 tasks")
        assert history(again).sort == Sort("duration_s")


async def test_the_attempt_that_is_chosen_on_the_timeline_is_gone_to(file: Path) -> None:
    app = PipeloomApp(file)
    async with app.run_test(size=(160, 40)) as pilot:
        await until(app, pilot, "18 attempts")
        for attempt_id in (3, 11):
            history(app).go_to_attempt(attempt_id)
            await at_rest(app, pilot)
            row = history(app).lists.attempts.cursor_row
            assert row is not None
            assert row.id == attempt_id


async def test_a_file_that_is_gone_leaves_nothing_to_compare_and_the_screen_as_it_is(file: Path) -> None:
    app = PipeloomApp(file)
    async with app.run_test(size=(160, 40)) as pilot:
        await until(app, pilot, "18 attempts")
        os.rename(file, file.with_suffix(".gone"))  # noqa: PTH104 - a path would be looked at from a coroutine
        await pilot.press("c")
        await told(app, pilot, "There is no file")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("; ".join(NEWER), "was written by a newer pipeloom"),
        ("ALTER TABLE task_runs ADD COLUMN note TEXT", "has tables that were altered"),
    ],
    ids=["newer", "altered"],
)
async def test_a_file_that_must_not_be_written_is_only_read_and_says_why(file: Path, change: str, why: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(change)
    app = PipeloomApp(file)
    async with app.run_test(size=(160, 40)) as pilot:
        await until(app, pilot, "18 attempts", gone="Retry")
        await told(app, pilot, why)
        await pilot.press("P")
        assert isinstance(app.screen, HistoryScreen)


@pytest.fixture
def motley(tmp_path: Path) -> Path:
    """A run of twenty tasks that all fail, each in its own way, the first with quotation marks in its name."""
    path = tmp_path / "etl.db"
    tasks = [TaskDef(number, f"page-{number}" if number else 'the "first" page') for number in range(20)]

    def work(task: TaskDef, _q: Channel) -> None:
        raise type(f"Error{task.task_id}", (Exception,), {})("wrong")

    engine = Engine(path, Pipeline("pages", tasks, work), EngineOptions(workers=1))
    engine.start()
    engine.wait()
    engine.close()
    return path


async def test_many_kinds_of_failure_can_be_marked_and_run_again_or_exported_together(motley: Path) -> None:
    tasks = [TaskDef(number, f"page-{number}" if number else 'the "first" page') for number in range(20)]
    engine = Engine(motley, Pipeline("pages", tasks, lambda task, q: None), EngineOptions())
    app = PipeloomApp(motley, engine, start=False)
    async with app.run_test(size=(160, 40)) as pilot:
        await pilot.press("2", "g", "g")
        await until(app, pilot, "20 kinds of failure")
        await pilot.press("asterisk", "r")
        await until(app, pilot, "Run 20 tasks of run 1 again?")
        await pilot.press("escape", "E")
        await until(app, pilot, "Export 20 attempts")
    engine.close()


async def test_marked_tasks_alone_are_exported(file: Path) -> None:
    app = PipeloomApp(file)
    async with app.run_test(size=(160, 40)) as pilot:
        await pilot.press("g")
        await until(app, pilot, "6 tasks")
        await pilot.press("space", "space", "E")
        await until(app, pilot, "Export 6 attempts")


async def test_the_attempts_of_a_task_with_quotation_marks_in_its_name_are_listed(motley: Path) -> None:
    app = PipeloomApp(motley)
    async with app.run_test(size=(160, 40)) as pilot:
        await pilot.press("g")
        await until(app, pilot, "20 tasks")
        await pilot.press("end", "enter")
        await until(app, pilot, " 1 of ", 'the "first" page')


async def test_what_another_pipeline_has_done_under_the_same_name_is_still_run_again(file: Path) -> None:
    run(file, lambda number: number == 1)  # pages: 1 has failed; `other` has done a task of this name before
    run(file, lambda number: number == 2, "other")
    app = opened(file)
    async with app.run_test(size=(160, 40)) as pilot:
        await pilot.press("2")
        await until(app, pilot, "30 attempts")
        history(app).filter_bar.set("run:2,4")
        await at_rest(app, pilot)
        await pilot.press("R")
        await until(app, pilot, "Run 1 task of run 4 again?", "page-1", "2 have been done since")
