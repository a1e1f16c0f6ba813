"""status, runs, show, export and prune: data on stdout, all else on stderr, exit codes that mean something."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Popen, Run, first_line
from tests.conftest import WaitFor

from pipeloom.status import RunStatus, Status
from pipeloom.store.file.owner import OwnerLock
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.store.write.ledger import Ledger

AT = "2026-08-01T12:00:{:02}.000000+00:00"


def contents(folder: Path) -> dict[str, bytes]:
    """Return a hash of each file; a reader of a write-ahead file leaves an empty log beside it, as SQLite does."""
    files = (path for path in folder.iterdir() if path.is_file() and not path.name.endswith(("-wal", "-shm")))
    return {path.name: hashlib.sha256(path.read_bytes()).digest() for path in files}


COMMANDS = ("status", "runs", "show", "export", "prune")


def make(path: Path, attempts: Iterable[AttemptRow], runs: Iterable[RunStatus] = (RunStatus.ERROR,)) -> Path:
    connection = open_writer(path, durability="normal")
    ledger = Ledger(connection)
    ledger.begin()
    for number, status in enumerate(runs, 1):
        ended = None if status is RunStatus.RUNNING else AT.format(30)
        ledger.insert_run(
            RunRow(number, f"p{number}", status, AT.format(0), heartbeat_at=AT.format(30), finished_at=ended)
        )
    rows = list(attempts)
    ledger.insert_attempts(rows)
    ledger.insert_logs((row.id, 1, AT.format(1), "INFO", f"log of {row.name}") for row in rows)
    ledger.commit()
    close_writer(connection)
    return path


def row(number: int, status: Status = Status.DONE, run_id: int = 1, **changes: Any) -> AttemptRow:
    given: dict[str, Any] = {"name": f"task-{number}", "started_at": AT.format(number), "duration_s": 2.0 * number}
    task_id, attempt = changes.pop("task_id", number), changes.pop("attempt", 1)
    return AttemptRow(number, run_id, task_id, attempt, status=status, **(given | changes))


@pytest.fixture
def db(folder: Path) -> Path:
    """Two runs: in the last one a task is done at its second try, and another one fails."""
    return make(
        folder / "etl.db",
        [
            row(1),
            row(2, run_id=2, task_id="a", status=Status.ERROR, message="KeyError: 'x'"),
            row(3, run_id=2, task_id="a", attempt=2),
            row(4, run_id=2, status=Status.ERROR, message="ValueError: no\x1b[31m", error_type="ValueError",
                error="Traceback\nValueError: no", params='{"month": 5}'),
        ],
        [RunStatus.DONE, RunStatus.ERROR],
    )  # fmt: skip


def test_status_tells_how_the_tasks_of_the_last_run_stand(run: Run, db: Path) -> None:
    done = run("pipeloom", "status", "etl.db")
    assert (done.returncode, done.stderr) == (1, "")
    assert "p2  run 2: error, since 2026-08-01 12:00:00 UTC, 30s" in done.stdout
    assert "1 done, 1 error" in done.stdout
    assert "ValueError: no␛[31m" in done.stdout
    assert "KeyError" not in done.stdout  # that attempt was not the task's last
    told = json.loads(run("pipeloom", "status", "etl.db", "--json").stdout)
    assert (told["run"]["id"], told["counts"], told["owner"]) == (2, {"done": 1, "error": 1}, None)
    assert [(task["id"], task["error"]) for task in told["failed"]] == [(4, "ValueError: no␛[31m")]


def test_status_with_a_filter_tells_of_the_tasks_that_pass(run: Run, db: Path) -> None:
    done = run("pipeloom", "status", "etl.db", "task:a")
    assert (done.returncode, "1 done" in done.stdout, "ValueError" in done.stdout) == (0, True, False)


def test_status_of_a_run_that_somebody_is_at_names_them(run: Run, popen: Popen, folder: Path) -> None:
    (folder / "slow.py").write_text(
        "from pipeloom import *\npipeline = Pipeline('p', [TaskDef(1, 'a')], lambda t, q: (print('in', flush=True), q.sleep(60)))"
    )
    process = popen("pipeloom", "run", "etl.db", "slow.py")
    assert first_line(process) == "in\n"
    done = run("pipeloom", "status", "etl.db")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"in use by pipeloom process {process.pid}" in done.stdout
    assert "● " in done.stdout
    told = json.loads(run("pipeloom", "status", "etl.db", "--json").stdout)
    assert (told["owner"]["pid"], [task["name"] for task in told["open"]]) == (process.pid, ["a"])
    refused = run("pipeloom", "prune", "etl.db", "--keep-last", 1, "--yes")
    assert (refused.returncode, f"in use by pipeloom process {process.pid}" in refused.stderr) == (6, True)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert run("pipeloom", "status", "etl.db").returncode == 3


def test_status_of_a_run_whose_process_died_says_so_and_changes_nothing(run: Run, folder: Path) -> None:
    path = make(folder / "etl.db", [row(1, Status.RUNNING)], [RunStatus.RUNNING])
    before = path.read_bytes()
    done = run("pipeloom", "status", "etl.db")
    assert (done.returncode, "its process has ended" in done.stdout) == (3, True)
    assert "p1  run 1: interrupted, since" in done.stdout
    assert "  1 interrupted\n" in done.stdout
    assert "not ended:\n  !        1  task-1" in done.stdout
    assert "running" not in done.stdout
    told = json.loads(run("pipeloom", "status", "etl.db", "--json").stdout)
    assert (told["run"]["status"], told["run"]["alive"], told["counts"]) == ("running", False, {"running": 1})
    assert path.read_bytes() == before


def test_runs_whose_process_died_are_not_called_running(run: Run, folder: Path) -> None:
    make(folder / "etl.db", [row(1, Status.RUNNING), row(2), row(3, run_id=2)], [RunStatus.RUNNING, RunStatus.DONE])
    lines = run("pipeloom", "runs", "etl.db").stdout.splitlines()
    assert lines[1].endswith("done         1 done")
    assert lines[2].endswith("interrupted  1 done, 1 interrupted")
    told = [json.loads(line) for line in run("pipeloom", "runs", "etl.db", "--json").stdout.splitlines()]
    assert [(run["status"], run["alive"], run["counts"]) for run in told] == [
        ("done", False, {"done": 1}),
        ("running", False, {"running": 1, "done": 1}),
    ]


def test_attempts_whose_process_died_are_not_shown_as_running(run: Run, folder: Path) -> None:
    make(folder / "etl.db", [row(1, Status.RUNNING), row(2)], [RunStatus.RUNNING])
    told = run("pipeloom", "show", "etl.db").stdout
    assert ("interrupted" in told, "running" in told) == (True, False)
    told = run("pipeloom", "show", "etl.db", 1).stdout
    assert told.startswith("task-1  interrupted\n")
    assert "the program ended before the task did" in told
    assert json.loads(run("pipeloom", "show", "etl.db", 1, "--json").stdout)["status"] == "running"


def test_a_run_whose_process_died_is_not_taken_for_that_of_the_present_owner(run: Run, folder: Path) -> None:
    path = make(folder / "etl.db", [row(1, Status.RUNNING)], [RunStatus.RUNNING])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE pipeline_runs SET pid = 1")
        connection.commit()
    lock = OwnerLock(path)
    lock.acquire(AT.format(0))
    try:
        assert "run 1: interrupted" in run("pipeloom", "status", "etl.db").stdout
        assert "interrupted  1 interrupted" in run("pipeloom", "runs", "etl.db").stdout
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE pipeline_runs SET pid = ?", [os.getpid()])
            connection.commit()
        told = run("pipeloom", "status", "etl.db").stdout
        assert "run 1: running, since 2026-08-01 12:00:00 UTC, 30s\n" in told, "up to the last heartbeat"
        assert "running      1 running" in run("pipeloom", "runs", "etl.db").stdout
    finally:
        lock.release()


def test_where_nothing_has_run_there_is_nothing_to_tell(run: Run, folder: Path) -> None:
    make(folder / "etl.db", [], [])
    done = run("pipeloom", "status", "etl.db")
    assert (done.returncode, done.stdout) == (0, "Nothing has run in etl.db yet.\n")
    assert json.loads(run("pipeloom", "status", "etl.db", "--json").stdout)["run"] is None
    assert len(run("pipeloom", "runs", "etl.db").stdout.splitlines()) == 1


def test_a_figure_of_nothing_has_no_sign(run: Run, folder: Path) -> None:
    nothing = row(1, Status.ERROR, duration_s=-0.0, progress=-0.0, step=-0.0, total=-0.0)
    make(folder / "etl.db", [nothing], [RunStatus.ERROR])
    told = run("pipeloom", "show", "etl.db", 1).stdout
    assert ("time      0.0s\n" in told, "progress  0% (0 of 0)\n" in told) == (True, True), told
    assert " 0.0s" in run("pipeloom", "show", "etl.db").stdout


def test_runs_are_listed_newest_first_with_their_counts(run: Run, db: Path) -> None:
    lines = run("pipeloom", "runs", "etl.db").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["run", "2", "1"]
    assert lines[1].endswith("error        1 done, 1 error")
    assert [line.split()[0] for line in run("pipeloom", "runs", "etl.db", "-n", 1).stdout.splitlines()] == ["run", "2"]
    told = [json.loads(line) for line in run("pipeloom", "runs", "etl.db", "status:done", "--json").stdout.splitlines()]
    assert [(entry["id"], entry["counts"], entry["duration_s"]) for entry in told] == [
        (2, {"done": 1}, 30.0),
        (1, {"done": 1}, 30.0),
    ]
    assert len(run("pipeloom", "runs", "etl.db", "KeyError", "--json").stdout.splitlines()) == 1


def test_show_tells_all_of_an_attempt(run: Run, db: Path) -> None:
    done = run("pipeloom", "show", "etl.db", 4)
    for part in (
        "task-4  error",
        "try 1 of task 4 in run 2",
        '"month": 5',
        "  ValueError: no",
        "log of task-4",
        "12:00:04",
    ):
        assert part in done.stdout, part
    assert "\x1b" not in done.stdout
    told = json.loads(run("pipeloom", "show", "etl.db", 3, "--json").stdout)
    assert (told["id"], told["attempts"], told["log"][0]["text"]) == (3, [2, 3], "log of task-3")
    done = run("pipeloom", "show", "etl.db", 99)
    assert (done.returncode, done.stdout, "no attempt 99" in done.stderr) == (2, "", True)


def test_show_makes_a_table_of_what_passes_in_the_order_that_is_asked_for(run: Run, db: Path) -> None:
    done = run("pipeloom", "show", "etl.db", "--sort", "duration", "-n", 3)
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["id", "4", "3", "2"]
    done = run("pipeloom", "show", "etl.db", "status:error", "--sort", "name", "--json")
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [2, 4]
    assert json.loads(done.stdout.splitlines()[1])["params"] == {"month": 5}
    assert [line.split()[1] for line in run("pipeloom", "show", "etl.db", '"4"').stdout.splitlines()] == ["id", "4"]


def test_export_writes_to_stdout_and_to_files_of_its_own(run: Run, db: Path) -> None:
    done = run("pipeloom", "export", "etl.db", "run:2")
    assert [entry["id"] for entry in csv.DictReader(done.stdout.splitlines())] == ["4", "3", "2"]
    assert "\x1b" in done.stdout  # a pipe gets what is stored
    done = run("pipeloom", "export", "etl.db", "-f", "jsonl", "-o", "out.jsonl")
    assert (done.returncode, done.stdout, "4 attempts written to out.jsonl" in done.stderr) == (0, "", True)
    assert (db.parent / "out.jsonl").stat().st_mode & 0o777 == 0o600
    done = run("pipeloom", "export", "etl.db", "-o", "out.jsonl")
    assert (done.returncode, "--force" in done.stderr) == (2, True)
    assert run("pipeloom", "export", "etl.db", "-o", "out.jsonl", "--force").returncode == 0
    done = run("pipeloom", "export", "etl.db", "--case", 4)
    assert (done.returncode, done.stdout.startswith("# task-4: error")) == (0, True)
    assert run("pipeloom", "export", "etl.db", "--case", 4, "-o", "case.md").returncode == 0
    assert (db.parent / "case.md").read_text() == done.stdout


def test_a_terminal_gets_no_control_characters(db: Path) -> None:
    for arguments in (
        ["export"],
        ["export", "-f", "jsonl"],
        ["show"],
        ["show", "4"],
        ["status"],
        ["export", "--case", "4"],
    ):
        ours, theirs = pty.openpty()
        command, *rest = arguments
        code = "from pipeloom.cli import run_main; run_main()"
        process = subprocess.Popen([sys.executable, "-c", code, command, str(db), *rest], stdout=theirs)
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 65_536):
                shown += chunk
        except OSError:
            pass  # the other end is closed
        process.wait(timeout=30)
        os.close(ours)
        assert b"ValueError" in shown
        assert b"\x1b" not in shown, arguments


@pytest.mark.parametrize(("ending", "code"), [("> /dev/full", 4), (">&-", 0), ("| true", 0), ("| head -n 1", 0)])
@pytest.mark.parametrize("command", ["export etl.db", "show etl.db", "runs etl.db -n 100000"])
def test_output_that_goes_nowhere_is_told_where_it_matters(folder: Path, command: str, ending: str, code: int) -> None:
    make(
        folder / "etl.db",
        [row(n % 50, message="m" * 500)._replace(id=n, task_id=n) for n in range(1, 1_000)],
        [RunStatus.DONE] * 900,
    )
    line = f"set -o pipefail; {sys.executable} -c 'from pipeloom.cli import run_main; run_main()' {command} {ending}"
    done = subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert len(done.stderr.splitlines()) == (code == 4), done.stderr


def test_prune_only_says_what_would_go_unless_told_to_do_it(run: Run, db: Path) -> None:
    before = db.read_bytes()
    done = run("pipeloom", "prune", "etl.db", "--keep-last", 1)
    why = "4 attempts stay: 3 of runs that go on or are not done, 1 of the last run of their task."
    assert (done.returncode, done.stdout) == (0, f"Nothing would go from etl.db: {why}\n")
    told = json.loads(run("pipeloom", "prune", "etl.db", "--keep-last", 1, "--json").stdout)
    assert told["kept"] == {"not_ended": 0, "needed": 3, "young": 0, "last": 1}
    done = run("pipeloom", "prune", "etl.db", "--done-for", 0)
    assert (done.returncode, done.stdout.startswith("Would remove 1 attempt with 1 log line, and 1 run: about")) == (
        0,
        True,
    )
    assert db.read_bytes() == before
    told = json.loads(run("pipeloom", "prune", "etl.db", "--done-for", 0, "--yes", "--json").stdout)
    assert (told["attempts"], told["runs"], told["complete"], told["dry_run"]) == (1, 1, True, False)
    connection = sqlite3.connect(db)
    assert connection.execute("SELECT id FROM task_runs ORDER BY id").fetchall() == [(2,), (3,), (4,)]
    connection.close()


@pytest.mark.kill
def test_prune_stops_between_two_commits_when_told_to(folder: Path, popen: Popen, wait_for: WaitFor) -> None:
    path = make(
        folder / "etl.db",
        [row(n % 50)._replace(id=n, task_id=n, finished_at=AT.format(9)) for n in range(1, 60_001)],
        [RunStatus.DONE],
    )

    def count() -> int:
        connection = sqlite3.connect(path)
        try:
            return int(connection.execute("SELECT count(*) FROM task_runs").fetchone()[0])
        finally:
            connection.close()

    process = popen("pipeloom", "prune", "etl.db", "--done-for", "0", "--yes")
    wait_for(lambda: count() < 60_000)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    if process.returncode == 0:  # it was over before the signal came
        assert count() == 0
        return
    assert (process.returncode, "Stopped" in said) == (130, True), said
    assert 0 < count() < 60_000
    assert count() % 2_000 == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["status", "no.db"], "There is no file no.db"),
        (["runs", "good.py"], "cannot be read as an SQLite database"),
        (["show", "/"], "is a directory"),
        (["export", "other.db"], "not one of pipeloom's"),
        (["prune", "other.db", "--keep-last", "1", "--yes"], "not one of pipeloom's"),
        (["prune", "etl.db"], "Say what may go"),
        (["prune", "etl.db", "--keep-last", "0"], "--keep-last 1"),
        (["show", "etl.db", "status:bad"], "There is no status 'bad'"),
        (["show", "etl.db", "fine status:done,bad"], "(column 18 of the filter)"),
        (["export", "etl.db", "nope:1"], "There is no field 'nope'"),
        (["export", "etl.db", "run:1", "--case", "4"], "not both"),
        (["export", "etl.db", "--case", "99"], "no attempt 99"),
        (["export", "etl.db", "--case", "99", "-o", "x.md"], "no attempt 99"),
        (["export", "etl.db", "-o", "etl.db", "--force"], "belongs to the database"),
        (["export", "etl.db", "-o", "no/x.csv"], "There is no folder no"),
        (["show", "etl.db", "9" * 40], "cannot be read"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(run: Run, db: Path, arguments: list[str], words: str) -> None:
    connection = sqlite3.connect(db.with_name("other.db"))
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    before = contents(db.parent)
    done = run("pipeloom", *arguments)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    after = contents(db.parent)
    assert after == before


@pytest.mark.parametrize("command", COMMANDS)
def test_help_tells_the_exit_codes(run: Run, command: str) -> None:
    done = run("pipeloom", command, "--help")
    assert (done.returncode, "Exit codes: 0" in done.stdout) == (0, True)


DAYS = [f"load of the whole month of the harbour, day 2025-03-{day:02}" for day in (1, 2)]


def on_terminal(db: Path, columns: int, *arguments: str) -> list[str]:
    """Return the lines that a command writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    code = "from pipeloom.cli import run_main; run_main()"
    words = [sys.executable, "-c", code, arguments[0], str(db), *arguments[1:]]
    process = subprocess.Popen(words, stdout=theirs, env={**os.environ, "COLUMNS": str(columns)})
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65_536):
            shown += chunk
    except OSError:
        pass  # the other end is closed
    process.wait(timeout=30)
    return shown.decode().splitlines()


