"""The live screen over what another process runs: real owners, which are told what to do through files."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest
from tests.conftest import Own, WaitFor
from tests.tui.conftest import text_of, until

from pipeloom.engine.engine import Engine
from pipeloom.messages import TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.protocols import Channel
from pipeloom.status import RunStatus, Status
from pipeloom.store.file.owner import is_owned, lock_path
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.attempts.detail import DetailPane
from pipeloom.tui.table.virtual_table import VirtualTable

CHANGING = {"cancel", "retry", "retry_failed", "pause", "workers(1)", "workers(-1)", "stack"}


def counts(app: PipeloomApp) -> dict[str, int]:
    return {status.value: count for status, count in app.board.counts.items() if count}


def stands(app: PipeloomApp, **expected: int) -> bool:
    return counts(app) == expected


def shows(app: PipeloomApp, words: str) -> bool:
    return words in text_of(app)


def offered(app: PipeloomApp) -> set[str]:
    return {active.binding.action for active in app.screen.active_bindings.values() if active.enabled}


async def test_a_run_of_another_process_is_shown_live_to_its_end(tmp_path: Path, own: Own) -> None:
    owner = own(5)
    app = PipeloomApp(tmp_path / "etl.db")
    async with app.run_test(size=(120, 40)) as pilot:
        assert app.current_mode == "live"
        await until(pilot, lambda: counts(app) == {"running": 2, "queued": 3})
        await until(pilot, lambda: f"VIEWER · pid {owner.pid}" in text_of(app))
        assert "half of it" in text_of(app)
        owner.tell("fail-3", "go")
        await until(pilot, lambda: counts(app) == {"done": 4, "error": 1})
        await until(pilot, lambda: "error 0" in text_of(app))
        assert app.board.run is not None
        assert app.board.run.status is RunStatus.ERROR
        owner.close()
        await until(pilot, lambda: "VIEWER" not in text_of(app))


async def test_log_error_and_params_of_a_task_of_another_process_are_shown(tmp_path: Path, own: Own) -> None:
    owner = own(2)
    owner.tell("fail-1", "go-1")
    app = PipeloomApp(tmp_path / "etl.db")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: counts(app) == {"running": 1, "error": 1})
        app.screen.query_one(VirtualTable).move_to_key(1)
        await pilot.press("l")
        await until(pilot, lambda: "a line of 1" in text_of(app))
        for tab, words in (("error", "KeyError: 'temp_max'"), ("params", '"number": 1')):
            app.screen.query_one(DetailPane).show_tab(tab)
            await until(pilot, partial(shows, app, words))


async def test_a_viewer_is_not_offered_what_changes_a_run(tmp_path: Path, own: Own) -> None:
    own(3)
    app = PipeloomApp(tmp_path / "etl.db")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: counts(app) == {"running": 2, "queued": 1})
        assert not offered(app) & CHANGING
        assert "Cancel" not in text_of(app)
        await pilot.press("x", "r", "R", "p", "plus", "minus", "T")
        assert app.screen_stack[-1] is app.screen
        assert app.current_mode == "live"
        assert all("--control" in toast.message for toast in app._notifications if toast.severity == "warning")
        assert [toast for toast in app._notifications if toast.severity == "warning"]
        await pilot.press("2")
        assert app.current_mode == "history"
        await pilot.press("1")
        assert app.current_mode == "live"


async def test_the_next_run_is_followed_when_it_begins(tmp_path: Path, own: Own) -> None:
    first = own(3)
    app = PipeloomApp(tmp_path / "etl.db")
    async with app.run_test(size=(120, 40)) as pilot:
        first.tell("go")
        await until(pilot, lambda: counts(app) == {"done": 3})
        first.close()
        (tmp_path / "go").unlink()
        second = own(4)
        await until(pilot, lambda: counts(app) == {"running": 2, "queued": 2})
        await until(pilot, lambda: f"VIEWER · pid {second.pid}" in text_of(app) and "run 2" in text_of(app))
        assert app.current_mode == "live"
        second.tell("go")
        await until(pilot, lambda: counts(app) == {"done": 4})


async def test_who_reads_the_history_is_told_of_the_run_that_begins_and_stays(tmp_path: Path, own: Own) -> None:
    first = own(1)
    first.tell("go")
    first.close()
    (tmp_path / "go").unlink()
    app = PipeloomApp(tmp_path / "etl.db")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "1 attempt" in text_of(app))
        assert app.check_action("show", ("live",)) is False
        own(3)
        await until(pilot, lambda: counts(app) == {"running": 2, "queued": 1})
        assert app.current_mode == "history"
        await pilot.press("1")
        assert app.current_mode == "live"
        await until(pilot, lambda: "gated-3" in text_of(app))


@pytest.mark.kill
async def test_a_run_whose_owner_is_killed_is_shown_as_interrupted(tmp_path: Path, own: Own) -> None:
    owner = own(4)
    app = PipeloomApp(tmp_path / "etl.db")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: counts(app) == {"running": 2, "queued": 2})
        owner.kill()
        await until(pilot, lambda: counts(app) == {"interrupted": 4})
        await until(pilot, lambda: "interrupted 0" in text_of(app) and "VIEWER" not in text_of(app))


@pytest.mark.kill
async def test_a_read_only_viewer_says_that_the_owner_is_gone_and_changes_nothing(tmp_path: Path, own: Own) -> None:
    owner = own(4)
    app = PipeloomApp(tmp_path / "etl.db", read_only=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: counts(app) == {"running": 2, "queued": 2})
        owner.kill()
        await until(pilot, lambda: "the program that ran this is gone" in text_of(app))
        await until(pilot, partial(stands, app, interrupted=4))
        await until(pilot, lambda: "interrupted 0" in text_of(app) and "● running" not in text_of(app))
        await pilot.press("e")
        await until(pilot, partial(shows, app, "the program ended before the task did"))
    connection = sqlite3.connect(f"{(tmp_path / 'etl.db').as_uri()}?mode=ro", uri=True)
    assert connection.execute("SELECT DISTINCT status FROM pipeline_runs").fetchall() == [("running",)]
    connection.close()


async def test_two_viewers_see_the_same(tmp_path: Path, own: Own) -> None:
    owner = own(40)
    one, other = (PipeloomApp(tmp_path / "etl.db") for _ in range(2))
    async with one.run_test(size=(120, 40)) as first, other.run_test(size=(120, 40)) as second:
        for app, pilot in ((one, first), (other, second)):
            await until(pilot, partial(stands, app, running=2, queued=38))
        owner.tell("go")
        for app, pilot in ((one, first), (other, second)):
            await until(pilot, partial(stands, app, done=40))
        assert one.board.shown() == other.board.shown()


async def test_an_app_that_leaves_lets_its_threads_end(tmp_path: Path, own: Own, wait_for: WaitFor) -> None:
    own(1)
    app = PipeloomApp(tmp_path / "etl.db")
    async with app.run_test() as pilot:
        await until(pilot, lambda: counts(app) == {"running": 1})
    wait_for(lambda: not {"pipeloom-file-monitor"} & {thread.name for thread in threading.enumerate()})


async def test_a_file_that_nobody_runs_on_opens_its_history(tmp_path: Path, own: Own) -> None:
    owner = own(1)
    owner.tell("go")
    owner.close()
    app = PipeloomApp(tmp_path / "etl.db")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "1 attempt" in text_of(app))
        assert app.current_mode == "history"
        assert app.board.counts[Status.DONE] == 0


async def test_with_control_the_keys_act_on_the_run_of_the_other_process(tmp_path: Path, own: Own) -> None:
    owner = own(6)
    app = PipeloomApp(tmp_path / "etl.db", control=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, partial(stands, app, running=2, queued=4))
        await until(pilot, partial(shows, app, f"CONTROL · pid {owner.pid}"))
        assert "VIEWER" not in text_of(app)
        assert offered(app) >= CHANGING - {"stack", "retry"}
        assert "stack" not in offered(app)
        app.screen.query_one(VirtualTable).move_to_key(6)
        await pilot.press("x")
        await until(pilot, partial(shows, app, "Cancel this task?"))
        await pilot.press("right", "enter")
        await until(pilot, partial(stands, app, running=2, queued=3, cancelled=1))
        await pilot.press("r")
        await until(pilot, partial(stands, app, running=2, queued=4))
        await pilot.press("p")
        await until(pilot, partial(shows, app, "paused 0"))
        await pilot.press("plus", "plus")
        await until(pilot, partial(shows, app, "workers 2/4"))
        await pilot.press("p")
        await until(pilot, partial(stands, app, running=4, queued=2))
        await pilot.press("2")
        await until(pilot, partial(shows, app, "history"))
        await until(pilot, partial(shows, app, f"CONTROL · pid {owner.pid}"))
        owner.tell("go")
        await pilot.press("1")
        await until(pilot, partial(stands, app, done=6))


async def test_what_does_not_stop_in_the_other_process_can_be_abandoned(tmp_path: Path, own: Own) -> None:
    own(2, "stubborn")
    app = PipeloomApp(tmp_path / "etl.db", control=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, partial(stands, app, running=2))
        for title, state in (("Cancel this task?", "cancelling"), ("Abandon what does not stop?", "cancelled")):
            app.screen.query_one(VirtualTable).move_to_key(1)
            await pilot.press("x")
            await until(pilot, partial(shows, app, title))
            await pilot.press("right", "enter")
            await until(pilot, partial(stands, app, running=1, **{state: 1}))


async def test_limits_of_another_program_are_seen_and_changed_with_control(tmp_path: Path, own: Own) -> None:
    owner = own(3)
    app = PipeloomApp(tmp_path / "etl.db", control=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.remote.controls is not None)
        await pilot.press("W")
        await until(pilot, lambda: "api  0/2" in text_of(app))
        assert "They are in another program" in text_of(app)
        await pilot.press("plus")
        await until(pilot, lambda: "api  0/3" in text_of(app))
        owner.tell("go")
        owner.close()
        await pilot.press("escape")


async def test_control_without_an_owner_says_that_there_is_nothing_to_control(tmp_path: Path, own: Own) -> None:
    owner = own(1)
    owner.tell("go")
    owner.close()
    app = PipeloomApp(tmp_path / "etl.db", control=True)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, partial(shows, app, "No process runs a pipeline on"))


@pytest.mark.kill
async def test_a_history_that_is_only_read_shows_what_died_as_interrupted(tmp_path: Path, own: Own) -> None:
    own(4).kill()
    app = PipeloomApp(tmp_path / "etl.db", read_only=True)
    async with app.run_test(size=(160, 40)) as pilot:
        await until(pilot, partial(shows, app, "gated-4"))
        for rows in ("4 attempts", "4 tasks", "kind"):
            await until(pilot, partial(shows, app, rows))
            assert "running" not in text_of(app)
            await pilot.press("g")
        await until(pilot, partial(shows, app, "4 attempts"))
        assert "interrupted" in text_of(app)
        await pilot.press("d")
        await until(pilot, partial(shows, app, "the program ended before the task did"))
        await pilot.press("t")
        await until(pilot, partial(shows, app, "worker-1"))
        assert "running" not in text_of(app)


async def test_a_file_whose_owner_cannot_be_told_says_so(tmp_path: Path, own: Own) -> None:
    owner = own(2)
    app = PipeloomApp(tmp_path / "etl.db", read_only=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, partial(stands, app, running=2))
        lock_path(tmp_path / "etl.db").unlink()
        os.mkfifo(lock_path(tmp_path / "etl.db"))
        await until(pilot, partial(shows, app, "cannot tell who owns the file"))
        assert stands(app, running=2)
        await pilot.press("2")
        await until(pilot, partial(shows, app, "cannot tell who owns the file"))
        owner.kill()


@pytest.mark.kill
async def test_a_key_that_comes_too_late_says_that_nobody_runs(tmp_path: Path, own: Own) -> None:
    owner = own(2)
    app = PipeloomApp(tmp_path / "etl.db", control=True)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, partial(stands, app, running=2))
        owner.kill()
        await pilot.press("p")
        await until(pilot, partial(shows, app, "No process runs a pipeline"))


async def test_who_only_reads_controls_nothing_whatever_else_is_given(tmp_path: Path, own: Own) -> None:
    own(2)
    app = PipeloomApp(tmp_path / "etl.db", control=True, read_only=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, partial(stands, app, running=2))
        assert not offered(app) & CHANGING


async def test_the_screen_goes_on_while_the_other_process_does_not_answer(tmp_path: Path, own: Own) -> None:
    owner = own(2)
    app = PipeloomApp(tmp_path / "etl.db", control=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, partial(stands, app, running=2))
        await until(pilot, lambda: app.known_load is not None)
        os.kill(owner.pid, signal.SIGSTOP)
        try:
            await pilot.press("p", "d")
            await until(pilot, partial(shows, app, "Overview"))
            assert app.known_load is not None
            assert not app.known_load.paused
        finally:
            os.kill(owner.pid, signal.SIGCONT)
        await until(pilot, partial(shows, app, "paused 0"))


async def test_a_run_that_has_come_and_gone_between_two_looks_is_shown(tmp_path: Path) -> None:
    def work(task: TaskDef, q: Channel) -> None:
        if task.name == "mine-1":
            raise ValueError

    path = tmp_path / "etl.db"
    app = PipeloomApp(path, Engine(path, Pipeline("mine", [TaskDef(1, "mine-1")], work)))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: counts(app) == {"error": 1})
        await until(pilot, lambda: not is_owned(path))
        code = (
            "from pipeloom import TaskDef, run_pipeline\n"
            f"run_pipeline({str(path)!r}, [TaskDef(1, 'quick-1')], worker_fn=lambda task, q: None, ui='none')"
        )
        await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], check=True, timeout=60)
        await until(pilot, lambda: shows(app, "quick-1") and counts(app) == {"done": 1})
    assert app.engine is not None
    app.engine.close()


async def test_a_screen_whose_run_has_ended_follows_the_next_run_of_another_process(tmp_path: Path, own: Own) -> None:
    def fail(task: TaskDef, q: Channel) -> None:
        raise ValueError

    path = tmp_path / "etl.db"
    app = PipeloomApp(path, Engine(path, Pipeline("mine", [TaskDef(1, "mine-1")], fail)))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: counts(app) == {"error": 1})
        await until(pilot, lambda: not is_owned(path))
        assert shows(app, "mine-1")
        await pilot.press("r")  # it takes the file again
        await until(pilot, lambda: len(app.board.attempts_of(1)) == 2 and not is_owned(path))
        owner = own(3)
        await until(pilot, lambda: counts(app) == {"running": 2, "queued": 1})
        await until(pilot, lambda: f"VIEWER · pid {owner.pid}" in text_of(app))
        assert not offered(app) & CHANGING
        owner.tell("go")
        await until(pilot, lambda: counts(app) == {"done": 3})
        owner.close()
        await until(pilot, lambda: app.owner is None)
        await pilot.press("r")
        await until(pilot, lambda: shows(app, "The run of the other program is over"))
    assert app.engine is not None
    app.engine.close()
    assert app.engine.summary().exit_code == 1
