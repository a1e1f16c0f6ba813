"""The live screen, fed with what an engine would commit, and with a real engine."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.tui.conftest import Cockpit, Synthetic, text_of, until
from textual.actions import parse
from textual.binding import Binding
from textual.command import DiscoveryHit, Hit
from textual.containers import ScrollableContainer
from textual.dom import DOMNode
from textual.events import Paste
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Button, Input

from pipeloom.engine.commands import LimitUse, Refusal, RefusalReason
from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.writer.sink import CommitBatch
from pipeloom.limits.limit import Limit
from pipeloom.messages import TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.protocols import Channel
from pipeloom.status import RunStatus, Status
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.store.write.ledger import Ledger
from pipeloom.text import clean
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.attempts.detail import DetailPane
from pipeloom.tui.attempts.questions import CAN_RUN_AGAIN
from pipeloom.tui.attempts.table_screen import TableScreen
from pipeloom.tui.history.screen import HistoryScreen
from pipeloom.tui.live.limits import stepped
from pipeloom.tui.live.screen import LiveScreen
from pipeloom.tui.palette import ActionCommands
from pipeloom.tui.table.virtual_table import VirtualTable
from pipeloom.tui.widgets.dialogs import ConfirmDialog
from pipeloom.tui.widgets.workers import LimitStep


async def test_the_screen_shows_what_was_committed(cockpit: Cockpit, synthetic: Synthetic) -> None:
    async with cockpit.app.run_test(size=(120, 40), notifications=True) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await cockpit.settle(pilot)
        shown = text_of(cockpit.app)
        for words in (
            "weather",
            "run 12",
            "running 00:41",
            "seattle-2012-05",
            "KeyError: 'temp_max'",
            "12 of 12",
            "workers",
        ):
            assert words in shown


async def test_while_keys_are_pressed_the_header_waits_and_nothing_is_laid_out_anew(
    cockpit: Cockpit, synthetic: Synthetic, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        rows = synthetic.rows()
        cockpit.commit(rows, synthetic.run)
        await cockpit.settle(pilot)
        assert "12 of 12" in text_of(cockpit.app)
        layouts: list[Screen[Any]] = []
        monkeypatch.setattr(Screen, "_refresh_layout", lambda self, **_more: layouts.append(self))
        await pilot.press("j")
        cockpit.commit([rows[-1]._replace(id=900 + number, task_id=900 + number) for number in range(3)], None)
        cockpit.app.feed.fetch()
        await pilot.pause()
        assert "12 of 12" in text_of(cockpit.app)
        cockpit.monotonic += 1
        cockpit.commit([rows[-1]._replace(id=904, task_id=904)], None)
        await cockpit.settle(pilot)
        assert "16 of 16" in text_of(cockpit.app)
        assert layouts == []


async def test_what_is_due_while_keys_are_pressed_is_shown_right_after_the_next_one(
    cockpit: Cockpit, synthetic: Synthetic
) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        rows = synthetic.rows()
        cockpit.commit(rows, synthetic.run)
        await cockpit.settle(pilot)
        cockpit.app.feed.pace.note_cost(0.04)
        await pilot.press("j")
        queued = next(row for row in rows if row.status is Status.QUEUED)

        def status() -> Status:
            row = cockpit.app.board.row(queued.task_id)
            assert row is not None
            return row.status

        cockpit.commit([queued._replace(status=Status.CANCELLED)])
        await pilot.press("j")
        await pilot.pause()
        assert status() is Status.QUEUED, "it is not due yet"
        assert cockpit.app.feed._due is not None
        cockpit.app.feed._due.cancel()  # what would show it if no key came
        cockpit.monotonic += 1.7
        await pilot.press("j")
        await until(pilot, lambda: status() is Status.CANCELLED)


async def test_what_comes_of_a_key_when_nothing_else_happens_is_shown_at_once(
    cockpit: Cockpit, synthetic: Synthetic
) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        rows = synthetic.rows()
        cockpit.commit(rows, synthetic.run)
        await cockpit.settle(pilot)
        cockpit.monotonic += 5
        await pilot.press("j")
        cockpit.commit([rows[-1]._replace(message="as asked")])
        await pilot.pause()
        row = cockpit.app.board.row(rows[-1].task_id)
        assert row is not None
        assert row.message == "as asked"


async def test_keys_that_come_faster_than_they_are_handled_reach_what_the_first_of_them_opens(
    cockpit: Cockpit, synthetic: Synthetic
) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await cockpit.settle(pilot)
        for key in ("slash", *"done"):
            cockpit.app.simulate_key(key)
        await until(pilot, lambda: cockpit.live.filter_bar.text == "done")


async def test_a_task_that_does_not_respond_or_gets_nowhere_is_told(cockpit: Cockpit, synthetic: Synthetic) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        rows = {row.status: row for row in synthetic.rows()}
        moving = rows[Status.RUNNING]._replace(step=1.0, message="at work")
        deaf = moving._replace(id=900, task_id=900, status=Status.CANCELLING)
        quiet = moving._replace(id=901, task_id=901, step=None)
        cockpit.commit([moving, deaf, quiet], synthetic.run)
        await cockpit.settle(pilot)
        assert "not responding" not in text_of(cockpit.app)
        cockpit.monotonic += 41
        cockpit.commit([moving._replace(id=902, task_id=902, step=2.0)], None)
        cockpit.app.clock = lambda: synthetic.clock + 41
        await cockpit.settle(pilot)
        shown = text_of(cockpit.app)
        assert shown.count("not responding 00:4") == 1
        assert shown.count("no progress 00:4") == 1
        assert shown.count("at work") == 2


async def test_a_click_on_a_count_shows_those_tasks_and_a_second_one_all(
    cockpit: Cockpit, synthetic: Synthetic
) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await cockpit.settle(pilot)
        column = text_of(cockpit.app).split("\n")[2].index("error")
        await pilot.click(offset=(column, 2))
        await cockpit.settle(pilot)
        assert {row.status for row in cockpit.app.board.shown()} == {Status.ERROR}
        await pilot.click(offset=(column, 2))
        await cockpit.settle(pilot)
        assert cockpit.app.board.count() == cockpit.app.board.total()


@pytest.mark.parametrize(("minutes", "rings"), [(0, False), (2, True)])
async def test_the_end_of_a_long_run_is_announced_once(
    cockpit: Cockpit, synthetic: Synthetic, monkeypatch: pytest.MonkeyPatch, minutes: int, rings: bool
) -> None:
    said: list[str] = []
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        monkeypatch.setattr(cockpit.app._driver, "write", said.append)
        monkeypatch.setattr(cockpit.app, "bell", lambda: said.append("bell"))
        ended = synthetic.at(20 + 60 * minutes)
        cockpit.commit(synthetic.rows(), replace(synthetic.run, status=RunStatus.DONE, finished_at=ended))
        await cockpit.settle(pilot)
        await cockpit.settle(pilot)
        notices = [text for text in said if text.startswith("\x1b]9;")]
        assert len(notices) == rings
        assert said.count("bell") == rings
        if rings:
            assert "pipeloom: run 12 is over: " in notices[0]


NAMES = [
    "[/]",
    "[red]x",
    "\x1b[31mred",
    "a\nb\tc\r",
    "日本語" * 40,
    "x" * 10_000,
    "",
    "   ",
    "\ud800",
    "e" + "\u0301" * 50,
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
async def test_hostile_names_and_messages_are_shown_as_text_everywhere(
    cockpit: Cockpit, synthetic: Synthetic, name: str
) -> None:
    rows = [
        row._replace(name=name, message=name, error=name, error_type=name[:100], result=name, params=name, worker=name)
        for row in synthetic.rows(5)
    ]
    async with cockpit.app.run_test(size=(120, 40), notifications=True) as pilot:
        cockpit.commit(rows, synthetic.run)
        await cockpit.settle(pilot)
        assert clean(name)[:8].strip() in text_of(cockpit.app)
        await pilot.press("d")
        pane = cockpit.app.screen.query_one(DetailPane)
        for tab in ("overview", "attempts", "log", "error", "params", "result"):
            pane.show_tab(tab)
            await pilot.pause()
            text_of(cockpit.app)
        await pilot.press("x")
        await pilot.pause()
        assert isinstance(cockpit.app.screen, ConfirmDialog)
        cockpit.app.tell(name)
        await pilot.pause()
        assert clean(name)[:8].strip() in text_of(cockpit.app)


async def test_the_dialog_names_the_row_that_was_under_the_cursor_and_its_focus_is_on_the_safe_button(
    cockpit: Cockpit, synthetic: Synthetic
) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        rows = synthetic.rows()
        cockpit.commit(rows, synthetic.run)
        await cockpit.settle(pilot)
        table = cockpit.app.screen.query_one(VirtualTable)
        table.move_to_key(2)
        cockpit.commit([rows[0]._replace(status=Status.DONE), rows[11]._replace(status=Status.RUNNING)])
        await cockpit.settle(pilot)
        await pilot.press("x")
        await pilot.pause()
        assert "seattle-2012-02" in text_of(cockpit.app)
        assert isinstance(cockpit.app.focused, Button)
        assert cockpit.app.focused.id == "choice-0"
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(cockpit.app.screen, ConfirmDialog)


async def test_marks_on_what_is_not_there_any_more_are_left_out_and_those_that_have_ended_are_named_so(
    cockpit: Cockpit, synthetic: Synthetic
) -> None:
    async with cockpit.app.run_test(size=(120, 40), notifications=True) as pilot:
        rows = synthetic.rows()
        cockpit.commit(rows, synthetic.run)
        await cockpit.settle(pilot)
        cockpit.live.table.mark([1, 2, 99])
        cockpit.commit([rows[0]._replace(status=Status.DONE)])
        await cockpit.settle(pilot)
        await pilot.press("x")
        await pilot.pause()
        assert "Cancel this task?" in text_of(cockpit.app)
        assert "seattle-2012-02  running" in text_of(cockpit.app)
        await pilot.press("escape")
        await pilot.pause()
        cockpit.app.report(
            {"cancelled": 34, "asked to stop": 0},
            {1: Refusal(RefusalReason.ENDED, Status.DONE), 2: Refusal(RefusalReason.NOT_FOUND)},
        )
        told = "34 cancelled, 1 already done, 1 refused: it is not an"
        await until(pilot, lambda: told in " ".join(text_of(cockpit.app).split()))  # after the toast before it


async def test_rows_are_marked_one_by_one_with_shift(cockpit: Cockpit, synthetic: Synthetic) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await cockpit.settle(pilot)
        await pilot.press("shift+down", "shift+down", "shift+up")
        table = cockpit.live.table
        assert table.marked == {1, 2, 7}
        assert table.cursor_key == 2


async def test_keys_that_do_not_work_on_this_row_are_not_offered(cockpit: Cockpit, synthetic: Synthetic) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await cockpit.settle(pilot)
        table = cockpit.app.screen.query_one(VirtualTable)
        for key, offered in ((1, "x"), (8, "r"), (5, "r"), (10, "x")):
            table.move_to_key(key)
            await pilot.pause()
            enabled = {name for name, active in cockpit.app.screen.active_bindings.items() if active.enabled}
            assert (enabled & {"x", "r"}) == {offered}, key


async def test_filtering_is_live_and_a_mistake_is_told_with_its_column(cockpit: Cockpit, synthetic: Synthetic) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await cockpit.settle(pilot)
        await pilot.press("slash", *"status:error")
        await pilot.pause()
        assert "1 of 12" in text_of(cockpit.app)
        await pilot.press("x")
        await pilot.pause()
        assert "column" not in text_of(cockpit.app), "the word may go on"
        await pilot.press("enter")
        await pilot.pause()
        assert "column 8: There is no status 'errorx'" in text_of(cockpit.app)
        assert isinstance(cockpit.app.focused, Input), "a mistake is not left behind"
        assert cockpit.app.board.count() == 1
        await pilot.press("escape")
        await pilot.pause()
        assert cockpit.app.board.count() == 12
        assert cockpit.app.screen.query_one(Input).value == ""


async def test_what_is_too_long_for_a_filter_is_not_taken_and_that_is_told(
    cockpit: Cockpit, synthetic: Synthetic
) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await cockpit.settle(pilot)
        await pilot.press("slash", "a")
        field = cockpit.app.screen.query_one(Input)
        assert cockpit.app.focused is field
        field.post_message(Paste("b" * 200))
        await until(pilot, lambda: "A filter has at most 200 characters." in text_of(cockpit.app))
        assert field.value == "a"
        await pilot.press("b")
        await until(pilot, lambda: "at most" not in text_of(cockpit.app))
        assert field.value == "ab"


async def test_fields_and_values_are_completed_by_tab(cockpit: Cockpit, synthetic: Synthetic) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await cockpit.settle(pilot)
        await pilot.press("slash")
        await pilot.press(*"-sta")
        await until(pilot, lambda: "-status:" in text_of(cockpit.app))
        await pilot.press("tab", *"do", "tab")
        await cockpit.settle(pilot)
        field = cockpit.app.screen.query_one(Input)
        assert field.value == "-status:done"
        assert Status.DONE not in {row.status for row in cockpit.app.board.shown()}
        await pilot.press("tab")
        await cockpit.settle(pilot)
        assert cockpit.app.focused is cockpit.live.table


async def test_tab_walks_through_the_listed_completions(cockpit: Cockpit, synthetic: Synthetic) -> None:
    async with cockpit.app.run_test(size=(80, 24)) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await cockpit.settle(pilot)
        field = cockpit.app.screen.query_one(Input)
        await pilot.press("slash", *"sta")
        await until(pilot, lambda: "tab status: started:" in text_of(cockpit.app))
        for text in ("status:", "started:", "status:"):
            await pilot.press("tab")
            await pilot.pause()
            assert field.value == text
            assert "column" not in text_of(cockpit.app)
        await pilot.press(*"c")
        await until(pilot, lambda: "tab cancelling cancelled" in text_of(cockpit.app))
        await pilot.press("tab", "tab")
        await pilot.pause()
        assert field.value == "status:cancelled"
        await pilot.press("enter")
        await until(pilot, lambda: "1 of 12" in text_of(cockpit.app))


async def test_escape_always_does_one_visible_thing(cockpit: Cockpit, synthetic: Synthetic) -> None:
    async with cockpit.app.run_test(size=(80, 24), notifications=True) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await cockpit.settle(pilot)
        await pilot.press("asterisk", "slash", *"seattle", "enter", "d")
        await pilot.pause()
        screen = cockpit.live
        for left in ((True, True, True), (False, True, True), (False, False, True), (False, False, False)):
            assert (screen.detail.display, screen.filter_bar.is_filtering, bool(screen.table.marked)) == left
            assert "q quits" not in text_of(cockpit.app)
            await pilot.press("escape")
            await pilot.pause()
        assert "q quits" in text_of(cockpit.app)


async def test_the_detail_follows_the_cursor_and_keeps_its_tab(cockpit: Cockpit, synthetic: Synthetic) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await cockpit.settle(pilot)
        table = cockpit.app.screen.query_one(VirtualTable)
        table.move_to_key(5)
        await pilot.press("enter")
        cockpit.app.screen.query_one(DetailPane).show_tab("error")
        await pilot.pause()
        assert 'File "weather.py", line 41, in load' in text_of(cockpit.app)
        table.move_to_key(8)
        await pilot.pause()
        assert "No error." in text_of(cockpit.app)


async def test_every_key_has_a_tooltip_an_id_and_a_place_in_the_palette(cockpit: Cockpit, synthetic: Synthetic) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await cockpit.settle(pilot)
        for mode in ("live", "history"):
            cockpit.app.switch_mode(mode)
            await pilot.pause()
            screen = cockpit.app.screen
            assert isinstance(screen, LiveScreen | HistoryScreen)
            screen.action_log()
            await pilot.pause()
            for focused in (
                screen.table,
                screen.detail.query_one(ScrollableContainer),
                screen.filter_bar.query_one(Input),
            ):
                screen.set_focus(focused)
                await pilot.pause()
                palette = {(binding.action, node) for binding, node, _ in ActionCommands(screen)._actions()}
                ours = [node for node in focused.ancestors_with_self if type(node).__module__.startswith("pipeloom.")]
                assert len(ours) > 2
                for node in ours:
                    kinds = [kind for kind in type(node).__mro__ if kind.__module__.startswith("pipeloom.")]
                    added = [binding for kind in kinds for binding in vars(kind).get("BINDINGS", ())]
                    for binding in (binding for binding in added if isinstance(binding, Binding)):
                        assert binding.id, binding
                        assert "." in binding.id
                        assert binding.tooltip.endswith("."), binding
                        assert " " not in binding.description, binding
                        if node.check_action(*parsed(binding.action)) and hidden(node, binding, focused) is False:
                            assert (binding.action, node) in palette, binding


def hidden(node: DOMNode, binding: Binding, focused: Widget) -> bool:
    """Tell whether the focused widget takes the key before the node: in a field, letters are text."""
    if isinstance(focused, Input):
        return node is not focused and (binding.key in ("left", "right") or not binding.key.startswith(("ctrl", "f5")))
    return isinstance(focused, ScrollableContainer) and binding.key in ("left", "right", "slash", "f")


def parsed(action: str) -> tuple[str, tuple[object, ...]]:
    _namespace, name, parameters = parse(action)
    return name, parameters


class Gated:
    """A pipeline whose tasks wait until they are let go."""

    def __init__(self, tasks: int = 3) -> None:
        self.go = threading.Event()
        self.pipeline = Pipeline("gated", [TaskDef(n, f"task-{n}") for n in range(1, tasks + 1)], self.work)

    def work(self, task: TaskDef, q: Channel) -> None:
        while not self.go.wait(0.01):
            q.raise_if_cancelled()
        if task.task_id == 1 and q.attempt == 1:
            raise KeyError("temp_max")


async def test_cancel_retry_and_quit_with_a_real_engine(tmp_path: Path) -> None:
    gated = Gated()
    engine = Engine(tmp_path / "etl.db", gated.pipeline, EngineOptions(workers=2))
    app = PipeloomApp(tmp_path / "etl.db", engine)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: app.board.counts[Status.RUNNING] == 2)
        app.screen.query_one(VirtualTable).move_to_key(3)
        await pilot.press("x", "right", "enter")
        await until(pilot, lambda: app.board.counts[Status.CANCELLED] == 1)
        app.screen.query_one(VirtualTable).move_to_key(2)
        await pilot.press("x", "right", "enter")
        await until(pilot, lambda: app.board.counts[Status.CANCELLED] == 2)
        gated.go.set()
        await until(pilot, lambda: app.board.counts[Status.ERROR] == 1)
        app.screen.query_one(VirtualTable).move_to_key(1)
        await pilot.pause()
        await pilot.press("r")
        await until(pilot, lambda: app.board.counts[Status.DONE] == 1)
        assert [row.status for row in app.board.attempts_of(1)] == [Status.ERROR, Status.DONE]
        await until(pilot, lambda: app.board.run is not None and app.board.run.status is RunStatus.CANCELLED)
        await pilot.press("2")
        await until(pilot, lambda: "× error" in text_of(app) and "KeyErr" in text_of(app))
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running)
    engine.close()


async def test_a_retry_is_of_the_marked_tasks_that_have_ended(cockpit: Cockpit, synthetic: Synthetic) -> None:
    async with cockpit.app.run_test(size=(120, 40), notifications=True) as pilot:
        rows = synthetic.rows()
        cockpit.commit(rows, synthetic.run)
        await cockpit.settle(pilot)
        table = cockpit.live.table
        ended = [row for row in rows if row.status in CAN_RUN_AGAIN]
        table.mark(row.task_id for row in rows)
        await pilot.press("r")
        await until(pilot, lambda: f"Run {len(ended)} tasks again?" in text_of(cockpit.app))
        await pilot.press("n")
        table.unmark(row.task_id for row in ended)
        await pilot.press("r")
        await until(pilot, lambda: "it has not ended yet" in text_of(cockpit.app))


@pytest.mark.parametrize("mode", ["live", "history"])
@pytest.mark.parametrize(
    ("keys", "title"),
    [(("r",), "Run the task again?"), (("asterisk", "r"), "Run 3 tasks again?")],
    ids=["done", "many"],
)
async def test_a_retry_of_what_is_done_or_of_several_is_asked_about(
    tmp_path: Path, mode: str, keys: tuple[str, ...], title: str
) -> None:
    gate = threading.Event()

    def work(task: TaskDef, _q: Channel) -> None:
        if task.task_id == 3:
            gate.wait(20)

    tasks = [TaskDef(number, f"t{number}") for number in range(4)]
    engine = Engine(tmp_path / "etl.db", Pipeline("p", tasks, work), EngineOptions(workers=4))
    app = PipeloomApp(tmp_path / "etl.db", engine)

    def attempts() -> int:
        return sum(len(app.board.attempts_of(number)) for number in range(4))

    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: app.board.counts[Status.DONE] == 3)
        if mode == "history":
            await pilot.press("2")
            await until(pilot, lambda: "4 attempts" in text_of(app))
        screen = app.screen
        assert isinstance(screen, TableScreen)
        screen.filter_bar.set("status:done")
        await until(pilot, lambda: screen.table.row_count == 3 and screen.table.cursor_row is not None)
        for key in (*keys, "n", "r", "y"):
            await pilot.press(key)
            if key == "r":
                await until(pilot, lambda: title in text_of(app))
                assert "Run again (y, r)" in text_of(app)
                assert attempts() == 4
            else:
                await until(pilot, lambda: app.screen is screen)
        await until(pilot, lambda: attempts() == 4 + (1 if len(keys) == 1 else 3))
        gate.set()
        await until(pilot, lambda: not engine.is_running)
    await asyncio.to_thread(engine.close)


async def test_the_stack_of_a_running_task_is_shown_until_it_is_closed(tmp_path: Path) -> None:
    gated = Gated()
    engine = Engine(tmp_path / "etl.db", gated.pipeline, EngineOptions(workers=1))
    app = PipeloomApp(tmp_path / "etl.db", engine)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: app.board.counts[Status.RUNNING] == 1)
        await pilot.press("T")
        await until(pilot, lambda: "Where task-1 is now" in text_of(app) and "in work" in text_of(app))
        assert "test_live.py" in text_of(app)
        gated.go.set()
        await until(pilot, lambda: "It is not running any more." in text_of(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.board.counts[Status.DONE] == 2)
        await pilot.press("T")
        await until(pilot, lambda: "There is a stack" in text_of(app))
    engine.close()


async def test_the_workers_and_what_they_run_are_shown_until_they_are_closed(tmp_path: Path) -> None:
    gate = threading.Event()
    pipeline = Pipeline("p", [TaskDef(1, "[/]bold")], lambda task, q: gate.wait(30), workers=2)
    engine = Engine(tmp_path / "etl.db", pipeline)
    app = PipeloomApp(tmp_path / "etl.db", engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "● running" in text_of(app))
        await pilot.press("W")
        await until(pilot, lambda: "worker-1" in text_of(app))
        line = next(line for line in text_of(app).splitlines() if "worker-1" in line)
        assert "[/]bold" in line
        gate.set()
        await until(pilot, lambda: "idle" in text_of(app))
        await pilot.press("escape")
        await until(pilot, lambda: "worker-1" not in text_of(app))
    engine.close()


async def test_limits_are_shown_with_the_workers_and_changed_there(tmp_path: Path) -> None:
    gate = threading.Event()
    tasks = [TaskDef(f"t{number}", limits=["api"]) for number in range(4)]
    limits = {"slow": Limit(per_second=1), "api": Limit(1, 20)}
    pipeline = Pipeline("p", tasks, lambda task, q: gate.wait(30), workers=4, limits=limits)
    engine = Engine(tmp_path / "etl.db", pipeline)
    app = PipeloomApp(tmp_path / "etl.db", engine)

    def shows(words: str) -> bool:
        return words in text_of(app)

    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: shows("● running"))
        await pilot.press("W")
        await until(pilot, lambda: shows("api   1/1 · 20/s · 3 wait"))
        await pilot.press("down", "plus", "plus")
        await until(pilot, lambda: shows("api   3/3 · 20/s · 1 wait"))
        await pilot.press("greater_than_sign", "minus")
        await until(pilot, lambda: shows("api   3/2 · 21/s · 1 wait"))
        await pilot.press("k", "less_than_sign", "less_than_sign")
        await until(pilot, lambda: shows("slow  0 held · 0.2/s"))
        await pilot.press("plus")
        await until(pilot, lambda: shows("slow has no number at once"))
        gate.set()
        await until(pilot, lambda: shows("api   0/2 · 21/s"))
    engine.close()


@pytest.mark.parametrize(
    ("before", "at_once", "per_second", "after"),
    [
        (Limit(1, 1), 1, 0, Limit(2, 1)),
        (Limit(1, 1), -1, 0, Limit(1, 1)),
        (Limit(1_000_000), 1, 0, Limit(1_000_000)),
        (Limit(1, 1), 0, 1, Limit(1, 2)),
        (Limit(1, 1), 0, -1, Limit(1, 0.5)),
        (Limit(1, 2), 0, -1, Limit(1, 1)),
        (Limit(1, 0.5), 0, 1, Limit(1, 1)),
        (Limit(1, 0.3), 0, 1, Limit(1, 0.5)),
        (Limit(1, 0.3), 0, -1, Limit(1, 0.2)),
        (Limit(1, 0.01), 0, -1, Limit(1, 0.01)),
        (Limit(1, 10_000), 0, 1, Limit(1, 10_000)),
    ],
)
def test_steps_of_a_limit(before: Limit, at_once: int, per_second: int, after: Limit) -> None:
    use = LimitUse("api", before.at_once, before.per_second, 0, 0)
    assert stepped(use, LimitStep("api", at_once, per_second)) == after


async def test_without_a_run_there_are_no_workers_to_show(cockpit: Cockpit) -> None:
    async with cockpit.app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.press("W")
        await until(pilot, lambda: "There are no workers: nothing runs." in text_of(cockpit.app))


async def test_quitting_while_tasks_run_asks_and_keeps_them_as_interrupted(tmp_path: Path) -> None:
    gated = Gated()
    engine = Engine(tmp_path / "etl.db", gated.pipeline, EngineOptions(workers=2))
    app = PipeloomApp(tmp_path / "etl.db", engine)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: app.board.counts[Status.RUNNING] == 2)
        await pilot.press("q")
        await pilot.pause()
        assert "Stop the run and quit?" in text_of(app)
        await pilot.press("escape")
        assert app.board.counts[Status.RUNNING] == 2
        await pilot.press("q", "right", "enter")
        await until(pilot, lambda: not app.is_running)
    assert engine.summary().counts == {Status.INTERRUPTED: 3}


async def test_pause_and_workers_are_shown(tmp_path: Path) -> None:
    gated = Gated(5)
    engine = Engine(tmp_path / "etl.db", gated.pipeline, EngineOptions(workers=1))
    app = PipeloomApp(tmp_path / "etl.db", engine)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: app.board.counts[Status.RUNNING] == 1)
        await pilot.press("p")
        await until(pilot, lambda: "paused" in text_of(app))
        await pilot.press("plus", "plus", "p")
        await until(pilot, lambda: "workers 3/3" in text_of(app))
        await pilot.press("minus")
        await until(pilot, lambda: "workers 3/2" in text_of(app))
        gated.go.set()
        await until(pilot, lambda: not engine.is_running)
        engine.close()


async def test_an_engine_that_cannot_start_ends_the_app_with_its_error(tmp_path: Path) -> None:
    (tmp_path / "etl.db").write_text("this is no database, and long enough to be looked at" * 50)
    app = PipeloomApp(tmp_path / "etl.db", Engine(tmp_path / "etl.db", Pipeline("p", [], print)))
    async with app.run_test() as pilot:
        await until(pilot, lambda: not app.is_running)
    assert "cannot be read as an SQLite database" in str(app.start_error)


async def test_rows_that_wait_to_be_fetched_survive_news_about_the_writer(
    cockpit: Cockpit, synthetic: Synthetic
) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        rows = synthetic.rows()
        cockpit.commit(rows, synthetic.run)
        await cockpit.settle(pilot)
        sink = cockpit.app.feed.sink
        for tell in (partial(sink.writer_waiting, None), partial(sink.writer_failed, OSError())):
            cockpit.app.feed.sink.mailbox.put(CommitBatch(99, (rows[0]._replace(status=Status.DONE),)))
            tell()
            await pilot.pause()
            row = cockpit.app.board.row(1)
            assert row is not None
            assert row.status is Status.DONE
            cockpit.commit(rows[:1])
            await cockpit.settle(pilot)


async def test_a_write_ahead_log_that_cannot_shrink_is_told(cockpit: Cockpit, synthetic: Synthetic) -> None:
    async with cockpit.app.run_test(size=(160, 40)) as pilot:
        cockpit.app.feed.sink.committed(CommitBatch(1, tuple(synthetic.rows()), synthetic.run, wal_bytes=80 << 20))
        await cockpit.settle(pilot)
        assert "write-ahead log of 80 MiB: another program keeps the file open for reading" in text_of(cockpit.app)
        cockpit.app.feed.sink.committed(CommitBatch(2, wal_bytes=4 << 20))
        await cockpit.settle(pilot)
        assert "write-ahead log" not in text_of(cockpit.app)


async def test_trouble_with_the_file_is_shown_as_long_as_it_lasts(cockpit: Cockpit, synthetic: Synthetic) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        cockpit.app.feed.sink.writer_waiting("database is locked")
        await cockpit.settle(pilot)
        assert "waiting for the file: database is locked" in text_of(cockpit.app)
        cockpit.app.feed.sink.writer_waiting(None)
        await cockpit.settle(pilot)
        assert "waiting for the file" not in text_of(cockpit.app)
        cockpit.app.feed.sink.writer_failed(OSError("disk gone"))
        await cockpit.settle(pilot)
        assert "nothing more can be saved: disk gone" in text_of(cockpit.app)


async def test_the_palette_has_no_entry_that_leaves_without_a_question(cockpit: Cockpit, synthetic: Synthetic) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await cockpit.settle(pilot)
        assert {ActionCommands} == cockpit.app.COMMANDS
        hits = [str(hit.text) async for hit in ActionCommands(cockpit.live).discover() if isinstance(hit, DiscoveryHit)]
        assert len(hits) == len(set(hits))
        assert "Theme" in hits
        assert hits.index("Cancel  (x)") < hits.index(next(hit for hit in hits if "(home" in hit or "(up" in hit))
        asked: list[bool] = []
        cockpit.app.session.leave = lambda: asked.append(True)  # type: ignore[method-assign]
        await cockpit.app.run_action("app.quit")
        assert asked == [True]


async def test_the_palette_lists_actions_before_movements_and_no_row_twice(
    cockpit: Cockpit, synthetic: Synthetic
) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await cockpit.settle(pilot)
        await pilot.press("d")
        await pilot.pause()
        for screen in ("live", "history"):
            cockpit.app.action_show(screen)
            await pilot.pause()
            found = ActionCommands(cockpit.app.screen)
            listed = [str(hit.text) async for hit in found.discover() if isinstance(hit, DiscoveryHit)]
            words = [title.rsplit("  (", 1)[0] for title in listed]
            assert len(words) == len(set(words)), words
            assert words.index("Help") < words.index("Up")
            hits = [hit async for hit in found.search("t") if isinstance(hit, Hit)]
            moves = {"Next-tab", "Previous-tab", "Left", "Right", "First", "Last", "Extend-up", "Newer", "Older"}
            scores = {str(hit.text).rsplit("  (", 1)[0]: hit.score for hit in hits}
            assert min(score for word, score in scores.items() if word in ("Detail", "Filter", "Sort")) > max(
                score for word, score in scores.items() if word in moves
            )


@pytest.mark.parametrize("mode", ["live", "history", "detail"])
async def test_the_footer_shows_whole_keys_and_always_help_and_the_way_out(
    cockpit: Cockpit, synthetic: Synthetic, mode: str
) -> None:
    async with cockpit.app.run_test(size=(200, 24)) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await cockpit.settle(pilot)
        if mode == "detail":
            await pilot.press("l")
        else:
            cockpit.app.action_show(mode)
        await until(pilot, lambda: "palette" in text_of(cockpit.app).splitlines()[-1])
        whole = text_of(cockpit.app).splitlines()[-1].replace("▏", "").split()
        for width in range(40, 121, 4):
            await pilot.resize_terminal(width, 24)
            await until(pilot, lambda: {"Help", "Quit"} <= set(text_of(cockpit.app).splitlines()[-1].split()))
            shown = text_of(cockpit.app).splitlines()[-1].replace("▏", "").split()
            assert set(shown) <= set(whole), (width, shown)
            assert shown.index("?") == shown.index("Help") - 1


async def test_the_footer_offers_what_works_on_the_marks(cockpit: Cockpit, synthetic: Synthetic) -> None:
    async with cockpit.app.run_test(size=(80, 24)) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await cockpit.settle(pilot)
        footer = text_of(cockpit.app).splitlines()[-1]
        assert ("Cancel" in footer) is not ("Retry" in footer), "one task"
        await pilot.press("asterisk")
        await until(pilot, lambda: {"Cancel", "Retry"} <= set(text_of(cockpit.app).splitlines()[-1].split()))
        await pilot.press("u")
        await until(pilot, lambda: text_of(cockpit.app).splitlines()[-1] == footer)


async def test_ctrl_c_says_how_to_leave(cockpit: Cockpit, synthetic: Synthetic) -> None:
    async with cockpit.app.run_test(size=(80, 24), notifications=True) as pilot:
        await cockpit.settle(pilot)
        await pilot.press("ctrl+c")
        await until(pilot, lambda: "q leaves" in text_of(cockpit.app))


async def test_q_twice_asks_once(tmp_path: Path) -> None:
    gate = threading.Event()
    pipeline = Pipeline("wait", [TaskDef(1, "a")], lambda _task, _q: gate.wait(20))
    app = PipeloomApp(tmp_path / "etl.db", Engine(tmp_path / "etl.db", pipeline))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.board.counts[Status.RUNNING])
        app.action_leave()
        app.action_leave()
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        await pilot.pause()
        assert sum(isinstance(screen, ConfirmDialog) for screen in app.screen_stack) == 1
        gate.set()
        await pilot.press("escape")
    assert app.engine is not None
    await asyncio.to_thread(app.engine.close)


async def test_a_key_acts_on_the_marks_in_view_and_says_what_the_filter_hides(
    cockpit: Cockpit, synthetic: Synthetic
) -> None:
    async with cockpit.app.run_test(size=(120, 40), notifications=True) as pilot:
        rows = synthetic.rows()
        cockpit.commit(rows, synthetic.run)
        await cockpit.settle(pilot)
        running = [row for row in rows if row.status is Status.RUNNING]
        failed = [row for row in rows if row.status is Status.ERROR]
        table = cockpit.live.table
        table.mark(row.task_id for row in [*running, *failed])
        cockpit.live.filter_bar.set("status:error")
        await pilot.pause()
        assert f"· {len(failed)} marked in view, {len(running)} hidden" in text_of(cockpit.app)
        assert cockpit.live._chosen_rows() == failed
        await pilot.pause()
        assert "marked tasks are hidden and left alone; u unmarks." in " ".join(text_of(cockpit.app).split())
        table.unmark(row.task_id for row in failed)
        assert cockpit.live._chosen_rows() == [table.cursor_row], "the row under the cursor, when no mark is in view"
        await pilot.press("u")
        assert not table.marked


@pytest.mark.parametrize("key", ["d", "l", "x"])
async def test_what_is_open_stays_with_its_task_when_the_rows_move(
    cockpit: Cockpit, synthetic: Synthetic, key: str
) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        rows = synthetic.rows()
        cockpit.commit(rows, synthetic.run)
        await cockpit.settle(pilot)
        table = cockpit.live.table
        first = table.cursor_key
        await pilot.press(key)
        cockpit.commit([row._replace(status=Status.DONE) for row in rows if row.task_id == first])
        await cockpit.settle(pilot)
        assert table.cursor_key == first


@pytest.mark.parametrize("key", ["d", "l", "x"])
async def test_what_is_open_stays_with_its_task_when_it_passes_the_filter_no_longer(
    cockpit: Cockpit, synthetic: Synthetic, key: str
) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        rows = synthetic.rows()
        cockpit.commit(rows, synthetic.run)
        cockpit.live.filter_bar.set("status:running")
        await cockpit.settle(pilot)
        table = cockpit.live.table
        first, count = table.cursor_key, table.row_count
        await pilot.press(key)
        cockpit.commit([row._replace(status=Status.DONE) for row in rows if row.task_id == first])
        await cockpit.settle(pilot)
        assert (table.cursor_key, table.row_count) == (first, count)
        await pilot.press("escape")
        cockpit.live.table.move_cursor(0)
        await cockpit.settle(pilot)
        assert (table.cursor_key == first, table.row_count) == (False, count - 1), "until the cursor is moved"


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_task_that_waits_for_its_retry_shows_its_try_and_why_it_failed(
    cockpit: Cockpit, synthetic: Synthetic, size: tuple[int, int]
) -> None:
    async with cockpit.app.run_test(size=size) as pilot:
        rows = synthetic.rows()
        failed = rows[4]._replace(id=4, task_id=4, name=rows[3].name, message="Refused: 429")
        cockpit.commit([*rows[:3], failed, *rows[4:]], synthetic.run)
        cockpit.commit([rows[3]])
        await cockpit.settle(pilot)
        shown = text_of(pilot.app).split("\n")
        line = next(line for line in shown if "retrying" in line and "seattle" in line)
        assert "2/3" in line
        assert "Refused: 429" in line
        assert shown.index(line) > max(y for y, line in enumerate(shown) if "queued" in line and "seattle" in line)


async def test_running_tasks_stay_in_view_when_the_task_under_the_cursor_ends_and_one_key_goes_to_the_next(
    cockpit: Cockpit, synthetic: Synthetic
) -> None:
    async with cockpit.app.run_test(size=(80, 24)) as pilot:
        rows = [row._replace(status=Status.RUNNING, started_at=synthetic.at(30)) for row in synthetic.rows(3)]
        rows += [
            row._replace(status=Status.QUEUED, attempt=1, id=row.id % 1000, started_at=None)
            for row in synthetic.rows(200)[3:]
        ]
        cockpit.commit(rows, synthetic.run)
        await cockpit.settle(pilot)
        table = cockpit.live.table
        await pilot.press("down", "down", "d")
        table.tick(synthetic.clock + 60)
        cockpit.commit([rows[2]._replace(status=Status.DONE, duration_s=1.0), rows[3]._replace(status=Status.RUNNING)])
        cockpit.app.clock = lambda: synthetic.clock + 60
        await cockpit.settle(pilot)
        assert table.scroll_offset.y == 0
        assert table.cursor_key == 3, "the cursor stays on its task"
        seen = []
        for _ in range(4):
            await pilot.press("full_stop")
            seen.append(table.cursor_key)
        assert seen == [1, 2, 4, 1]


@pytest.mark.parametrize("keys", [("x", "n"), ("d", "d"), ("x", "y")])
async def test_a_key_on_the_first_row_does_not_take_the_running_rows_out_of_view(
    cockpit: Cockpit, synthetic: Synthetic, keys: tuple[str, ...]
) -> None:
    async with cockpit.app.run_test(size=(80, 24)) as pilot:
        rows = [row._replace(status=Status.RUNNING, started_at=synthetic.at(30)) for row in synthetic.rows(3)]
        rows += [
            row._replace(status=Status.QUEUED, attempt=1, id=row.id % 1000, started_at=None)
            for row in synthetic.rows(200)[3:]
        ]
        cockpit.commit(rows, synthetic.run)
        await cockpit.settle(pilot)
        await pilot.press(*keys)
        cockpit.commit([rows[0]._replace(status=Status.DONE, duration_s=1.0), rows[3]._replace(status=Status.RUNNING)])
        await cockpit.settle(pilot)
        assert cockpit.live.table.scroll_offset.y == 0
        assert text_of(pilot.app).count("running") > 3


async def test_the_second_run_shows_a_time_left_from_the_first_at_once(cockpit: Cockpit, synthetic: Synthetic) -> None:
    connection = open_writer(cockpit.app.db_path)
    run = Ledger(connection).insert_run(replace(synthetic.run, id=1))
    done = [
        row._replace(id=row.id % 1000, run_id=run.id, attempt=1, status=Status.DONE, duration_s=30.0)
        for row in synthetic.rows()
    ]
    Ledger(connection).insert_attempts(done)
    close_writer(connection)
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        rows = [
            row._replace(status=Status.QUEUED, id=row.id % 1000, attempt=1, started_at=None) for row in synthetic.rows()
        ]
        rows[:4] = [row._replace(status=Status.RUNNING, progress=None, started_at=synthetic.at(41)) for row in rows[:4]]
        cockpit.commit(rows, synthetic.run)
        await cockpit.settle(pilot)
        await until(pilot, lambda: "eta ~2m" in text_of(pilot.app))  # three rounds of 30 seconds


async def test_a_key_that_can_do_nothing_before_the_run_says_why(tmp_path: Path) -> None:
    gate = threading.Event()
    pipeline = Pipeline("p", [TaskDef(1, "one")], lambda task, q: None)
    pipeline.schema(lambda conn: gate.wait(20))
    engine = Engine(tmp_path / "etl.db", pipeline)
    app = PipeloomApp(tmp_path / "etl.db", engine)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        for key, said in (("x", "There is no task here."), ("p", "Nothing to pause: the run has not begun.")):
            await pilot.press(key)
            await until(pilot, lambda said=said: said in text_of(app))  # type: ignore[misc]
        gate.set()
        await until(pilot, lambda: app.board.run is not None and app.board.run.status is RunStatus.DONE)
    await asyncio.to_thread(engine.close)


async def test_a_key_that_can_do_nothing_on_the_row_says_why(cockpit: Cockpit, synthetic: Synthetic) -> None:
    pipeline = Pipeline("p", [TaskDef(1, "one")], lambda task, q: None)
    engine = Engine(cockpit.app.db_path, pipeline)
    app = PipeloomApp(cockpit.app.db_path, engine)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: app.board.run is not None and app.board.run.status is RunStatus.DONE)
        for key, said in (("x", "it has ended already"), ("p", "Nothing to pause: the run has ended")):
            await pilot.press(key)
            await until(pilot, lambda said=said: said in text_of(app))  # type: ignore[misc]
    await asyncio.to_thread(engine.close)