@pytest.fixture
def days(folder: Path) -> Path:
    """Tasks and a pipeline whose names differ only at their ends."""
    attempts = [
        row(number, Status.ERROR, name=name, task_id=name[-10:], message="KeyError: " + "m" * 300)
        for number, name in enumerate(DAYS, 1)
    ]
    path = make(folder / "etl.db", attempts, [RunStatus.ERROR])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE pipeline_runs SET pipeline = ?", ["loads of the harbour, north, 2025"])
        connection.commit()
    return path


@pytest.mark.parametrize("columns", [80, 100, 160])
def test_names_that_differ_at_the_end_differ_on_a_terminal(days: Path, columns: int) -> None:
    for command in ("status", "show"):
        lines = on_terminal(days, columns, command)
        assert max(map(len, lines[1:])) <= max(columns, 115 if command == "show" else 0), lines
        for name in DAYS:
            assert sum(name[-10:] in line for line in lines) == 1, lines
    (line,) = on_terminal(days, columns, "runs")[1:]
    assert ", 2025 " in line.replace("north, 2025", ", 2025"), line


def test_an_attempt_is_shown_with_the_others_of_its_task(run: Run, db: Path) -> None:
    told = run("pipeloom", "show", db.name, "3").stdout
    _before, _title, after = told.partition("attempts of the task in this run:\n")
    assert [line.split()[-8:].count("error") for line in after.splitlines()[:1]] == [1], told
    assert after.splitlines()[1].startswith("  »     2         3  "), told


