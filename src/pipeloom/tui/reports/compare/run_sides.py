"""Two runs, one line each, so that differences are one above the other."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from pipeloom.status import Status
from pipeloom.store.read.compare import RunComparison, RunSide
from pipeloom.tui.reports.compare.columns import signed
from pipeloom.tui.style import format as fmt
from pipeloom.tui.style.glyphs import badge
from pipeloom.tui.style.text import content
from pipeloom.tui.widgets.line_layout import Part, line


class RunSides(Widget):
    """The earlier run above the later one: start, status, tasks by status, duration."""

    DEFAULT_CSS = """
    RunSides { height: 2; padding: 0 1; }
    """

    comparison: reactive[RunComparison | None] = reactive(None)
    now: reactive[float] = reactive(0.0)
    ascii_only: reactive[bool] = reactive(False)  # noqa: FBT003

    def render(self) -> Content:
        """Draw both lines."""
        known = self.comparison
        if known is None:
            return Content("")
        before, after = known.was.run.took_s(self.now), known.now.run.took_s(self.now)
        difference = "" if before is None or after is None else signed(after - before)
        lines = (
            self._side("was", known.was, fmt.duration(before), ""),
            self._side("now", known.now, fmt.duration(after), difference),
        )
        return Content("\n").join(lines)

    def _side(self, word: str, side: RunSide, took: str, difference: str) -> Content:
        run = side.run
        shown = badge(run.status, ascii_only=self.ascii_only)
        wide = self.content_size.width >= 100
        started, whole = fmt.local_stamp(run.started_at), self.content_size.width >= 140
        left = [
            Part(Content.styled(word, "$muted"), 9),
            Part(content(f"run {run.id}".ljust(9), "bold"), 8),
            Part(content((started if whole else started[5:16]).ljust(11), "$muted"), 3),
            Part(Content.styled(shown.label.ljust(13) if wide else shown.glyph, shown.variable), 7),
            *(self._count(side, status, wide) for status in Status if side.statuses.get(status)),
        ]
        code = f"{side.codes[0]}{f' +{len(side.codes) - 1}' * (len(side.codes) > 1)}" if side.codes else ""
        right = [
            Part(content(f"code {code}" if code else "", "$muted", limit=30), 2),
            Part(content(took.rjust(7)), 6),
            Part(content(difference.rjust(7), "bold" if difference else ""), 5),
        ]
        return line(left, right, self.content_size.width)

    def _count(self, side: RunSide, status: Status, wide: bool) -> Part:
        shown = badge(status, ascii_only=self.ascii_only)
        count = fmt.count(side.statuses[status])
        text = f"{shown.glyph} {count} {shown.word}" if wide else f"{shown.glyph} {count}"
        return Part(Content.styled(text, shown.variable), 4)
