"""Files that an earlier pipeloom wrote: copied, brought up to date, all of it or nothing; and those that cannot be."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.store.conftest import NEWER, MakeFile, MakeSqlite

from pipeloom.cli.cockpit import _browse
from pipeloom.cli.options.run import HangupChoice
from pipeloom.errors import StoreError
from pipeloom.filters import parse
from pipeloom.status import RunStatus, Status
from pipeloom.store.file.kind import FileKind, file_kind
from pipeloom.store.file.owner import OwnerLock, lock_path, owner_name
from pipeloom.store.fingerprints import fingerprint
from pipeloom.store.maintenance.recovery import recover
from pipeloom.store.read.history import History, walk
from pipeloom.store.read.paging import Sort
from pipeloom.store.read.run_queries import task_standings
from pipeloom.store.rows import AttemptRow
from pipeloom.store.schema import expected_columns
from pipeloom.store.write.connect import close_writer, open_writer

NOW = "2026-08-01T12:00:00.000000+00:00"

VERSION_1 = """
CREATE TABLE pipeline_runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    pipeline TEXT NOT NULL,
    source TEXT,
    status TEXT NOT NULL CHECK (status IN ('running','done','error','cancelled','interrupted')),
    workers INTEGER,
    executor TEXT NOT NULL,
    parent_run_id INTEGER,
    host TEXT,
    pid INTEGER,
    process_started_at TEXT,
    heartbeat_at TEXT,
    commits INTEGER NOT NULL DEFAULT 0,
    started_at TEXT NOT NULL,
    finished_at TEXT
) STRICT;
CREATE TABLE task_runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL,
    task_id ANY NOT NULL CHECK (typeof(task_id) IN ('integer','text')),
    attempt INTEGER NOT NULL CHECK (attempt >= 1),
    name TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN
        ('queued','retrying','running','cancelling','done','error','cancelled','interrupted')),
    progress REAL CHECK (progress BETWEEN 0 AND 1),
    step REAL,
    total REAL,
    message TEXT NOT NULL DEFAULT '',
    queued_at TEXT,
    due_at TEXT,
    started_at TEXT,
    finished_at TEXT,
    duration_s REAL CHECK (duration_s >= 0),
    result TEXT,
    error_type TEXT,
    error TEXT,
    params TEXT,
    worker TEXT,
    UNIQUE (run_id, task_id, attempt)
) STRICT;
CREATE TABLE task_logs (
    task_run_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at TEXT NOT NULL,
    level TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (task_run_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_runs_status ON task_runs (status, id);
CREATE INDEX task_runs_name ON task_runs (name, id);
PRAGMA application_id=0x504C4F4D;
PRAGMA user_version=1;
"""
ROWS_1 = f"""
INSERT INTO pipeline_runs (pipeline, status, executor, started_at, heartbeat_at, finished_at)
    VALUES ('weather', 'error', 'thread', '{NOW}', '{NOW}', '{NOW}');
INSERT INTO task_runs (run_id, task_id, attempt, name, status, message, error_type, error, started_at, duration_s) VALUES
    (1, 7, 1, 'july', 'done', 'fine', NULL, NULL, '{NOW}', 2.5),
    (1, 'x', 1, 'august', 'error', 'KeyError: 1', 'KeyError', 'Traceback', '{NOW}', 1.5),
    (1, 'x', 2, 'august', 'error', 'KeyError: 2', 'KeyError', 'Traceback', '{NOW}', 0.5);
INSERT INTO task_logs VALUES (2, 1, '{NOW}', 'INFO', 'reading');
CREATE TABLE users (name TEXT);
INSERT INTO users VALUES ('ada');
"""

VERSION_2 = VERSION_1.replace(
    "PRAGMA user_version=1;",
    """
ALTER TABLE task_runs ADD COLUMN fingerprint TEXT;
CREATE TABLE commands (
    id TEXT PRIMARY KEY,
    run_id INTEGER,
    command TEXT NOT NULL,
    arguments TEXT,
    asked_by TEXT NOT NULL,
    asked_at TEXT NOT NULL,
    answer TEXT NOT NULL,
    answered_at TEXT NOT NULL
) STRICT;
CREATE INDEX task_runs_started ON task_runs (started_at);
CREATE INDEX task_runs_duration ON task_runs (duration_s);
CREATE INDEX task_runs_failure ON task_runs (fingerprint) WHERE fingerprint IS NOT NULL;
PRAGMA user_version=2;
""",
)

VERSION_3 = VERSION_2.replace(
    "CREATE INDEX task_runs_name ON task_runs (name, id);",
    "CREATE INDEX task_runs_name ON task_runs (name, id, status);",
).replace(
    """CREATE INDEX task_runs_started ON task_runs (started_at);
CREATE INDEX task_runs_duration ON task_runs (duration_s);
CREATE INDEX task_runs_failure ON task_runs (fingerprint) WHERE fingerprint IS NOT NULL;
PRAGMA user_version=2;
""",
    """CREATE INDEX task_runs_started ON task_runs (started_at, id, status);
CREATE INDEX task_runs_duration ON task_runs (duration_s, id, status);
CREATE INDEX task_runs_failure ON task_runs (fingerprint) WHERE fingerprint IS NOT NULL;
CREATE VIEW pipeloom_schema AS SELECT 3 AS version;
PRAGMA user_version=3;
""",
)

VERSION_0_0_7 = """
CREATE TABLE task_runs (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    progress REAL NOT NULL DEFAULT 0.0,
    message TEXT,
    started_at TEXT,
    finished_at TEXT,
    result TEXT
);
CREATE INDEX task_runs_status ON task_runs (status);
INSERT INTO task_runs VALUES
    (1, 'etl-1', 'done', 1.0, 'ok', '2025-03-01T10:00:00', '2025-03-01T10:00:02.5', '{"rows": 3}'),
    (2, 'etl-2', 'error', 0.5, 'ValueError: bad row', '2025-03-01T10:00:00+01:00', '2025-03-01T10:00:03+01:00', NULL),
    (3, 'etl-3', 'running', 0.25, 'half', '2025-03-01T10:00:01', NULL, 'not JSON'),
    (5, 'etl-5', 'queued', 0.0, NULL, NULL, NULL, NULL);
CREATE TABLE users (name TEXT);
INSERT INTO users VALUES ('ada');
CREATE VIEW failed AS SELECT name FROM task_runs WHERE status = 'error';
"""

SCRIPTS = {
    "version 1": VERSION_1 + ROWS_1,
    "version 2": VERSION_2 + ROWS_1,
    "version 3": VERSION_3 + ROWS_1,
    "0.0.7": VERSION_0_0_7,
}
KINDS = {which: FileKind.LEGACY if which == "0.0.7" else FileKind.OLDER for which in SCRIPTS}


def select(path: Path, sql: str) -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def backups(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.backup-*"))


def dump(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return [*connection.iterdump()]
    finally:
        connection.close()


@pytest.fixture(params=SCRIPTS)
def older(request: pytest.FixtureRequest, make_sqlite: MakeSqlite) -> Path:
    """A file of each earlier kind."""
    path: Path = make_sqlite(SCRIPTS[request.param], name="etl.db")
    assert file_kind(path) is KINDS[request.param]
    return path


@pytest.fixture
def version_1(make_sqlite: MakeSqlite) -> Path:
    """A file of schema 1."""
    path: Path = make_sqlite(VERSION_1 + ROWS_1, name="etl.db")
    return path


@pytest.fixture
def legacy(make_sqlite: MakeSqlite) -> Path:
    """A file of pipeloom 0.0.7."""
    path: Path = make_sqlite(VERSION_0_0_7, name="etl.db")
    return path


def test_an_older_file_is_copied_for_its_owner_alone_before_it_is_changed(older: Path) -> None:
    before = dump(older)
    close_writer(open_writer(older))
    assert file_kind(older) is FileKind.OURS
    (copy,) = backups(older)
    assert copy.stat().st_mode & 0o777 == 0o600
    assert dump(copy) == before
    assert select(older, "SELECT name FROM users") == [("ada",)]
    assert select(older, "PRAGMA integrity_check") == [("ok",)]
    close_writer(open_writer(older))
    assert backups(older) == [copy]


def test_a_file_of_schema_1_keeps_its_rows_and_its_failures_get_fingerprints(version_1: Path) -> None:
    columns = "id, run_id, task_id, attempt, name, status, message, error_type, error, started_at, duration_s"
    before = select(version_1, f"SELECT {columns} FROM task_runs")
    close_writer(open_writer(version_1))
    assert select(version_1, f"SELECT {columns} FROM task_runs") == before
    same = fingerprint("KeyError", "Traceback", "KeyError: 9")
    assert select(version_1, "SELECT fingerprint FROM task_runs ORDER BY id") == [(None,), (same,), (same,)]
    with History(version_1) as history:
        assert [row.id for row in walk(history, parse(f"fail:{same}"))] == [3, 2]
        assert [line.text for line in history.logs(2)] == ["reading"]


def test_an_older_file_has_the_tables_and_indexes_of_a_new_one_afterwards(older: Path, tmp_path: Path) -> None:
    close_writer(open_writer(older))
    close_writer(open_writer(tmp_path / "new.db"))
    indexes = "SELECT name, sql FROM sqlite_schema WHERE type='index' ORDER BY name"
    assert select(older, indexes) == select(tmp_path / "new.db", indexes)
    for table in expected_columns():
        columns = f"SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info('{table}')"
        assert select(older, columns) == select(tmp_path / "new.db", columns) != []


def test_an_older_file_takes_the_statuses_of_today_on_the_connection_that_has_changed_it(older: Path) -> None:
    writer = open_writer(older)
    writer.execute("UPDATE task_runs SET status='skipped'")
    with pytest.raises(sqlite3.IntegrityError):
        writer.execute("UPDATE task_runs SET status='forgotten'")
    close_writer(writer)
    assert select(older, "SELECT DISTINCT status FROM task_runs") == [("skipped",)]
    assert select(older, "PRAGMA integrity_check") == [("ok",)]


def test_rows_of_older_files_have_no_count_of_rows_and_no_state(older: Path) -> None:
    close_writer(open_writer(older))
    assert {*select(older, "SELECT rows, input_key, code FROM task_runs")} == {(None, None, None)}
    assert {*select(older, "SELECT params, unchanged FROM pipeline_runs")} == {(None, None)}
    assert select(older, "SELECT count(*) FROM task_state") == [(0,)]


def test_the_state_of_a_task_is_kept_by_pipeline_and_by_id_of_its_kind(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "etl.db")
    insert = "INSERT INTO task_state VALUES ('shop', ?, '{}', 1)"
    try:
        connection.execute(insert, (1,))
        connection.execute(insert, ("1",))
        for taken in (1, "1", 1.5, None):
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(insert, (taken,))
    finally:
        close_writer(connection)


def test_a_file_of_schema_1_without_rows_needs_no_copy(make_sqlite: MakeSqlite) -> None:
    path = make_sqlite(VERSION_1)
    close_writer(open_writer(path))
    assert (file_kind(path), backups(path)) == (FileKind.OURS, [])


def test_a_file_of_0_0_7_becomes_the_first_attempts_of_one_run(legacy: Path) -> None:
    close_writer(open_writer(legacy))
    with History(legacy) as history:
        (run,) = history.runs()
        assert (run.pipeline, run.status, run.started_at) == (
            "imported",
            RunStatus.INTERRUPTED,
            "2025-03-01T10:00:00.000000+00:00",
        )
        one, two, three, five = (history.attempt(number) for number in (1, 2, 3, 5))
    assert one is not None
    assert (one.run_id, one.task_id, one.attempt, one.name, one.status) == (1, 1, 1, "etl-1", Status.DONE)
    assert (one.duration_s, one.result, one.progress) == (2.5, '{"rows": 3}', 1.0)
    assert two is not None
    assert (two.status, two.error_type, two.error, two.started_at) == (
        Status.ERROR, "ValueError", "ValueError: bad row", "2025-03-01T09:00:00.000000+00:00",
    )  # fmt: skip
    assert two.fingerprint
    assert three is not None
    assert (three.status, three.progress, three.result) == (Status.INTERRUPTED, 0.25, "not JSON")
    assert five is not None
    assert (five.status, five.message, five.started_at) == (Status.INTERRUPTED, "", None)


def test_a_file_of_0_0_7_browses_like_any_other_and_its_views_go_on_working(legacy: Path) -> None:
    close_writer(open_writer(legacy))
    with History(legacy) as history:
        for sort in (Sort(), Sort("name"), Sort("status"), Sort("started_at"), Sort("duration_s")):
            assert {row.id for row in walk(history, sort=sort, limit=2)} == {1, 2, 3, 5}
        assert history.count(parse("status:error")) == 1
        assert {task.task_id for task in task_standings(history, 1)} == {1, 2, 3, 5}
    assert select(legacy, "SELECT name FROM failed") == [("etl-2",)]
    assert select(legacy, "SELECT name FROM sqlite_schema WHERE name LIKE 'pipeloom_0%'") == []
    connection = open_writer(legacy)
    connection.execute("INSERT INTO task_runs (run_id, task_id, attempt, name, status) VALUES (1, 9, 1, 'n', 'done')")
    close_writer(connection)
    assert select(legacy, "SELECT max(id) FROM task_runs") == [(6,)]


def test_a_lock_file_nested_deeper_than_can_be_read_names_nobody(tmp_path: Path) -> None:
    lock_path(tmp_path / "etl.db").write_text("[" * 100_000, encoding="utf-8")
    assert owner_name(tmp_path / "etl.db") == "another pipeloom process"


class Interrupted(sqlite3.Connection):
    """Fails at one statement."""

    left = 0

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        Interrupted.left -= 1
        if Interrupted.left == 0:
            raise sqlite3.OperationalError("it fails here")
        return super().execute(sql, *values)


@pytest.mark.parametrize("which", SCRIPTS)
def test_a_statement_that_fails_leaves_the_file_old_or_new(
    make_sqlite: MakeSqlite, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    failed = 0
    for statement in range(1, 100):
        path = make_sqlite(SCRIPTS[which], name=f"{statement}.db")
        before = dump(path)
        with monkeypatch.context() as patched:
            patched.setattr(
                "pipeloom.store.write.connect.sqlite3.connect", partial(sqlite3.connect, factory=Interrupted)
            )
            patched.setattr(Interrupted, "left", statement)
            try:
                open_writer(path).close()
            except (StoreError, sqlite3.Error):
                failed += 1
                assert (file_kind(path), dump(path)) == (KINDS[which], before)
            else:
                assert file_kind(path) is FileKind.OURS
                if Interrupted.left > 0:
                    break  # it does not come to that statement any more
    assert failed >= 15


KILLED = """
import os, sqlite3, sys
from functools import partial
from pathlib import Path
import pipeloom.store.write.connect as connect

class Killed(sqlite3.Connection):
    left = 0
    def execute(self, *arguments):
        Killed.left -= 1
        if Killed.left == 0:
            os._exit(9)
        return super().execute(*arguments)

connect.sqlite3 = type("patched", (), {**vars(sqlite3), "connect": partial(sqlite3.connect, factory=Killed)})
path, statement = Path(sys.argv[1]), 0
while True:
    statement += 1
    child = os.fork()
    if not child:
        Killed.left = statement
        connect.open_writer(path).close()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(connect.file_kind(path).name, flush=True)
    if status == 0:
        break
    assert os.waitstatus_to_exitcode(status) == 9
"""


@pytest.mark.kill
def test_a_program_that_is_killed_at_any_statement_leaves_the_file_old_or_new(older: Path) -> None:
    kind = file_kind(older).name
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(older)], capture_output=True, text=True, timeout=100, check=False
    )
    said = done.stdout.split()
    assert done.returncode == 0, done.stderr
    assert len(said) > 20
    assert said == sorted(said, key=[kind, "OURS"].index)
    assert said[-1] == "OURS"
    assert select(older, "PRAGMA integrity_check") == [("ok",)]
    assert select(older, "SELECT count(*) FROM task_runs") == [(3 if kind == "OLDER" else 4,)]
    for copy in backups(older):
        assert copy.stat().st_mode & 0o777 == 0o600


def test_a_copy_that_cannot_be_made_stops_it(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dump(older)
    monkeypatch.setattr(
        "pipeloom.store.write.backup.os.open", lambda *given: (_ for _ in ()).throw(OSError(28, "no room"))
    )
    with pytest.raises(StoreError, match="could not be copied"):
        open_writer(older)
    assert dump(older) == before


@pytest.mark.parametrize("name", ["commands", "task_state"])
def test_a_users_table_of_a_name_that_is_needed_now_is_told_and_kept(make_sqlite: MakeSqlite, name: str) -> None:
    path = make_sqlite(VERSION_1 + ROWS_1 + f"CREATE TABLE {name} (mine TEXT); INSERT INTO {name} VALUES ('a');")
    before = dump(path)
    with pytest.raises(StoreError, match=f"has a table named {name}"):
        open_writer(path)
    assert recover(path) == 0
    assert (dump(path), backups(path)) == (before, [])
    with History(path) as history:
        assert history.count() == 3


# -- opened to look at ---------------------------------------------------------------------------------------------


def test_a_file_of_schema_1_is_read_as_it_is(version_1: Path) -> None:
    before = dump(version_1)
    with History(version_1) as history:
        assert history.kind is FileKind.OLDER
        assert [row.id for row in walk(history)] == [3, 2, 1]
        assert [row.id for row in walk(history, parse("status:error"), Sort("duration_s"), limit=1)] == [2, 3]
        whole = history.attempt(2)
        assert whole is not None
        assert (whole.error, whole.fingerprint) == ("Traceback", None)
        assert [run.pipeline for run in history.runs()] == ["weather"]
        assert [task.attempt for task in task_standings(history, 1) if task.task_id == "x"] == [2]
        assert [row.attempt for row in history.attempts_of(1, "x")] == [1, 2]
    assert dump(version_1) == before


AS_NOBODY = """
import hashlib, os, sys, traceback  # some of them are imported late, and root's Python is not to be read
from pathlib import Path
from pipeloom.store.read.history import History
from pipeloom.store.maintenance.recovery import recover
from pipeloom.errors import PipeloomError
path = Path(sys.argv[1])
path.as_uri()  # imports more
os.setgid(65534); os.setuid(65534)
try:
    print("closed:", recover(path))
    with History(path) as history:
        print("rows:", history.count())
except PipeloomError as error:
    print("refused:", error)
print("left:", sorted(os.listdir(path.parent)))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("which", SCRIPTS)
def test_where_nothing_may_be_written_an_older_file_is_read_as_it_is(make_sqlite: MakeSqlite, which: str) -> None:
    folder = Path("/tmp") / f"pipeloom-older-{os.getpid()}"
    folder.mkdir()
    try:
        path = folder / "etl.db"
        path.write_bytes(make_sqlite(SCRIPTS[which]).read_bytes())
        path.chmod(0o444)
        folder.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(path)], capture_output=True, text=True, check=False, cwd="/",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        assert "left: ['etl.db']" in done.stdout, done.stderr
        assert f"closed: 0\nrows: {3 if which.startswith('version') else 4}" in done.stdout
    finally:
        folder.chmod(0o755)
        for left in folder.iterdir():
            left.unlink()
        folder.rmdir()


def test_an_older_file_is_brought_up_to_date_when_it_is_opened(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[FileKind] = []
    monkeypatch.setattr("pipeloom.cli.cockpit.has_terminal", lambda: True)
    monkeypatch.setattr("pipeloom.cli.cockpit._show", lambda path, *rest, **options: shown.append(file_kind(path)))
    _browse(older, HangupChoice.STOP, read_only=False, control=False)
    assert (shown, len(backups(older))) == ([FileKind.OURS], 1)


def test_what_a_dead_owner_left_open_in_an_older_file_is_closed(version_1: Path) -> None:
    connection = sqlite3.connect(version_1)
    connection.execute("UPDATE pipeline_runs SET status='running', finished_at=NULL")
    connection.execute("UPDATE task_runs SET status='running' WHERE id=3")
    connection.commit()
    connection.close()
    assert recover(version_1) == 1
    assert select(version_1, "SELECT status, finished_at FROM task_runs WHERE id=3") == [("interrupted", NOW)]


def test_a_file_that_somebody_owns_is_left_as_it_is(older: Path) -> None:
    before = dump(older)
    lock = OwnerLock(older)
    lock.acquire(NOW)
    try:
        assert recover(older) == 0
    finally:
        lock.release()
    assert (dump(older), backups(older)) == (before, [])


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        (NEWER, FileKind.NEWER),
        (("ALTER TABLE task_runs ADD COLUMN more TEXT",), FileKind.ALTERED),
        (("CREATE TRIGGER t AFTER UPDATE ON task_runs BEGIN DELETE FROM task_logs; END",), FileKind.ALTERED),
        (("DROP TABLE task_logs",), FileKind.ALTERED),
        (("DROP TABLE commands",), FileKind.ALTERED),
        (("DROP TABLE task_state",), FileKind.ALTERED),
    ],
)
def test_a_newer_or_altered_file_is_read_and_never_written(
    make_file: MakeFile, sql: tuple[str, ...], kind: FileKind
) -> None:
    path = make_file([AttemptRow(n, 1, n, 1, f"t-{n}", Status.DONE) for n in (1, 2, 3)], sql=sql)
    before = dump(path)
    assert recover(path) == 0
    with History(path) as history:
        assert history.kind is kind
        assert [row.id for row in walk(history, sort=Sort("name"), limit=2)] == [3, 2, 1]
        assert history.logs(1) == []
        assert history.runs() == []
    with pytest.raises(StoreError, match=r"newer pipeloom|choose another file"):
        open_writer(path)
    assert dump(path) == before
