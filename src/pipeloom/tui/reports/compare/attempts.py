"""Two attempts side by side: params, duration, end, error, result and log. Only differences are bright."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from textual import getters
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from pipeloom.store.read.history import History
from pipeloom.store.rows import AttemptRow, LogRow
from pipeloom.text import clean
from pipeloom.tui.bindings import key
from pipeloom.tui.reports.base import REPORT_KEYS, ReportScreen
from pipeloom.tui.reports.compare.columns import signed
from pipeloom.tui.reports.compare.diff_text import LINES, diff_lines, json_lines
from pipeloom.tui.sharing.place import Place
from pipeloom.tui.style import format as fmt
from pipeloom.tui.style.glyphs import badge
from pipeloom.tui.style.text import clip, content

_LABEL: Final = 10
_WIDEST: Final = 48


@dataclass(frozen=True, slots=True)
class AttemptSides:
    """Two attempts, and their parts that are compared as text."""

    was: AttemptRow
    now: AttemptRow
    parts: Sequence[tuple[str, Sequence[Content]]]
    """Heading and lines; no lines where both are the same."""


class CompareAttemptsScreen(ReportScreen[None, AttemptSides]):
    """Facts in two columns, then the differences of the texts."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("k", "scroll(-1)", "Up", "Show what is above.", "attempts.up", footer=False),
        key("j", "scroll(1)", "Down", "Show what is below.", "attempts.down", footer=False),
        *REPORT_KEYS,
    ]

    AUTO_FOCUS = "#attempts-scroll"
    TITLE = "Compare attempts"
    EMPTY = "The two attempts are not both in this file any more."

    _text = getters.query_one("#attempts", Static)
    _scroll = getters.query_one("#attempts-scroll", VerticalScroll)

    def __init__(self, db_path: Path, left_attempt_id: int, right_attempt_id: int) -> None:
        """Compare two attempts of the file; the earlier one comes first, in either order of the arguments."""
        super().__init__(db_path)
        self._ids = sorted((left_attempt_id, right_attempt_id))

    def compose_body(self) -> list[Widget]:
        """Yield one scrolling text."""
        return [VerticalScroll(Static("", id="attempts"), id="attempts-scroll")]

    def place(self) -> Place:
        """Return the report of what is shown."""
        return Place(history=True, report="attempts:{},{}".format(*self._ids))

    def look_up(self, history: History) -> AttemptSides | None:
        """Read both attempts and compare their texts."""
        was, now = (history.attempt(number) for number in self._ids)
        if was is None or now is None:
            return None
        logs = [_log_lines(history.logs(number, LINES + 1)) for number in self._ids]
        parts = [
            ("Params", _changed(json_lines(was.params), json_lines(now.params))),
            ("Error", _changed((was.error or "").splitlines(), (now.error or "").splitlines())),
            ("Result", _changed(json_lines(was.result), json_lines(now.result))),
            ("Log", _changed(logs[0], logs[1])),
        ]
        return AttemptSides(was, now, parts)

    def show_found(self, found: AttemptSides) -> None:
        """Show both attempts."""
        self._text.update(self._found_content(found))

    def on_resize(self) -> None:
        """Lay out the columns again."""
        if self.found is not None:
            self.show_found(self.found)

    def plain(self, found: AttemptSides) -> str:
        """Return the comparison as text."""
        return self._found_content(found).plain

    def action_scroll(self, lines: int) -> None:
        """Scroll by lines."""
        self._scroll.scroll_relative(y=lines, animate=False)

    # -- drawing -----------------------------------------------------------------------------------------------------

    def _found_content(self, found: AttemptSides) -> Content:
        width = max(12, min(_WIDEST, (self.size.width - _LABEL - 8) // 2))
        lines = [*self._facts(found.was, found.now, width)]
        same = []
        for heading, differences in found.parts:
            if differences:
                lines += [Content(""), content(heading, "bold"), *differences]
            else:
                same.append(heading.lower())
        if same:
            lines += [Content(""), content(f"The same in both: {', '.join(same)}.", "$muted")]
        return Content("\n").join(lines)

    def _facts(self, was: AttemptRow, now: AttemptRow, width: int) -> Iterator[Content]:
        titles = [clip(f"run {row.run_id}, attempt {row.attempt}", width).ljust(width + 2) for row in (was, now)]
        yield Content.assemble(" " * _LABEL, *((title, "bold") for title in titles))
        facts = [
            ("task", f"{was.task_id}  {clean(was.name)}", f"{now.task_id}  {clean(now.name)}"),
            ("status", *(badge(row.status, ascii_only=self.services.ascii_only).label for row in (was, now))),
            ("took", fmt.duration(was.duration_s), _took(was, now)),
            ("started", fmt.local_stamp(was.started_at), fmt.local_stamp(now.started_at)),
            ("worker", clean(was.worker or ""), clean(now.worker or "")),
            ("error", clean(was.error_type or ""), clean(now.error_type or "")),
            ("message", clean(was.message), clean(now.message)),
        ]
        styles = {"status": tuple(badge(row.status).variable for row in (was, now))}
        for name, left, right in facts:
            if left or right:
                bright = styles.get(name, ("", "")) if left != right else ("$muted", "$muted")
                yield _fact(name, left, right, bright, width)


def _fact(name: str, left: str, right: str, styles: Sequence[str], width: int) -> Content:
    sides = [content(clip(side, width), style) for side, style in zip((left, right), styles, strict=True)]
    pad = " " * (width + 2 - sides[0].cell_length)
    return Content.assemble((name.ljust(_LABEL), "$muted"), sides[0], pad, sides[1])


def _took(was: AttemptRow, now: AttemptRow) -> str:
    """Return the later attempt's duration, and its difference to the earlier one's."""
    took = fmt.duration(now.duration_s)
    if was.duration_s is None or now.duration_s is None or was.duration_s == now.duration_s:
        return took
    return f"{took}  {signed(now.duration_s - was.duration_s)}"


def _changed(left: Sequence[str], right: Sequence[str]) -> list[Content]:
    return [] if left == right else diff_lines(left, right)


def _log_lines(rows: Sequence[LogRow]) -> list[str]:
    """Return the log without its times, which always differ."""
    return [f"{row.level[:8]:<8} {line}" for row in rows for line in (row.text.splitlines() or [""])]
