"""The cells of the tables of attempts."""

from __future__ import annotations

import pytest
from rich.style import Style

from pipeloom.status import Status
from pipeloom.store.rows import AttemptRow
from pipeloom.tui.attempts.columns import COLUMN_IDS, history_columns, live_columns
from pipeloom.tui.live.sorting import COLUMNS
from pipeloom.tui.style.ascii import in_ascii
from pipeloom.tui.table.columns import RenderContext, SeenTexts, fit

SCREENS = {"live": live_columns(1, lambda _row: 0.0), "history": history_columns()}


@pytest.mark.parametrize("screen", SCREENS)
def test_the_settings_name_the_columns_of_each_screen(screen: str) -> None:
    assert tuple(column.id for column in SCREENS[screen]) == COLUMN_IDS[screen]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(
    ("granted", "attempt", "shown"),
    [(1, 1, None), (1, 2, "2"), (0, 1, None), (0, 3, "3"), (3, 1, "1/3"), (2, 4, "4/4")],
)
def test_the_number_of_a_try_is_shown_where_there_is_more_than_one(
    granted: int, attempt: int, shown: str | None, width: int
) -> None:
    columns, row = live_columns(granted, lambda _row: 0.0), AttemptRow(1, 1, 1, attempt, "one", Status.QUEUED)
    seen: SeenTexts[AttemptRow] = SeenTexts()
    seen.note(columns, [row])
    cells = [
        slot.column.cell(row, RenderContext(slot.width, 0.0, ascii_only=True, style=lambda _name: Style())).plain
        for slot in fit(columns, width, seen.cells).slots
        if slot.column.id == "try"
    ]
    assert cells == ([] if shown is None else [shown])


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize(
    ("status", "rows", "shown"),
    [
        (Status.QUEUED, 0, ""),
        (Status.RETRYING, 0, ""),
        (Status.RUNNING, 0, "0"),
        (Status.RUNNING, 9_999, "9999"),
        (Status.DONE, 0, "0"),
        (Status.DONE, 12_345, "12k"),
        (Status.ERROR, 2_000_000, "2.0M"),
        (Status.DONE, None, ""),
    ],
)
def test_rows_written_are_shown_of_what_has_run(screen: str, status: Status, rows: int | None, shown: str) -> None:
    (column,) = (column for column in SCREENS[screen] if column.id == "rows")
    row = AttemptRow(1, 1, 1, 1, "one", status, rows=rows)
    assert column.cell(row, RenderContext(10, 0.0, ascii_only=True, style=lambda _name: Style())).plain.strip() == shown
    assert COLUMNS["rows"][1](row, 0.0) == rows


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize(
    ("status", "rows", "shown", "message"),
    [
        (Status.RUNNING, 2_001, "▲2001", "▲2,001 rows  loading"),
        (Status.RUNNING, 3, "3", "loading"),
        (Status.DONE, 3, "▼3", "▼3 rows  loading"),
        (Status.DONE, 1, "▼1", "▼1 row  loading"),
        (Status.DONE, 123_456, "▲123k", "▲123,456 rows  loading"),
        (Status.DONE, 1_000, "1000", "loading"),
    ],
)
def test_odd_rows_are_marked_beside_the_number_and_before_the_message(
    screen: str, status: Status, rows: int, shown: str, message: str
) -> None:
    columns = {column.id: column for column in SCREENS[screen]}
    row = AttemptRow(1, 1, 1, 1, "one", status, message="loading", rows=rows, rows_low=900, rows_high=2_000)
    context = RenderContext(columns["rows"].width, 0.0, ascii_only=False, style=lambda name: Style(meta={"of": name}))
    told = columns["rows"].cell(row, context), columns["message"].cell(row, context)
    assert [cell.plain for cell in told] == [shown, message]
    assert len(shown) <= columns["rows"].width
    marked = [isinstance(cell.style, Style) and cell.style.meta == {"of": "status--retrying"} for cell in told]
    assert marked == [bool(row.odd)] * 2
    assert in_ascii(told[0]).plain == shown.replace("▲", "^").replace("▼", "v")


@pytest.mark.parametrize(
    ("why", "width", "shown"),
    [
        ("3 workers busy, 1st in line", 30, "3 workers busy, 1st in line"),
        ("3 workers busy, 1st in line", 20, "1st in line"),
        ("limit api: 2 of 2 by load-1, load-2", 40, "limit api: 2 of 2 by load-1, load-2"),
        ("limit api: 2 of 2 by load-1, load-2", 30, "limit api: load-1, load-2"),
        ("limit api: 2 of 2 by load-1, load-2", 21, "api: load-1, load-2"),
        ("limit a: 5 a second", 15, "a: 5 a second"),
        ("after load-1, load-2", 10, "after load-1, load-2"),
    ],
)
def test_a_narrow_reason_keeps_what_is_said_nowhere_else(why: str, width: int, shown: str) -> None:
    columns = live_columns(1, lambda _row: 0.0, waits=lambda _row: why)
    (column,) = (column for column in columns if column.id == "message")
    context = RenderContext(width, 0.0, ascii_only=True, style=lambda _name: Style())
    assert column.cell(AttemptRow(1, 1, 1, 1, "one", Status.QUEUED), context).plain == shown


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("what", ["id", "name"])
def test_names_and_ids_that_differ_in_the_middle_look_different(screen: str, width: int, what: str) -> None:
    texts = [
        f"s3://data-lake-raw/production/region={part}/2025/part-0000.snappy.parquet" for part in ("ab", "cd", "ef")
    ]
    rows = [AttemptRow(n, 1, text, 1, text if what == "name" else "one", Status.DONE) for n, text in enumerate(texts)]
    columns, seen = SCREENS[screen], SeenTexts[AttemptRow]()
    seen.note(columns, rows)
    slots = {slot.column.id: slot for slot in fit(columns, width, seen.cells).slots}
    slot = slots.get("task" if what == "name" else "id")
    if slot is not None:
        context = RenderContext(slot.width, 0.0, ascii_only=True, style=lambda _: Style(), cut=seen.cut(slot.column))
        told = {slot.column.cell(row, context).plain for row in rows}
        assert len(told) == len(rows)
        assert all(len(text) <= slot.width for text in told)
