"""What `table.rows(...)` makes of what a worker hands over."""

from __future__ import annotations

import copy
import math
import pickle
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any, NamedTuple, Optional
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeloom.errors import MessageError, UsageError
from pipeloom.store.schema import MARK, OUR_TABLES
from pipeloom.tables.names import RESERVED
from pipeloom.tables.table import Table

DAY = date(2026, 11, 1)
MIDNIGHT = datetime.combine(DAY, time())
NOON = datetime.combine(DAY, time(12, 30))
KEY = UUID("12345678-1234-5678-1234-567812345678")


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Odd(Enum):
    LETTER = "a"
    NUMBER = 1


@dataclass(frozen=True)
class Order:
    id: int
    customer: str
    total: float | None = None


class Pair(NamedTuple):
    id: int
    customer: str


ORDERS = Table("orders", {"id": int, "customer": str, "total": float | None}, "id")


def one(kind: Any, *values: Any) -> list[Any]:
    """The values of one column as they are stored."""
    return [value for (value,) in Table("t", {"value": kind}).rows([(value,) for value in values]).rows]


@pytest.mark.parametrize(
    ("kind", "value", "stored"),
    [
        (int, 3, 3), (int, True, 1), (int, 3.0, 3), (int, np.int16(3), 3), (int, Level.LOW, 1), (int, -(2**63), -(2**63)),
        (float, 1.5, 1.5), (float, 2, 2.0), (float, np.float32(0.5), 0.5), (float, np.float64(0.1), 0.1), (float, math.inf, math.inf),
        (bool, True, 1), (bool, False, 0), (bool, np.bool_(True), 1), (bool, 1, 1),
        (str, "é", "é"), (str, np.str_("a"), "a"), (str, Colour.RED, "red"), (str, "a\0b", "a\0b"),
        (bytes, b"\xff", b"\xff"), (bytes, bytearray(b"a"), b"a"), (bytes, memoryview(b"a"), b"a"),
        (date, DAY, "2026-11-01"), (date, MIDNIGHT, "2026-11-01"), (date, pd.Timestamp("2026-11-01"), "2026-11-01"),
        (date, np.datetime64("2026-11-01"), "2026-11-01"),
        (datetime, NOON, "2026-11-01T12:30:00.000000"),
        (datetime, NOON.replace(tzinfo=UTC), "2026-11-01T12:30:00.000000+00:00"),
        (datetime, NOON.replace(tzinfo=timezone(timedelta(hours=2))), "2026-11-01T10:30:00.000000+00:00"),
        (datetime, pd.Timestamp("2026-11-01 12:30:00.123456789"), "2026-11-01T12:30:00.123456"),
        (datetime, pd.Timestamp("2026-11-01 12:30", tz="Europe/Berlin"), "2026-11-01T11:30:00.000000+00:00"),
        (datetime, np.datetime64("2026-11-01T12:30:00", "ns"), "2026-11-01T12:30:00.000000"),
        (Decimal, Decimal("12.30"), "12.30"), (Decimal, Decimal("1E+3"), "1000"), (Decimal, Decimal("-1E-9"), "-0.000000001"), (Decimal, 7, "7"),
        (UUID, KEY, str(KEY)),
        (Colour, Colour.RED, "red"), (Colour, "red", "red"), (Level, Level.LOW, 1), (Level, 1, 1),
        (int | None, None, None), (Optional[int], None, None), (int | None, 3, 3),  # noqa: UP045
        (float | None, math.nan, None), (float | None, np.float32("nan"), None), (float | None, pd.NA, None),
        (datetime | None, pd.NaT, None), (datetime | None, np.datetime64("NaT", "s"), None), (date | None, pd.NaT, None),
        (Decimal | None, Decimal("NaN"), None), (Decimal | None, Decimal("sNaN"), None), (str | None, math.nan, None),
    ],
)  # fmt: skip
def test_each_type_has_a_form(kind: Any, value: Any, stored: Any) -> None:
    for values in ([value], [value, value], [value, *([None] if stored is None else [])]):
        found = one(kind, *values)
        assert found == [stored] * len(values)
        assert {type(item) for item in found} == {type(stored)}


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (int, "3", "column value (int) cannot hold str '3'"),
        (int, 3.5, "float 3.5"),
        (int, 2**63, "64 bits"),
        (int, None, "NoneType None: the column takes no missing values"),
        (int, pd.NA, "no missing values"),
        (float, "1.0", "str '1.0'"),
        (float, True, "bool True"),
        (float, math.nan, "no missing values"),
        (float, 10**400, "too large"),
        (bool, 2, "int 2"),
        (str, 3, "int 3"),
        (str, b"a", "bytes b'a'"),
        (str, "\ud800", "lone surrogate"),
        (bytes, "a", "str 'a'"),
        (date, NOON, "time of day"),
        (date, "2026-11-01", "str"),
        (datetime, DAY, "date"),
        (datetime, datetime.max.replace(tzinfo=timezone(timedelta(hours=-2))), "outside the years"),
        (Decimal, 0.1, "use Decimal(str(value))"),
        (Decimal, Decimal("Infinity"), "infinite"),
        (Decimal, True, "bool"),
        (UUID, str(KEY), "str"),
        (Colour, "blue", "no value of Colour"),
        (int, [1], "list [1]"),
        (int | None, np.array([1, 2]), "ndarray"),
        (int, np.timedelta64(1, "s"), "timedelta64"),
    ],
)
def test_a_value_that_fits_no_rule_names_row_column_type_and_table(kind: Any, value: Any, said: str) -> None:
    table = Table("prices", {"id": int, "value": kind})
    good = next(good for good in (1, 1.5, "a", b"a", DAY, NOON, Decimal(1), KEY, Colour.RED) if _fits(kind, good))
    with pytest.raises(MessageError) as raised:
        table.rows([(number, value if number == 1_500 else good) for number in range(1, 2_000)])
    assert str(raised.value).startswith("Table prices, row 1500: column value (")
    assert said in str(raised.value)


