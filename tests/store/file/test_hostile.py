"""Files made to do harm: they are shown as well as can be or refused in one sentence; nothing runs, nothing is written."""

from __future__ import annotations

import faulthandler
import hashlib
import random
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from tests.store.conftest import MakeFile, MakeSqlite

from pipeloom.cli.common import exit_code_of
from pipeloom.cli.main import program
from pipeloom.errors import PipeloomError, StoreError
from pipeloom.export.attempts import whole_rows
from pipeloom.export.case_file import case_file
from pipeloom.export.formats import Format, text_of
from pipeloom.filters import Filter, parse
from pipeloom.status import RunStatus, Status
from pipeloom.store.file.kind import FileKind, file_kind
from pipeloom.store.maintenance.prune import Policy, plan, prune
from pipeloom.store.maintenance.recovery import recover
from pipeloom.store.read.baselines import duration_baselines
from pipeloom.store.read.history import History, walk
from pipeloom.store.read.paging import Sort
from pipeloom.store.read.run_queries import open_tasks, runs_with, task_counts, task_standings, tasks_of_run
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.store.schema import APPLICATION_ID
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.store.write.ledger import Ledger

RUN_COLUMNS = (
    "pipeline, source, status, workers, executor, parent_run_id, host, pid, process_started_at, heartbeat_at, commits, "
    "started_at, finished_at"
)
TASK_COLUMNS = (
    "run_id, task_id, attempt, name, status, progress, step, total, message, queued_at, due_at, started_at, "
    "finished_at, duration_s, result, error_type, error, params, worker, fingerprint"
)
LOG_COLUMNS = "task_run_id, seq, at, level, text"
MARK = f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version=2;"
RUNS = f"CREATE TABLE pipeline_runs (id INTEGER PRIMARY KEY, {RUN_COLUMNS});"
TASKS = f"CREATE TABLE task_runs (id INTEGER PRIMARY KEY, {TASK_COLUMNS});"
LOGS = f"CREATE TABLE task_logs ({LOG_COLUMNS});"
LIKE_OURS = RUNS + TASKS + LOGS + MARK
ENDLESS = "WITH RECURSIVE n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n)"

VALUES = (
    "NULL", "'text'", "x'00ff80'", "9e999", "-9e999", "-1", "9223372036854775807", "-9223372036854775808", "1.5", "''",
    "'running'", "'error'", "CAST(x'ff00fe41' AS TEXT)", "'9999-12-31T23:59:59.999999-23:59'", "'[red]x' || char(27) || '[31m'",
    "'{\"a\":' || hex(zeroblob(100)) || '}'",
)  # fmt: skip


def tables_of_anything(seed: int) -> str:
    """Return SQL for look-alike tables whose every column holds values of every kind."""
    chance = random.Random(seed)

    def rows(table: str, columns: str, count: int) -> str:
        width = columns.count(",") + 1
        made = ", ".join(f"({', '.join(chance.choice(VALUES) for _ in range(width))})" for _ in range(count))
        return f"INSERT INTO {table} ({columns}) VALUES {made};"

    numbered = "UPDATE task_runs SET run_id = id % 4 WHERE id % 3; UPDATE task_logs SET task_run_id = rowid % 20;"
    return (
        LIKE_OURS + rows("pipeline_runs", RUN_COLUMNS, 8) + rows("task_runs", TASK_COLUMNS, 60)
        + rows("task_logs", LOG_COLUMNS, 60) + numbered
    )  # fmt: skip


def one_task(columns: str, values: str) -> str:
    return f"INSERT INTO task_runs ({columns}) VALUES ({values});"


