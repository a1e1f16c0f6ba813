"""`pipeloom retry DB FILTER fixed.py` beside a program that has the file open."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from tests.cli.conftest import Popen, Run
from tests.conftest import WaitFor

FILE = """\
from pathlib import Path
from pipeloom import Pipeline, TaskDef

def work(task, q):
    if task.task_id == 1:
        (Path(__file__).parent / "gate").read_text()
    elif task.task_id == 2:
        raise ValueError("not fixed yet")

fix = Pipeline("fix", [TaskDef(1, "waits"), TaskDef(2, "fails")], work, workers=2)
"""


def rows(folder: Path, sql: str) -> list[Any]:
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(folder / "etl.db")) as connection:
        return connection.execute(sql).fetchall()
    return []  # the run has not begun


def test_what_a_retry_names_is_run_or_refused(run: Run, popen: Popen, folder: Path, wait_for: WaitFor) -> None:
    file = folder / "fix.py"
    file.write_text(FILE)
    (folder / "fixed.py").write_text(FILE)
    os.mkfifo(folder / "gate")
    popen("pipeloom", "run", "etl.db", "fix.py")
    wait_for(
        lambda: (
            (folder / "etl.db").exists()
            and sorted(rows(folder, "SELECT status FROM task_runs")) == [("error",), ("running",)]
        )
    )

    refused = run("pipeloom", "retry", "etl.db", "status:error", "fixed.py")
    assert refused.returncode == 2
    assert f"Run 1 is one of {file}, and not of {folder / 'fixed.py'}: save the fix there" in refused.stderr
    file.write_text("def broken(:\n" + FILE)
    broken = run("pipeloom", "retry", "etl.db", "status:error", "fix.py")
    assert broken.returncode == 2
    assert "SyntaxError: invalid syntax (fix.py, line 1)" in broken.stderr
    assert len(rows(folder, "SELECT id FROM task_runs")) == 2

    file.write_text(FILE.replace("== 2", "== 3"))
    assert run("pipeloom", "retry", "etl.db", "status:error", "fix.py:fix").returncode == 0
    wait_for(lambda: rows(folder, "SELECT status FROM task_runs WHERE attempt = 2") == [("done",)])
    (folder / "gate").write_text("go")
    wait_for(lambda: rows(folder, "SELECT status FROM pipeline_runs") == [("done",)])
    codes = [code for (code,) in rows(folder, "SELECT code FROM task_runs ORDER BY id")]
    assert codes[0] == codes[1] != codes[2]
    assert run("pipeloom", "export", "etl.db", f"code:{codes[2]}", "--format", "jsonl").stdout.count("\n") == 1
    assert f"code      {codes[2]}" in run("pipeloom", "show", "etl.db", "3").stdout
