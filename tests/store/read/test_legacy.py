"""Files of pipeloom 0.0.x are read as they are, by the rows that an import would make of them."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.store.conftest import MakeSqlite
from tests.store.write.test_older_files import VERSION_0_0_7

from pipeloom.errors import PipeloomError
from pipeloom.filters import parse
from pipeloom.store.file.kind import why_only_read
from pipeloom.store.read.history import History, walk
from pipeloom.store.read.paging import Sort
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.store.write.connect import close_writer, open_writer


@pytest.fixture(params=["delete", "wal"])
def legacy(request: pytest.FixtureRequest, make_sqlite: MakeSqlite) -> Path:
    """A file of pipeloom 0.0.7, in each journal mode."""
    return make_sqlite(f"PRAGMA journal_mode={request.param};{VERSION_0_0_7}", name="etl.db")


def folder_of(path: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in path.parent.iterdir()}


def everything(path: Path) -> tuple[list[RunRow], list[AttemptRow | None]]:
    with History(path) as history:
        return history.runs(), [history.attempt(row.id) for row in walk(history)]


def test_what_is_read_is_what_an_import_makes_of_it_and_the_file_stays(legacy: Path) -> None:
    before = folder_of(legacy)
    runs, attempts = everything(legacy)
    assert folder_of(legacy) == before
    close_writer(open_writer(legacy))
    assert (runs, attempts) == everything(legacy)
    assert [row.id for row in attempts if row] == [5, 3, 2, 1]


def test_filters_orders_and_failures_go_through_such_a_file(legacy: Path) -> None:
    with History(legacy) as history:
        for sort in (Sort(), Sort("name"), Sort("status"), Sort("started_at"), Sort("duration_s")):
            assert {row.id for row in walk(history, sort=sort, limit=2)} == {1, 2, 3, 5}
        assert history.count(parse("status:error err:ValueError dur:>1s")) == 1
        assert history.has_fingerprints
        assert not history.logs(1)


def test_rows_that_are_still_in_the_log_are_read_too(make_sqlite: MakeSqlite) -> None:
    path = make_sqlite(f"PRAGMA journal_mode=wal;{VERSION_0_0_7}")
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("INSERT INTO task_runs VALUES (9, 'late', 'done', 1, '', NULL, NULL, NULL)")
        writer.commit()
        with History(path) as history:
            assert history.newest_id() == 9


def test_a_row_that_arrives_is_seen_by_the_next_look(legacy: Path) -> None:
    with History(legacy) as history:
        assert history.newest_id() == 5
    with closing(sqlite3.connect(legacy)) as writer, writer:
        writer.execute("INSERT INTO task_runs VALUES (9, 'late', 'done', 1, '', NULL, NULL, NULL)")
    with History(legacy) as history:
        assert history.newest_id() == 9


def test_the_reason_why_it_is_only_read_names_both_ways_to_take_it_over(legacy: Path) -> None:
    assert f"`pipeloom-tui {legacy}` or `pipeloom run {legacy} PIPELINE`" in why_only_read(legacy)


RESULTS = [
    None,
    "",
    "not JSON",
    "NaN",
    '{"a": NaN, "b": 1e999}',
    "9" * 5000,
    "[" * 100_000,
    '"x"',
    " {} ",
    "nul\0inside",
]


@pytest.mark.parametrize("is_imported", [False, True])
def test_results_stay_exactly_as_they_were(legacy: Path, is_imported: bool) -> None:
    with closing(sqlite3.connect(legacy)) as connection, connection:
        connection.execute("DELETE FROM task_runs")
        connection.executemany(
            "INSERT INTO task_runs VALUES (?, 'n', 'done', 1, '', NULL, NULL, ?)", list(enumerate(RESULTS, 1))
        )
    if is_imported:
        close_writer(open_writer(legacy))
    with History(legacy) as history:
        found = [
            history.rows("SELECT result FROM task_runs WHERE id = ?", [n])[0][0] for n in range(1, len(RESULTS) + 1)
        ]
    assert found == RESULTS


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE task_runs SET message = CAST(x'ff41' AS TEXT) WHERE id = 1",
        "UPDATE task_runs SET name = x'ff00', status = x'646f6e65', started_at = x'00', progress = 'half' WHERE id = 1",
        "UPDATE task_runs SET progress = 9e999, started_at = '9999-99-99', finished_at = 12 WHERE id = 1",
    ],
)
def test_values_of_any_kind_are_read_and_imported_alike(legacy: Path, change: str) -> None:
    with closing(sqlite3.connect(legacy)) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints=ON")
        connection.execute(change)
    read = everything(legacy)
    close_writer(open_writer(legacy))
    assert everything(legacy)[1] == read[1]


@pytest.mark.parametrize("value", ["NULL", "'one'", "1.5", "(SELECT min(id) FROM task_runs)"])
def test_ids_that_cannot_be_numbers_of_attempts_are_refused_in_a_sentence(make_sqlite: MakeSqlite, value: str) -> None:
    path = make_sqlite(
        VERSION_0_0_7.replace("id INTEGER PRIMARY KEY", "id")
        + f"INSERT INTO task_runs VALUES ({value}, 'n', 'done', 1, '', NULL, NULL, NULL);"
    )
    before = folder_of(path)
    with pytest.raises(PipeloomError, match="cannot be read"):
        History(path)
    assert folder_of(path) == before