A_RUN = (
    "INSERT INTO pipeline_runs (id, pipeline, status, executor, started_at) VALUES (1, 'p', 'error', 'thread', 't');"
)
TEN_MB = "replace(hex(zeroblob(5000000)), '00', 'ab')"
TWENTY_MB = "replace(hex(zeroblob(10000000)), '00', 'ab')"
HOSTILE: dict[str, str] = {
    **{f"wrong types {seed}": tables_of_anything(seed) for seed in range(6)},
    "texts of 10 MB": LIKE_OURS + A_RUN
    + one_task("run_id, task_id, name, status, message, error", f"1, 1, {TEN_MB}, 'error', {TEN_MB}, {TEN_MB}")
    + f"INSERT INTO task_logs VALUES (1, 1, 't', 'INFO', {TEN_MB});",
    "texts of 20 MB": LIKE_OURS + A_RUN
    + one_task("run_id, task_id, name, status, message, error", f"1, 1, {TWENTY_MB}, 'error', {TWENTY_MB}, {TWENTY_MB}")
    + f"INSERT INTO task_logs VALUES (1, 1, 't', 'INFO', {TWENTY_MB});",
    "a run's texts of 20 MB": LIKE_OURS
    + f"INSERT INTO pipeline_runs (id, pipeline, status, host, started_at) VALUES (1, {TWENTY_MB}, 'running', {TWENTY_MB}, 't');",
    "control characters": LIKE_OURS + A_RUN
    + one_task("run_id, task_id, name, status, message, error, params",
               "1, char(27) || '[2J', char(27) || ']0;x' || char(7), 'error', char(155, 0, 10, 13), char(8238), char(27)"),
    "ids that are no numbers": LIKE_OURS.replace("task_runs (id INTEGER PRIMARY KEY", "task_runs (id TEXT PRIMARY KEY")
    + one_task("id, run_id, name, status", "'a', 1, 'n', 'done'") + one_task("id, run_id, name, status", "NULL, 1, 'n', 'done'"),
    "ids that only look like numbers": LIKE_OURS.replace("task_runs (id INTEGER PRIMARY KEY", "task_runs (id INTEGER PRIMARY KEY DESC")
    + one_task("id, run_id, name, status", "'a', 1, 'n', 'done'"),
    "ids of a table without rowids": LIKE_OURS.replace("worker, fingerprint);", "worker, fingerprint) WITHOUT ROWID;")
    + one_task("id, run_id, name, status", "'a', 1, 'n', 'done'"),
    "run ids that are no numbers": LIKE_OURS.replace("pipeline_runs (id INTEGER PRIMARY KEY", "pipeline_runs (id")
    + "INSERT INTO pipeline_runs (id, pipeline, status) VALUES ('a', 'p', 'done'), (NULL, 'p', 'running'), (x'00', 'p', 1);",
    "no logs": RUNS + TASKS + MARK + A_RUN,
    "no runs": TASKS + LOGS + MARK + one_task("run_id, name, status", "1, 'n', 'done'"),
    "no tasks": RUNS + LOGS + MARK + A_RUN,
    "nothing but the number": MARK + "CREATE TABLE t (x);",
    "triggers": LIKE_OURS + A_RUN + one_task("run_id, name, status", "1, 'n', 'error'")
    + "CREATE TRIGGER a AFTER UPDATE ON task_runs BEGIN UPDATE task_runs SET status='done'; END;"
    + "CREATE TRIGGER b AFTER DELETE ON task_runs BEGIN DELETE FROM pipeline_runs; END;",
    "tasks that are an endless view": RUNS + LOGS + MARK
    + f"CREATE VIEW task_runs AS {ENDLESS} SELECT x AS id, {', '.join(f'x AS {name}' for name in TASK_COLUMNS.split(', '))} FROM n;",
    "runs that are an endless view": TASKS + LOGS + MARK
    + f"CREATE VIEW pipeline_runs AS {ENDLESS} SELECT x AS id, {', '.join(f'x AS {name}' for name in RUN_COLUMNS.split(', '))} FROM n;",
    "logs that are an endless view": RUNS + TASKS + MARK + A_RUN + one_task("run_id, task_id, name, status", "1, 1, 'n', 'error'")
    + f"CREATE VIEW task_logs AS {ENDLESS} SELECT -x AS task_run_id, x AS seq, x AS at, x AS level, x AS text FROM n;",
    "commands that are a view": LIKE_OURS + "CREATE VIEW commands AS SELECT * FROM task_runs;",
    "a column that is computed": RUNS + LOGS + MARK
    + TASKS.replace("worker, fingerprint", "worker, fingerprint AS (hex(zeroblob(4000000)))") + A_RUN
    + one_task("run_id, task_id, name, status", "1, 1, 'n', 'error'"),
    "a name that is computed": RUNS + LOGS + MARK
    + TASKS.replace("attempt, name,", "attempt, name AS (hex(zeroblob(4000000))),") + A_RUN,
    "runs that continue each other": LIKE_OURS
    + "INSERT INTO pipeline_runs (id, pipeline, status, parent_run_id) VALUES (1, 'p', 'error', 2), (2, 'p', 'error', 1), (3, 'p', 'error', 3);"
    + one_task("run_id, task_id, name, status", "2, 1, 'n', 'error'"),
    "an index with a collation that nobody knows": LIKE_OURS + A_RUN + "PRAGMA writable_schema=ON;"
    + "INSERT INTO sqlite_schema VALUES ('index', 'odd', 'task_runs', 0, 'CREATE INDEX odd ON task_runs (name COLLATE nobody)');",
    "a schema that cannot be parsed": LIKE_OURS + "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql='CREATE TABLE task_runs (' WHERE name='task_runs';",
    "a schema of the future": LIKE_OURS + "PRAGMA user_version=2147483647;" + A_RUN,
    "a schema below zero": LIKE_OURS + "PRAGMA user_version=-1;" + A_RUN,
}  # fmt: skip