@pytest.mark.parametrize("command", ["status", "show"])
def test_names_that_differ_in_the_middle_differ_on_a_terminal(folder: Path, command: str) -> None:
    parts = ("alpha", "bravo", "delta")
    names = [f"s3://lake/raw/region={part}/year=2025/part-0000.snappy.parquet" for part in parts]
    attempts = [row(number, Status.ERROR, name=name, task_id=name) for number, name in enumerate(names, 1)]
    lines = on_terminal(make(folder / "etl.db", attempts, [RunStatus.ERROR]), 80, command)
    for part in parts:
        assert sum(part in line for line in lines) == 1, lines


def test_runs_of_pipelines_with_short_names_fit_a_terminal(db: Path) -> None:
    assert max(map(len, on_terminal(db, 80, "runs"))) <= 80


def test_a_reader_that_is_no_terminal_gets_whole_names(run: Run, days: Path) -> None:
    for command in ("status", "show"):
        told = run("pipeloom", command, "etl.db").stdout
        assert [told.count(name) for name in DAYS] == [1, 1]
    assert "loads of the harbour, north, 2025  " in run("pipeloom", "runs", "etl.db").stdout


def test_status_tells_the_id_of_a_task_that_has_another_name(run: Run, folder: Path) -> None:
    failed = [
        row(1, Status.ERROR, name="load", task_id="2025-03-01"),
        row(2, Status.ERROR, name="same", task_id="same"),
    ]
    make(folder / "etl.db", [*failed, row(3, Status.ERROR, name="", task_id=7)], [RunStatus.ERROR])
    told = run("pipeloom", "status", "etl.db").stdout
    assert "  load (2025-03-01)" in told
    assert "  same  " in told or "  same\n" in told
    assert "  (empty) (7)" in told


