"""The columns of the history's lists of runs, tasks and failures."""

from __future__ import annotations

from rich.text import Text

from pipeloom.parameters.texts import read_back, words_of
from pipeloom.status import FINAL, RunStatus, Status
from pipeloom.store.read.failures import FailureGroup
from pipeloom.store.read.run_queries import worst_status
from pipeloom.store.read.tasks import TaskStats
from pipeloom.text import clean
from pipeloom.tui.attempts.columns import MEASURED
from pipeloom.tui.history.queries import RunItem
from pipeloom.tui.style import format as fmt
from pipeloom.tui.style.glyphs import badge, spark_level, status_text
from pipeloom.tui.style.text import cell, clip_middle, whole_parts
from pipeloom.tui.table.columns import Column, RenderContext

_SHOWN_COUNTS = (Status.ERROR, Status.INTERRUPTED, Status.CANCELLED, Status.SKIPPED, Status.DONE)
_ROOMY = 36
"""Minimum width for words before a failure's message."""
_NEW = "new in this run  "
_BAD_SHARE = 0.9
"""Share of success below which a task's line has the colour of a failure."""


def run_columns() -> list[Column[RunItem]]:
    """Return the columns of the list of runs."""
    return [
        Column("run", "Run", _run, 5, max_width=8, content=lambda item: f"● {item.run.id}" if item.run else ""),
        Column("started", "Started", _run_started, 11),
        Column("took", "Time", _run_took, 6, justify="right", hide_below=40),
        Column("counts", "Tasks", _run_counts, 7, share=3, max_width=24, content=_counts_text),
        Column("pipeline", "Pipeline", _pipeline, 10, share=1, max_width=24, hide_below=60, content=_pipeline_name),
        Column("params", "Params", _params, 10, share=3, hide_below=70, content=_params_text),
        Column("executor", "By", _executor, 8, hide_below=100),
    ]


def task_columns() -> list[Column[TaskStats]]:
    """Return the columns of the list of tasks."""
    return [
        Column("task", "Task", _task, 12, share=3, max_width=60, content=lambda row: row.name, names=True),
        Column("last", "Last", _last, 13),
        Column("success", "Done", _success, 5, justify="right"),
        Column("attempts", "Of", _attempts, 4, justify="right", hide_below=70),
        Column("median", "p50", lambda row, _ctx: cell(fmt.duration(row.median_s)), 6, justify="right"),
        Column("p95", "p95", lambda row, _ctx: cell(fmt.duration(row.p95_s)), 6, justify="right"),
        Column("recent", "Last 20", _recent, 7, max_width=20, hide_below=76, content=lambda row: "." * len(row.recent)),
    ]


def failure_columns() -> list[Column[FailureGroup]]:
    """Return the columns of the list of failures."""
    return [
        Column("type", "Error", _error_type, 10, share=1, max_width=24, content=lambda row: row.error_type or ""),
        Column("place", "Where", _where, 10, share=1, max_width=24, content=lambda row: row.place),
        Column("attempts", "Attempts", lambda row, _ctx: cell(fmt.count(row.attempts)), 8, justify="right"),
        Column("tasks", "Tasks", lambda row, _ctx: cell(fmt.count(row.tasks)), 6, justify="right"),
        Column("runs", "Runs", _runs, 5, justify="right", hide_below=104),
        Column("first", "First seen", lambda row, ctx: _ago(row.first_at, ctx), 10, hide_below=96),
        Column("last", "Last seen", lambda row, ctx: _ago(row.last_at, ctx), 9),
        Column("message", "Message", _failure_message, 14, share=4, content=_failure_text),
    ]


def _run(item: RunItem, ctx: RenderContext) -> Text:
    if item.run is None:
        return Text("")
    shown = badge(_run_status(item), ascii_only=ctx.ascii_only)
    return Text(shown.glyph, ctx.style(shown.style), no_wrap=True, end="").append(
        f" {item.run.id}", ctx.style(shown.style)
    )


def _run_status(item: RunItem) -> Status:
    """Return the worst status of the run's tasks where they are counted, else the run's own."""
    if item.run is None or item.run.status is RunStatus.RUNNING:
        return Status.RUNNING
    return worst_status(item.counts or {}) or Status(item.run.status.value)


def _run_started(item: RunItem, ctx: RenderContext) -> Text:
    if item.run is None:
        return cell("all runs", ctx.style("table--strong"))
    return cell(fmt.stamp(item.run.started_at)[5:16], ctx.style("table--muted"))  # month, day, hour, minute