FILTERS = (
    "", "x", "status:error", "-status:done", "run:1", "task:1", "attempt:>1", "dur:>1s", "-dur:>1s", "age:<2h", "started:..today",
    "err:x", "worker:w", "fail:abc", "status:error dur:>0s text",
)  # fmt: skip
SORTS = [Sort(name, down) for name in ("id", "name", "status", "started_at", "duration_s") for down in (True, False)]
AT_MOST = 1_000
"""More rows than any of the files has: a walk that yields as many would go on for ever."""


def everything(path: Path) -> None:
    """Ask a history for all that it can tell."""
    with History(path) as history:
        for where in map(parse, FILTERS):
            told(history.count, where)
            for sort in SORTS:
                told(walked, history, where, sort)
        told(rows_of, history)
        told(runs_of, history)
        told(lambda: plan(path, Policy(keep_last=1, done_for_days=1, failed_for_days=1)))
        for format_ in Format:
            told(exported, history, format_)
        told(history.has_open_runs)
        told(history.data_version)


def told(ask: Callable[..., Any], *given: Any) -> Any:
    """Return the answer; a refusal is one short sentence."""
    try:
        return ask(*given)
    except PipeloomError as error:
        said = str(error)
    assert (len(said.splitlines()), len(said) < 1_000) == (1, True)
    return None


def exported(history: History, format_: Format) -> str:
    return "".join(text_of(islice(whole_rows(history, Filter()), AT_MOST), format_))


def walked(history: History, where: Filter, sort: Sort) -> None:
    seen = [row.id for row in islice(walk(history, where, sort, limit=7), AT_MOST)]
    assert len(seen) == len(set(seen)) < AT_MOST
    assert len(seen) == history.count(where)
    backwards = history.page(where, sort=sort, before="end", limit=7)
    assert [row.id for row in backwards] == seen[-7:]


def rows_of(history: History) -> None:
    for row in history.page(limit=20):
        assert {type(row.id), type(row.run_id), type(row.attempt)} == {int}
        assert isinstance(row.status, Status)
        told(history.attempt, row.id)
        told(history.whole, [row.id])
        told(history.attempts_of, row.run_id, row.task_id)
        told(history.logs, row.id)
        told(list, case_file(history, row.id))


