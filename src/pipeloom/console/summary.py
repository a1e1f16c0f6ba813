"""The lines that stay in the scrollback after a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from rich.text import Text

from pipeloom.engine.run.summary import FailedTask, OddTask, RunSummary
from pipeloom.parameters.texts import read_back, words_of
from pipeloom.status import Status
from pipeloom.text import as_typed, beside_usual, clean, counted

_SHOWN = 10
_FEW = 5
"""Tasks that are named in one line."""
T = TypeVar("T")
_STYLES = {
    Status.DONE: "green",
    Status.ERROR: "red",
    Status.CANCELLED: "yellow",
    Status.INTERRUPTED: "yellow",
    Status.SKIPPED: "yellow",
}


def summary_lines(summary: RunSummary) -> list[Text]:
    """Return the lines: counts, the failed tasks with their first error line, the file, and how to go on."""
    lines = [
        _headline(summary),
        *_first(_failure, summary.failed),
        *_first(_odd, summary.odd),
        *_gone_tasks(summary.gone),
    ]
    lines += _first(_hook, summary.hook_errors)
    if summary.unsaved:
        lines.append(Text(f"  {counted(summary.unsaved, 'change')} could not be saved", "bold red"))
    if summary.trouble is not None:
        lines.append(
            Text(f"  {clean(summary.trouble, 300)}: what was open is interrupted; --resume goes on", "bold red")
        )
    if summary.late:
        whose = "its task and was" if summary.late == 1 else "their task and were"
        lines.append(Text(f"  {counted(summary.late, 'message')} came after the end of {whose} ignored"))
    if summary.stored:
        lines.append(Text(f"  pipeloom-tui {as_typed(_short(summary))}   shows this run and all before it"))
    return lines


def _first(line: Callable[[T], Text], tasks: Sequence[T]) -> Iterator[Text]:
    """Yield a line for each of the first tasks, and one that counts the others."""
    yield from map(line, tasks[:_SHOWN])
    if len(tasks) > _SHOWN:
        yield Text(f"  … and {len(tasks) - _SHOWN:,} more")


def _odd(task: OddTask) -> Text:
    told = beside_usual(counted(task.rows, "row"), *task.usual)
    return Text.assemble("  ", ("!", "yellow"), f" {clean(task.name, 60) or '(empty)'}  ", (told, "yellow"))


def _hook(error: str) -> Text:
    return Text.assemble("  ", ("!", "yellow"), " ", (clean(error, 300), "yellow"))


def _failure(task: FailedTask) -> Text:
    name, error = clean(task.name, 60) or "(empty)", clean(task.error, 200)
    return Text.assemble("  ", ("×", "red"), f" {name}  ", (error, "red"))


def _headline(summary: RunSummary) -> Text:
    of = "" if summary.parent_run_id is None else f" (continues run {summary.parent_run_id})"
    given = clean(words_of(read_back(summary.params)), 200)
    run = f"  run {summary.run_id}{of}{given and f' with {given}'}: "
    parts: list[str | tuple[str, str]] = [(clean(summary.pipeline, 60), "bold"), run]
    for place, (status, count) in enumerate(summary.counts.items()):
        parts.append(", " if place else "")
        parts.append((f"{count:,} {status}", _STYLES.get(status, "")))
    if not summary.counts:
        parts.append(_nothing(summary))
    if summary.unchanged:
        parts.append(f", {summary.unchanged:,} unchanged")
    parts.append(f" in {_duration(max(0.0, summary.elapsed_s))}")
    if summary.rows:
        parts.append(f", {counted(summary.rows, 'row')} written")
    return Text.assemble(*parts)


def _nothing(summary: RunSummary) -> str:
    if summary.parent_run_id is not None:
        return "nothing was left to do"
    return "nothing has changed" if summary.unchanged else "no tasks"


def _gone_tasks(names: Sequence[str]) -> Iterator[Text]:
    """Yield a line that names the first tasks that are gone."""
    if names:
        shown = ", ".join(clean(name, 60) or "(empty)" for name in names[:_FEW])
        more = f" and {len(names) - _FEW:,} more" if len(names) > _FEW else ""
        yield Text(f"  gone: {shown}{more}")


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def _short(summary: RunSummary) -> str:
    """Return the file's path from here."""
    try:
        return str(summary.db_path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(summary.db_path)
