"""Neighbouring rows of one attempt for one table: written by one statement, and stored as if each came alone."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest
from tests.engine.conftest import PATIENCE_S, Bench

from pipeloom.engine.events import Found, Together
from pipeloom.engine.writer.inbox import Entry
from pipeloom.engine.writer.savepoints import Joined, joined
from pipeloom.messages import MsgTaskProgress, TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.protocols import Channel
from pipeloom.store.write.handler_connection import HandlerConnection, SchemaConnection
from pipeloom.tables.table import Table, TableRows

SEEN = Table("seen", {"n": int})
OTHER = Table("other", {"n": int})


@dataclass(frozen=True)
class Wait:
    pass


def one(n: int) -> TableRows:
    return SEEN.rows([(n,)])


def many(count: int) -> TableRows:
    return SEEN.rows([(n,) for n in range(count)])


def shown(entries: list[Entry]) -> list[tuple[int, object]]:
    """The entries, joined ones as the numbers of their rows and their state."""
    return [
        (attempt_id, ([row[0] for row in put.as_one.messages[0].rows], put.as_one.state))
        if type(put) is Joined
        else (attempt_id, put)
        for attempt_id, put in joined(entries)
    ]


def test_rows_of_one_attempt_for_one_table_are_joined_with_their_last_state() -> None:
    entries: list[Entry] = [(7, one(1)), (7, Together((one(2),), state="{}")), (7, one(3))]
    assert shown(entries) == [(7, ([1, 2, 3], "{}"))]


@pytest.mark.parametrize(
    "between",
    [
        (8, one(5)),
        (7, OTHER.rows([(5,)])),
        (7, MsgTaskProgress(1, 1)),
        (7, Together((one(5), one(6)))),
        (7, Together(state="{}")),
        (7, Together((one(5),), (Found("a", "a", "{}", 0, None, None),))),
    ],
)
def test_what_stands_between_them_keeps_its_place(between: Entry) -> None:
    entries: list[Entry] = [(7, one(1)), (7, one(2)), between, (7, one(3)), (7, one(4))]
    assert shown(entries) == [(7, ([1, 2], None)), between, (7, ([3, 4], None))]


def test_a_statement_grows_to_about_a_thousand_rows() -> None:
    entries: list[Entry] = [(7, many(400))] * 7
    assert [len(put.puts) if type(put) is Joined else 1 for _, put in joined(entries)] == [3, 3, 1]


@pytest.mark.parametrize("action", ["ABORT", "ROLLBACK"])
def test_a_row_that_is_refused_among_neighbours_harms_none_of_them(bench: Bench, action: str) -> None:
    pipeline = Pipeline("shop", [], print)
    seen = pipeline.table("seen", {"n": int})
    all_put = threading.Event()

    @pipeline.schema
    def trigger(conn: SchemaConnection) -> None:
        conn.execute(
            "CREATE TRIGGER IF NOT EXISTS t BEFORE INSERT ON seen WHEN new.n IN (3, 9) "
            f"BEGIN SELECT RAISE({action}, 'not that one'); END"
        )

    @pipeline.handler(Wait)
    def wait(conn: HandlerConnection, msg: Wait) -> None:
        assert all_put.wait(PATIENCE_S)

    def worker(task: TaskDef, q: Channel) -> None:
        q.put(Wait())
        for n in range(10):
            q.put(seen.rows([(n,)]), state={"n": n})
        all_put.set()

    engine = bench.engine(worker, pipeline=pipeline)
    engine.start()
    assert engine.wait(PATIENCE_S)
    engine.close()
    assert [n for (n,) in bench.rows("SELECT n FROM seen ORDER BY n")] == [0, 1, 2, 4, 5, 6, 7, 8]
    assert bench.rows("SELECT state FROM task_state") == [('{"n": 8}',)]
    assert (bench.one("status"), bench.one("rows")) == ("error", 8)
    assert "handler for TableRows: IntegrityError: not that one" in bench.one("message")