def runs_of(history: History) -> None:
    for run in history.runs(limit=20):
        assert type(run.id) is int
        told(history.run, run.id)
        told(task_standings, history, run.id)
        told(history.last_run, run.pipeline)
        told(duration_baselines, history, run.pipeline, run.id + 1, [1, "text"])
        told(task_counts, history, run.id)
        told(tasks_of_run, history, run.id, list(Status))
        told(open_tasks, history, run.id)
    told(lambda: runs_with(history, parse("status:error"), before=1 << 62, limit=5))


COMMANDS = [
    ["status"], ["status", "--json"], ["runs"], ["runs", "--json", "status:error"], ["show"], ["show", "1"], ["show", "2", "--json"],
    ["show", "--sort", "name", "--json", "x"], ["export"], ["export", "-f", "jsonl"], ["export", "-f", "md", "status:error"],
    ["export", "--case", "1"], ["prune", "--keep-last", "1"], ["prune", "--done-for", "1", "--json"],
]  # fmt: skip


def commanded(
    path: Path, arguments: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["pipeloom", arguments[0], str(path), *arguments[1:]])
    try:
        code = exit_code_of(program)
    except SystemExit as left:
        code = int(left.code or 0)
    said = capfd.readouterr()
    return code, said.out, said.err


@contextmanager
def untouched(path: Path, seconds: int = 60) -> Iterator[None]:
    """See that the file stays as it is, that nothing but SQLite's own log appears beside it, and that it comes to an end."""
    before = hashlib.sha256(path.read_bytes()).digest()
    beside = {entry.name for entry in path.parent.iterdir()}

    faulthandler.dump_traceback_later(seconds, exit=True)  # nothing else gets SQLite out of an endless query
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
    assert hashlib.sha256(path.read_bytes()).digest() == before
    left = {entry.name for entry in path.parent.iterdir()} - beside
    assert left <= {f"{path.name}-wal", f"{path.name}-shm"}


