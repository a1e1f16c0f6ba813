"""Two programs on one file, and what is left when one of them dies: the real program in a pseudo-terminal."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from tests.terminal.conftest import Rows, Start, Write

pytestmark = pytest.mark.pty

GATED = """
import time
def work(task, q):
    while task.task_id > 2 and not os.path.exists("go"):
        q.sleep(0.01)
pipeline = Pipeline("gated", [TaskDef(n, f"gated-{n}") for n in range(1, 6)], work, workers=2)
"""


@pytest.mark.kill
def test_a_killed_run_is_interrupted_when_the_file_is_opened_again_and_can_be_resumed(
    start: Start, write: Write, rows: Rows, tmp_path: Path
) -> None:
    pipeline = write("gated.py", GATED)
    terminal = start("etl.db", pipeline)
    terminal.wait_for("2 done", "2 running")
    os.kill(terminal.process.pid, signal.SIGKILL)
    terminal.end()
    assert rows("SELECT count(*) FROM task_runs WHERE status IN ('running','queued')") == [(3,)]

    terminal = start("etl.db", pipeline)
    terminal.wait_for("did not come to its end", "2 of its 5 tasks are done", "Resume all that is not done: 3")
    terminal.press("\r")  # the safe answer: nothing is started
    terminal.wait_for("history", "5 attempts")
    assert rows("SELECT count(*) FROM pipeline_runs") == [(1,)]
    terminal.press("q")
    assert terminal.end() == 0

    terminal = start("etl.db")
    terminal.wait_for("history", "interrupted", "5 attempts")
    terminal.press("q")
    assert terminal.end() == 0
    assert rows("SELECT status, error_type, count(*) FROM task_runs GROUP BY 1, 2 ORDER BY 1") == [
        ("done", None, 2),
        ("interrupted", "ProcessDied", 3),
    ]

    (tmp_path / "go").touch()
    terminal = start("etl.db", pipeline)
    terminal.wait_for("Resume all that is not done: 3")
    terminal.press("\x1b[B\r")
    terminal.wait_for("3/3", "3 done")
    terminal.press("q")
    assert terminal.end() == 0
    assert "continues run 1" in terminal.text
    assert rows("SELECT task_id FROM task_runs WHERE run_id=2 ORDER BY 1") == [(3,), (4,), (5,)]


@pytest.mark.kill
def test_the_second_program_is_a_viewer_that_names_the_owner_and_outlives_it(
    start: Start, write: Write, rows: Rows, tmp_path: Path
) -> None:
    pipeline = write("gated.py", GATED)
    owner = start("etl.db", pipeline)
    owner.wait_for("2 done", "2 running")
    viewer = start("etl.db", pipeline)
    viewer.wait_for(f"VIEWER · pid {owner.process.pid}", "gated-3", "2 done", "2 running", "1 queued")
    viewer.press("2")
    viewer.wait_for("history", f"VIEWER · pid {owner.process.pid}", "gated-3", "running")
    os.kill(owner.process.pid, signal.SIGKILL)
    owner.end()
    viewer.wait_for("interrupted", gone="VIEWER")
    viewer.press("1")
    viewer.wait_for("3 interrupted", "run 1", gone="VIEWER")
    viewer.press("q")
    assert viewer.end() == 6
    assert "is in use by pipeloom process" in viewer.text
    assert rows("SELECT count(*) FROM pipeline_runs") == [(1,)]


@pytest.mark.kill
def test_who_only_reads_changes_nothing_in_a_file_whose_owner_was_killed(
    start: Start, write: Write, rows: Rows, tmp_path: Path
) -> None:
    pipeline = write("gated.py", GATED)
    owner = start("etl.db", pipeline)
    owner.wait_for("2 done", "2 running")
    os.kill(owner.process.pid, signal.SIGKILL)
    owner.end()
    viewer = start("etl.db", "--read-only")
    viewer.wait_for("history", "5 attempts", "interrupted")
    viewer.press("rRx")
    viewer.press("q")
    assert viewer.end() == 0
    assert rows("SELECT status FROM pipeline_runs") == [("running",)]
    assert rows("SELECT count(*) FROM task_runs WHERE status IN ('running','queued')") == [(3,)]


def test_tasks_of_an_earlier_run_are_run_again_as_a_new_run(
    start: Start, write: Write, rows: Rows, tmp_path: Path
) -> None:
    body = """
def work(task, q):
    if task.task_id < 3 and not os.path.exists("mended"):
        raise KeyError("temp_max")
pipeline = Pipeline("mend", [TaskDef(n, f"mend-{n}") for n in range(1, 6)], work)
"""
    pipeline = write("mend.py", body)
    for _ in range(2):
        terminal = start("etl.db", pipeline)
        terminal.wait_for("5/5", "2 error")
        terminal.press("q")
        assert terminal.end() == 1
    (tmp_path / "mended").touch()
    terminal = start("etl.db", pipeline)
    terminal.wait_for("5/5", "5 done")
    terminal.press("2")
    terminal.wait_for("15 attempts")
    terminal.press("/")
    terminal.wait_for("Clear")
    terminal.press("run:1 status:error")
    terminal.wait_for(" 2 of 15 attempts")
    terminal.press("\r")
    terminal.wait_for("r Retry", gone="Clear")
    terminal.press("R")
    terminal.wait_for("Run 2 tasks of run 1 again?", "mend-1", "mend-2")
    terminal.press("\x1b[C\r")
    terminal.wait_for("run 4", "2/2", "2 done")
    terminal.press("q")
    assert terminal.end() == 0
    assert rows("SELECT task_id, status FROM task_runs WHERE run_id=4") == [(1, "done"), (2, "done")]
    assert rows("SELECT parent_run_id FROM pipeline_runs WHERE id=4") == [(1,)]
