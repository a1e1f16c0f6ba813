"""A start that does not come to its end can be left: what blocks it is the user's own code."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from tests.conftest import WaitFor
from tests.terminal.conftest import Rows, Start, Write

from pipeloom.times import monotonic

pytestmark = pytest.mark.pty

STUCK = """
def schema(conn):
    conn.execute("CREATE TABLE mine (id)")
    open("reached", "w").close()
    threading.Event().wait()
pipeline = Pipeline("stuck", [TaskDef(1, "one")], lambda task, q: None, schemas=[schema])
"""
PROMPT_S = 5.0
"""Seconds that leaving takes at most here: half of the grace that running tasks would get."""


@pytest.mark.parametrize("how", ["q", signal.SIGTERM, signal.SIGINT], ids=str)
def test_a_schema_helper_that_never_returns_keeps_no_cockpit(
    start: Start, write: Write, rows: Rows, tmp_path: Path, wait_for: WaitFor, how: str | signal.Signals
) -> None:
    terminal = start("etl.db", write("stuck.py", STUCK))
    wait_for((tmp_path / "reached").exists, 30)
    terminal.wait_for("stuck")
    began = monotonic()
    if isinstance(how, str):
        terminal.press(how)
    else:
        terminal.process.kill(how)
    assert terminal.end() == (3 if isinstance(how, str) else 128 + how)
    assert "The run was left before it began: nothing was run." in terminal.text
    assert monotonic() - began < PROMPT_S
    assert terminal.modes_left() == set()
    assert rows("SELECT count(*) FROM pipeline_runs") == [(0,)]
    fine = STUCK.replace("threading.Event().wait()", "pass").replace("TABLE", "TABLE IF NOT EXISTS")
    assert start("run", "etl.db", write("fine.py", fine), program="run_main").end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=str)
def test_a_schema_helper_that_never_returns_keeps_no_headless_run(
    start: Start, write: Write, rows: Rows, tmp_path: Path, wait_for: WaitFor, number: signal.Signals
) -> None:
    terminal = start("run", "etl.db", write("stuck.py", STUCK), program="run_main")
    wait_for((tmp_path / "reached").exists, 30)
    began = monotonic()
    terminal.process.kill(number)
    assert terminal.end() == 128 + number
    assert "The run was left before it began: nothing was run." in terminal.text
    assert monotonic() - began < PROMPT_S
    assert rows("SELECT count(*) FROM pipeline_runs") == [(0,)]