@pytest.fixture(params=HOSTILE)
def hostile(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file made to do harm, in a folder of its own."""
    path = tmp_path / "hostile" / "etl.db"
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.executescript(HOSTILE[request.param])
    connection.close()
    return path


def test_a_hostile_file_is_read_or_refused_and_stays_as_it_is(hostile: Path) -> None:
    with untouched(hostile):
        told(everything, hostile)
        told(recover, hostile)
        told(prune, hostile, Policy(keep_last=1))
        told(lambda: open_writer(hostile).close())


def test_commands_show_a_hostile_file_or_refuse_it_in_one_sentence(
    hostile: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with untouched(hostile):
        for arguments in COMMANDS:
            code, out, err = commanded(hostile, arguments, capfd, monkeypatch)
            assert code in (0, 1, 2, 3), (arguments, err)
            assert len(err.splitlines()) <= (code == 2), (arguments, err)
            assert "internal error" not in err
            if arguments[0] != "export":  # what is stored goes to a pipe as it is
                assert not {"\x1b", "\x9b", "\x07", "\u202e", "\0"} & set(out), arguments
                assert len(out) < 1_000_000


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("wrong types 0", FileKind.ALTERED),
        ("triggers", FileKind.ALTERED),
        ("no logs", FileKind.ALTERED),
        ("logs that are an endless view", FileKind.ALTERED),
        ("a schema of the future", FileKind.NEWER),
        ("ids that are no numbers", FileKind.CONFLICT),
        ("ids that only look like numbers", FileKind.CONFLICT),
        ("ids of a table without rowids", FileKind.CONFLICT),
        ("run ids that are no numbers", FileKind.CONFLICT),
        ("no runs", FileKind.CONFLICT),
        ("tasks that are an endless view", FileKind.CONFLICT),
        ("a name that is computed", FileKind.CONFLICT),
    ],
)
def test_what_is_shown_and_what_is_refused(make_sqlite: MakeSqlite, name: str, kind: FileKind) -> None:
    assert file_kind(make_sqlite(HOSTILE[name])) is kind


def test_what_is_shown_is_what_can_be_shown(make_sqlite: MakeSqlite) -> None:
    with History(make_sqlite(HOSTILE["texts of 10 MB"])) as history:
        (row,) = history.page()
        assert (len(row.name), len(row.message), row.error) == (500, 500, None)
        whole = history.attempt(1)
        assert whole is not None
        assert len(whole.error or "") == len(whole.name) == 65_536
        assert [len(line.text) for line in history.logs(1)] == [65_536]
    with History(make_sqlite(HOSTILE["logs that are an endless view"], name="view.db")) as history:
        assert history.logs(1) == []


def test_the_source_of_a_run_is_never_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "hostile"
    folder.mkdir()
    script = folder / "etl.py"
    script.write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\n")
    path = folder / "etl.db"
    connection = open_writer(path)
    ledger = Ledger(connection)
    ledger.begin()
    for source in (f"{script}:pipeline", "etl:pipeline", "os:system"):
        ledger.insert_run(RunRow(0, "p", RunStatus.ERROR, "2026-08-01T12:00:00.000000+00:00", source))
    ledger.insert_attempts(
        [AttemptRow(1, 3, 1, 1, "a", Status.ERROR, params='{"__reduce__": "x"}', result="!!python/name:os")]
    )
    ledger.commit()
    close_writer(connection)
    monkeypatch.chdir(folder)
    loaded = set(sys.modules)
    with untouched(path):
        everything(path)
        for arguments in COMMANDS:
            commanded(path, arguments, capfd, monkeypatch)
    assert not (folder / "ran").exists()
    assert "etl" not in set(sys.modules) - loaded


@pytest.mark.parametrize(
    "change", ["DROP INDEX {}", "DROP INDEX {0}; CREATE INDEX {0} ON task_runs (message) WHERE id < 0"]
)
@pytest.mark.parametrize("index", ["task_runs_status", "task_runs_started", "task_runs_duration", "task_runs_failure"])
def test_a_file_whose_indexes_were_changed_is_read_all_the_same(make_file: MakeFile, index: str, change: str) -> None:
    rows = [AttemptRow(n, 1, n, 1, f"t{n}", Status.ERROR, duration_s=1.0, fingerprint="abc") for n in range(1, 20)]
    path = make_file(rows, sql=change.format(index).split(";"))
    with History(path) as history:
        for text in FILTERS:
            for sort in SORTS:
                walked(history, parse(text), sort)


@pytest.mark.slow
def test_flipped_bytes_are_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "etl.db"
    connection = open_writer(path)
    ledger = Ledger(connection)
    ledger.begin()
    ledger.insert_run(RunRow(0, "p", RunStatus.ERROR, "2026-08-01T12:00:00.000000+00:00"))
    ledger.insert_attempts([AttemptRow(n, 1, n, 1, f"t-{n}", Status.ERROR, message="m" * 50) for n in range(1, 61)])
    ledger.insert_logs((n, 1, "t", "INFO", "text") for n in range(1, 61))
    ledger.commit()
    close_writer(connection)
    sound = path.read_bytes()
    chance = random.Random(7)
    refused = 0
    for number in range(120):
        damaged = bytearray(sound)
        for _ in range(1 + number % 8):
            damaged[chance.randrange(len(damaged) if number % 2 else 4096)] ^= 1 << chance.randrange(8)
        broken = tmp_path / "broken.db"
        broken.write_bytes(damaged)
        with untouched(broken):
            try:
                with History(broken) as history:
                    for sort in SORTS[:4]:
                        told(list, islice(walk(history, sort=sort, limit=7), AT_MOST))
                    told(runs_of, history)
                    told(rows_of, history)
            except StoreError:
                refused += 1
        for side in tmp_path.glob("broken.db-*"):
            side.unlink()
    assert 0 < refused < 120