def _run_took(item: RunItem, ctx: RenderContext) -> Text:
    return cell("" if item.run is None else fmt.duration(item.run.took_s(ctx.now)))


def _run_counts(item: RunItem, ctx: RenderContext) -> Text:
    counts = _counts(item, ascii_only=ctx.ascii_only)
    return whole_parts([(told, ctx.style(style)) for told, style in counts], ctx.width)


def _counts(item: RunItem, *, ascii_only: bool = False) -> list[tuple[str, str]]:
    """Return a mark of errors in the run's log, and how many tasks have each status or are unchanged, with styles."""
    found = [("!", "status--error")] if item.log_errors else []
    if item.counts is None:
        return found
    for status in _SHOWN_COUNTS:
        if count := item.counts.get(status, 0):
            shown = badge(status, ascii_only=ascii_only)
            found.append((f"{shown.glyph}{_number(count)}", shown.style))
    if left := sum(count for status, count in item.counts.items() if status not in FINAL):
        found.append((f"{'...' if ascii_only else '…'} {_number(left)}", "table--muted"))
    if item.run is not None and item.run.unchanged:
        found.append((f"={fmt.short(item.run.unchanged)}", "table--muted"))
    return found


def _number(count: int) -> str:
    return fmt.short(count) if count > 9999 else str(count)


def _counts_text(item: RunItem) -> str:
    return " ".join(told for told, _style in _counts(item))


def _pipeline_name(item: RunItem) -> str:
    return "" if item.run is None else clean(item.run.pipeline, MEASURED)


def _pipeline(item: RunItem, ctx: RenderContext) -> Text:
    return cell(_pipeline_name(item), ctx.style("table--muted"))


def _params_text(item: RunItem) -> str:
    return "" if item.run is None else clean(words_of(read_back(item.run.params)), MEASURED)


def _params(item: RunItem, ctx: RenderContext) -> Text:
    return cell(_params_text(item), ctx.style("table--muted"))


def _executor(item: RunItem, ctx: RenderContext) -> Text:
    return cell("" if item.run is None else item.run.executor, ctx.style("table--muted"))


def _task(row: TaskStats, ctx: RenderContext) -> Text:
    if not row.name.strip():
        return cell("(empty)", ctx.style("table--muted"))
    return cell(ctx.cut(clean(row.name), ctx.width))


def _last(row: TaskStats, ctx: RenderContext) -> Text:
    return status_text(row.status, ctx.style, ascii_only=ctx.ascii_only)


def _success(row: TaskStats, ctx: RenderContext) -> Text:
    share = row.success
    style = "status--error" if share is not None and share < _BAD_SHARE else "table--muted"
    return cell(fmt.percent(share), ctx.style(style))


def _attempts(row: TaskStats, ctx: RenderContext) -> Text:
    return cell(row.attempts, ctx.style("table--muted"))


def _recent(row: TaskStats, ctx: RenderContext) -> Text:
    """Return one bar per recent attempt: its height is the duration, its colour the status."""
    text = Text("", no_wrap=True, end="")
    top = max((took for took, _ in row.recent), default=0.0)
    for took, status in row.recent[-ctx.width :]:
        shown = badge(status, ascii_only=ctx.ascii_only)
        # An attempt that is not done shows its glyph, so that no colour is needed.
        column = spark_level(took, top, ascii_only=ctx.ascii_only) if status is Status.DONE else shown.glyph
        text.append(column, ctx.style(shown.style))
    return text


def _error_type(row: FailureGroup, ctx: RenderContext) -> Text:
    return cell(row.error_type, ctx.style("status--error"))


def _where(row: FailureGroup, ctx: RenderContext) -> Text:
    return cell(clip_middle(clean(row.place), ctx.width))


def _runs(row: FailureGroup, ctx: RenderContext) -> Text:
    return cell(fmt.count(row.runs), ctx.style("table--muted"))


def _ago(iso: str | None, ctx: RenderContext) -> Text:
    return cell(fmt.age(iso, ctx.now), ctx.style("table--muted"))


def _failure_text(row: FailureGroup) -> str:
    return (_NEW if row.is_new else "") + clean(row.message, MEASURED)


def _failure_message(row: FailureGroup, ctx: RenderContext) -> Text:
    text = Text("", no_wrap=True, end="")
    if row.is_new:
        text.append(_NEW if ctx.width >= _ROOMY else "new  ", ctx.style("status--retrying"))
    return text.append(clean(row.message), ctx.style("table--muted"))
