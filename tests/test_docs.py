"""What the documents show works."""

from __future__ import annotations

import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeloom import Pipeline, TaskDef, run_pipeline, setup_logging
from pipeloom.environment.script import read_script
from pipeloom.loader import load_pipeline
from pipeloom.messages import MsgTaskFinished, MsgTaskProgress, MsgTaskStarted
from pipeloom.pipeline import list_tasks
from pipeloom.protocols import Channel
from pipeloom.store.write.handler_connection import HandlerConnection

ROOT = Path(__file__).parents[1]


def blocks(path: Path) -> Iterator[str]:
    yield from re.findall(r"^```python\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def run_page(page: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the code of a page of `docs/` as one script."""
    script = folder / "page.py"
    script.write_text("\n".join(blocks(ROOT / "docs" / page)), encoding="utf-8")
    return subprocess.run([sys.executable, script], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_the_code_of_the_guide_runs(tmp_path: Path) -> None:
    done = run_page("extending.md", tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_loads_of_the_guide_go_on_and_find_their_tasks(tmp_path: Path) -> None:
    done = run_page("going-on.md", tmp_path)
    assert done.returncode == 0, done.stderr
    connection = sqlite3.connect(tmp_path / "going-on.db")
    assert connection.execute("SELECT id FROM orders").fetchall() == [(number,) for number in range(300)]
    assert connection.execute("SELECT url FROM pages ORDER BY url").fetchall() == [
        (url,) for url in ("/", "/a", "/b", "/c", "/d")
    ]
    assert connection.execute("SELECT row FROM days").fetchall() == [(0,), (1,), (2,)]
    connection.close()


def test_the_tasks_of_the_guide_run_in_their_order(tmp_path: Path) -> None:
    done = run_page("dependencies.md", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    connection = sqlite3.connect(tmp_path / "dependencies.db")
    rows = connection.execute("SELECT task_id, status, message, result FROM task_runs WHERE run_id < 3 ORDER BY id")
    found = {task_id: more for task_id, *more in rows.fetchall()}
    skipped = connection.execute("SELECT DISTINCT message FROM task_runs WHERE status='skipped'").fetchall()
    connection.close()
    assert (found["report"], skipped) == (["done", "", "1600"], [("extract-us failed",)])


def test_the_hooks_of_the_guide_are_called(tmp_path: Path) -> None:
    done = run_page("hooks.md", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_summary_of_the_guide_has_its_keys(tmp_path: Path) -> None:
    summary = run_pipeline(tmp_path / "etl.db", Pipeline("none", [], lambda task, q: None), ui="none")
    table = re.findall(r"^\| (`.*?) \|", (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(table))) == set(summary.as_dict())


@pytest.mark.parametrize("line", re.findall(r"^pipeloom (run|unit) (.*?)(?:  +#.*)?$", (ROOT / "docs" / "schedules.md").read_text(encoding="utf-8"), re.MULTILINE))  # fmt: skip
def test_the_commands_of_the_guide_are_understood(line: tuple[str, str], tmp_path: Path) -> None:
    """`unit` takes the options of `run` and runs nothing."""
    (tmp_path / "inbox").mkdir()
    (tmp_path / "sales.py").touch()
    command = [sys.executable, "-m", "pipeloom", "unit", *shlex.split(line[1])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_pipeline_of_the_guide_is_fixed_and_retried(tmp_path: Path) -> None:
    pipeline, fix = blocks(ROOT / "docs" / "fix-and-retry.md")
    file = tmp_path / "months.py"
    file.write_text(pipeline, encoding="utf-8")
    for arguments, code in ((["run", "fix.db", "months.py"], 1), (["retry", "fix.db", "status:error", "months.py"], 0)):
        command = [sys.executable, "-m", "pipeloom", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, done.stderr
        before, after = pipeline.index("def load"), pipeline.index("months =")
        file.write_text(f"{pipeline[:before]}{fix}\n\n{pipeline[after:]}", encoding="utf-8")
    with closing(sqlite3.connect(tmp_path / "fix.db")) as connection:
        rows = connection.execute(
            "SELECT name, result, code FROM task_runs WHERE status = 'done' ORDER BY id"
        ).fetchall()
    assert [row[:2] for row in rows] == [("jan", "7"), ("mar", "15"), ("feb", "11")]
    assert rows[0][2] == rows[1][2] != rows[2][2]


def test_the_executor_of_the_guide_runs_and_is_named_in_the_file(tmp_path: Path) -> None:
    done = run_page("executors.md", tmp_path)
    assert (done.stdout, done.stderr) == ("True 20\n", "")
    connection = sqlite3.connect(tmp_path / "pool.db")
    assert connection.execute("SELECT executor, workers FROM pipeline_runs").fetchall() == [("pool", 2)]
    assert connection.execute("SELECT DISTINCT worker GLOB 'ThreadPool*' FROM task_runs").fetchall() == [(1,)]
    connection.close()


def test_the_pipeline_of_the_readme_is_short_and_stores_rows(tmp_path: Path) -> None:
    (block,) = blocks(ROOT / "README.md")
    assert len(block.splitlines()) <= 10
    namespace: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), namespace)
    pipeline = namespace["pipeline"]
    assert isinstance(pipeline, Pipeline)
    tasks = list(pipeline.tasks)
    assert len(tasks) == 100
    summary = run_pipeline(tmp_path / "etl.db", replace(pipeline, tasks=tasks[:3]), ui="none")
    assert (summary.ok, summary.rows) == (True, 30)
    with closing(sqlite3.connect(tmp_path / "etl.db")) as connection:
        assert connection.execute("SELECT count(*), min(name), max(name) FROM items").fetchone() == (
            30,
            "item 0",
            "item 9",
        )


def test_the_page_of_the_tables_runs(tmp_path: Path) -> None:
    done = run_page("tables.md", tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_page_of_the_limits_runs(tmp_path: Path) -> None:
    done = run_page("limits.md", tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_pipeline_and_the_tests_of_the_page_on_tests_run(tmp_path: Path) -> None:
    for block in blocks(ROOT / "docs" / "testing.md"):
        (tmp_path / block.splitlines()[0].removeprefix("# ")).write_text(block, encoding="utf-8")
    command = [str(Path(sys.executable).with_name("pytest")), "-q", "-p", "no:cacheprovider", "-W", "error"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "6 passed" in done.stdout, done.stdout


def test_the_pipeline_of_the_page_on_secrets_keeps_them(tmp_path: Path) -> None:
    (block,) = blocks(ROOT / "docs" / "secrets.md")
    (tmp_path / "shop.py").write_text(block, encoding="utf-8")
    command = [sys.executable, "-m", "pipeloom", "run", "etl.db", "shop.py", "-p", "token=hunter2-token"]
    environment = {name: value for name, value in os.environ.items() if name != "SHOP_PASSWORD"}
    for more, code in (({}, 2), ({"SHOP_PASSWORD": "hunter2-password"}, 0)):
        done = subprocess.run(
            command, cwd=tmp_path, env=environment | more, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == code, done.stderr
        assert ("SHOP_PASSWORD is not set" in done.stderr) is bool(code)
        assert "hunter2" not in done.stdout + done.stderr
    with closing(sqlite3.connect(tmp_path / "etl.db")) as connection:
        params, result = connection.execute("SELECT params, result FROM task_runs").fetchone()
    assert (json.loads(params), result) == ({"token": "•••", "dsn": "postgresql://shop:•••@db"}, "13")
    assert all(b"hunter2" not in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())


def test_the_page_on_what_has_changed_runs(tmp_path: Path) -> None:
    done = run_page("only-what-changed.md", tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_pipeline_of_the_page_on_parameters_lists_its_tasks() -> None:
    (block,) = blocks(ROOT / "docs" / "parameters.md")
    namespace: dict[str, Any] = {}
    exec(compile(block, "parameters.md", "exec"), namespace)
    today = list_tasks(namespace["pipeline"], {"start": "2026-11-01", "end": "2026-11-30"})
    assert (len(today.tasks), today.params["region"]) == (60, ["eu", "us"])


@dataclass(frozen=True)
class MsgUpsertUsersBatch:
    rows: list[tuple[str, str, int]]  # (key, name, active)


def my_worker(task: TaskDef, q: Channel) -> None:
    q.put(MsgTaskStarted(task.task_id, task.name, datetime.now(UTC).isoformat()))
    try:
        total = 3
        q.put(MsgTaskProgress(task.task_id, 1, total, "extracted"))
        q.put(MsgTaskProgress(task.task_id, 2, total, "transformed"))
        if task.task_id == 3:
            raise ValueError("bad row")
        q.put(MsgTaskProgress(task.task_id, 3, total, "loaded"))
        q.put(MsgTaskFinished(task.task_id, "done", datetime.now(UTC).isoformat()))
    except Exception as e:
        q.put(MsgTaskFinished(task.task_id, "error", datetime.now(UTC).isoformat(), message=str(e)))


def test_a_worker_that_writes_its_own_lifecycle_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    setup_logging(2, None)
    tasks = [TaskDef(i, f"etl-{i}", steps=3) for i in range(1, 6)]
    summary = run_pipeline(Path("etl.db"), tasks, workers=4, wal=True, store_task_status=True, worker_fn=my_worker)
    assert summary.counts == {"done": 4, "error": 1}
    assert [(failed.name, failed.error) for failed in summary.failed] == [("etl-3", "bad row")]


def test_a_registered_handler_persists_the_users_batch(tmp_path: Path) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        q.put(MsgUpsertUsersBatch([("k", f"name-{task.task_id}", 1), (f"k{task.task_id}", "n", 0)]))

    pipeline = Pipeline("users", [TaskDef(i, f"etl-{i}") for i in range(1, 4)], worker, workers=1)

    @pipeline.schema
    def create_users(conn: HandlerConnection) -> None:
        conn.execute("CREATE TABLE IF NOT EXISTS users (key TEXT PRIMARY KEY, name TEXT, active INTEGER)")
        conn.commit()

    @pipeline.handler(MsgUpsertUsersBatch)
    def upsert(conn: HandlerConnection, item: MsgUpsertUsersBatch) -> None:
        conn.executemany(
            "INSERT INTO users(key, name, active) VALUES (?, ?, ?) "
            "ON CONFLICT(key) DO UPDATE SET name=excluded.name, active=excluded.active",
            item.rows,
        )
        conn.commit()

    assert run_pipeline(tmp_path / "etl.db", pipeline, ui="none").ok
    connection = sqlite3.connect(tmp_path / "etl.db")
    assert connection.execute("SELECT count(*), max(name) FROM users WHERE key='k'").fetchall() == [(1, "name-3")]
    assert connection.execute("SELECT count(*) FROM users").fetchall() == [(4,)]
    connection.close()


def test_the_picture_in_the_readme_is_what_the_program_draws(tmp_path: Path) -> None:
    kept = (ROOT / "docs" / "screenshot.svg").read_text(encoding="utf-8")
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'docs')!r}); import screenshot; from pathlib import Path; screenshot.TARGET = Path('s.svg'); screenshot.main()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "s.svg").read_text(encoding="utf-8") == kept, "run `python docs/screenshot.py`"


def test_the_commands_of_the_page_about_the_shell_run(tmp_path: Path) -> None:
    """Each block is run as it is, by a bash in whose folder there is a pipeline."""
    text = (ROOT / "docs" / "shell.md").read_text(encoding="utf-8")
    lines = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "pipeline.py").write_text(
        "from pipeloom import *\n\n\ndef load(task, q):\n    return task.task_id\n\n\n"
        "pipeline = Pipeline('shop', [TaskDef(n, f'page-{n}') for n in range(9)], load)\n",
        encoding="utf-8",
    )
    program = f'pipeloom() {{ "{sys.executable}" -m pipeloom "$@"; }}'
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join([program, *lines])],
        cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / ".bashrc").is_file()
    assert "settings.toml" in (tmp_path / "settings.schema.json").read_text(encoding="utf-8")
    with closing(sqlite3.connect(tmp_path / "etl.db")) as connection:
        runs = connection.execute(
            "SELECT workers, (SELECT count(*) FROM task_runs WHERE run_id = r.id) FROM pipeline_runs r"
        )
        assert runs.fetchall() == [(4, 9), (8, 3), (8, 9)]


def test_the_page_of_the_scripts_shows_a_file_that_says_what_it_needs(tmp_path: Path) -> None:
    (block,) = blocks(ROOT / "docs" / "scripts-and-environments.md")
    (tmp_path / "cows.py").write_text(block, encoding="utf-8")
    script = read_script(tmp_path / "cows.py")
    assert script is not None
    assert [str(one) for one in script.dependencies] == ["cowsay>=6"]
    assert load_pipeline(str(tmp_path / "cows.py")).name == "cows"
    command = [sys.executable, "-m", "pipeloom", "run", "etl.db", "cows.py"]
    done = subprocess.run(
        command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "pipeloom run --yes etl.db cows.py" in done.stderr