@pytest.mark.parametrize(
    ("zone", "first", "second"),
    [
        ("Europe/Berlin", "2026-10-25 02:30:00 CEST", "2026-10-25 02:30:00 CET"),
        ("America/New_York", "2026-10-24 20:30:00 EDT", "2026-10-24 21:30:00 EDT"),
        ("UTC", "2026-10-25 00:30:00 UTC", "2026-10-25 01:30:00 UTC"),
    ],
)
def test_times_are_the_users_and_name_their_zone(run: Run, folder: Path, zone: str, first: str, second: str) -> None:
    at = [f"2026-10-25T0{hour}:30:00.000000+00:00" for hour in (0, 1)]
    make(folder / "etl.db", [row(n, Status.ERROR, started_at=at[n - 1]) for n in (1, 2)], [RunStatus.ERROR])
    with closing(sqlite3.connect(folder / "etl.db")) as connection:
        connection.execute("UPDATE pipeline_runs SET started_at = ?", [at[0]])
        connection.executemany("UPDATE task_logs SET at = ? WHERE task_run_id = 1", [(at[0],)])
        connection.execute(
            "INSERT INTO task_logs (task_run_id, seq, at, level, text) VALUES (1, 2, ?, 'INFO', 'b')", [at[1]]
        )
        connection.commit()
    assert f"since {first}," in run("pipeloom", "status", "etl.db", zone=zone).stdout
    assert f"  {first} " in run("pipeloom", "runs", "etl.db", zone=zone).stdout
    table = run("pipeloom", "show", "etl.db", zone=zone).stdout
    assert f"  {first} " in table
    assert f"  {second} " in table
    one = run("pipeloom", "show", "etl.db", 1, zone=zone).stdout
    assert f"started   {first}\n" in one
    if zone == "Europe/Berlin":
        assert "  02:30:00 CEST INFO " in one
        assert "  02:30:00 CET INFO " in one
    else:
        assert f"\nlog ({first[-3:]}):\n  {first[11:19]} INFO " in one
    shown = run("pipeloom", "show", "etl.db", 1, "--json", zone=zone).stdout
    assert json.loads(shown)["started_at"] == at[0]
    assert at[1] in run("pipeloom", "export", "etl.db", zone=zone).stdout
    day = run("pipeloom", "show", "etl.db", "started:2026-10-24", zone=zone).stdout
    assert len(day.splitlines()) == (3 if zone == "America/New_York" else 1)


