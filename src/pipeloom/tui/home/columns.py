"""The columns of the list of files."""

from __future__ import annotations

import os
from typing import Final

from rich.text import Text

from pipeloom.home.look import FileSummary
from pipeloom.status import FINAL, Status
from pipeloom.text import clean, size
from pipeloom.tui.style import format as fmt
from pipeloom.tui.style.glyphs import badge, status_text
from pipeloom.tui.style.text import cell, clip_middle, whole_parts
from pipeloom.tui.table.columns import Column, RenderContext

_COUNTED: Final = (Status.ERROR, Status.INTERRUPTED, Status.CANCELLED, Status.SKIPPED, Status.DONE)
_MEASURED: Final = 200
READING: Final = "…"
"""Stands for what has not been read yet."""


def home_columns() -> list[Column[FileSummary]]:
    """Return the columns."""
    return [
        Column("file", "File", _file, 14, share=2, max_width=40, content=_file_name),
        Column("status", "Last run", _status, 13),
        Column("age", "Started", _age, 8),
        Column("every", "Every", _every, 9),
        Column("counts", "Tasks", _counts, 9, share=1, max_width=20),
        Column("size", "Size", _size, 7, justify="right", hide_below=60),
        Column("pipeline", "Pipeline", _pipeline, 8, share=1, max_width=24, hide_below=100, content=_name),
        Column("folder", "Folder", _folder, 10, share=2, max_width=60, hide_below=100, content=_folder_name),
    ]  # fmt: skip


def shown_path(path: str) -> str:
    """Return a path as its user knows it: `~/etl/orders.db`."""
    home = os.path.expanduser("~").rstrip("/")  # noqa: PTH111 - never raises without a home
    return f"~{path[len(home) :]}" if home and f"{path}/".startswith(f"{home}/") else path


def _file_name(row: FileSummary) -> str:
    return clean(row.file.path.name, _MEASURED)


def _file(row: FileSummary, ctx: RenderContext) -> Text:
    style = "table--muted" if row.trouble else "table--strong"
    return cell(clip_middle(_file_name(row), ctx.width), ctx.style(style))


def _status(row: FileSummary, ctx: RenderContext) -> Text:
    if row.trouble == READING:
        return cell(READING, ctx.style("table--faint"))
    if row.trouble:
        return cell(row.trouble, ctx.style("status--interrupted"))
    if row.status is None:
        return cell("no run", ctx.style("table--muted"))
    return status_text(row.status, ctx.style, ascii_only=ctx.ascii_only)


def _age(row: FileSummary, ctx: RenderContext) -> Text:
    return cell("" if row.run is None else fmt.age(row.run.started_at, ctx.now))


def _every(row: FileSummary, ctx: RenderContext) -> Text:
    if row.rhythm is None:
        return cell("")
    usual = interval(row.rhythm.usual_s)
    if row.is_late(ctx.now):
        return cell(f"{usual} late", ctx.style("status--error"))
    return cell(usual, ctx.style("table--muted"))


def interval(seconds: float) -> str:
    """Return an interval in the unit that suits it: "15m", "24h", "7d"."""
    for length, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= length * (1.95 if unit == "d" else 0.99):
            return f"{round(seconds / length)}{unit}"
    return f"{round(seconds)}s"


def _counts(row: FileSummary, ctx: RenderContext) -> Text:
    parts = []
    for status in _COUNTED:
        if count := row.counts.get(status, 0):
            shown = badge(status, ascii_only=ctx.ascii_only)
            parts.append((f"{shown.glyph}{fmt.short(count) if count > 9999 else count}", ctx.style(shown.style)))
    if left := sum(count for status, count in row.counts.items() if status not in FINAL):
        parts.append((f"{'...' if ctx.ascii_only else '…'} {fmt.count(left)}", ctx.style("table--muted")))
    return whole_parts(parts, ctx.width)


def _size(row: FileSummary, ctx: RenderContext) -> Text:
    return cell("" if row.size is None else size(row.size).replace(" bytes", " B"), ctx.style("table--muted"))


def _name(row: FileSummary) -> str:
    return "" if row.run is None else clean(row.run.pipeline, _MEASURED)


def _pipeline(row: FileSummary, ctx: RenderContext) -> Text:
    return cell(_name(row), ctx.style("table--muted"))


def _folder_name(row: FileSummary) -> str:
    return clean(shown_path(str(row.file.path.parent)), 4096)


def _folder(row: FileSummary, ctx: RenderContext) -> Text:
    return cell(clip_middle(_folder_name(row), ctx.width), ctx.style("table--muted"))
