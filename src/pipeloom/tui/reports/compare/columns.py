"""The words and colours of changes between two runs, and the columns of the table of tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rich.text import Text

from pipeloom.status import Status
from pipeloom.store.read.compare import Change, TaskChange, TaskOutcome
from pipeloom.text import clean
from pipeloom.tui.style import format as fmt
from pipeloom.tui.style.glyphs import badge
from pipeloom.tui.style.text import cell
from pipeloom.tui.table.columns import Column, RenderContext

_GLYPHS: Final = dict(zip(Change, "×✓▲▼+-~=", strict=True))
_ASCII: Final = dict(zip(Change, "x*^v+-~=", strict=True))
_STYLES: Final = dict(
    zip(
        Change,
        ("error", "done", "cancelling", "running", "retrying", "cancelled", "interrupted", "unknown"),
        strict=True,
    )
)
SHORT: Final = dict(zip(Change, ("fails", "passes", "slower", "faster", "new", "gone", "other", "same"), strict=True))
"""Change to the word of its chip."""
_WORD: Final = 12


def change_glyph(change: Change, *, ascii_only: bool) -> str:
    """Return a short word for a change."""
    return (_ASCII if ascii_only else _GLYPHS)[change]


def change_variable(change: Change) -> str:
    """Return the theme variable of a change's colour, for `Content`."""
    return f"$status-{_STYLES[change]}"


def signed(seconds: float) -> str:
    """Return a difference as "+1.2s" or "-3m10s"; without a sign when it is nothing."""
    shown = fmt.duration(abs(seconds))
    return shown if shown == "0.0s" else ("-" if seconds < 0 else "+") + shown


def noise_label(task: TaskChange, *, ascii_only: bool) -> str:
    """Return the difference up to which it is noise, as "±0.4s"; with "?" when that is an estimate."""
    if task.noise_s is None:
        return ""
    return f"{'+-' if ascii_only else '±'}{fmt.duration(task.noise_s)}{'' if task.past else '?'}"


def compare_columns() -> list[Column[TaskChange]]:
    """Return the columns; a narrow one shows only the glyph of a status."""
    return [
        Column("task", "Task", _name, 20, share=6, max_width=60, content=lambda task: task.name, names=True),
        Column("was", "Was", _status_of(lambda task: task.was), 3, share=6, max_width=13),
        Column("now", "Now", _status_of(lambda task: task.now), 3, share=6, max_width=13),
        Column("before", "Before", _time_of(lambda task: task.was), 7, justify="right"),
        Column("after", "After", _time_of(lambda task: task.now), 7, justify="right"),
        Column("change", "Change", _difference, 7, justify="right"),
        Column("noise", "Noise", _noise, 8, justify="right"),
        Column("change", "Verdict", _change, 14),
    ]


def _name(task: TaskChange, ctx: RenderContext) -> Text:
    style = ctx.style("table--muted") if task.change is Change.SAME else ""
    return cell(ctx.cut(clean(task.name), ctx.width) or "(empty)", style)


def _status_of(side: Callable[[TaskChange], TaskOutcome | None]) -> Callable[[TaskChange, RenderContext], Text]:
    def draw(task: TaskChange, ctx: RenderContext) -> Text:
        standing = side(task)
        if standing is None:
            return Text("-", style=ctx.style("table--faint"))
        shown = badge(standing.status, ascii_only=ctx.ascii_only)
        return Text(shown.label if ctx.width >= _WORD else shown.glyph, style=ctx.style(shown.style))

    return draw


def _time_of(side: Callable[[TaskChange], TaskOutcome | None]) -> Callable[[TaskChange, RenderContext], Text]:
    def draw(task: TaskChange, ctx: RenderContext) -> Text:
        standing = side(task)
        plain = standing is not None and standing.status is Status.DONE and task.change is not Change.SAME
        seconds = None if standing is None else standing.duration_s
        return cell(fmt.duration(seconds), "" if plain else ctx.style("table--muted"))

    return draw


def _difference(task: TaskChange, ctx: RenderContext) -> Text:
    if task.difference_s is None:
        return Text("")
    changed = task.change in (Change.SLOWER, Change.FASTER)
    return cell(signed(task.difference_s), ctx.style(f"status--{_STYLES[task.change]}" if changed else "table--muted"))


def _noise(task: TaskChange, ctx: RenderContext) -> Text:
    return cell(noise_label(task, ascii_only=ctx.ascii_only), ctx.style("table--muted"))


def _change(task: TaskChange, ctx: RenderContext) -> Text:
    glyph = change_glyph(task.change, ascii_only=ctx.ascii_only)
    return cell(f"{glyph} {task.change}", ctx.style(f"status--{_STYLES[task.change]}"))
