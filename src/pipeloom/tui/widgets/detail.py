"""What is known about one attempt, in tabs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import ClassVar, Final

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static, Tab, Tabs

from pipeloom.store.rows import AttemptRow, LogRow
from pipeloom.tui import format as fmt
from pipeloom.tui.glyphs import badge
from pipeloom.tui.text import content, lines

_TABS: Final = ("overview", "attempts", "log", "error", "params", "result")
_LEVELS: Final = {"WARNING": "$warning", "ERROR": "$status-error", "CRITICAL": "$status-error", "DEBUG": "$muted"}


class DetailPane(Vertical):
    """Follows the cursor and keeps its tab."""

    DEFAULT_CSS = """
    DetailPane Tabs { height: 2; }
    DetailPane VerticalScroll { height: 1fr; padding: 0 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right", "next_tab", "Tab", tooltip="Show the next tab.", id="detail.next", show=False),
        Binding("left", "previous_tab", "Tab", tooltip="Show the tab before.", id="detail.previous", show=False),
    ]

    _tabs = getters.query_one(Tabs)
    _body = getters.query_one("#detail-body", Static)

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id, classes="detail")
        self._ascii_only = ascii_only
        self._row: AttemptRow | None = None
        self._attempts: Sequence[AttemptRow] = ()
        self._logs: Sequence[LogRow] = ()

    def compose(self) -> ComposeResult:
        """Put the tabs over one scrolling text."""
        yield Tabs(*(Tab(content(name.capitalize()), id=name) for name in _TABS))
        with VerticalScroll():
            yield Static("", id="detail-body")

    def show_attempt(
        self, row: AttemptRow | None, attempts: Sequence[AttemptRow] = (), logs: Sequence[LogRow] = ()
    ) -> None:
        """Show an attempt, the attempts of its task, and its log."""
        if (row, attempts, logs) == (self._row, self._attempts, self._logs):
            return
        if row is None or self._row is None or row.id != self._row.id:
            self.query_one(VerticalScroll).scroll_home(animate=False)
        self._row, self._attempts, self._logs = row, attempts, logs
        self._draw()

    def show_tab(self, name: str) -> None:
        """Show one of the tabs."""
        self._tabs.active = name

    def action_next_tab(self) -> None:
        """Show the next tab."""
        self._tabs.action_next_tab()

    def action_previous_tab(self) -> None:
        """Show the tab before."""
        self._tabs.action_previous_tab()

    @on(Tabs.TabActivated)
    def _draw(self) -> None:
        self._body.update(self._content())

    def _content(self) -> Content:
        row = self._row
        if row is None:
            return Content.styled("No task under the cursor.", "$muted")
        match self._tabs.active:
            case "attempts":
                return Content("\n").join(self._attempt_line(attempt) for attempt in self._attempts or (row,))
            case "log":
                return Content("\n").join(_log_lines(self._logs)) if self._logs else _nothing("No log lines.")
            case "error":
                return lines(row.error, "$status-error") if row.error else _nothing("No error.")
            case "params":
                return _pretty(row.params) if row.params else _nothing("No params.")
            case "result":
                return _pretty(row.result) if row.result else _nothing("No result.")
            case _:
                return self._overview(row)

    def _overview(self, row: AttemptRow) -> Content:
        shown = badge(row.status, ascii_only=self._ascii_only)
        worker = f" · {row.worker}" if row.worker else ""
        where = f"  task {row.task_id} · attempt {row.attempt} · run {row.run_id}{worker}"
        head = Content.assemble(content(row.name or "(empty)", "bold"), content(where, "$muted"))
        facts = [
            ("status", Content.styled(shown.label, shown.variable)),
            ("progress", content(_progress(row))),
            ("message", lines(row.message, limit=2000)),
            ("queued", content(fmt.stamp(row.queued_at))),
            ("due", content(fmt.stamp(row.due_at))),
            ("started", content(fmt.stamp(row.started_at))),
            ("finished", content(fmt.stamp(row.finished_at))),
            ("took", content(fmt.duration(row.duration_s))),
            ("error", content(row.error_type or "", "$status-error")),
        ]
        told = [Content.assemble((name.ljust(10), "$muted"), value) for name, value in facts if value.plain]
        return Content("\n").join([head, Content(""), *told])

    def _attempt_line(self, row: AttemptRow) -> Content:
        shown = badge(row.status, ascii_only=self._ascii_only)
        return Content.assemble(
            (f"{row.attempt:>3}  ", "$muted"),
            (shown.label.ljust(14), shown.variable),
            (fmt.clock(row.started_at).ljust(10), "$muted"),
            fmt.duration(row.duration_s).rjust(7),
            "  ",
            content(row.message, limit=200),
        )


def _progress(row: AttemptRow) -> str:
    parts = [fmt.percent(row.progress)]
    if row.step is not None:
        total = "" if row.total is None else f" of {row.total:g}"
        parts.append(f"step {row.step:g}{total}")
    return "  ".join(filter(None, parts))


def _log_lines(rows: Sequence[LogRow]) -> Iterator[Content]:
    """Yield a line of text for each, and one for each gap."""
    expected = 1
    for row in rows:
        if row.seq > expected:
            yield _nothing(f"… {fmt.count(row.seq - expected)} lines were not kept …")
        expected = row.seq + 1
        yield _log_line(row)


def _log_line(row: LogRow) -> Content:
    level = content(row.level[:8].ljust(8), _LEVELS.get(row.level, "$status-running"))
    return Content.assemble((fmt.clock(row.at), "$muted"), "  ", level, lines(row.text, limit=4000))


def _pretty(text: str) -> Content:
    """Return JSON with line breaks, or the text as it is when it is no JSON."""
    try:
        return lines(json.dumps(json.loads(text), indent=2, ensure_ascii=False))
    except (ValueError, RecursionError):
        return lines(text)


def _nothing(sentence: str) -> Content:
    return content(sentence, "$muted")
