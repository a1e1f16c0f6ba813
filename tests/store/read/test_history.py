"""Reading attempts page by page."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.conftest import MakeFile, MakeSqlite

from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.errors import StoreError
from pipeloom.filters import parse
from pipeloom.messages import TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.protocols import Channel
from pipeloom.status import Status
from pipeloom.store.read import paging
from pipeloom.store.read.baselines import duration_baselines
from pipeloom.store.read.history import History, walk
from pipeloom.store.read.paging import NEWEST, OLDEST, Sort, key_of
from pipeloom.store.rows import AttemptRow, DurationBaseline
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.store.write.ledger import Ledger

SORTS = [
    NEWEST,
    OLDEST,
    *(Sort(column, down) for column in ("name", "status", "started_at", "duration_s") for down in (True, False)),
]


def row(number: int, **changes: Any) -> AttemptRow:
    given: dict[str, Any] = {"status": Status.DONE, "name": f"task-{number}"}
    return AttemptRow(number, 1, number, 1, **(given | changes))


rows: st.SearchStrategy[list[dict[str, Any]]] = st.lists(
    st.builds(
        dict,
        name=st.sampled_from(["a", "b", "B", "é"]),
        status=st.sampled_from(list(Status)),
        started_at=st.sampled_from([None, "2026-08-01T12:00:00.000000+00:00", "2026-08-02T12:00:00.000000+00:00"]),
        duration_s=st.sampled_from([None, 0.0, 1.5, 60.0]),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=rows, sort=st.sampled_from(SORTS), size=st.integers(1, 7))
def test_paging_by_key_shows_every_row_once_in_both_directions(
    made: list[dict[str, Any]], sort: Sort, size: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "etl.db"
        connection = open_writer(path, durability="normal")
        Ledger(connection).insert_attempts([row(number, **changes) for number, changes in enumerate(made, 1)])
        close_writer(connection)
        with History(path) as history:
            whole = history.page(sort=sort, limit=1000)
            assert [entry.id for entry in walk(history, sort=sort, limit=size)] == [entry.id for entry in whole]
            backwards: list[AttemptRow] = whole[-1:]
            while backwards and (page := history.page(sort=sort, before=key_of(backwards[0], sort), limit=size)):
                backwards = page + backwards
            assert [entry.id for entry in backwards] == [entry.id for entry in whole]


@pytest.mark.parametrize("few", [0, 1_000_000])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    made=rows,
    sort=st.sampled_from(SORTS),
    text=st.sampled_from(
        ["status:error", "status:done,error", "-status:done", "-status:done -status:error", "a status:done", "a"]
    ),
    offset=st.integers(0, 9),
    from_end=st.booleans(),
)
def test_a_jump_into_a_filtered_order_lands_where_reading_to_there_does(
    few: int, made: list[dict[str, Any]], sort: Sort, text: str, offset: int, from_end: bool
) -> None:
    where = parse(text)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        for name in ("_FEW", "_FEW_BY_STATUS", "_FEW_IDS"):
            patch.setattr(paging, name, few)
        path = Path(folder) / "etl.db"
        connection = open_writer(path, durability="normal")
        Ledger(connection).insert_attempts([row(number, **changes) for number, changes in enumerate(made, 1)])
        close_writer(connection)
        with History(path) as history:
            passing = [entry.id for entry in history.page(sort=sort, limit=1000) if where.matches(entry)]
            page = history.page(where, sort=sort, before="end" if from_end else None, offset=offset, limit=3)
        if from_end:
            stop = max(0, len(passing) - offset)
            assert [entry.id for entry in page] == passing[max(0, stop - 3) : stop]
        else:
            assert [entry.id for entry in page] == passing[offset : offset + 3]


@pytest.mark.parametrize(("column", "index"), [("name", "name"), ("started_at", "started"), ("duration_s", "duration")])
def test_what_a_jump_leaps_over_is_read_from_an_index_alone(
    make_file: MakeFile, monkeypatch: pytest.MonkeyPatch, column: str, index: str
) -> None:
    monkeypatch.setattr(paging, "_FEW_BY_STATUS", 0)
    with History(make_file([row(n) for n in range(1, 30)])) as history:
        asked: list[tuple[str, Any]] = []
        read = history.rows

        def noted(sql: str, values: Any = (), **more: Any) -> Any:
            asked.append((sql, values))
            return read(sql, values, **more)

        history._pages._rows = noted
        history.page(parse("-status:error"), sort=Sort(column), offset=9, limit=3)
        sql, values = next((sql, values) for sql, values in asked if "OFFSET" in sql)
        plan = [line[3] for line in read(f"EXPLAIN QUERY PLAN {sql}", values)]
    assert any(f"USING COVERING INDEX task_runs_{index}" in line for line in plan), plan


@pytest.mark.parametrize("column", ["id", "name"])
def test_odd_rows_are_found_without_reading_the_others(make_file: MakeFile, column: str) -> None:
    with History(make_file([row(n, rows=n, rows_low=3, rows_high=25) for n in range(1, 30)])) as history:
        asked: list[tuple[str, Any]] = []
        read = history.rows

        def noted(sql: str, values: Any = (), **more: Any) -> Any:
            asked.append((sql, values))
            return read(sql, values, **more)

        history._pages._rows = noted
        page = history.page(parse("rows:odd task"), sort=Sort(column), newest=29)
        assert sorted(entry.id for entry in page) == [1, 2, 26, 27, 28, 29]
        plans = [line[3] for sql, values in asked for line in read(f"EXPLAIN QUERY PLAN {sql}", values)]
    assert any("USING INDEX task_runs_odd" in line for line in plans), plans
    assert not any(line.startswith("SCAN task_runs") and "task_runs_odd" not in line for line in plans), plans


def test_the_newest_page_comes_first_and_leaves_the_heavy_columns_out(make_file: MakeFile) -> None:
    path = make_file(row(n, message="m" * 2000, error="e" * 100_000, params="{}") for n in range(1, 300))
    with History(path) as history:
        page = history.page()
        assert [page[0].id, page[-1].id, len(page)] == [299, 100, 200]
        assert (len(page[0].message), page[0].error, page[0].params) == (500, None, None)
        whole = history.attempt(299)
        assert whole is not None
        assert (len(whole.message), len(whole.error or ""), whole.params) == (2000, 65_536, "{}")
        assert history.attempt(300) is None


def test_filters_apply_to_pages_and_counts(make_file: MakeFile) -> None:
    path = make_file(row(n, status=Status.ERROR if n % 10 == 0 else Status.DONE) for n in range(1, 101))
    with History(path) as history:
        where = parse("status:error task-3")
        assert (history.count(where), [entry.id for entry in history.page(where)]) == (1, [30])


def test_attempts_of_a_task_come_oldest_first(make_file: MakeFile) -> None:
    path = make_file([AttemptRow(n, 1, "x", n, "x", Status.ERROR) for n in (1, 2, 3)])
    with History(path) as history:
        assert [entry.attempt for entry in history.attempts_of(1, "x")] == [1, 2, 3]


def test_values_of_the_wrong_kind_are_shown_as_well_as_can_be(make_file: MakeFile) -> None:
    path = make_file(
        [row(1)],
        sql=[
            "PRAGMA ignore_check_constraints=ON",
            "UPDATE task_runs SET status='banana', progress=7, message=CAST(X'ff41' AS TEXT), duration_s=-1",
        ],
    )
    with History(path) as history:
        entry = history.page()[0]
        assert (entry.status, entry.progress, entry.message) == (Status.INTERRUPTED, 1.0, "\ufffdA")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("CREATE TABLE users (x)", "not one of pipeloom's"),
        ("PRAGMA user_version=3; CREATE TABLE task_runs (x)", "tables named like pipeloom's"),
    ],
)
def test_what_is_not_ours_is_refused_with_a_sentence(make_sqlite: MakeSqlite, script: str, words: str) -> None:
    with pytest.raises(StoreError, match=words):
        History(make_sqlite(script))


def test_a_missing_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="There is no file"):
        History(tmp_path / "no.db")


def test_data_version_changes_when_another_connection_commits(make_file: MakeFile) -> None:
    path = make_file([row(1)])
    with History(path) as history:
        before = history.data_version()
        assert history.data_version() == before
        connection = open_writer(path)
        connection.execute("UPDATE task_runs SET name='new'")
        assert history.data_version() != before
        connection.close()


def test_long_texts_in_any_column_are_cut_on_a_page(make_file: MakeFile) -> None:
    long = "x" * 1_000_000
    path = make_file([row(1, name=long, worker=long, error_type=long, started_at=long)])
    with History(path) as history:
        assert sum(len(value) for value in history.page()[0] if isinstance(value, str)) < 3_000


def test_numbers_and_texts_that_sqlite_cannot_take_are_refused_with_a_sentence(make_file: MakeFile) -> None:
    with History(make_file([row(1)])) as history:
        for call in (
            lambda: history.attempt(2**63),
            lambda: history.attempts_of(1, "\udcff"),
            lambda: history.page(offset=2**63),
        ):
            with pytest.raises(StoreError, match="cannot be read"):
                call()


def test_the_past_of_a_task_is_what_it_took_when_it_was_done_before(tmp_path: Path) -> None:
    path = tmp_path / "etl.db"
    for _ in range(2):
        engine = Engine(path, Pipeline("p", [TaskDef(1, "good"), TaskDef(2, "bad")], _odd), EngineOptions(workers=1))
        engine.start()
        engine.wait()
        engine.close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for run, took in ((1, 2.0), (2, 4.0)):
            connection.execute("UPDATE task_runs SET duration_s=? WHERE run_id=?", (took, run))
    with History(path) as history:
        assert duration_baselines(history, "p", 3, [1, 2, 3]) == {1: DurationBaseline(2.0, 2.0, 4.0)}
        assert duration_baselines(history, "p", 2, [1]) == {1: DurationBaseline(2.0, 2.0, 2.0)}
        assert duration_baselines(history, "p", 1, [1]) == {}
        assert duration_baselines(history, "other", 3, [1]) == {}


def _odd(task: TaskDef, _q: Channel) -> None:
    if task.task_id == 2:
        raise ValueError("two")
