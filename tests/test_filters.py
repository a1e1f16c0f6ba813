"""The filter grammar: one table of cases, through SQL and through the predicate."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeloom.filters import (
    Filter,
    FilterError,
    completions,
    failures_filter,
    marked_filter,
    parse,
    quoted,
    status_filter,
    with_attempt,
)
from pipeloom.status import Status
from pipeloom.store.file.kind import open_reader
from pipeloom.store.rows import AttemptRow
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.store.write.ledger import Ledger

NOW = datetime(2026, 8, 4, 12, 0, tzinfo=UTC)


def at(day: int, hour: int = 0) -> str:
    return f"2026-08-{day:02}T{hour:02}:00:00.000000+00:00"


ROWS = [
    AttemptRow(1, 1, 17, 1, "Orders-2026", Status.DONE, message="31 rows loaded", started_at=at(1, 10), duration_s=4.1, worker="worker-1", rows=31, rows_low=32, rows_high=90, code="3ef44d5d"),
    AttemptRow(2, 1, 18, 2, "users", Status.ERROR, message="KeyError: 'temp_max'", started_at=at(3, 23), duration_s=400.0,
               error_type="KeyError", error="Traceback", worker="worker-2", fingerprint="00000000000c", rows=0, rows_low=5, rows_high=9),
    AttemptRow(3, 2, "a b", 1, "two words", Status.QUEUED, queued_at=at(4, 11)),
    AttemptRow(4, 2, 18, 3, "ÉCLAIR 100%", Status.RUNNING, started_at=at(4, 1), queued_at=at(2), rows=2000, rows_low=900, rows_high=1999, code="9ca8f1e5"),
    AttemptRow(5, 12, 5, 1, "", Status.CANCELLED, message="", duration_s=0.0),
]  # fmt: skip

PIPELINES = {1: "extract", 2: "load, all", 12: "extract"}
"""Run to its pipeline."""

CASES: list[tuple[str, list[int]]] = [
    ("", [1, 2, 3, 4, 5]),
    ("orders", [1]),
    ("ORDERS loaded", [1]),
    ('"two words"', [3]),
    ("two words", [3]),
    ("%", [4]),
    ("_", [2]),
    ("Éclair", [4]),
    ("éclair", []),
    ("-users", [1, 3, 4, 5]),
    ("-", [1]),
    ("status:error", [2]),
    ("status:error,queued", [2, 3]),
    ("-status:done", [2, 3, 4, 5]),
    ("STATUS:Error", [2]),
    ("run:1", [1, 2]),
    ("pipeline:extract", [1, 2, 5]),
    ("pipeline:Extract", []),
    ("-pipeline:extract", [3, 4]),
    ('pipeline:"load, all"', [3, 4]),
    ('pipeline:extract,"load, all" status:error,queued', [2, 3]),
    ("pipeline:load,x -status:done", []),
    ("run:2,12", [3, 4, 5]),
    ("task:18", [2, 4]),
    ('task:"a b"', [3]),
    ("task:5..17", [1, 5]),
    ("task:18..", [2, 4]),
    ("task:..17", [1, 5]),
    ("-task:5..18", [3]),
    ("task:a..b", [3]),
    ('task:"a b"..', [3]),
    ("task:..Z", []),
    ('task:"5..17"', []),
    ('task:17,"a b"', [1, 3]),
    ('task:"17,18"', []),
    ('task:"5".."9"', []),
    ("attempt:>1", [2, 4]),
    ("attempt:1", [1, 3, 5]),
    ("rows:0", [2]),
    ("-rows:0", [1, 3, 4, 5]),
    ("rows:>30", [1, 4]),
    ("rows:>1000", [4]),
    ("rows:1..31", [1]),
    ("rows:odd", [1, 4]),
    ("ROWS:Odd -status:done", [4]),
    ("-rows:odd", [2, 3, 5]),
    ("ROWS:<=31", [1, 2]),
    ("code:3EF44d5d", [1]),
    ("code:3ef44d5d,9ca8f1e5", [1, 4]),
    ("-code:3ef44d5d", [2, 3, 4, 5]),
    ("attempt:2..3", [2, 4]),
    ("dur:>5m", [2]),
    ("dur:>300", [2]),
    ("dur:<=4100ms", [1, 5]),
    ("dur:4s..7m", [1, 2]),
    ("-dur:>5m", [1, 3, 4, 5]),
    ("dur:1h30m..", []),
    ("age:<2h", [3]),
    ("age:>1d", [1]),
    ("age:11h..12h", [4]),
    ("started:2026-08-03..", [2, 4]),
    ("started:2026-08-01", [1]),
    ("started:..2026-08-01", [1]),
    ("started:2026-08-01..2026-08-03", [1, 2]),
    ("started:>2026-08-01", [2, 4]),
    ("started:today", [4]),
    ("fail:00000000000c", [2]),
    ("fail:00000000000C,0", [2]),
    ("-fail:00000000000c", [1, 3, 4, 5]),
    ("name:users", [2]),
    ('name:"two words"', [3]),
    ("name:user", []),
    ("started:yesterday", [2]),
    ("started:>=2026-08-04T01:00", [4]),
    ("started:2026-08-04T03:00+02:00", [4]),
    ("err:keyerror", [2]),
    ("err:Trace", [2]),
    ("-err:KeyError", [1, 3, 4, 5]),
    ("worker:worker-2", [2]),
    ("status:error err:Key attempt:>1", [2]),
    ("[red]", []),
    ("12:30", []),
]


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "etl.db"
        writer = open_writer(path)
        for number, pipeline in PIPELINES.items():
            writer.execute(
                "INSERT INTO pipeline_runs (id, pipeline, status, executor, started_at) VALUES (?, ?, 'done', '', '')",
                (number, pipeline),
            )
        Ledger(writer).insert_attempts(ROWS)
        close_writer(writer)
        reader = open_reader(path)
        yield reader
        reader.close()


def ids_by_sql(connection: sqlite3.Connection, where: str | Filter) -> list[int]:
    condition, values = (parse(where, now=NOW) if isinstance(where, str) else where).sql()
    return [row[0] for row in connection.execute(f"SELECT id FROM task_runs WHERE {condition} ORDER BY id", values)]


def ids_by_predicate(text: str) -> list[int]:
    where = parse(text, now=NOW)
    return [row.id for row in ROWS if where.of_pipeline(PIPELINES[row.run_id]).matches(row)]


@pytest.mark.parametrize(("text", "ids"), CASES)
def test_sql_and_predicate_agree_on_the_table_of_cases(
    connection: sqlite3.Connection, text: str, ids: list[int]
) -> None:
    assert ids_by_sql(connection, text) == ids
    assert ids_by_predicate(text) == ids


@given(name=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
def test_a_quoted_name_is_found_whatever_is_in_it(name: str) -> None:
    row = ROWS[0]._replace(name=name)
    assert parse(f"name:{quoted(name)}").matches(row)
    assert not parse(f"name:{quoted(name)}").matches(row._replace(name=f"{name}x"))


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        (marked_filter("run", [1, 12]), [1, 2, 5]),
        (marked_filter("name", ["users", 'no "such"', ""]), [2, 5]),
        (marked_filter("fail", [f"{number:012x}" for number in range(500)]), [2]),
        (failures_filter(), [2]),
        (with_attempt(marked_filter("name", ["users"]), 5), [2, 5]),
        (with_attempt(parse("-status:done dur:>0s"), 1), [1, 2]),
    ],
    ids=["runs", "names", "failures", "all failures", "one in any case", "one in any case, of two terms"],
)
def test_what_is_marked_passes_however_much_it_is(
    connection: sqlite3.Connection, where: Filter, ids: list[int]
) -> None:
    assert ids_by_sql(connection, where) == ids
    assert [row.id for row in ROWS if where.matches(row)] == ids


words = st.sampled_from([case for case, _ in CASES if case]) | st.text("abORés%_ é1", max_size=6).map(
    lambda text: f'"{text}"'
)


@settings(max_examples=300, deadline=None)
@given(text=st.lists(words.map(str), max_size=4).map(" ".join))
def test_sql_and_predicate_agree_on_any_filter(connection: sqlite3.Connection, text: str) -> None:
    assert ids_by_sql(connection, text) == ids_by_predicate(text)


ids = (
    st.integers(-20, 20)
    | st.sampled_from(["2025-03-01", "2025-03-31", "a", "a b", "é", "z", "Z", "0012", "-3", "1..5", "..", "a,b", '"'])
    | st.text("0-9a.É", min_size=1, max_size=4)
)


def bound_of(value: int | str | None) -> str:
    return "" if value is None else quoted(value) if isinstance(value, str) else str(value)


@settings(max_examples=300, deadline=None)
@given(tasks=st.lists(ids, max_size=8, unique=True), low=ids | st.none(), high=ids | st.none())
def test_a_range_of_task_ids_has_the_order_of_numbers_or_of_texts(
    connection: sqlite3.Connection, tasks: list[int | str], low: int | str | None, high: int | str | None
) -> None:
    text = f"task:{bound_of(low)}..{bound_of(high)}"
    rows = [ROWS[0]._replace(id=number, task_id=task) for number, task in enumerate(tasks)]
    if (low is None and high is None) or {type(low), type(high)} == {int, str}:
        with pytest.raises(FilterError):
            parse(text, now=NOW)
        return
    condition, values = parse(text, now=NOW).sql()
    found = [
        number
        for number, task in enumerate(tasks)
        if connection.execute(f"SELECT {condition} FROM (SELECT ? AS task_id)", [*values, task]).fetchone()[0]
    ]
    assert found == [row.id for row in rows if parse(text, now=NOW).matches(row)]
    number_range = int in {type(low), type(high)}
    for number, task in enumerate(tasks):
        if isinstance(task, int) is number_range:
            within = (low is None or low <= task) and (high is None or task <= high)  # type: ignore[operator]
            assert (number in found) is within


def test_dates_as_task_ids_have_ranges() -> None:
    rows = [ROWS[0]._replace(task_id=f"2025-{month:02}-01") for month in range(1, 13)]
    where = parse("task:2025-03-01..2025-05-01")
    assert [row.task_id for row in rows if where.matches(row)] == ["2025-03-01", "2025-04-01", "2025-05-01"]


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("task:5..b", 5, "two numbers or two texts, and 'b' is no number"),
        ("task:a..5", 5, "two numbers or two texts, and 'a' is no number"),
        ("task:..", 5, "needs at least one end"),
        ("task:1..3,7", 8, "stands alone"),
        ("status:banana", 7, "There is no status 'banana': use queued"),
        ("a status:error,x", 15, "There is no status 'x'"),
        ("colour:red", 0, "There is no field 'colour': use one of status"),
        ("dur:>fast", 5, "not a duration: write 90s"),
        ("run:x", 4, "not a whole number"),
        ("started:soon", 8, "is no date: write 2026-08-01"),
        ("started:2026-13-01", 8, "is no date"),
        ("status:", 7, "needs a value"),
        ("attempt:..", 8, "needs at least one end"),
        ('a "b', 2, "not closed"),
        ("x" * 201, 200, "at most 200"),
        ("a\udcff", 1, "cannot hold this character"),
        ("age:>999999999999w", 5, "longer than the calendar"),
        ("a waits:api", 2, "is for a run that goes on"),
        ("-waits:api", 0, "is for a run that goes on"),
    ],
)
def test_a_mistake_is_named_with_its_column(text: str, column: int, words: str) -> None:
    with pytest.raises(FilterError, match=words) as caught:
        parse(text, now=NOW)
    assert caught.value.column == column


@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_a_filter_error(text: str) -> None:
    with contextlib.suppress(FilterError):
        parse(text, now=NOW).sql()


@given(text=st.lists(words.map(str), max_size=4).map(" ".join))
def test_a_filter_reads_the_same_when_it_is_written_out(text: str) -> None:
    once = parse(text, now=NOW)
    assert str(parse(str(once), now=NOW)) == str(once)


def test_completions_offer_fields_then_values() -> None:
    assert completions("st", 2) == ["status:", "started:"]
    assert completions("x -sta", 6) == ["status:", "started:"]
    assert completions("status:error,c", 14) == ["status:error,cancelling", "status:error,cancelled"]
    assert completions("started:y", 9) == ["started:yesterday"]
    assert completions("rows:", 5) == ["rows:odd"]
    assert completions("waits:pa", 8) == ["waits:paused"]


def test_what_is_waited_for_is_decided_by_who_knows(connection: sqlite3.Connection) -> None:
    asked: list[tuple[str, ...]] = []

    def waiting_for(what: tuple[str, ...]) -> list[int]:
        asked.append(what)
        return [1, 3]

    where = parse('waits:api,"host:a,b" -waits:7', live=True)
    assert (where.waited_for, str(where)) == ([("api", "host:a,b"), ("7",)], 'waits:api,"host:a,b" -waits:7')
    assert not any(map(parse("waits:api", live=True).matches, ROWS))
    assert parse("waits:api", live=True).sql() == ("0", [])
    assert not any(map(where.with_waiting(waiting_for).matches, ROWS))
    assert asked == [("api", "host:a,b"), ("7",)]
    decided = parse("waits:api", live=True).with_waiting(waiting_for)
    assert ids_by_sql(connection, decided) == [row.id for row in ROWS if decided.matches(row)] == [1, 3]
    assert (decided.waited_for, str(decided)) == ([], "waits:api")


def test_an_empty_filter_is_false() -> None:
    assert not parse("  ")
    assert parse("x")


@pytest.mark.parametrize(
    ("text", "passing"),
    [
        ("", None),
        ("status:error words", None),
        ("status:done,error", ["done", "error"]),
        ("-status:done,error", ["queued", "running", "cancelling", "retrying", "cancelled", "interrupted", "skipped"]),
        ("status:done,error -status:done", ["error"]),
        ("status:done status:error", []),
    ],
)
def test_a_filter_by_status_alone_knows_the_statuses_that_pass(text: str, passing: list[str] | None) -> None:
    found = parse(text).statuses()
    assert (None if found is None else sorted(found)) == (None if passing is None else sorted(passing))
    if found:
        assert status_filter(found).statuses() == found
