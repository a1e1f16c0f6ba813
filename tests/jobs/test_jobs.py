"""The jobs of `examples/jobs`, run as a user runs them, and the same with a plain pool and sqlite3: the rows are the same."""

from __future__ import annotations

import gzip
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

JOBS = Path(__file__).parents[2] / "examples" / "jobs"
PLAIN = Path(__file__).with_name("plain")
REGIONS, PAGES, ORDERS = 3, 5, 20


def python(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=110, check=False
    )


def pipeloom(*arguments: object, cwd: Path) -> str:
    done = python("-m", "pipeloom", *arguments, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def lines_of(path: Path) -> int:
    """Count the lines of code, without the empty ones."""
    return sum(bool(line.strip()) for line in path.read_text(encoding="utf-8").splitlines())


@pytest.fixture
def api(tmp_path: Path) -> Iterator[str]:
    """The local API's address."""
    with subprocess.Popen([sys.executable, JOBS / "server.py"], stdout=subprocess.PIPE, text=True, cwd=tmp_path) as one:
        assert one.stdout is not None
        yield one.stdout.readline().strip()
        one.kill()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """A folder of CSV files."""
    (tmp_path / "inbox").mkdir()
    for number in range(500):
        (tmp_path / "inbox" / f"f{number:03}.csv").write_text(f"item,price\na,{number}\nb,{number + 1}\n")
    return tmp_path / "inbox"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A folder of compressed logs, one bad line in each."""
    (tmp_path / "logs").mkdir()
    for number in range(4):
        line = f'10.0.0.{number} - - [01/Nov/2026:10:00:00 +0000] "GET /a/{{}} HTTP/1.1" 200 512\n'
        with gzip.open(tmp_path / "logs" / f"web-{number}.gz", "wt", encoding="utf-8") as file:
            file.writelines(line.format(request) for request in range(1_500))
            file.write("nothing of the kind\n")
    return tmp_path / "logs"


def both(
    job: str, table: str, tmp_path: Path, given: Sequence[object], plain: Sequence[object]
) -> list[tuple[Any, ...]]:
    """Run the job and the plain script, compare their rows, and return them."""
    mine, other = tmp_path / "etl.db", tmp_path / "plain.db"
    pipeloom("run", mine, JOBS / f"{job}.py", *given, cwd=tmp_path)
    done = python(PLAIN / f"{job}.py", other, *plain, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    columns = ", ".join(name for _, name, *_ in rows(other, f"PRAGMA table_info({table})"))
    found, expected = (rows(path, f"SELECT {columns} FROM {table} ORDER BY 1, 2") for path in (mine, other))
    assert found == expected
    return found


@pytest.mark.parametrize("job", [path.stem for path in sorted(PLAIN.glob("*.py"))])
def test_a_job_is_shorter_than_the_same_with_a_plain_pool(job: str) -> None:
    assert lines_of(JOBS / f"{job}.py") < lines_of(PLAIN / f"{job}.py")


@pytest.mark.parametrize("job", ["paged_api", "async_client"])
def test_every_page_of_an_api_that_says_when_to_come_back_is_loaded_once(job: str, api: str, tmp_path: Path) -> None:
    found = both(job, "orders", tmp_path, ["-p", f"api={api}"], [api])
    assert len(found) == REGIONS * PAGES * ORDERS


def test_months_are_extracted_loaded_and_then_summed(tmp_path: Path) -> None:
    sold = both("sales_by_month", "sales", tmp_path, [], [])
    totals = rows(tmp_path / "etl.db", "SELECT month, amount FROM totals ORDER BY 1")
    assert len(totals) == 12
    assert sum(amount for _, amount in totals) == sum(row[2] for row in sold)
    assert rows(tmp_path / "etl.db", "SELECT name FROM task_runs ORDER BY finished_at DESC LIMIT 1") == [("totals",)]


def test_of_500_files_the_changed_ones_are_loaded(inbox: Path, tmp_path: Path) -> None:
    found = both("changed_files", "items", tmp_path, ["-p", f"folder={inbox}"], [inbox])
    assert len(found) == 1_000
    (inbox / "f007.csv").write_text("item,price\nc,700\n")
    os.utime(inbox / "f008.csv")
    (inbox / "f009.csv").unlink()
    said = pipeloom("plan", "etl.db", JOBS / "changed_files.py", "-p", f"folder={inbox}", cwd=tmp_path)
    assert "f007.csv" in said
    assert "f008.csv" not in said
    assert "gone: f009.csv" in said
    pipeloom("run", "etl.db", JOBS / "changed_files.py", "-p", f"folder={inbox}", cwd=tmp_path)
    assert rows(tmp_path / "etl.db", "SELECT task_id, status FROM task_runs WHERE run_id=2") == [("f007.csv", "done")]


def test_a_year_is_filled_in(tmp_path: Path) -> None:
    given = ["start=2025-01-01", "end=2025-12-31"]
    options = [part for one in given for part in ("-p", one)]
    found = both("backfill", "daylight", tmp_path, options, [f"--{one}" for one in given])
    assert len(found) == 365 * 24


def test_whole_frames_are_stored(tmp_path: Path) -> None:
    pipeloom("run", "etl.db", JOBS / "frames.py", cwd=tmp_path)
    assert rows(tmp_path / "etl.db", "SELECT count(*), min(day), max(day) FROM days") == [
        (1_461, "2012-01-01", "2015-12-31")
    ]
    assert rows(tmp_path / "etl.db", "SELECT count(*), count(DISTINCT month) FROM months") == [(48, 48)]


def test_compressed_logs_are_read_in_processes(logs: Path, tmp_path: Path) -> None:
    found = both("logs", "requests", tmp_path, ["-p", f"folder={logs}"], [logs])
    assert len(found) == 4 * 1_500
    bad = rows(tmp_path / "etl.db", "SELECT text FROM task_logs WHERE text LIKE '%is no request%'")
    assert len(bad) == 4


def test_two_pipelines_of_a_package_run_in_turn(tmp_path: Path) -> None:
    pipeloom("run", "etl.db", JOBS / "shop" / "extract.py", JOBS / "shop" / "report.py", cwd=tmp_path)
    assert rows(tmp_path / "etl.db", "SELECT count(*) FROM orders") == [(100,)]
    assert rows(tmp_path / "etl.db", "SELECT count(*), sum(total) FROM sums") == [
        (7, sum(n * 1.25 for n in range(100)))
    ]
