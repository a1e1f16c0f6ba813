"""The detail of one attempt, in tabs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import ScrollableContainer, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static, Tab, Tabs

from pipeloom.engine.changes.input_key import key_of
from pipeloom.status import ACTIVE, Status
from pipeloom.store.read.tasks import TaskState
from pipeloom.store.rows import AttemptRow, LogRow
from pipeloom.text import beside_usual, figure
from pipeloom.times import shown
from pipeloom.tui.attempts.log_text import LEVELS, log_lines, matches, zone_of
from pipeloom.tui.attempts.traceback_text import traceback_text
from pipeloom.tui.style import format as fmt
from pipeloom.tui.style.glyphs import badge
from pipeloom.tui.style.text import content, lines

_TABS: Final = ("overview", "attempts", "log", "error", "params", "result", "state")
_STATE: Final = "state"
"""The tab that is there only for tasks that have left a state."""
FAILED: Final = frozenset({Status.ERROR, Status.INTERRUPTED})
"""Statuses of which the error is of interest first."""


class DetailPane(Vertical):
    """Follows the cursor. It shows the error of what has failed and the overview of all else, until a tab is chosen."""

    DEFAULT_CSS = """
    DetailPane Tabs { height: 2; }
    DetailPane ScrollableContainer { height: 1fr; padding: 0 1; }
    DetailPane Input { display: none; height: 1; border: none; }
    DetailPane.-searching Input { display: block; }
    DetailPane.-unwrapped #detail-body { text-wrap: nowrap; width: auto; min-width: 100%; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "screen.zoom", "Zoom", tooltip="Make the detail large, or small.", id="detail.zoom", show=False
        ),
        Binding("slash", "search", "Search", tooltip="Search the log.", id="log.search", key_display="/"),
        Binding("n", "match(1)", "Next", tooltip="Go to the next match in the log.", id="log.next"),
        Binding("N", "match(-1)", "Previous", tooltip="Go to the match before.", id="log.previous", show=False),
        Binding("f", "follow_log", "Follow", tooltip="Keep the end of the log in sight, or not.", id="log.follow"),
        Binding("L", "level", "Level", tooltip="Show only lines of a higher level.", id="log.level"),
        Binding("escape", "end_search", "Table", tooltip="Leave the search.", id="log.end_search", show=False),
        Binding("w", "wrap", "Wrap", tooltip="Wrap long lines, or not.", id="detail.wrap"),
    ]

    @dataclass
    class Told(Message):
        """The effect of a key, to tell the user."""

        sentence: str
        problem: bool = False

    _tabs = getters.query_one(Tabs)
    _body = getters.query_one("#detail-body", Static)
    _scroll = getters.query_one(ScrollableContainer)
    _search = getters.query_one(Input)

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id, classes="detail")
        self._ascii_only = ascii_only
        self._row: AttemptRow | None = None
        self._chosen: str | None = None
        """The tab that the user chose since the detail was opened."""
        self._attempts: Sequence[AttemptRow] = ()
        self._logs: Sequence[LogRow] = ()
        self._state: TaskState | None = None
        self._waits = ""
        self._follows = True
        self._level = LEVELS[0]
        self._needle = ""
        self._match = -1
        """Index of the match that was shown last."""

    def compose(self) -> ComposeResult:
        """Yield the tabs and one scrolling text."""
        tabs = [Tab(content(name.capitalize()), id=name) for name in _TABS]
        tabs[-1].add_class("-hidden")
        yield Tabs(*tabs)
        with ScrollableContainer():
            yield Static("", id="detail-body")
        yield Input(placeholder="search the log", compact=True, select_on_focus=False)

    def show_attempt(
        self,
        row: AttemptRow | None,
        attempts: Sequence[AttemptRow] = (),
        logs: Sequence[LogRow] = (),
        state: TaskState | None = None,
        *,
        waits: str = "",
    ) -> None:
        """Show an attempt, the attempts of its task, its log, the state that the task has left, and why it waits."""
        shown = self._row, self._attempts, self._logs, self._state, self._waits
        if (row, attempts, logs, state, waits) == shown:
            return
        if (state is None) is not (self._state is None):
            (self._tabs.hide if state is None else self._tabs.show)(_STATE)
        if row is None or self._row is None or row.id != self._row.id:
            self._scroll.scroll_home(animate=False)
        self._row, self._attempts, self._logs, self._state, self._waits = row, attempts, logs, state, waits
        self._tabs.active = self.tab
        self._draw()
        self._keep_end()

    @property
    def tab(self) -> str:
        """The tab to show: the user's choice where there is one, else that which fits the attempt."""
        chosen = None if self._chosen == _STATE and self._state is None else self._chosen
        return chosen or ("error" if self._row is not None and self._row.status in FAILED else _TABS[0])

    def open_on(self, tab: str | None) -> None:
        """Show a tab; None: the one that fits the attempt."""
        self._chosen = tab
        self._tabs.active = self.tab

    def show_tab(self, name: str) -> None:
        """Show a tab."""
        self.open_on(name)

    def step_tab(self, step: int) -> None:
        """Show the next tab, or the one before; the first follows the last."""
        there = _TABS if self._state is not None else _TABS[:-1]
        self.open_on(there[(there.index(self._tabs.active) + step) % len(there)])

    @property
    def plain(self) -> str:
        """The text of the visible tab."""
        return self._content().plain

    @property
    def takes_sideways(self) -> bool:
        """Whether left and right move the text: it has the focus, and its lines are not wrapped."""
        return self.has_focus_within and self.has_class("-unwrapped")

    def begin(self) -> None:
        """Take the focus."""
        self._scroll.focus()

    @on(Tabs.TabActivated)
    def _begin_tab(self, event: Tabs.TabActivated) -> None:
        if event.tab.id == self._tabs.active != self.tab:
            self._chosen = event.tab.id  # by the mouse, or by a key of the tabs
        self._scroll.scroll_home(animate=False)
        self._draw()
        self._keep_end()

    def _draw(self) -> None:
        self._body.update(self._content())
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the keys of the log only there."""
        if action in ("search", "match", "follow_log", "level"):
            return self._tabs.active == "log" and (action != "match" or bool(self._needle))
        if action == "end_search":
            return self.has_class("-searching")
        return super().check_action(action, parameters)

    # -- the log -----------------------------------------------------------------------------------------------------

    def _log(self) -> list[Content]:
        return log_lines(self._logs, self._level, self._needle)

    def _above_log(self) -> list[Content]:
        zone = zone_of(self._logs)
        return [content(f"times in {zone}", "$muted")] if zone else []

    def _keep_end(self) -> None:
        """Follow the end of the log while its task runs; a search stops that."""
        running = self._row is not None and self._row.status in ACTIVE
        if self._follows and running and self._tabs.active == "log" and not self._needle:
            self.call_after_refresh(self._scroll.scroll_end, animate=False)

    def action_follow_log(self) -> None:
        """Follow the end, or stop."""
        self._follows = not self._follows
        self.post_message(self.Told("Following the log." if self._follows else "Not following the log."))
        if self._follows:
            self._scroll.scroll_end(animate=False)

    def action_level(self) -> None:
        """Show the next level, from the highest to all."""
        self._level = LEVELS[(LEVELS.index(self._level) + 1) % len(LEVELS)]
        self.post_message(self.Told("All lines." if self._level == LEVELS[0] else f"Lines of {self._level} and above."))
        self._draw()

    def action_wrap(self) -> None:
        """Wrap long lines, or not."""
        self.toggle_class("-unwrapped")

    def action_search(self) -> None:
        """Ask what to search for."""
        self._search.value = ""
        self.add_class("-searching")
        self.screen.set_focus(self._search)

    def action_end_search(self) -> None:
        """End the search."""
        self._look_for("")

    @on(Input.Submitted)
    def _find(self, event: Input.Submitted) -> None:
        event.stop()
        self._look_for(event.value)
        if self._needle:
            self.action_match(1)

    def _look_for(self, needle: str) -> None:
        self.remove_class("-searching")
        self._needle, self._match = needle, -1
        self._draw()
        self.begin()

    def action_match(self, step: int) -> None:
        """Go to the next or previous match; the first follows the last."""
        shown = self._log()
        found = matches(shown, self._needle)
        if not found:
            self.post_message(self.Told(f"No line holds {self._needle!r}.", problem=True))
            return
        self._match = (self._match + step) % len(found) if self._match >= 0 or step > 0 else len(found) - 1
        above = [*self._above_log(), *shown[: found[self._match]]]
        wraps, width = not self.has_class("-unwrapped"), max(1, self._body.content_size.width)
        y = Content("\n").join(above).get_height({}, width) if wraps else len(above)
        self._scroll.scroll_to(y=y if found[self._match] else 0, animate=False)

    # -- what there is to see ----------------------------------------------------------------------------------------

    def _content(self) -> Content:
        row = self._row
        if row is None:
            return Content.styled("No task under the cursor.", "$muted")
        match self._tabs.active:
            case "attempts":
                return Content("\n").join(self._attempt_line(attempt) for attempt in self._attempts or (row,))
            case "log":
                log = [*self._above_log(), *self._log()] if self._logs else [_nothing("No log lines.")]
                return Content("\n").join(log)
            case "error":
                return _error(row, self._attempts)
            case "params":
                return _given(row)
            case "result":
                return _pretty(row.result) if row.result else _nothing("No result.")
            case "state" if self._state is not None:
                left = self._state
                told = content(f"left by attempt {left.attempt_id:,} {fmt.local_stamp(left.at)}".rstrip(), "$muted")
                return Content("\n").join([_pretty(left.state), Content(""), told])
            case _:
                return self._overview(row)

    def _overview(self, row: AttemptRow) -> Content:
        status = badge(row.status, ascii_only=self._ascii_only)
        worker = f" · {row.worker}" if row.worker else ""
        where = f"  task {row.task_id} · attempt {row.attempt} · run {row.run_id}{worker}"
        rows = beside_usual(f"{row.rows:,}", row.rows_low, row.rows_high) if row.rows or row.odd else ""
        head = Content.assemble(content(row.name or "(empty)", "bold"), content(where, "$muted"))
        facts = [
            ("status", Content.styled(status.label, status.variable)),
            ("waits", content(self._waits)),
            ("progress", content(_progress(row))),
            ("message", lines(row.message, limit=2000)),
            ("queued", content(fmt.local_stamp(row.queued_at))),
            ("due", content(fmt.local_stamp(row.due_at))),
            ("started", content(fmt.local_stamp(row.started_at))),
            ("finished", content(fmt.local_stamp(row.finished_at))),
            ("took", content(fmt.duration(row.duration_s))),
            ("rows", content(rows)),
            ("code", content(row.code or "", limit=40)),
            ("error", content(row.error_type or "", "$status-error")),
        ]
        told = [Content.assemble((name.ljust(10), "$muted"), value) for name, value in facts if value.plain]
        return Content("\n").join([head, Content(""), *told])

    def _attempt_line(self, row: AttemptRow) -> Content:
        status = badge(row.status, ascii_only=self._ascii_only)
        return Content.assemble(
            (f"{row.attempt:>3}  ", "$muted"),
            (status.label.ljust(14), status.variable),
            (shown(row.started_at, "%H:%M:%S %Z").ljust(15), "$muted"),
            fmt.duration(row.duration_s).rjust(7),
            "  ",
            content(f"{row.worker}  " if row.worker else "", "$muted", limit=40),
            content(row.message, limit=200),
        )


def _error(row: AttemptRow, attempts: Sequence[AttemptRow]) -> Content:
    """Return the message of a failed attempt and its traceback; else those of the last attempt that failed."""
    failed = next((one for one in (row, *reversed(attempts)) if one.error or one.status in FAILED), None)
    if failed is None:
        return _nothing("No error.")
    head = [] if failed.id == row.id else [content(f"of attempt {failed.attempt}", "$muted")]
    told = [lines(failed.message, "$status-error", limit=2000)] if failed.message else []
    trace = [Content(""), traceback_text(failed.error)] if failed.error else []
    return Content("\n").join([*head, *told, *trace])


def _progress(row: AttemptRow) -> str:
    parts = [fmt.percent(row.progress)]
    if row.step is not None:
        total = "" if row.total is None else f" of {figure(row.total)}"
        parts.append(f"step {figure(row.step)}{total}")
    return "  ".join(filter(None, parts))


def _given(row: AttemptRow) -> Content:
    """Return what the task was given: its params, and its version and input files as they were."""
    inputs = [content(line, "$muted", limit=2000) for line in key_of(row.input_key).lines()]
    params = _pretty(row.params) if row.params else _nothing("No params.")
    return Content("\n").join([params, *([Content(""), *inputs] if inputs else [])])


def _pretty(text: str) -> Content:
    """Return JSON with line breaks, or the text itself when it is no JSON."""
    try:
        return lines(json.dumps(json.loads(text), indent=2, ensure_ascii=False))
    except (ValueError, RecursionError):
        return lines(text)


def _nothing(sentence: str) -> Content:
    return content(sentence, "$muted")