def _fits(kind: Any, value: Any) -> bool:
    try:
        one(kind, value)
    except MessageError:
        return False
    return True


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = None  # type: ignore[assignment]


def test_a_value_whose_own_code_raises_is_named_as_any_other() -> None:
    for kind in (int, str, Decimal, datetime, Colour, bytes):
        with pytest.raises(MessageError, match="cannot hold Hostile"):
            one(kind, Hostile())


# -- forms of rows -----------------------------------------------------------------------------------------------------

WANTED = ((1, "ada", None), (2, "bob", 2.5))
DICTS: list[dict[str, Any]] = [{"id": 1, "customer": "ada", "total": None}, {"total": 2.5, "customer": "bob", "id": 2}]


def sqlite_rows() -> list[Any]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute(
            "SELECT column1 AS id, column2 AS customer, column3 AS total FROM (VALUES (1, 'ada', NULL), (2, 'bob', 2.5))"
        ).fetchall()


def batches() -> pa.RecordBatchReader:
    return pa.Table.from_pylist(DICTS).to_reader(max_chunksize=1)


FORMS: dict[str, Callable[[], Any]] = {
    "tuples": lambda: [(1, "ada", None), (2, "bob", 2.5)],
    "a tuple of tuples": lambda: ((1, "ada", None), (2, "bob", 2.5)),
    "lists": lambda: [[1, "ada", None], [2, "bob", 2.5]],
    "dicts": lambda: DICTS,
    "a dict without what may be missing": lambda: [{"id": 1, "customer": "ada"}, DICTS[1]],
    "dataclasses": lambda: [Order(1, "ada"), Order(2, "bob", 2.5)],
    "rows of sqlite3": sqlite_rows,
    "a generator": lambda: (row for row in WANTED),
    "forms mixed": lambda: [(1, "ada", None), Order(2, "bob", 2.5)],
    "pandas": lambda: pd.DataFrame(DICTS),
    "pandas with extension types": lambda: pd.DataFrame(DICTS).convert_dtypes(),
    "pandas in other order": lambda: pd.DataFrame(DICTS)[["total", "customer", "id"]],
    "polars": lambda: pl.DataFrame(DICTS),
    "arrow": lambda: pa.Table.from_pylist(DICTS),
    "an arrow batch": lambda: pa.RecordBatch.from_pylist(DICTS),
    "arrow batches": batches,
    "frames": lambda: [pd.DataFrame(DICTS[:1]), pl.DataFrame(DICTS[1:])],
    "a frame and a row": lambda: [pd.DataFrame(DICTS[:1]), (2, "bob", 2.5)],
    "rows of pandas": lambda: [row for _, row in pd.DataFrame(DICTS, dtype=object).iterrows()],
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_are_taken_in_any_form(form: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        message = ORDERS.rows(FORMS[form]())
    assert message.rows == WANTED
    assert {type(row) for row in message.rows} == {tuple}
    assert {type(value) for row in message.rows for value in row} == {int, str, float, type(None)}


def test_named_tuples_are_taken_by_name_where_they_have_the_columns_in_another_order() -> None:
    people = Table("people", {"first": str, "last": str})
    frame = pd.DataFrame({"last": ["Lovelace"], "first": ["Ada"]})
    assert people.rows(list(frame.itertuples(index=False))).rows == (("Ada", "Lovelace"),)
    assert people.rows(frame).rows == (("Ada", "Lovelace"),)


def test_one_row_is_taken_too() -> None:
    for row in ((2, "bob", 2.5), DICTS[1], Order(2, "bob", 2.5)):
        assert ORDERS.rows(row).rows == WANTED[1:]
    assert Table("pairs", {"id": int, "customer": str}).rows(Pair(1, "ada")).rows == ((1, "ada"),)
    assert Table("names", {"name": str}).rows([{"name": "ada"}, {"name": "bob"}]).rows == (("ada",), ("bob",))


def test_no_rows_are_no_rows() -> None:
    empty: list[Any] = [
        [],
        (),
        iter(()),
        pd.DataFrame(DICTS)[:0],
        pl.DataFrame(DICTS)[:0],
        pa.Table.from_pylist(DICTS)[:0],
    ]
    assert [ORDERS.rows(source).rows for source in empty] == [()] * len(empty)


@pytest.mark.parametrize("library", ["pandas", "polars", "arrow"])
def test_frames_of_every_type_hold_what_their_values_are(library: str) -> None:
    columns: dict[str, Any] = {
        "number": int, "gap": int | None, "real": float | None, "truth": bool, "text": str | None, "blob": bytes,
        "day": date | None, "at": datetime | None, "zoned": datetime, "price": Decimal, "kind": str,
    }  # fmt: skip
    data: dict[str, list[Any]] = {
        "number": [1, 2], "gap": [None, 7], "real": [None, 0.5], "truth": [True, False], "text": [None, "é"],
        "blob": [b"a", b""], "day": [DAY, None], "at": [NOON, None], "zoned": [NOON.replace(tzinfo=UTC)] * 2,
        "price": [Decimal("1.50"), Decimal("2.00")], "kind": ["a", "b"],
    }  # fmt: skip
    source: Any = pa.table(data)
    if library == "pandas":
        source = pd.DataFrame(data).astype({"kind": "category"})
    elif library == "polars":
        source = pl.DataFrame(data).with_columns(pl.col("kind").cast(pl.Categorical))
    first, second = Table("everything", columns).rows(source).rows
    assert first == (
        1, None, None, 1, None, b"a", "2026-11-01", "2026-11-01T12:30:00.000000", "2026-11-01T12:30:00.000000+00:00", "1.50", "a",
    )  # fmt: skip
    assert second == (2, 7, 0.5, 0, "é", b"", None, None, "2026-11-01T12:30:00.000000+00:00", "2.00", "b")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ([(1, "ada", None), (2, "bob")], r"row 2: it ends before column total \(float\)"),
        ([(1, "ada", None, 4)], "row 1: it has 4 values, for 3 columns"),
        ([{"id": 1}], r"row 1: it has no column customer \(str\)"),
        ([DICTS[0], {**DICTS[0], "day": 1}], "row 2: the table has no column 'day'; it has id, customer, total"),
        ([Pair(1, "ada")], "row 1: it ends before column total"),
        ([(1, "ada", None), 7], "row 2: int 7 is neither a tuple, a dict nor a dataclass"),
        (["ab"], "row 1: str 'ab' is neither"),
        ("ab", "rows or a frame, not str"),
        (7, "rows or a frame, not int"),
        (ORDERS.rows([(1, "ada", None)]), r"row 1: it is what orders.rows\(...\) has returned: put that as it is"),
        ([(1, "ada", None), ORDERS.rows([])], r"row 2: it is what orders.rows\(...\) has returned"),
        (None, "rows or a frame, not NoneType"),
        (pl.DataFrame(DICTS).lazy(), "rows or a frame, not LazyFrame"),
        (pd.DataFrame({"id": [1]}), "no column customer"),
        (pd.DataFrame({"id": [1], "customer": ["a"], "more": [1]}), "the table has no column 'more'"),
        (pd.DataFrame([[1, "a", 2]], columns=["id", "customer", "id"]), "more than one column 'id'"),
        (pd.DataFrame([[1, "a", 2.0]]), "no column 0"),
        ([pd.DataFrame(DICTS), (3, 4, 5.0)], r"row 3: column customer \(str\) cannot hold int 4"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_the_table_are_told(source: Any, said: str) -> None:
    with pytest.raises(MessageError, match=said):
        ORDERS.rows(source)


def test_an_error_of_the_users_own_iterator_stays_as_it_is() -> None:
    def pages() -> Iterator[Any]:
        yield (1, "ada", None)
        raise TypeError("of the user's own")

    with pytest.raises(TypeError, match="of the user's own"):
        ORDERS.rows(pages())


def test_what_is_made_holds_the_values_of_that_moment() -> None:
    blob = bytearray(b"a")
    rows: list[Any] = [[1, blob]]
    message = Table("t", {"id": int, "blob": bytes}).rows(rows)
    blob[:] = b"b"
    rows.append([2, b"c"])
    assert message.rows == ((1, b"a"),)
    assert pickle.loads(pickle.dumps(message)) == message


def test_a_table_travels_as_its_declaration() -> None:
    table = Table("t", {"at": datetime | None, "kind": Colour, "n": int}, ("n", "kind"), provenance=False)
    for twin in (pickle.loads(pickle.dumps(table)), copy.deepcopy(table)):
        assert (twin.name, twin.names, twin.key, twin.provenance) == ("t", ("at", "kind", "n"), ("n", "kind"), False)
        assert twin.insert("?") == table.insert("?")
        assert twin.rows([(NOON, "red", 1)]) == table.rows([(NOON, "red", 1)])


@given(
    st.lists(st.tuples(st.integers(-(2**70), 2**70), st.text(st.characters()), st.none() | st.floats() | st.integers()))
)
def test_rows_are_refused_or_stored_as_they_are(rows: list[Any]) -> None:
    try:
        message = ORDERS.rows(rows)
    except MessageError:
        return
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER NOT NULL, customer TEXT NOT NULL, total REAL) STRICT")
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?)", message.rows)
        found = connection.execute("SELECT * FROM orders").fetchall()
    assert found == [(n, text, None if total is None or math.isnan(total) else float(total)) for n, text, total in rows]


# -- declarations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("", {"id": int}), "name of a table must be a text"),
        (("a\0b", {"id": int}), "cannot keep"),
        (("Task_Runs", {"id": int}), "belongs to pipeloom or SQLite itself"),
        (("sqlite_stat1", {"id": int}), "belongs to pipeloom or SQLite itself"),
        (("t", {}), "mapping of names to types"),
        (("t", ["id"]), "mapping of names to types"),
        (("t", {"": int}), "name of a column of table t"),
        (("t", {"id": int, "ID": int}), "column ID is there twice"),
        (("t", {"id": list}), "column id: there is no rule for list. There are rules for int, float"),
        (("t", {"id": int | str}), "no rule for int | str"),
        (("t", {"id": None}), "no rule for None"),
        (("t", {"id": "int"}), "no rule for int"),
        (("t", {"id": Odd}), "no rule for Odd"),
        (("t", {"id": int}, "nr"), "key names 'nr'"),
        (("t", {"id": int}, ["id", "id"]), "key must be"),
        (("t", {"id": int}, []), "key must be"),
        (("t", {"id": int | None}, "id"), "without `| None`"),
        (("t", {"_ATTEMPT": int}), "pipeloom's own"),
    ],
)  # fmt: skip
def test_a_declaration_that_cannot_be_is_told(arguments: tuple[Any, ...], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        Table(*arguments)
    assert said in str(raised.value)


def test_all_tables_of_ours_are_refused() -> None:
    assert OUR_TABLES | {MARK} <= RESERVED