def test_the_owner_of_a_file_is_named_with_the_users_time(run: Run, folder: Path) -> None:
    make(folder / "etl.db", [row(1, Status.RUNNING)], [RunStatus.RUNNING])
    lock = OwnerLock(folder / "etl.db")
    lock.acquire(AT.format(0))
    try:
        told = run("pipeloom", "status", "etl.db", zone="Europe/Berlin").stdout
    finally:
        lock.release()
    assert "since 2026-08-01 14:00:00 CEST\n" in told


def test_a_lock_file_that_is_a_pipe_is_named_and_not_waited_for(run: Run, folder: Path) -> None:
    make(folder / "etl.db", [row(1, Status.RUNNING)], [RunStatus.RUNNING])
    os.mkfifo(folder / "etl.db.lock")
    told = "etl.db.lock is a pipe, not a lock file: remove it."
    done = run("pipeloom", "status", "etl.db")
    assert (done.returncode, done.stderr) == (0, "")
    assert told in done.stdout
    assert "has ended" not in done.stdout
    done = run("pipeloom", "status", "etl.db", "--json")
    assert (json.loads(done.stdout)["owner"], told in done.stderr) == (None, True)
    for command in ("cancel etl.db task:1", "retry etl.db task:1 good.py:pipeline", "run etl.db good.py:pipeline"):
        done = run("pipeloom", *command.split())
        assert (done.returncode, told in done.stderr) == (2, True), done.stderr
