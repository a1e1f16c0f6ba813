"""The examples, run as a user runs them, against counts taken from their input."""

from __future__ import annotations

import ast
import csv
import os
import sqlite3
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
DATA = EXAMPLES / "data"


def run(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "WEATHER_PACE": "0", **environment},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def csv_rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def weather_counts(path: Path) -> list[tuple[Any, ...]]:
    tables = ("daily_weather", "hourly_temps", "daily_summaries", "bad_rows")
    return [(table, rows(path, f"SELECT count(*) FROM {table}")[0][0]) for table in tables]


def test_weather_loads_exactly_the_rows_of_its_files_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "etl.db"
    for attempt in (1, 2):
        done = run("-m", "pipeloom", "run", path, EXAMPLES / "weather.py", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert rows(path, f"SELECT status, count(*) FROM task_runs WHERE run_id={attempt} GROUP BY 1") == [("done", 72)]
        daily, seattle, sf = (csv_rows(name) for name in ("seattle-weather.csv", "seattle-temps.csv", "sf-temps.csv"))
        days = len(daily) + len({row["date"][:10] for row in seattle}) + len({row["date"][:10] for row in sf})
        assert weather_counts(path) == [
            ("daily_weather", len(daily)),
            ("hourly_temps", len(seattle) + len(sf)),
            ("daily_summaries", days),
            ("bad_rows", 0),
        ]
    stored = rows(path, "SELECT day, rain_mm, high_c, low_c, wind_m_s, weather FROM daily_weather ORDER BY day")
    numbers = ("precipitation", "temp_max", "temp_min", "wind")
    assert stored == [
        (row["date"].replace("/", "-"), *(float(row[name]) for name in numbers), row["weather"]) for row in daily
    ]
    assert rows(path, "SELECT celsius FROM hourly_temps WHERE city='sf' AND at='2010-01-01T00:00:00.000000'") == [
        (8.78,)
    ]


def test_weather_counts_bad_rows_and_drops_none_silently(tmp_path: Path) -> None:
    folder = tmp_path / "examples"
    (folder / "data").mkdir(parents=True)
    (folder / "weather.py").write_text((EXAMPLES / "weather.py").read_text(encoding="utf-8"), encoding="utf-8")
    for name in ("seattle-weather.csv", "seattle-temps.csv", "sf-temps.csv"):
        lines = (DATA / name).read_text(encoding="utf-8").splitlines()[:5]
        (folder / "data" / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    with (folder / "data" / "seattle-weather.csv").open("a", encoding="utf-8") as more:
        more.write("2012/01/30,0.0,warm,5.0,4.7,sun\n2012/01/31,0.0,1.0,5.0,4.7,sun\n")
    with (folder / "data" / "sf-temps.csv").open("a", encoding="utf-8") as more:
        more.write("50.0\n48.1,2010/01/01 05:00:00,7\n")
    done = run("-m", "pipeloom", "run", tmp_path / "etl.db", folder / "weather.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path / "etl.db", "SELECT dataset, line, reason FROM bad_rows ORDER BY 1, 2") == [
        ("seattle-daily", 6, "ValueError: could not convert string to float: 'warm'"),
        ("seattle-daily", 7, "ValueError: temp_min 5.0 is above temp_max 1.0"),
        ("sf-hourly", 6, "ValueError: wrong number of fields"),
        ("sf-hourly", 7, "ValueError: wrong number of fields"),
    ]
    logged = rows(tmp_path / "etl.db", "SELECT text FROM task_logs ORDER BY 1 DESC LIMIT 1")
    assert logged == [("2 rows could not be read: see bad_rows",)]
    for name in ("seattle-weather.csv", "sf-temps.csv"):
        lines = (DATA / name).read_text(encoding="utf-8").splitlines()[:5]
        (folder / "data" / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = run("-m", "pipeloom", "run", tmp_path / "etl.db", folder / "weather.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path / "etl.db", "SELECT * FROM bad_rows") == []


def test_the_seed_example_keeps_its_users(tmp_path: Path) -> None:
    for _ in range(2):
        done = run(EXAMPLES / "seed.py", "users.db", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert rows(tmp_path / "users.db", "SELECT count(*), sum(active) FROM users") == [(100, 50)]
    assert rows(tmp_path / "users.db", "SELECT status, count(*) FROM task_runs GROUP BY 1") == [("done", 10)]


def test_the_code_index_counts_what_the_library_defines(tmp_path: Path) -> None:
    for _ in range(2):
        done = run(EXAMPLES / "code_index.py", "index.db", cwd=tmp_path, CODE_INDEX_ONLY="json,bisect,email")
        assert done.returncode == 0, done.stderr
    path, library = tmp_path / "index.db", Path(sysconfig.get_path("stdlib"))
    files = [library / "bisect.py", *(library / "json").rglob("*.py"), *(library / "email").rglob("*.py")]
    trees = [ast.parse(file.read_bytes()) for file in files]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    functions = sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in nodes)
    assert rows(path, "SELECT count(*) FROM modules") == [(len(files),)]
    assert rows(path, "SELECT count(*) FROM functions") == [(functions,)]
    assert rows(path, "SELECT count(*) FROM classes") == [(sum(isinstance(node, ast.ClassDef) for node in nodes),)]


@pytest.mark.slow
def test_the_whole_standard_library_is_indexed(tmp_path: Path) -> None:
    done = run(EXAMPLES / "code_index.py", "index.db", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path / "index.db", "SELECT count(*) > 150, min(status), max(status) FROM task_runs") == [
        (1, "done", "done")
    ]
    assert rows(tmp_path / "index.db", "SELECT count(*) > 1000 FROM modules") == [(1,)]


def test_weather_leaves_the_same_bytes_under_every_executor(tmp_path: Path) -> None:
    tables = {"daily_weather": "city, day", "hourly_temps": "city, at", "daily_summaries": "city, day"}
    found = {}
    for executor in ("thread", "process", "dask"):
        path = tmp_path / f"{executor}.db"
        done = run(
            "-m", "pipeloom", "run", path, EXAMPLES / "weather.py", "--executor", executor, "-w", 2, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        assert rows(path, "SELECT executor FROM pipeline_runs") == [(executor,)]
        found[executor] = repr([rows(path, f"SELECT * FROM {name} ORDER BY {key}") for name, key in tables.items()])
    assert found["thread"] == found["process"] == found["dask"]
    assert len(found["thread"]) > 100_000


def test_code_index_runs_on_dask(tmp_path: Path) -> None:
    path = tmp_path / "etl.db"
    arguments = ("-m", "pipeloom", "run", path, EXAMPLES / "code_index.py", "--executor", "dask", "-w", 2)
    done = run(*arguments, cwd=tmp_path, CODE_INDEX_ONLY="json,email")
    assert done.returncode == 0, done.stderr
    assert rows(path, "SELECT name, status FROM task_runs ORDER BY name") == [("email", "done"), ("json", "done")]
    assert rows(path, "SELECT count(*) > 5 FROM classes") == [(1,)]
