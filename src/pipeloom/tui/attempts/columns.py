"""The columns of attempts: the same in the live table and in the history."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from rich.text import Text

from pipeloom.status import ACTIVE, FINAL, WAITING, Status
from pipeloom.store.rows import AttemptRow, DurationBaseline
from pipeloom.text import clean, counted, first_line
from pipeloom.times import until
from pipeloom.tui.attempts.estimate import Estimate, estimate
from pipeloom.tui.style import format as fmt
from pipeloom.tui.style.glyphs import ODD, badge, status_text
from pipeloom.tui.style.text import cell, cell_first_line
from pipeloom.tui.table.columns import Column, RenderContext
from pipeloom.tui.widgets.bar import bar

_PERCENT = 5
MEASURED: Final = 200
"""Characters of a message for which a column of the history makes room."""
_GAP: Final = "  "
"""Between two things in a message."""
_LEFT_OUT: Final = tuple(
    map(re.compile, (r"^(?:retry in |[\d,]+ workers? busy, )", r"(?<=: )\d+ of \d+ by ", r"^limit (?=.*: )"))
)
"""What a narrow reason leaves out, one after the other: status and header say it, or that the attempt waits."""
_SHORT: Final = 10_000
"""Number of rows from which it is shortened."""
_NOT_RUN: Final = WAITING | {Status.SKIPPED}
"""Statuses of attempts that no worker has had."""
_LONG_S = 30.0
"""Seconds without a change after which a task that reported progress before counts as stuck."""

COLUMN_IDS: Final = {
    "live": ("id", "task", "status", "progress", "try", "elapsed", "eta", "rows", "message"),
    "history": ("run", "id", "task", "status", "try", "started", "elapsed", "rows", "message"),
}
"""Column ids of each screen, as the settings name them."""


def chosen(columns: list[Column[AttemptRow]], ids: Sequence[str]) -> list[Column[AttemptRow]]:
    """Return the columns with these ids, in their order; all when there are none."""
    known = {column.id: column for column in columns}
    return [known[name] for name in ids] or columns


def live_columns(
    tries: int,
    silent_s: Callable[[AttemptRow], float],
    grace_s: float = 10.0,
    past: Callable[[AttemptRow], DurationBaseline | None] = lambda _row: None,
    last_error: Callable[[AttemptRow], str] = lambda _row: "",
    waits: Callable[[AttemptRow], str] = lambda _row: "",
) -> list[Column[AttemptRow]]:
    """Return the columns of the live table; `tries` is the number of attempts that a task is granted, 0: not known.

    `silent_s` tells for how long a row has not changed: one that was asked to stop more than `grace_s` ago does not
    respond. `past` tells what the task took in earlier runs, `last_error` why the attempt before failed,
    `waits` why a queued one waits.
    """

    def estimated(row: AttemptRow, ctx: RenderContext) -> Estimate | None:
        return estimate(row, fmt.seconds_since(row.started_at, ctx.now), past(row))

    def progress(row: AttemptRow, ctx: RenderContext) -> Text:
        told = estimated(row, ctx)
        return _progress(row, ctx, None if told is None else told.ghost)

    def eta(row: AttemptRow, ctx: RenderContext) -> Text:
        if row.status is Status.RETRYING and (due := fmt.moment(row.due_at)) is not None:
            return cell(fmt.eta(max(0.0, due.timestamp() - ctx.now)), ctx.style("status--retrying"))
        told = estimated(row, ctx)
        return Text("") if told is None else cell(told.label, ctx.style("table--muted"))

    def attempt(row: AttemptRow) -> str:
        if tries > 1:
            return f"{row.attempt}/{max(tries, row.attempt)}"
        return str(row.attempt) if row.attempt > 1 else ""

    def message(row: AttemptRow, ctx: RenderContext) -> Text:
        silent = silent_s(row)
        if row.status is Status.CANCELLING and silent >= grace_s:
            return cell(f"not responding {fmt.stopwatch(silent)}", ctx.style("status--cancelling"))
        if row.status is Status.RUNNING and row.step is not None and silent >= _LONG_S:
            return cell(f"no progress {fmt.stopwatch(silent)}", ctx.style("status--retrying"))
        if row.status in WAITING and not row.message:
            return _waiting(why_waiting(row, waits(row), ctx.now), last_error(row), ctx)
        told = estimated(row, ctx)
        if told is not None and told.slow is not None:
            slow = cell(f"{told.slow:.1f}× slow", ctx.style("status--retrying"))
            return _before(slow, _message(row, ctx))
        return _message(row, ctx)

    return [
        _id_column(),
        _task_column(),
        _status_column(),
        Column("progress", "Progress", progress, 12, share=1, max_width=25),
        Column(
            "try",
            "Try",
            lambda row, ctx: cell(attempt(row), ctx.style("table--muted")),
            3,
            justify="right",
            hide_below=64,
            content=attempt,
            hide_empty=True,
        ),
        Column("elapsed", "Time", _elapsed, 6, justify="right"),
        Column("eta", "ETA", eta, 6, justify="right", hide_below=96),
        _rows_column(),
        Column("message", "Message", message, 12, share=4),
    ]


def why_waiting(row: AttemptRow, why: str, now: float) -> str:
    """Return why an attempt waits: `why` as the engine says it, for a retry the time that is left."""
    left = until(row.due_at, now) if row.status is Status.RETRYING else ""
    return f"retry in {left}" if left else why


def _id_column(hide_below: int = 0) -> Column[AttemptRow]:
    return Column(
        "id",
        "ID",
        _task_id,
        2,
        max_width=10,
        justify="right",
        hide_below=hide_below,
        content=_shown_id,
        names=True,
        hide_empty=True,
    )


def _task_column() -> Column[AttemptRow]:
    return Column("task", "Task", _name, 12, share=6, max_width=60, content=lambda row: row.name, names=True)


def _status_column() -> Column[AttemptRow]:
    return Column("status", "Status", _status, 9, content=lambda row: badge(row.status).label)


def _rows_column() -> Column[AttemptRow]:
    return Column("rows", "Rows", _rows, 5, justify="right", hide_below=108)


def history_columns() -> list[Column[AttemptRow]]:
    """Return the columns of the history."""
    return [
        Column("run", "Run", _run, 3, max_width=8, justify="right", content=lambda row: str(row.run_id)),
        _id_column(hide_below=90),
        _task_column(),
        _status_column(),
        Column("try", "Try", lambda row, ctx: cell(row.attempt, ctx.style("table--muted")), 3, justify="right"),
        Column("started", "Started", _started, 11),
        Column("elapsed", "Time", _elapsed, 6, justify="right"),
        _rows_column(),
        Column("message", "Message", _message, 8, share=4, content=_first_line),
    ]


def second_of(row: AttemptRow, second: int) -> int:
    """Return the second for a row whose cells change with time alone, else 0."""
    return second if row.status in ACTIVE or row.status is Status.RETRYING else 0


def _run(row: AttemptRow, ctx: RenderContext) -> Text:
    return cell(row.run_id, ctx.style("table--muted"))


def _shown_id(row: AttemptRow) -> str:
    """Return the id of the task; nothing where it is the name."""
    return "" if row.task_id == row.name else str(row.task_id)


def _task_id(row: AttemptRow, ctx: RenderContext) -> Text:
    return cell(ctx.cut(clean(_shown_id(row)), ctx.width), ctx.style("table--muted"))


def _name(row: AttemptRow, ctx: RenderContext) -> Text:
    """Return the name, cut where the others are the same."""
    if not row.name.strip():
        return cell("(empty)", ctx.style("table--muted"))
    return cell(ctx.cut(clean(row.name), ctx.width))


def _status(row: AttemptRow, ctx: RenderContext) -> Text:
    return status_text(row.status, ctx.style, ascii_only=ctx.ascii_only)


def _progress(row: AttemptRow, ctx: RenderContext, ghost: float | None = None) -> Text:
    if row.status in (Status.QUEUED, Status.SKIPPED) and row.progress is None:
        return Text("")
    width = max(0, ctx.width - _PERCENT)
    drawn = bar(
        row.progress,
        width,
        ctx.style(f"status--{row.status}"),
        ctx.style("table--rail"),
        ghost=ghost,
        ghost_style=ctx.style("table--muted"),
        ascii_only=ctx.ascii_only,
    )
    if row.progress is not None:
        return drawn.append(fmt.percent(row.progress).rjust(_PERCENT))
    count = "" if row.step is None else fmt.short(row.step)
    return drawn.append(count.rjust(_PERCENT), ctx.style("table--muted"))


def _elapsed(row: AttemptRow, ctx: RenderContext) -> Text:
    if row.status in FINAL:
        return cell(fmt.duration(row.duration_s))
    if row.status in ACTIVE:
        return cell(fmt.duration(fmt.seconds_since(row.started_at, ctx.now)))
    return Text("")


def _rows(row: AttemptRow, ctx: RenderContext) -> Text:
    """Return the rows that the attempt has written, marked when they are odd; nothing before it runs."""
    if row.rows is None or row.status in _NOT_RUN:
        return Text("")
    told = str(row.rows) if row.rows < _SHORT else fmt.short(row.rows)
    return cell(ODD[row.odd] + told, ctx.style("status--retrying" if row.odd else "table--muted"))


def _message(row: AttemptRow, ctx: RenderContext) -> Text:
    """Return the message, after the rows if they are odd: the table may be too narrow for their column."""
    failed = row.status in (Status.ERROR, Status.INTERRUPTED)
    told = cell_first_line(row.message, ctx.style(f"status--{row.status}" if failed else "table--muted"))
    if not row.odd:
        return told
    return _before(cell(f"{ODD[row.odd]}{counted(row.rows or 0, 'row')}", ctx.style("status--retrying")), told)


def _waiting(why: str, error: str, ctx: RenderContext) -> Text:
    """Return why an attempt waits, and why the one before it failed."""
    told, failed = cell(why, ctx.style("table--muted")), cell_first_line(error, ctx.style("table--faint"))
    if not told.plain:
        return failed
    gap = _GAP
    for words in _LEFT_OUT:
        if len(told) + (len(gap) + len(failed) if failed.plain else 0) > ctx.width:
            told.plain, gap = words.sub("", told.plain, count=1), " "
    return _before(told, failed, gap)


def _before(said: Text, message: Text, gap: str = _GAP) -> Text:
    return said.append(gap).append(message.plain, message.style) if message.plain else said


def _first_line(row: AttemptRow) -> str:
    return first_line(row.message, MEASURED)


def _started(row: AttemptRow, ctx: RenderContext) -> Text:
    text = fmt.stamp(row.started_at or row.queued_at)
    return cell(text[5:16], ctx.style("table--muted"))  # month, day, hour, minute
