"""`pipeloom-tui` alone: the list of files, the way to one of them, and a run of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.terminal.conftest import Rows, Start, Write

pytestmark = pytest.mark.pty

FEW = 'pipeline = Pipeline("few", [TaskDef(n, f"task-{n}") for n in range(3)], lambda task, q: None)'


def test_a_file_that_was_run_is_found_opened_and_run_again(start: Start, write: Write, rows: Rows) -> None:
    write("few.py", FEW)
    empty = start()
    empty.wait_for("No file is known here yet.")
    empty.press("q")
    assert (empty.end(), empty.modes_left()) == (0, set())

    assert start("run", "etl.db", "few.py", program="run_main").end() == 0

    opened = start()
    opened.wait_for("1 file", "etl.db", "✓3")
    opened.press("\r")
    opened.wait_for("history", "3 attempts")
    opened.press("q")
    assert (opened.end(), opened.modes_left()) == (0, set())

    again = start()
    again.wait_for("1 file", "✓3")
    again.press("n")
    again.wait_for("Run the pipeline of etl.db again?", "few.py")
    again.press("y")
    again.wait_for("3/3", "3 done")
    again.press("q")
    assert (again.end(), again.modes_left()) == (0, set())
    assert rows("SELECT count(*) FROM pipeline_runs") == [(2,)]


def test_a_run_that_needs_a_parameter_tells_where_to_type_it(start: Start, write: Write) -> None:
    write(
        "few.py",
        "pipeline = Pipeline('few', worker_fn=lambda task, q: None)\n@pipeline.tasks\n"
        "def tasks(region: str):\n    return [TaskDef(region)]\n",
    )
    assert start("run", "etl.db", "few.py", "-p", "region=eu", program="run_main").end() == 0
    home = start()
    home.wait_for("1 file", "✓1")
    home.press("n")
    home.wait_for("Run the pipeline of etl.db again?")
    home.press("y")
    home.wait_for("few needs region. From a shell: pipeloom-tui")
    assert home.end() == 2


def test_without_a_home_the_list_is_empty(start: Start) -> None:
    terminal = start(HOME="/dev/null/x", XDG_STATE_HOME="/dev/null/x/state")
    terminal.wait_for("No file is known here yet.")
    terminal.press("q")
    assert terminal.end() == 0


def test_a_signal_ends_it(start: Start, tmp_path: Path) -> None:
    terminal = start()
    terminal.wait_for("No file is known here yet.")
    terminal.process.kill(15)
    assert (terminal.end(), terminal.modes_left()) == (128 + 15, set())
