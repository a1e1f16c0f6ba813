"""What a path turns out to be, and that looking changes nothing."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.store.conftest import NEWER, MakeFile, MakeSqlite

from pipeloom import TaskDef, run_pipeline
from pipeloom.errors import StoreError
from pipeloom.status import Status
from pipeloom.store.file.kind import FileKind, file_kind, open_reader
from pipeloom.store.rows import AttemptRow
from pipeloom.store.schema import APPLICATION_ID, run_steps
from pipeloom.store.write.connect import check_writable, open_writer

LEGACY = """CREATE TABLE task_runs (id INTEGER PRIMARY KEY, name TEXT, status TEXT, progress REAL, message TEXT,
started_at TEXT, finished_at TEXT, result TEXT)"""


def test_a_file_of_ours_is_known_as_such(make_file: MakeFile) -> None:
    assert file_kind(make_file()) is FileKind.OURS


def test_what_is_missing_or_empty_is_told_apart(tmp_path: Path) -> None:
    assert file_kind(tmp_path / "new.db") is FileKind.MISSING
    (tmp_path / "empty.db").touch()
    assert file_kind(tmp_path / "empty.db") is FileKind.EMPTY


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ("CREATE TABLE users (x)", FileKind.FOREIGN),
        (LEGACY, FileKind.LEGACY),
        ("CREATE TABLE task_runs (id, whatever)", FileKind.CONFLICT),
        ("CREATE TABLE t (x); CREATE VIEW task_runs AS SELECT * FROM t", FileKind.CONFLICT),
    ],
)
def test_other_files_are_recognised_and_left_as_they_are(make_sqlite: MakeSqlite, script: str, kind: FileKind) -> None:
    path = make_sqlite(script)
    before = (path.stat().st_mtime_ns, path.stat().st_size)
    assert file_kind(path) is kind
    assert (path.stat().st_mtime_ns, path.stat().st_size) == before
    assert [entry.name for entry in path.parent.iterdir()] == ["other.db"]


def test_a_newer_schema_is_never_written_to(make_file: MakeFile) -> None:
    path = make_file(sql=NEWER)
    assert file_kind(path) is FileKind.NEWER
    with pytest.raises(StoreError, match="newer pipeloom"):
        check_writable(path)


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        (
            "CREATE TRIGGER t AFTER UPDATE ON task_runs BEGIN UPDATE task_runs SET status='done'; END",
            FileKind.ALTERED,
        ),
        ("DROP TABLE task_logs", FileKind.ALTERED),
        ("ALTER TABLE task_runs ADD COLUMN more TEXT", FileKind.ALTERED),
        ("ALTER TABLE pipeline_runs RENAME COLUMN host TO place", FileKind.CONFLICT),
        ("DROP TABLE task_runs", FileKind.CONFLICT),
    ],
)
def test_a_file_of_ours_that_was_tampered_with_is_not_written_to(make_file: MakeFile, sql: str, kind: FileKind) -> None:
    path = make_file(sql=[sql])
    assert file_kind(path) is kind
    with pytest.raises(StoreError, match="choose another file"):
        open_writer(path)


def remade(table: str, old: str, new: str) -> str:
    """Return a script that makes a table again with another clause, and keeps its rows."""
    connection = sqlite3.connect(":memory:")
    with closing(connection):
        run_steps(connection, 0)
        (sql,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name=?", (table,)).fetchone()
    assert old in sql
    return f"""CREATE TABLE kept AS SELECT * FROM {table}; DROP TABLE {table}; {sql.replace(old, new, 1)};
        INSERT INTO {table} SELECT * FROM kept; DROP TABLE kept;"""


@pytest.mark.parametrize(
    "script",
    [
        remade("task_runs", "name TEXT NOT NULL,", "name TEXT NOT NULL UNIQUE ON CONFLICT REPLACE,"),
        remade("task_runs", "name TEXT NOT NULL,", "name TEXT NOT NULL UNIQUE ON CONFLICT IGNORE,"),
        remade("task_runs", "name TEXT NOT NULL,", "name TEXT NOT NULL ON CONFLICT IGNORE,"),
        remade("task_runs", "name TEXT NOT NULL,", "name TEXT NOT NULL COLLATE NOCASE,"),
        remade("task_runs", "name TEXT NOT NULL,", "name TEXT NOT NULL CHECK (name <> 'x'),"),
        remade("task_runs", "run_id INTEGER NOT NULL,", "run_id INTEGER NOT NULL REFERENCES pipeline_runs (id),"),
        remade("task_runs", "message TEXT NOT NULL DEFAULT ''", "message TEXT NOT NULL DEFAULT 'x'"),
        remade("task_runs", "AUTOINCREMENT", ""),
        remade("task_logs", "PRIMARY KEY (task_run_id, seq)", "PRIMARY KEY (task_run_id, seq) ON CONFLICT IGNORE"),
        remade("commands", ") STRICT", ")"),
        remade("task_runs", ", rows INTEGER", ", rows INTEGER DEFAULT 0"),
        remade("task_state", "PRIMARY KEY (pipeline, task_id)", "PRIMARY KEY (pipeline, task_id) ON CONFLICT IGNORE"),
        "CREATE UNIQUE INDEX x ON task_runs (task_id)",
        "CREATE UNIQUE INDEX x ON pipeline_runs (pipeline)",
        "CREATE INDEX x ON task_runs (abs(task_id))",
        "CREATE INDEX x ON task_runs (name) WHERE abs(id) > 0",
        "DROP INDEX task_runs_failure; CREATE UNIQUE INDEX task_runs_failure ON task_runs (fingerprint)",
        "CREATE TRIGGER x BEFORE INSERT ON task_logs BEGIN SELECT RAISE(IGNORE); END",
    ],
)
def test_tables_of_ours_with_any_other_rule_are_only_read(make_file: MakeFile, script: str) -> None:
    path = make_file([AttemptRow(1, 1, 1, 1, "a", Status.DONE)])
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    assert file_kind(path) is FileKind.ALTERED
    with pytest.raises(StoreError, match="another program has altered"):
        open_writer(path)


@pytest.mark.parametrize(
    "script",
    [
        "PRAGMA user_version=0",
        "PRAGMA user_version=1",
        "PRAGMA user_version=7; PRAGMA application_id=1234",
        "CREATE INDEX mine ON task_runs (worker, name COLLATE NOCASE DESC)",
        "DROP INDEX task_runs_name",
        "CREATE TABLE notes (run REFERENCES pipeline_runs (id)); CREATE VIEW failed AS SELECT * FROM task_runs",
    ],
)
def test_what_changes_nothing_for_us_leaves_the_file_ours(make_file: MakeFile, script: str) -> None:
    path = make_file([AttemptRow(1, 1, 1, 1, "a", Status.DONE)])
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
        numbers = [connection.execute(f"PRAGMA {name}").fetchone() for name in ("user_version", "application_id")]
    assert file_kind(path) is FileKind.OURS
    with closing(open_writer(path)) as writer:
        assert numbers == [writer.execute(f"PRAGMA {name}").fetchone() for name in ("user_version", "application_id")]
    assert not list(path.parent.glob("*.backup-*"))


def test_a_file_that_was_dumped_and_read_again_is_ours(make_file: MakeFile, tmp_path: Path) -> None:
    with closing(sqlite3.connect(make_file([AttemptRow(1, 1, 1, 1, "a", Status.DONE)]))) as connection:
        script = "\n".join(connection.iterdump())
    with closing(sqlite3.connect(tmp_path / "again.db")) as again:
        again.executescript(script)
    assert file_kind(tmp_path / "again.db") is FileKind.OURS


@pytest.mark.parametrize("number", [1, 2, 3, 7, 10300, -5])
def test_the_user_version_of_a_users_own_file_stays(make_sqlite: MakeSqlite, number: int) -> None:
    path = make_sqlite(f"CREATE TABLE users (x); PRAGMA user_version={number}")
    assert file_kind(path) is FileKind.FOREIGN
    open_writer(path).close()
    assert file_kind(path) is FileKind.OURS
    with closing(open_writer(path)) as writer:
        assert writer.execute("PRAGMA user_version").fetchone() == (number,)


def test_what_cannot_be_a_database_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("name,temp\n" * 100)
    os.mkfifo(tmp_path / "pipe")
    cases = {
        tmp_path: "is a directory",
        tmp_path / "pipe": "is a pipe",
        tmp_path / "text.db": "cannot be read as an SQLite database",
        tmp_path / "no" / "etl.db": "There is no folder",
        tmp_path / "text.db" / "etl.db": "is not a folder",
        Path(":memory:"): "needs a database file",
        Path(): "needs a database file",
    }
    for path, words in cases.items():
        with pytest.raises(StoreError, match=words):
            file_kind(path, write=True)


def test_a_file_with_two_names_is_not_written_to(make_file: MakeFile) -> None:
    path = make_file()
    os.link(path, path.with_name("other.db"))
    with pytest.raises(StoreError, match="hard links"):
        file_kind(path, write=True)


@pytest.mark.parametrize("name", ["a?mode=memory.db", "a#b.db", "a%20b.db", "with space.db", "-x.db", "ü.db"])
def test_any_file_name_means_that_file(make_file: MakeFile, name: str) -> None:
    path = make_file(name=name)
    assert path.stat().st_size > 0
    assert file_kind(path) is FileKind.OURS


@pytest.mark.parametrize(
    "sql",
    ["INSERT INTO task_logs VALUES (1,1,'','','')", "UPDATE task_runs SET name=''", "DELETE FROM task_runs", "DROP TABLE task_runs",
     "CREATE TABLE x (y)", "CREATE INDEX i ON task_runs (name)", "REINDEX"],
)  # fmt: skip
def test_a_reader_can_neither_write_nor_checkpoint(make_file: MakeFile, sql: str) -> None:
    connection = open_reader(make_file())
    with pytest.raises(sqlite3.OperationalError, match=r"readonly|read-only|query_only"):
        connection.execute(sql)
    connection.close()


@pytest.mark.parametrize("number", [1234, 0x47504B47])
def test_a_file_of_another_program_is_not_taken_over(make_sqlite: MakeSqlite, number: int) -> None:
    path = make_sqlite(f"CREATE TABLE t (x); PRAGMA application_id={number}; PRAGMA user_version=10300")
    before = path.read_bytes()
    assert file_kind(path) is FileKind.OTHER_PROGRAM
    with pytest.raises(StoreError, match=r"belongs to another program.*--no-store"):
        open_writer(path)
    assert path.read_bytes() == before
    open_writer(path, wal=None, store=False).close()


def test_a_users_own_file_gets_our_tables_beside_its_own(make_sqlite: MakeSqlite) -> None:
    path = make_sqlite("CREATE TABLE users (x); INSERT INTO users VALUES (1)")
    open_writer(path).close()
    assert file_kind(path) is FileKind.OURS
    connection = open_reader(path)
    assert connection.execute("SELECT x FROM users").fetchall() == [(1,)]
    connection.close()


def test_tables_that_only_look_like_ours_are_not_taken_for_ours(make_sqlite: MakeSqlite) -> None:
    names = ("pipeline_runs", "task_runs", "task_logs")
    script = "".join(f"CREATE TABLE {name} (id TEXT, name TEXT);" for name in names)
    path = make_sqlite(f"{script} PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version=2")
    assert file_kind(path) is FileKind.CONFLICT


def test_looking_at_a_closed_file_leaves_nothing_behind(make_file: MakeFile) -> None:
    path = make_file()
    before = path.read_bytes()
    assert file_kind(path, write=True) is FileKind.OURS
    assert [entry.name for entry in path.parent.iterdir()] == ["etl.db"]
    assert path.read_bytes() == before


def test_committed_rows_in_a_left_over_wal_are_seen_through_a_link_too(make_file: MakeFile, tmp_path: Path) -> None:
    path = make_file()
    writer = open_writer(path)
    writer.execute("INSERT INTO task_logs VALUES (1, 1, '', '', 'new')")
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "link.db"
    link.symlink_to(path)
    reader = open_reader(link)
    assert reader.execute("SELECT text FROM task_logs").fetchall() == [("new",)]
    reader.close()
    writer.close()


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("dangling.db", "is a link to .*/gone/etl.db, which does not exist"),
        ("near.db", "is a link to .*/missing.db, which does not exist"),
        ("/".join(["d" * 200] * 3) + "/etl.db", "SQLite takes a path of 504"),
        ("nowhere/etl.db", "There is no folder .*nowhere: create it first"),
        ("a-file/etl.db", "is not a folder"),
        ("n" * 300 + ".db", "File name too long"),
    ],
    ids=lambda each: each[:12],
)
def test_a_path_that_leads_nowhere_is_refused_with_the_reason_and_nothing_is_left(
    tmp_path: Path, path: str, why: str
) -> None:
    (tmp_path / "dangling.db").symlink_to(tmp_path / "gone" / "etl.db")
    (tmp_path / "near.db").symlink_to(tmp_path / "missing.db")
    (tmp_path / "a-file").touch()
    (tmp_path / "/".join(["d" * 200] * 3)).mkdir(parents=True)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(StoreError, match=why):
        run_pipeline(tmp_path / path, [TaskDef(0, "one")], worker_fn=print, ui="none")
    assert set(tmp_path.rglob("*")) == before
