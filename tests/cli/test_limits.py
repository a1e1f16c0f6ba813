"""The limits of the system on threads, processes and open files: a sentence, and no row that stays open."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest
from tests.cli.conftest import command

UID = 50_000 + os.getpid() % 10_000
"""A user who runs nothing else."""
AS_USER = (
    "setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups",
    "--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search",
)  # fmt: skip
as_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None or shutil.which("prlimit") is None,
    reason="only root can become another user, whose threads are counted",
)
EVERYTHING = """
from pipeloom import *
def work(task, q):
    q.on_cancel(lambda: None)
    q.put(MsgTaskProgress(task.task_id, 1, 1, "all of it"))
pipeline = Pipeline("limited", [TaskDef(n, f"task-{n}") for n in range(30)], work)
"""


def limited(folder: Path, limit: str, executor: str) -> subprocess.CompletedProcess[str]:
    (folder / "limited.py").write_text(EVERYTHING, encoding="utf-8")
    for each in (folder.parent, folder.parent.parent):
        each.chmod(0o755)
    os.chown(folder, UID, UID)
    return subprocess.run(
        [*AS_USER, "prlimit", limit, *command("pipeloom", "run", "etl.db", "limited.py", "--executor", executor)],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), "OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def left_open(folder: Path) -> list[tuple[str, int]]:
    if not (folder / "etl.db").exists():
        return []
    connection = sqlite3.connect(folder / "etl.db")
    try:
        sql = "SELECT status, count(*) FROM {} WHERE status NOT IN ('done', 'error', 'cancelled', 'interrupted') GROUP BY 1"
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        return [
            row
            for table in ("task_runs", "pipeline_runs")
            if table in tables
            for row in connection.execute(sql.format(table))
        ]
    finally:
        connection.close()


@as_root
@pytest.mark.slow
@pytest.mark.parametrize("executor", ["thread", "process"])
@pytest.mark.parametrize("threads", [1, 2, 3, 4, 5, 6, 8, 10])
def test_too_few_threads_end_in_a_sentence_or_in_a_whole_run(folder: Path, threads: int, executor: str) -> None:
    done = limited(folder, f"--nproc={threads}", executor)
    told = done.stdout + done.stderr
    # Python's own server of processes ends with a traceback when it cannot fork.
    assert "Traceback" not in told or (executor == "process" and "multiprocessing/forkserver.py" in told)
    assert "internal error" not in told
    assert left_open(folder) == []
    assert done.returncode in (0, 1, 2), told
    if done.returncode == 2:
        assert "raise the limit of processes (ulimit -u)" in told
    if executor == "thread" and threads >= 8:
        assert done.returncode == 0, told


@as_root
@pytest.mark.slow
@pytest.mark.parametrize("executor", ["thread", "process"])
@pytest.mark.parametrize("files", [5, 7, 9, 11, 12, 13, 14, 16, 20])
def test_too_few_descriptors_end_in_a_sentence_or_in_a_whole_run(folder: Path, files: int, executor: str) -> None:
    done = limited(folder, f"--nofile={files}", executor)
    told = done.stdout + done.stderr
    assert "Traceback" not in told
    assert "internal error" not in told
    assert left_open(folder) == []
    assert done.returncode in (0, 1, 2), told
