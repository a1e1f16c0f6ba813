"""The own log of a run: what its hooks have raised, printed and logged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from textual import getters
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from pipeloom.store.read.history import History
from pipeloom.store.rows import LogRow
from pipeloom.tui.attempts.log_text import log_lines, zone_of
from pipeloom.tui.reports.base import REPORT_KEYS, ReportScreen
from pipeloom.tui.sharing.place import Place
from pipeloom.tui.style.text import content


class RunLogScreen(ReportScreen[None, Sequence[LogRow]]):
    """Shows the log of one run, oldest line first."""

    DEFAULT_CSS = """
    #run-log-text { padding: 0 1; }
    """

    TITLE = "Run log"
    EMPTY = "Nothing was logged about this run itself: its hooks have raised and said nothing."
    BINDINGS: ClassVar[list[BindingType]] = REPORT_KEYS

    _text = getters.query_one("#run-log-text", Static)

    def __init__(self, db_path: Path, run_id: int) -> None:
        super().__init__(db_path)
        self._run_id = run_id

    def place(self) -> Place:
        """Return the report of what is shown."""
        return Place(history=True, report=f"log:{self._run_id}")

    def compose_body(self) -> Iterable[Widget]:
        """Yield one scrolling text."""
        with VerticalScroll():
            yield Static("", id="run-log-text")

    def title_line(self) -> Content:
        """Return the run, its file, and the zone of all times."""
        zone = zone_of(self.found or ())
        return content(f"log of run {self._run_id}  {self.db_path.name}{zone and f'  {zone}'}", "bold")

    def look_up(self, history: History) -> Sequence[LogRow] | None:
        """Read the log."""
        return history.run_logs(self._run_id) or None

    def show_found(self, found: Sequence[LogRow]) -> None:
        """Show the lines."""
        self._text.update(Content("\n").join(log_lines(found)))

    def plain(self, found: Sequence[LogRow]) -> str:
        """Return the lines as text."""
        return "\n".join(line.plain for line in log_lines(found))

    def goes_on(self, found: Sequence[LogRow]) -> bool:  # noqa: ARG002
        """Tell that hooks may say more: nothing in the file marks their end."""
        return True
